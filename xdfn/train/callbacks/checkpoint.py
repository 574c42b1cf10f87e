"""Save the model while it is being trained."""

import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from xdfn.core.fields import Field, integer
from xdfn.core.writer import write_whole
from xdfn.train.callbacks.base import Callback, FitInfo, Model, State, callbacks
from xdfn.train.callbacks.monitor import BestValue, mode_field, optional_monitor_field, remembered
from xdfn.train.callbacks.paths import check_folder, path_field

__all__ = ["Checkpoint"]

_UNITS = {"s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0}
_EVERY = re.compile(r"(\d{1,12}(?:\.\d{1,12})?) ?([a-z]{1,8}?)s?")


def interval(name: str, value: object) -> tuple[float, str]:
    """How often: a number, and of what: seconds, batches or epochs."""
    if not isinstance(value, str):
        return float(integer(name, value)), "epochs"
    match = _EVERY.fullmatch(value.strip().lower())
    number, unit = (float(match[1]), match[2] or "s") if match else (0.0, "")
    seconds = _UNITS.get(unit)
    whole = number == int(number) and unit in ("batch", "batche", "epoch")
    if number <= 0 or not (seconds or whole):
        raise ValueError(f"{name} must be such as '60s', '5min', '100 batches' or 2 (epochs), got {value!r:.80}")
    if seconds:
        return number * seconds, "seconds"
    return number, "epochs" if unit == "epoch" else "batches"


@callbacks.register("model_checkpoint")
class Checkpoint(Callback):
    """Save the model to a file: after every epoch, every so many seconds or batches, or after each best epoch.

    A fit of the loaded model goes on exactly where it was saved, in the middle of an epoch too, given callbacks equal
    to those of the first; ``fit(..., resume=path)`` does so in one line. At the end of a fit that is not cut short the
    model is saved once more, as it is then.

    Parameters
    ----------
    path : str or pathlib.Path
        As for `DFN.save`.
    best : str, optional
        A name in the history, such as ``"val_loss"``: save only after epochs in which it is the best so far.
    mode : "min" or "max", optional
        What is better; needed for metrics that are a user's functions.
    every : int or str
        Epochs, or ``"60s"``, ``"5min"``, ``"100 batches"``. What happened since is what a crash can lose.
    keep : int
        How many files to keep, if more than one: the newest is `path`, and copies of the last ones are numbered, as
        ``model.12.npz``.
    """

    late = True  # so that the states of the other callbacks are from the same epoch
    may_change_model = False
    by_first_rank = True
    _transient: ClassVar[frozenset[str]] = frozenset({"_value", "_saved", "_since", "_pace", "_batch", "_looked"})

    path = path_field()
    best = optional_monitor_field()
    mode = mode_field()
    every = Field(lambda name, value: interval(name, value) and value)
    keep = Field(integer)

    def __init__(
        self,
        path: str | os.PathLike[str],
        best: str | None = None,
        mode: str | None = None,
        every: int | str = 1,
        keep: int = 1,
    ) -> None:
        self.path, self.best, self.mode, self.every, self.keep = path, best, mode, every, keep
        if best is not None and interval("every", every) != (1, "epochs"):
            raise ValueError(
                f"best={best!r} is looked at after each epoch, got every={every!r} too: make two Checkpoints"
            )

    @property
    def by_batch(self) -> bool:
        return interval("every", self.every)[1] != "epochs"

    def on_fit_begin(self, model: Model, info: FitInfo) -> None:
        self._value = None if self.best is None else BestValue(self, self.best, self.mode, info)
        self._saved, self._pace = time.monotonic(), 1
        self._since = 0  # batches or epochs since the last file
        check_folder("Checkpoint", self.path)

    def on_epoch_begin(self, model: Model) -> None:
        self._batch, self._looked = 0, time.monotonic()

    def _next_batch(self) -> int:
        number, unit = interval("every", self.every)
        return max(1, int(number) - self._since) if unit == "batches" else self._pace

    def on_batch_end(self, model: Model, batch: int, n_batches: int, loss: Callable[[], float]) -> None:
        number, unit = interval("every", self.every)
        if unit == "seconds":
            # twice as many batches until the next look at the clock, as long as they are short beside the interval
            now = time.monotonic()
            self._pace = 2 * self._pace if now - self._looked < number / 16 else max(1, self._pace // 2)
            self._looked, due = now, now - self._saved >= number
        else:
            self._since += batch - self._batch
            due = self._since >= number
        self._batch = batch
        if due:
            self._save(model)

    def on_epoch_end(self, model: Model, values: dict[str, float]) -> None:
        if self._value is not None and self.best is not None:
            if self._value.improves(values[self.best]):
                self._save(model)
            return
        number, unit = interval("every", self.every)
        if unit == "epochs":
            self._since += 1
            if self._since >= number or model.stop_training:
                self._save(model)

    def on_fit_end(self, model: Model, complete: bool) -> None:
        if complete and self.best is None:
            self._save(model)

    def _save(self, model: Model) -> None:
        self._saved, self._since = time.monotonic(), 0
        model.save(self.path)
        if self.keep > 1:
            path = Path(self.path)
            numbered = re.compile(re.escape(path.stem) + r"\.(\d{1,18})" + re.escape(path.suffix))
            found = [(int(m[1]), each) for each in path.parent.iterdir() if (m := numbered.fullmatch(each.name))]
            number = 1 + max((n for n, _ in found), default=0)
            with path.open("rb") as newest:
                write_whole(
                    path.with_name(f"{path.stem}.{number}{path.suffix}"), lambda f: shutil.copyfileobj(newest, f)
                )
            for _, each in sorted(found)[: len(found) + 1 - self.keep]:
                each.unlink(missing_ok=True)

    def state(self) -> State:
        return {"best": None if self._value is None else self._value.best, "since": self._since}

    def restore(self, state: State) -> None:
        self._since = remembered(state, "since", int, 0) or 0
        if self._value is not None:
            self._value.best = remembered(state, "best", float, None)
