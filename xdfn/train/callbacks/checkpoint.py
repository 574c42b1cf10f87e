"""Save the model while it is being trained."""

import os
from typing import ClassVar

from xdfn.train.callbacks.base import Callback, FitInfo, Model, State, callbacks
from xdfn.train.callbacks.monitor import BestValue, mode_field, optional_monitor_field
from xdfn.train.callbacks.paths import check_folder, path_field

__all__ = ["Checkpoint"]


@callbacks.register("model_checkpoint")
class Checkpoint(Callback):
    """Save the model to a file after every epoch or, given `monitor`, after each epoch that is the best so far.

    A fit of the loaded model goes on exactly where it was saved, given callbacks equal to those of the first.

    Parameters
    ----------
    path : str or pathlib.Path
        As for `DFN.save`.
    monitor : str, optional
        A name in the history, such as ``"val_loss"``.
    mode : "min" or "max", optional
        What is better; needed for metrics that are a user's functions.
    """

    late = True  # so that the states of the other callbacks are from the same epoch
    may_change_model = False
    by_first_rank = True
    _transient: ClassVar[frozenset[str]] = frozenset({"_value"})

    path = path_field()
    monitor = optional_monitor_field()
    mode = mode_field()

    def __init__(self, path: str | os.PathLike[str], monitor: str | None = None, mode: str | None = None) -> None:
        self.path, self.monitor, self.mode = path, monitor, mode

    def on_fit_begin(self, model: Model, info: FitInfo) -> None:
        self._value = None if self.monitor is None else BestValue(self, self.monitor, self.mode, info)
        check_folder("Checkpoint", self.path)

    def on_epoch_end(self, model: Model, values: dict[str, float]) -> None:
        if self.monitor is None or self._value is None or self._value.improves(values[self.monitor]):
            model.save(self.path)

    def state(self) -> State:
        return {"best": None if self._value is None else self._value.best}

    def restore(self, state: State) -> None:
        if self._value is not None:
            self._value.best = state.get("best")
