"""Callbacks that tell of a fit: in lines, in a file, in the history, in a bar."""

import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from xdfn.core.fields import Field, choice_field, flag
from xdfn.core.optional import need
from xdfn.core.writer import write_whole
from xdfn.train.callbacks.base import Callback, FitInfo, Model, callbacks
from xdfn.train.callbacks.paths import check_folder, path_field

__all__ = ["CSVLog", "LearningRateLog", "Log", "ProgressBar"]


class Report(Callback):
    """The notebook's printed lines: one an epoch, and with `batches` one a batch."""

    may_change_model = False
    by_first_rank = True
    _transient: ClassVar[frozenset[str]] = frozenset({"_epoch", "_loss", "_epoch_start", "_batch_start"})

    batches = Field(flag)

    def __init__(self, batches: bool = False) -> None:
        self.batches = batches

    @property
    def by_batch(self) -> bool:
        return self.batches

    def on_fit_begin(self, model: Model, info: FitInfo) -> None:
        self._epoch, self._loss = 0, math.inf
        self._epoch_start = self._batch_start = time.time()

    def on_batch_end(self, model: Model, batch: int, n_batches: int, loss: Callable[[], float]) -> None:
        value, now = loss(), time.time()
        self._print(f"\t[Batch {batch}/{n_batches}] Train loss: {value:.3f} ({now - self._batch_start:.1f}s/batch)")
        self._batch_start = now

    def on_epoch_end(self, model: Model, values: dict[str, float]) -> None:
        self._epoch += 1
        now, loss = time.time(), values["loss"]
        minutes = (now - self._epoch_start) / 60
        more = "".join(f" {name}: {value:.4g}" for name, value in values.items() if name != "loss")
        self._print(
            f"[Epoch {self._epoch}] Avg. loss: {loss:.3f} Delta: {self._loss - loss:.3f} ({minutes:.2f}m/epoch){more}"
        )
        self._loss, self._epoch_start, self._batch_start = loss, now, now

    def _print(self, line: str) -> None:
        print(line)


@callbacks.register("csv_logger")
class CSVLog(Callback):
    """Write the values of each epoch as a line of a CSV file, under their names.

    A model's first fit begins the file, its later fits add to it; they must have the same values. Lines of epochs that
    the model has not had, since it goes on from a file of before, are cut off.

    Parameters
    ----------
    path : str or pathlib.Path
    """

    may_change_model = False
    by_first_rank = True

    path = path_field()

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    def on_fit_begin(self, model: Model, info: FitInfo) -> None:
        check_folder("CSVLog", self.path)
        head, past = ",".join(["epoch", *info.values]), len(model.history["loss"])
        file = Path(self.path)
        text = file.read_text(encoding="utf-8") if past and file.exists() else ""
        first, *lines = text.splitlines(keepends=True) or [f"{head}\n"]
        if first != f"{head}\n":
            raise ValueError(f"CSVLog: path {self.path!r} has the columns {first.strip()}, not {head}; choose another")
        had = [line for line in lines if line.endswith("\n") and 0 < _number(line) <= past]
        kept = "".join([first, *had])
        if kept != text:
            write_whole(self.path, lambda out: out.write(kept.encode()))

    def on_epoch_end(self, model: Model, values: dict[str, float]) -> None:
        import csv  # only now, since `import xdfn` should be quick

        with open(self.path, "a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow([len(model.history["loss"]), *values.values()])


def _number(line: str) -> int:
    """The epoch of a line; 0 if it has none."""
    number = line.partition(",")[0]
    return int(number) if number.isdecimal() and len(number) < 18 else 0


@callbacks.register()
class Log(Callback):
    """Write the values of each epoch to ``logging.getLogger("xdfn")``.

    What becomes of them is up to the handlers of the user's program; without any, Python shows warnings alone.

    Parameters
    ----------
    level : "DEBUG", "INFO" or "WARNING"

    Examples
    --------
    >>> import logging, sys
    >>> import numpy as np
    >>> from xdfn import DFN
    >>> logger = logging.getLogger("xdfn")
    >>> logger.setLevel("INFO")
    >>> handler = logging.StreamHandler(sys.stdout)
    >>> logger.addHandler(handler)
    >>> X, y = np.eye(4), np.asarray([0, 1, 0, 1])
    >>> model = DFN(4, 2, seed=0).fit(X, y, 2, verbose=0, callbacks=["log"])
    epoch 1: loss 0.6932
    epoch 2: loss 0.6932
    >>> logger.removeHandler(handler)
    """

    may_change_model = False
    by_first_rank = True
    level = choice_field("DEBUG", "INFO", "WARNING")

    def __init__(self, level: str = "INFO") -> None:
        self.level = level

    def on_epoch_end(self, model: Model, values: dict[str, float]) -> None:
        import logging  # only now, since `import xdfn` should be quick

        shown = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        logging.getLogger("xdfn").log(getattr(logging, self.level), "epoch %d: %s", len(model.history["loss"]), shown)


@callbacks.register("learning_rate_monitor")
class LearningRateLog(Callback):
    """Put the rate of each epoch's last step, of the first layer with parameters, into ``model.history["lr"]``."""

    may_change_model = False
    names = ("lr",)

    def measure(self, model: Model) -> dict[str, float]:
        return {"lr": model.learning_rate}


@callbacks.register("progress")
class ProgressBar(Callback):
    """A bar of the epochs, or with `batches` of the batches, in a terminal or a notebook.

    It has the values of the last epoch, the time since the fit began, and the time that is left.
    Needs tqdm; the extra ``progress`` brings it.
    Bars of the batches make training go batch by batch, but do not read the device.
    """

    may_change_model = False
    by_first_rank = True
    _transient: ClassVar[frozenset[str]] = frozenset({"_bar"})

    batches = Field(flag)

    def __init__(self, batches: bool = False) -> None:
        self.batches = batches

    @staticmethod
    def fits_here() -> bool:
        """Whether there is a terminal to draw on, and tqdm to draw with."""
        from importlib.util import find_spec  # only now, since `import xdfn` should be quick

        return sys.stderr is not None and sys.stderr.isatty() and find_spec("tqdm") is not None

    @property
    def by_batch(self) -> bool:
        return self.batches

    def on_fit_begin(self, model: Model, info: FitInfo) -> None:
        tqdm = need("ProgressBar", "tqdm.auto", "progress", "tqdm>=4.66").tqdm
        total, unit = (info.n_epochs * info.n_batches, "batch") if self.batches else (info.n_epochs, "epoch")
        self._bar = tqdm(total=total, unit=unit)

    def on_batch_end(self, model: Model, batch: int, n_batches: int, loss: Callable[[], float]) -> None:
        self._bar.update()

    def on_epoch_end(self, model: Model, values: dict[str, float]) -> None:
        if not self.batches:
            self._bar.update()
        self._bar.set_postfix({name: f"{value:.4g}" for name, value in values.items()})

    def on_fit_end(self, model: Model, complete: bool) -> None:
        if "_bar" in vars(self):
            vars(self).pop("_bar").close()
