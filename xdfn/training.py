"""Training is a fold: the state goes from batch to batch, epoch to epoch. Nothing is read from the device within an
epoch; at its end one packed read brings the loss, what was measured on other rows, and whether all is still finite.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from xdfn import random
from xdfn._backend import Array, Place, advance, move, namespace, place, read, same_place
from xdfn._tape import UnrecordedError
from xdfn.data import Resident, Streamed, spans
from xdfn.layers import LayerBase
from xdfn.losses import ObjectiveBase
from xdfn.metrics import MetricBase
from xdfn.network import Clock, LayerTree, Network, TrainState, infer

PIECE = 1024  # rows that go through the network in one piece at inference

# the state after a batch, its number from 1, the number of batches, its loss
OnBatch = Callable[[TrainState, int, int, Array], None]


class MeanLoss(MetricBase):
    """sum_i w_i l_i / sum_i w_i, of the loss that the network is trained with."""

    higher_is_better = False

    def part(self, y: Array, z: Array, weight: Array | None, loss: ObjectiveBase) -> Array:
        xp = namespace(z)
        total = loss.value_and_grad(y, z, 1.0 if weight is None else weight)[0]
        rows = xp.full_like(total, float(z.shape[0])) if weight is None else xp.sum(weight)
        return xp.stack([total, rows])


class Measure:
    """What is measured on rows of which nothing is learned.

    Parameters
    ----------
    X, y : array (n, n_in), array (n,) or (n, n_out)
        Where the network is, or on the host.
    weight : array (n,), optional
        The weights of the rows, of any scale.
    loss : ObjectiveBase
    metrics : dict of MetricBase by name
    """

    def __init__(
        self, X: Array, y: Array, weight: Array | None, loss: ObjectiveBase, metrics: Mapping[str, MetricBase]
    ) -> None:
        self.X, self.y, self.weight, self.loss, self.metrics = X, y, weight, loss, metrics
        self._shapes: list[tuple[int, int]] = []

    def on_device(
        self,
        layers: Sequence[LayerBase],
        params: LayerTree,
        buffers: LayerTree,
        where: Place,
        dtype: Any,
        rows: int = PIECE,
    ) -> Array:
        """All that is to be known, as one vector, from pieces of so many rows. To be called within `computing`."""
        xp = where.xp

        def here(x: Array) -> Array:
            return x if same_place(place(x), where) else move(x, where)

        parts: dict[str, list[Array]] = {name: [] for name in self.metrics}
        kept: list[tuple[Array, Array]] = []
        for start, stop in spans(self.X.shape[0], rows):
            z = infer(layers, params, buffers, xp.astype(here(self.X[start:stop, ...]), dtype, copy=False))
            given = here(self.y[start:stop, ...])
            y, w = self.loss.targets(given, z), None
            if self.weight is not None:
                w = xp.astype(here(self.weight[start:stop]), dtype, copy=False)
            for name, metric in self.metrics.items():
                if not metric.whole:
                    parts[name].append(metric.part(y, z, w, self.loss))
            if any(metric.whole for metric in self.metrics.values()):
                kept.append((given, z))
        for name, metric in self.metrics.items():
            if metric.whole:
                y, z = (arrays[0] if len(arrays) == 1 else xp.concat(arrays) for arrays in zip(*kept, strict=True))
                w = None if self.weight is None else xp.astype(here(self.weight), dtype, copy=False)
                parts[name].append(metric.part(y, z, w, self.loss))
        self._shapes = [(len(pieces), pieces[0].shape[0]) for pieces in parts.values()]
        vectors = [piece for pieces in parts.values() for piece in pieces]
        return xp.concat(vectors) if len(vectors) > 1 else vectors[0]

    def values(self, numbers: "np.ndarray[Any, Any]") -> dict[str, float]:
        """The metrics by name, from the numbers that `on_device` gave, read."""
        values, start = {}, 0
        for (name, metric), (pieces, k) in zip(self.metrics.items(), self._shapes, strict=True):
            stop = start + pieces * k
            values[name] = metric.value(np.reshape(numbers[start:stop], (pieces, k)))
            start = stop
        return values


def epochs(
    net: Network,
    state: TrainState,
    rows: Resident | Streamed,
    n_epochs: int,
    batch_size: int,
    on_batch: OnBatch | None = None,
    measure: Measure | None = None,
) -> Iterator[tuple[TrainState, dict[str, float]]]:
    """Train, and after each epoch give the state and what is known of it. To be called within `computing`.

    The state given last is good whatever happens next, an interrupt included: the work goes on in a second tree,
    which is refreshed from it. A state given earlier is written over.

    Parameters
    ----------
    state : TrainState
        Consumed.
    rows : Resident or Streamed
        X (n, n_in), y (n,) or (n, n_out), and the weights of the rows (n,), with mean 1, or None.
    on_batch : callable, optional
        Called after each batch.
    measure : Measure, optional
        What to measure at the end of each epoch, beside the loss.

    Returns
    -------
    iterator of (TrainState, dict)
        The values by name: ``"loss"``, the mean over the rows trained on, and with ``"val_"`` before their names
        those of `measure`.

    Raises
    ------
    FloatingPointError
        At the end of an epoch in which the loss or a parameter became NaN or infinite.
    """
    n = rows.n
    batch_size = min(batch_size, n)
    good, work = state, None
    for _ in range(n_epochs):
        work = good.copied(work)
        order = rows.order(random.permutation(net.seed, work.epoch, n))
        try:
            work = _epoch(net, work, rows, order, batch_size, on_batch)
        except UnrecordedError:  # of the library's own parts none is known to do that
            net.repeats = False
            work = _epoch(net, good.copied(work), rows, order, batch_size, on_batch)
        values, finite = _read(net, work, n, measure)
        if not finite:
            raise FloatingPointError(
                f"training diverged in epoch {work.epoch + 1}: mean loss {values['loss']:g}, and the loss or a "
                "parameter is not finite. The model is as it was after the epoch before; try a smaller learning rate, "
                "or inputs of mean 0 and variance 1; with check_input=False, look for NaN in the data"
            )
        params, buffers, slots, averages, sums, step, epoch, _ = work
        sums = net.init_sums(sums["loss"].dtype)
        good, work = TrainState(params, buffers, slots, averages, sums, step, epoch + 1), good
        yield good, values


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
    n_batches, full = math.ceil(n / batch_size), n - n % batch_size
    runs = [(0, full)] if on_batch is None else list(spans(full, batch_size))
    for start, stop in runs if full == n else [*runs, (full, n)]:
        size, before = min(batch_size, stop - start), state.sums["loss"]
        if start:  # the sums of the batches before are of another size
            state = state.with_sums(net.init_sums(before.dtype))
        clock = Clock(n_batches, size / batch_size)
        for X, y, weight, which in rows.pieces(order[start:stop], size):
            state, loss = advance(net, state, X, y, which, size, weight, clock)
        total = float(size) * state.sums["loss"]
        state = state.with_sums({"loss": before + total if start else total})
        if on_batch is not None:
            on_batch(state, state.batch, n_batches, loss)
    return state


def _read(net: Network, state: TrainState, n: int, measure: Measure | None) -> tuple[dict[str, float], bool]:
    """The values of the epoch, and whether its loss and all parameters are finite, in one read."""
    xp, loss = net.place.xp, state.sums["loss"]
    totals = [loss, *map(xp.sum, state.params)]
    measured = []
    if measure is not None:
        params = net.unpack(state.averages or state.params)
        measured = [measure.on_device(net.layers, params, state.buffers, net.place, loss.dtype)]
    (loss_sum, *rest), *numbers = read(totals, *measured)
    values = {"loss": loss_sum / n}
    if measure is not None:
        values |= {f"val_{name}": value for name, value in measure.values(np.asarray(numbers[0])).items()}
    return values, all(map(math.isfinite, (loss_sum, *rest)))
