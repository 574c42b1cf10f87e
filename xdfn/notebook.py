"""The teaching notebook's style, in one place. Parts that a user wrote in that style define `forward` and `backward`
(a layer) or `update` (an optimizer) and keep their own state; adapters give them the pure methods that training calls.
And here are the notebook's ways to make an activation, an optimizer or weights from a name.
"""

import copy
import inspect

import numpy as np

from xdfn.backend import Array, Place, fresh_copy, namespace
from xdfn.core.fields import integer
from xdfn.core.registry import Spec
from xdfn.nn.activations import ActivationBase, activations
from xdfn.nn.initializers import InitializerBase, initializers
from xdfn.nn.layers.base import LayerBase
from xdfn.nn.layers.context import Applied, Buffers, Cache, Context, Params, Pulled
from xdfn.nn.layers.dense import FullyConnected
from xdfn.nn.layers.stateful import put_all
from xdfn.nn.regularizers import ConstraintBase, RegularizerBase
from xdfn.optim.base import OptimizerBase, Rates, Slots, resolve_optimizer

__all__ = ["ActivationInitializer", "OptimizerInitializer", "WeightInitializer"]


class ActivationInitializer:
    """The notebook's way to make an activation from its name.

    Examples
    --------
    >>> ActivationInitializer("affine(slope=2, intercept=1)")()
    Affine(slope=2, intercept=1)
    """

    def __init__(self, acti_name: Spec[ActivationBase] = "sigmoid") -> None:
        self.acti_name = acti_name

    def __call__(self) -> ActivationBase:
        return activations.resolve(self.acti_name)


class OptimizerInitializer:
    """The notebook's way to make an optimizer from its name; None means ``"sgd"``.

    Examples
    --------
    >>> OptimizerInitializer("adam(lr=1e-3, decay1=0.95)")()
    Adam(lr=0.001, decay1=0.95, decay2=0.999, eps=1e-07)
    """

    def __init__(self, opti_name: Spec[OptimizerBase] | None = "sgd") -> None:
        self.opti_name = opti_name

    def __call__(self) -> OptimizerBase:
        return resolve_optimizer(self.opti_name)


class WeightInitializer:
    """The notebook's way to draw weights by the name of their initialiser.

    Examples
    --------
    >>> WeightInitializer("std_normal(gain=0.1)")((784, 200)).shape
    (784, 200)
    """

    def __init__(self, mode: Spec[InitializerBase] = "he_uniform") -> None:
        self.mode = mode
        self.init_fn = initializers.resolve(mode)

    def __call__(self, weight_shape: tuple[int, ...]) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
        return self.init_fn(weight_shape)


def notebook_layers(n_hidden: int | None, n_out: int | None, init_w: Spec[InitializerBase]) -> list[LayerBase]:
    """The notebook's network: a layer of sigmoid units, and one of affine outputs."""
    if n_hidden is None or n_out is None:
        raise ValueError("DFN expects hidden_dims_1 and hidden_dims_2, the numbers of units, or layers=[...]")
    return [
        FullyConnected(integer("hidden_dims_1", n_hidden), "sigmoid", init_w),
        FullyConnected(integer("hidden_dims_2", n_out), "affine(slope=1, intercept=0)", init_w),
    ]


# ---- parts in the notebook's style -------------------------------------------------------------------------------


def adapt(layer: LayerBase) -> LayerBase:
    """What a network computes with: the layer itself, or its adapter if it overrides `forward` or `backward`."""
    return NotebookLayer(layer) if layer.overrides_forward else layer


def adapt_optimizer(rule: OptimizerBase, name: str) -> OptimizerBase:
    """The rule for the parameter of that name: itself, or its adapter if it overrides `update`."""
    return NotebookOptimizer(rule, name) if rule.overrides_update else rule.for_parameter(name)


class NotebookLayer(LayerBase):
    """The pure methods of a layer in the notebook's style.

    They work on a copy of the layer that shares its arrays and nothing else.
    """

    compilable = stacks = False
    knows_inference = False

    def __init__(self, layer: LayerBase) -> None:
        shared = (layer.params, layer.buffers, layer.gradients)
        arrays = [*(x for tree in shared for x in tree.values()), *layer.X]
        self.layer = copy.deepcopy(layer, {id(x): x for x in arrays})
        self.layer.flush_gradients()
        self.inherit(layer.optimizer)
        self.params, self.buffers = layer.params, layer.buffers
        self.n_in, self.n_out, self.trainable = layer.n_in, layer.n_out, layer.trainable
        self.knows_inference = "retain_derived" in inspect.signature(layer.forward).parameters

    def apply(self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None) -> Applied:
        self.layer.params = params
        if ctx is None and self.knows_inference:
            return self.layer.forward(x, retain_derived=False), x, buffers
        y = self.layer.forward(x)
        if ctx is None:
            self.layer.flush_gradients()
        return y, x if ctx is None else None, buffers

    def pullback(self, params: Params, cache: Cache, dy: Array, input_grad: bool = True) -> Pulled:
        if cache is not None:  # from inference, which retained nothing
            self.layer.forward(cache)
        self.layer.gradients = {name: namespace(value).zeros_like(value) for name, value in params.items()}
        dx, gradients = self.layer.backward(dy), self.layer.gradients
        self.layer.flush_gradients()
        return dx, dict(gradients)

    def moves(self, name: str) -> bool:
        return self.layer.moves(name)

    def penalties(self, name: str) -> tuple[RegularizerBase | None, ConstraintBase | None]:
        return self.layer.penalties(name)

    def copy_back(self, layer: LayerBase) -> None:
        vars(layer).update({name: x for name, x in vars(self.layer).items() if name not in self.state_attributes})

    def clone(self, *, bare: bool = False) -> "NotebookLayer":
        return NotebookLayer(self.layer.clone(bare=bare))


class NotebookOptimizer(OptimizerBase):
    """The pure methods of a rule in the notebook's style, for the parameter of that name."""

    compilable = stacks = False

    def __init__(self, rule: OptimizerBase, name: str) -> None:
        if rule.schedule is not None:
            raise ValueError(f"{type(rule).__name__} defines update and so takes a number as lr, not a schedule")
        self.rule, self.name = rule, name

    def rates(self, t: int) -> Rates:
        return ()

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        return self.rule(fresh_copy(p), fresh_copy(g), self.name), ()  # copies, for the rule may keep them


def makes_own_params(layer: LayerBase) -> bool:
    """Whether a layer has `forward` and no `apply`: it makes its parameters itself when it first sees an input."""
    return type(layer).apply is LayerBase.apply


def let_make_params(layer: LayerBase, n_in: int, where: Place, dtype: object) -> None:
    """Show such a layer an input (1, n_in), and take the parameters that it makes."""
    layer.n_out = layer.forward(where.xp.zeros((1, n_in), dtype=dtype, device=where.device)).shape[-1]
    layer.n_in = n_in
    layer.params, layer.buffers = put_all(layer.params, where, dtype), put_all(layer.buffers, where, dtype)
    layer.finish_init()


def accept_params(layer: LayerBase, n_in: int, n_out: int) -> None:
    """Take what was assigned to `params` and `buffers` of such a layer as its own, for these sizes."""
    layer.n_in, layer.n_out = n_in, n_out
    layer.finish_init()
