"""Everything that training changes, as one value: the state that a step takes and gives back."""

import itertools
from typing import NamedTuple

from xdfn.backend import Array, fresh_copy, traits
from xdfn.backend.random import Key
from xdfn.optim.base import Rates


class TrainState(NamedTuple):
    """The arrays and counters of a run.

    A step consumes the state that it gets: it may write the new values into the same arrays.

    Attributes
    ----------
    params : tuple of one array a segment
    buffers : tuple of one dict of arrays a layer
    slots : tuple of one tuple of arrays a segment that moves, the optimizer's memory
    averages : tuple of one array a segment that moves, the moving averages of the parameters; empty without
    sums : dict of 0-d arrays: ``"loss"``. Within a stretch of equal batches it is the sum of their losses, between
        stretches the sum over all rows of the epoch so far.
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

    @property
    def arrays(self) -> "StateArrays":
        """The part that a recorded or compiled step carries."""
        return self[:5]

    def advanced(self, arrays: "StateArrays", n_steps: int) -> "TrainState":
        """The state after that many steps, which gave these arrays."""
        return TrainState(*arrays, self.step + n_steps, self.epoch, self.batch + n_steps)

    def with_sums(self, sums: dict[str, Array]) -> "TrainState":
        params, buffers, slots, averages, _, step, epoch, batch = self  # half the time of `_replace`
        return TrainState(params, buffers, slots, averages, sums, step, epoch, batch)

    @property
    def answering(self) -> tuple[Array, ...]:
        """The parameters that the network answers with: the averages, where there are any."""
        return (*self.averages, *self.params[len(self.averages) :])

    def large_arrays(self) -> "itertools.chain[Array]":
        """All arrays as large as the parameters."""
        return itertools.chain(self.params, *self.slots, self.averages)

    def copied(self, into: "TrainState | None") -> "TrainState":
        """A copy. Where the library writes into given arrays, it reuses the large arrays of `into`."""
        if into is None or not traits(self.params[0]).writes:
            copied: TrainState = fresh_copy(self)
            return copied
        for x, y in zip(self.large_arrays(), into.large_arrays(), strict=True):
            y[...] = x
        buffers = fresh_copy(self.buffers) if any(self.buffers) else self.buffers  # sums are never written in place
        return TrainState(into.params, buffers, into.slots, into.averages, self.sums, self.step, self.epoch, self.batch)


StateArrays = tuple[
    tuple[Array, ...],
    tuple[dict[str, Array], ...],
    tuple[tuple[Array, ...], ...],
    tuple[Array, ...],
    dict[str, Array],
]


class StepScalars(NamedTuple):
    """The numbers of one step, computed on the host; in a compiled step they are traced arguments.

    Attributes
    ----------
    rates : the numbers of the optimizer's rule, one tuple a segment
    keys : where the random bits of the step come from, one key for each layer that draws
    share : the rows of the batch as a share of those of a full one
    ema_decay : how much of the moving averages stays, if there are any; a tuple of one number, or none
    penalty_scale : what the penalties are multiplied by, if not by 1; a tuple of one number, or none
    rows : this rank's first row in the batch, and the rows of the whole batch, if ranks share it; or none
    """

    rates: tuple[Rates, ...]
    keys: tuple[Key, ...]
    share: float
    ema_decay: tuple[float, ...]
    penalty_scale: tuple[float, ...] = ()
    rows: tuple[int, int] | tuple[()] = ()


class BatchShape(NamedTuple):
    """What a batch is within its epoch.

    Attributes
    ----------
    n_batches : batches an epoch
    share : the rows of a batch as a share of those of a full one
    rows : this rank's first row in the batch, and the rows of the whole batch, if ranks share it; or none
    """

    n_batches: int = 1
    share: float = 1.0
    rows: tuple[int, int] | tuple[()] = ()
