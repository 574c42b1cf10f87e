"""Training is a fold: a step takes the state and a batch, and gives the next state. Nothing is read from the device
within an epoch; at its end one read brings the loss, the values of a validation, and whether all parameters are finite.
"""

import functools
import itertools
import math
import operator
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np

from xdfn.backend import Array, namespace, read
from xdfn.core.interrupts import Interrupts
from xdfn.train.data import Rows
from xdfn.train.engine import Engine, choose_engine, scalars_of
from xdfn.train.evaluation import Evaluation
from xdfn.train.ranks import Ranks
from xdfn.train.segments import Workspace
from xdfn.train.state import BatchShape, TrainState
from xdfn.train.step import TrainStep

Values = dict[str, float]  # of an epoch, by name


class Run(NamedTuple):
    """What is trained, and on what: all that the loop needs.

    Attributes
    ----------
    step : TrainStep
    state : TrainState
        Where training begins. Consumed.
    rows : Resident or Streamed
        The rows to train on.
    batch_size : int
        At most the number of rows.
    evaluation : Evaluation, optional
        What is measured at the end of each epoch, beside the loss.
    ranks : Ranks, optional
        Those that train together.
    """

    step: TrainStep
    state: TrainState
    rows: Rows
    batch_size: int
    evaluation: Evaluation | None
    ranks: Ranks | None = None

    def engine(self, state: TrainState, workspace: Workspace | None) -> Engine:
        """What takes the steps, on the arrays of that state."""
        return choose_engine(self.step, workspace)

    def end_of_epoch(self, state: TrainState) -> Values:
        """The values of an epoch by name, in one read of the device."""
        return end_of_epoch(self, self.step, state)


class Listener(Protocol):
    """The loop tells it how far training has come; `Session` is one."""

    by_batch: bool  # whether `on_batch` is to be called
    interrupts: Interrupts  # where it may be interrupted

    def next_batch(self) -> int:
        """After how many batches `on_batch` is to be called next, if it is."""

    def wants_epoch(self) -> bool:
        """Whether to train another epoch."""

    def keep(self, state: TrainState) -> None:
        """Keep the state of a complete epoch: an error or an interrupt goes back to it."""

    def on_batch(self, state: TrainState, n_batches: int, loss: Array) -> None: ...

    def on_epoch(self, state: TrainState, values: Values) -> Run | None:
        """After an epoch, with its values by name: keep the state. A run that is given takes the place of this one."""


def train(run: Run, listener: Listener) -> None:
    """Train until the listener wants no further epoch. To be called within `computing`.

    Raises
    ------
    FloatingPointError
        At the end of an epoch in which the loss or a parameter became NaN or infinite.
    """
    following: Run | None = run
    while following is not None:
        following = epochs(following, listener)


def epochs(run: Run, listener: Listener) -> Run | None:
    """The loop over epochs and batches. Ends with the run that is to follow, if another step is to be taken.

    The losses of equal batches are added up first, however often the listener is told of batches in between; so their
    sum, and all that is remembered of an epoch that is cut short, does not depend on that.
    """
    step, state, backup = run.step, run.state, None
    workspace = step.workspace(state)
    engine, loss = run.engine(state, workspace), state.sums["loss"]
    stretches = list(equal_batches(run.rows.n, run.batch_size, run.ranks))
    while listener.wants_epoch():
        backup = state.copied(backup)
        listener.keep(backup)  # for the arrays of `state` are written over
        order = run.rows.order(step.scalars.seed, state.epoch)
        for start, stop, shape in stretches:
            size = min(run.batch_size, stop - start)
            at = start + size * (state.batch - start // run.batch_size)  # further on in an epoch that was cut short
            if at >= stop:
                continue
            before, state = step.begin_sums(state, begins=at == start)
            while at < stop:
                until = min(stop, at + size * listener.next_batch()) if listener.by_batch else stop
                with listener.interrupts.allowed:
                    for batches in run.rows.batches(order, at, until, size):
                        taken = engine.run(state, batches, shape, backup)  # all at once; None: the loop is to do it
                        if taken is not None:
                            state, loss = taken
                            continue
                        for x, y, weight in batches:
                            state, loss = step(state, x, y, weight, scalars_of(step, state, shape), workspace)
                at = until
                if at == stop:
                    state = step.add_sums(state, before, size, first=start == 0)
                if listener.by_batch:
                    listener.on_batch(state if at == stop else step.cut_sums(state, before), shape.n_batches, loss)
        with listener.interrupts.allowed:
            values = run.end_of_epoch(state)
        state = step.begin_epoch(state)
        change = listener.on_epoch(state, values)
        if change is not None and change.step is step:  # new values: into the arrays to which the engine is bound
            state = change.state.copied(state)
        elif change is not None:
            return change
    return None


def equal_batches(n: int, batch_size: int, ranks: Ranks | None = None) -> Iterator[tuple[int, int, BatchShape]]:
    """(start, stop, shape) of stretches of equal batches: all full ones, then the short last one.

    Of ranks that have rows of their own, each stretch is of batches in which the rows of each have the same place; so
    all ranks come to the ends of stretches together.
    """
    full = n - n % batch_size
    for start, stop in [(a, b) for a, b in ((0, full), (full, n)) if a < b]:
        size = min(batch_size, stop - start)
        shape = BatchShape(math.ceil(n / batch_size), size / batch_size)
        if ranks is None:
            yield start, stop, shape
            continue
        batches = [(at, ranks.sizes(at, at + size)) for at in range(start, stop, size)]
        for sizes, alike in itertools.groupby(batches, operator.itemgetter(1)):
            begin, *_, end = [at for at, _ in alike] * 2
            yield begin, end + size, shape._replace(rows=(sum(sizes[: ranks.rank]), size))


def end_of_epoch(run: Run, step: TrainStep, state: TrainState) -> dict[str, float]:
    """The values of the epoch by name, in one read of the device.

    Raises
    ------
    FloatingPointError
        The loss, or something that training keeps, is not finite.
    """
    xp, loss = step.place.xp, state.sums["loss"]
    if run.ranks is not None:
        loss = run.ranks.sum_of(loss)
    total = functools.reduce(operator.add, map(xp.sum, all_kept(state)))  # finite if all of them are, and few crossings
    measured = []
    if run.evaluation is not None:
        params = step.segments.unpack(state.answering)
        measured = [run.evaluation.run(step.network, params, state.buffers, step.place, loss.dtype)]
    (loss_sum, kept_sum), *numbers = read([loss, total], *measured)
    if not (math.isfinite(loss_sum) and math.isfinite(kept_sum)):
        require_finite(state, loss_sum, loss_sum / run.rows.n)
    values = {"loss": loss_sum / run.rows.n}
    if run.evaluation is not None:
        values |= run.evaluation.finalize(np.asarray(numbers[0]))
    return values


def all_kept(state: TrainState) -> list[Array]:
    """All arrays that training keeps, in the dtype of the loss."""
    kept = list(state.large_arrays())
    if any(state.buffers):  # a user's may be counts
        dtype = state.sums["loss"].dtype
        kept += [x for of_layer in state.buffers for x in of_layer.values() if x.dtype == dtype]
    return kept


def require_finite(state: TrainState, loss: float, mean: float) -> None:
    """Raise FloatingPointError if the loss or an array is not finite: a sum may overflow where no number has."""
    named = [
        *(("a parameter is", x) for x in state.params),
        *((f"{name} of a layer is", x) for of_layer in state.buffers for name, x in of_layer.items()),
        *(("the memory of an optimizer is", x) for slots in state.slots for x in slots),
        *(("a moving average is", x) for x in state.averages),
    ]
    xp, dtype = namespace(state.params[0]), state.sums["loss"].dtype
    named = [(name, x) for name, x in named if x.dtype == dtype]
    finite = read([xp.astype(xp.all(xp.isfinite(x)), dtype) for _, x in named])[0]
    bad = [] if math.isfinite(loss) else ["the loss is"]
    bad += [name for (name, _), fine in zip(named, finite, strict=True) if not fine]
    if bad:
        raise FloatingPointError(
            f"training diverged in epoch {state.epoch + 1}: mean loss {mean:g}, and {' and '.join(dict.fromkeys(bad))} "
            "not finite. The model is as it was after the epoch before; try a smaller learning rate, or inputs of mean "
            "0 and variance 1; with check_input=False, look for NaN in the data"
        )
