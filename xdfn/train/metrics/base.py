"""What a loss cannot tell: how many decisions are right, how far off a number is. For a piece of the rows a metric
gives an array of sums, which stays on the device, and from the sums of all pieces one number on the host; so the device
is read once, however many metrics and rows there are.

In the equations w_i is the weight of row i, 1 without weights: a row of weight 2 counts as the row given twice.
"""

import math
from typing import ClassVar

import numpy as np

from xdfn.backend import Array, Host, namespace
from xdfn.core.part import Part
from xdfn.core.registry import Registry
from xdfn.nn.losses import ObjectiveBase

__all__ = ["MetricBase"]

PartialSums = Host  # (n_pieces, k), what `part` gave for each piece of the rows


class MetricBase(Part):
    """Base of the metrics. Write `part`, and `value` unless the metric is a weighted mean.

    Attributes
    ----------
    higher_is_better : bool, or None where it is not known
    whole : bool
        Whether `part` must get all rows at once, and y as it was given.

    Examples
    --------
    >>> import numpy as np
    >>> from xdfn import SquaredError
    >>> class Bias(MetricBase):
    ...     higher_is_better = None
    ...     def part(self, y, z, weight, loss):
    ...         w = np.ones(len(z)) if weight is None else weight
    ...         return np.stack([np.sum(w * (loss.link(z) - y)[:, 0]), np.sum(w)])
    >>> y, z = np.asarray([[1.0], [2.0], [3.0]]), np.asarray([[1.5], [2.0], [4.0]])
    >>> pieces = [Bias().part(y[rows], z[rows], None, SquaredError()) for rows in (slice(0, 2), slice(2, 3))]
    >>> Bias().value(np.stack(pieces))
    0.5
    """

    higher_is_better: bool | None = True
    whole: ClassVar[bool] = False

    def check(self, loss: ObjectiveBase, n_out: int) -> None:
        """Raise ValueError unless the metric fits a network with this loss and `n_out` outputs."""

    def part(self, y: Array, z: Array, weight: Array | None, loss: ObjectiveBase) -> Array:
        """The partial sums (k,) over some of the rows, in the dtype of z; it must not read the device.

        Parameters
        ----------
        y : array (n, m)
            What `loss.targets(y, z)` gives: one-hot rows for labels, in the dtype of z.
        z : array (n, k m), where k is `loss.outputs_per_target`
            The scores; `loss.link(z)` is the prediction and `loss.decide(z)` the decision.
        weight : array (n,) or None
            In the dtype of z. None stands for ones.
        """
        raise NotImplementedError(f"{type(self).__name__} must define part(y, z, weight, loss)")

    def value(self, parts: PartialSums) -> float:
        """The metric of all rows, from the partial sums (n_pieces, k) on the host.

        Unless overridden it is the ratio of two sums: of weighted values, and of weights.
        """
        numerator, denominator = sum_pieces(parts)
        return ratio(numerator, denominator)


metrics: Registry[MetricBase] = Registry("metric", MetricBase)


def sum_pieces(parts: PartialSums) -> list[float]:
    """The sums over the pieces, in float64."""
    with np.errstate(all="ignore"):  # a network that diverges has a metric of inf or NaN
        sums: list[float] = np.sum(np.asarray(parts, np.float64), axis=0).tolist()
    return sums


def ratio(numerator: float, denominator: float, empty: float = math.nan) -> float:
    """The quotient, or `empty` where the denominator is 0."""
    return numerator / denominator if denominator != 0 else empty


def column_of_weights(z: Array, weight: Array | None) -> Array:
    """The weights as a column (n, 1)."""
    xp = namespace(z)
    return xp.ones_like(z[:, :1]) if weight is None else xp.reshape(weight, (-1, 1))


def sums_of_mean(values: Array, w: Array) -> Array:
    """(sum_ij w_i v_ij, m sum_i w_i) for values v (n, m) and weights w (n, 1)."""
    xp = namespace(values)
    return xp.stack([xp.sum(w * values), xp.sum(w) * values.shape[1]])


class MeanLoss(MetricBase):
    """sum_i w_i l_i / sum_i w_i, of the loss that the network is trained with."""

    higher_is_better = False

    def part(self, y: Array, z: Array, weight: Array | None, loss: ObjectiveBase) -> Array:
        xp = namespace(z)
        total = loss.value_and_grad(y, z, 1.0 if weight is None else weight)[0]
        rows = xp.full_like(total, float(z.shape[0])) if weight is None else xp.sum(weight)
        return xp.stack([total, rows])
