"""Training is a fold: the state goes from batch to batch, epoch to epoch. Nothing is read from the device within an
epoch; at its end one packed read brings the loss, and says whether all is still finite.
"""

import math
import time
from collections.abc import Callable, Iterator

from xdfn import random
from xdfn._backend import Array, advance, copy, namespace, to_numpy, together
from xdfn.data import Resident, Streamed, spans
from xdfn.network import Network, TrainState

OnBatch = Callable[[int, int, float], None]  # number of the batch from 1, number of batches, loss


def epochs(
    net: Network,
    state: TrainState,
    rows: Resident | Streamed,
    n_epochs: int,
    batch_size: int,
    on_batch: OnBatch | None = None,
) -> Iterator[tuple[TrainState, float]]:
    """Train, and after each epoch give the state and the mean loss over its rows. To be called within `computing`.

    The state given last is good whatever happens next, an interrupt included: the work goes on in a second tree,
    which is refreshed from it. A state given earlier is written over.

    Parameters
    ----------
    state : TrainState
        Consumed.
    rows : Resident or Streamed
        X (n, n_in), y (n,) or (n, n_out), and the weights of the rows (n,), with mean 1, or None.
    on_batch : callable, optional
        Called after each batch; this reads the device every time.

    Raises
    ------
    FloatingPointError
        At the end of an epoch in which the loss or a parameter became NaN or infinite.
    """
    n = rows.X.shape[0]
    batch_size = min(batch_size, n)
    good, work = state, None
    for _ in range(n_epochs):
        work = copy(good, work)
        order = rows.order(random.permutation(net.seed, work.epoch, n))
        work = _epoch(net, work, rows, order, batch_size, on_batch)
        loss, finite = _read(work, n)
        if not finite:
            raise FloatingPointError(
                f"training diverged in epoch {work.epoch + 1}: mean loss {loss:g}, and the loss or a parameter is not "
                "finite. The model is as it was after the epoch before; try a smaller learning rate, or inputs of "
                "mean 0 and variance 1; with check_input=False, look for NaN in the data"
            )
        work = work._replace(epoch=work.epoch + 1, batch=0, sums=net.init_sums(work.sums["loss"].dtype))
        good, work = work, good
        yield good, loss


def _epoch(
    net: Network,
    state: TrainState,
    rows: Resident | Streamed,
    order: Array,
    batch_size: int,
    on_batch: OnBatch | None,
) -> TrainState:
    """All batches in the given order: the full ones in one go, the short last one by itself."""
    n = order.shape[0]
    full = n - n % batch_size
    chunk = full if on_batch is None else batch_size
    for start, stop in [*spans(full, chunk), *([(full, n)] if full < n else [])]:
        size, before = min(batch_size, stop - start), state.sums["loss"]
        if start:  # the sums of the batches before are of another size
            state = state._replace(sums=net.init_sums(before.dtype))
        for X, y, weight, which in rows.pieces(order[start:stop], size):
            state, loss = advance(net, state, X, y, which, size, weight)
        total = float(size) * state.sums["loss"]
        state = state._replace(sums={"loss": before + total if start else total})
        if on_batch is not None:
            on_batch(state.batch, math.ceil(n / batch_size), float(to_numpy(loss)))
    return state


def _read(state: TrainState, n: int) -> tuple[float, bool]:
    """The mean loss of the epoch, and whether it and all parameters are finite, in one read."""
    loss_sum, *rest = to_numpy(_totals(state.sums["loss"], *state.params)).tolist()
    return loss_sum / n, all(map(math.isfinite, (loss_sum, *rest)))


@together
def _totals(loss: Array, *params: Array) -> Array:
    xp = namespace(loss)
    return xp.concat([xp.reshape(value, (1,)) for value in (loss, *map(xp.sum, params))])


class Report:
    """The notebook's lines: an epoch's, and on request a batch's."""

    def __init__(self, verbose: bool | None) -> None:
        if verbose not in (True, False, None):
            raise ValueError(f"verbose must be True (batches and epochs), False (epochs) or None, got {verbose!r:.80}")
        self.verbose, self.epoch = verbose, 0
        self.before = math.inf
        self.epoch_start = self.batch_start = time.time()
        self.on_batch = self._on_batch if verbose else None

    def _on_batch(self, number: int, of: int, loss: float) -> None:
        now = time.time()
        print(f"\t[Batch {number}/{of}] Train loss: {loss:.3f} ({now - self.batch_start:.1f}s/batch)")
        self.batch_start = now

    def on_epoch(self, loss: float) -> None:
        self.epoch += 1
        now = time.time()
        if self.verbose is not None:
            minutes = (now - self.epoch_start) / 60
            print(f"[Epoch {self.epoch}] Avg. loss: {loss:.3f} Delta: {self.before - loss:.3f} ({minutes:.2f}m/epoch)")
        self.before, self.epoch_start, self.batch_start = loss, now, now
