"""A layer as an object that keeps parameters, inputs and gradients, to be used by itself: forward, backward, update. It
is written once for all layers, out of their `init`, `apply` and `pullback`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast, overload

from xdfn.backend import (
    Array,
    DType,
    Foreign,
    Host,
    Place,
    as_array,
    namespace,
    place,
    product,
    put,
    random,
    real_dtype,
    require_array,
    require_place,
    require_shape,
    to_numpy,
)
from xdfn.core.fields import Field, flag
from xdfn.core.part import Part, closest_override
from xdfn.core.registry import Spec
from xdfn.nn.initializers import shapes_only
from xdfn.nn.layers.context import Applied, Buffers, Cache, Context, Drawn, Params, Pulled
from xdfn.nn.regularizers import ConstraintBase, RegularizerBase
from xdfn.optim.base import OptimizerBase, optimizers, resolve_optimizer

if TYPE_CHECKING:
    from numpy.random import Generator

__all__: list[str] = []


class OwnOptimizer(Field[OptimizerBase]):
    """The optimizer of a layer. One that is assigned is the layer's own."""

    def __init__(self) -> None:
        super().__init__(lambda name, spec: optimizers.resolve(spec))

    def __set__(self, instance: object, value: object) -> None:
        super().__set__(instance, value)
        vars(instance)["own_optimizer"] = vars(instance)[self.name]


class StatefulLayer(Part):
    """Mixin of `LayerBase`: the layer as an object with a state."""

    n_in: int | None = None
    n_out: int | None = None
    optimizer = OwnOptimizer()
    trainable = Field(flag)
    own_optimizer: OptimizerBase | None

    if TYPE_CHECKING:  # what LayerBase has
        draws: bool

        def init(self, rng: Generator, n_in: int) -> Drawn: ...
        def apply(self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None) -> Applied: ...
        def pullback(self, params: Params, cache: Cache, dy: Array, input_grad: bool = True) -> Pulled: ...
        def random_key(self, seed: int, *where: int) -> random.Key: ...
        def moves(self, name: str) -> bool: ...
        def penalties(self, name: str) -> tuple[RegularizerBase | None, ConstraintBase | None]: ...

    def __init__(self, optimizer: Spec[OptimizerBase] | None = None) -> None:
        self.optimizer = resolve_optimizer(optimizer).without_memory()
        if optimizer is None:
            self.own_optimizer = None
        self.params: dict[str, Foreign] = {}  # arrays; a user may assign what arrays can be made of
        self.buffers: Buffers = {}
        self.gradients: Params = {}
        self.shapes: dict[str, tuple[int, ...]] = {}  # of the parameters
        self.sizes: tuple[int | None, int | None] = (None, None)  # n_in and n_out that they were made for
        self.trainable = True
        self.X: list[Array] = []
        self._caches: list[tuple[Cache, tuple[int, ...]]] = []  # of each retained forward, with the outputs' shape
        self._passed = 0  # those that backward has been through
        self._followed: OptimizerBase | None = None  # the model's optimizer, once the layer has its copy
        self.is_initialized = False

    @property
    def inherits(self) -> bool:
        """Whether the layer has no optimizer of its own and follows the model's."""
        return self.own_optimizer is None

    def inherit(self, rule: OptimizerBase) -> None:
        """Take a copy of the model's optimizer, and follow it."""
        self.optimizer = rule.without_memory()
        self.own_optimizer = None
        self._followed = rule

    @property
    def overrides_forward(self) -> bool:
        """Whether forward or backward is overridden closer to the class than apply and pullback.

        Then `apply` and `pullback` no longer say what the layer computes.
        """
        return closest_override(type(self), ("apply", "pullback"), ("forward", "backward")) == 1

    # -- parameters --

    def initialize(self, n_in: int, where: Place, dtype: DType, rng: "Generator") -> None:
        """Make the parameters for inputs of `n_in` features. Those that were assigned before are adopted.

        Raises
        ------
        ValueError
            An assigned array has no place in the layer, or another shape.
        """
        params, buffers, n_out = self.init(rng, n_in)
        adopted = self._adopted("params", self.params, params), self._adopted("buffers", self.buffers, buffers)
        self.n_in, self.n_out = n_in, n_out
        self.params, self.buffers = (put_all(arrays, where, dtype) for arrays in adopted)
        self.finish_init()
        if not self.traceable:
            self._check_apply(where.xp.zeros((1, n_in), dtype=dtype, device=where.device))

    def _adopted(self, what: str, assigned: Mapping[str, Array], drawn: Mapping[str, Host]) -> dict[str, Array | Host]:
        """The arrays that were drawn, with those that the user assigned before in their places."""
        unknown = assigned.keys() - drawn.keys()
        if unknown:
            raise ValueError(f"{self}: {what} hold {sorted(drawn)}, and {unknown.pop()!r} was assigned")
        arrays = {name: as_array(f"{self}: {what}[{name!r}]", value) for name, value in assigned.items()}
        for name, value in arrays.items():
            require_shape(f"{self}: {what}[{name!r}]", value, drawn[name].shape)
        return {**drawn, **arrays}

    def _check_apply(self, x: Array) -> None:
        """Look at what a user's `apply` gives, before training relies on it."""
        result: object = self.apply(self.params, self.buffers, x)
        given = tuple(getattr(result[0], "shape", ())) if isinstance(result, tuple) and len(result) == 3 else None
        if given != (1, self.n_out):
            got = type(result).__name__ if given is None else f"y of shape {given}"
            raise ValueError(
                f"{type(self).__name__}.apply must give (y, cache, buffers) with y of shape (1, {self.n_out}) for an x "
                f"of shape {tuple(x.shape)}, got {got}"
            )

    def load_params(self, n_in: int, n_out: int) -> None:
        """Make what was assigned to `params` and `buffers` the layer's own, for these sizes.

        Raises
        ------
        ValueError
            They are not what `init` makes for these sizes.
        """
        self.n_in, self.n_out = n_in, n_out
        with shapes_only():
            params, buffers, expected_out = self.init(random.generator(0, random.WEIGHTS), n_in)
        expected = {name: value.shape for name, value in {**params, **buffers}.items()}
        got = {name: tuple(value.shape) for name, value in {**self.params, **self.buffers}.items()}
        if got != expected or n_out != expected_out:
            raise ValueError(
                f"{self}: expected arrays of shapes {expected} and {expected_out} outputs, got {got} and {n_out}"
            )
        self.finish_init()

    def forget_params(self) -> None:
        """Be as before the parameters were made."""
        self.params, self.buffers, self.shapes, self.is_initialized = {}, {}, {}, False
        self.sizes, self.n_in = (None, None), None
        self.optimizer, own = self.optimizer.without_memory(), self.own_optimizer
        self.own_optimizer = None if own is None else self.optimizer
        self.flush_gradients()

    def finish_init(self) -> None:
        self.shapes = {name: tuple(value.shape) for name, value in self.params.items()}
        self.sizes = self.n_in, self.n_out
        self.is_initialized = True
        self.flush_gradients()

    # -- training by hand --

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
        return self._forward(
            X, Context(self.random_key(seed, 0, 0), training=self.trainable) if retain_derived else None
        )

    def step_forward(self, X: Array, ctx: Context) -> Array:
        """`forward` as a step of training, in a given context."""
        return self.forward(X) if self.overrides_forward else self._forward(X, ctx)

    def _forward(self, X: Array, ctx: Context | None) -> Array:
        for value in self.params.values():
            X = X if X.dtype == value.dtype else namespace(X).astype(X, value.dtype)
        y, cache, buffers = self.apply(self.params, self.buffers, X, ctx)
        self.buffers = buffers if self.trainable else self.buffers
        if ctx is not None:
            self.X.append(X)
            self._caches.append((cache, tuple(y.shape)))
        return y

    @overload
    def backward(self, dLda: Array, retain_grads: bool = True) -> Array: ...
    @overload
    def backward(self, dLda: Sequence[Array], retain_grads: bool = True) -> Array | list[Array]: ...

    def backward(self, dLda: Array | Sequence[Array], retain_grads: bool = True) -> Array | list[Array]:
        """The gradient at the inputs (n, n_in) from that at the outputs (n, n_out); adds to `gradients`.

        After k retained forwards, a list of k gradients gives a list of k. Pairs of forward and backward, one after
        the other, add up as well.
        """
        given = list(dLda) if isinstance(dLda, (list, tuple)) else [cast(Array, dLda)]
        pending = self._caches[self._passed :] or self._caches  # those since the last backward; or all of them again
        if len(given) != len(pending):
            raise ValueError(
                f"backward expects one gradient for each of the {len(pending)} retained forwards, "
                f"got {len(given)}; flush_gradients() forgets them"
            )
        dX = []
        for dy, (cache, shape) in zip(given, pending, strict=True):
            require_array("the gradient", dy, 2)
            if tuple(dy.shape) != shape:
                raise ValueError(
                    f"the gradient at the output of {type(self).__name__} must have the output's shape "
                    f"{shape}, got {tuple(dy.shape)}"
                )
            dx, gradients = self.pullback(self.params, cache, dy)
            dX.append(cast(Array, dx))
            if retain_grads:
                for name, gradient in gradients.items():
                    self.gradients[name] = self.gradients[name] + product(gradient)
        self._passed = len(self._caches)
        return dX if isinstance(dLda, (list, tuple)) and len(dX) > 1 else dX[0]

    def update(self) -> None:
        """Move each parameter by the optimizer, the penalty's gradient included, to where its constraint allows.

        The parameters are new arrays then: one that was read before stays as it was.
        """
        for name, gradient in self.gradients.items():
            if not self.moves(name):
                continue
            value = self.params[name]
            regularizer, constraint = self.penalties(name)
            if regularizer is not None:
                gradient = gradient + regularizer.grad(value)
            value = self.optimizer(value, gradient, name)
            self.params[name] = value if constraint is None else constraint.project(value)

    def flush_gradients(self) -> None:
        """Zero the gradients and forget the retained inputs."""
        self.X, self._caches, self._passed = [], [], 0
        self.gradients = {name: namespace(value).zeros_like(value) for name, value in self.params.items()}


def put_all(values: Mapping[str, Host | Array], where: Place, dtype: DType) -> dict[str, Array]:
    return {name: put(to_numpy(cast(Array, value)), where, dtype) for name, value in values.items()}
