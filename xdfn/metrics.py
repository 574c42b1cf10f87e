"""What a loss cannot tell: how many decisions are right, how far off a number is. A metric looks at rows that are not
trained on. It gives, for one piece of the rows, an array of sums that stays on the device, and on the host one number
from those of all pieces; so the device is read once, however many metrics and rows there are.

In the equations w_i is the weight of row i, 1 without weights: a row of weight 2 counts as the row given twice.
"""

import math
import numbers
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from xdfn._backend import Array, move, namespace, place, put
from xdfn._spec import Field, Part, Registry, integer, parse
from xdfn.losses import BinaryCrossEntropy, ObjectiveBase, aligned, one_hot

Parts = np.ndarray[Any, Any]


class MetricBase(Part):
    """Base of the metrics. Write `part`, and `value` unless the metric is a weighted mean.

    Examples
    --------
    >>> import numpy as np
    >>> from xdfn.losses import SquaredError
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

    higher_is_better: ClassVar[bool | None] = True  # None: not known
    whole: ClassVar[bool] = False  # whether `part` must get all rows at once, and y as it was given

    def check(self, loss: ObjectiveBase, n_out: int) -> None:
        """Raise ValueError unless the metric fits a network with this loss and `n_out` outputs."""

    def part(self, y: Array, z: Array, weight: Array | None, loss: ObjectiveBase) -> Array:
        """The sums (k,) over some of the rows, in the dtype of z; the device is not to be read.

        Parameters
        ----------
        y : array (n, m)
            What `loss.targets(y, z)` gives: one-hot rows for labels, in the dtype of z.
        z : array (n, m)
            The scores; `loss.link(z)` is the prediction and `loss.decide(z)` the decision.
        weight : array (n,) or None
            In the dtype of z. None stands for ones.
        """
        raise NotImplementedError(f"{type(self).__name__} must define part(y, z, weight, loss)")

    def value(self, parts: Parts) -> float:
        """The metric of all rows, from the parts (n_pieces, k) on the host.

        Unless written anew it is the ratio of two sums: of what counts, and of the weights.
        """
        over, under = _sums(parts)
        return _ratio(over, under)


metrics: Registry[MetricBase] = Registry("metric", MetricBase)


def _sums(parts: Parts) -> list[float]:
    """The sums over the pieces, in float64."""
    with np.errstate(all="ignore"):  # a network that diverges has a metric of inf or NaN
        sums: list[float] = np.sum(np.asarray(parts, np.float64), axis=0).tolist()
    return sums


def _ratio(over: float, under: float, empty: float = math.nan) -> float:
    return over / under if under != 0 else empty


def _weights(z: Array, weight: Array | None) -> Array:
    """The weights as a column (n, 1)."""
    xp = namespace(z)
    return xp.ones_like(z[:, :1]) if weight is None else xp.reshape(weight, (-1, 1))


def _mean_part(values: Array, w: Array) -> Array:
    """(sum_ij w_i v_ij, m sum_i w_i) for values v (n, m)."""
    xp = namespace(values)
    return xp.stack([xp.sum(w * values), xp.sum(w) * values.shape[1]])


def _classes(y: Array, z: Array) -> Array:
    """The true class of each row as a row of a unit matrix, (n, m)."""
    return one_hot(y if y.ndim == 1 else namespace(y).argmax(y, axis=-1), z)


def _decisions(y: Array, z: Array, loss: ObjectiveBase) -> tuple[Array, Array, bool]:
    """What is true and what is said, as zeros and ones (n, m), and whether a row has one class of several."""
    xp, said = namespace(z), loss.decide(z)
    if said.ndim == 1:
        return _classes(y, z), one_hot(said, z), True
    return xp.astype(aligned(y, z) > 0.5, z.dtype), xp.astype(said, z.dtype), False


# ---- of decisions ---------------------------------------------------------------------------------------------------


class _OfDecisions(MetricBase):
    def check(self, loss: ObjectiveBase, n_out: int) -> None:
        if not loss.classifies:
            raise ValueError(
                f"the metric {self} fits losses that classify, such as cross_entropy and binary_cross_entropy, and "
                f"the loss is {loss}; for numbers: mean_squared_error, mean_absolute_error or r2"
            )


@metrics.register("acc")
class Accuracy(_OfDecisions):
    """The share of right decisions, sum_i w_i [said_i = true_i] / sum_i w_i.

    Several outputs of BinaryCrossEntropy are as many decisions a row.

    Examples
    --------
    >>> import numpy as np
    >>> from xdfn.losses import CrossEntropy
    >>> y, z = np.asarray([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), np.asarray([[2.0, 1.0], [0.0, 3.0], [5.0, 4.0]])
    >>> part = Accuracy().part(y, z, None, CrossEntropy())
    >>> part.tolist(), round(Accuracy().value(part[None]), 4)
    ([2.0, 3.0], 0.6667)
    """

    def part(self, y: Array, z: Array, weight: Array | None, loss: ObjectiveBase) -> Array:
        xp = namespace(z)
        true, said, exclusive = _decisions(y, z, loss)
        if exclusive:
            right = xp.sum(true * said, axis=-1, keepdims=True)
        else:
            right = xp.astype(true == said, z.dtype)
        return _mean_part(right, _weights(z, weight))


@metrics.register("top_k")
class TopKAccuracy(MetricBase):
    """The share of rows whose true class is among the k that have the largest scores.

    That is where fewer than k classes have a larger score, so a class that ties with the k-th is among them.
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
        # counted by those that are not larger: NaN is neither, and a network that answers it is not right
        others = xp.sum(xp.astype(z <= score, z.dtype), axis=-1, keepdims=True)
        right = xp.astype(others > z.shape[1] - self.k, z.dtype)
        return _mean_part(right, _weights(z, weight))


@metrics.register()
class BalancedAccuracy(_OfDecisions):
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
        xp, w = namespace(z), _weights(z, weight)
        true, said, exclusive = _decisions(y, z, loss)
        if not exclusive:
            true, said = xp.concat([1.0 - true, true], axis=1), xp.concat([1.0 - said, said], axis=1)
        true = w * true
        return xp.concat([xp.sum(true * said, axis=0), xp.sum(true, axis=0)])

    def value(self, parts: Parts) -> float:
        sums = _sums(parts)
        m = len(sums) // 2
        recalls = [hit / true for hit, true in zip(sums[:m], sums[m:], strict=True) if true != 0]
        return _ratio(math.fsum(recalls), len(recalls))


class _OfClasses(_OfDecisions):
    """The mean over the classes of what `score` makes of the sums of each."""

    def part(self, y: Array, z: Array, weight: Array | None, loss: ObjectiveBase) -> Array:
        xp, w = namespace(z), _weights(z, weight)
        true, said, exclusive = _decisions(y, z, loss)
        occurs = true + said if exclusive else xp.ones_like(true)
        return xp.concat([xp.sum(w * values, axis=0) for values in (true * said, said, true, occurs)])

    def value(self, parts: Parts) -> float:
        hit, said, true, occurs = np.reshape(_sums(parts), (4, -1)).tolist()
        scores = [self.score(*sums) for *sums, some in zip(hit, said, true, occurs, strict=True) if some != 0]
        return _ratio(math.fsum(scores), len(scores))

    def score(self, hit: float, said: float, true: float) -> float:
        """The score of a class that is said to be, is, or both, in rows of these total weights."""
        raise NotImplementedError


@metrics.register()
class Precision(_OfClasses):
    """TP / (TP + FP): of the rows that are said to be of a class, the share that are.

    For CrossEntropy it is the mean over the classes that occur, in the targets or in the decisions; for
    BinaryCrossEntropy with one output it is that of the answer yes, with several outputs the mean over them. 0/0 is 0.
    So are scikit-learn's `average="macro"` and `average="binary"` with `zero_division=0`.
    """

    def score(self, hit: float, said: float, true: float) -> float:
        return _ratio(hit, said, 0.0)


@metrics.register()
class Recall(_OfClasses):
    """TP / (TP + FN): of the rows that are of a class, the share that are said to be. Classes as for `Precision`."""

    def score(self, hit: float, said: float, true: float) -> float:
        return _ratio(hit, true, 0.0)


@metrics.register("f1_score")
class F1(_OfClasses):
    """2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall. Classes as for `Precision`."""

    def score(self, hit: float, said: float, true: float) -> float:
        return _ratio(2 * hit, said + true, 0.0)


# ---- of numbers -----------------------------------------------------------------------------------------------------


class _OfNumbers(MetricBase):
    def check(self, loss: ObjectiveBase, n_out: int) -> None:
        if loss.classifies:
            raise ValueError(
                f"the metric {self} fits losses for numbers, such as squared_error, and the loss is {loss}; "
                "for classes: accuracy or f1"
            )


@metrics.register("mse")
class MeanSquaredError(_OfNumbers):
    """sum_ij w_i (p_ij - y_ij)^2 / (m sum_i w_i) over rows and outputs; the loss SquaredError is m/2 times that.

    For BinaryCrossEntropy it is the score of Brier (1950) of its probabilities.
    """

    higher_is_better = False

    def check(self, loss: ObjectiveBase, n_out: int) -> None:
        if not isinstance(loss, BinaryCrossEntropy):
            super().check(loss, n_out)

    def part(self, y: Array, z: Array, weight: Array | None, loss: ObjectiveBase) -> Array:
        difference = loss.link(z) - aligned(y, z)
        return _mean_part(difference * difference, _weights(z, weight))


@metrics.register("rmse")
class RootMeanSquaredError(MeanSquaredError):
    """The square root of the mean squared error over rows and outputs.

    Notes
    -----
    For several outputs scikit-learn takes the mean of the outputs' roots instead.
    """

    def value(self, parts: Parts) -> float:
        return math.sqrt(super().value(parts))


@metrics.register("mae")
class MeanAbsoluteError(_OfNumbers):
    """sum_ij w_i |p_ij - y_ij| / (m sum_i w_i) over rows and outputs."""

    higher_is_better = False

    def part(self, y: Array, z: Array, weight: Array | None, loss: ObjectiveBase) -> Array:
        return _mean_part(namespace(z).abs(loss.link(z) - aligned(y, z)), _weights(z, weight))


@metrics.register("r2score")
class R2(_OfNumbers):
    """1 - sum_i w_i (y_i - p_i)^2 / sum_i w_i (y_i - mean y)^2 for each output, and the mean of that over the outputs.

    It is 1 for a perfect prediction and 0 for one that is always the mean. For targets that are all the same it is,
    as in scikit-learn, 1 if the prediction is perfect and else 0.

    Notes
    -----
    The sums of squares of the pieces are about their own means and are joined by the formula of Chan, Golub and
    LeVeque (1983, doi:10.1080/00031305.1983.10483115), in float64. Within a piece the first row is taken off before
    anything is summed, so that targets of a large mean lose nothing: that row is at most sqrt(n - 1) standard
    deviations from the mean.
    """

    def part(self, y: Array, z: Array, weight: Array | None, loss: ObjectiveBase) -> Array:
        xp, w, y = namespace(z), _weights(z, weight), aligned(y, z)
        error = y - loss.link(z)
        first = y[0, :]
        y = y - first
        total = xp.sum(w, axis=0)
        # all of the piece's weights may be 0
        mean = xp.sum(w * y, axis=0) / xp.maximum(total, float(xp.finfo(z.dtype).smallest_normal))
        y = y - mean
        return xp.concat([total, first, mean, xp.sum(w * y * y, axis=0), xp.sum(w * error * error, axis=0)])

    def value(self, parts: Parts) -> float:
        parts = np.asarray(parts, np.float64)
        total, (first, mean, squares, errors) = parts[:, :1], np.split(parts[:, 1:], 4, axis=1)
        with np.errstate(all="ignore"):
            mean = first + mean
            mean = mean - mean[0]  # so that means that are the same stay so
            mean = mean - np.sum(total * mean, axis=0) / np.sum(total)
            spread = np.sum(squares + total * mean * mean, axis=0).tolist()
        scores = [1 - _ratio(e, s, 1.0 if e else 0.0) for e, s in zip(_sums(errors), spread, strict=True)]
        return math.fsum(scores) / len(scores)


# ---- of one's own ---------------------------------------------------------------------------------------------------


class FunctionMetric(MetricBase):
    """A function of your own, f(y_true, y_pred), that gives a number.

    It gets all rows at once, on the device: y_true, labels (n,) where they were given so and else (n, m), and y_pred
    (n, m), the link of the scores, such as probabilities. It takes no weights.

    Parameters
    ----------
    function : callable
        Gives a Python number or a 0-d array, which is not read before all else is done.

    Examples
    --------
    >>> import numpy as np
    >>> from xdfn.losses import SquaredError
    >>> def worst(y_true, y_pred):
    ...     return np.max(np.abs(y_true - y_pred))
    >>> metric = FunctionMetric(worst)
    >>> part = metric.part(np.asarray([[1.0], [2.0]]), np.asarray([[1.5], [4.0]]), None, SquaredError())
    >>> metric.name, metric.value(part[None])
    ('worst', 2.0)
    """

    higher_is_better = None
    whole = True

    function = Field(lambda name, value: _function(name, value))

    def __init__(self, function: Callable[[Array, Array], Any]) -> None:
        self.function = function

    @property
    def name(self) -> str:
        """The function's own name."""
        name: str = getattr(self.function, "__name__", type(self.function).__name__)
        return name

    def part(self, y: Array, z: Array, weight: Array | None, loss: ObjectiveBase) -> Array:
        if weight is not None:
            raise ValueError(
                f"the metric {self.name} is a function of y_true and y_pred and takes no weights: leave the weights "
                "out, or write a MetricBase"
            )
        # y (n,) against a prediction (n, 1) would be broadcast to (n, n) by what the function computes
        result = self.function(ObjectiveBase.targets(y, z), loss.link(z))
        if isinstance(result, numbers.Real):
            return put([result], place(z), z.dtype)
        try:
            xp = namespace(result)
        except ValueError:
            raise ValueError(
                f"the metric {self.name} must give a number or a 0-d array, got {type(result).__name__}: {result!r:.80}"
            ) from None
        if result.ndim:
            raise ValueError(
                f"the metric {self.name} must give a number or a 0-d array, got an array of shape "
                f"{tuple(result.shape)}: take the mean or the sum"
            )
        if isinstance(result, np.ndarray):
            return put(result[None], place(z), z.dtype)
        result = move(xp.reshape(result, (1,)), place(z))
        return namespace(z).astype(result, z.dtype)

    def value(self, parts: Parts) -> float:
        return _sums(parts)[0]


def _function(name: str, value: Any) -> Callable[[Array, Array], Any]:
    if not callable(value) or isinstance(value, type):
        raise ValueError(f"{name} must be a function f(y_true, y_pred) that gives a number, got {value!r:.80}")
    function: Callable[[Array, Array], Any] = value
    return function


# ---- by name --------------------------------------------------------------------------------------------------------


def resolve_metrics(given: Any) -> dict[str, MetricBase]:
    """The metrics that `given` means, under the names that a history has them by after ``"val_"``.

    Parameters
    ----------
    given : None, str, MetricBase, function, a list of these, or a dict of them by name
        A function is f(y_true, y_pred), see `FunctionMetric`.

    Raises
    ------
    ValueError
        A metric that is not known, a name that is given twice, or the name ``"loss"``.

    Examples
    --------
    >>> resolve_metrics(["accuracy", "top_k(k=3)"])
    {'accuracy': Accuracy, 'top_k_accuracy': TopKAccuracy(k=3)}
    >>> resolve_metrics({"top_1": "top_k(k=1)", "top_3": "top_k(k=3)"})
    {'top_1': TopKAccuracy(k=1), 'top_3': TopKAccuracy(k=3)}
    >>> resolve_metrics("mse")
    {'mse': MeanSquaredError}
    """
    if given is None:
        return {}
    if isinstance(given, Mapping):
        named = [(name, _resolve(spec)) for name, spec in given.items()]
    else:
        specs = given if isinstance(given, (list, tuple)) else [given]
        named = [(_name(spec, metric), metric) for spec, metric in ((spec, _resolve(spec)) for spec in specs)]
    result: dict[str, MetricBase] = {}
    for name, metric in named:
        if not isinstance(name, str):
            raise ValueError(f"metrics: a name must be a string such as 'accuracy', got {name!r:.80}")
        if name == "loss":
            raise ValueError("metrics: the name 'loss' stands for the loss itself; choose another")
        if name in result:
            raise ValueError(
                f"metrics: the name {name!r} is there twice; give names of your own by a dict {{name: metric}}"
            )
        result[name] = metric
    return result


def _resolve(spec: Any) -> MetricBase:
    if callable(spec) and not isinstance(spec, (type, MetricBase)):
        return FunctionMetric(spec)
    return metrics.resolve(spec)


def _name(spec: Any, metric: MetricBase) -> str:
    """The name of a metric that was given without one."""
    if isinstance(metric, FunctionMetric):
        if not metric.name.isidentifier():
            raise ValueError(
                f"metrics: the function {metric.name} has no name; give it one by a dict {{name: function}}"
            )
        return metric.name
    cls = type(metric).__name__
    if isinstance(spec, str):
        name, args, kwargs = parse(spec, metrics.kind)
        if not args and not kwargs and re.sub(r"[\s_-]", "", name).lower() != cls.lower():
            return name  # an alias such as "mse"
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls).lower()


def sign(monitor: str, metrics: Mapping[str, MetricBase], mode: str | None = None) -> int:
    """1 if a larger value of the history's ``monitor`` is better, -1 if a smaller one is.

    Parameters
    ----------
    monitor : str
        ``"loss"``, ``"val_loss"``, or ``"val_"`` and the name of a metric.
    metrics : dict of MetricBase by name
    mode : {"min", "max"}, optional
        Says it, whatever the monitor is.

    Raises
    ------
    ValueError
        The monitor is not known, or it is a function of your own and there is no `mode`.

    Examples
    --------
    >>> sign("val_loss", {}), sign("val_acc", resolve_metrics("acc")), sign("val_acc", resolve_metrics("acc"), "min")
    (-1, 1, -1)
    """
    if mode not in (None, "min", "max"):
        raise ValueError(f"mode must be 'min', 'max' or None, got {mode!r:.80}")
    if mode is not None:
        return 1 if mode == "max" else -1
    if monitor in ("loss", "val_loss"):
        return -1
    known = {f"val_{name}": metric for name, metric in metrics.items()}
    if monitor not in known:
        names = ", ".join(["loss", "val_loss", *known])
        raise ValueError(f"monitor must be one of {names}, got {monitor!r:.80}")
    higher = known[monitor].higher_is_better
    if higher is None:
        raise ValueError(f"whether a larger {monitor} is better is not known: say mode='max' or mode='min'")
    return 1 if higher else -1
