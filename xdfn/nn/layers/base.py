"""A layer turns inputs x (n, n_in) into outputs y (n, n_out), and the gradient of the loss at its outputs into the
gradients at its inputs and parameters. Forward and backward stand side by side, their terms in the same order.

The author of a layer writes three functions without a state, `init`, `apply` and `pullback`; networks train through
them. Out of them `StatefulLayer` makes the object that keeps parameters, inputs and gradients.
"""

import copy
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Self

from xdfn.backend import Array, fresh_copy, random
from xdfn.core.part import Part, config_key, is_weight
from xdfn.core.registry import Registry
from xdfn.nn.activations import ActivationBase
from xdfn.nn.layers.context import Applied, Buffers, Cache, Context, Drawn, Params, Pulled
from xdfn.nn.layers.stateful import StatefulLayer
from xdfn.nn.regularizers import ConstraintBase, RegularizerBase

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = ["LayerBase"]

Function = Callable[[Array], Array]


class LayerBase(StatefulLayer):
    """Base of the layers. Write `apply` and `pullback`; write `init` too if there are parameters or the width changes.

    A layer may define `forward` and `backward` instead, and keep `params`, `gradients` and `X` by itself: it works
    everywhere but in compiled steps.

    Attributes
    ----------
    params, gradients : dict of arrays by name, such as ``{"W": (n_in, n_out), "b": (1, n_out)}``
    buffers : dict of arrays that training updates without a gradient
    X : list of the inputs retained by `forward` for `backward`
    n_in, n_out : int, or None while unknown
    trainable : bool; False freezes the layer: training leaves its parameters and buffers as they are, and it computes
        as at inference, except that layers that draw do so
    optimizer : the rule that moves the parameters; ``None`` at construction means ``"sgd(lr=0.01)"``, or the model's
    own_optimizer : the optimizer that was given to this layer, or None for a layer that follows the model's
    prefix : what its name in a model begins with; the name of its class if empty
    draws : whether `apply` uses the context's random key
    least_rows : the rows that a full batch needs in training
    inner : the layers that this one is made of
    state_attributes : the names of the attributes that are no part of `key`: what training changes or a model assigns
    """

    _numerics = ("apply", "pullback", "forward", "backward")

    _hints: ClassVar[Mapping[str, str]] = {
        "requires_grad": "layer.trainable = False freezes it",
        **dict.fromkeys(
            ("weight", "weights", "kernel", "coef_"), "assign to layer.params['W'], of shape (n_in, n_out)"
        ),
        **dict.fromkeys(("bias", "intercept_"), "assign to layer.params['b'], of shape (1, n_out)"),
    }
    prefix: ClassVar[str] = ""
    draws: bool = False
    least_rows: int = 1
    inner: "tuple[LayerBase, ...]" = ()

    acti_fn: ActivationBase | None = None
    regularizer: RegularizerBase | None = None
    constraint: ConstraintBase | None = None

    state_attributes: ClassVar[frozenset[str]] = frozenset(
        {
            "X",
            "_followed",
            "_passed",
            "buffers",
            "given_initializers",
            "gradients",
            "is_initialized",
            "n_in",
            "optimizer",
            "own_optimizer",
            "params",
            "shapes",
            "sizes",
            "trainable",
        }
    )

    def __init_subclass__(cls, traceable: bool = False) -> None:
        super().__init_subclass__(traceable=traceable)
        if cls.overrides(*cls._numerics) and not cls.overrides("output_function"):
            # the outputs are computed in another way, so the inherited last function may no longer be theirs
            cls.output_function = LayerBase.output_function  # type: ignore[method-assign]

    @classmethod
    def attributes(cls) -> Collection[str]:
        return {*super().attributes(), *cls.state_attributes}

    def init(self, rng: "Generator", n_in: int) -> Drawn:
        """Draw parameters and buffers for `n_in` features, as NumPy arrays; return them with the number of outputs."""
        return {}, {}, n_in

    def apply(self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None) -> Applied:
        """The outputs (n, n_out), what `pullback` will need, and the buffers after this batch. No `ctx`: inference.

        The arguments must not be written to. Keep in the buffers what lasts: `self` is a temporary copy.
        """
        raise NotImplementedError(f"{type(self).__name__} must define apply(params, buffers, x, ctx), or forward")

    def pullback(self, params: Params, cache: Cache, dy: Array, input_grad: bool = True) -> Pulled:
        """The gradients at the inputs (n, n_in), None unless asked for, and at the parameters, from dy (n, n_out).

        A parameter's gradient is an array, or a pair (A, B) that stands for the product A B.
        """
        raise NotImplementedError(f"{type(self).__name__} must define pullback(params, cache, dy, input_grad)")

    def input_categories(self, n_in: int) -> dict[int, int]:
        """The columns of the input that hold category numbers, by position, each with how many there are.

        `fit` checks that the first layer gets such numbers, 0 to one less, or -1 for an unknown category.
        """
        return {}

    def random_key(self, seed: int, *where: int) -> random.Key:
        """The random key of a step; see `random.mask_key`."""
        return random.mask_key(seed, *where)

    def moves(self, name: str) -> bool:
        """Whether training moves a parameter."""
        return self.trainable

    def penalties(self, name: str) -> tuple[RegularizerBase | None, ConstraintBase | None]:
        """The regulariser and the constraint of a parameter."""
        return (self.regularizer, self.constraint) if is_weight(name) else (None, None)

    @property
    def output_function(self) -> Function | None:
        """The function that `apply` ends in, if a loss may compute it as its own link.

        A subclass that overrides one of the methods must define it again.
        """
        return None

    def without_output_function(self) -> "LayerBase":
        """The same layer up to that function."""
        return self

    def copy_back(self, layer: "LayerBase") -> None:
        """After a run on this copy of `layer`: give the layer what it learned beside parameters and buffers."""

    def clone(self, *, bare: bool = False) -> Self:
        """A copy with the same hyper-parameters and, unless `bare`, the same parameters, buffers and memory."""
        new = copy.copy(self)
        for name, part in vars(self).items():
            if isinstance(part, Part) and name not in self.state_attributes:
                vars(new)[name] = copy.deepcopy(part)  # an activation shared by two layers would be changed in both
        new.inner = tuple(layer.clone(bare=True) for layer in self.inner)
        if not bare:
            new.optimizer = copy.deepcopy(self.optimizer)
        elif not self.optimizer.overrides_update:
            new.optimizer = self.optimizer.without_memory()
        new.own_optimizer = None if self.inherits else new.optimizer
        new.params, new.buffers = ({}, {}) if bare else (dict(self.params), dict(self.buffers))
        new.flush_gradients()
        return new

    def compile_key(self) -> Hashable:
        """What a compiled step depends on."""
        return config_key(self, self.state_attributes, with_attributes=True)

    @property
    def hyperparams(self) -> dict[str, object]:
        return {
            "layer": type(self).__name__,
            **{name: value for name, value in self.shown_fields().items() if name != "optimizer"},
            "n_in": self.n_in,
            "n_out": self.n_out,
            "optimizer": {"hyperparams": self.optimizer.hyperparams},
        }


layers: Registry[LayerBase] = Registry("layer", LayerBase)


def named(given: object) -> dict[str, LayerBase]:
    """Copies of the layers, or of what their specs name, by their names in a model: FC1, FC2, Dropout1, ..."""
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) == 0:
        raise ValueError(f"layers must be a list of at least one layer, got {given!r:.80}")
    by_name: dict[str, LayerBase] = {}
    counts: dict[str, int] = {}
    for spec in given:
        layer = layers.resolve(spec)
        check_layers({type(layer).__name__: layer})
        layer = layer.clone()
        layer.params, layer.buffers = fresh_copy((layer.params, layer.buffers))
        prefix = layer.prefix or type(layer).__name__
        counts[prefix] = counts.get(prefix, 0) + 1
        by_name[f"{prefix}{counts[prefix]}"] = layer
    return by_name


def check_layers(by_name: Mapping[str, object]) -> None:
    """Raise ValueError unless these are layers, at least one, each with a state of its own."""
    if not by_name:
        raise ValueError("layers must hold at least one layer, got none")
    for name, layer in by_name.items():
        if not isinstance(layer, LayerBase):
            raise ValueError(f"layers[{name!r}] must be a layer, got {type(layer).__name__}: {layer!r:.80}")
        if "is_initialized" not in vars(layer):
            raise ValueError(f"{type(layer).__name__}: its constructor must call super().__init__(optimizer) first")
