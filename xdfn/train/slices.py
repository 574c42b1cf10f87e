"""A stack of large networks in slices, a thread each: one product of such a network gains nothing in a stack, and
BLAS's own threads gain little on one that takes a tenth of a millisecond.
"""

import contextvars
import functools
import itertools
import math
from collections.abc import Sequence
from typing import Protocol, cast

import numpy as np

from xdfn.backend import Array, Host, Place, blas_threads, one_blas_thread
from xdfn.core.tree import tree_map
from xdfn.train.data import Batches
from xdfn.train.engine import choose_engine, scalars_of
from xdfn.train.scalars import ScalarSource
from xdfn.train.state import BatchShape, TrainState
from xdfn.train.step import TrainStep

_LARGE = 2**20  # parameters times rows of a batch: from there on the products take most of a step
_TOGETHER = 64  # steps between two looks at Ctrl-C


class Stack(Protocol):
    """The step of a stack, as far as it is asked for here."""

    @property
    def place(self) -> Place: ...
    @property
    def size(self) -> int:
        """The number of members."""

    @property
    def sources(self) -> list[ScalarSource]:
        """Where the numbers of the members' steps come from."""

    def sliced(self, members: slice) -> TrainStep:
        """The step of some of the members."""


def worth_slicing(stack: Stack, state: TrainState, batch_size: int) -> bool:
    """Whether slices are better trained side by side, on batches of that many rows of all members together."""
    multiplications = batch_size // stack.size * sum(math.prod(p.shape[1:]) for p in state.params)
    large = multiplications >= _LARGE and stack.size > 1
    return stack.place.traits.records and large and blas_threads() > 1


class SlicedEngine:
    """The steps of a stretch in slices of the members, each on views of the stack's arrays, side by side."""

    def __init__(self, stack: Stack, state: TrainState) -> None:
        from concurrent.futures import ThreadPoolExecutor  # only now, since `import xdfn` should be quick

        n = min(stack.size, blas_threads())
        cuts = [stack.size * i // n for i in range(n + 1)]
        self.stack = stack
        self.slices = [_Slice(stack, slice(a, b), state) for a, b in itertools.pairwise(cuts)]
        self.pool = ThreadPoolExecutor(n)

    def run(
        self, state: TrainState, batches: Batches, shape: BatchShape, backup: TrainState
    ) -> tuple[TrainState, Array]:
        k, n_steps = self.stack.size, len(batches)
        size = batches.size // k
        orders = cast(Host, batches.order).reshape(n_steps, k, size)
        with one_blas_thread():
            for start in range(0, n_steps, _TOGETHER):
                tasks, some = [], orders[start : start + _TOGETHER]
                for part in self.slices:
                    order = cast(Array, some[:, part.members].reshape(-1))
                    mine = Batches(batches.X, batches.y, batches.weight, order, size * part.n, batches.whole)
                    take = functools.partial(part.take, state, mine, shape, backup)
                    tasks.append(self.pool.submit(contextvars.copy_context().run, take))
                state, loss = _joined(state, [task.result() for task in tasks], len(some))
        scalars_of(cast(TrainStep, self.stack), state, shape, -1)  # the stack's source has its last step
        return state, loss


class _Slice:
    """Some members of a stack: their own step, and an engine for it."""

    def __init__(self, stack: Stack, members: slice, state: TrainState) -> None:
        self.stack, self.members, self.n = stack, members, members.stop - members.start
        self.step = stack.sliced(members)
        self.workspace = self.step.workspace(self._of(state))
        self.engine = choose_engine(self.step, self.workspace)

    def _of(self, state: TrainState) -> TrainState:
        """The members' part of the state, in views."""
        arrays = tree_map(lambda x: x[self.members, ...], state.arrays)
        return TrainState(*arrays, state.step, state.epoch, state.batch)  # type: ignore[call-arg]

    def take(
        self, state: TrainState, batches: Batches, shape: BatchShape, backup: TrainState
    ) -> tuple[TrainState, Array]:
        """The members' steps on these batches: their state after them, and their last losses."""
        cast(Stack, self.step).sources[:] = self.stack.sources[self.members]  # a member that is frozen has another
        state = self._of(state)
        taken = self.engine.run(state, batches, shape, self._of(backup))
        if taken is not None:
            return taken
        for x, y, weight in batches:
            state, loss = self.step(state, x, y, weight, scalars_of(self.step, state, shape), self.workspace)
        return state, loss


def _joined(state: TrainState, results: Sequence[tuple[TrainState, Array]], n_steps: int) -> tuple[TrainState, Array]:
    """The stack's state: parameters and the optimizers' memory were written in place."""
    parts = [(part.buffers, part.sums, loss) for part, loss in results]
    buffers, sums, loss = tree_map(lambda *x: np.concatenate(x), *parts)
    return state.advanced((state.params, buffers, state.slots, state.averages, sums), n_steps), loss
