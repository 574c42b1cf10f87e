"""Curves: a training over its epochs, and a search for a learning rate over the rates."""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from xdfn.backend import Host
from xdfn.model import DFN

__all__ = ["history", "learning_rates"]

_EPOCHS = 30  # the most that are marked one by one


def history(model: DFN, ax: Axes | None = None) -> Axes:
    """The curves of `model.history` over the epochs: losses on the left, metrics on the right.

    Epochs in which a value was not measured leave a gap. A thin line stands at the epoch with the lowest validation
    loss. What is neither a loss nor of the validation, such as ``"lr"``, is left out.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> model = DFN(3, 2, seed=0).fit(np.eye(4), np.asarray([0, 1, 0, 1]), 5, verbose=None)
    >>> history(model).get_xlabel()
    'epoch'
    """
    ax = ax or plt.figure(figsize=(5, 3.6), layout="constrained").subplots()
    curves = {name: np.asarray(values, np.float64) for name, values in model.history.items()}
    measured = {name: values for name, values in curves.items() if np.isfinite(values).any() and name != "val_loss"}
    handles = [_curve(ax, curves["loss"], "training", color="C0")]
    validation = curves.get("val_loss", np.zeros(0))
    finite = np.isfinite(validation)
    if finite.any():
        handles.append(_curve(ax, validation, "validation", color="C1"))
        best = int(np.argmin(np.where(finite, validation, np.inf))) + 1
        label = f"best epoch: {best}"
        handles.append(ax.axvline(best, color="0.5", linewidth=0.8, linestyle=":", zorder=1, label=label))
    metrics = [name.removeprefix("val_") for name in measured if name.startswith("val_")]
    if metrics:
        right = ax.twinx()
        for i, name in enumerate(metrics):
            label = f"validation {name.replace('_', ' ')}"
            handles.append(_curve(right, measured[f"val_{name}"], label, color=f"C{i + 2}", linestyle="--"))
        right.set_ylabel(metrics[0].replace("_", " ") if len(metrics) == 1 else "metrics")
    ax.set(xlabel="epoch", ylabel=f"mean {type(model.loss).__name__}")
    if metrics:  # above, for the best place within would be sought without a look at the curves of the right axes
        ax.legend(
            handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, fontsize="small", frameon=False
        )
    else:
        ax.legend(handles=handles)
    return ax


def _curve(ax: Axes, values: Host, label: str, color: str, linestyle: str = "-") -> Line2D:
    """A line over the epochs, with points where there are few of them or a line could not show them."""
    measured = np.pad(np.isfinite(values), 1)
    alone = measured[1:-1] & ~measured[:-2] & ~measured[2:]
    marker = "o" if len(values) <= _EPOCHS or alone.any() else ""
    return ax.plot(
        range(1, len(values) + 1), values, marker=marker, markersize=4, label=label, color=color, linestyle=linestyle
    )[0]


class Search(Protocol):
    """What a search for a learning rate returns: a loss for each rate, and the rate that it suggests."""

    @property
    def rates(self) -> Sequence[float]: ...
    @property
    def losses(self) -> Sequence[float]: ...
    @property
    def suggestion(self) -> float: ...


def learning_rates(search: Search, ax: Axes | None = None) -> Axes:
    """The losses of a search for a learning rate over the rates, with a line at the rate that it suggests.

    Losses far above the first ones, at which training breaks down, are cut off.

    Parameters
    ----------
    search : what `find_learning_rate` returns, with `rates` and `losses`, lists of equal length, and `suggestion`
    ax : matplotlib axes, optional

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> ax = learning_rates(SimpleNamespace(rates=[0.01, 0.1, 1.0], losses=[2.0, 1.0, 9.0], suggestion=0.1))
    >>> ax.get_xscale(), ax.get_legend().get_texts()[0].get_text()
    ('log', 'suggestion 0.1')
    """
    ax = ax or plt.figure(figsize=(5, 3.6), layout="constrained").subplots()
    losses = np.asarray(search.losses, np.float64)
    ax.plot(search.rates, losses, linewidth=1)
    ax.axvline(search.suggestion, color="C3", linestyle="--", label=f"suggestion {search.suggestion:.3g}")
    finite = losses[np.isfinite(losses)]
    if finite.size:
        low, high = finite.min(), finite[: math.ceil(len(finite) / 5)].max()
        margin = 0.15 * (high - low) or 0.1 * abs(high) or 1.0
        ax.set_ylim(low - margin, high + margin)
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss")
    ax.legend()
    return ax
