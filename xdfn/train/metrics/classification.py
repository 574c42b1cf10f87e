"""Metrics of decisions: the class of a row, or the answers to its yes-or-no questions."""

import math

import numpy as np

from xdfn.backend import Array, namespace
from xdfn.core.fields import Field, integer
from xdfn.nn.losses import ObjectiveBase
from xdfn.nn.targets import aligned, one_hot
from xdfn.train.metrics.base import (
    MetricBase,
    PartialSums,
    column_of_weights,
    metrics,
    ratio,
    sum_pieces,
    sums_of_mean,
)

__all__ = ["F1", "Accuracy", "BalancedAccuracy", "Precision", "Recall", "TopKAccuracy"]


def _classes(y: Array, z: Array) -> Array:
    """The true class of each row as a row of a unit matrix, (n, m)."""
    return one_hot(y if y.ndim == 1 else namespace(y).argmax(y, axis=-1), z)


def _decisions(y: Array, z: Array, loss: ObjectiveBase) -> tuple[Array, Array, bool]:
    """The truth and the predictions, as zeros and ones (n, m), and whether a row has one class of several."""
    xp, predicted = namespace(z), loss.decide(z)
    if predicted.ndim == 1:
        return _classes(y, z), one_hot(predicted, z), True
    return xp.astype(aligned(y, z) > 0.5, z.dtype), xp.astype(predicted, z.dtype), False


class _ClassificationMetric(MetricBase):
    """A metric of the decisions of any loss that classifies."""

    def check(self, loss: ObjectiveBase, n_out: int) -> None:
        if not loss.classifies:
            raise ValueError(
                f"the metric {self} fits losses that classify, such as cross_entropy and binary_cross_entropy, and "
                f"the loss is {loss}; for numbers: mean_squared_error, mean_absolute_error or r2"
            )


@metrics.register("acc", "categorical_accuracy", "sparse_categorical_accuracy", "binary_accuracy")
class Accuracy(_ClassificationMetric):
    """The share of right decisions, sum_i w_i [predicted_i = true_i] / sum_i w_i.

    Several outputs of BinaryCrossEntropy are as many decisions a row.

    Examples
    --------
    >>> import numpy as np
    >>> from xdfn import CrossEntropy
    >>> y, z = np.asarray([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), np.asarray([[2.0, 1.0], [0.0, 3.0], [5.0, 4.0]])
    >>> part = Accuracy().part(y, z, None, CrossEntropy())
    >>> part.tolist(), round(Accuracy().value(part[None]), 4)
    ([2.0, 3.0], 0.6667)
    """

    def part(self, y: Array, z: Array, weight: Array | None, loss: ObjectiveBase) -> Array:
        xp = namespace(z)
        true, predicted, exclusive = _decisions(y, z, loss)
        if exclusive:
            right = xp.sum(true * predicted, axis=-1, keepdims=True)
        else:
            right = xp.astype(true == predicted, z.dtype)
        return sums_of_mean(right, column_of_weights(z, weight))


@metrics.register("top_k", "top_k_categorical_accuracy", "sparse_top_k_categorical_accuracy")
class TopKAccuracy(MetricBase):
    """The share of rows whose true class is among the k that have the largest scores.

    A class is among them if fewer than k classes have a larger score, so a class that ties with the k-th is.
    """

    _shown = ("k",)

    k = Field(integer)

    def __init__(self, k: int = 5) -> None:
        self.k = k

    def check(self, loss: ObjectiveBase, n_out: int) -> None:
        if not (loss.classifies and loss.unit_rows):
            raise ValueError(
                f"the metric {self} fits losses that choose one class of several, such as cross_entropy, and the loss "
                f"is {loss}"
            )
        if self.k >= n_out:
            raise ValueError(
                f"the metric {self} is 1 whatever a network with {n_out} outputs answers: choose k < {n_out}"
            )

    def part(self, y: Array, z: Array, weight: Array | None, loss: ObjectiveBase) -> Array:
        xp = namespace(z)
        score = xp.max(xp.where(_classes(y, z) > 0, z, xp.full_like(z, -math.inf)), axis=-1, keepdims=True)
        # the classes that are not larger are counted, so that a row is wrong where scores are NaN
        others = xp.sum(xp.astype(z <= score, z.dtype), axis=-1, keepdims=True)
        right = xp.astype(others > z.shape[1] - self.k, z.dtype)
        return sums_of_mean(right, column_of_weights(z, weight))


@metrics.register("balanced_accuracy_score")
class BalancedAccuracy(_ClassificationMetric):
    """The mean of the shares of right decisions by true class, over the classes that occur.

    For BinaryCrossEntropy with one output the classes are yes and no.
    """

    def check(self, loss: ObjectiveBase, n_out: int) -> None:
        super().check(loss, n_out)
        if n_out > 1 and not loss.unit_rows:
            raise ValueError(
                f"the metric {self} fits losses that choose one class, and {loss} with {n_out} outputs answers as many "
                "questions: take recall or f1"
            )

    def part(self, y: Array, z: Array, weight: Array | None, loss: ObjectiveBase) -> Array:
        xp, w = namespace(z), column_of_weights(z, weight)
        true, predicted, exclusive = _decisions(y, z, loss)
        if not exclusive:
            true, predicted = xp.concat([1.0 - true, true], axis=1), xp.concat([1.0 - predicted, predicted], axis=1)
        true = w * true
        return xp.concat([xp.sum(true * predicted, axis=0), xp.sum(true, axis=0)])

    def value(self, parts: PartialSums) -> float:
        sums = sum_pieces(parts)
        m = len(sums) // 2
        recalls = [hit / true for hit, true in zip(sums[:m], sums[m:], strict=True) if true != 0]
        return ratio(math.fsum(recalls), len(recalls))


class _PerClassMetric(_ClassificationMetric):
    """The mean over the classes of a `score` that is computed from the sums of each class."""

    def part(self, y: Array, z: Array, weight: Array | None, loss: ObjectiveBase) -> Array:
        xp, w = namespace(z), column_of_weights(z, weight)
        true, predicted, exclusive = _decisions(y, z, loss)
        occurs = true + predicted if exclusive else xp.ones_like(true)
        return xp.concat([xp.sum(w * values, axis=0) for values in (true * predicted, predicted, true, occurs)])

    def value(self, parts: PartialSums) -> float:
        hit, predicted, true, occurs = np.reshape(sum_pieces(parts), (4, -1)).tolist()
        scores = [self.score(*sums) for *sums, some in zip(hit, predicted, true, occurs, strict=True) if some != 0]
        return ratio(math.fsum(scores), len(scores))

    def score(self, hit: float, predicted: float, true: float) -> float:
        """The score of a class, from the total weights of its rows: predicted and true, predicted, true."""
        raise NotImplementedError


@metrics.register("precision_score")
class Precision(_PerClassMetric):
    """TP / (TP + FP): of the rows that are predicted to be of a class, the share that are.

    For CrossEntropy it is the mean over the classes that occur, in the targets or in the decisions; for
    BinaryCrossEntropy with one output it is the precision of the answer yes, with several outputs the mean over them.
    0/0 is 0. It equals scikit-learn's `average="macro"` and `average="binary"` with `zero_division=0`.
    """

    def score(self, hit: float, predicted: float, true: float) -> float:
        return ratio(hit, predicted, 0.0)


@metrics.register("recall_score")
class Recall(_PerClassMetric):
    """TP / (TP + FN): of the rows that are of a class, the share that are predicted so. Classes as for `Precision`."""

    def score(self, hit: float, predicted: float, true: float) -> float:
        return ratio(hit, true, 0.0)


@metrics.register("f1_score")
class F1(_PerClassMetric):
    """2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall. Classes as for `Precision`."""

    def score(self, hit: float, predicted: float, true: float) -> float:
        return ratio(2 * hit, predicted + true, 0.0)
