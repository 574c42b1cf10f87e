"""A network is a value: layers in a row, a loss at the end, an optimizer for every parameter. Training is a fold over
batches, and this module is the function that is folded: pure, apart from consuming the state that it is given.

All arrays of a run live in one tree, `TrainState`. Parameters that share an optimizer lie end to end in one vector
where that is what the library wants (`_backend.flat`); the layers see views.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from xdfn import random
from xdfn._backend import (
    Array,
    concatenate,
    elementwise,
    flat,
    fuses,
    namespace,
    product,
    subtract,
    write,
    writes,
)
from xdfn._backend import copy as fresh
from xdfn._backend import place as place_of
from xdfn._spec import key
from xdfn.activations import ActivationBase, Affine, Fused
from xdfn.layers import ByHand as ByHandLayer
from xdfn.layers import Context, LayerBase
from xdfn.losses import ObjectiveBase
from xdfn.optimizers import ByHand, OptimizerBase, Rates, Slots

LayerTree = Sequence[dict[str, Any]]  # for each layer, something by the name of its parameters


class TrainState(NamedTuple):
    """Everything that training changes.

    Attributes
    ----------
    params : tuple of one array a segment
    buffers : tuple of one dict of arrays a layer
    slots : tuple of one tuple of arrays a segment, the optimizer's memory
    sums : dict of 0-d arrays: ``"loss"``, between steps the sum of their losses, between runs of equal steps the sum
        over the rows of the epoch so far
    step, epoch, batch : steps ever made, epochs ever finished, batches made in this epoch
    """

    params: tuple[Array, ...]
    buffers: tuple[dict[str, Array], ...]
    slots: tuple[tuple[Array, ...], ...]
    sums: dict[str, Array]
    step: int = 0
    epoch: int = 0
    batch: int = 0

    def arrays(self) -> tuple[Any, ...]:
        """The part of the state that a compiled step carries."""
        return self[:4]

    def with_arrays(self, arrays: tuple[Any, ...], n_steps: int) -> "TrainState":
        params, buffers, slots, sums = arrays
        return TrainState(params, buffers, slots, sums, self.step + n_steps, self.epoch, self.batch + n_steps)


class Entry(NamedTuple):
    """A parameter's place in its segment."""

    layer: int
    name: str
    shape: tuple[int, ...]
    start: int
    stop: int


class Segment(NamedTuple):
    """Parameters that one optimizer moves in one go."""

    optimizer: OptimizerBase
    since: int  # the step before which it had no memory
    entries: tuple[Entry, ...]


class Hyper(NamedTuple):
    """The numbers of one step, computed on the host: Python numbers, or traced ones in a compiled step."""

    rates: tuple[Rates, ...]  # one a segment
    keys: tuple[random.Key, ...]  # one a layer that draws


class Workspace(NamedTuple):
    """Vectors that every step writes anew, and the layers' views of them and of the parameters, made once."""

    params: tuple[Array, ...]
    params_tree: LayerTree
    gradients: tuple[Array, ...]
    gradients_tree: LayerTree


class Network:
    """What there is to know of a network but its arrays.

    Parameters
    ----------
    layers : sequence of LayerBase
        Initialised, with their optimizers.
    loss : ObjectiveBase
    seed : int
    like : array
        Says on which library the network is to run.
    since : for each layer, by parameter, the step before which its optimizer had no memory; 0 without it
    """

    def __init__(
        self,
        layers: Sequence[LayerBase],
        loss: ObjectiveBase,
        seed: int,
        like: Array,
        since: Sequence[dict[str, int]] | None = None,
    ) -> None:
        bare = [layer.clone(bare=True) for layer in layers]  # a snapshot, which keeps no array alive
        self.layers = folded(bare, loss)
        for layer in self.layers:
            g = layer.acti_fn  # the library's own; of an affine one there is nothing to fuse
            if fuses(like) and g and type(g).__module__ == ActivationBase.__module__ and not isinstance(g, Affine):
                layer.acti_fn = Fused(g, like)
        self.loss = copy.deepcopy(loss)
        self.seed = seed
        self.place = place_of(like)
        self.flat = flat(self.place.xp)
        self.pure = not any(layer.by_hand or layer.optimizer.by_hand for layer in layers)
        rules = [layer.optimizer for layer in bare]
        self.segments = self._segments(rules, [layer.params for layer in layers], since or [{} for _ in layers])
        # plain SGD everywhere: gradients go straight into the parameters, by one product each
        self.plain = len({key(s.optimizer) for s in self.segments}) == 1 and self.segments[0].optimizer.linear
        self._key: Any = None
        self._workspaces: list[Workspace] = []
        # parameters whose gradients come from elsewhere: from layers, activations or losses that are not the library's
        parts = [(type(layer).pullback, layer.acti_fn and type(layer.acti_fn).pullback) for layer in self.layers]
        functions = [f for pair in parts for f in pair if f] + [type(self.loss).value_and_grad]
        foreign = any(not f.__module__.startswith("xdfn.") or f is ByHandLayer.pullback for f in functions)
        self._foreign = [e for segment in self.segments for e in segment.entries] if foreign else []
        self._kinds = [key(s.optimizer, s.optimizer.per_step, whole=True) for s in self.segments]
        self._drawing = [i for i, layer in enumerate(self.layers) if layer.draws]

    def _segments(
        self, rules: Sequence[OptimizerBase], params: LayerTree, since: Sequence[dict[str, int]]
    ) -> tuple[Segment, ...]:
        segments: dict[Any, Segment] = {}
        for i, of_layer in enumerate(rules):
            for name, value in params[i].items():
                rule = ByHand(of_layer, name) if of_layer.by_hand else of_layer.for_parameter(name)
                start = since[i].get(name, 0)
                shared = (key(rule), start) if self.flat and not of_layer.by_hand else (i, name)
                before = segments[shared].entries if shared in segments else ()
                first = before[-1].stop if before else 0
                entry = Entry(i, name, tuple(value.shape), first, first + math.prod(value.shape))
                segments[shared] = Segment(rule, start, (*before, entry))
        return tuple(segments.values())

    def key(self) -> Any:
        """What a compiled step depends on. The numbers that change from step to step are not in it."""
        if self._key is None:
            layers = tuple(layer.key() for layer in self.layers)
            rules = tuple((kind, segment.entries) for kind, segment in zip(self._kinds, self.segments, strict=True))
            self._key = layers, key(self.loss, whole=True), rules
        return self._key

    def hyper(self, step: int) -> Hyper:
        """The numbers of a step, counted from 0."""
        t = step + 1
        rates = tuple(tuple(map(float, s.optimizer.rates(t - s.since))) for s in self.segments)
        return Hyper(rates, tuple(random.mask_key(self.seed, i, step) for i in self._drawing))

    # -- between the state's segments and the layers' dicts --

    def pack(self, tree: LayerTree) -> tuple[Array, ...]:
        """Arrays by layer and name, as fresh arrays by segment."""
        return tuple(self._join([tree[e.layer][e.name] for e in segment.entries]) for segment in self.segments)

    def _join(self, pieces: Sequence[Array]) -> Array:
        return concatenate(pieces) if self.flat else fresh(pieces[0])

    def unpack(self, arrays: Sequence[Array]) -> list[dict[str, Array]]:
        """Arrays by segment, as arrays by layer and name: views where the library has views."""
        tree: list[dict[str, Array]] = [{} for _ in self.layers]
        for segment, x in zip(self.segments, arrays, strict=True):
            for e in segment.entries:
                tree[e.layer][e.name] = namespace(x).reshape(x[e.start : e.stop], e.shape) if self.flat else x
        return tree

    def pack_slots(self, tree: LayerTree, params: Sequence[Array]) -> tuple[tuple[Array, ...], ...]:
        """The optimizers' memory: from a tree of {slot: array} by layer and parameter, and new where that has none."""
        packed = []
        for segment, p in zip(self.segments, params, strict=True):
            rule = segment.optimizer
            kept = [tree[e.layer].get(e.name, {}) for e in segment.entries]
            fits = all(memory.keys() == set(rule.slots) for memory in kept)
            packed.append(
                tuple(self._join([memory[slot] for memory in kept]) for slot in rule.slots)
                if fits
                else rule.init_slots(p)
            )
        return tuple(packed)

    def unpack_slots(self, slots: Sequence[Sequence[Array]]) -> list[dict[str, dict[str, Array]]]:
        """The memory as a tree of {slot: array} by layer and parameter."""
        tree: list[dict[str, dict[str, Array]]] = [{} for _ in self.layers]
        for segment, arrays in zip(self.segments, slots, strict=True):
            for slot, x in zip(segment.optimizer.slots, arrays, strict=True):
                for e in segment.entries:
                    memory = tree[e.layer].setdefault(e.name, {})
                    memory[slot] = namespace(x).reshape(x[e.start : e.stop], e.shape) if self.flat else x
        return tree

    def init_sums(self, dtype: Any) -> dict[str, Array]:
        return {"loss": self.place.xp.zeros((), dtype=dtype, device=self.place.device)}

    def workspace(self, state: TrainState) -> Workspace | None:
        """What the steps of an epoch share, where the library writes into given arrays; else None."""
        if not self.flat or not writes(state.params[0]):
            return None
        for known in self._workspaces:  # one for each of the trees between which the epochs alternate
            if all(p is q for p, q in zip(known.params, state.params, strict=True)):
                return known
        workspace = self._new_workspace(state)
        self._workspaces = [workspace, *self._workspaces[:1]]
        return workspace

    def _new_workspace(self, state: TrainState) -> Workspace:
        params_tree = self.unpack(state.params)
        if self.plain:  # the gradients go straight into the parameters
            return Workspace(state.params, params_tree, (), ())
        if self._workspaces:  # the gradients of a step are gone when the next begins
            return Workspace(state.params, params_tree, *self._workspaces[0][2:])
        gradients = tuple(namespace(p).empty_like(p) for p in state.params)
        return Workspace(state.params, params_tree, gradients, self.unpack(gradients))

    def state(self, arrays: tuple[Any, ...]) -> TrainState:
        return TrainState(*arrays)

    # -- the mathematics --

    def forward(
        self, params: LayerTree, buffers: LayerTree, x: Array, hyper: Hyper | None = None, weight: Any = None
    ) -> tuple[Array, list[Any], tuple[Any, ...]]:
        """Scores z (n, n_out), what `backward` will need, and the buffers. Without `hyper`: inference."""
        keys = iter(hyper.keys) if hyper is not None else iter(())
        caches, after = [], []
        for layer, p, s in zip(self.layers, params, buffers, strict=True):
            ctx = None if hyper is None else Context(next(keys) if layer.draws else (1, 0), weight)
            x, cache, s = layer.apply(p, s, x, ctx)
            caches.append(cache)
            after.append(s)
        return x, caches, tuple(after)

    def backward(self, params: LayerTree, caches: Sequence[Any], dz: Array) -> list[dict[str, Any]]:
        """The gradients of the parameters, by layer. Below the first layer with parameters nothing is computed."""
        first = min((i for i, p in enumerate(params) if p), default=len(params))
        gradients: list[dict[str, Any]] = [{} for _ in self.layers]
        dx: Any = dz
        for i in range(len(self.layers) - 1, first - 1, -1):
            dx, gradients[i] = self.layers[i].pullback(params[i], caches[i], dx, i > first)
        return gradients

    def gather(self, gradients: LayerTree, workspace: Workspace | None) -> Sequence[Array]:
        """The gradients by segment.

        Raises
        ------
        ValueError
            A layer gave a gradient that has not the shape of its parameter, or none.
        """
        self._check(gradients)
        if workspace is not None:
            for segment in self.segments:
                for e in segment.entries:
                    write(gradients[e.layer][e.name], workspace.gradients_tree[e.layer][e.name])
            return workspace.gradients
        pieces = [[gradients[e.layer][e.name] for e in segment.entries] for segment in self.segments]
        return [concatenate(piece) if self.flat else product(piece[0]) for piece in pieces]

    def _check(self, gradients: LayerTree) -> None:
        for e in self._foreign:
            gradient = gradients[e.layer].get(e.name)
            if isinstance(gradient, tuple):
                shape: Any = (gradient[0].shape[-2], gradient[1].shape[-1])
            else:
                shape = None if gradient is None else tuple(gradient.shape)
            if shape != e.shape:
                raise ValueError(
                    f"layer {e.layer + 1}, {type(self.layers[e.layer]).__name__}: pullback must give a gradient of "
                    f"shape {e.shape} for {e.name!r}, got {shape}"
                )

    def update(
        self,
        state: TrainState,
        gradients: LayerTree,
        hyper: Hyper,
        workspace: Workspace | None = None,
    ) -> TrainState:
        """The state after the optimizers' step with the gradients of all layers."""
        plain = self.plain
        if plain and workspace is not None:
            self._check(gradients)
            for segment in self.segments:
                for e in segment.entries:
                    subtract(hyper.rates[0][0], gradients[e.layer][e.name], workspace.params_tree[e.layer][e.name])
            params, buffers, slots, sums, step, epoch, batch = state
            return TrainState(params, buffers, slots, sums, step + 1, epoch, batch + 1)
        moved = [
            (p - rates[0] * g, s) if plain else move(segment.optimizer, p, g, s, rates, kind)
            for segment, p, g, s, rates, kind in zip(
                self.segments,
                state.params,
                self.gather(gradients, workspace),
                state.slots,
                hyper.rates,
                self._kinds,
                strict=True,
            )
        ]
        params = tuple(p for p, _ in moved) if workspace is None else workspace.params  # there `move` writes in place
        return state._replace(
            params=params, slots=tuple(s for _, s in moved), step=state.step + 1, batch=state.batch + 1
        )

    def step(
        self,
        state: TrainState,
        x: Array,
        y: Array,
        weight: Any,
        hyper: Hyper,
        workspace: Workspace | None = None,
    ) -> tuple[TrainState, Array]:
        """One step of training on a batch: the new state, and the loss before the step.

        Parameters
        ----------
        state : TrainState
            Consumed.
        x : array (n, n_in)
        y : array (n,) or (n, n_out)
        weight : float or array (n,)
            The weight of a row, the division by n included.
        hyper : Hyper
        workspace : Workspace, optional
            From `workspace`, for this state or one that came of it.
        """
        dtype = state.sums["loss"].dtype
        if x.dtype != dtype:
            x = namespace(x).astype(x, dtype)
        params = self.unpack(state.params) if workspace is None else workspace.params_tree
        z, caches, layer_buffers = self.forward(params, state.buffers, x, hyper, weight)
        loss, dz = self.loss.value_and_grad(self.loss.targets(y, z), z, weight)
        sums = {"loss": state.sums["loss"] + loss}
        gradients = self.backward(params, caches, dz)
        state = TrainState(state.params, layer_buffers, state.slots, sums, state.step, state.epoch, state.batch)
        return self.update(state, gradients, hyper, workspace), loss


def move(rule: OptimizerBase, p: Array, g: Array, slots: Slots, rates: Rates, kind: Any = None) -> tuple[Array, Slots]:
    """rule.apply(p, g, slots, rates), with the results in the given arrays where the library writes into such.

    `kind` is what the rule depends on beside its rates.
    """
    n = len(slots)

    def apply(p: Array, *others: Any) -> tuple[Array, ...]:
        p, slots = rule.apply(p, others[n], others[:n], others[n + 1 :])
        return p, *slots

    p, *memory = elementwise(("apply", kind), apply, p, *slots, g, numbers=rates, whole=not rule.elementwise)
    return p, tuple(memory[:n])


def infer(layers: Sequence[LayerBase], params: LayerTree, buffers: LayerTree, x: Array) -> Array:
    """Scores at inference."""
    for layer, p, s in zip(layers, params, buffers, strict=True):
        x, _, _ = layer.apply(p, s, x)
    return x


def folded(layers: Sequence[LayerBase], loss: ObjectiveBase) -> tuple[LayerBase, ...]:
    """The layers' pure faces, without a last function that the loss computes as its own link."""
    *rest, last = layers
    # by name, but the library's own alone: a user's Sigmoid, or layer that ends in one, is another function
    function = last.acti_fn if last.acti_fn is not None else last
    library = ("xdfn.activations", "xdfn.layers")
    own = not last.by_hand and type(last).apply.__module__ in library and type(function).__module__ in library
    ending = last.without_ending() if own and last.ending == loss.link_ending else last
    return tuple(layer.pure() for layer in (*rest, ending))
