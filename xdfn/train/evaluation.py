"""Measuring: at the end of an epoch, on the rows of a validation or those that are trained on; and in `evaluate`."""

import itertools
from collections.abc import Mapping

import numpy as np

from xdfn.backend import Array, DType, Host, Place, namespace, place, to_place
from xdfn.nn.losses import ObjectiveBase
from xdfn.nn.network import LayerTree, Network
from xdfn.train.checks import spans
from xdfn.train.metrics.base import MetricBase
from xdfn.train.ranks import Ranks

ROWS_AT_ONCE = 1024  # rows that go through the network together at inference


class Evaluation:
    """Rows, and the metrics that are measured on them.

    Parameters
    ----------
    X, y : array (n, n_in), array (n,) or (n, n_out)
        Where the network is, or on the host.
    weight : array (n,), optional
        The weights of the rows, of any scale.
    loss : ObjectiveBase
    metrics : dict of MetricBase by name
    ranks : Ranks, optional
        Those that measure together, each its share of the rows. What must see all rows at once is measured by each.
    """

    def __init__(
        self,
        X: Array,
        y: Array,
        weight: Array | None,
        loss: ObjectiveBase,
        metrics: Mapping[str, MetricBase],
        ranks: Ranks | None = None,
    ) -> None:
        self.X, self.y, self.weight, self.loss, self.metrics = X, y, weight, loss, metrics
        self.ranks = None if ranks is None or (not ranks.own and self._sees_all) else ranks
        self._shapes: list[tuple[int, int]] = []

    @property
    def _sees_all(self) -> bool:
        return any(metric.whole for metric in self.metrics.values())

    def run(
        self,
        network: Network,
        params: LayerTree,
        buffers: LayerTree,
        where: Place,
        dtype: DType,
        rows: int = ROWS_AT_ONCE,
    ) -> Array:
        """The partial sums of all metrics, as one vector on the device. To be called within `computing`.

        `rows` go through the network together.
        """
        parts: dict[str, list[Array]] = {name: [] for name in self.metrics}
        kept: list[tuple[Array, Array]] = []  # for metrics that must see all rows at once
        pieces = spans(self.X.shape[0], rows)
        turns = None if self.ranks is None else self.ranks.turns(len(pieces))
        for i, (start, stop) in enumerate(pieces):
            if turns is not None and i not in (turns or {0: 0}):  # one without a turn still needs the length of a part
                continue
            x = where.xp.astype(_on(where, self.X[start:stop, ...]), dtype, copy=False)
            z, given = network.infer(params, buffers, x), _on(where, self.y[start:stop, ...])
            y, w = self.loss.targets(given, z), self._weights(where, dtype, start, stop)
            for name, metric in self.metrics.items():
                if not metric.whole:
                    parts[name].append(metric.part(y, z, w, self.loss))
            if self._sees_all:
                kept.append((given, z))
        for name, metric in self.metrics.items():
            if metric.whole:
                y, z = (x[0] if len(x) == 1 else where.xp.concat(x) for x in zip(*kept, strict=True))
                w = self._weights(where, dtype, 0, self.X.shape[0])
                parts[name].append(metric.part(y, z, w, self.loss))
        if turns is not None and self.ranks is not None:
            return self._of_all_ranks(self.ranks, parts, turns, len(pieces))
        self._shapes = [(len(pieces), pieces[0].shape[0]) for pieces in parts.values()]
        vectors = [piece for pieces in parts.values() for piece in pieces]
        return where.xp.concat(vectors) if len(vectors) > 1 else vectors[0]

    def _of_all_ranks(self, ranks: Ranks, parts: dict[str, list[Array]], turns: dict[int, int], n: int) -> Array:
        """The parts of all ranks, as one vector."""
        sizes = [of_metric[0].shape[0] for of_metric in parts.values()]
        rows = [namespace(row[0]).concat(row) for row in map(list, zip(*parts.values(), strict=True))]  # of each piece
        measured = ranks.spread(dict(zip(turns.values(), rows, strict=False)), rows[0], n)
        table = namespace(measured).reshape(measured, (-1, sum(sizes)))
        self._shapes = [(table.shape[0], size) for size in sizes]
        starts = [0, *itertools.accumulate(sizes)]
        columns = [namespace(table).reshape(table[:, a:b], (-1,)) for a, b in itertools.pairwise(starts)]
        return namespace(measured).concat(columns)

    def _weights(self, where: Place, dtype: DType, start: int, stop: int) -> Array | None:
        if self.weight is None:
            return None
        return where.xp.astype(_on(where, self.weight[start:stop]), dtype, copy=False)

    def finalize(self, numbers: Host) -> dict[str, float]:
        """The metrics by name, from what `run` gave, on the host."""
        values, start = {}, 0
        for (name, metric), (pieces, k) in zip(self.metrics.items(), self._shapes, strict=True):
            stop = start + pieces * k
            values[name] = metric.value(np.reshape(numbers[start:stop], (pieces, k)))
            start = stop
        return values


def _on(where: Place, x: Array) -> Array:
    return x if place(x) == where else to_place(x, where)
