"""The metric that a user gives as a function."""

import numbers
from collections.abc import Callable
from typing import cast

import numpy as np

from xdfn.backend import Array, Foreign, namespace, place, put, to_place
from xdfn.core.fields import Field, flag
from xdfn.nn.losses import ObjectiveBase
from xdfn.train.metrics.base import MetricBase, PartialSums, sum_pieces

__all__ = ["FunctionMetric"]

MetricFunction = Callable[[Foreign, Foreign], object]  # f(y_true, y_pred), which returns a number or a 0-d array


def _function(name: str, value: object) -> MetricFunction:
    if not callable(value) or isinstance(value, type):
        raise ValueError(f"{name} must be a function f(y_true, y_pred) that gives a number, got {value!r:.80}")
    return value


class FunctionMetric(MetricBase):
    """A user's function f(y_true, y_pred) that returns a number, such as those of scikit-learn's ``metrics``.

    It gets all rows at once, on the device: y_pred is what `predict` answers, y_true the targets in the same form, so
    class numbers (n,) even where rows of one-hot vectors were given; beside k quantiles (n, k) it is (n, 1). It takes
    no weights.

    Parameters
    ----------
    function : callable
        Returns a Python number or a 0-d array; the array is read together with all other results.
    proba : bool
        Give it what `predict_proba` answers instead, such as (n, m) probabilities, and the targets as they are.
    higher_is_better : bool, optional
        For callbacks that look for the best epoch, which ask for a ``mode`` otherwise.

    Examples
    --------
    >>> import numpy as np
    >>> from xdfn import DFN
    >>> def worst(y_true, y_pred):
    ...     return np.max(np.abs(y_true - y_pred))
    >>> X, y = np.zeros((2, 3)), np.asarray([1.5, -4.0])
    >>> model = DFN(layers=[1], loss="squared_error").initialize(X)
    >>> model.evaluate(X, y, metric=worst)
    4.0
    >>> model.evaluate(X, y, metrics={"worst": FunctionMetric(worst, higher_is_better=False), "mse": "mse"})
    {'worst': 4.0, 'mse': 9.125}
    """

    whole = True

    function = Field(_function)
    proba = Field(flag)
    higher_is_better: bool | None = None

    def __init__(self, function: MetricFunction, proba: bool = False, higher_is_better: bool | None = None) -> None:
        self.function, self.proba, self.higher_is_better = function, proba, higher_is_better

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
        result = self.function(*self._arguments(y, z, loss))
        if isinstance(result, numbers.Real):
            return put([result], place(z), z.dtype)
        result = self._checked(result)
        if isinstance(result, np.ndarray):
            return put(result[None], place(z), z.dtype)
        result = to_place(namespace(result).reshape(result, (1,)), place(z))
        return namespace(z).astype(result, z.dtype)

    def _arguments(self, y: Array, z: Array, loss: ObjectiveBase) -> tuple[Array, Array]:
        """Targets and predictions in one shape: the function would broadcast (n,) against (n, 1) to (n, n)."""
        xp = namespace(z)
        predicted = loss.link(z) if self.proba else loss.decide(z)
        if predicted.ndim < y.ndim:
            y = loss.labels(y, z.shape[1])
        elif y.ndim == 1 and predicted.ndim == 2 and predicted.shape[1] == 1:
            predicted = xp.reshape(predicted, (-1,))
        elif y.ndim == 1 and not loss.classifies:
            y = xp.reshape(y, (-1, 1))
        return (y if loss.classifies else xp.astype(y, z.dtype)), predicted

    def _checked(self, result: object) -> Array:
        array = cast(Array, result)
        try:
            namespace(array)
        except ValueError:
            raise ValueError(
                f"the metric {self.name} must give a number or a 0-d array, got {type(result).__name__}: {result!r:.80}"
            ) from None
        if array.ndim:
            raise ValueError(
                f"the metric {self.name} must give a number or a 0-d array, got an array of shape "
                f"{tuple(array.shape)}: take the mean or the sum"
            )
        return array

    def value(self, parts: PartialSums) -> float:
        return sum_pieces(parts)[0]
