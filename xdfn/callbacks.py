"""Training can be watched and steered: callbacks are told when it begins and ends, and its epochs and batches. They may
look at the model at any time, and change it after an epoch.
"""

import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from xdfn._spec import Field, Part, Registry, flag, integer, number_field
from xdfn.metrics import MetricBase, sign


class Plan(NamedTuple):
    """What a fit is about to do.

    Attributes
    ----------
    n_epochs, n_batches : int, the batches of one epoch
    values : the names that the epoch's values will have, as in ``model.history``
    metrics : the validation's, by name
    """

    n_epochs: int
    n_batches: int
    values: tuple[str, ...]
    metrics: Mapping[str, MetricBase]


class Callback(Part):
    """Base of the callbacks. Override what you need; `model` is the DFN, which may be used like after `fit`.

    What a callback changes on the model between two epochs, weights and hyper-parameters, holds from the next epoch on;
    weights that are changed after a batch are not kept. ``model.stop_training = True`` ends the fit after the epoch.

    A callback that remembers something from epoch to epoch gives it as `state()`, a dict of numbers, strings, lists,
    dicts and arrays, and takes it back in `restore(state)`: it is saved with the model, and a fit that resumes one
    which was cut short, with an equal callback, goes on with it after `on_fit_begin`.

    Examples
    --------
    >>> import numpy as np
    >>> from xdfn import DFN
    >>> class Patient(Callback):
    ...     def on_epoch_end(self, model, values):
    ...         print(f"epoch {len(model.history['loss'])}: {values['loss']:.2f}")
    >>> X, y = np.eye(4), np.asarray([0, 1, 0, 1])
    >>> model = DFN(4, 2, seed=0).fit(X, y, 2, verbose=None, callbacks=[Patient()])
    epoch 1: 0.69
    epoch 2: 0.69
    """

    names: tuple[str, ...] = ()  # of what `measure` gives
    late: bool = False  # whether it is told after the others

    def on_fit_begin(self, model: Any, plan: Plan) -> None:
        """Before the first epoch. Raise here if the plan does not fit: nothing has happened yet."""

    def on_epoch_begin(self, model: Any) -> None: ...

    def on_batch_end(self, model: Any, batch: int, n_batches: int, loss: Callable[[], float]) -> None:
        """After a batch, counted from 1. ``loss()`` reads the device, which nothing else does within an epoch.

        A callback that has this method makes training go batch by batch, which on JAX costs much of its speed.
        """

    def measure(self, model: Any) -> dict[str, float]:
        """Values of the epoch beside the loss and the validation's, which go into ``model.history`` with those.

        Their names are in `names`.
        """
        return {}

    def on_epoch_end(self, model: Any, values: dict[str, float]) -> None:
        """After an epoch, whose values are in ``model.history`` already."""

    def on_fit_end(self, model: Any, complete: bool) -> None:
        """After the last epoch; not `complete` if an error or an interrupt ended it."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None: ...

    @property
    def by_batch(self) -> bool:
        """Whether `on_batch_end` is to be called."""
        return type(self).on_batch_end is not Callback.on_batch_end


callbacks: Registry[Callback] = Registry("callback", Callback)


class Report(Callback):
    """The notebook's lines: one an epoch."""

    def on_fit_begin(self, model: Any, plan: Plan) -> None:
        self.epoch, self.before = 0, math.inf
        self.epoch_start = self.batch_start = time.time()

    def on_epoch_end(self, model: Any, values: dict[str, float]) -> None:
        self.epoch += 1
        now, loss = time.time(), values["loss"]
        minutes = (now - self.epoch_start) / 60
        more = "".join(f" {name}: {value:.4g}" for name, value in values.items() if name != "loss")
        print(
            f"[Epoch {self.epoch}] Avg. loss: {loss:.3f} Delta: {self.before - loss:.3f} ({minutes:.2f}m/epoch){more}"
        )
        self.before, self.epoch_start, self.batch_start = loss, now, now


class BatchReport(Report):
    """And one a batch."""

    def on_batch_end(self, model: Any, batch: int, n_batches: int, loss: Callable[[], float]) -> None:
        value, now = loss(), time.time()
        print(f"\t[Batch {batch}/{n_batches}] Train loss: {value:.3f} ({now - self.batch_start:.1f}s/batch)")
        self.batch_start = now


def _mode(name: str, value: Any) -> str | None:
    if value not in (None, "min", "max"):
        raise ValueError(
            f"{name} must be 'min', 'max' or None, which knows it of losses and metrics, got {value!r:.80}"
        )
    return value  # type: ignore[no-any-return]


def _monitor(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be the name of a value in the history, such as 'val_loss', got {value!r:.80}")
    return value


def _file(name: str, value: Any) -> str:
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str) or not path:
        raise ValueError(f"{name} must be the name of a file, a string such as 'folder/file', got {value!r:.80}")
    return path


class _Watching(Callback):
    """A callback that looks for the best epoch."""

    mode = Field(_mode)
    monitor: str | None

    def on_fit_begin(self, model: Any, plan: Plan) -> None:
        if self.monitor is None:
            return
        if self.monitor not in plan.values:
            more = "" if "val_loss" in plan.values else "; those of a validation need validation_data"
            raise ValueError(
                f"{type(self).__name__}: monitor must be one of {', '.join(plan.values)}, got {self.monitor!r}{more}"
            )
        self._sign = sign(self.monitor, plan.metrics, self.mode)

    def _better(self, value: float, best: float | None, min_delta: float = 0.0) -> bool:
        return not math.isnan(value) and (best is None or self._sign * (value - best) > min_delta)


@callbacks.register()
class EarlyStopping(_Watching):
    """End the fit when `monitor` has not been better for `patience` epochs.

    Prechelt 1998, doi:10.1007/3-540-49430-8_3.

    Parameters
    ----------
    monitor : str
        ``"val_loss"``, ``"val_accuracy"`` or any other name in the history.
    patience : int
    min_delta : float
        By how much a value must be better than the best one.
    mode : "min" or "max", optional
        What is better; needed for metrics that are your own functions.
    restore_best : bool
        Give the model at the end of the fit, unless an error or an interrupt ends it, the weights of the best epoch and
        the optimizer's memory with them. A further fit goes on from there.

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

    _memories = frozenset({"_best", "_wait", "_kept", "_sign"})
    _shown = ("monitor", "patience")
    monitor = Field(_monitor)
    patience = Field(integer)
    min_delta = number_field(0)
    restore_best = Field(flag)
    _best: float | None
    _wait: int
    _kept: dict[str, Any]

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

    def on_fit_begin(self, model: Any, plan: Plan) -> None:
        super().on_fit_begin(model, plan)
        self.restore({})

    def on_epoch_end(self, model: Any, values: dict[str, float]) -> None:
        value = values[self.monitor]
        if self._better(value, self._best, self.min_delta):
            self._best, self._wait = value, 0
            self._kept = model.snapshot() if self.restore_best else {}
            return
        self._wait += 1
        if self._wait >= self.patience:
            model.stop_training = True

    def on_fit_end(self, model: Any, complete: bool) -> None:
        if complete and self._kept:
            model.put_back(self._kept)

    def state(self) -> dict[str, Any]:
        return {"best": self._best, "wait": self._wait, "kept": self._kept}

    def restore(self, state: dict[str, Any]) -> None:
        self._best, self._wait, self._kept = state.get("best"), state.get("wait", 0), state.get("kept", {})


@callbacks.register()
class Checkpoint(_Watching):
    """Save the model to a file after every epoch or, given `monitor`, after those that are the best so far.

    A fit of the loaded model goes on exactly where it was saved, given callbacks equal to those of the first.

    Parameters
    ----------
    path : str
        As for `DFN.save`.
    monitor : str, optional
        Such as ``"val_loss"``.
    mode : "min" or "max", optional
        What is better; needed for metrics that are your own functions.
    """

    late = True  # so that what the others remember is of the same epoch
    _memories = frozenset({"_best", "_sign"})
    path = Field(_file)
    monitor = Field(lambda name, value: None if value is None else _monitor(name, value))

    def __init__(self, path: str, monitor: str | None = None, mode: str | None = None) -> None:
        self.path, self.monitor, self.mode = path, monitor, mode

    def on_fit_begin(self, model: Any, plan: Plan) -> None:
        super().on_fit_begin(model, plan)
        self._best: float | None = None
        _check_path("Checkpoint", self.path)

    def on_epoch_end(self, model: Any, values: dict[str, float]) -> None:
        if self.monitor is not None:
            if not self._better(values[self.monitor], self._best):
                return
            self._best = values[self.monitor]
        model.save(self.path)

    def state(self) -> dict[str, Any]:
        return {"best": self._best}

    def restore(self, state: dict[str, Any]) -> None:
        self._best = state.get("best")


@callbacks.register()
class CSVLog(Callback):
    """Write the values of each epoch as a line of a CSV file, under their names.

    A model's first fit begins the file, its later ones add to it; they must have the same values.
    """

    path = Field(_file)

    def __init__(self, path: str) -> None:
        self.path = path

    def on_fit_begin(self, model: Any, plan: Plan) -> None:
        _check_path("CSVLog", self.path)
        names, past = ["epoch", *plan.values], bool(model.history["loss"])
        file = Path(self.path)
        there = file.read_text(encoding="utf-8").splitlines() if past and file.exists() else []
        if there and there[0] != ",".join(names):
            raise ValueError(
                f"CSVLog: path {self.path!r} has the columns {there[0]}, not {','.join(names)}; choose another"
            )
        if not there:
            file.write_text(",".join(names) + "\n", encoding="utf-8")

    def on_epoch_end(self, model: Any, values: dict[str, float]) -> None:
        import csv  # only now, since `import xdfn` should be quick

        with open(self.path, "a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow([len(model.history["loss"]), *values.values()])


def _check_path(who: str, path: str) -> None:
    if not Path(path).parent.is_dir():
        raise ValueError(f"{who}: the folder of path {path!r} does not exist; make it first")
    if Path(path).is_dir():
        raise ValueError(f"{who}: path {path!r} is a folder; give the name of a file in it")


@callbacks.register()
class LearningRateLog(Callback):
    """Put the rate of each epoch's last step, of the first layer with parameters, into ``model.history["lr"]``."""

    names = ("lr",)

    def measure(self, model: Any) -> dict[str, float]:
        return {"lr": model.learning_rate}


@callbacks.register("progress")
class ProgressBar(Callback):
    """A bar of the epochs, or with `batches` of the batches, in a terminal or a notebook.

    Needs tqdm (`pip install tqdm`).
    Bars of the batches make training go batch by batch, but do not read the device.
    """

    _memories = frozenset({"_bar"})
    batches = Field(flag)

    def __init__(self, batches: bool = False) -> None:
        self.batches = batches

    def on_fit_begin(self, model: Any, plan: Plan) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ValueError(f"ProgressBar needs tqdm: pip install tqdm ({error})") from None
        total, unit = (plan.n_epochs * plan.n_batches, "batch") if self.batches else (plan.n_epochs, "epoch")
        self._bar = tqdm(total=total, unit=unit)

    @property
    def by_batch(self) -> bool:
        return self.batches

    def on_batch_end(self, model: Any, batch: int, n_batches: int, loss: Callable[[], float]) -> None:
        self._bar.update()

    def on_epoch_end(self, model: Any, values: dict[str, float]) -> None:
        if not self.batches:
            self._bar.update()
        self._bar.set_postfix({name: f"{value:.4g}" for name, value in values.items()})

    def on_fit_end(self, model: Any, complete: bool) -> None:
        if "_bar" in vars(self):
            vars(self).pop("_bar").close()
