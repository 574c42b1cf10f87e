"""Are derivatives that were written by hand right? Difference quotients of the loss say so, or name the worst entry."""

import copy
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

import numpy as np

from xdfn.backend import (
    Array,
    ArrayLike,
    Host,
    as_array,
    computing,
    eps,
    has_float64,
    namespace,
    place,
    product,
    put,
    read,
    to_numpy,
)
from xdfn.nn.layers.context import NO_KEY, Context, Gradients
from xdfn.nn.network import LayerTree
from xdfn.train.checks import check_targets
from xdfn.train.plan import ModelConfig
from xdfn.train.step import TrainStep

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = ["check_gradients"]


class Initialisable(Protocol):
    """What is asked of a model here."""

    def initialize(self, X: ArrayLike) -> Self: ...
    def config(self) -> ModelConfig: ...


class Check(NamedTuple):
    """A gradient that is compared with difference quotients.

    Attributes
    ----------
    what : the name of the array
    array, gradient : the array, and what `pullback` gives for it
    function : the loss as a function of the array
    culprits : where to look if the gradient is wrong
    """

    what: str
    array: Array
    gradient: Array
    function: Callable[[Array], Array]
    culprits: str


def check_gradients(model: Initialisable, X: ArrayLike, y: ArrayLike, *, seed: int = 0) -> float:
    """Compare a model's gradients with difference quotients of its loss; for authors of parts of their own.

    Every array is checked along a random direction; where that fails, along others with smaller and larger steps, for
    a step may cross a kink such as that of ReLU at 0, or drown in rounding; where all fail, its entries are looked at
    one by one. The network is taken in training mode, dropout with a fixed mask, and near its parameters rather than
    at them. The model is left as it is.

    Parameters
    ----------
    model : DFN
    X, y : array (n, n_in), array (n,) or (n, n_out)
        A few rows are enough. The check runs in float64 where the library has it.
    seed : int
        Of the directions.

    Returns
    -------
    float
        The largest relative error, some 1e-8 in float64.

    Raises
    ------
    ValueError
        A gradient is wrong. The message names the worst entry of the array nearest to the output: by its layer and
        name and index, with what backward says and what the difference quotient is.

    Examples
    --------
    >>> import numpy as np
    >>> from xdfn import DFN
    >>> check_gradients(DFN(5, 3, seed=0), np.eye(4), np.asarray([0, 1, 2, 0])) < 1e-6
    True
    """
    rows = as_array("X", X)
    targets = as_array("y", y, lambda: place(rows))
    probe = copy.copy(model).initialize(rows)
    check_targets(targets, rows, probe.config().loss, probe.config().n_out)
    test = _Test(probe.config(), rows, targets, np.random.default_rng(seed))
    with computing(test.x):
        return max(test.error(check) for check in list(test.checks()))


class _Test:
    """The network near its parameters, in the finest precision, with a fixed draw of the layers that draw."""

    def __init__(self, config: ModelConfig, X: Array, y: Array, rng: "Generator") -> None:
        xp, self.rng, self.layers = namespace(X), rng, config.layers
        step = TrainStep(list(config.layers.values()), config.loss, 0, place(X))
        self.network, self.loss, scalars = step.network, step.loss, step.scalars(0, 0.0)
        self.x = put(to_numpy(X), place(X), xp.float64 if has_float64(xp) else xp.float32)
        # the step is eps^(1/3), and the tolerance what it leaves
        self.h, self.tolerance = (1e-5, 1e-6) if self.x.dtype == xp.float64 else (1e-2, 3e-2)
        self.params = [self._near(layer.params, 0.01) for layer in config.layers.values()]
        self.buffers = [self._near(layer.buffers, 0.0) for layer in config.layers.values()]
        self.x = self.x + self.noise(self.x.shape, 0.01)
        self.weight = 1.0 / self.x.shape[0]
        self.ctx, self.keys = Context(NO_KEY, self.weight, scalars.share), scalars.keys
        self.y = y

    def noise(self, shape: tuple[int, ...], scale: float) -> Array:
        return put(scale * self.rng.standard_normal(shape), place(self.x), self.x.dtype)

    def _near(self, arrays: dict[str, Array], scale: float) -> dict[str, Array]:
        """Arrays in the dtype of x, moved a little."""
        xp, dtype = namespace(self.x), self.x.dtype
        moved = {name: xp.astype(value, dtype) for name, value in arrays.items()}
        return {name: x + self.noise(x.shape, scale) for name, x in moved.items()} if scale else moved

    def loss_at(self, params: LayerTree, x: Array) -> Array:
        z, _, _ = self.network.forward(params, self.buffers, x, self.ctx, self.keys)
        return self._loss_of_scores(z)

    def _loss_of_scores(self, z: Array) -> Array:
        return self.loss.value_and_grad(self.y, z, self.weight)[0]

    def loss_with(self, i: int, name: str) -> Callable[[Array], Array]:
        """The loss as a function of one parameter of the i-th layer."""
        before, of_layer, after = self.params[:i], self.params[i], self.params[i + 1 :]
        return lambda p: self.loss_at([*before, {**of_layer, name: p}, *after], self.x)

    def checks(self) -> Iterator[Check]:
        """The gradient of every array, from the output down."""
        z, caches, _ = self.network.forward(self.params, self.buffers, self.x, self.ctx, self.keys)
        self.y = self.loss.targets(self.y, z)
        value, dz = self.loss.value_and_grad(self.y, z, self.weight)
        self.value = _number(value)
        half = _number(self.loss.value_and_grad(self.y, z, 0.5 * self.weight)[0])
        if not math.isclose(self.value, 2 * half, rel_tol=1e-4, abs_tol=1e-9):
            raise ValueError(f"{self.loss}.value_and_grad: the loss must be a multiple of weight, which is 1/n")
        yield Check(f"{self.loss}, the scores", z, dz, self._loss_of_scores, f"{self.loss}.value_and_grad")
        dx, above = dz, "the loss"
        for i, (name, layer) in reversed(list(enumerate(self.layers.items()))):
            pure, p, cache = self.network.layers[i], self.params[i], caches[i]
            alone = pure.pullback(p, cache, dx, False)[1] if not layer.overrides_forward else {}
            below, gradients = pure.pullback(p, cache, dx)
            self._compare(name, alone, gradients)
            function = f" or {layer.acti_fn}.grad" if layer.acti_fn else ""
            culprits = f"{type(layer).__name__}.pullback{function} of {name}, or what {above} passes down to it"
            for key, array in p.items():
                yield Check(f"{name}.{key}", array, product(gradients[key]), self.loss_with(i, key), culprits)
            assert below is not None
            dx, above = below, name
        yield Check("the input", self.x, dx, lambda x: self.loss_at(self.params, x), f"the dx of {above}")

    def _compare(self, name: str, alone: Gradients, gradients: Gradients) -> None:
        """Raise ValueError if the gradients depend on whether that of the input is asked for."""
        xp = namespace(self.x)
        for key, gradient in alone.items():
            if _number(xp.max(xp.abs(product(gradient) - product(gradients[key])))) > 0:
                raise ValueError(f"{name}.{key}: pullback gives another gradient with input_grad=False")

    def error(self, check: Check) -> float:
        """The relative error of a gradient.

        Raises
        ------
        ValueError
            It is too large.
        """
        what, a, gradient, f, culprits = check
        xp = namespace(self.x)
        if tuple(gradient.shape) != tuple(a.shape):
            raise ValueError(f"{what}: the gradient must have shape {tuple(a.shape)}, got {tuple(gradient.shape)}")
        error = math.inf
        for size in (1, 1e-1, 1e1, 1e-2, 1e2, 1e3) if self.tolerance < 1e-2 else (1, 1e-1, 1e1):
            r = self.noise(a.shape, 1.0)
            given, quotient = _number(xp.sum(gradient * r)), _quotient(f, a, r, size * self.h)
            scale = _number(xp.sum(xp.abs(gradient * r))) + abs(quotient)
            rounding = 8 * eps(self.x) * abs(self.value) / (size * self.h)
            error = min(error, max(0.0, abs(given - quotient) - rounding) / max(scale, 1e-12))
            if error <= self.tolerance:
                return error
        sentence = _worst_entry(what, a, to_numpy(gradient), f, self.h, self.rng)
        raise ValueError(f"wrong gradient at {sentence}. Look at {culprits}")


def _number(x: Array) -> float:
    return read([x])[0][0]


def _quotient(f: Callable[[Array], Array], a: Array, r: Array, h: float) -> float:
    """The central difference of f at a along r, with a step of size h."""
    h /= max(1.0, _number(namespace(r).max(namespace(r).abs(r))))
    return _number(f(a + h * r) - f(a - h * r)) / (2 * h)


def _worst_entry(what: str, a: Array, gradient: Host, f: Callable[[Array], Array], h: float, rng: "Generator") -> str:
    """The sentence on the entry in which gradient and difference quotient are furthest apart."""
    entries, shape = np.arange(math.prod(a.shape)), gradient.shape

    def off_by(some: Host) -> float:
        """How far off the gradient is along a random direction within these entries."""
        r = np.zeros(shape)
        r[np.unravel_index(some, shape)] = rng.standard_normal(len(some))
        return abs(float((gradient * r).sum()) - _quotient(f, a, put(r, place(a), a.dtype), h))

    while len(entries) > 1000:
        entries = max(np.array_split(entries, 2), key=off_by)
    worst, sentence = -1.0, ""
    for entry in entries:
        index = tuple(int(i) for i in np.unravel_index(entry, shape))
        r = np.zeros(shape)
        r[index] = 1
        quotient = _quotient(f, a, put(r, place(a), a.dtype), h)
        if not abs(gradient[index] - quotient) <= worst:
            worst = abs(gradient[index] - quotient)
            given = f"backward gives {gradient[index]:.6g}, the difference quotient is {quotient:.6g}"
            sentence = f"{what}{list(index)}: {given}"
    return sentence
