"""Pictures: the network as a diagram, the curves of its training, the surface of its decisions. Needs matplotlib
(`pip install matplotlib`), which is imported here and nowhere else. Each function draws into given axes or new ones,
and returns them.
"""

from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from xdfn._backend import Array, namespace, place, put, require_array, to_numpy
from xdfn.layers import LayerBase
from xdfn.model import DFN

_NEURONS = 16  # the widest layer that is drawn neuron by neuron
_POINTS = 200  # of a surface, along each axis


def network(model: DFN, ax: Any = None) -> Any:
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
    if not model.is_initialized:
        raise ValueError("the model has no parameters yet: call fit or initialize first")
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


def _heights(size: int) -> "np.ndarray[Any, Any]":
    return np.linspace(1, -1, size) if size > 1 else np.zeros(1)


def _weights(layer: LayerBase, n_in: int, n_out: int) -> "np.ndarray[Any, Any]":
    """The matrix W, or for a layer without one what its shape says: neuron to neuron, or all to all."""
    W = layer.params.get("W")
    if W is not None and tuple(W.shape) == (n_in, n_out):
        return to_numpy(W)
    return np.eye(n_in) if n_in == n_out else np.ones((n_in, n_out))


def _lines(ax: Any, column: int, W: "np.ndarray[Any, Any]") -> None:
    """The weights between two columns of neurons."""
    start, end = (_heights(size) for size in W.shape)
    segments = [[(column, a), (column + 1, b)] for a in start for b in end]
    strength = np.abs(W).ravel() / max(np.abs(W).max(), 1e-12)
    colours = ["C3" if w > 0 else "C0" for w in W.ravel()]
    ax.add_collection(LineCollection(segments, linewidths=0.2 + 2.3 * strength, colors=colours, alpha=0.7))


def history(model: DFN, ax: Any = None) -> Any:
    """The curves of `model.history` over the epochs.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> model = DFN(3, 2, seed=0).fit(np.eye(4), np.asarray([0, 1, 0, 1]), 5, verbose=None)
    >>> history(model).get_xlabel()
    'epoch'
    """
    ax = ax or plt.figure(figsize=(5, 3.6), layout="constrained").subplots()
    for name, values in model.history.items():
        ax.plot(range(1, len(values) + 1), values, marker="o" if len(values) <= 30 else "", label=name)
    ax.set(xlabel="epoch", ylabel=f"mean {type(model.loss).__name__}")
    ax.legend()
    return ax


def decision_surface(model: DFN, X: Array, y: Array, ax: Any = None) -> Any:
    """What the model predicts over the plane of its two inputs, with the points X (n, 2) in the colours of y (n,).

    The colour is the probability of class 1 for two classes, with a line where that is 1/2; the class for more; the
    prediction for numbers, of which there must be one a row.

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
    ax.get_figure().colorbar(ax.contourf(*axes, surface, levels=20, cmap="coolwarm"), ax=ax)
    if model.loss.classifies and columns <= 2 and surface.min() < 0.5 < surface.max():
        ax.contour(*axes, surface, levels=[0.5], colors="black", linewidths=1)
    labels = labels.argmax(axis=1) if labels.ndim == 2 and labels.shape[1] > 1 else labels.ravel()
    ax.scatter(points[:, 0], points[:, 1], c=labels, cmap="coolwarm", edgecolor="black", s=60)
    ax.set(xlabel="x1", ylabel="x2")
    return ax
