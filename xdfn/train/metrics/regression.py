"""Metrics of numbers: how far the predictions are from the targets."""

import math

import numpy as np

from xdfn.backend import Array, namespace, tiny
from xdfn.nn.losses import BinaryCrossEntropy, ObjectiveBase
from xdfn.nn.targets import aligned
from xdfn.train.metrics.base import (
    MetricBase,
    PartialSums,
    column_of_weights,
    metrics,
    ratio,
    sum_pieces,
    sums_of_mean,
)

__all__ = ["R2", "MeanAbsoluteError", "MeanSquaredError", "RootMeanSquaredError"]


class _RegressionMetric(MetricBase):
    def check(self, loss: ObjectiveBase, n_out: int) -> None:
        if loss.classifies:
            raise ValueError(
                f"the metric {self} fits losses for numbers, such as squared_error, and the loss is {loss}; "
                "for classes: accuracy or f1"
            )
        if loss.predictions_per_target > 1:
            raise ValueError(
                f"the metric {self} compares each target with one prediction, and {loss} makes "
                f"{loss.predictions_per_target}: take the loss itself, or a function of y_true and y_pred"
            )


@metrics.register("mse")
class MeanSquaredError(_RegressionMetric):
    """sum_ij w_i (p_ij - y_ij)^2 / (m sum_i w_i) over rows and outputs; the loss SquaredError is m/2 times that.

    For BinaryCrossEntropy it is the Brier score (Brier 1950) of its probabilities.
    """

    higher_is_better = False

    def check(self, loss: ObjectiveBase, n_out: int) -> None:
        if not isinstance(loss, BinaryCrossEntropy):
            super().check(loss, n_out)

    def part(self, y: Array, z: Array, weight: Array | None, loss: ObjectiveBase) -> Array:
        p = loss.link(z)
        difference = p - aligned(y, p)
        return sums_of_mean(difference * difference, column_of_weights(z, weight))


@metrics.register("rmse")
class RootMeanSquaredError(MeanSquaredError):
    """The square root of the mean squared error over rows and outputs.

    Notes
    -----
    For several outputs scikit-learn takes the mean of the outputs' roots instead.
    """

    def value(self, parts: PartialSums) -> float:
        return math.sqrt(super().value(parts))


@metrics.register("mae")
class MeanAbsoluteError(_RegressionMetric):
    """sum_ij w_i |p_ij - y_ij| / (m sum_i w_i) over rows and outputs."""

    higher_is_better = False

    def part(self, y: Array, z: Array, weight: Array | None, loss: ObjectiveBase) -> Array:
        p = loss.link(z)
        return sums_of_mean(namespace(z).abs(p - aligned(y, p)), column_of_weights(z, weight))


@metrics.register("r2score")
class R2(_RegressionMetric):
    """1 - sum_i w_i (y_i - p_i)^2 / sum_i w_i (y_i - mean y)^2 for each output, and the mean of that over the outputs.

    It is 1 for a perfect prediction and 0 for a prediction that is always the mean. For targets that are all the same
    it is, as in scikit-learn, 1 if the prediction is perfect and else 0.

    Notes
    -----
    The sum of squares of each piece is about the piece's own mean; the pieces are combined by the formula of Chan,
    Golub and LeVeque (1983, doi:10.1080/00031305.1983.10483115), in float64. Within a piece the first row is
    subtracted before anything is summed, so that targets with a large mean lose no precision: the first row is at most
    sqrt(n - 1) standard deviations from the mean.
    """

    def part(self, y: Array, z: Array, weight: Array | None, loss: ObjectiveBase) -> Array:
        xp, w, p = namespace(z), column_of_weights(z, weight), loss.link(z)
        y = aligned(y, p)
        error = y - p
        first = y[0, :]
        y = y - first
        total = xp.sum(w, axis=0)
        mean = xp.sum(w * y, axis=0) / xp.maximum(total, tiny(z))  # all weights of the piece may be 0
        y = y - mean
        return xp.concat([total, first, mean, xp.sum(w * y * y, axis=0), xp.sum(w * error * error, axis=0)])

    def value(self, parts: PartialSums) -> float:
        parts = np.asarray(parts, np.float64)
        total, (first, mean, squares, errors) = parts[:, :1], np.split(parts[:, 1:], 4, axis=1)
        with np.errstate(all="ignore"):
            mean = first + mean
            mean = mean - mean[0]  # so that equal means stay equal
            mean = mean - np.sum(total * mean, axis=0) / np.sum(total)
            spread = np.sum(squares + total * mean * mean, axis=0).tolist()
        scores = [1 - ratio(e, s, 1.0 if e else 0.0) for e, s in zip(sum_pieces(errors), spread, strict=True)]
        return math.fsum(scores) / len(scores)
