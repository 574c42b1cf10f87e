"""The curves of a fit while it goes on."""

import sys
import time
from typing import ClassVar, Protocol, cast

import matplotlib
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from xdfn.core.fields import number_field
from xdfn.model import DFN
from xdfn.plotting.curves import history
from xdfn.train.callbacks.base import Callback, FitInfo, Model


class Display(Protocol):
    """A picture that is shown in a notebook."""

    def update(self, figure: Figure) -> None: ...


class LivePlot(Callback):
    """The curves of `plotting.history`, drawn again while a model trains: below a notebook's cell, or in a window.

    Parameters
    ----------
    seconds : float
        How long to wait at least between two drawings; one takes a tenth of a second. The last epoch is always drawn.

    Examples
    --------
    ::

        model.fit(X, y, n_epochs=100, verbose=0, validation_fraction=0.1, callbacks=[plotting.LivePlot()])
    """

    may_change_model = False
    by_first_rank = True
    _transient: ClassVar[frozenset[str]] = frozenset({"_figure", "_display", "_epochs", "_drawn"})

    seconds = number_field(0)

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds

    def on_fit_begin(self, model: Model, info: FitInfo) -> None:
        backend = matplotlib.get_backend()
        if not _in_notebook() and backend.lower() in {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}:
            raise ValueError(
                f"LivePlot draws in a notebook, or in a window of matplotlib, whose backend {backend!r} has none; call "
                "matplotlib.use('QtAgg') or another that opens windows, or draw plotting.history(model) after the fit"
            )
        self._figure = plt.figure(figsize=(5, 3.6), layout="constrained")
        self._display: Display | None = None
        self._epochs, self._drawn = 0, -self.seconds  # of the last drawing

    def on_epoch_end(self, model: Model, values: dict[str, float]) -> None:
        if time.monotonic() - self._drawn >= self.seconds:
            self._draw(model)

    def on_fit_end(self, model: Model, complete: bool) -> None:
        if "_figure" not in vars(self):
            return
        if len(model.history["loss"]) > self._epochs:
            self._draw(model)
        if _in_notebook():
            plt.close(self._figure)  # else the cell would show it once more
        del self._figure, self._display, self._epochs, self._drawn

    def _draw(self, model: Model) -> None:
        self._figure.clear()
        history(cast(DFN, model), self._figure.subplots())
        if not _in_notebook():
            self._figure.canvas.draw_idle()
            plt.pause(0.001)  # the window draws itself
        elif self._display is None:
            from IPython.display import display  # a notebook has it

            self._display = display(self._figure, display_id=True)
        else:
            self._display.update(self._figure)
        self._epochs, self._drawn = len(model.history["loss"]), time.monotonic()


def _in_notebook() -> bool:
    """Whether pictures can be shown below a cell: IPython runs this with a kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")
