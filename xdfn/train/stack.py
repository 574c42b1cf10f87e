"""Networks of one shape that train together: their runs become one run, whose arrays have the members as their first
axis. A batch of the stack is one batch of each member, end to end; so the loop, the engines and the layers' own
formulas serve a stack as they serve one network, and a product of a layer is one call for all members.

Each member keeps its own order of the rows, random bits, rates and validation.
"""

import copy
import functools
import operator
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar, cast

import numpy as np

from xdfn.backend import HOST, Array, DType, Host, Place, namespace, place, put, random, read, real_name
from xdfn.core.fields import is_own
from xdfn.core.part import Part, config_key
from xdfn.core.tree import tree_map
from xdfn.nn.layers.base import LayerBase
from xdfn.optim.base import OptimizerBase
from xdfn.train.data import Batches, Resident, Streamed
from xdfn.train.engine import Engine
from xdfn.train.loop import Run, Values, all_kept
from xdfn.train.scalars import ScalarSource
from xdfn.train.segments import Workspace
from xdfn.train.slices import SlicedEngine, worth_slicing
from xdfn.train.state import StateArrays, StepScalars, TrainState
from xdfn.train.step import TrainStep, parts_of
from xdfn.train.update import RuleUpdate

P = TypeVar("P", bound=Part)
Column = Callable[[Sequence[float]], Array]  # numbers of the members as a column (k, 1, 1) where the network is
AT_INIT = frozenset({"optimizer", "init_w", "init_b", "layers"})  # fields of layers that a step does not see


def stack_runs(runs: Sequence[Run]) -> "StackedRun":
    """One run of all these runs, each of which stands between two epochs. Their states are copied.

    Raises
    ------
    ValueError
        The networks differ in what they may not differ in, or have a part that takes no stacks.
    """
    for i, run in enumerate(runs):
        if run.state.batch:
            raise ValueError(
                f"member {i} of the Ensemble was saved within an epoch: fit it by itself to the end of that epoch"
            )
    first = runs[0]
    step = StackedStep(runs, first.state.params[0].dtype)
    rows = StackedRows([cast(Resident | Streamed, run.rows) for run in runs], runs, first.batch_size)
    return StackedRun(step, step.join([run.state for run in runs]), rows, first.batch_size * len(runs), None)


class StackedRun(Run):
    """The run of a stack. The values of its epochs are lists, a number for each member."""

    def engine(self, state: TrainState, workspace: Workspace | None) -> Engine:
        step = cast(StackedStep, self.step)
        if workspace is not None and worth_slicing(step, state, self.batch_size):
            return SlicedEngine(step, state)
        return super().engine(state, workspace)

    def end_of_epoch(self, state: TrainState) -> Values:
        step = cast(StackedStep, self.step)
        loss = state.sums["loss"]
        sums = [namespace(x).sum(x, axis=tuple(range(1, x.ndim))) for x in all_kept(state)]
        kept, measured = functools.reduce(operator.add, sums), []
        for i, run in enumerate(step.runs):
            if run.evaluation is not None:
                own = step.member(state, i)
                params = run.step.segments.unpack(own.answering)
                measured.append(run.evaluation.run(run.step.network, params, own.buffers, step.place, loss.dtype))
        _, losses, totals, *numbers = read([], loss, kept, *measured)
        n_rows = step.runs[0].rows.n
        values: dict[str, list[float]] = {"loss": [x / n_rows for x in losses]}
        for run, of_member in zip(step.runs, numbers, strict=False):
            assert run.evaluation is not None
            for name, value in run.evaluation.finalize(np.asarray(of_member)).items():
                values.setdefault(name, []).append(value)
        values["kept"] = totals
        return cast(Values, values)


class StackedStep(TrainStep):
    """One step of all members: `TrainStep` with stacks for arrays.

    Attributes
    ----------
    runs : the members' own, with no more of their states than the counters at the time of stacking
    """

    def __init__(self, runs: Sequence[Run], dtype: DType) -> None:
        steps = [run.step for run in runs]
        first, n = steps[0], len(runs)
        vars(self).update(vars(first))
        self.runs, self._key, self._checked = list(map(_counters, runs)), None, False
        require_alike("loss", [step.loss for step in steps])
        require_alike("clip_value, clip_norm and ema", [tuple(step.options) for step in steps])
        require_alike("layers, sizes or optimizers", [_shapes(step) for step in steps])
        self.dtype = dtype
        column = functools.partial(_column, where=self.place, dtype=dtype)
        layers = [merged([step.network.layers[i] for step in steps], column) for i in range(len(first.network.layers))]
        self.network = copy.copy(first.network)
        self.network.layers = tuple(layers)
        pairs = zip(*[step.segments.segments for step in steps], strict=True)
        rules = [_rule([segment.optimizer for segment in of_all]) for of_all in pairs]
        self.segments = first.segments.of_members(n, rules)
        with_penalties = [(e, *layers[e.layer].penalties(e.name)) for e in self.segments.entries]
        penalties = [(e, penalty) for e, penalty, _ in with_penalties if penalty is not None]
        self.constraints = [(e, constraint) for e, _, constraint in with_penalties if constraint is not None]
        for part in parts_of(self.network, self.segments, [part for _, *both in with_penalties for part in both]):
            require_stacks(part)
        self.move_parameters = RuleUpdate(self.segments, penalties, first.options.clip_value, first.options.clip_norm)
        self.scalars = StackedScalars(
            self.runs, getattr(np, real_name(dtype)), (n, 1) if self.segments.packs else (n, 1, 1)
        )

    def as_batch(
        self, state: TrainState, x: Array, y: Array, weight: Array | float
    ) -> tuple[Array, Array, Array | float]:
        def stacked(x: Array) -> Array:
            return namespace(x).reshape(x, (len(self.runs), -1, *x.shape[1:]))

        return stacked(self.as_input(x, state)), stacked(y), weight if isinstance(weight, float) else stacked(weight)

    def __call__(
        self,
        state: TrainState,
        x: Array,
        y: Array,
        weight: Array | float,
        scalars: StepScalars,
        workspace: object = None,
    ) -> tuple[TrainState, Array]:
        if self.place != HOST:  # columns of numbers go to where the network is
            scalars = tree_map(lambda n: put(n, self.place) if type(n) is np.ndarray else n, scalars)
        return super().__call__(state, x, y, weight, scalars, workspace)  # type: ignore[arg-type]

    def add_sums(self, state: TrainState, before: dict[str, Array], size: int, first: bool) -> TrainState:
        return super().add_sums(state, before, size // len(self.runs), first)

    def compile_key(self) -> Hashable:
        return super().compile_key(), len(self.runs), cast(StackedScalars, self.scalars).alike

    # -- members' states and the stack's --

    @property
    def size(self) -> int:
        return len(self.runs)

    def sliced(self, members: slice) -> "StackedStep":
        return StackedStep(self.runs[members], self.dtype)

    @property
    def sources(self) -> list[ScalarSource]:
        return cast(StackedScalars, self.scalars).sources

    def join(self, states: Sequence[TrainState]) -> TrainState:
        """The members' states as one; its counters begin at 0."""
        xp = self.place.xp
        params, buffers, slots, averages = tree_map(lambda *x: xp.stack(x), *[state.arrays[:4] for state in states])
        return TrainState(params, buffers, slots, averages, self.init_sums(states[0].params[0].dtype))

    def member(self, state: TrainState, i: int) -> TrainState:
        """The state of a member; views of the stack's arrays where the library has views."""
        own = self.runs[i].state
        arrays: StateArrays = tree_map(lambda x: x[i, ...], state.arrays)
        return TrainState(*arrays, own.step + state.step, own.epoch + state.epoch, state.batch)


class StackedScalars(ScalarSource):
    """The numbers of a step of all members: one for all where none of them can differ, else a column (k, 1).

    Parameters
    ----------
    runs : the members'
    dtype : NumPy's, of the columns
    shape : theirs, where they multiply parameters
    """

    def __init__(self, runs: Sequence[Run], dtype: type, shape: tuple[int, ...]) -> None:
        self.sources, self.starts = [run.step.scalars for run in runs], [run.state for run in runs]
        self.dtype, self.shape, self.seed = dtype, shape, 0
        self.scheduled = any(s.schedule is not None for s in self.sources[0].segments)
        self.alike = len({_numbers_key(run) for run in runs}) == 1
        self.draws = any(layer.draws for layer in self.sources[0].layers)
        self._last: tuple[int, float | None, float] | None = None

    def __call__(self, step: int, epoch: float | None = None, share: float = 1.0) -> StepScalars:
        self._last = step, epoch, share
        numbers = self._of(0)
        if self.alike and not self.draws:
            return numbers
        every = [numbers, *(self._of(i) for i in range(1, len(self.sources)))]
        keys = tree_map(lambda *x: np.asarray(x, np.int32).reshape(-1, 1), *[of.keys for of in every])
        if self.alike:
            return numbers._replace(keys=keys)
        rates = tree_map(self._column, *[of.rates for of in every])
        kept = tree_map(self._column, *[of.ema_decay for of in every])
        return numbers._replace(keys=keys, rates=rates, ema_decay=kept)

    def _column(self, *numbers: float) -> Host:
        return np.asarray(numbers, self.dtype).reshape(self.shape)

    def _of(self, i: int) -> StepScalars:
        assert self._last is not None
        (step, epoch, share), start = self._last, self.starts[i]
        return self.sources[i](start.step + step, None if epoch is None else start.epoch + epoch, share)

    def settle(self) -> None:
        """Bring the learning rates that members show up to date: one may have been asked for all."""
        if self.scheduled and self.alike and self._last is not None:
            for i in range(1, len(self.sources)):
                self._of(i)

    def release(self, row: int) -> None:
        """Let a frozen member show the learning rate that it has now, whatever the stack does."""
        source = self.sources[row]
        self.sources[row] = new = copy.copy(source)
        new.segments = tuple([s._replace(optimizer=copy.copy(s.optimizer)) for s in source.segments])


class StackedRows:
    """The rows of all members: a batch is one batch of each, one after the other."""

    def __init__(self, rows: Sequence[Resident | Streamed], runs: Sequence[Run], batch_size: int) -> None:
        self.rows, self.batch_size, self.first = rows, batch_size, rows[0]
        self.shufflers = [(random.shuffler(run.step.scalars.seed), run.state.epoch) for run in runs]
        weights = [of.weight for of in rows]
        if weights[0] is not None and any(of.subset is not None for of in rows):
            raise ValueError(
                "an Ensemble takes no sample_weight and no class_weight together with validation_fraction, for each "
                "member would have weights of its own: give validation_data=(X, y)"
            )

    @property
    def n(self) -> int:
        return self.first.n * len(self.rows)

    def order(self, seed: int, epoch: int) -> Array:
        n, size = self.first.n, self.batch_size
        orders = np.empty((len(self.rows), n), np.int32)
        orders[...] = np.arange(n)
        for order, rows, (shuffle, begun) in zip(orders, self.rows, self.shufflers, strict=True):
            shuffle(begun + epoch, order)
            if rows.subset is not None:
                order[...] = rows.subset[order]
        whole = n - n % size
        full = orders[:, :whole].reshape(len(orders), -1, size).swapaxes(0, 1).reshape(-1)
        together = np.concatenate([full, orders[:, whole:].reshape(-1)])
        if isinstance(self.first, Streamed):
            return cast(Array, together)
        return put(together, place(self.first.X))

    def batches(self, order: Array, start: int, stop: int, size: int) -> Iterator[Batches]:
        for batches in self.first.batches(order, start, stop, size):
            batches.whole = size // len(self.rows)
            yield batches


def _column(values: Sequence[float], where: Place, dtype: DType) -> Array:
    """Numbers of the members as a column (k, 1, 1); integers stay such."""
    kind = where.xp.int32 if isinstance(values[0], int) else dtype
    return put(np.asarray(values).reshape(-1, 1, 1), where, kind)


def _counters(run: Run) -> Run:
    """The run without its arrays."""
    return run._replace(state=TrainState((), (), (), (), {}, run.state.step, run.state.epoch))


# ---- what members may differ in, and what not -----------------------------------------------------------------------


def require_alike(what: str, values: Sequence[object]) -> None:
    """Raise ValueError unless all members have the same."""
    for i, value in enumerate(values):
        if config_key(value) != config_key(values[0]):
            raise ValueError(
                f"the members of an Ensemble must have the same {what}: member 0 has {values[0]!s:.200}, "
                f"member {i} has {value!s:.200}"
            )


def require_stacks(part: Part) -> None:
    """Raise ValueError for a part that takes no stacks."""
    cls = type(part)
    if not vars(cls).get("stacks", is_own(cls)):
        raise ValueError(
            f"{cls.__name__} cannot be in an Ensemble, for it takes no stacks (k, n, m) of rows: fit its members one "
            "by one; a class of your own that takes them says so by stacks = True"
        )


def merged(parts: Sequence[P], column: Column) -> P:
    """One part for all members, with columns for the numbers in which they may differ.

    Raises
    ------
    ValueError
        They are of different classes, or differ in another field.
    """
    first = parts[0]
    require_alike("kind of parts", [type(part).__name__ for part in parts])
    new = copy.copy(first)
    for name, value in vars(first).items():
        values = [vars(part).get(name) for part in parts]
        if name == "inner":
            inner = zip(*[cast(LayerBase, part).inner for part in parts], strict=True)
            vars(new)[name] = tuple([merged(of_all, column) for of_all in inner])
        elif name in AT_INIT or (isinstance(first, LayerBase) and name in LayerBase.state_attributes):
            continue
        elif isinstance(value, Part) and all(isinstance(other, Part) for other in values):
            vars(new)[name] = merged(cast(list[Part], values), column)
        elif name in first.per_member:
            if any(other != value for other in values):
                vars(new)[name] = column(cast(list[float], values))
        elif name in first.fields():
            require_alike(f"{name} of {type(first).__name__}", values)
    return new


def _rule(rules: Sequence[OptimizerBase]) -> OptimizerBase:
    """The rule of a segment of all members, who may differ in the numbers that reach it through its rates."""
    first = rules[0]
    free = {"lr", *first.per_member}
    require_alike("kind of optimizer", [type(rule).__name__ for rule in rules])
    for name in first.fields().keys() - free:
        require_alike(f"{name} of the optimizer {type(first).__name__}", [rule.fields()[name] for rule in rules])
    for name in first.per_member:
        require_alike(f"use of {name}, 0 or not,", [bool(rule.fields()[name]) for rule in rules])
    return first


def _shapes(step: TrainStep) -> list[list[tuple[int, str, tuple[int, ...]]]]:
    """The parameters of each segment, as they lie in it."""
    every = (*step.segments.segments, *step.segments.frozen)
    return [[(e.layer, e.name, e.shape) for e in segment.entries] for segment in every]


def _numbers_key(run: Run) -> Hashable:
    """What the numbers of a member's steps depend on, its seed excepted; unique if they depend on its history."""
    segments = run.step.segments.segments
    if run.step.scalars.monitors:
        return id(run)
    rules = [
        (config_key(s.optimizer, ("lr",)), config_key(s.schedule or vars(s.optimizer).get("lr"))) for s in segments
    ]
    return tuple(rules), tuple([s.provenance for s in segments]), run.state.step, run.state.epoch
