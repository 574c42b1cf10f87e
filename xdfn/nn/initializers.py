"""A network starts from random weights: large enough for signals to pass, small enough not to saturate. An initialiser
draws a matrix of shape (n_in, n_out).
"""

import contextlib
import contextvars
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from xdfn.backend import random
from xdfn.core.fields import Field, number_field
from xdfn.core.part import Part
from xdfn.core.registry import Registry

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = [
    "InitializerBase",
    "constant",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "std_normal",
    "zeros",
]

Matrix = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


class InitializerBase(Part):
    """Base of the initialisers. Write `draw(rng, shape)`, with `rng` a NumPy generator."""

    def draw(self, rng: "Generator", shape: tuple[int, ...]) -> Matrix:
        """float64 values of `shape` = (n_in, n_out), on the host."""
        raise NotImplementedError(f"{type(self).__name__} must define draw(rng, shape)")

    def __call__(self, shape: tuple[int, ...], rng: "Generator | None" = None) -> Matrix:
        """Draw from `rng`; without one, from a stream that `numpy.random.seed` steers."""
        if _SHAPES_ONLY.get():
            return np.broadcast_to(np.zeros(()), shape)
        values = np.asarray(self.draw(rng or random.generator(random.new_seed(), random.WEIGHTS), tuple(shape)))
        if values.shape != tuple(shape):
            raise ValueError(f"{type(self).__name__}.draw must give shape {tuple(shape)}, got {values.shape}")
        return values


_SHAPES_ONLY = contextvars.ContextVar("shapes_only", default=False)


@contextlib.contextmanager
def shapes_only() -> Iterator[None]:
    """Within it initialisers draw nothing: they give zeros that take no memory, for the shapes that a layer has."""
    token = _SHAPES_ONLY.set(True)
    try:
        yield
    finally:
        _SHAPES_ONLY.reset(token)


initializers: Registry[InitializerBase] = Registry("initialiser", InitializerBase)


class InitializerField(Field[InitializerBase]):
    """A `Field` of an initialiser. Its owner's `given_initializers` has the specs as they were given, by name."""

    def __init__(self) -> None:
        super().__init__(lambda name, spec: initializers.resolve(spec))

    def __set__(self, instance: object, spec: object) -> None:
        super().__set__(instance, spec)
        given = vars(instance).get("given_initializers", {})
        vars(instance)["given_initializers"] = {**given, self.name: spec}  # a new dict, for copies share the old one


# The names of the classes are those by which they are called as functions, `he_uniform()((n_in, n_out))`: hence the
# lower case.


def truncated_normal(rng: "Generator", std: float, shape: tuple[int, ...]) -> Matrix:
    """N(0, std^2) cut at two standard deviations, by redrawing the values outside.

    The cut takes 12 % of the standard deviation: that of the result is 0.880 `std`.
    """
    values = rng.normal(0.0, std, shape)
    while (outside := np.abs(values) >= 2 * std).any() and std > 0:
        values[outside] = rng.normal(0.0, std, int(outside.sum()))
    return values


@initializers.register()
class zeros(InitializerBase):  # noqa: N801
    """0 everywhere: right for biases; as weights they would keep all units of a layer equal forever."""

    def draw(self, rng: "Generator", shape: tuple[int, ...]) -> Matrix:
        return np.zeros(shape)


@initializers.register()
class constant(InitializerBase):  # noqa: N801
    """One value everywhere, such as the small positive bias that keeps ReLU units alive at the start."""

    _shown = ("value",)

    value = number_field()

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def draw(self, rng: "Generator", shape: tuple[int, ...]) -> Matrix:
        return np.full(shape, float(self.value))


@initializers.register("normal")
class std_normal(InitializerBase):  # noqa: N801
    """gain N(0, 1)."""

    _shown = ("gain",)

    gain = number_field()

    def __init__(self, gain: float = 0.01) -> None:
        self.gain = gain

    def draw(self, rng: "Generator", shape: tuple[int, ...]) -> Matrix:
        return self.gain * rng.standard_normal(shape)


@initializers.register("uniform")
class random_uniform(InitializerBase):  # noqa: N801
    """U(-b, b)."""

    _shown = ("b",)

    b = number_field(0)

    def __init__(self, b: float = 1.0) -> None:
        self.b = b

    def draw(self, rng: "Generator", shape: tuple[int, ...]) -> Matrix:
        return rng.uniform(-self.b, self.b, shape)


@initializers.register("truncated_normal")
class random_normal(InitializerBase):  # noqa: N801
    """N(0, std^2), truncated at two standard deviations."""

    _shown = ("std",)

    std = number_field(0)

    def __init__(self, std: float = 0.01) -> None:
        self.std = std

    def draw(self, rng: "Generator", shape: tuple[int, ...]) -> Matrix:
        return truncated_normal(rng, self.std, shape)


@initializers.register("kaiming_uniform")
class he_uniform(InitializerBase):  # noqa: N801
    """U(-b, b) with b = sqrt(6 / n_in), for ReLU (He et al. 2015, arXiv:1502.01852)."""

    def draw(self, rng: "Generator", shape: tuple[int, ...]) -> Matrix:
        b = math.sqrt(6 / shape[-2])
        return rng.uniform(-b, b, shape)


@initializers.register("kaiming_normal")
class he_normal(InitializerBase):  # noqa: N801
    """N(0, 2 / n_in), truncated at two standard deviations, for ReLU (He et al. 2015, arXiv:1502.01852).

    Notes
    -----
    The cut takes 12 % of the standard deviation; Keras widens the normal by 1 / 0.88 first, and we do not. PyTorch's
    kaiming_normal cuts nothing.
    """

    def draw(self, rng: "Generator", shape: tuple[int, ...]) -> Matrix:
        return truncated_normal(rng, math.sqrt(2 / shape[-2]), shape)


@initializers.register("xavier_uniform")
class glorot_uniform(InitializerBase):  # noqa: N801
    """U(-b, b) with b = gain sqrt(6 / (n_in + n_out)), for tanh and sigmoid (Glorot and Bengio 2010)."""

    gain = number_field()

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def draw(self, rng: "Generator", shape: tuple[int, ...]) -> Matrix:
        b = abs(self.gain) * math.sqrt(6 / (shape[-2] + shape[-1]))
        return rng.uniform(-b, b, shape)


@initializers.register("xavier_normal")
class glorot_normal(InitializerBase):  # noqa: N801
    """N(0, gain^2 2 / (n_in + n_out)), truncated at two standard deviations (Glorot and Bengio 2010)."""

    gain = number_field()

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def draw(self, rng: "Generator", shape: tuple[int, ...]) -> Matrix:
        return truncated_normal(rng, abs(self.gain) * math.sqrt(2 / (shape[-2] + shape[-1])), shape)


@initializers.register()
class lecun_uniform(InitializerBase):  # noqa: N801
    """U(-b, b) with b = sqrt(3 / n_in), for SELU (LeCun et al. 1998)."""

    def draw(self, rng: "Generator", shape: tuple[int, ...]) -> Matrix:
        b = math.sqrt(3 / shape[-2])
        return rng.uniform(-b, b, shape)


@initializers.register()
class lecun_normal(InitializerBase):  # noqa: N801
    """N(0, 1 / n_in), truncated at two standard deviations, for SELU (LeCun et al. 1998)."""

    def draw(self, rng: "Generator", shape: tuple[int, ...]) -> Matrix:
        return truncated_normal(rng, math.sqrt(1 / shape[-2]), shape)


@initializers.register()
class orthogonal(InitializerBase):  # noqa: N801
    """gain Q, where the rows or the columns of Q, whichever are fewer, are orthonormal.

    Q comes from the QR decomposition of a Gaussian matrix, its signs chosen so that all Q are equally likely
    (Saxe et al. 2014, arXiv:1312.6120).
    """

    gain = number_field()

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def draw(self, rng: "Generator", shape: tuple[int, ...]) -> Matrix:
        rows, columns = shape
        q, r = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
        return self.gain * (q if rows >= columns else q.T)
