"""How the errors flow back through the layers."""

import copy

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from xdfn.backend import Array, computing, to_numpy
from xdfn.model import DFN
from xdfn.nn.activations import Affine
from xdfn.nn.layers.base import LayerBase
from xdfn.nn.layers.dense import FullyConnected
from xdfn.nn.network import fuse_link
from xdfn.train.checks import check_inputs, check_targets, check_values

__all__ = ["error_flow"]

_BACK = "#b34700"  # the colour of the way back
_HALF = 0.32  # of the width of a box
_LAYERS = 10  # the most that have room for their names across


def error_flow(model: DFN, X: Array, y: Array, ax: Axes | None = None) -> Axes:
    r"""How large the errors delta are that come to each layer from the loss of given rows: vanishing gradients show.

    Above, the layers from left to right, with the outputs a^l on the way forward and the errors delta^l on the way
    back. Below, on a log scale, the length of delta^l, the mean over the rows. delta^l is the gradient of a row's loss
    at the scores z^l of the layer, or at its outputs where it has no activation. A last softmax or sigmoid that is the
    loss's own link counts as part of the loss. It is a step of training, with Dropout's masks and BatchNorm's
    statistics of these rows; the model is left as it is.

    Parameters
    ----------
    model : DFN
    X : array (n, n_in)
    y : array (n,) or (n, n_out)
        Targets as for `fit`. A batch of rows is enough.
    ax : matplotlib axes, optional

    Raises
    ------
    ValueError
        The model has no parameters yet, or X or y does not fit.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> X, y = np.eye(4), np.asarray([0, 1, 0, 1])
    >>> deep = DFN(layers=["fc(8, 'sigmoid')"] * 6 + [2], seed=0).initialize(X)
    >>> (below,) = error_flow(deep, X, y).child_axes
    >>> [text.get_text() for text in below.texts]
    ['0.00011', '0.00033', '0.0015', '0.0053', '0.026', '0.18', '0.71']
    """
    lengths = _lengths(model, X, y)
    count = len(lengths)
    size = (1.2 * (count + 2), 4.2) if count <= _LAYERS else (0.75 * (count + 2), 4.6)
    ax = ax or plt.figure(figsize=size, layout="constrained").subplots()
    for place in range(count + 2):
        _box(ax, place, list(model.layers.items()))
        if place <= count:
            _arrows(ax, place, count)
    ax.set(xlim=(-0.6, count + 1.6), ylim=(-3.4, 1.3))
    ax.axis("off")
    _bars(ax, lengths)
    return ax


def _lengths(model: DFN, X: Array, y: Array) -> list[float]:
    """The mean over the rows of the length of delta, for each layer."""
    model.config().require_initialized()
    n_in, n_out = model.config().n_in, model.config().n_out
    check_inputs(X, n_in)
    check_targets(y, X, model.loss, n_out)
    check_values(X, y, model.loss, n_out)
    probe = copy.copy(model)
    probe.layers = dict(zip(probe.layers, fuse_link(list(probe.layers.values()), probe.loss), strict=True))
    probe.flush_gradients()
    scores, inputs = probe.forward(X)
    with computing(X):
        _, dz = probe.loss.value_and_grad(probe.loss.targets(y, scores), scores, 1.0)
        _, gradients = probe.backward(dz)
        deltas = [_delta(layer, inputs[name], gradients[name]) for name, layer in probe.layers.items()]
    with np.errstate(all="ignore"):  # in float64, for the squares of small numbers vanish in float32
        return [float(np.linalg.norm(to_numpy(delta).astype("float64"), axis=1).mean()) for delta in deltas]


def _delta(layer: LayerBase, x: Array, da: Array) -> Array:
    """The gradient at the scores of a layer, from that at its outputs."""
    if not isinstance(layer, FullyConnected):
        return da
    linear = layer.clone()
    linear.acti_fn = Affine()
    z = linear.forward(x, retain_derived=False)
    return layer.acti_fn.pullback(z, layer.acti_fn.forward(z), da)


def _box(ax: Axes, place: int, layers: list[tuple[str, LayerBase]]) -> None:
    """The input, a layer or the loss."""
    many = len(layers) > _LAYERS
    if place in (0, len(layers) + 1):
        ax.text(place, 0, "$L$" if place else "$x$", ha="center", va="center", fontsize=14)
        return
    name, layer = layers[place - 1]
    words = [name, str(layer.n_out), *([type(layer.acti_fn).__name__] if layer.acti_fn else [])]
    ax.add_patch(Rectangle((place - _HALF, -0.9), 2 * _HALF, 1.8, facecolor="0.93", edgecolor="black", linewidth=0.8))
    look = {"rotation": 90, "fontsize": 8} if many else {"linespacing": 1.3, "fontsize": 7.5}
    ax.text(place, 0, (" " if many else "\n").join(words), ha="center", va="center", **look)


def _arrows(ax: Axes, place: int, count: int) -> None:
    """From a place to the next: the outputs forward, and the errors back, except to the input, which learns nothing."""
    left, right = place + (_HALF if place else 0.18), place + 1 - (_HALF if place < count else 0.18)
    middle, font = (left + right) / 2, 10 if count <= _LAYERS else 8
    look = {"arrowstyle": "-|>", "shrinkA": 1, "shrinkB": 1}
    ax.annotate("", (right, 0.25), (left, 0.25), arrowprops={**look, "color": "0.2"})
    ax.text(middle, 0.4, f"$a^{{{place}}}$" if place else "", ha="center", va="bottom", fontsize=font)
    if place:
        ax.annotate("", (left, -0.25), (right, -0.25), arrowprops={**look, "color": _BACK, "linestyle": "--"})
        label = rf"$\delta^{{{place + 1}}}$" if place < count else ""
        ax.text(middle, -0.42, label, ha="center", va="top", fontsize=font, color=_BACK)


def _bars(ax: Axes, lengths: list[float]) -> None:
    """Below the boxes, how long the errors are."""
    places = range(1, len(lengths) + 1)
    shown = [value for value in lengths if 0 < value < np.inf]
    low, high = (np.log10(f(shown)) if shown else 0.0 for f in (min, max))
    low, high = np.floor(low - 0.4), max(np.ceil(high + 0.4), np.floor(low - 0.4) + 2)
    below = ax.inset_axes((0, 0, 1, 0.44))
    # the limits first: from data that are all 0 a log scale finds none
    below.set(yscale="log", xlim=ax.get_xlim(), ylim=(10**low, 10**high), ylabel=r"mean $\|\delta^l\|$")
    below.bar(places, [value if value < np.inf else 0.0 for value in lengths], 2 * _HALF, color=_BACK, alpha=0.5)
    for place, value in zip(places, lengths, strict=True):
        height = value if value in shown else 10.0**low
        text = f"{value:.2g}".replace("-", "−")
        below.annotate(text, (place, height), (0, 2), textcoords="offset points", ha="center", va="bottom", fontsize=8)
    below.set_xticks(places, [rf"$\delta^{{{place}}}$" for place in places])
    below.set_xlabel(r"$\delta^l = \partial L/\partial z^l$, of each row's loss")
    below.spines[["top", "right"]].set_visible(False)
