"""One unit of a layer, as textbooks draw it: forward from its inputs to a, and back from a to the gradients."""

from typing import NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from xdfn.backend import Array, require_array, to_numpy
from xdfn.core.fields import integer, number
from xdfn.nn.layers.base import LayerBase
from xdfn.nn.layers.dense import FullyConnected

__all__ = ["neuron"]

_INPUTS = 6  # the most that are shown one by one; of more the first four and the last
_BACK = "#b34700"  # the colour of the way back
_LABELS, _SUM, _G, _END = 1.55, 4.9, 7.6, 9.7  # where the parts stand, right of the inputs


class _Input(NamedTuple):
    """A row of the picture: one input, the 1 of the bias, or dots for inputs that are left out.

    Attributes
    ----------
    name : in the input's circle
    weight, gradient : on the edge, of the way forward and of the way back; none for dots
    value : beside the circle
    """

    name: str
    weight: str = ""
    gradient: str = ""
    value: str = ""


class _Unit(NamedTuple):
    """What is written at the arrows, and the two formulas."""

    z: str = "$z$"
    a: str = "$a$"
    da: str = r"$\partial L/\partial a$"
    delta: str = r"$\delta$"
    a_formula: str = r"$a = g(z)$"
    delta_formula: str = r"$\delta = \partial L/\partial z = g\,'(z)\;\partial L/\partial a$"


def neuron(
    layer: LayerBase | None = None, unit: int = 0, x: Array | None = None, da: float = 1.0, ax: Axes | None = None
) -> Axes:
    r"""A single unit: forward z = sum_j w_j x_j + b and a = g(z), and in another colour the way back.

    That is delta = dL/dz = g'(z) dL/da, dL/dw_j = delta x_j and dL/db = delta. Alone the picture has these symbols;
    with a layer and a row x it has the numbers as well. Of many inputs it shows the first ones and the last.

    Parameters
    ----------
    layer : FullyConnected, optional
        With its parameters, such as ``model.layers["FC1"]``.
    unit : int
        Which of its units.
    x : array (n_in,), optional
        The inputs of the layer: a row of X, or of the outputs of the layer before it.
    da : float
        dL/da, the gradient of the loss at the unit's output. With 1 the gradients are those of a itself.
    ax : matplotlib axes, optional

    Raises
    ------
    ValueError
        A layer without x or x without a layer, a layer of another kind or without parameters, or a unit or an x that
        does not fit.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> layer, X = FullyConnected(1, "tanh", "constant(0.5)"), np.asarray([[3.0, -1.0]])
    >>> layer.forward(X, retain_derived=False).round(3)
    array([[0.762]])
    >>> ax = neuron(layer, 0, X[0, :])
    >>> [text.get_text() for text in ax.texts if text.get_text().startswith(("$z$", "$a$"))]
    ['$z$ = 1', '$a$ = 0.762']
    """
    if (layer is None) != (x is None):
        raise ValueError("neuron expects a layer and its inputs x, for numbers, or neither, for symbols")
    inputs, texts = _symbols() if layer is None or x is None else _numbers(layer, unit, x, number("da", da))
    rows = len(inputs)
    ax = ax or plt.figure(figsize=(9, 0.7 * max(rows, 3) + 0.7), layout="constrained").subplots()
    for row, part in enumerate(inputs):
        _edge(ax, (rows - 1) / 2 - row, part)
    for start, end, forward, back in ((_SUM, _G, texts.z, texts.delta), (_G, _END, texts.a, texts.da)):
        last = 0.0 if end == _END else 0.36
        _arrow(ax, (start + 0.36, 0.09), (end - last, 0.09))
        _arrow(ax, (end - last, -0.09), (start + 0.36, -0.09), back=True)
        ax.text((start + end) / 2, 0.2, forward, ha="center", va="bottom")
        ax.text((start + end) / 2, -0.22, back, ha="center", va="top", color=_BACK)
    for place, sign in ((_SUM, r"$\Sigma$"), (_G, "$g$")):
        _circle(ax, place, 0, sign, 900)
    ax.text(_SUM - 0.2, 0.62, r"$z = \Sigma_j\, w_j x_j + b$", va="bottom")
    ax.text(_G, 0.62, texts.a_formula, ha="center", va="bottom")
    ax.text(_G, -0.62, texts.delta_formula, ha="center", va="top", color=_BACK)
    limit = max((rows - 1) / 2 + 0.45, 1.15)
    ax.set(xlim=(-0.5 if layer is None else -1.5, _END + 0.2), ylim=(-limit, limit))
    ax.axis("off")
    return ax


def _symbols() -> tuple[list[_Input], _Unit]:
    some = [_Input(f"$x_{j}$", f"$w_{j}$", rf"$\partial L/\partial w_{j} = \delta\, x_{j}$") for j in "12n"]
    bias = _Input("1", "$b$", r"$\partial L/\partial b = \delta$")
    return [*some[:2], _Input(r"$\vdots$"), some[2], bias], _Unit()


def _numbers(layer: LayerBase, unit: int, x: Array, da: float) -> tuple[list[_Input], _Unit]:
    if not isinstance(layer, FullyConnected) or not layer.is_initialized:
        raise ValueError(f"layer must be FullyConnected and have its parameters, got {layer!r:.80}")
    require_array("x", x, 1)
    W, b = (to_numpy(layer.params[name]).astype("float64") for name in ("W", "b"))
    row, (n_in, units) = to_numpy(x).astype("float64"), W.shape
    if row.shape != (n_in,):
        raise ValueError(f"x must have the {n_in} values that go into the layer, got shape {row.shape}")
    if (unit := integer("unit", unit, 0)) >= units:
        raise ValueError(f"unit must be below {units}, the number of units of the layer, got {unit}")
    w = W[:, unit]
    z = (row @ w + b[:, unit])[:, np.newaxis]
    a = layer.acti_fn.forward(z)
    slope = float(to_numpy(layer.acti_fn.pullback(z, a, np.ones_like(z)))[0, 0])
    delta = slope * da
    shown = range(n_in) if n_in <= _INPUTS else [*range(_INPUTS - 2), n_in - 1]
    inputs = []
    for j in shown:
        name, weight = f"$x_{{{j + 1}}}$", f"w_{{{j + 1}}}"
        gradient = _gradient(weight, delta * row[j])
        inputs.append(_Input(name, f"${weight}$ = {_short(w[j])}", gradient, _short(row[j])))
    if n_in > _INPUTS:
        inputs.insert(-1, _Input(r"$\vdots$"))
    inputs.append(_Input("1", f"$b$ = {_short(b[0, unit])}", _gradient("b", delta)))
    texts = _Unit(
        f"$z$ = {_short(z[0, 0])}",
        f"$a$ = {_short(to_numpy(a)[0, 0])}",
        _gradient("a", da),
        rf"$\delta$ = {_short(delta)}",
        f"$a = g(z)$, {type(layer.acti_fn).__name__}",
        rf"{_Unit().delta_formula} = {_short(slope)} · {f'({_short(da)})' if da < 0 else _short(da)}",
    )
    return inputs, texts


def _gradient(name: str, value: float) -> str:
    return rf"$\partial L/\partial {name}$ = {_short(value)}"


def _short(value: float) -> str:
    return f"{value + 0.0:.3g}".replace("-", "−")  # + 0 makes -0 a 0


def _edge(ax: Axes, height: float, part: _Input) -> None:
    """An input at the left, and its edge to the sum, with what goes over it forward and back."""
    if not part.weight:
        for place, y in ((0.0, height), (_LABELS, _on_edge(_LABELS, height))):
            ax.text(place, y, part.name, ha="center", va="center", fontsize=14)
        return
    _arrow(ax, (0.3, _on_edge(0.3, height)), (_SUM - 0.36, _on_edge(_SUM - 0.36, height)))
    ax.text(-0.4, height, part.value, ha="right", va="center")
    _circle(ax, 0, height, part.name, 700)
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    y = _on_edge(_LABELS, height)
    ax.text(_LABELS, y + 0.01, part.weight, ha="center", va="bottom", bbox=ground)
    ax.text(_LABELS, y - 0.01, part.gradient, ha="center", va="top", color=_BACK, bbox=ground)


def _on_edge(place: float, height: float) -> float:
    return height * (1 - place / _SUM)


def _circle(ax: Axes, place: float, height: float, text: str, size: float) -> None:
    ax.scatter([place], [height], s=size, color="white", edgecolor="black", zorder=3)
    ax.text(place, height, text, ha="center", va="center", zorder=4)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], back: bool = False) -> None:
    look = {"color": _BACK, "linestyle": "--"} if back else {"color": "0.2"}
    ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, **look})
