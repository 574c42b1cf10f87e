"""What training leaves behind in a model, beside the parameters: the optimizers' memory, moving averages, counters, and
all that makes the next fit go on where this one stands.
"""

import itertools
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Self

from xdfn.backend import Array, Place, fresh_copy, to_place
from xdfn.core.tree import Tree, map_arrays, tree_map
from xdfn.nn.layers.base import LayerBase
from xdfn.nn.network import LayerTree
from xdfn.train.segments import Provenance
from xdfn.train.state import TrainState
from xdfn.train.step import TrainStep

Layers = Mapping[str, LayerBase]


_REVISIONS = itertools.count(1)


class TrainedParams(dict[str, Array]):
    """A layer's parameters as training left them: when, and which of them were assigned since.

    Arrays that are changed in place are not noticed.

    Attributes
    ----------
    revision : that of the memory which belongs to the parameters
    assigned : names of parameters that were assigned
    """

    def __init__(self, params: Mapping[str, Array], revision: int, assigned: Collection[str] = ()) -> None:
        super().__init__(params)
        self.revision, self.assigned = revision, set(assigned)

    def __reduce__(self) -> tuple[type[Self], tuple[dict[str, Array], int, set[str]]]:  # for copies and pickles
        return type(self), (dict(self), self.revision, self.assigned)

    def __setitem__(self, name: str, value: Array) -> None:
        self.assigned.add(name)
        super().__setitem__(name, value)

    def update(self, *args: Tree, **kwargs: Tree) -> None:
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def __ior__(self, other: Tree) -> Self:  # type: ignore[misc,override]
        self.update(other)
        return self


@dataclass(slots=True)
class Memory:
    """What a model keeps between fits, beside its layers.

    Its arrays are never written in place: a copy shares them.

    Attributes
    ----------
    seed : the seed in use, None before it is drawn
    dtype : "float32" or "float64", that of the parameters; empty before they are made
    step, epoch : steps ever made, epochs ever finished
    flat_targets : whether y was (n,)
    learning_rate : of the last step, of the first layer with parameters
    revision : tells whether parameters are those that training left; not saved
    optimizer_key : tells whether the model's optimizer has changed since the layers got it; not saved
    slots : the optimizers' memory, by layer, parameter and name of the memory
    averages : the moving averages by layer and parameter
    provenance : by layer and parameter, since when which rule and schedule moved it
    callbacks : what callbacks remember of a fit that was cut short, by their strings
    stopped : whether a callback has ended the fit, or wants it to end
    batch : batches made in an epoch that has not ended; 0 between epochs
    epoch_of : the rows and the batch size of that epoch
    sums : what it has summed up so far, see `loop.epochs`
    """

    seed: int | None = None
    dtype: str = ""
    step: int = 0
    epoch: int = 0
    flat_targets: bool = False
    learning_rate: float = math.nan
    revision: int = 0
    optimizer_key: object = None
    slots: dict[str, dict[str, dict[str, Array]]] = field(default_factory=dict)
    averages: dict[str, dict[str, Array]] = field(default_factory=dict)
    provenance: dict[str, dict[str, Provenance]] = field(default_factory=dict)
    callbacks: dict[str, dict[str, Tree]] = field(default_factory=dict)
    stopped: bool = False
    batch: int = 0
    epoch_of: tuple[int, ...] = ()
    sums: dict[str, Array] = field(default_factory=dict)

    def copy(self) -> "Memory":
        """A memory of its own, with the same arrays."""
        trees = {
            name: tree_map(lambda x: x, getattr(self, name)) for name in ("slots", "averages", "callbacks", "sums")
        }
        return replace(self, provenance={name: dict(of) for name, of in self.provenance.items()}, **trees)

    def to(self, where: Place) -> None:
        """Move its arrays to that place."""

        def move(x: Array) -> Array:
            return to_place(x, where)

        trees = [map_arrays(move, tree) for tree in (self.slots, self.averages, self.callbacks, self.sums)]
        self.slots, self.averages, self.callbacks, self.sums = trees

    def state_dict(self) -> dict[str, Tree]:
        """All of it as a dict of dicts, numbers, strings and arrays."""
        names = [f.name for f in fields(self) if f.name not in ("revision", "optimizer_key", "learning_rate")]
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tree]) -> "Memory":
        """The reverse of `state_dict`; a provenance may have become a list."""
        provenance = {
            layer: {name: Provenance(*given) for name, given in of_layer.items()}
            for layer, of_layer in state["provenance"].items()
        }
        return cls(**{**state, "provenance": provenance, "epoch_of": tuple(state.get("epoch_of", ()))})

    # -- what the next fit goes on with --

    def provenance_of(self, layers: Layers, layer: str, name: str) -> Provenance:
        """Since when a parameter's rule and schedule move it: from now on, where nothing is kept that fits them."""
        rule = layers[layer].optimizer
        _, memory_step, schedule, step, epoch = self.provenance.get(layer, {}).get(name, Provenance())
        if not rule.slots:
            memory_step = 0
        elif not self.slots_of(layers, layer, name):
            memory_step = self.step
        if rule.schedule is None:
            return Provenance(type(rule).__name__, memory_step)
        if schedule != str(rule.schedule):
            step, epoch = self.step, self.epoch
        return Provenance(type(rule).__name__, memory_step, str(rule.schedule), step, epoch)

    def slots_of(self, layers: Layers, layer: str, name: str) -> dict[str, Array]:
        """What a parameter's rule remembers of it: nothing where another rule left it, or for another shape."""
        rule, shape = layers[layer].optimizer, layers[layer].shapes[name]
        kept = self.slots.get(layer, {}).get(name, {})
        since = self.provenance.get(layer, {}).get(name, Provenance())
        fits = kept.keys() == set(rule.slots) and all(tuple(x.shape) == shape for x in kept.values())
        return kept if fits and since.rule == type(rule).__name__ else {}

    def valid_slots(self, layers: Layers) -> dict[str, dict[str, dict[str, Array]]]:
        """The memory of the rules that will go on with it."""
        kept = {name: {p: self.slots_of(layers, name, p) for p in layers[name].shapes} for name in layers}
        return {name: {p: slots for p, slots in of_layer.items() if slots} for name, of_layer in kept.items()}

    def restart_schedule(self, layer: str) -> None:
        """A schedule that is assigned begins at its beginning, even if it is equal to the one before."""
        for name, since in self.provenance.get(layer, {}).items():
            self.provenance[layer][name] = since._replace(schedule="", schedule_step=0, schedule_epoch=0)

    def valid_averages(self, layers: Layers) -> dict[str, dict[str, Array]]:
        """The moving averages of the parameters that are as training left them."""
        return {
            name: {p: x for p, x in self.averages.get(name, {}).items() if self.is_untouched(layer.params, p)}
            for name, layer in layers.items()
        }

    def is_untouched(self, params: Mapping[str, Array], name: str) -> bool:
        """Whether a parameter is the one that training left last."""
        if not isinstance(params, TrainedParams) or params.revision != self.revision:
            return False
        return name in params and name not in params.assigned

    def leave(self, layer: LayerBase, params: Mapping[str, Array], buffers: dict[str, Array]) -> None:
        """Give a layer its parameters and buffers, as those that training left."""
        layer.params, layer.buffers = TrainedParams(params, self.revision), buffers
        layer.flush_gradients()

    # -- between what is kept and the state of a run --

    def pack(self, step: TrainStep, layers: Layers, params: LayerTree, averages: LayerTree | None) -> TrainState:
        """The state of a run, as copies."""
        vectors = step.segments.pack(params)
        slots = [{p: self.slots_of(layers, name, p) for p in layer.params} for name, layer in layers.items()]
        return TrainState(
            vectors,
            tuple(fresh_copy(layer.buffers) for layer in layers.values()),
            step.segments.pack_slots(slots, vectors),
            () if averages is None else step.segments.moving(step.segments.pack(averages)),
            fresh_copy(self.sums) if self.batch else step.init_sums(vectors[0].dtype),
            self.step,
            self.epoch,
            self.batch,
        )

    def unpack(self, step: TrainStep, state: TrainState, layers: Layers) -> None:
        """The reverse: into the layers and this memory. The state's arrays are theirs from now on."""
        names, segments = list(layers), step.segments
        params, self.revision = segments.unpack(state.params), next(_REVISIONS)
        for layer, pure, p, buffers in zip(layers.values(), step.network.layers, params, state.buffers, strict=True):
            pure.copy_back(layer)
            self.leave(layer, p, buffers)
        self.slots = dict(zip(names, segments.unpack_slots(state.slots), strict=True))
        self.averages = dict(zip(names, segments.unpack(state.averages), strict=True)) if state.averages else {}
        self.provenance = {name: {} for name in names}
        for segment in (*segments, *segments.frozen):
            for e in segment.entries:
                name = names[e.layer]
                rule, schedule = type(layers[name].optimizer).__name__, segment.schedule
                since = segment.provenance._replace(rule=rule, schedule="" if schedule is None else str(schedule))
                self.provenance[name][e.name] = since
        self.step, self.epoch, self.batch = state.step, state.epoch, state.batch
        self.sums = state.sums if state.batch else {}
        rate = step.scalars.rate
        self.learning_rate = self.learning_rate if math.isnan(rate) else rate

    def snapshot(self, layers: Layers) -> dict[str, Tree]:
        """Copies of all that training has learned: parameters, buffers, averages, and the optimizers' memory."""
        copied: dict[str, Tree] = fresh_copy(
            {
                "params": {name: dict(layer.params) for name, layer in layers.items()},
                "buffers": {name: layer.buffers for name, layer in layers.items()},
                "averages": self.valid_averages(layers),
                "slots": self.slots,
            }
        )
        return copied

    def put_back(self, snapshot: Mapping[str, Tree], layers: Layers) -> None:
        """Give the layers and this memory copies of a snapshot; the counts of steps and epochs stay."""
        tree = fresh_copy(dict(snapshot))
        self.revision = next(_REVISIONS)
        for name, layer in layers.items():
            self.leave(layer, tree["params"].get(name, {}), tree["buffers"].get(name, {}))
        self.averages, self.slots = tree.get("averages", {}), tree.get("slots", {})
        self.batch, self.sums = 0, {}  # a new epoch begins
