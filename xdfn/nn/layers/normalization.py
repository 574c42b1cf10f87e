"""Layers that bring their inputs to mean 0 and variance 1, over the rows of a batch or over the features of a row. The
layers above then need not follow every move of those below.
"""

from typing import TYPE_CHECKING

import numpy as np

from xdfn.backend import Array, add, namespace, ones_row, tiny
from xdfn.core.fields import number_field
from xdfn.core.registry import Spec
from xdfn.nn.layers.base import LayerBase, layers
from xdfn.nn.layers.context import Applied, Buffers, Cache, Context, Drawn, Gradients, Params, Pulled
from xdfn.optim.base import OptimizerBase

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = ["BatchNorm", "LayerNorm"]


@layers.register("batch_normalization", "batch_norm_1d")
class BatchNorm(LayerBase, traceable=True):
    """y = gamma x^ + beta with x^ = (x - m) / sqrt(v + eps), for each feature.

    Ioffe and Szegedy 2015, arXiv:1502.03167.

    In training m = sum_i r_i x_i and v = sum_i r_i (x_i - m)^2 are the batch's, where r_i is the row's share of the
    weights, 1/n without any; at inference they are the running statistics, into which each batch goes by
    s <- k s + (1 - k) s_batch with k = momentum^w, w being the batch's weight in full batches: a short last batch
    counts for less, and a row of weight 2 for as much as two rows.

    Backward, with g = gamma dy: dx_i = [g_i - r_i sum_j g_j - r_i x^_i sum_j g_j x^_j] / sqrt(v + eps),
    dgamma = sum dy x^, dbeta = sum dy.

    Parameters
    ----------
    momentum : float in [0, 1)
        The share of the running statistics that a full batch leaves, as in Keras; PyTorch names the rest, 0.1.
    eps : float
    optimizer : str or OptimizerBase, optional

    Notes
    -----
    The variance is that of the batch (divided by n) everywhere; PyTorch's running one is divided by n - 1. A short last
    batch may be of one row, which then teaches nothing but beta; full batches must have two.

    Examples
    --------
    >>> layer = BatchNorm()
    >>> layer.forward(np.asarray([[1.0], [3.0]])).round(3).tolist()
    [[-1.0], [1.0]]
    >>> layer.buffers["mean"].round(3).tolist()
    [[0.2]]
    """

    least_rows = 2  # one row is its own mean: nothing would be left of it
    momentum = number_field(0, 1, open_high=True)
    eps = number_field(0, 1, open_low=True, open_high=True)

    def __init__(self, momentum: float = 0.9, eps: float = 1e-5, optimizer: Spec[OptimizerBase] | None = None) -> None:
        super().__init__(optimizer)
        self.momentum, self.eps = momentum, eps

    def init(self, rng: "Generator", n_in: int) -> Drawn:
        zeros, ones = np.zeros((1, n_in)), np.ones((1, n_in))
        return {"gamma": ones, "beta": zeros}, {"mean": zeros, "var": ones}, n_in

    def apply(self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None) -> Applied:
        r: Array | None = None
        if ctx is None or not ctx.training:
            d, var = x - buffers["mean"], buffers["var"]
        else:
            r, k = self._shares(x, ctx)
            mean = ctx.total(r @ x)
            d = x - mean
            var = ctx.total(r @ (d * d))
            running = {"mean": mean, "var": var}
            buffers = {name: k * old + (1.0 - k) * running[name] for name, old in buffers.items()}
        scale = 1.0 / namespace(x).sqrt(var + self.eps)
        x_hat = d * scale
        y = add(x_hat * params["gamma"], params["beta"])
        return y, (x_hat, scale, r, ctx), buffers

    def _shares(self, x: Array, ctx: Context) -> tuple[Array, float | Array]:
        """The share of each row (1, n), and the share of the running statistics that remains after this batch."""
        if ctx.weight is None or isinstance(ctx.weight, float):
            shares = ones_row(x) / x.shape[-2] if ctx.comm is None else ones_row(x) * ctx.weight
            return shares, self.momentum**ctx.share
        xp = namespace(x)
        total = ctx.total(
            xp.sum(ctx.weight, axis=-1, keepdims=True)
        )  # (1,): NumPy's own numbers have another power than its arrays
        shares = ctx.weight / xp.maximum(total, tiny(x))  # all rows of a batch may have weight 0
        return shares[..., None, :], self.momentum ** (ctx.share * total[..., None])

    def pullback(self, params: Params, cache: Cache, dy: Array, input_grad: bool = True) -> Pulled:
        x_hat, scale, r, ctx = cache
        ones = ones_row(dy)
        gradients: Gradients = {"gamma": (ones, dy * x_hat), "beta": (ones, dy)}
        if not input_grad:
            return None, gradients
        dx = params["gamma"] * dy
        if r is not None:
            dx -= r.mT * (ctx.total(ones @ dx) + x_hat * ctx.total(ones @ (dx * x_hat)))
        dx *= scale
        return dx, gradients


@layers.register("layer_normalization")
class LayerNorm(LayerBase, traceable=True):
    """y = gamma x^ + beta with x^ = (x - m) / sqrt(v + eps), m and v over the features of each row.

    It is the same in training and at inference, and for a single row (Ba, Kiros and Hinton 2016, arXiv:1607.06450).

    Backward, with g = gamma dy: dx = [g - mean(g) - x^ mean(g x^)] / sqrt(v + eps), dgamma = sum dy x^, dbeta = sum dy.
    """

    eps = number_field(0, 1, open_low=True, open_high=True)

    def __init__(self, eps: float = 1e-5, optimizer: Spec[OptimizerBase] | None = None) -> None:
        super().__init__(optimizer)
        self.eps = eps

    def init(self, rng: "Generator", n_in: int) -> Drawn:
        return {"gamma": np.ones((1, n_in)), "beta": np.zeros((1, n_in))}, {}, n_in

    def apply(self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None) -> Applied:
        xp = namespace(x)
        d = x - _mean(x)
        scale = 1.0 / xp.sqrt(_mean(d * d) + self.eps)
        x_hat = d * scale
        y = add(x_hat * params["gamma"], params["beta"])
        return y, (x_hat, scale), buffers

    def pullback(self, params: Params, cache: Cache, dy: Array, input_grad: bool = True) -> Pulled:
        x_hat, scale = cache
        ones = ones_row(dy)
        gradients: Gradients = {"gamma": (ones, dy * x_hat), "beta": (ones, dy)}
        if not input_grad:
            return None, gradients
        dx = params["gamma"] * dy
        dx = (dx - _mean(dx) - x_hat * _mean(dx * x_hat)) * scale
        return dx, gradients


def _mean(x: Array) -> Array:
    """Over the features: (n, 1)."""
    return namespace(x).sum(x, axis=-1, keepdims=True) / x.shape[-1]
