"""End a fit when it no longer improves."""

from typing import ClassVar

from xdfn.core.fields import Field, flag, integer, number_field
from xdfn.train.callbacks.base import Callback, FitInfo, Model, State, callbacks
from xdfn.train.callbacks.monitor import BestValue, mode_field, monitor_field, remembered

__all__ = ["EarlyStopping"]


@callbacks.register()
class EarlyStopping(Callback):
    """End the fit when `monitor` has not improved for `patience` epochs.

    Prechelt 1998, doi:10.1007/3-540-49430-8_3.

    Parameters
    ----------
    monitor : str
        ``"val_loss"``, ``"val_accuracy"`` or any other name in the history.
    patience : int
    min_delta : float
        By how much a value must be better than the best one.
    mode : "min" or "max", optional
        What is better; needed for metrics that are a user's functions.
    restore_best : bool
        Give the model at the end of the fit the weights of the best epoch, and the optimizer's memory with them, unless
        an error or an interrupt ends the fit. A further fit goes on from there.

    Examples
    --------
    >>> import numpy as np
    >>> from xdfn import DFN
    >>> X, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2
    >>> model = DFN(20, 2, optimizer="adam(lr=0.1)", seed=0)
    >>> stop = EarlyStopping(patience=3)
    >>> history = model.fit(X, y, 100, validation_fraction=0.5, callbacks=[stop], verbose=None).history
    >>> len(history["loss"]) < 100
    True
    """

    may_change_model = False  # before the fit has ended
    _transient: ClassVar[frozenset[str]] = frozenset({"_value", "_wait", "_kept"})
    _shown = ("monitor", "patience")

    monitor = monitor_field()
    patience = Field(integer)
    min_delta = number_field(0)
    mode = mode_field()
    restore_best = Field(flag)
    _wait: int
    _kept: State

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str | None = None,
        restore_best: bool = True,
    ) -> None:
        self.monitor, self.patience, self.min_delta = monitor, patience, min_delta
        self.mode, self.restore_best = mode, restore_best

    def on_fit_begin(self, model: Model, info: FitInfo) -> None:
        self._value = BestValue(self, self.monitor, self.mode, info)
        self.restore({})

    def on_epoch_end(self, model: Model, values: dict[str, float]) -> None:
        if self._value.improves(values[self.monitor], self.min_delta):
            self._wait = 0
            self._kept = model.snapshot() if self.restore_best else {}
            return
        self._wait += 1
        if self._wait >= self.patience:
            model.stop_training = True

    def on_fit_end(self, model: Model, complete: bool) -> None:
        if complete and self._kept:
            model.put_back(self._kept)

    def state(self) -> State:
        return {"best": self._value.best, "wait": self._wait, "kept": self._kept}

    def restore(self, state: State) -> None:
        self._value.best = remembered(state, "best", float, None)
        self._wait, self._kept = remembered(state, "wait", int, 0), remembered(state, "kept", dict, {})
