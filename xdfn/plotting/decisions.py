"""What a model decides: over the plane of its two inputs, and for which class it takes which."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, Normalize, to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from xdfn.backend import ArrayLike, Host, as_array, namespace, place, put, require_array, to_numpy
from xdfn.model import DFN
from xdfn.train.checks import check_targets, check_values

__all__ = ["confusion_matrix", "decision_surface"]

_POINTS = 200  # of a surface, along each axis
_CLASSES = 20  # the most between which there is room for numbers
_SCALE = "viridis"  # of numbers
# six colours of Okabe and Ito 2008 and four more: no two look alike with any of the usual colour blindnesses
_COLOURS = (
    *("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9"),
    *("#661100", "#b2df8a", "#332288", "#882255"),
)


def confusion_matrix(
    model: DFN, X: ArrayLike, y: ArrayLike, ax: Axes | None = None, labels: Sequence[object] | None = None
) -> Axes:
    """How often each class, a row, is predicted as each class, a column; the colour is the share of the row.

    Parameters
    ----------
    model : DFN
        With CrossEntropy, or BinaryCrossEntropy and one output.
    X : array (n, n_in)
    y : array (n,) or (n, n_out)
        Targets as for `fit`.
    ax : matplotlib axes, optional
    labels : sequence, optional
        The names of the classes; else their numbers.

    Raises
    ------
    ValueError
        The model does not choose a class for each row, or X, y or labels do not fit.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> X, y = np.eye(2), np.asarray([0, 1])
    >>> ax = confusion_matrix(DFN(3, 2, optimizer="adam(lr=0.1)", seed=0).fit(X, y, 50, verbose=None), X, y)
    >>> [text.get_text() for text in ax.texts]
    ['1', '0', '0', '1']
    """
    if not model.loss.classifies:
        raise ValueError(f"a confusion matrix needs a loss that classifies, such as cross_entropy, got {model.loss}")
    X = as_array("X", X)
    y = as_array("y", y, lambda: place(X))
    predicted = to_numpy(model.predict(X))
    n_out = next(reversed(model.layers.values())).n_out or 0
    check_targets(y, X, model.loss, n_out)
    check_values(X, y, model.loss, n_out)
    true = to_numpy(model.loss.labels(y, n_out)).astype(np.int64)
    classes = max(2, n_out)
    names = [str(name) for name in (range(classes) if labels is None else labels)]
    if len(names) != classes:
        raise ValueError(f"labels must have {classes} names, one for each class, got {len(names)}")
    pairs = true * classes + predicted.reshape(-1).astype(np.int64)
    counts = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 2.4 + 0.34 * min(classes, _CLASSES)
    ax = ax or plt.figure(figsize=(size + 1, size), layout="constrained").subplots()
    drawn = ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    ax.figure.colorbar(drawn, ax=ax, label="share of the true class", shrink=0.9)
    if classes <= _CLASSES:
        longest = len(str(counts.max()))
        for i, j in np.ndindex(counts.shape):
            colour = "white" if share[i, j] > 0.5 else "black" if counts[i, j] else "0.65"
            font = 10 if longest <= 3 else 8 if longest <= 5 else 6
            ax.text(j, i, str(counts[i, j]), ha="center", va="center", color=colour, fontsize=font)
        tilted = max(map(len, names)) > 2
        ax.set_xticks(range(classes), names, rotation=45 if tilted else 0, ha="right" if tilted else "center")
        ax.set_yticks(range(classes), names)
    ax.set(xlabel="predicted class", ylabel="true class")
    return ax


def decision_surface(model: DFN, X: ArrayLike, y: ArrayLike, ax: Axes | None = None) -> Axes:
    """What the model predicts over the plane of its two inputs, with the points X (n, 2) in the colours of y (n,).

    With an output for each class every place has the pale colour of the most probable class, the paler the less sure,
    with lines where the class changes; the points have the strong colours of their own. With one output the colour is
    the probability of class 1, with a line where that is 1/2, or the number that is predicted, and a bar says which.

    Parameters
    ----------
    model : DFN
    X : array (n, 2)
    y : array (n,) or (n, n_out)
        Targets as for `fit`.
    ax : matplotlib axes, optional

    Raises
    ------
    ValueError
        X has not two columns, y does not fit, or the model predicts several numbers for a row.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> X, y = np.eye(2), np.asarray([0, 1])
    >>> ax = decision_surface(DFN(3, 2, seed=0).fit(X, y, 5, verbose=None), X, y)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['0', '1']
    """
    X = as_array("X", X)
    y = as_array("y", y, lambda: place(X))
    require_array("X", X, 2)
    require_array("y", y, 1 if getattr(y, "ndim", 2) == 1 else 2)
    if X.shape[1] != 2:
        raise ValueError(f"a decision surface needs two inputs, X (n, 2), got shape {tuple(X.shape)}")
    if y.shape[0] != X.shape[0]:
        raise ValueError(f"X and y must have the same number of rows, got {X.shape[0]} and {y.shape[0]}")
    points = to_numpy(X)
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.25 * np.maximum(high - low, 1e-6)
    axes = [np.linspace(a - m, b + m, _POINTS) for a, b, m in zip(low, high, margin, strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    there = put(grid, place(X), X.dtype if namespace(X).isdtype(X.dtype, "real floating") else None)
    values = to_numpy(model.predict_proba(there)).reshape(_POINTS, _POINTS, -1)
    outputs = values.shape[-1]
    if outputs > 1 and not type(model.loss).unit_rows:
        raise ValueError(f"a decision surface shows one number a point, and the model has {outputs} outputs")
    n_out = next(reversed(model.layers.values())).n_out or 0
    check_targets(y, X, model.loss, n_out)
    check_values(X, y, model.loss, n_out)
    ax = ax or plt.figure(figsize=(4.6, 3.8), layout="constrained").subplots()
    size = min(60.0, max(4.0, 6000 / len(points)))  # many points would hide the surface
    edge, (x1, x2) = 0.1 * math.sqrt(size), points.T
    if model.loss.classifies:
        labels = to_numpy(model.loss.labels(y, outputs)).astype(np.int64)
        colours = _classes(ax, axes, values) if outputs > 1 else _probability(ax, axes, values[..., 0])
        ax.scatter(x1, x2, size, colours[labels], linewidth=edge, edgecolor="white", zorder=3)
    else:
        targets = to_numpy(y).ravel()
        norm = _numbers(ax, axes, values[..., 0], targets)
        ax.scatter(x1, x2, size, targets, cmap=_SCALE, norm=norm, linewidth=edge, edgecolor="black", zorder=3)
    ax.set(xlabel="x1", ylabel="x2", xlim=axes[0][[0, -1]], ylim=axes[1][[0, -1]])
    return ax


def _palette(count: int) -> Host:
    """The colours of the classes."""
    many = plt.get_cmap("turbo")(np.linspace(0.03, 0.97, count))
    return np.asarray([to_rgb(colour) for colour in (_COLOURS if count <= len(_COLOURS) else many)[:count]])


def _pale(colours: Host, strength: float | Host = 0.4) -> Host:
    return 1 - strength * (1 - colours)


def _classes(ax: Axes, axes: list[Host], values: Host) -> Host:
    """The surface of the classes by their probabilities (rows, columns, classes); return the colours of the points."""
    count = values.shape[-1]
    colours = _palette(count)
    sure = (values.max(axis=-1, keepdims=True) - 1 / count) / (1 - 1 / count)
    (left, right), (bottom, top) = (line[[0, -1]] for line in axes)
    image = _pale(colours[values.argmax(axis=-1)], 0.12 + 0.28 * sure)
    ax.imshow(image, extent=(left, right, bottom, top), origin="lower", aspect="auto", interpolation="bilinear")
    for k in range(count if count > 2 else 1):
        lead = values[..., k] - np.delete(values, k, axis=-1).max(axis=-1)
        if lead.min() < 0 < lead.max():
            ax.contour(*axes, lead, levels=[0], colors="0.25", linewidths=0.8)
    handles = [
        (Patch(facecolor=tuple(_pale(colour))), Line2D([], [], color=colour, marker="o", markersize=5, linewidth=0))
        for colour in colours
    ]
    columns, names = math.ceil(count / 16), [str(k) for k in range(count)]
    ax.legend(
        handles, names, title="class", loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, ncols=columns
    )
    return colours


def _probability(ax: Axes, axes: list[Host], surface: Host) -> Host:
    """The surface of the probability of class 1, with its bar; return the colours of the points."""
    colours = _palette(2)
    none, full = _pale(colours, 0.6)
    shades = LinearSegmentedColormap.from_list("", [none, "white", full])
    drawn = ax.contourf(*axes, surface, levels=np.linspace(0, 1, 21), cmap=shades)
    ax.figure.colorbar(drawn, ax=ax, label="probability of class 1", ticks=np.linspace(0, 1, 6))
    if surface.min() < 0.5 < surface.max():
        ax.contour(*axes, surface, levels=[0.5], colors="0.25", linewidths=0.8)
    return colours


def _numbers(ax: Axes, axes: list[Host], surface: Host, y: Host) -> Normalize:
    """The surface of one number, with its bar; return which numbers are at the ends of the scale."""
    levels = MaxNLocator(20).tick_values(min(surface.min(), y.min()), max(surface.max(), y.max()))
    pale = ListedColormap(_pale(plt.get_cmap(_SCALE)(np.linspace(0, 1, 256))[:, :3], 0.65))
    ax.figure.colorbar(ax.contourf(*axes, surface, levels=levels, cmap=pale), ax=ax, label="prediction")
    return Normalize(levels[0], levels[-1])
