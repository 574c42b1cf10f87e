"""Several processes train one network: each takes its share of every batch, and the gradients of all are summed before
the parameters move. So all of them hold the same parameters, bit by bit, and are at the same place.
"""

import contextlib
import itertools
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from xdfn.backend import Array, Communicator, Host, gather_texts, namespace, random, summed, to_numpy
from xdfn.train.data import Batches, Resident, Streamed

MEMBERS = "rank", "size", "sum", "broadcast"


class Ranks:
    """This process among those that train together.

    Parameters
    ----------
    comm : Communicator
    own : bool
        Whether each rank brings rows of its own, instead of all of them seeing all rows.

    Attributes
    ----------
    counts : list of int
        The rows of each rank; empty before `count`, and where all see all rows.
    """

    def __init__(self, comm: Communicator, own: bool) -> None:
        self.comm, self.own = comm, own
        self.rank, self.size = comm.rank, comm.size
        self.counts: list[int] = []
        self._agreed = False  # whether all ranks know of the error that is on its way

    # -- what all ranks tell each other --

    def total(self, sums: Host) -> Host:
        """The sum of float64 arrays of one shape over all ranks."""
        self.meet()
        return self._sum(sums)

    def gather(self, numbers: Host) -> Host:
        """The float64 vectors (k,) of all ranks, as (size, k)."""
        self.meet()
        return self._gather(numbers)

    def _sum(self, sums: Host) -> Host:
        x = np.array(sums, np.float64, order="C", ndmin=1)
        self.comm.sum(x)
        return x.reshape(np.shape(sums))

    def _gather(self, numbers: Host) -> Host:
        table = np.zeros((self.size, len(numbers)))
        table[self.rank] = numbers
        return self._sum(table)

    # -- errors --

    def meet(self, error: Exception | None = None) -> None:
        """Before anything that all ranks do together: tell of an error, if there is one; raise if any has one."""
        failed = self._gather(np.asarray([error is not None]))[:, 0]
        if not failed.any():
            return
        self._agreed = True
        texts = gather_texts(self.comm, "" if error is None else f"{type(error).__name__}: {error}")
        if error is not None and len(set(texts)) == 1:
            raise error  # the same on all
        first = int(np.argmax(failed))
        raise ValueError(f"rank {first} of {self.size}: {texts[first]}") from error

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """An error of this rank alone, which the others cannot know of, ends all of them where the engine can."""
        try:
            yield
        except BaseException as error:
            abort = getattr(self.comm, "abort", None)
            if not (self._agreed or isinstance(error, FloatingPointError)) and abort is not None:
                abort(f"rank {self.rank}: {type(error).__name__}: {error}")
            raise

    @contextlib.contextmanager
    def agreed(self) -> Iterator[None]:
        """An error of any rank is an error of all, which says whose it is."""
        try:
            yield
        except Exception as error:
            if not self._agreed:
                self.meet(error)
            raise
        self.meet()

    def compare(self, what: Mapping[str, object]) -> None:
        """Raise ValueError on all ranks if any of these differs between them."""
        self.meet()
        texts = gather_texts(self.comm, json.dumps({name: str(value) for name, value in what.items()}))
        if len(set(texts)) == 1:
            return
        self._agreed = True
        tables = [json.loads(text) for text in texts]
        for name in tables[0]:
            values = [table.get(name) for table in tables]
            other = next((r for r, value in enumerate(values) if value != values[0]), None)
            if other is not None:
                raise ValueError(
                    f"the ranks must train one network alike: {name} is {values[0]:.200} on rank 0, and "
                    f"{values[other]:.200} on rank {other}"
                )
        raise ValueError("the ranks must train one network alike, and run one version of xdfn")

    def check_drift(self, params: tuple[Array, ...], stop: bool) -> bool:
        """After an epoch: raise if any rank holds other parameters; whether any wants to stop."""
        table = self.gather(np.asarray([stop, *fingerprint(params)], np.float64))
        apart = np.flatnonzero((table[:, 1:] != table[0, 1:]).any(axis=1)).tolist()
        if apart:
            self._agreed = True
            names = ", ".join(map(str, apart))
            raise RuntimeError(
                f"the parameters of rank {names} are no longer those of rank 0: callbacks must change the model alike "
                "on all ranks, and the communicator must give all of them the same bits"
            )
        return bool(table[:, 0].any())

    # -- arrays of the run --

    def sum_of(self, loss: Array) -> Array:
        """A loss, a 0-d array, summed over all ranks."""
        return summed(namespace(loss).reshape(loss, (1,)) * 1.0, self.comm)[0]

    def turns(self, n: int) -> dict[int, int]:
        """Which of the `n` pieces of its rows this rank measures, each with its place among those of all ranks."""
        if not self.own:
            return {i: i for i in range(self.rank, n, self.size)}
        counts = self.gather(np.asarray([n])).astype(int).ravel().tolist()
        self._n_pieces = sum(counts)
        return {i: i + sum(counts[: self.rank]) for i in range(n)}

    def spread(self, pieces: Mapping[int, Array], like: Array, n: int) -> Array:
        """The pieces (k,) of all ranks, each measured by one of them, as one vector; this rank sees `n` of them."""
        zeros = namespace(like).zeros_like(like)
        n_pieces = n if not self.own else self._n_pieces
        return summed(namespace(like).concat([pieces.get(i, zeros) for i in range(n_pieces)]), self.comm)

    # -- rows --

    def count(self, n: int) -> int:
        """Learn how many rows each rank brings; how many there are."""
        if not self.own:
            return n
        self.counts = self.gather(np.asarray([n])).astype(int).ravel().tolist()
        return sum(self.counts)

    def share(self, start: int, stop: int) -> tuple[int, int, int]:
        """This rank's rows of the batch from start to stop: the first one's place in it, how many, the first one's
        place among the rows of the epoch, or of the rank if it has rows of its own.
        """
        sizes, first = self.sizes(start, stop), sum(self.sizes(start, stop)[: self.rank])
        if not self.own:
            return first, sizes[self.rank], start + first
        return first, sizes[self.rank], self._upto(start, self.rank + 1) - self._upto(start, self.rank)

    def sizes(self, start: int, stop: int) -> list[int]:
        """How many rows of the batch from start to stop each rank has."""
        if not self.own:
            return [(stop - start) * (r + 1) // self.size - (stop - start) * r // self.size for r in range(self.size)]
        upto = [self._upto(stop, r) - self._upto(start, r) for r in range(self.size + 1)]
        return [b - a for a, b in itertools.pairwise(upto)]

    def _upto(self, at: int, rank: int) -> int:
        """Of the first `at` rows of an epoch, how many are of ranks below this one, which bring rows of their own."""
        return at * sum(self.counts[:rank]) // sum(self.counts)


class SharedRows(NamedTuple):
    """The rows of a fit, of which each rank takes its share of every batch.

    Attributes
    ----------
    rows : Resident or Streamed
        All rows, or those of this rank.
    ranks : Ranks
    n : int
        The rows of all ranks.
    """

    rows: Resident | Streamed
    ranks: Ranks
    n: int

    def order(self, seed: int, epoch: int) -> Array:
        """Of all rows, or of the rank's own, which have an order of their own."""
        return self.rows.order(random.hash_ints(seed, self.ranks.rank) if self.ranks.own else seed, epoch)

    def batches(self, order: Array, start: int, stop: int, size: int) -> Iterator[Batches]:
        first, mine, begin = self.ranks.share(start, start + size)
        k, xp = (stop - start) // size, namespace(order)
        whole = float(size) if mine else np.inf
        if not mine:  # one row that counts for nothing, so that all ranks make the same sums
            order, mine = xp.concat([order[:1]] * k), 1
        elif self.ranks.own:
            order = order[begin : begin + k * mine]
        else:
            table = xp.reshape(order[start:stop], (k, size))
            order = xp.reshape(table[:, first : first + mine], (-1,))
        for b in self.rows.batches(order, 0, k * mine, mine):
            yield Batches(b.X, b.y, b.weight, b.order, b.size, whole)


def fingerprint(params: tuple[Array, ...]) -> list[int]:
    """A checksum of the parameters, five times as fast as a hash and enough for what is no attack. Reads the device."""
    crc = 0
    for x in params:
        crc = zlib.crc32(np.ascontiguousarray(to_numpy(x)).data, crc)
    return [crc]
