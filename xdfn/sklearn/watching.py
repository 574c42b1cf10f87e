"""The callbacks of scikit-learn 1.9 and later, which `set_callbacks` takes: they are told of the fit and of each epoch.

Earlier versions have none; then `Watched` is empty.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sklearn.base import BaseEstimator

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9
    CallbackSupportMixin, with_callbacks = object, None

F = TypeVar("F", bound=Callable[..., object])

__all__: list[str] = []

Attributes = Callable[[], dict[str, object]]  # what makes an estimator answer, made only if a callback asks for it


class Task(Protocol):
    """scikit-learn's `CallbackContext`."""

    def subcontext(self, task_name: str) -> "Task": ...
    def call_on_fit_task_begin(self, **given: object) -> object: ...
    def call_on_fit_task_end(self, **given: object) -> bool: ...


class Watched(CallbackSupportMixin):
    """Mixin of the estimators: `set_callbacks`."""


def watched(method: F) -> F:
    """Decorator of `fit`: its callbacks are told of the end whatever happens."""
    return method if with_callbacks is None else with_callbacks(method)


class Watch:
    """Tells the callbacks of an estimator of its fit, which begins now.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    given : dict
        X, y and metadata, as the user gave them.
    unit : str
        What a step of the fit is called.
    n_steps : int
        At most.
    """

    def __init__(self, estimator: BaseEstimator, given: dict[str, object], unit: str, n_steps: int) -> None:
        self.given, self.unit = {"estimator": estimator, **given}, unit
        self.fit: Task = estimator._init_callback_context(max_subtasks=n_steps)
        self.fit.call_on_fit_task_begin(**self.given)
        self.step: Task | None = None

    def begin(self) -> None:
        """A step begins, unless one has begun already."""
        if self.step is None:
            self.step = self.fit.subcontext(task_name=self.unit)
            self.step.call_on_fit_task_begin(**self.given)

    def end(self, attributes: Attributes) -> bool:
        """A step is over; whether a callback wants the fit to stop."""
        self.begin()
        assert self.step is not None
        step, self.step = self.step, None
        return bool(step.call_on_fit_task_end(**self.given, reconstruction_attributes=attributes))

    def close(self) -> None:
        """The fit is over."""
        if self.step is not None:  # one in which nothing happened
            self.step.call_on_fit_task_end(estimator=self.given["estimator"])
        self.fit.call_on_fit_task_end(**self.given, reconstruction_attributes=dict)


def watch(estimator: BaseEstimator, given: dict[str, object], unit: str, n_steps: int) -> Watch | None:
    """A `Watch`, if there are callbacks."""
    return Watch(estimator, given, unit, n_steps) if hasattr(estimator, "_skl_callbacks") else None
