"""What a loss takes as its targets: their shape, their dtype and their range, and what they become in a network. A loss
inherits it from `Targets`, where a row of targets is numbers, or from `ClassTargets`.
"""

from typing import ClassVar

import numpy as np

from xdfn.backend import Array, function_name, namespace, to_numpy, unit_rows

__all__: list[str] = []

Limits = tuple[float | None, float | None]  # the smallest and the largest value; None where there is none


class Targets:
    """Targets (n, m), a number for each output unless the loss says otherwise; (n,) stands for (n, 1).

    Attributes
    ----------
    outputs_per_target : int
        How many outputs the network has for each column of the targets.
    predictions_per_target : int
        How many columns of the loss's link belong to each column of the targets.
    classifies : bool
        Whether `predict` gives classes and `evaluate` gives accuracy.
    domain : (float or None, float or None)
        The smallest and the largest value that a target may have.
    unit_rows : bool
        Whether targets (n, m) are distributions: each row sums to 1.
    """

    classifies: ClassVar[bool] = False
    domain: ClassVar[Limits] = (None, None)
    unit_rows: ClassVar[bool] = False

    @property
    def outputs_per_target(self) -> int:
        return 1

    @property
    def predictions_per_target(self) -> int:
        return 1

    def n_targets(self, n_out: int) -> int:
        """How many columns the targets of a network with `n_out` outputs have."""
        k = self.outputs_per_target
        if n_out % k:
            raise ValueError(
                f"{self} expects {k} outputs of the network for each target, that is {k} for y of shape (n,), "
                f"got {n_out} in all"
            )
        return n_out // k

    def targets(self, y: Array, z: Array) -> Array:
        """The targets as `value_and_grad` gets them in a network: in the dtype of z and, unless labels, (n, m)."""
        m = self.n_targets(z.shape[-1])
        return y if y.ndim < z.ndim and m > 1 else aligned(y, z, m)

    @property
    def takes_labels(self) -> bool:
        """Whether `value_and_grad` takes class numbers (n,) as they are."""
        return False

    def labels(self, y: Array, n_out: int) -> Array:
        """For a loss that chooses a class: the class numbers (n,) of the targets y."""
        raise ValueError(
            f"classes were asked for, and {self} with {n_out} outputs has none: they need cross_entropy, or "
            "binary_cross_entropy with one output"
        )

    def check_shape(self, y: Array, n_out: int) -> None:
        """Raise ValueError unless y has the shape and the kind of dtype of targets for `n_out` outputs."""
        m = self.n_targets(n_out)
        if not (y.shape[1:] == (m,) or (y.ndim == 1 and m == 1)):
            raise ValueError(
                f"{self} with {n_out} outputs expects y of shape (n, {m}){' or (n,)' if m == 1 else ''}, "
                f"got {tuple(y.shape)}"
            )

    def limits(self, y: Array, n_out: int) -> Limits:
        """The smallest and the largest value that y may hold."""
        return self.domain


class ClassTargets(Targets):
    """Targets of one class out of m: class numbers (n,) of an integer dtype, one-hot rows or distributions (n, m)."""

    classifies = True
    domain = (0, 1)
    unit_rows = True

    @staticmethod
    def targets(y: Array, z: Array) -> Array:
        return one_hot(y, z) if y.ndim < z.ndim else aligned(y, z)

    def labels(self, y: Array, n_out: int) -> Array:
        return y if y.ndim == 1 else namespace(y).argmax(y, axis=-1)

    def check_shape(self, y: Array, n_out: int) -> None:
        name = type(self).__name__
        if n_out < 2:
            raise ValueError(
                f"{name} expects at least 2 outputs, one a class; for one output: loss='binary_cross_entropy' for yes "
                "or no, loss='squared_error' for numbers"
            )
        if y.ndim == 1:
            if not namespace(y).isdtype(y.dtype, ("integral", "bool")):
                raise ValueError(
                    f"{name} expects class numbers (n,) of an integer dtype, got {y.dtype}: {_of_floats(y)}"
                )
        elif y.shape[1:] != (n_out,):
            raise ValueError(
                f"{name} with {n_out} outputs expects y one-hot of shape (n, {n_out}) or class numbers (n,), "
                f"got {tuple(y.shape)}: to predict numbers, loss='squared_error'"
                + (f"; for classes, {function_name(y, 'reshape')}(y, (-1,))" if y.shape[1] == 1 else "")
            )

    def limits(self, y: Array, n_out: int) -> Limits:
        return (0, n_out - 1) if y.ndim == 1 else self.domain


def _of_floats(y: Array) -> str:
    """What to do with floats where class numbers are expected."""
    values = to_numpy(y)
    if not np.isfinite(values).all():
        return "some are NaN or infinite; leave out the rows without a label"
    numbers = "to predict numbers, loss='squared_error'"
    whole = (values == values.round()).all()
    return f"{numbers}; for classes, {function_name(y, 'asarray')}(y, dtype=int)" if whole else numbers


def aligned(y: Array, z: Array, m: int | None = None) -> Array:
    """Targets in the dtype and the shape of z (n, m); m need be given only where z has other columns than y.

    (n,) stands for (n, 1); nothing else is broadcast. Stacks of both, (k, n) and (k, n, m), are aligned alike.
    """
    xp, shape = namespace(z), z.shape if m is None else (*z.shape[:-1], m)
    if y.ndim == len(shape) - 1 and shape[-1] == 1:
        y = xp.reshape(y, (*y.shape, 1))
    if y.shape != shape:
        raise ValueError(f"expected targets of the shape of the predictions {tuple(shape)}, got {tuple(y.shape)}")
    return y if y.dtype == z.dtype else xp.astype(y, z.dtype)


def one_hot(y: Array, like: Array) -> Array:
    """Labels (n,) as rows of a unit matrix, (n, m) in the dtype of `like` (n, m)."""
    xp = namespace(like)
    return unit_rows(y if y.dtype == xp.int32 else xp.astype(y, xp.int32), like.shape[-1], like)
