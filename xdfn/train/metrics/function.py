"""The metric that a user gives as a function."""

import numbers
from collections.abc import Callable
from typing import cast

import numpy as np

from xdfn.backend import Array, namespace, place, put, to_place
from xdfn.core.fields import Field
from xdfn.nn.losses import ObjectiveBase
from xdfn.nn.targets import Targets
from xdfn.train.metrics.base import MetricBase, PartialSums, sum_pieces

__all__: list[str] = []

Function = Callable[[Array, Array], object]  # f(y_true, y_pred), which returns a number or a 0-d array


def _function(name: str, value: object) -> Function:
    if not callable(value) or isinstance(value, type):
        raise ValueError(f"{name} must be a function f(y_true, y_pred) that gives a number, got {value!r:.80}")
    return value


class FunctionMetric(MetricBase):
    """A user's function f(y_true, y_pred) that returns a number.

    It gets all rows at once, on the device: y_true is labels (n,) if labels were given and else (n, m); y_pred (n, m)
    is the link of the scores, such as probabilities. It takes no weights.

    Parameters
    ----------
    function : callable
        Returns a Python number or a 0-d array; the array is read together with all other results.

    Examples
    --------
    >>> import numpy as np
    >>> from xdfn import SquaredError
    >>> def worst(y_true, y_pred):
    ...     return np.max(np.abs(y_true - y_pred))
    >>> metric = FunctionMetric(worst)
    >>> part = metric.part(np.asarray([[1.0], [2.0]]), np.asarray([[1.5], [4.0]]), None, SquaredError())
    >>> metric.name, metric.value(part[None])
    ('worst', 2.0)
    """

    higher_is_better = None
    whole = True

    function = Field(_function)

    def __init__(self, function: Function) -> None:
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
        # the targets in the shape of the prediction: the function would broadcast (n,) against (n, 1) to (n, n)
        result = self.function(Targets.targets(y, z), loss.link(z))
        if isinstance(result, numbers.Real):
            return put([result], place(z), z.dtype)
        result = self._checked(result)
        if isinstance(result, np.ndarray):
            return put(result[None], place(z), z.dtype)
        result = to_place(namespace(result).reshape(result, (1,)), place(z))
        return namespace(z).astype(result, z.dtype)

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
