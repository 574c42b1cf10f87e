"""Callbacks that tell of a fit where experiments are compared: TensorBoard and MLflow. Each needs its package."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from xdfn.core.fields import Field, flag
from xdfn.core.optional import need
from xdfn.train.callbacks.base import Callback, FitInfo, Model, callbacks
from xdfn.train.callbacks.paths import path_field

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["MLflowLog", "TensorBoardLog"]


@callbacks.register("tensorboard", "summary_writer")
class TensorBoardLog(Callback):
    """Write the values of each epoch for TensorBoard: ``tensorboard --logdir path`` shows them.

    Losses and metrics of the training rows are in the folder ``path/training``, those of the validation in
    ``path/validation``, under the same names, so that both curves are in one picture. Later fits of a model go on at
    the epoch where the last one ended. Needs tensorboard; the extra ``tensorboard`` brings it.

    Parameters
    ----------
    path : str or pathlib.Path
        The folder; it is made if it is not there.
    """

    may_change_model = False
    by_first_rank = True
    _transient: ClassVar[frozenset[str]] = frozenset({"_writers"})

    path = path_field()

    def __init__(self, path: str | os.PathLike[str] = "runs") -> None:
        self.path = path

    def on_fit_begin(self, model: Model, info: FitInfo) -> None:
        Writer = need("TensorBoardLog", "tensorboard.summary", "tensorboard", "tensorboard>=2.18").Writer
        if Path(self.path).is_file():
            raise ValueError(f"TensorBoardLog: path {self.path!r} is a file; give the name of a folder")
        parts = sorted({_part_of(name)[0] for name in info.values})
        self._writers = {part: Writer(str(Path(self.path) / part)) for part in parts}

    def on_epoch_end(self, model: Model, values: dict[str, float]) -> None:
        for name, value in values.items():
            part, tag = _part_of(name)
            self._writers[part].add_scalar(tag, value, len(model.history["loss"]))
        for writer in self._writers.values():
            writer.flush()

    def on_fit_end(self, model: Model, complete: bool) -> None:
        for writer in vars(self).pop("_writers", {}).values():
            writer.close()


def _part_of(name: str) -> tuple[str, str]:
    """Of which rows a value is, and its name there."""
    return ("validation", name.removeprefix("val_")) if name.startswith("val_") else ("training", name)


@callbacks.register("mlflow")
class MLflowLog(Callback):
    """Log the fit to MLflow: the model's string as a parameter, the values of each epoch as metrics of that step.

    The run is the active one, which is left open, or else a new one, which ends with the fit: FINISHED, or FAILED if an
    error or an interrupt ended it. Where it is kept, ``mlflow.set_tracking_uri`` and ``mlflow.set_experiment`` say.
    Needs MLflow; the extra ``mlflow`` brings ``mlflow-skinny``, which has all that this uses.

    Parameters
    ----------
    save_model : bool
        Whether the trained model becomes an artifact of the run, the file ``model.npz``, which `DFN.load` reads.

    Examples
    --------
    ::

        with mlflow.start_run(run_name="wide"):
            model.fit(X, y, n_epochs=10, callbacks=[MLflowLog(save_model=True)])
    """

    may_change_model = False
    by_first_rank = True
    _transient: ClassVar[frozenset[str]] = frozenset({"_mlflow", "_own"})

    save_model = Field(flag)

    def __init__(self, save_model: bool = False) -> None:
        self.save_model = save_model

    def on_fit_begin(self, model: Model, info: FitInfo) -> None:
        self._mlflow: ModuleType = need("MLflowLog", "mlflow", "mlflow", "mlflow-skinny>=3")
        self._own = self._mlflow.active_run() is None
        run: Any = self._mlflow.start_run() if self._own else self._mlflow.active_run()
        there = self._mlflow.get_run(run.info.run_id).data.params  # a parameter cannot be logged with another value
        parameters = {"model": model, "n_epochs": info.n_epochs, "batch_size": model.batch_size}
        self._mlflow.log_params({name: value for name, value in parameters.items() if name not in there})

    def on_epoch_end(self, model: Model, values: dict[str, float]) -> None:
        self._mlflow.log_metrics(values, step=len(model.history["loss"]))

    def on_fit_end(self, model: Model, complete: bool) -> None:
        if "_mlflow" not in vars(self):
            return
        mlflow, own = vars(self).pop("_mlflow"), vars(self).pop("_own", False)
        if complete and self.save_model:
            with tempfile.TemporaryDirectory() as folder:
                model.save(str(Path(folder) / "model.npz"))
                mlflow.log_artifact(str(Path(folder) / "model.npz"))
        if own:
            mlflow.end_run("FINISHED" if complete else "FAILED")
