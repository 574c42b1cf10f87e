"""How a stretch of equal batches is executed. The loop takes step after step; where a library can do better, an engine
takes the whole stretch. On NumPy it records the calls of one step and makes them again; on JAX all steps become one
compiled loop. Every engine computes the same as the loop.
"""

from collections.abc import Hashable
from typing import Protocol, cast

import numpy as np

from xdfn.backend import Array, Host, Replay, UnrecordedError, namespace, record, scan, take_into
from xdfn.core.tree import Tree, tree_map
from xdfn.train.data import Batches
from xdfn.train.segments import Workspace
from xdfn.train.state import BatchShape, StateArrays, StepScalars, TrainState
from xdfn.train.step import TrainStep

WARMUP_STEPS = 8  # recording a step takes as long as some steps


class Engine(Protocol):
    def run(
        self, state: TrainState, batches: Batches, shape: BatchShape, backup: TrainState
    ) -> tuple[TrainState, Array] | None:
        """Take the steps of these batches: the state after them, and the last loss. None: the loop is to take them.

        The state is consumed. `backup` is a copy of it at the start of the epoch.
        """


def choose_engine(step: TrainStep, workspace: Workspace | None) -> Engine:
    """The engine for steps of that kind, where they run."""
    traits = step.place.traits
    if traits.records and step.traceable and workspace is not None:
        return ReplayEngine(step, workspace)
    if traits.compiles and step.compilable:
        return ScanEngine(step)
    return LoopEngine()


class LoopEngine:
    """Leaves all steps to the loop."""

    def run(self, state: TrainState, batches: Batches, shape: BatchShape, backup: TrainState) -> None:
        return None


def scalars_of(step: TrainStep, state: TrainState, shape: BatchShape, i: int = 0) -> StepScalars:
    """The numbers of the i-th step from a state on."""
    scalars = step.scalars(state.step + i, state.epoch + (state.batch + i) / shape.n_batches, shape.share)
    return scalars._replace(rows=shape.rows) if shape.rows else scalars


class ScanEngine:
    """All steps of a stretch as one compiled loop."""

    def __init__(self, step: TrainStep) -> None:
        self.step = step

    def run(
        self, state: TrainState, batches: Batches, shape: BatchShape, backup: TrainState
    ) -> tuple[TrainState, Array]:
        n_steps, step, whole = len(batches), self.step, batches.whole

        def body(
            arrays: StateArrays, data: tuple[Array, Array, Array | None], rows: Array, scalars: StepScalars
        ) -> tuple[StateArrays, Array]:
            X, y, weight = data
            xp = namespace(X)
            w = 1.0 / whole if weight is None else xp.take(weight, rows, axis=0) / whole
            x_rows, y_rows = xp.take(X, rows, axis=0), xp.take(y, rows, axis=0)
            after, loss = step(TrainState(*arrays), x_rows, y_rows, w, scalars)
            return after.arrays, loss

        data = batches.X, batches.y, batches.weight
        rows = namespace(batches.order).reshape(batches.order, (n_steps, batches.size))
        scalars = [scalars_of(step, state, shape, i) for i in range(n_steps)]
        arrays, loss = scan(body, step.compile_key(), state.arrays, data, rows, scalars)
        return state.advanced(arrays, n_steps), loss


class ReplayEngine:
    """One step on batches of each size is recorded, as the calls of NumPy that it makes, and replayed for the rest."""

    def __init__(self, step: TrainStep, workspace: Workspace) -> None:
        self.step, self.workspace = step, workspace
        self._steps: dict[Hashable, _ReplayedStep] = {}  # by the size of a batch, and the place of these rows in it
        self._scratch: list[Host] = []
        self._possible = True

    def run(
        self, state: TrainState, batches: Batches, shape: BatchShape, backup: TrainState
    ) -> tuple[TrainState, Array] | None:
        kind = batches.size, batches.whole, shape.rows
        known = self._steps.get(kind)
        if known is None:
            known = self._steps[kind] = _ReplayedStep(self.step, self.workspace, self._scratch)
        if not self._possible or not known.has_warmed_up(len(batches)):
            return None
        try:
            return known.run(state, batches, shape, backup if state.batch == 0 else None)
        except UnrecordedError:  # no part of xdfn does this
            self._possible = False
            return None


class _ReplayedStep:
    """The step on batches of one size, into the arrays of one state."""

    def __init__(self, step: TrainStep, workspace: Workspace, scratch: list[Host]) -> None:
        self.step, self.workspace, self.scratch = step, workspace, scratch
        self._seen = 0
        self._replay: Replay | None = None

    def has_warmed_up(self, n_steps: int) -> bool:
        """Count the next steps; False as long as all are fewer than it pays to record one for."""
        self._seen += n_steps
        return self._seen >= WARMUP_STEPS

    def run(
        self, state: TrainState, batches: Batches, shape: BatchShape, backup: TrainState | None
    ) -> tuple[TrainState, Array]:
        if self._replay is None:
            self._make_arrays(state, batches)
        has_buffers, n_steps = any(state.buffers), len(batches)
        if has_buffers:
            tree_map(np.copyto, self._buffers, state.buffers)
        self._sums["loss"][...] = state.sums["loss"]
        for i in range(n_steps):
            self._take_rows(batches, i)
            scalars = scalars_of(self.step, state, shape, i)
            if self._replay is None:
                self._replay = self._record(state, scalars, backup, batches.whole)
            else:
                self._replay(scalars)
        assert self._replay is not None
        buffers = tree_map(np.array, self._buffers) if has_buffers else state.buffers
        sums, loss = {"loss": self._sums["loss"].copy()}, self._replay.result.copy()
        return state.advanced((state.params, buffers, state.slots, state.averages, sums), n_steps), loss

    def _make_arrays(self, state: TrainState, batches: Batches) -> None:
        """The arrays that the recorded step reads a batch from, and those that a step makes anew."""
        X, y, weight = cast(tuple[Host, Host, Host | None], (batches.X, batches.y, batches.weight))
        self._x, self._y = (np.empty((batches.size, *a.shape[1:]), a.dtype) for a in (X, y))
        self._weight = None if weight is None else np.empty(batches.size, weight.dtype)
        self._buffers, self._sums = tree_map(np.array, (state.buffers, state.sums))

    def _take_rows(self, batches: Batches, i: int) -> None:
        rows, weight = batches.rows(i), batches.weight
        take_into(cast(Host, batches.X), cast(Host, rows), self._x)
        take_into(cast(Host, batches.y), cast(Host, rows), self._y)
        if weight is not None:
            np.divide(weight.take(rows), batches.whole, self._weight)  # type: ignore[attr-defined]

    def _record(self, state: TrainState, scalars: StepScalars, backup: TrainState | None, whole: float) -> Replay:
        """Take the step that is next, and record it."""
        share, rows = scalars.share, scalars.rows  # of all batches of this size

        def body(carry: StateArrays, inputs: Tree, numbers: StepScalars) -> tuple[StateArrays, Array]:
            x, y, weight, workspace = inputs
            w = 1.0 / whole if weight is None else weight
            after, loss = self.step(TrainState(*carry), x, y, w, numbers._replace(share=share, rows=rows), workspace)
            return after.arrays, loss

        carry = state.params, self._buffers, state.slots, state.averages, self._sums
        inputs = self._x, self._y, self._weight, self.workspace
        return record(body, carry, inputs, scalars, self.scratch, None if backup is None else backup.arrays)
