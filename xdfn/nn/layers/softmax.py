"""Softmax as a layer, and the identity, which is left of it where the loss computes it."""

from xdfn.backend import Array, namespace
from xdfn.core.fields import Field
from xdfn.core.registry import Spec
from xdfn.nn.activations import softmax
from xdfn.nn.layers.base import Function, LayerBase, layers
from xdfn.nn.layers.context import Applied, Buffers, Cache, Context, Params, Pulled
from xdfn.optim.base import OptimizerBase

__all__ = ["Softmax"]


def _class_axis(name: str, value: object) -> int:
    if value not in (-1, 1):
        raise ValueError(f"Softmax: {name} must be -1 or 1, the axis of the classes, got {value!r:.80}")
    return -1 if value == -1 else 1


@layers.register()
class Softmax(LayerBase, traceable=True):
    """y = e^x / sum e^x over each row. Backward is the Jacobian product dx = y (dy - sum(dy y)).

    As the last layer before CrossEntropy it is the loss's own link, and the two are computed as one.
    """

    dim = Field(_class_axis)

    def __init__(self, dim: int = -1, optimizer: Spec[OptimizerBase] | None = None) -> None:
        super().__init__(optimizer)
        self.dim = dim

    def apply(self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None) -> Applied:
        y = softmax(x)
        return y, y, buffers

    def pullback(self, params: Params, cache: Cache, dy: Array, input_grad: bool = True) -> Pulled:
        y, xp = cache, namespace(dy)
        return y * (dy - xp.sum(dy * y, axis=-1, keepdims=True)), {}

    @property
    def output_function(self) -> Function | None:
        return softmax

    def without_output_function(self) -> LayerBase:
        return Identity()

    @property
    def hyperparams(self) -> dict[str, object]:
        return {**super().hyperparams, "layer": "SoftmaxLayer"}


class Identity(LayerBase, traceable=True):
    """y = x: what is left of a layer that the loss computes as its own link."""

    def apply(self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None) -> Applied:
        return x, None, buffers

    def pullback(self, params: Params, cache: Cache, dy: Array, input_grad: bool = True) -> Pulled:
        return dy, {}
