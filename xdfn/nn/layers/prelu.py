"""A rectifier that learns its own slope below zero."""

from typing import TYPE_CHECKING

import numpy as np

from xdfn.backend import Array, namespace, ones_row
from xdfn.core.fields import number_field
from xdfn.core.registry import Spec
from xdfn.nn.layers.base import LayerBase, layers
from xdfn.nn.layers.context import Applied, Buffers, Cache, Context, Drawn, Gradients, Params, Pulled
from xdfn.optim.base import OptimizerBase

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = ["PReLU"]


@layers.register()
class PReLU(LayerBase, traceable=True):
    """y = max(0, x) + alpha min(0, x) with a learned alpha (1, n) for each feature (He et al. 2015, arXiv:1502.01852).

    dx = dy where x > 0, else alpha dy; dalpha = sum over rows of dy min(0, x).

    Parameters
    ----------
    alpha : float
        Where each alpha starts.
    optimizer : str or OptimizerBase, optional
    """

    alpha = number_field()

    def __init__(self, alpha: float = 0.25, optimizer: Spec[OptimizerBase] | None = None) -> None:
        super().__init__(optimizer)
        self.alpha = alpha

    def init(self, rng: "Generator", n_in: int) -> Drawn:
        return {"alpha": np.full((1, n_in), self.alpha)}, {}, n_in

    def apply(self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None) -> Applied:
        xp = namespace(x)
        below = xp.minimum(x, 0.0)
        return xp.maximum(x, 0.0) + params["alpha"] * below, (x, below), buffers

    def pullback(self, params: Params, cache: Cache, dy: Array, input_grad: bool = True) -> Pulled:
        x, below = cache
        gradients: Gradients = {"alpha": (ones_row(dy), dy * below)}
        dx = namespace(dy).where(x > 0, dy, params["alpha"] * dy) if input_grad else None
        return dx, gradients
