"""The maxout layer: each unit is the largest of several affine functions."""

from typing import TYPE_CHECKING

import numpy as np

from xdfn.backend import Array, add, arange, namespace, ones_row
from xdfn.core.fields import Field, integer
from xdfn.core.registry import Spec
from xdfn.nn.initializers import InitializerBase
from xdfn.nn.layers.base import layers
from xdfn.nn.layers.context import Applied, Buffers, Cache, Context, Drawn, Gradients, Params, Pulled
from xdfn.nn.layers.weighted import WeightedLayer
from xdfn.nn.regularizers import ConstraintBase, RegularizerBase
from xdfn.optim.base import OptimizerBase

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = ["Maxout"]


@layers.register()
class Maxout(WeightedLayer, traceable=True):
    """y = max_k (x W_k + b_k) over `n_pieces` affine functions a unit (Goodfellow et al. 2013, arXiv:1302.4389).

    The W_k stand side by side in one matrix W (n_in, n_pieces n_out), and so do the b_k in b. The gradient goes to the
    piece that was largest, the first of several.

    Parameters
    ----------
    n_out, n_pieces : int
    init_w, init_b : str or InitializerBase
        Of each piece.
    optimizer : str or OptimizerBase, optional
    regularizer, constraint : as for FullyConnected
    """

    _shown = ("n_pieces",)
    n_pieces = Field(integer)

    def __init__(
        self,
        n_out: int,
        n_pieces: int = 2,
        init_w: Spec[InitializerBase] = "glorot_uniform",
        optimizer: Spec[OptimizerBase] | None = None,
        init_b: Spec[InitializerBase] = "zeros",
        regularizer: Spec[RegularizerBase] | None = None,
        constraint: Spec[ConstraintBase] | None = None,
    ) -> None:
        super().__init__(n_out, init_w, optimizer, init_b, regularizer, constraint)
        self.n_pieces = n_pieces

    def init(self, rng: "Generator", n_in: int) -> Drawn:
        W = [self.init_w((n_in, self.n_out), rng) for _ in range(self.n_pieces)]
        b = [self.init_b((1, self.n_out), rng) for _ in range(self.n_pieces)]
        return {"W": np.concatenate(W, axis=1), "b": np.concatenate(b, axis=1)}, {}, self.n_out

    def apply(self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None) -> Applied:
        xp = namespace(x)
        z = add(x @ params["W"], params["b"])
        z = xp.reshape(z, (*z.shape[:-1], self.n_pieces, self.n_out))
        return xp.max(z, axis=-2), (x, z), buffers

    def pullback(self, params: Params, cache: Cache, dy: Array, input_grad: bool = True) -> Pulled:
        x, z = cache
        xp = namespace(dy)
        largest = xp.astype(xp.argmax(z, axis=-2, keepdims=True), xp.int32)
        pieces = xp.reshape(arange(self.n_pieces, dy), (-1, 1))
        dz = xp.astype(largest == pieces, dy.dtype) * xp.reshape(dy, (*dy.shape[:-1], 1, self.n_out))
        dz = xp.reshape(dz, (*dy.shape[:-1], self.n_pieces * self.n_out))
        gradients: Gradients = {"W": (x.mT, dz), "b": (ones_row(dz), dz)}
        dx = dz @ params["W"].mT if input_grad else None
        return dx, gradients
