"""A network is a value: layers in a row, a loss at the end, an optimizer for every parameter. Training is a fold over
batches, and this module is the function that is folded: pure, apart from consuming the state that it is given.

All arrays of a run live in one tree, `TrainState`. Parameters that share an optimizer lie end to end in one vector
where that is what the library wants (`_backend.flat`); the layers see views.
"""

import copy
import functools
import itertools
import math
import numbers
import operator
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from xdfn import random
from xdfn._backend import (
    Array,
    axpby,
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
from xdfn._tape import Plain, Recorded
from xdfn.activations import ActivationBase, Affine, Fused
from xdfn.layers import ByHand as ByHandLayer
from xdfn.layers import Context, LayerBase
from xdfn.losses import ObjectiveBase
from xdfn.optimizers import ByHand, OptimizerBase, Rates, Slots
from xdfn.schedules import ScheduleBase

_FEW = 2**14  # parameters: fewer are moved all at once sooner than by one product each, but on a GPU

LayerTree = Sequence[dict[str, Any]]  # for each layer, something by the name of its parameters


class TrainState(NamedTuple):
    """Everything that training changes.

    Attributes
    ----------
    params : tuple of one array a segment
    buffers : tuple of one dict of arrays a layer
    slots : tuple of one tuple of arrays a segment, the optimizer's memory
    averages : tuple of one array a segment, the moving averages of the parameters; empty without
    sums : dict of 0-d arrays: ``"loss"``, between steps the sum of their losses, between runs of equal steps the sum
        over the rows of the epoch so far
    step, epoch, batch : steps ever made, epochs ever finished, batches made in this epoch
    """

    params: tuple[Array, ...]
    buffers: tuple[dict[str, Array], ...]
    slots: tuple[tuple[Array, ...], ...]
    averages: tuple[Array, ...]
    sums: dict[str, Array]
    step: int = 0
    epoch: int = 0
    batch: int = 0

    def arrays(self) -> tuple[Any, ...]:
        """The part of the state that a compiled step carries."""
        return self[:5]

    def with_arrays(self, arrays: tuple[Any, ...], n_steps: int) -> "TrainState":
        params, buffers, slots, averages, sums = arrays
        step, batch = self.step + n_steps, self.batch + n_steps
        return TrainState(params, buffers, slots, averages, sums, step, self.epoch, batch)

    def copied(self, spare: "TrainState | None") -> "TrainState":
        """A copy, which takes its large arrays from another state where the library writes into given ones."""
        if spare is None or not writes(self.params[0]):
            copied: TrainState = fresh(self)
            return copied
        params, buffers, slots, averages, sums, step, epoch, batch = self
        for x, y in zip(
            itertools.chain(params, *slots, averages),
            itertools.chain(spare.params, *spare.slots, spare.averages),
            strict=True,
        ):
            y[...] = x
        buffers = fresh(buffers) if any(buffers) else buffers  # the sums are nobody's to write
        return TrainState(spare.params, buffers, spare.slots, spare.averages, sums, step, epoch, batch)

    def with_sums(self, sums: dict[str, Array]) -> "TrainState":
        params, buffers, slots, averages, _, step, epoch, batch = self
        return TrainState(params, buffers, slots, averages, sums, step, epoch, batch)


class Entry(NamedTuple):
    """A parameter's place in its segment."""

    layer: int
    name: str
    shape: tuple[int, ...]
    start: int
    stop: int


class Since(NamedTuple):
    """From when on an optimizer moves a parameter."""

    memory: int = 0  # the step before which it had no memory
    step: int = 0  # where its schedule begins
    epoch: int = 0


class Segment(NamedTuple):
    """Parameters that one optimizer moves in one go."""

    optimizer: OptimizerBase
    schedule: ScheduleBase | None  # of its learning rate
    since: Since
    entries: tuple[Entry, ...]


class Clock(NamedTuple):
    """What a run of equal batches is within an epoch.

    Attributes
    ----------
    n_batches : batches an epoch
    share : the rows of a batch as a share of those of a full one
    """

    n_batches: int = 1
    share: float = 1.0


class Extras(NamedTuple):
    """What a step does beside the optimizers' moves, for the whole network; see `DFN`."""

    clip_value: float | None = None
    clip_norm: float | None = None
    ema: float | None = None


class Hyper(NamedTuple):
    """The numbers of one step, computed on the host: Python numbers, or traced ones in a compiled step."""

    rates: tuple[Rates, ...]  # one a segment
    keys: tuple[random.Keys, ...]  # one a layer that draws
    share: float  # of the batch, in rows of a full one
    averaged: tuple[float, ...]  # how much of the averages stays, if there are any


class Workspace(NamedTuple):
    """Vectors that every step writes anew, and the layers' views of them and of the parameters, made once."""

    params: tuple[Array, ...]
    params_tree: LayerTree
    gradients: tuple[Array, ...]
    gradients_tree: LayerTree
    memory: tuple[Array, ...]  # the optimizers' and the averages
    recorded: dict[Any, Recorded]  # steps, by kind of batch

    def arrays(self) -> tuple[Any, ...]:
        return self[:4]

    def with_arrays(self, arrays: tuple[Any, ...]) -> "Workspace":
        params, params_tree, gradients, gradients_tree = arrays
        return Workspace(params, params_tree, gradients, gradients_tree, self.memory, self.recorded)


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
    since : for each layer, by parameter, from when on its optimizer moves it; from the start without it
    extras : Extras
    history : the values of the epochs so far by name, which schedules may look at
    """

    def __init__(
        self,
        layers: Sequence[LayerBase],
        loss: ObjectiveBase,
        seed: int,
        like: Array,
        since: Sequence[dict[str, Since]] | None = None,
        extras: Extras = Extras(),  # noqa: B008  a tuple
        history: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        bare = [layer.clone(bare=True) for layer in layers]  # a snapshot, which keeps no array alive
        self.layers = folded(bare, loss)
        for layer in _all(self.layers):
            g = layer.acti_fn  # the library's own; of an affine one there is nothing to fuse
            if fuses(like) and g and type(g).__module__ == ActivationBase.__module__ and not isinstance(g, Affine):
                layer.acti_fn = Fused(g, like)
        self.loss = copy.deepcopy(loss)
        self.seed = seed
        self.place = place_of(like)
        self.flat = flat(self.place.xp)
        self.extras, self.history = extras, history or {}
        rules = [layer.optimizer for layer in bare]
        self._given = tuple(map(key, rules)), extras  # rates included
        self.segments = self._segments(rules, [layer.params for layer in layers], since or [{} for _ in layers])
        by_hand = any(layer.by_hand or layer.optimizer.by_hand for layer in layers)
        # a compiled step would keep the first rate of a rule that reads its schedule's value elsewhere than in `rates`
        stale = any(s.schedule and "lr" not in s.optimizer.per_step for s in self.segments)
        self.pure = not by_hand and not stale
        entries = [(e, *self.layers[e.layer].rules(e.name)) for s in self.segments for e in s.entries]
        self._penalties = [(e, penalty) for e, penalty, _ in entries if penalty is not None]
        self._constraints = [(e, constraint) for e, _, constraint in entries if constraint is not None]
        # plain SGD everywhere: gradients go straight into the parameters, by one product each
        alike = len({key(s.optimizer) for s in self.segments}) == 1 and self.segments[0].optimizer.linear
        ruled = self._penalties or extras.clip_value is not None or extras.clip_norm is not None
        n_params = sum(e.stop - e.start for s in self.segments for e in s.entries)
        self.plain = alike and not ruled and (n_params >= _FEW or fuses(like))
        self._key: Any = None
        self._watched: dict[int, tuple[int, float]] = {}  # by schedule: epochs seen, and the rate that follows
        self._workspaces: list[Workspace] = []
        # parameters whose gradients come from elsewhere: from layers, activations or losses that are not the library's
        whole = _all(self.layers)
        parts = [(type(layer).pullback, layer.acti_fn and type(layer.acti_fn).pullback) for layer in whole]
        functions = [f for pair in parts for f in pair if f] + [type(self.loss).value_and_grad]
        foreign = any(not f.__module__.startswith("xdfn.") or f is ByHandLayer.pullback for f in functions)
        self._foreign = [e for segment in self.segments for e in segment.entries] if foreign else []
        # a step of the library's own parts makes the same calls each time; one's own may look at values, or draw
        own: list[Any] = [*whole, *(layer.acti_fn for layer in whole), self.loss, *(s.optimizer for s in self.segments)]
        own += [part for _, *ruling in entries for part in ruling]
        self.repeats = not by_hand and all(type(p).__module__.startswith("xdfn.") for p in own if p is not None)
        self.scratch: list[Plain] = []  # memory of steps that are not under way
        self._kinds = [key(s.optimizer, s.optimizer.per_step, whole=True) for s in self.segments]
        self._drawing = [i for i, layer in enumerate(self.layers) if layer.draws]

    def _segments(
        self, rules: Sequence[OptimizerBase], params: LayerTree, since: Sequence[dict[str, Since]]
    ) -> tuple[Segment, ...]:
        segments: dict[Any, Segment] = {}
        for i, of_layer in enumerate(rules):
            for name, value in params[i].items():
                rule = ByHand(of_layer, name) if of_layer.by_hand else of_layer.for_parameter(name)
                start = since[i].get(name, Since())
                shared = (key(rule), start) if self.flat and not of_layer.by_hand else (i, name)
                before = segments[shared].entries if shared in segments else ()
                first = before[-1].stop if before else 0
                entry = Entry(i, name, tuple(value.shape), first, first + math.prod(value.shape))
                segments[shared] = Segment(rule, rule.schedule, start, (*before, entry))
        return tuple(segments.values())

    def key(self) -> Any:
        """What a compiled step depends on. The numbers that change from step to step are not in it."""
        if self._key is None:
            layers = tuple(layer.key() for layer in self.layers)
            rules = tuple((kind, segment.entries) for kind, segment in zip(self._kinds, self.segments, strict=True))
            self._key = layers, key(self.loss, whole=True), rules, self.extras._replace(ema=None), self.plain
        return self._key

    def same(self, other: "Network") -> bool:
        """Whether training goes on with the other as with this one."""
        return self.key() == other.key() and self._given == other._given

    def hyper(self, step: int, epoch: float | None = None, share: float = 1.0) -> Hyper:
        """The numbers of a step.

        Parameters
        ----------
        step : int
            The steps before it.
        epoch : float
            The epochs before it; None outside of `fit`, where nobody counts them.
        share : float
            The rows of the batch as a share of those of a full one.
        """
        rates = []
        for rule, schedule, since, _ in self.segments:
            if schedule is not None:
                rule.lr = self._scheduled(schedule, since, step, epoch)
            rates.append(tuple(map(float, rule.rates(step + 1 - since.memory))))
        keys = tuple([self.layers[i].keys(self.seed, i, step) for i in self._drawing]) if self._drawing else ()
        ema = self.extras.ema  # at first the average would be little but the weights that it began with
        averaged = () if ema is None else (min(ema, (1 + step) / (10 + step)),)
        return Hyper(tuple(rates), keys, share, averaged)

    def _scheduled(self, schedule: ScheduleBase, since: Since, step: int, epoch: float | None) -> float:
        if schedule.by == "epoch" and epoch is None:
            raise ValueError(f"{schedule} counts epochs, of which only fit knows; give by='step'")
        t = step - since.step if schedule.by == "step" else (epoch or 0.0) - since.epoch
        if schedule.monitor is None:
            lr = schedule(t)
        else:
            past = list(self.history.get(schedule.monitor, ()))[since.epoch :]
            known, lr = self._watched.get(id(schedule), (-1, math.nan))
            if known != len(past):  # once an epoch
                lr = schedule(t, {schedule.monitor: past})
                self._watched[id(schedule)] = len(past), lr
        if not (isinstance(lr, numbers.Real) and math.isfinite(lr) and lr >= 0):
            raise ValueError(f"lr: {schedule} gave {lr} at {schedule.by} {t:g}, expected a number of at least 0")
        return lr

    def look_ahead(self, step: int, epoch: int, n_epochs: int, n_batches: int, names: Sequence[str]) -> None:
        """Ask the schedules for the rates of what is to come, so that a bad one is found before training starts.

        Raises
        ------
        ValueError
            A rate that is negative or no finite number, or a value that no epoch will have.
        """
        every = max(1, n_epochs * n_batches // 1000)
        for s in self.segments:
            if s.schedule is None:
                continue
            monitor = s.schedule.monitor
            if monitor is not None and monitor not in names:
                raise ValueError(f"lr: {s.schedule} monitors {monitor!r}, expected one of {', '.join(names)}")
            if monitor is None:
                for i in range(0, n_epochs * n_batches, every):
                    self._scheduled(s.schedule, s.since, step + i, epoch + i / n_batches)

    @property
    def rate(self) -> float:
        """The learning rate of the last step, of the first segment; NaN for a rule without one."""
        lr = vars(self.segments[0].optimizer).get("lr")
        return lr if isinstance(lr, (int, float)) else math.nan

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
        memory = (*itertools.chain(*state.slots), *state.averages)
        for known in self._workspaces:  # one for each of the trees between which the epochs alternate
            if all(map(operator.is_, known.params + known.memory, state.params + memory)):
                return known
        workspace = Workspace(state.params, *self._shared(state), memory, {})
        self._workspaces = [workspace, *self._workspaces[:1]]
        return workspace

    def _shared(self, state: TrainState) -> tuple[LayerTree, tuple[Array, ...], LayerTree]:
        """The layers' views of the parameters, the gradients, and the views of them."""
        params_tree = self.unpack(state.params)
        if self.plain:  # the gradients go straight into the parameters
            return params_tree, (), ()
        if self._workspaces:  # the gradients of a step are gone when the next begins
            return params_tree, self._workspaces[0].gradients, self._workspaces[0].gradients_tree
        gradients = tuple(namespace(p).empty_like(p) for p in state.params)
        return params_tree, gradients, self.unpack(gradients)

    def state(self, arrays: tuple[Any, ...]) -> TrainState:
        return TrainState(*arrays)

    # -- the mathematics --

    def forward(
        self, params: LayerTree, buffers: LayerTree, x: Array, hyper: Hyper | None = None, weight: Any = None
    ) -> tuple[Array, list[Any], tuple[Any, ...]]:
        """Scores z (n, n_out), what `backward` will need, and the buffers. Without `hyper`: inference."""
        caches, after, ctx = [], [], None
        if hyper is not None:
            keys, plain = iter(hyper.keys), Context((1, 0), weight, hyper.share)
        for layer, p, s in zip(self.layers, params, buffers, strict=True):
            if hyper is not None:
                ctx = plain._replace(key=next(keys)) if layer.draws else plain
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

    def gather(self, gradients: LayerTree, params: LayerTree, workspace: Workspace | None) -> Sequence[Array]:
        """The gradients by segment, those of the regularisers included. Consumes them.

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
            for e, penalty in self._penalties:
                gradient = workspace.gradients_tree[e.layer][e.name]
                gradient += penalty.grad(params[e.layer][e.name])
            return workspace.gradients
        for e, penalty in self._penalties:
            of_layer = gradients[e.layer]
            of_layer[e.name] = product(of_layer[e.name]) + penalty.grad(params[e.layer][e.name])
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
            for segment, (lr,) in zip(self.segments, hyper.rates, strict=True):
                for e in segment.entries:
                    subtract(lr, gradients[e.layer][e.name], workspace.params_tree[e.layer][e.name])
            return self._after(state, state.params, state.slots, hyper, workspace)
        params_tree = self.unpack(state.params) if workspace is None else workspace.params_tree
        moved = [
            (p - rates[0] * g, s) if plain else move(segment.optimizer, p, g, s, rates, kind)
            for segment, p, g, s, rates, kind in zip(
                self.segments,
                state.params,
                self._clipped(self.gather(gradients, params_tree, workspace)),
                state.slots,
                hyper.rates,
                self._kinds,
                strict=True,
            )
        ]
        params = tuple(p for p, _ in moved) if workspace is None else workspace.params  # there `move` writes in place
        return self._after(state, params, tuple(s for _, s in moved), hyper, workspace)

    def _after(
        self,
        state: TrainState,
        params: tuple[Array, ...],
        slots: tuple[Slots, ...],
        hyper: Hyper,
        workspace: Workspace | None,
    ) -> TrainState:
        """The state after the optimizers' moves: the weights where they are held to be, and averaged."""
        if not self._constraints:
            pass
        elif workspace is not None:
            for e, constraint in self._constraints:
                W = workspace.params_tree[e.layer][e.name]
                W[...] = constraint.project(W)
        else:
            tree = self.unpack(params)
            for e, constraint in self._constraints:
                tree[e.layer][e.name] = constraint.project(tree[e.layer][e.name])
            pieces = [[tree[e.layer][e.name] for e in segment.entries] for segment in self.segments]
            params = tuple([concatenate(piece) if self.flat else piece[0] for piece in pieces])
        _, buffers, _, averages, sums, step, epoch, batch = state
        if averages:
            (kept,) = hyper.averaged
            averages = tuple([axpby(1.0 - kept, p, kept, a) for p, a in zip(params, averages, strict=True)])
        return TrainState(params, buffers, slots, averages, sums, step + 1, epoch, batch + 1)

    def _clipped(self, gradients: Sequence[Array]) -> Sequence[Array]:
        """The gradients by segment, each element cut to +-clip_value, all together scaled to at most clip_norm."""
        clip_value, clip_norm, _ = self.extras
        if clip_value is not None:
            xp = namespace(gradients[0])
            gradients = [xp.minimum(xp.maximum(g, -clip_value), clip_value) for g in gradients]
        if clip_norm is not None:
            xp = namespace(gradients[0])
            squares = [xp.sum(g * g) for g in gradients]
            norm = xp.sqrt(functools.reduce(operator.add, squares))
            factor = clip_norm / xp.maximum(norm, clip_norm)
            gradients = [g * factor for g in gradients]
        return gradients

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
        vectors, _, slots, averages, _, step, epoch, batch = state
        state = TrainState(vectors, layer_buffers, slots, averages, sums, step, epoch, batch)
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


def infer(
    layers: Sequence[LayerBase],
    params: LayerTree,
    buffers: LayerTree,
    x: Array,
    contexts: Sequence[Context | None] | None = None,
) -> Array:
    """Scores at inference; layers that have a context draw."""
    for layer, p, s, ctx in zip(layers, params, buffers, contexts or [None] * len(layers), strict=True):
        x, _, _ = layer.apply(p, s, x, ctx)
    return x


def _all(layers: Sequence[LayerBase]) -> list[LayerBase]:
    """The layers and those that they are made of."""
    return [part for layer in layers for part in (layer, *_all(layer.inner))]


def folded(layers: Sequence[LayerBase], loss: ObjectiveBase) -> tuple[LayerBase, ...]:
    """The layers' pure faces, without a last function that the loss computes as its own link."""
    *rest, last = layers
    # by name, but the library's own alone: a user's Sigmoid, or layer that ends in one, is another function
    function = last.acti_fn if last.acti_fn is not None else last
    library = ("xdfn.activations", "xdfn.layers")
    own = not last.by_hand and type(last).apply.__module__ in library and type(function).__module__ in library
    ending = last.without_ending() if own and last.ending == loss.link_ending else last
    return tuple(layer.pure() for layer in (*rest, ending))
