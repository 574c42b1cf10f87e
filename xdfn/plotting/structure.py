"""The network as a diagram."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from xdfn.backend import Array, Host, to_numpy
from xdfn.model import DFN
from xdfn.nn.layers.base import LayerBase, named
from xdfn.nn.layers.residual import Residual

__all__ = ["network"]

_NEURONS = 16  # the widest layer that is drawn neuron by neuron
_GREY = "0.35"  # of what has no weight: arrows, and the skip of a residual block


class _Column(NamedTuple):
    """What stands at one place of the diagram: the inputs, the outputs of a layer, or x + f(x) of a block.

    Attributes
    ----------
    size : number of neurons
    label : what is written below
    W : (size of the column before, size), the lines that lead here; None for a sum, to which neurons lead one by one
    """

    size: int
    label: str
    W: Host | None = None


class _Block(NamedTuple):
    """A residual block: the columns of its x and of its sum, and how many blocks deep others lie in it, with itself."""

    start: int
    end: int
    depth: int


def network(model: DFN, ax: Axes | None = None) -> Axes:
    r"""A diagram of the network from left to right.

    Small networks show their neurons, and their weights as lines: red for positive ones, blue for negative ones, the
    thicker the larger. Wide ones show a block a layer with its size. A residual block shows the layers of its f on
    grey ground, and over them the way of x to the plus of x + f(x). The model must have its parameters.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> ax = network(DFN(3, 2, seed=0).initialize(np.zeros((1, 2))))
    >>> [text.get_text() for text in ax.texts][:2]
    ['input\n2', 'FC1\n3 Sigmoid']
    """
    model.config().require_initialized()
    first = next(iter(model.layers.values()))
    columns, blocks = [_Column(first.n_in or 0, f"input\n{first.n_in}")], list[_Block]()
    _walk(((name, layer, layer.params) for name, layer in model.layers.items()), columns, blocks)
    count, top = len(columns), max((_ceiling(block) + 0.25 for block in blocks), default=1.2)
    width = count * min(1.7, max(1.15, 24 / count)) + 0.4
    ax = ax or plt.figure(figsize=(width, 1.1 * (top + 1.9)), layout="constrained").subplots()
    neurons = max(column.size for column in columns) <= _NEURONS
    for block in blocks:
        _skip(ax, block, columns, neurons)
    for place, column in enumerate(columns):
        (_neurons if neurons else _box)(ax, place, columns)
        ax.text(place, -1.25, column.label, ha="center", va="top", fontsize=9, linespacing=1.3)
    ax.set(xlim=(-0.5, count - 0.5), ylim=(-1.85, top))
    ax.axis("off")
    return ax


def _walk(
    layers: Iterable[tuple[str, LayerBase, Mapping[str, Array]]], columns: list[_Column], blocks: list[_Block]
) -> int:
    """Add the columns of the layers, and their blocks; return how many blocks lie in one another."""
    depth = 0
    for name, layer, params in layers:
        n_in, start = columns[-1].size, len(columns) - 1
        if isinstance(layer, Residual):
            inner = [(key, part, _within(params, key)) for key, part in named(layer.inner).items()]
            blocks.append(_Block(start, 0, 0))
            at = len(blocks) - 1
            deep = 1 + _walk(inner, columns, blocks)
            columns.append(_Column(n_in, f"{name}\n{n_in}, x + f(x)"))
            blocks[at] = _Block(start, len(columns) - 1, deep)
            depth = max(depth, deep)
        else:
            # a layer in a block is not told its sizes
            n_out = layer.n_out or layer.init(np.random.default_rng(0), n_in)[2]
            kind = f" {type(layer.acti_fn).__name__}" if layer.acti_fn else ""
            columns.append(_Column(n_out, f"{name}\n{n_out}{kind}", _matrix(params, n_in, n_out)))
    return depth


def _within(params: Mapping[str, Array], name: str) -> dict[str, Array]:
    """The parameters of a layer in a block."""
    return {key.removeprefix(f"{name}."): value for key, value in params.items() if key.startswith(f"{name}.")}


def _matrix(params: Mapping[str, Array], n_in: int, n_out: int) -> Host:
    """The matrix W, or for a layer without one what its shape says: neuron to neuron, or all to all."""
    W = params.get("W")
    if W is not None and tuple(W.shape) == (n_in, n_out):
        return to_numpy(W)
    return np.eye(n_in) if n_in == n_out else np.ones((n_in, n_out))


def _heights(size: int) -> Host:
    return np.linspace(1, -1, size) if size > 1 else np.zeros(1)


def _neurons(ax: Axes, place: int, columns: list[_Column]) -> None:
    """The neurons of a column, with the lines that lead to them."""
    size, _, W = columns[place]
    heights = _heights(size)
    ax.scatter([place] * size, heights, s=140, color="white", edgecolor="black", zorder=3)
    if place and W is None:
        ax.scatter([place] * size, heights, s=50, marker="+", color="black", linewidth=1.2, zorder=4)
        lines = LineCollection([[(place - 1, y), (place, y)] for y in heights], linewidths=1, colors=_GREY)
        ax.add_collection(lines)
    elif W is not None:
        segments = [[(place - 1, a), (place, b)] for a in _heights(len(W)) for b in heights]
        strength = np.abs(W).ravel() / max(np.abs(W).max(), 1e-12)
        colours = ["C3" if w > 0 else "C0" for w in W.ravel()]
        ax.add_collection(LineCollection(segments, linewidths=0.2 + 2.3 * strength, colors=colours, alpha=0.7))


def _box(ax: Axes, place: int, columns: list[_Column]) -> None:
    """A column as a block, the higher the wider its layer is, or as a plus, with an arrow to it."""
    size, _, W = columns[place]
    left, right = (0.11 if columns[i].W is None and i else 0.24 for i in (place - 1, place))
    if place:
        ax.annotate("", (place - right, 0), (place - 1 + left, 0), arrowprops={"arrowstyle": "-|>", "color": _GREY})
    if place and W is None:
        ax.scatter([place], [0], s=200, color="white", edgecolor="black", zorder=3)
        ax.scatter([place], [0], s=90, marker="+", color="black", linewidth=1.4, zorder=4)
    else:
        height = 0.5 + 1.5 * np.log1p(size) / np.log1p(max(column.size for column in columns))
        ax.add_patch(Rectangle((place - 0.22, -height / 2), 0.44, height, facecolor="0.9", edgecolor="black", zorder=2))


def _ceiling(block: _Block) -> float:
    """The upper end of the ground of a block."""
    return 1 + 0.36 * block.depth


def _skip(ax: Axes, block: _Block, columns: list[_Column], neurons: bool) -> None:
    """The way of x over a block to its sum, and the ground of its f."""
    start, end, _ = block
    top = _ceiling(block)
    if neurons:  # from the uppermost neuron to the uppermost; a sum may be the x of the next block
        left, right = start + 0.07, end - 0.07
        low, high = (_heights(columns[i].size)[0] + 0.13 for i in (start, end))
    else:  # from the arrow to the first layer
        left, right, low, high = start + 0.36, float(end), 0.0, 0.13
    ground = Rectangle((start + 0.5, -1.8), end - start - 1, top + 1.8, facecolor="0.5", alpha=0.13, zorder=0)
    ax.add_patch(ground)
    ax.plot([left, left, right, right], [low, top + 0.13, top + 0.13, high + 0.1], color=_GREY, linewidth=1.6, zorder=1)
    ax.annotate("", (right, high), (right, high + 0.25), arrowprops={"arrowstyle": "-|>", "color": _GREY, "lw": 1.6})
    ax.text((start + end) / 2, top - 0.03, "f", ha="center", va="top", fontsize=9, style="italic")
