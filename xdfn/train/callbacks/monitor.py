"""What callbacks that look for the best epoch have in common."""

import math
from typing import TypeVar, cast

from xdfn.core.fields import Field
from xdfn.optim.schedules import history_key
from xdfn.train.callbacks.base import Callback, FitInfo, State
from xdfn.train.metrics.resolve import sign

__all__: list[str] = []

V = TypeVar("V")


def monitor_field() -> Field[str]:
    """A `Field` of a name in the history."""
    return Field(history_key)


def optional_monitor_field() -> Field[str | None]:
    """A `Field` of a name in the history, or None."""
    return Field(lambda name, value: None if value is None else history_key(name, value))


def mode_field() -> Field[str | None]:
    """A `Field` of the direction in which a value improves: "min", "max", or None where the value tells it."""

    def check(name: str, value: object) -> str | None:
        if value is not None and not (isinstance(value, str) and value in ("min", "max")):
            raise ValueError(
                f"{name} must be 'min', 'max' or None, with which it follows from the loss or the metric, "
                f"got {value!r:.80}"
            )
        return value

    return Field(check)


def remembered(state: State, name: str, kind: type[V], default: V) -> V:
    """What a callback remembers under a name.

    Raises
    ------
    ValueError
        It is of another kind: the file that it comes from was changed.
    """
    value = state.get(name, default)
    whole = kind is float and isinstance(value, int) and abs(value) < 2**63
    if isinstance(value, bool) or not (whole or isinstance(value, (kind, type(None)))):
        raise ValueError(f"what is remembered as {name!r} must be a {kind.__name__}, got {value!r:.80}")
    return cast(V, value)


class BestValue:
    """The best value so far of what a callback monitors.

    Parameters
    ----------
    owner : Callback
        For the message of an error.
    monitor : str
        A name in the history.
    mode : "min", "max" or None
        What is better; None where it follows from the loss or the metric.
    info : FitInfo

    Raises
    ------
    ValueError
        The fit has no such value, or which values are better is unknown.
    """

    def __init__(self, owner: Callback, monitor: str, mode: str | None, info: FitInfo) -> None:
        if monitor not in info.values:
            more = "; those of a validation need validation_data or validation_fraction, in xdfn.sklearn X_val, y_val"
            if "val_loss" in info.values or not monitor.startswith("val_"):
                more = "; fit takes others as metrics=[...]"
            raise ValueError(
                f"{type(owner).__name__}: monitor must be one of {', '.join(info.values)}, got {monitor!r}{more}"
            )
        self.sign = sign(monitor, info.metrics, mode)
        self.best: float | None = None

    def improves(self, value: float, min_delta: float = 0.0) -> bool:
        """Whether the value is better than the best by more than min_delta; then it is the best one."""
        better = not math.isnan(value) and (self.best is None or self.sign * (value - self.best) > min_delta)
        if better:
            self.best = value
        return better
