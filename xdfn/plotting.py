"""Pictures: the network as a diagram, its weights as images, the curves of its training and of a search for its
learning rate, the surface of its decisions, and its confusion matrix. Needs matplotlib (`pip install matplotlib`),
which is imported here and nowhere else. Each function draws into given axes or new ones, and returns them.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from xdfn.backend import Array, Host, namespace, place, put, require_array, to_numpy
from xdfn.core.fields import integer
from xdfn.model import DFN
from xdfn.nn.layers.base import LayerBase
from xdfn.train.checks import check_targets, check_values

__all__: list[str] = []

_NEURONS = 16  # the widest layer that is drawn neuron by neuron
_POINTS = 200  # of a surface, along each axis
_EPOCHS = 30  # the most that are marked one by one
_CLASSES = 20  # the most between which there is room for numbers


def network(model: DFN, ax: Axes | None = None) -> Axes:
    r"""A diagram of the network from left to right.

    Small networks show their neurons, and their weights as lines: red for positive ones, blue for negative ones, the
    thicker the larger. Wide ones show a block a layer with its size. The model must have its parameters.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> ax = network(DFN(3, 2, seed=0).initialize(np.zeros((1, 2))))
    >>> [text.get_text() for text in ax.texts][:2]
    ['input\n2', 'FC1\n3 Sigmoid']
    """
    _require_parameters(model)
    ax = ax or plt.figure(figsize=(1.9 * len(model.layers) + 2, 3.6), layout="constrained").subplots()
    first = next(iter(model.layers.values()))
    sizes, labels = [first.n_in or 0], [f"input\n{first.n_in}"]
    for name, layer in model.layers.items():
        sizes.append(layer.n_out or 0)
        kind = type(layer.acti_fn).__name__ if layer.acti_fn else type(layer).__name__
        labels.append(f"{name}\n{layer.n_out} {kind}")
    neurons = max(sizes) <= _NEURONS
    for column, (layer, size) in enumerate(zip(model.layers.values(), sizes[1:], strict=True)):
        if neurons:
            _lines(ax, column, _weights(layer, sizes[column], size))
        else:
            ax.annotate("", (column + 0.8, 0), (column + 0.2, 0), arrowprops={"arrowstyle": "-|>", "color": "0.4"})
    for column, (size, label) in enumerate(zip(sizes, labels, strict=True)):
        if neurons:
            ax.scatter([column] * size, _heights(size), s=140, color="white", edgecolor="black", zorder=3)
        else:
            height = 0.5 + 1.5 * np.log1p(size) / np.log1p(max(sizes))
            ax.add_patch(Rectangle((column - 0.2, -height / 2), 0.4, height, facecolor="0.9", edgecolor="black"))
        ax.text(column, -1.3, label, ha="center", va="top", fontsize=9)
    ax.set(xlim=(-0.5, len(sizes) - 0.5), ylim=(-1.9, 1.2))
    ax.axis("off")
    return ax


def _require_parameters(model: DFN) -> None:
    if not model.is_initialized:
        raise ValueError("the model has no parameters yet: call fit or initialize first")


def _heights(size: int) -> Host:
    return np.linspace(1, -1, size) if size > 1 else np.zeros(1)


def _weights(layer: LayerBase, n_in: int, n_out: int) -> Host:
    """The matrix W, or for a layer without one what its shape says: neuron to neuron, or all to all."""
    W = layer.params.get("W")
    if W is not None and tuple(W.shape) == (n_in, n_out):
        return to_numpy(W)
    return np.eye(n_in) if n_in == n_out else np.ones((n_in, n_out))


def _lines(ax: Axes, column: int, W: Host) -> None:
    """The weights between two columns of neurons."""
    start, end = (_heights(size) for size in W.shape)
    segments = [[(column, a), (column + 1, b)] for a in start for b in end]
    strength = np.abs(W).ravel() / max(np.abs(W).max(), 1e-12)
    colours = ["C3" if w > 0 else "C0" for w in W.ravel()]
    ax.add_collection(LineCollection(segments, linewidths=0.2 + 2.3 * strength, colors=colours, alpha=0.7))


def weights(
    model: DFN, layer: str | None = None, shape: tuple[int, int] | None = None, n: int = 64, ax: Axes | None = None
) -> Axes:
    r"""The weights into each unit of a layer as a small image: red for positive ones, blue for negative ones.

    Images are apart by a line of one pixel and run row by row from the top. Each has a scale of its own, from minus
    its largest weight to plus that.

    Parameters
    ----------
    model : DFN
    layer : str, optional
        Its name; without one the first layer that has a matrix W (n_in, n_out). The columns of W are the images.
    shape : (int, int), optional
        Rows and columns of an image, n_in pixels in all; without it the image is a square.
    n : int
        How many units to show at most: the first ones.
    ax : matplotlib axes, optional

    Raises
    ------
    ValueError
        The model has no parameters yet, the layer no matrix W, or n_in is no square and there is no shape that fits.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> ax = weights(DFN(3, 2, seed=0).initialize(np.zeros((1, 16))))
    >>> ax.get_title(), ax.get_images()[0].get_array().shape
    ('FC1: all 3 units\n4 × 4 weights into each', (9, 9))
    """
    _require_parameters(model)
    matrices = {name: part.params["W"] for name, part in model.layers.items() if _has_matrix(part)}
    if not matrices or (layer is not None and layer not in matrices):
        asked = "" if layer is None else f": {layer!r}"
        raise ValueError(f"no matrix W{asked}; layers that have one: {', '.join(matrices) or 'none'}")
    layer = next(iter(matrices)) if layer is None else layer
    W = to_numpy(matrices[layer])
    n_in, units = W.shape
    side = math.isqrt(n_in)
    if shape is None and side * side != n_in:
        raise ValueError(f"{layer} has {n_in} inputs, which make no square: give shape=(rows, columns)")
    if shape is not None and not (isinstance(shape, (tuple, list)) and len(shape) == 2):
        raise ValueError(f"shape must be (rows, columns), got {shape!r:.80}")
    rows, columns = (integer("shape", size) for size in shape or (side, side))
    if rows * columns != n_in:
        raise ValueError(f"shape must have {n_in} pixels, one for each input of {layer}, got {rows} times {columns}")
    count = min(integer("n", n), units)
    across = min(count, math.ceil(math.sqrt(count * rows / columns)))  # so that all of it is about a square
    down = math.ceil(count / across)
    tiles = np.full((down * (rows + 1) - 1, across * (columns + 1) - 1), np.nan)
    for j in range(count):
        top, left = (j // across) * (rows + 1), (j % across) * (columns + 1)
        image = W[:, j].reshape(rows, columns)
        tiles[top : top + rows, left : left + columns] = image / max(float(np.abs(image).max()), 1e-30)
    ax = ax or plt.figure(figsize=(5.4, 5), layout="constrained").subplots()
    drawn = ax.imshow(tiles, cmap=plt.get_cmap("RdBu_r").with_extremes(bad="0.6"), vmin=-1, vmax=1)
    bar = ax.figure.colorbar(drawn, ax=ax, shrink=0.5, ticks=[-1, 0, 1])
    bar.ax.set_yticklabels(["-max", "0", "max"])
    which = f"all {units} units" if count == units else f"the first {count} of {units} units"
    ax.set_title(f"{layer}: {which}\n{rows} × {columns} weights into each", fontsize="medium")
    ax.axis("off")
    return ax


def _has_matrix(layer: LayerBase) -> bool:
    return "W" in layer.params and layer.params["W"].ndim == 2


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


def confusion_matrix(
    model: DFN, X: Array, y: Array, ax: Axes | None = None, labels: Sequence[object] | None = None
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


def decision_surface(model: DFN, X: Array, y: Array, ax: Axes | None = None) -> Axes:
    """What the model predicts over the plane of its two inputs, with the points X (n, 2) in the colours of y (n,).

    The colour is the probability of class 1 for two classes, with a line where that is 1/2; the class for more; the
    prediction for numbers, one for each row.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> X, y = np.eye(2), np.asarray([0, 1])
    >>> decision_surface(DFN(3, 2, seed=0).fit(X, y, 5, verbose=None), X, y).get_xlabel()
    'x1'
    """
    require_array("X", X, 2)
    require_array("y", y, 1 if getattr(y, "ndim", 2) == 1 else 2)
    if X.shape[1] != 2:
        raise ValueError(f"a decision surface needs two inputs, X (n, 2), got shape {tuple(X.shape)}")
    if y.shape[0] != X.shape[0]:
        raise ValueError(f"X and y must have the same number of rows, got {X.shape[0]} and {y.shape[0]}")
    ax = ax or plt.figure(figsize=(4.6, 3.8), layout="constrained").subplots()
    points, labels = to_numpy(X), to_numpy(y)
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.25 * np.maximum(high - low, 1e-6)
    axes = [np.linspace(a - m, b + m, _POINTS) for a, b, m in zip(low, high, margin, strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    there = put(grid, place(X), X.dtype if namespace(X).isdtype(X.dtype, "real floating") else None)
    values = to_numpy(model.predict_proba(there))
    columns = values.shape[1] if values.ndim == 2 else 1
    if columns > 2 and model.loss.classifies:
        values = values.argmax(axis=1)
    elif columns > 1 and not (columns == 2 and type(model.loss).unit_rows):
        raise ValueError(f"a decision surface shows one number a point, and the model has {columns} outputs")
    surface = values.reshape(len(grid), -1)[:, -1].reshape(_POINTS, _POINTS)
    ax.figure.colorbar(ax.contourf(*axes, surface, levels=20, cmap="coolwarm"), ax=ax)
    if model.loss.classifies and columns <= 2 and surface.min() < 0.5 < surface.max():
        ax.contour(*axes, surface, levels=[0.5], colors="black", linewidths=1)
    labels = labels.argmax(axis=1) if labels.ndim == 2 and labels.shape[1] > 1 else labels.ravel()
    ax.scatter(points[:, 0], points[:, 1], c=labels, cmap="coolwarm", edgecolor="black", s=60)
    ax.set(xlabel="x1", ylabel="x2")
    return ax
