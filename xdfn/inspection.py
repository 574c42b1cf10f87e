"""Looking inside: what the layers put out, how the network answers to its inputs, and whether derivatives written by
hand are right.
"""

import contextlib
import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from xdfn._backend import Array, computing, has_float64, namespace, place, product, put, to_numpy
from xdfn._spec import integer, number
from xdfn.callbacks import Callback
from xdfn.layers import LayerBase
from xdfn.losses import ObjectiveBase, one_hot
from xdfn.network import LayerTree, Network, folded
from xdfn.schedules import ScheduleBase


def summary(layers: Mapping[str, LayerBase]) -> str:
    """A table of the layers, their outputs and their numbers of parameters; `?` is not known yet."""
    rows = _rows(layers)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _rows(layers: Mapping[str, LayerBase]) -> list[tuple[str, str, str, str]]:
    """The cells of that table: the heads of the columns, a row for each layer, and the total."""
    rows, n_out = [("layer", "kind", "output", "parameters")], next(iter(layers.values())).n_in
    for name, layer in layers.items():
        n_out = n_out if layer.n_out is None else layer.n_out
        kind = type(layer).__name__ + (f", {type(layer.acti_fn).__name__}" if layer.acti_fn else "")
        count = f"{_count(layer):,}" if layer.is_initialized else "?"
        rows.append((name, kind, f"(n, {'?' if n_out is None else n_out})", count))
    known = all(layer.is_initialized for layer in layers.values())
    rows.append(("total", "", "", f"{sum(map(_count, layers.values())):,}" if known else "?"))
    return rows


def _count(layer: LayerBase) -> int:
    return sum(math.prod(value.shape) for value in layer.params.values())


def activations(layers: Mapping[str, LayerBase], params: LayerTree, x: Array) -> dict[str, Array]:
    """The outputs of each layer by name, at inference."""
    outputs = {}
    with computing(x):
        for (name, layer), p in zip(layers.items(), params, strict=True):
            x, _, _ = layer.pure().apply(p, layer.buffers, x)
            outputs[name] = x
    return outputs


def input_gradients(
    layers: Sequence[LayerBase], loss: ObjectiveBase, params: LayerTree, x: Array, y: Array | None, output: int
) -> Array:
    """The gradient at x of each row's loss or, without y, of the score of one output; at inference."""
    pure, caches, z = folded(layers, loss), [], x
    with computing(x):
        for layer, p in zip(pure, params, strict=True):
            z, cache, _ = layer.apply(p, layer.buffers, z)
            caches.append(cache)
        if y is not None:
            dx = loss.value_and_grad(loss.targets(y, z), z, 1.0)[1]
        else:
            dx = one_hot(namespace(z).full(z.shape[:1], output, dtype=namespace(z).int32, device=place(z).device), z)
        for layer, p, cache in reversed(list(zip(pure, params, caches, strict=True))):
            dx, _ = layer.pullback(p, cache, dx)
    return dx


def check_gradients(model: Any, X: Array, y: Array, *, seed: int = 0) -> float:
    """Compare a model's gradients with difference quotients of its loss; for authors of parts of their own.

    Every array is checked along a random direction; where that fails, along others with smaller and larger steps, for
    a step may cross a kink such as that of ReLU at 0, or drown in rounding; where all fail, its entries are looked at
    one by one. The network is taken in training mode, dropout with a fixed mask, and near its parameters rather than
    at them. The model is left as it is.

    Parameters
    ----------
    model : DFN
    X, y : array (n, n_in), array (n,) or (n, n_out)
        A few rows are enough. The check runs in float64 where the library has it.
    seed : int
        Of the directions.

    Returns
    -------
    float
        The largest relative error, some 1e-8 in float64.

    Raises
    ------
    ValueError
        A gradient is wrong. The message names the worst entry of the array nearest to the output: by its layer and
        name and index, with what backward says and what the difference quotient is.

    Examples
    --------
    >>> import numpy as np
    >>> from xdfn import DFN
    >>> check_gradients(DFN(5, 3, seed=0), np.eye(4), np.asarray([0, 1, 2, 0])) < 1e-6
    True
    """
    probe, rng = copy.copy(model).initialize(X), np.random.default_rng(seed)
    probe.check_targets(y, X)
    xp, where = namespace(X), place(X)
    x = _finest(X)
    h, tolerance = (1e-5, 1e-6) if x.dtype == xp.float64 else (1e-2, 3e-2)  # eps^(1/3), and what it leaves

    def noise(shape: tuple[int, ...], scale: float) -> Array:
        return put(scale * rng.standard_normal(shape), where, x.dtype)

    layers = list(probe.layers.values())
    net = Network(layers, probe.loss, probe._seed or 0, X)
    hyper = net.hyper(0, 0.0)
    params = [{k: xp.astype(v, x.dtype) + noise(v.shape, 0.01) for k, v in layer.params.items()} for layer in layers]
    buffers = [{k: xp.astype(v, x.dtype) for k, v in layer.buffers.items()} for layer in layers]
    x = x + noise(x.shape, 0.01)
    weight = 1.0 / x.shape[0]

    def loss_at(params: LayerTree, x: Array) -> Array:
        return probe.loss.value_and_grad(y, net.forward(params, buffers, x, hyper, weight)[0], weight)[0]

    def loss_with(i: int, name: str) -> Callable[[Array], Array]:
        return lambda p: loss_at([*params[:i], {**params[i], name: p}, *params[i + 1 :]], x)

    with computing(x):
        z, caches, _ = net.forward(params, buffers, x, hyper, weight)
        y = probe.loss.targets(y, z)
        loss, dz = probe.loss.value_and_grad(y, z, weight)
        dx, half = dz, float(to_numpy(probe.loss.value_and_grad(y, z, 0.5 * weight)[0]))
        if not math.isclose(float(to_numpy(loss)), 2 * half, rel_tol=1e-4, abs_tol=1e-9):
            raise ValueError(f"{probe.loss}.value_and_grad: the loss must be a multiple of weight, which is 1/n")
        # what is checked, its gradient, the loss as a function of it, and whose derivative it is, from the output down
        checks = [
            (
                f"{probe.loss}, the scores",
                z,
                dz,
                lambda z: probe.loss.value_and_grad(y, z, weight)[0],
                f"{probe.loss}.value_and_grad",
            )
        ]
        above = "the loss"
        for i, (name, layer) in reversed(list(enumerate(probe.layers.items()))):
            alone = {} if layer.by_hand else net.layers[i].pullback(params[i], caches[i], dx, False)[1]
            dx, gradients = net.layers[i].pullback(params[i], caches[i], dx)
            for key, gradient in alone.items():
                if float(to_numpy(xp.max(xp.abs(product(gradient) - product(gradients[key]))))) > 0:
                    raise ValueError(f"{name}.{key}: pullback gives another gradient with input_grad=False")
            function = f" or {layer.acti_fn}.grad" if layer.acti_fn else ""
            culprits = f"{type(layer).__name__}.pullback{function} of {name}, or what {above} passes down to it"
            for key, p in params[i].items():
                checks.append((f"{name}.{key}", p, product(gradients[key]), loss_with(i, key), culprits))
            above = name
        checks.append(("the input", x, dx, lambda x: loss_at(params, x), f"the dx of {above}"))

        worst = 0.0
        for what, a, gradient, f, culprits in checks:
            if tuple(gradient.shape) != tuple(a.shape):
                raise ValueError(f"{what}: the gradient must have shape {tuple(a.shape)}, got {tuple(gradient.shape)}")
            error = math.inf
            for size in (1, 1e-1, 1e1, 1e-2, 1e2, 1e3) if tolerance < 1e-2 else (1, 1e-1, 1e1):
                r = noise(a.shape, 1.0)
                given, quotient = float(to_numpy(xp.sum(gradient * r))), _quotient(f, a, r, size * h)
                scale = float(to_numpy(xp.sum(xp.abs(gradient * r)))) + abs(quotient)
                rounding = 8 * float(xp.finfo(x.dtype).eps) * abs(float(to_numpy(loss))) / (size * h)
                error = min(error, max(0.0, abs(given - quotient) - rounding) / max(scale, 1e-12))
                if error <= tolerance:
                    break
            worst = max(worst, error)
            if not error <= tolerance:
                sentence = _worst_entry(what, a, to_numpy(gradient), f, h, rng)
                raise ValueError(f"wrong gradient at {sentence}. Look at {culprits}")
    return worst


class RateSearch(NamedTuple):
    """What `find_learning_rate` found.

    Attributes
    ----------
    rates, losses : list of float
        The rate of each step, and the loss of its batch, smoothed.
    suggestion : float
        A tenth of the rate at which the loss was least, the first tenth of the steps left out; `low` if no rate was
        of use.
    """

    rates: list[float]
    losses: list[float]
    suggestion: float


class _Sweep(ScheduleBase):
    """Rates from low to high, by the same factor in each of `length` steps."""

    by = "step"

    def __init__(self, low: float, high: float, length: int) -> None:
        self.low, self.high, self.length = low, high, length

    def __call__(self, t: float, history: Any = None) -> float:
        return float(self.low * (self.high / self.low) ** min(t / (self.length - 1), 1.0))


class _Enough(Exception):  # noqa: N818  no error
    """The sweep is over."""


class _Losses(Callback):
    """The losses of the batches, smoothed, until they explode."""

    def __init__(self, length: int, smoothing: float) -> None:
        self.length, self.smoothing = length, smoothing
        self.mean = 0.0
        self.losses: list[float] = []

    def on_batch_end(self, model: Any, batch: int, n_batches: int, loss: Callable[[], float]) -> None:
        self.mean = self.smoothing * self.mean + (1 - self.smoothing) * loss()
        value = self.mean / (1 - self.smoothing ** (len(self.losses) + 1))
        if not math.isfinite(value) or (self.losses and value > 4 * abs(min(self.losses)) + 1):
            raise _Enough
        self.losses.append(value)
        if len(self.losses) == self.length:
            raise _Enough


def find_learning_rate(
    model: Any,
    X: Array,
    y: Array,
    *,
    low: float = 1e-6,
    high: float = 10.0,
    n_steps: int = 100,
    batch_size: int = 64,
    smoothing: float = 0.9,
) -> RateSearch:
    """Train a copy of the model with a rate that grows from step to step until the loss explodes.

    Smith 2017, arXiv:1506.01186. `plotting.learning_rates` draws the result. The model is left as it is.

    Parameters
    ----------
    model : DFN
    X, y : array (n, n_in), array (n,) or (n, n_out)
    low, high : float
        Between which the rates lie.
    n_steps, batch_size : int
    smoothing : float in [0, 1)
        Of the losses, as a moving average.

    Raises
    ------
    ValueError
        Bounds that do not fit, no optimizer with a learning rate, or a loss that exploded in the first steps.

    Examples
    --------
    >>> from xdfn import DFN
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> search = find_learning_rate(DFN(8, 2, optimizer="adam", init_w="he_normal", seed=0), X, (X[:, 0] > 0) * 1)
    >>> 1e-3 < search.suggestion < 1
    True
    """
    number("low", low, 0, open_low=True)
    number("high", high, low, open_low=True)
    number("smoothing", smoothing, 0, 1, open_high=True)
    n_steps, probe = integer("n_steps", n_steps, 2), copy.copy(model).initialize(X)
    if any(layer.optimizer.by_hand for layer in probe.layers.values()):
        raise ValueError("find_learning_rate needs optimizers with `apply`; one that defines update has its own rate")
    rules: list[Any] = [layer.optimizer for layer in probe.layers.values() if layer.params]
    rated = [rule for rule in rules if isinstance(getattr(rule, "lr", None), (int, float, ScheduleBase))]
    if not rated:  # of a rule without a rate `lr` is the class's field
        raise ValueError(f"find_learning_rate needs an optimizer with a rate lr, such as 'sgd', got {rules}")
    for rule in rated:
        rule.lr = _Sweep(low, high, n_steps)
    seen = _Losses(n_steps, smoothing)
    with contextlib.suppress(_Enough, FloatingPointError):
        probe.fit(X, y, math.ceil(n_steps * batch_size / X.shape[0]) + 1, batch_size, None, callbacks=[seen])
    if len(seen.losses) < 2:
        raise ValueError(f"the loss exploded at once, at a rate of low={low:g}: choose a smaller low")
    sweep = _Sweep(low, high, n_steps)
    rates = [sweep(t) for t in range(len(seen.losses))]
    first = min(n_steps // 10, len(rates) - 1)  # chance makes the first means of a few batches small
    best = min(range(first, len(rates)), key=seen.losses.__getitem__)
    return RateSearch(rates, seen.losses, max(low, rates[best] / 10))


def _finest(X: Array) -> Array:
    """X in float64 where the library can, else in float32."""
    xp = namespace(X)
    return put(to_numpy(X), place(X), xp.float64 if has_float64(xp) else xp.float32)


def _quotient(f: Callable[[Array], Array], a: Array, r: Array, h: float) -> float:
    """The central difference of f at a along r, with a step of size h."""
    h /= max(1.0, float(to_numpy(namespace(r).max(namespace(r).abs(r)))))
    return float(to_numpy(f(a + h * r) - f(a - h * r))) / (2 * h)


def _worst_entry(what: str, a: Array, gradient: Any, f: Callable[[Array], Array], h: float, rng: Any) -> str:
    """The sentence on the entry in which gradient and difference quotient are furthest apart."""
    entries, shape = np.arange(math.prod(a.shape)), gradient.shape

    def off_by(some: Any) -> float:
        """How far off the gradient is along a random direction within these entries."""
        r = np.zeros(shape)
        r[np.unravel_index(some, shape)] = rng.standard_normal(len(some))
        return abs(float((gradient * r).sum()) - _quotient(f, a, put(r, place(a), a.dtype), h))

    while len(entries) > 1000:
        entries = max(np.array_split(entries, 2), key=off_by)
    worst, sentence = -1.0, ""
    for entry in entries:
        index = tuple(int(i) for i in np.unravel_index(entry, shape))
        r = np.zeros(shape)
        r[index] = 1
        quotient = _quotient(f, a, put(r, place(a), a.dtype), h)
        if not abs(gradient[index] - quotient) <= worst:
            worst = abs(gradient[index] - quotient)
            given = f"backward gives {gradient[index]:.6g}, the difference quotient is {quotient:.6g}"
            sentence = f"{what}{list(index)}: {given}"
    return sentence


def html(layers: Mapping[str, LayerBase], title: str) -> str:
    """The table of `summary` under a title, as HTML that stands by itself, for notebooks."""
    from html import escape  # which importing the package need not pay for

    def row(cells: tuple[str, ...], tag: str, style: str = "") -> str:
        aligned = ("left", "left", "left", "right")
        inner = (
            f'<{tag} style="text-align: {side}{style}">{escape(cell)}</{tag}>'
            for cell, side in zip(cells, aligned, strict=True)
        )
        return f"<tr>{''.join(inner)}</tr>"

    head, *body, total = _rows(layers)
    return "\n".join(
        [
            f'<div><code style="overflow-wrap: anywhere">{escape(title)}</code>',
            "<table>",
            f"<thead>{row(head, 'th')}</thead>",
            "<tbody>",
            *(row(cells, "td") for cells in body),
            "</tbody>",
            f"<tfoot>{row(total, 'td', '; border-top: 1px solid')}</tfoot>",
            "</table></div>",
        ]
    )
