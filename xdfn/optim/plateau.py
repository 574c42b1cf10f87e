"""The one schedule that depends on the results of training."""

import math

from xdfn.core.fields import Field, choice_field, integer, number_field
from xdfn.optim.schedules import NO_HISTORY, History, ScheduleBase, history_key, schedules

__all__ = ["ReduceOnPlateau"]


@schedules.register("plateau", "reduce_lr_on_plateau")
class ReduceOnPlateau(ScheduleBase):
    """lr <- max(factor lr, min_lr) whenever history[monitor] has not improved for more than `patience` epochs.

    The first value is an improvement, a later one if it is below the best so far by more than min_delta, or with
    mode "max" above it. Other epochs are counted, and the count starts again with an improvement, with a reduction
    and with each of the `cooldown` epochs after a reduction.

    Parameters
    ----------
    lr : float
        The initial rate.
    factor : float in (0, 1)
    patience : int
    min_delta : float
        Absolute, in the unit of the monitored value.
    cooldown : int
    min_lr : float
        0 or more.
    monitor : str
        A key of the history.
    mode : "min" or "max"
        Whether the monitored value should fall or rise.

    Notes
    -----
    As PyTorch's `ReduceLROnPlateau` with threshold_mode="abs" and eps=0, but computed from the whole history each time,
    whatever t is. Epochs whose value is NaN are left out; PyTorch counts them as epochs without improvement. The rate
    is lr while the history has no value under `monitor`. In training, the history begins when the schedule is
    assigned: a schedule with another lr or patience begins anew.

    Examples
    --------
    >>> schedule = ReduceOnPlateau(0.1, factor=0.5, patience=1)
    >>> [schedule(2, {"loss": [3.0, 2.0]}), schedule(4, {"loss": [3.0, 2.0, 2.5, 2.0]})]
    [0.1, 0.05]
    """

    _shown = ("factor", "patience", "monitor")

    factor = number_field(0, 1, open_low=True, open_high=True)
    patience = Field(lambda name, value: integer(name, value, 0))
    min_delta = number_field(0)
    cooldown = Field(lambda name, value: integer(name, value, 0))
    min_lr = number_field(0)
    monitor = Field(history_key)
    mode = choice_field("min", "max")
    by = choice_field("epoch")  # the history has one value an epoch

    def __init__(
        self,
        lr: float,
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        monitor: str = "loss",
        mode: str = "min",
    ) -> None:
        self.lr = lr
        self.factor = factor
        self.patience = patience
        self.min_delta = min_delta
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.monitor = monitor
        self.mode = mode
        self.by = "epoch"

    def __call__(self, t: float, history: History = NO_HISTORY) -> float:
        lr, best, bad, pause = 1.0 * self.lr, math.inf, 0, 0
        for value in history.get(self.monitor, ()):
            if math.isnan(value):
                continue
            cost = value if self.mode == "min" else -value
            if cost < best - self.min_delta:
                best, bad = cost, 0
            else:
                bad += 1
            if pause > 0:
                pause, bad = pause - 1, 0
            if bad > self.patience:
                lr = min(lr, max(lr * self.factor, 1.0 * self.min_lr))  # min_lr never raises the rate
                bad, pause = 0, self.cooldown
        return lr
