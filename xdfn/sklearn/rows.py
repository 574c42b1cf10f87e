"""The rows of a fit in scikit-learn's order: each epoch shuffles that of the epoch before."""

from collections.abc import Iterator
from typing import Protocol, cast

import numpy as np
from numpy.random import RandomState

from xdfn.backend import Array, Host, Place, arange, place, put
from xdfn.train.checks import spans
from xdfn.train.data import Batches

__all__: list[str] = []

_PIECE = 2**24  # bytes of X that are made dense, or go to a device, together


class HostRows(Protocol):
    """Rows on the host: a NumPy array, or a sparse matrix of SciPy."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> "np.dtype[np.float64]": ...
    def __getitem__(self, rows: object, /) -> "HostRows": ...


def dense(X: Array | HostRows) -> Host:
    """The rows as an array of NumPy."""
    return cast(Host, X.toarray() if hasattr(X, "toarray") else X)


def pieces(X: Array | HostRows, rows: Host | None, where: Place) -> Iterator[Array]:
    """Some of the rows, or all, by a few at a time: dense arrays where the network is."""
    n = X.shape[0] if rows is None else rows.shape[0]
    on_host = hasattr(X, "toarray") or place(X) != where  # type: ignore[arg-type]
    for start, stop in spans(n, max(1, _PIECE // (8 * X.shape[1])) if on_host else n):
        part = slice(start, stop) if rows is None else rows[start:stop]
        if on_host:
            yield put(np.ascontiguousarray(dense(X[part])), where)
        else:
            x = cast(Array, X)
            yield x if rows is None else where.xp.take(x, put(rows, where), axis=0)


class OrderedRows:
    """Rows for `train.loop`, whose order comes from outside.

    The weights of a batch are divided by their sum in the batch, as scikit-learn does; `Resident` divides by that of
    all rows.

    Parameters
    ----------
    X : array (n, n_in) where the network is, or rows on the host that are to go there by a few batches at a time
    y : array (n,) or (n, m), where the network is
    weight : NumPy array (n,), optional
    subset : NumPy array of ints
        The rows that are trained on, in the order in which they stand.
    rng : RandomState, optional
        Shuffles them anew in each epoch, by the draws of `sklearn.utils.shuffle`; without it all epochs are alike.
    batch_size : int
    where : Place
        Where the network is.
    dtype : str
        That of its parameters.
    """

    def __init__(
        self,
        X: Array | HostRows,
        y: Array,
        weight: Host | None,
        subset: Host,
        rng: RandomState | None,
        batch_size: int,
        where: Place,
        dtype: str,
    ) -> None:
        self.X, self.y, self.weight, self.where, self.dtype = X, y, weight, where, dtype
        self.rng, self.batch_size, self._order = rng, batch_size, subset
        self.streams = hasattr(X, "toarray") or place(y) != place(X)  # type: ignore[arg-type]
        self._scaled: Array | None = None
        self._sums: list[float] = []

    @property
    def n(self) -> int:
        return int(self._order.shape[0])

    def order(self, seed: int, epoch: int) -> Array:
        """The rows of the next epoch, drawn by `rng`: the model's seed has no part in it."""
        if self.rng is not None:
            at = np.arange(self.n)
            self.rng.shuffle(at)
            self._order = self._order[at]
        order = self._order.astype("int32")
        if self.weight is not None:
            self._weigh(self.weight, order)
        return order if self.streams else put(order, self.where)

    def _weigh(self, weight: Host, order: Host) -> None:
        """Weights that have the mean 1 in each batch, which has no weight if all its rows have none."""
        pieces = spans(self.n, self.batch_size)
        self._sums = [weight[order[start:stop]].sum().tolist() for start, stop in pieces]
        scaled = np.zeros(weight.shape[0], self.dtype)
        for (start, stop), total in zip(pieces, self._sums, strict=True):
            rows = order[start:stop]
            scaled[rows] = weight[rows] * ((stop - start) / total if total else 0.0)
        self._scaled = put(scaled, self.where)

    def batch_weight(self, i: int) -> float:
        """The sum of the weights in the i-th batch of the epoch: its rows where there are none."""
        if self.weight is None:
            return min(self.batch_size, self.n - i * self.batch_size)
        return self._sums[i]

    def batches(self, order: Array, start: int, stop: int, size: int) -> Iterator[Batches]:
        order = order[start:stop]
        if not self.streams:
            yield Batches(self.X, self.y, self._scaled, order, size)  # type: ignore[arg-type]
            return
        xp = self.where.xp
        n_in = self.X.shape[1]
        rows = max(1, _PIECE // (size * n_in * 8)) * size
        for first, last in spans(order.shape[0], rows):
            part = order[first:last]
            X = put(np.ascontiguousarray(dense(self.X[part])), self.where)
            at = put(part, self.where)
            weight = None if self._scaled is None else xp.take(self._scaled, at, axis=0)
            yield Batches(X, xp.take(self.y, at, axis=0), weight, arange(last - first, X), size)
