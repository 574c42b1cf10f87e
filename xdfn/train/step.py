"""One step of training: a pure function of the state and a batch, except that it consumes the state."""

import copy
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

from xdfn.backend import Array, Communicator, Gradient, Place, axpby, namespace
from xdfn.core.part import Part, config_key
from xdfn.nn.layers.base import LayerBase
from xdfn.nn.layers.context import NO_KEY, Context
from xdfn.nn.losses import ObjectiveBase
from xdfn.nn.network import Network, all_layers
from xdfn.notebook import adapt
from xdfn.train.scalars import ScalarSource
from xdfn.train.segments import GradientTree, Provenance, Segments, Workspace
from xdfn.train.state import StepScalars, TrainState
from xdfn.train.update import DirectUpdate, choose_update, constrained


class StepOptions(NamedTuple):
    """What a step does beside the optimizers' moves, for the whole network; see `DFN`."""

    clip_value: float | None = None
    clip_norm: float | None = None
    ema: float | None = None
    comm: Communicator | None = None


class TrainStep:
    """What a step of training depends on, except arrays. Call it with a state and a batch.

    Parameters
    ----------
    layers : sequence of LayerBase
        Initialised, with their optimizers. The step works with copies, which keep no array alive.
    loss : ObjectiveBase
    seed : int
    where : Place
        Where the network runs.
    provenance : for each layer and parameter, which rule and schedule moves it, and since when; by default from step 0
    options : StepOptions
    history : the values of the finished epochs by name; schedules may look at them
    """

    def __init__(
        self,
        layers: Sequence[LayerBase],
        loss: ObjectiveBase,
        seed: int,
        where: Place,
        provenance: Sequence[Mapping[str, Provenance]] | None = None,
        options: StepOptions = StepOptions(),  # noqa: B008  a tuple
        history: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        bare = [layer.clone(bare=True) for layer in layers]
        self.network = Network([adapt(layer) for layer in bare], copy.deepcopy(loss))
        self.loss, self.options, self.place = self.network.loss, options, where
        rules = [layer.optimizer for layer in bare]
        shapes = [{name: tuple(value.shape) for name, value in layer.params.items()} for layer in layers]
        frozen = [[name for name in layer.params if not layer.moves(name)] for layer in layers]
        self.segments = Segments(rules, shapes, provenance or [{} for _ in layers], where, frozen)
        self.scalars = ScalarSource(self.segments, self.network.layers, seed, options.ema, history or {})
        with_penalties = [(e, *self.network.layers[e.layer].penalties(e.name)) for e in self.segments.entries]
        penalties = [(e, penalty) for e, penalty, _ in with_penalties if penalty is not None]
        self.constraints = [(e, constraint) for e, _, constraint in with_penalties if constraint is not None]
        self.move_parameters = choose_update(
            self.segments, penalties, options.clip_value, options.clip_norm, options.comm
        )
        since = [segment.provenance for segment in self.segments]
        self._as_given = tuple(map(config_key, rules)), since, options  # learning rates included
        self._key: Hashable = None
        self._checked = False
        parts = parts_of(
            self.network, self.segments, [penalty for _, *of_entry in with_penalties for penalty in of_entry]
        )
        self.traceable = all(part.traceable for part in parts)
        # a compiled step would keep the first rate of a rule that reads its schedule's value elsewhere than in `rates`
        fixed_rate = any(s.schedule and "lr" not in s.optimizer.per_step for s in self.segments)
        self.compilable = all(part.compilable for part in parts) and not fixed_rate

    def __call__(
        self,
        state: TrainState,
        x: Array,
        y: Array,
        weight: Array | float,
        scalars: StepScalars,
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
        scalars : StepScalars
        workspace : Workspace, optional
            That of the state.
        """
        x, y, weight = self.as_batch(state, x, y, weight)
        params = self.segments.unpack(state.params) if workspace is None else workspace.params_tree
        ctx = Context(NO_KEY, weight, scalars.share, True, scalars.rows or None, self.options.comm)
        z, caches, buffers = self.network.forward(params, state.buffers, x, ctx, scalars.keys)
        loss, dz = self.loss.value_and_grad(y if self.loss.takes_labels else self.loss.targets(y, z), z, weight)
        gradients = self.network.backward(params, caches, dz)
        state = state._replace(buffers=buffers, sums={"loss": state.sums["loss"] + loss})
        return self.update(state, gradients, scalars, workspace), loss

    def as_batch(
        self, state: TrainState, x: Array, y: Array, weight: Array | float
    ) -> tuple[Array, Array, Array | float]:
        """A batch as the layers and the loss get it."""
        return self.as_input(x, state), y, weight

    def as_input(self, x: Array, state: TrainState) -> Array:
        """A batch in the dtype of the parameters."""
        dtype = state.sums["loss"].dtype
        return x if x.dtype == dtype else namespace(x).astype(x, dtype)

    def update(
        self, state: TrainState, gradients: GradientTree, scalars: StepScalars, workspace: Workspace | None = None
    ) -> TrainState:
        """The state after the step with the gradients of all layers: parameters moved, constrained, averaged."""
        if not (self.traceable and self._checked):  # a layer, an activation or a loss of a user may be wrong
            self._check_gradients(gradients)
            self._checked = True
        params, slots = self.move_parameters(state, gradients, scalars, workspace)
        params = constrained(self.segments, self.constraints, params, workspace)
        averages = state.averages
        if averages:
            (kept,) = scalars.ema_decay
            moving = self.segments.moving(params)
            averages = tuple([axpby(1.0 - kept, p, kept, a) for p, a in zip(moving, averages, strict=True)])
        return TrainState(
            params, state.buffers, slots, averages, state.sums, state.step + 1, state.epoch, state.batch + 1
        )

    def _check_gradients(self, gradients: GradientTree) -> None:
        for e in self.segments.entries:
            shape = _shape(gradients[e.layer].get(e.name))
            if shape is None or shape[len(self.segments.lead) :] != e.shape:
                raise ValueError(
                    f"layer {e.layer + 1}, {type(self.network.layers[e.layer]).__name__}: pullback must give a "
                    f"gradient of shape {e.shape} for {e.name!r}, got {shape}"
                )

    def workspace(self, state: TrainState) -> Workspace | None:
        """What the steps that begin with this state share, where the library writes into given arrays."""
        return self.segments.workspace(state, self.move_parameters.with_gradients)

    # the loss of an epoch: the sum over its rows, gathered from stretches of equal batches

    def begin_sums(self, state: TrainState, begins: bool) -> tuple[dict[str, Array], TrainState]:
        """The sums before a stretch of equal batches, and the state in which those of the stretch are summed.

        If the stretch does not begin here it goes on from `cut_sums`.
        """
        if not begins:
            sums = dict(state.sums)
            before = {"loss": sums.pop("before")} if "before" in sums else {}
            return before, state.with_sums(sums)
        if state.batch == 0:
            return {}, state
        return state.sums, state.with_sums(self.init_sums(state.sums["loss"].dtype))

    def cut_sums(self, state: TrainState, before: dict[str, Array]) -> TrainState:
        """The state within a stretch, with the sums before it, if there are any: what it takes to go on here."""
        return state.with_sums({**state.sums, "before": before["loss"]}) if before else state

    def add_sums(self, state: TrainState, before: dict[str, Array], size: int, first: bool) -> TrainState:
        """The state with the sum over all rows so far, after a run of batches with `size` rows each."""
        total = float(size) * state.sums["loss"]
        return state.with_sums({"loss": total if first else before["loss"] + total})

    def begin_epoch(self, state: TrainState) -> TrainState:
        """The state before the first batch of the next epoch."""
        params, buffers, slots, averages, sums, step, epoch, _ = state
        return TrainState(params, buffers, slots, averages, self.init_sums(sums["loss"].dtype), step, epoch + 1)

    def init_sums(self, dtype: object) -> dict[str, Array]:
        return {"loss": self.place.xp.zeros(self.segments.lead, dtype=dtype, device=self.place.device)}

    def compile_key(self) -> Hashable:
        """What a compiled step depends on. The numbers that change from step to step are not in it."""
        if self._key is None:
            layers = tuple(layer.compile_key() for layer in self.network.layers)
            rules = tuple(
                (config_key(s.optimizer, s.optimizer.per_step, with_attributes=True), s.entries) for s in self.segments
            )
            loss = config_key(self.loss, with_attributes=True)
            direct = isinstance(self.move_parameters, DirectUpdate)
            frozen = tuple(s.entries for s in self.segments.frozen)
            self._key = layers, loss, rules, frozen, self.options._replace(ema=None), direct
        return self._key

    def same(self, other: "TrainStep") -> bool:
        """Whether training goes on with the other as with this one."""
        return self.compile_key() == other.compile_key() and self._as_given == other._as_given


def parts_of(network: Network, segments: Segments, of_entries: Sequence[Part | None]) -> list[Part]:
    """All parts that take part in a step."""
    layers = all_layers(network.layers)
    rules = [s.optimizer for s in segments.segments]
    parts = [*layers, *(layer.acti_fn for layer in layers), network.loss, *rules, *of_entries]
    return [part for part in parts if part is not None]


def _shape(gradient: Gradient | None) -> tuple[int, ...] | None:
    if isinstance(gradient, tuple):
        return *gradient[1].shape[:-2], gradient[0].shape[-2], gradient[1].shape[-1]
    return None if gradient is None else tuple(gradient.shape)
