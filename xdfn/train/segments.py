"""Parameters that one optimizer moves lie end to end in one vector, a segment, where that is what the library wants
(`Traits.packs`); the layers see views of it. Parameters that are frozen lie in segments of their own, after the others,
which have no gradients and no memory. This module packs and unpacks.
"""

import copy
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, Self

from xdfn.backend import Array, Gradient, Place, concatenate, fresh_copy, namespace, product, traits, write
from xdfn.core.part import config_key
from xdfn.nn.network import LayerTree
from xdfn.notebook import adapt_optimizer
from xdfn.optim.base import OptimizerBase, Slots
from xdfn.optim.schedules import ScheduleBase
from xdfn.train.state import TrainState

SlotTree = Sequence[Mapping[str, dict[str, Array]]]  # for each layer, by parameter, the optimizer's memory by its name
GradientTree = Sequence[Mapping[str, Gradient]]


class Provenance(NamedTuple):
    """Which rule and which schedule moved a parameter last, and since when.

    Attributes
    ----------
    rule : class of the optimizer whose memory is kept
    memory_step : the step before which it had no memory
    schedule : the schedule of its learning rate, as a string; empty for a number
    schedule_step, schedule_epoch : where the schedule began
    """

    rule: str = ""
    memory_step: int = 0
    schedule: str = ""
    schedule_step: int = 0
    schedule_epoch: int = 0


class Entry(NamedTuple):
    """A parameter's place in its segment."""

    layer: int
    name: str
    shape: tuple[int, ...]
    start: int
    stop: int


class Segment(NamedTuple):
    """Parameters that one optimizer moves together."""

    optimizer: OptimizerBase
    schedule: ScheduleBase | None  # of its learning rate
    provenance: Provenance
    entries: tuple[Entry, ...]


class Workspace(NamedTuple):
    """Vectors that every step writes anew, and the layers' views of them and of the parameters, made once."""

    params: tuple[Array, ...]
    params_tree: LayerTree
    gradients: tuple[Array, ...]
    gradients_tree: LayerTree


class Segments:
    """All parameters of a network, by segment.

    Parameters
    ----------
    rules : one optimizer a layer
    shapes : for each layer, the shapes of its parameters by name
    provenance : for each layer, by parameter
    where : the place where the network runs
    frozen : for each layer, the names of the parameters that do not move

    Attributes
    ----------
    segments, frozen : tuple of Segment, those that move and those that do not
    entries : the parameters that move
    lead : (k,) for an ensemble of k members, whose arrays are stacks and whose vectors are rows; else ()
    """

    lead: tuple[int, ...]

    def __init__(
        self,
        rules: Sequence[OptimizerBase],
        shapes: Sequence[Mapping[str, tuple[int, ...]]],
        provenance: Sequence[Mapping[str, Provenance]],
        where: Place,
        frozen: Sequence[Collection[str]],
    ) -> None:
        self.place, self.packs, self.lead = where, where.traits.packs, ()
        found: dict[object, Segment] = {}
        still: dict[object, Segment] = {}
        for i, of_layer in enumerate(rules):
            for name, shape in shapes[i].items():
                rule, since = adapt_optimizer(of_layer, name), provenance[i].get(name, Provenance())
                shared = (config_key(rule), since) if self.packs and not of_layer.overrides_update else (i, name)
                group = still if name in frozen[i] else found
                before = group[shared].entries if shared in group else ()
                first = before[-1].stop if before else 0
                entry = Entry(i, name, tuple(shape), first, first + math.prod(shape))
                group[shared] = Segment(rule, rule.schedule, since, (*before, entry))
        if not found:
            raise ValueError("there is nothing to train: all layers are frozen; layer.trainable = True frees one")
        self.segments, self.frozen = tuple(found.values()), tuple(still.values())
        self.entries = [e for segment in self.segments for e in segment.entries]
        self.n_layers = len(rules)

    def of_members(self, n: int, rules: Sequence[OptimizerBase]) -> Self:
        """The same for an ensemble of `n` members, with the rule of each segment."""
        new = copy.copy(self)
        new.lead = (n,)
        pairs = zip(self.segments, rules, strict=True)
        new.segments = tuple(segment._replace(optimizer=rule) for segment, rule in pairs)
        return new

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.segments)

    @property
    def n_params(self) -> int:
        return sum(e.stop - e.start for e in self.entries)

    def moving(self, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        """Of arrays by segment, those that move: all, but for the last ones, which are frozen."""
        return arrays[: len(self.segments)] if self.frozen else arrays

    def with_frozen(self, moved: tuple[Array, ...], arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        """Arrays of the segments that move, and after them the frozen ones of `arrays`."""
        return (*moved, *arrays[len(self.segments) :]) if self.frozen else moved

    def pack(self, tree: LayerTree) -> tuple[Array, ...]:
        """Arrays by layer and name, as fresh arrays by segment."""
        segments = (*self.segments, *self.frozen)
        return tuple(self._join([tree[e.layer][e.name] for e in segment.entries]) for segment in segments)

    def _join(self, pieces: Sequence[Array]) -> Array:
        if self.packs:
            return concatenate(pieces, self.lead)
        copied: Array = fresh_copy(pieces[0])
        return copied

    def unpack(self, arrays: Sequence[Array]) -> list[dict[str, Array]]:
        """Arrays by segment, as arrays by layer and name: views where the library has views.

        What has no frozen parameters, such as gradients, gives a tree without them.
        """
        tree: list[dict[str, Array]] = [{} for _ in range(self.n_layers)]
        for segment, x in zip((*self.segments, *self.frozen), arrays, strict=False):
            for e in segment.entries:
                tree[e.layer][e.name] = self._view(x, e)
        return tree

    def _view(self, x: Array, e: Entry) -> Array:
        return namespace(x).reshape(x[..., e.start : e.stop], (*self.lead, *e.shape)) if self.packs else x

    def pack_slots(self, tree: SlotTree, params: Sequence[Array]) -> tuple[Slots, ...]:
        """The optimizers' memory by segment; new for a whole segment if one of its parameters has none."""
        packed = []
        for segment, p in zip(self.segments, self.moving(tuple(params)), strict=True):
            rule = segment.optimizer
            kept = [tree[e.layer].get(e.name, {}) for e in segment.entries]
            fits = all(memory.keys() == set(rule.slots) for memory in kept)
            packed.append(
                tuple(self._join([memory[slot] for memory in kept]) for slot in rule.slots)
                if fits
                else rule.init_slots(p)
            )
        return tuple(packed)

    def unpack_slots(self, slots: Sequence[Slots]) -> list[dict[str, dict[str, Array]]]:
        """The memory by layer and parameter."""
        tree: list[dict[str, dict[str, Array]]] = [{} for _ in range(self.n_layers)]
        for segment, arrays in zip(self.segments, slots, strict=True):
            for slot, x in zip(segment.optimizer.slots, arrays, strict=True):
                for e in segment.entries:
                    tree[e.layer].setdefault(e.name, {})[slot] = self._view(x, e)
        return tree

    def gather(self, gradients: GradientTree, workspace: Workspace | None) -> Sequence[Array]:
        """The gradients of all layers, one vector a segment: written into the workspace where there is one."""
        if workspace is not None:
            for e in self.entries:
                write(gradients[e.layer][e.name], workspace.gradients_tree[e.layer][e.name])
            return workspace.gradients
        pieces = [[gradients[e.layer][e.name] for e in segment.entries] for segment in self.segments]
        return [concatenate(piece, self.lead) if self.packs else product(piece[0]) for piece in pieces]

    def workspace(self, state: TrainState, with_gradients: bool) -> Workspace | None:
        """What the steps of a run share, where the library writes into given arrays; else None.

        It goes with the arrays of this state, into which every step writes the new ones.
        """
        if not self.packs or not traits(state.params[0]).writes:
            return None
        gradients = tuple(namespace(p).empty_like(p) for p in self.moving(state.params)) if with_gradients else ()
        tree = self.unpack(gradients) if with_gradients else ()
        return Workspace(state.params, self.unpack(state.params), gradients, tree)
