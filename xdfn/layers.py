"""A layer turns inputs x (n, n_in) into outputs y (n, n_out), and the gradient of the loss at its outputs into the
gradients at its inputs and parameters. Forward and backward stand side by side, their terms in the same order.

A layer has two faces and one body. The pure face, `init`, `apply` and `pullback`, is what the author of a layer
writes; networks train through it. The notebook's face, an object that keeps parameters, inputs and gradients, is
written once, in the base class, out of those three.
"""

import copy
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

from xdfn import random
from xdfn._backend import (
    Array,
    Place,
    namespace,
    ones_row,
    place,
    product,
    put,
    real_dtype,
    require_array,
    require_place,
    to_numpy,
)
from xdfn._backend import copy as fresh
from xdfn._spec import Field, Part, Registry, integer, key, nearest, number_field
from xdfn.activations import ActivationBase, Affine, activations, softmax
from xdfn.initializers import initializers
from xdfn.optimizers import OptimizerBase, OptimizerInitializer, optimizers
from xdfn.regularizers import ConstraintBase, RegularizerBase, constraints, is_weight, optional, regularizers

Params = dict[str, Array]
Buffers = dict[str, Array]
Gradients = dict[str, Any]  # arrays, or pairs (A, B) that stand for the product A B


class Context(NamedTuple):
    """What a layer is told in training beyond its input. At inference there is none.

    Attributes
    ----------
    key : (int32, int32)
        Where this layer's random bits of this step come from (`random.uniform_bits`).
    weight : float or array (n,), optional
        The weights of the rows, as the loss gets them; none where all are alike.
    share : float
        The rows of this batch as a share of those of a full one.
    training : bool
        False where layers that draw do so at inference (`predict` with samples) and all else is as at inference.
    """

    key: random.Keys
    weight: Any = None
    share: float = 1.0
    training: bool = True


class LayerBase(Part):
    """Base of the layers. Write `apply` and `pullback`; `init` where there are parameters or the width changes.

    A layer in the notebook's style, which defines `forward` and `backward` instead and keeps `params`, `gradients`
    and `X` by itself, works as well, everywhere but in compiled steps.

    Attributes
    ----------
    params, gradients : dict of arrays by name, such as ``{"W": (n_in, n_out), "b": (1, n_out)}``
    buffers : dict of arrays that training updates without a gradient
    X : list of the inputs retained by `forward` for `backward`
    n_in, n_out : int, or None while unknown
    optimizer : the rule that moves the parameters; ``None`` at construction means ``"sgd(lr=0.01)"``, or the model's
    """

    prefix: ClassVar[str] = ""  # of its name within a model; the class's name if empty
    draws: bool = False  # whether `apply` uses the context's random key
    least_rows: int = 1  # of a full batch in training
    inner: "tuple[LayerBase, ...]" = ()  # the layers that this one is made of

    n_in: int | None = None
    n_out: int | None = None
    acti_fn: ActivationBase | None = None
    regularizer: RegularizerBase | None = None
    constraint: ConstraintBase | None = None
    optimizer = optimizers.field()

    def __init__(self, optimizer: Any = None) -> None:
        self.optimizer = OptimizerInitializer(optimizer)().without_memory()
        self._inherited = self.optimizer if optimizer is None else None
        self.params: Params = {}
        self.buffers: Buffers = {}
        self.gradients: Params = {}
        self.shapes: dict[str, tuple[int, ...]] = {}  # of the parameters
        self.sizes: tuple[int | None, int | None] = (None, None)  # n_in and n_out that they were made for
        self.X: list[Array] = []
        self._caches: list[Any] = []
        self.is_initialized = False

    @property
    def inherits(self) -> bool:
        """Whether the layer has no optimizer of its own and takes the model's."""
        return self.optimizer is self._inherited

    def inherit(self, rule: OptimizerBase) -> None:
        """Take a copy of the model's optimizer."""
        self.optimizer = self._inherited = rule.without_memory()

    # -- the pure face --

    def init(self, rng: Any, n_in: int) -> tuple[Params, Buffers, int]:
        """Draw parameters and buffers for `n_in` features, as NumPy arrays; return them with the number of outputs."""
        return {}, {}, n_in

    def apply(
        self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None
    ) -> tuple[Array, Any, Buffers]:
        """The outputs (n, n_out), what `pullback` will need, and the buffers after this batch. No `ctx`: inference.

        The arguments are not to be written to, and what is to last goes into the buffers: `self` is a passing copy.
        """
        raise NotImplementedError(f"{type(self).__name__} must define apply(params, buffers, x, ctx), or forward")

    def pullback(
        self, params: Params, cache: Any, dy: Array, input_grad: bool = True
    ) -> tuple[Array | None, Gradients]:
        """The gradients at the inputs (n, n_in), None unless asked for, and at the parameters, from dy (n, n_out).

        A parameter's gradient is an array, or a pair (A, B) that stands for the product A B.
        """
        raise NotImplementedError(f"{type(self).__name__} must define pullback(params, cache, dy, input_grad)")

    def keys(self, seed: int, *where: int) -> random.Keys:
        """The key, or one for each of the inner layers that draw, of a step; see `random.mask_key`."""
        return random.mask_key(seed, *where)

    def rules(self, name: str) -> tuple[RegularizerBase | None, ConstraintBase | None]:
        """The regulariser and the constraint of a parameter."""
        return (self.regularizer, self.constraint) if is_weight(name) else (None, None)

    @property
    def by_hand(self) -> bool:
        """Whether this is a layer in the notebook's style: `forward`, defined nearer to its class than `apply`."""
        return nearest(type(self), ("apply", "pullback"), ("forward", "backward")) == 1

    def pure(self) -> "LayerBase":
        """What a network computes with: this layer, or one with its pure face where it has none."""
        return ByHand(self) if self.by_hand else self

    def settle(self, layer: "LayerBase") -> None:
        """After a run with this pure face: give the layer what it learned beside parameters and buffers."""

    # -- the notebook's face --

    def initialize(self, n_in: int, where: Place, dtype: Any, rng: Any) -> None:
        """Make the parameters for inputs of `n_in` features."""
        buffers: Buffers
        if type(self).apply is LayerBase.apply:  # such a layer makes them when it first sees an input
            self.n_out = self.forward(where.xp.zeros((1, n_in), dtype=dtype, device=where.device)).shape[-1]
            params, buffers = self.params, self.buffers
        else:
            params, buffers, self.n_out = self.init(rng, n_in)
        self.n_in = n_in
        self.params = {name: put(to_numpy(value), where, dtype) for name, value in params.items()}
        self.buffers = {name: put(to_numpy(value), where, dtype) for name, value in buffers.items()}
        self._made()
        if not type(self).apply.__module__.startswith("xdfn."):
            self._try(where.xp.zeros((1, n_in), dtype=dtype, device=where.device))

    def _try(self, x: Array) -> None:
        """A look at what an `apply` from elsewhere gives, before training relies on it."""
        result = self.pure().apply(self.params, self.buffers, x)
        given = tuple(getattr(result[0], "shape", ())) if isinstance(result, tuple) and len(result) == 3 else None
        if given != (1, self.n_out):
            got = type(result).__name__ if given is None else f"y of shape {given}"
            raise ValueError(
                f"{type(self).__name__}.apply must give (y, cache, buffers) with y of shape (1, {self.n_out}) for an x "
                f"of shape {tuple(x.shape)}, got {got}"
            )

    def adopt(self, n_in: int, n_out: int) -> None:
        """Take `params` and `buffers` from elsewhere as this layer's own, for those sizes.

        Raises
        ------
        ValueError
            They are not what `init` makes for them.
        """
        self.n_in, self.n_out = n_in, n_out
        if type(self).apply is not LayerBase.apply:
            params, buffers, n_out = self.init(random.generator(0, random.WEIGHTS), n_in)
            expected = {name: value.shape for name, value in {**params, **buffers}.items()}
            got = {name: tuple(value.shape) for name, value in {**self.params, **self.buffers}.items()}
            if got != expected or n_out != self.n_out:
                raise ValueError(
                    f"{self}: expected arrays of shapes {expected} and {n_out} outputs, got {got} and {self.n_out}"
                )
        self._made()

    def _made(self) -> None:
        self.shapes = {name: tuple(value.shape) for name, value in self.params.items()}
        self.sizes = self.n_in, self.n_out
        self.is_initialized = True
        self.flush_gradients()

    def forward(self, X: Array, retain_derived: bool = True) -> Array:
        """The outputs (n, n_out) for inputs X (n, n_in).

        With `retain_derived` the call is a step of training: the input is kept for `backward`, and Dropout drops.
        """
        require_array("X", X, 2)
        if not self.is_initialized:
            rng = random.generator(random.new_seed(), random.WEIGHTS)
            self.initialize(X.shape[-1], place(X), real_dtype(X), rng)
        if X.shape[-1] != self.n_in:
            raise ValueError(f"{type(self).__name__} was made for inputs (n, {self.n_in}), got {tuple(X.shape)}")
        require_place(place(X), f"convert the parameters of {type(self).__name__} or the input", **self.params)
        seed = random.new_seed() if retain_derived and self.draws else 0
        return self._forward(X, Context(self.keys(seed, 0, 0)) if retain_derived else None)

    def step_forward(self, X: Array, ctx: Context) -> Array:
        """`forward` as a step of training, in a given context."""
        return self.forward(X) if self.by_hand else self._forward(X, ctx)

    def _forward(self, X: Array, ctx: Context | None) -> Array:
        for value in self.params.values():
            X = X if X.dtype == value.dtype else namespace(X).astype(X, value.dtype)
        y, cache, self.buffers = self.apply(self.params, self.buffers, X, ctx)
        if ctx is not None:
            self.X.append(X)
            self._caches.append((cache, y.shape))
        return y

    def backward(self, dLda: Any, retain_grads: bool = True) -> Any:
        """The gradient at the inputs (n, n_in) from that at the outputs (n, n_out); adds to `gradients`.

        After k retained forwards, a list of k gradients gives a list of k.
        """
        given = list(dLda) if isinstance(dLda, (list, tuple)) else [dLda]
        if len(given) != len(self._caches):
            raise ValueError(
                f"backward expects one gradient for each of the {len(self._caches)} retained forwards, "
                f"got {len(given)}; flush_gradients() forgets them"
            )
        dX = []
        for dy, (cache, shape) in zip(given, self._caches, strict=True):
            require_array("the gradient", dy, 2)
            if tuple(dy.shape) != tuple(shape):
                raise ValueError(
                    f"the gradient at the output of {type(self).__name__} must have the output's shape "
                    f"{tuple(shape)}, got {tuple(dy.shape)}"
                )
            dx, gradients = self.pullback(self.params, cache, dy)
            dX.append(dx)
            if retain_grads:
                for name, gradient in gradients.items():
                    self.gradients[name] = self.gradients[name] + product(gradient)
        return dX if isinstance(dLda, (list, tuple)) and len(dX) > 1 else dX[0]

    def update(self) -> None:
        """Move each parameter by its gathered gradient and penalty, then hold it to its constraint."""
        for name, gradient in self.gradients.items():
            regularizer, constraint = self.rules(name)
            if regularizer is not None:
                gradient = gradient + regularizer.grad(self.params[name])
            value = self.optimizer(self.params[name], gradient, name)
            self.params[name] = value if constraint is None else constraint.project(value)

    def flush_gradients(self) -> None:
        """Zero the gradients and forget the retained inputs."""
        self.X, self._caches = [], []
        self.gradients = {name: namespace(value).zeros_like(value) for name, value in self.params.items()}

    def clone(self, *, bare: bool = False) -> Self:
        """A layer of its own with the same hyper-parameters and, unless `bare`, the same parameters and buffers."""
        new = copy.copy(self)
        for name, part in vars(self).items():
            if isinstance(part, Part) and name not in ("optimizer", "_inherited"):
                vars(new)[name] = copy.deepcopy(part)  # an activation shared by two layers would be changed in both
        new.inner = tuple(layer.clone(bare=True) for layer in self.inner)
        if not bare:
            new.optimizer = copy.deepcopy(self.optimizer)
        elif not self.optimizer.by_hand:
            new.optimizer = self.optimizer.without_memory()
        new._inherited = new.optimizer if self.inherits else None
        new.params, new.buffers = ({}, {}) if bare else (dict(self.params), dict(self.buffers))
        new.flush_gradients()
        return new

    # What is not said by the hyper-parameters.
    _STATE: ClassVar[frozenset[str]] = frozenset(
        {"optimizer", "_inherited", "params", "buffers", "gradients", "shapes", "sizes", "X", "n_in", "is_initialized"}
    )

    def key(self) -> Any:
        """What a compiled step depends on."""
        return key(self, self._STATE, whole=True)

    @property
    def ending(self) -> str:
        """The name of the function that the layer ends in, by which a loss may know its own link."""
        return type(self).__name__

    def without_ending(self) -> "LayerBase":
        """The same layer up to that function."""
        return Identity()

    @property
    def hyperparams(self) -> dict[str, Any]:
        fields = {name: value for name, value in self.shown_fields().items() if name != "optimizer"}
        sizes = {"n_in": self.n_in, "n_out": self.n_out}
        return {
            "layer": type(self).__name__,
            **fields,
            **sizes,
            "optimizer": {"hyperparams": self.optimizer.hyperparams},
        }


layers: Registry[LayerBase] = Registry("layer", LayerBase)


class ByHand(LayerBase):
    """The pure face of a layer in the notebook's style, worked out on a copy that shares its arrays alone."""

    def __init__(self, layer: LayerBase) -> None:
        shared = (layer.params, layer.buffers, layer.gradients)
        arrays = [*(x for tree in shared for x in tree.values()), *layer.X]
        self.layer = copy.deepcopy(layer, {id(x): x for x in arrays})
        self.layer.flush_gradients()
        self.optimizer, self.params, self.buffers = layer.optimizer, layer.params, layer.buffers
        self.n_in, self.n_out = layer.n_in, layer.n_out
        self.knows_inference = "retain_derived" in inspect.signature(layer.forward).parameters

    def apply(
        self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None
    ) -> tuple[Array, Any, Buffers]:
        self.layer.params = params
        if ctx is None and self.knows_inference:
            return self.layer.forward(x, retain_derived=False), x, buffers
        y = self.layer.forward(x)
        if ctx is None:
            self.layer.flush_gradients()
        return y, x if ctx is None else None, buffers

    def pullback(
        self, params: Params, cache: Any, dy: Array, input_grad: bool = True
    ) -> tuple[Array | None, Gradients]:
        if cache is not None:  # from inference, which retained nothing
            self.layer.forward(cache)
        self.layer.gradients = {name: namespace(value).zeros_like(value) for name, value in params.items()}
        dx, gradients = self.layer.backward(dy), self.layer.gradients
        self.layer.flush_gradients()
        return dx, gradients

    def rules(self, name: str) -> tuple[RegularizerBase | None, ConstraintBase | None]:
        return self.layer.rules(name)

    def settle(self, layer: LayerBase) -> None:
        vars(layer).update({name: value for name, value in vars(self.layer).items() if name not in self._STATE})

    def clone(self, *, bare: bool = False) -> "ByHand":
        return ByHand(self.layer.clone(bare=bare))


def initializer(name: str, spec: Any) -> Any:
    """The spec as given, after a look whether it is one."""
    initializers.resolve(spec)
    return spec


@layers.register("dense", "fc")
class FullyConnected(LayerBase):
    """y = g(x W + b), with W (n_in, n_out), b (1, n_out).

    Backward, with z = x W + b: dz = g'(z) dy, dW = x^T dz, db = sum over rows of dz, dx = dz W^T.

    Parameters
    ----------
    n_out : int
        Number of units.
    acti_fn : str or ActivationBase
        The activation g, such as ``"relu"`` or ``"affine(slope=1, intercept=0)"``.
    init_w : str or InitializerBase
        The initialiser of W, such as ``"he_uniform"``.
    optimizer : str or OptimizerBase, optional
        An optimizer of its own for this layer.
    init_b : str or InitializerBase
        The initialiser of b.
    regularizer : str or RegularizerBase, optional
        A penalty on W, such as ``"l2(1e-4)"``.
    constraint : str or ConstraintBase, optional
        What W is held to after each step, such as ``"max_norm(3)"``.

    Examples
    --------
    >>> import numpy as np
    >>> layer = FullyConnected(3, "relu", "he_uniform")
    >>> layer.forward(np.ones((5, 2))).shape
    (5, 3)
    >>> layer.backward(np.ones((5, 3))).shape
    (5, 2)
    """

    prefix = "FC"
    n_out: int = Field(integer)  # type: ignore[assignment]
    acti_fn: ActivationBase = activations.field()  # type: ignore[assignment]
    init_w = Field(initializer)
    init_b = Field(initializer)
    regularizer = optional(regularizers)
    constraint = optional(constraints)

    def __init__(
        self,
        n_out: int,
        acti_fn: Any,
        init_w: Any,
        optimizer: Any = None,
        init_b: Any = "zeros",
        regularizer: Any = None,
        constraint: Any = None,
    ) -> None:
        super().__init__(optimizer)
        self.n_out = n_out
        self.acti_fn = acti_fn
        self.init_w, self.init_b = init_w, init_b
        self.regularizer, self.constraint = regularizer, constraint

    def fields(self) -> dict[str, Any]:
        resolved = {name: initializers.resolve(vars(self)[name]) for name in ("init_w", "init_b")}
        return {**super().fields(), **resolved}

    def init(self, rng: Any, n_in: int) -> tuple[Params, Buffers, int]:
        W = initializers.resolve(self.init_w)((n_in, self.n_out), rng)
        b = initializers.resolve(self.init_b)((1, self.n_out), rng)
        return {"W": W, "b": b}, {}, self.n_out

    def apply(
        self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None
    ) -> tuple[Array, Any, Buffers]:
        z, y = self.acti_fn.after_bias(x @ params["W"], params["b"])
        return y, (x, z, y), buffers

    def pullback(
        self, params: Params, cache: Any, dy: Array, input_grad: bool = True
    ) -> tuple[Array | None, Gradients]:
        x, z, y = cache
        dz = self.acti_fn.pullback(z, y, dy)
        gradients = {"W": (x.mT, dz), "b": (ones_row(dz), dz)}
        dx = dz @ params["W"].mT if input_grad else None
        return dx, gradients

    @property
    def ending(self) -> str:
        return type(self.acti_fn).__name__

    def without_ending(self) -> LayerBase:
        new = self.clone()
        new.acti_fn = Affine()
        return new

    @property
    def hyperparams(self) -> dict[str, Any]:
        later = {"init_b": self.init_b} if str(self.init_b) != "zeros" else {}
        later |= {name: str(vars(self)[name]) for name in ("regularizer", "constraint") if vars(self)[name] is not None}
        return {
            "layer": "FullyConnected",
            "init_w": self.init_w,
            **later,
            "n_in": self.n_in,
            "n_out": self.n_out,
            "acti_fn": str(self.acti_fn),
            "optimizer": {"hyperparams": self.optimizer.hyperparams},
            "components": dict(self.params),
        }


class Identity(LayerBase):
    """y = x: what is left of a layer that the loss computes as its own link."""

    def apply(
        self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None
    ) -> tuple[Array, Any, Buffers]:
        return x, None, buffers

    def pullback(
        self, params: Params, cache: Any, dy: Array, input_grad: bool = True
    ) -> tuple[Array | None, Gradients]:
        return dy, {}


def _axis(name: str, value: Any) -> int:
    if value not in (-1, 1):
        raise ValueError(f"Softmax: {name} must be -1 or 1, the axis of the classes, got {value!r:.80}")
    return value  # type: ignore[no-any-return]


@layers.register()
class Softmax(LayerBase):
    """y = e^x / sum e^x over each row. Backward is the Jacobian product dx = y (dy - sum(dy y)).

    As the last layer before CrossEntropy it is the loss's own link, and the two are computed as one.
    """

    dim = Field(_axis)

    def __init__(self, dim: int = -1, optimizer: Any = None) -> None:
        super().__init__(optimizer)
        self.dim = dim

    def apply(
        self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None
    ) -> tuple[Array, Any, Buffers]:
        y = softmax(x)
        return y, y, buffers

    def pullback(
        self, params: Params, cache: Any, dy: Array, input_grad: bool = True
    ) -> tuple[Array | None, Gradients]:
        y, xp = cache, namespace(dy)
        return y * (dy - xp.sum(dy * y, axis=-1, keepdims=True)), {}

    @property
    def hyperparams(self) -> dict[str, Any]:
        return {**super().hyperparams, "layer": "SoftmaxLayer"}


@layers.register()
class Dropout(LayerBase):
    """y = m x / (1 - rate), where each element of m is 0 with probability `rate` and else 1; at inference y = x
    (Srivastava et al. 2014, JMLR 15). dx = m dy / (1 - rate).

    The mask depends on the seed, the layer, the step and the place of the element within its batch alone: it is the
    same on every library.
    """

    draws = True
    _shown = ("rate",)
    rate = number_field(0, 1, open_high=True)

    def __init__(self, rate: float = 0.5) -> None:
        super().__init__()
        self.rate = rate

    def apply(
        self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None
    ) -> tuple[Array, Any, Buffers]:
        if ctx is None or self.rate == 0:
            return x, None, buffers
        bits = random.uniform_bits(ctx.key, x.shape, x)
        kept_from = min(round(self.rate * 2**32) - 2**31, 2**31 - 1)
        mask = namespace(x).astype(bits >= kept_from, x.dtype)
        mask *= 1 / (1 - self.rate)
        return x * mask, mask, buffers

    def pullback(
        self, params: Params, cache: Any, dy: Array, input_grad: bool = True
    ) -> tuple[Array | None, Gradients]:
        mask = cache
        return dy if mask is None else dy * mask, {}


def named(given: Sequence[Any]) -> dict[str, LayerBase]:
    """Copies of the layers, by name."""
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) == 0:
        raise ValueError(f"layers must be a list of at least one layer, got {given!r:.80}")
    named: dict[str, LayerBase] = {}
    counts: dict[str, int] = {}
    for spec in given:
        layer = layers.resolve(spec)
        if "is_initialized" not in vars(layer):
            raise ValueError(f"{type(layer).__name__}: its constructor must call super().__init__(optimizer) first")
        layer = layer.clone()
        layer.params, layer.buffers = fresh((layer.params, layer.buffers))
        prefix = layer.prefix or type(layer).__name__
        counts[prefix] = counts.get(prefix, 0) + 1
        named[f"{prefix}{counts[prefix]}"] = layer
    return named


def specs_of(layers_by_name: Mapping[str, LayerBase]) -> dict[str, str]:
    """The specs that make equal layers again.

    Raises
    ------
    ValueError
        There is none: a part is not registered, or does not keep the arguments of its constructor.
    """
    specs = {}
    for name, layer in layers_by_name.items():
        specs[name] = str(layer)
        try:
            same = layers.resolve(specs[name]) == layer
        except ValueError as error:
            raise ValueError(f"cannot save {name}: {error}") from None
        if not same:
            raise ValueError(
                f"cannot save {name}: {specs[name]} does not make an equal layer; "
                "its constructor must keep its arguments in attributes of the same names"
            )
    return specs
