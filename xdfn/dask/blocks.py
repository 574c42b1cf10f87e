"""Which worker holds which rows, and how they become its share of a training."""

import contextlib
import math
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dask.base import is_dask_collection
from distributed import Client, Future, futures_of, wait

from xdfn.backend import Array, as_array, namespace, place
from xdfn.dask.rabit import EVERY
from xdfn.distributed.mpi import world_rank

UNEVEN = 1.25  # the most rows of a worker over their mean, from which on one is told


class Rows(NamedTuple):
    """The rows that one worker holds.

    Attributes
    ----------
    X : array (n, n_in)
    y : array (n, ...)
    weight : array (n,), if rows have weights
    """

    X: Array
    y: Array
    weight: Array | None


class Look(NamedTuple):
    """What the training must know of a worker's rows.

    Attributes
    ----------
    n : int
    library : str
    device : int
        The number of the GPU that holds them.
    mpi_rank : int or None
        The worker's own among the processes that MPI has started.
    """

    n: int
    library: str
    device: int
    mpi_rank: int | None


def look(rows: Rows) -> Look:
    """Runs on the worker that holds the rows."""
    where = place(rows.X)
    return Look(rows.X.shape[0], where.library, getattr(where.device, "id", 0), world_rank())


def join(names: Sequence[str], blocks: Sequence[Sequence[Any]]) -> Rows:
    """The blocks of X, y and maybe the weights that a worker holds, as one array of each. Runs on the worker."""
    columns = [[as_array(name, block) for block in of_name] for name, of_name in zip(names, blocks, strict=True)]
    for pieces in zip(*columns, strict=True):
        for name, piece in zip(names, pieces, strict=True):
            if piece.shape[0] != pieces[0].shape[0]:
                raise ValueError(
                    f"a block of {names[0]} has {pieces[0].shape[0]} rows and that of {name} {piece.shape[0]}; "
                    "they must be cut alike"
                )
    X, y, *weight = (
        pieces[0] if len(pieces) == 1 else namespace(pieces[0]).concat([p for p in pieces if p.shape[0]] or pieces[:1])
        for pieces in columns
    )
    return Rows(X, y, weight[0] if weight else None)


def settled(client: Client, tasks: Mapping[str, Future]) -> Iterator[list[Future]]:
    """The tasks of workers that are not done yet, every second or when one is done, until all are.

    Raises
    ------
    RuntimeError
        A worker died.
    """
    waiting = list(tasks.values())
    while waiting:
        with contextlib.suppress(TimeoutError):
            waiting = list(wait(waiting, timeout=EVERY, return_when="FIRST_COMPLETED").not_done)
        if lost := tasks.keys() - client.nthreads().keys():
            raise RuntimeError(
                f"worker {', '.join(sorted(lost))} died while it trained, and its rows with it. Bring them to the "
                "workers that are left, and call fit again; with resume='run.npz' it goes on where it was"
            )
        yield waiting


def looks(client: Client, parts: Mapping[str, Future]) -> dict[str, Look]:
    """What the training must know of the rows of each worker."""
    tasks = {worker: client.submit(look, rows, **pinned(worker)) for worker, rows in parts.items()}
    for _ in settled(client, tasks):
        pass
    return {worker: task.result() for worker, task in tasks.items()}


def share_out(
    client: Client, names: Sequence[str], collections: Sequence[Any], workers: Sequence[str] = ()
) -> dict[str, Future]:
    """The rows of each worker that holds blocks of the first collection, by its address, as futures of `Rows`.

    Given workers take the blocks in turns instead, and those that get none are left out.
    """
    cut = _cut_alike(names, collections)
    takers = workers or ([] if futures_of(cut[0]) else sorted(client.nthreads()))
    blocks = [_computed(client, x, takers) for x in cut]
    held, homes = _holders(client, blocks), dict[str, list[int]]()
    for i, block in enumerate(blocks[0]):
        homes.setdefault(workers[i % len(workers)] if workers else held[block.key][0], []).append(i)
    return {
        home: client.submit(join, list(names), [[of_name[i] for i in mine] for of_name in blocks], **pinned(home))
        for home, mine in sorted(homes.items())
    }


def share_out_validation(client: Client, given: Sequence[Any], workers: Sequence[str]) -> dict[str, Future]:
    """The rows of a validation, of which each of these workers gets as many, as `share_out` gives them."""
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        raise ValueError(f"validation_data must be (X, y) or (X, y, sample_weight), got a {type(given).__name__}")
    names = [f"validation_data: {name}" for name in ("X", "y", "sample_weight")][: len(given)]
    cut = []
    for name, x in zip(names, given, strict=True):
        require_collection(name, x)
        known = x.to_dask_array(lengths=True) if hasattr(x, "to_dask_array") else x.compute_chunk_sizes()
        n, k = known.shape[0], len(workers)
        if n < k:
            raise ValueError(f"{name} has {n} rows, and {k} workers train; expected at least as many")
        cut.append(known.rechunk({0: tuple(n * (i + 1) // k - n * i // k for i in range(k))}))
    return share_out(client, names, cut, workers)


def pinned(worker: str) -> dict[str, object]:
    """Arguments of ``client.submit`` for a task that this worker alone may run, once."""
    return {"workers": [worker], "allow_other_workers": False, "pure": False, "retries": 0}


def tell_uneven(counts: dict[str, int]) -> None:
    """Warn of rows that lie so unevenly that workers wait for one another."""
    most, mean = max(counts.values()), sum(counts.values()) / len(counts)
    if most > UNEVEN * mean:
        held = ", ".join(f"{worker} {n}" for worker, n in counts.items())
        warnings.warn(
            f"the rows lie unevenly on the workers ({held}), and each step waits for the one with the most: "
            f"{len(counts)} workers do the work of {sum(counts.values()) / most:.1f}. Blocks that are computed already "
            "stay where they are: leave out persist(), or cut X in blocks of as many rows before it",
            stacklevel=4,
        )


def _cut_alike(names: Sequence[str], collections: Sequence[Any]) -> list[Any]:
    """The collections in blocks of whole rows, as many of each."""
    for name, given in zip(names, collections, strict=True):
        require_collection(name, given)
    cut: list[Any] = [x.rechunk({1: -1}) if hasattr(x, "chunks") and x.ndim == 2 else x for x in collections]
    first = cut[0]
    for i, (name, x) in enumerate(zip(names, cut, strict=True)):
        sizes = [c.chunks[0] if hasattr(c, "chunks") else (math.nan,) for c in (first, x)]
        known = not any(math.isnan(n) for size in sizes for n in size)
        if known and sum(sizes[0]) != sum(sizes[1]):
            raise ValueError(f"{names[0]} has {sum(sizes[0])} rows, and {name} has {sum(sizes[1])}; expected as many")
        if known:
            x = cut[i] = x.rechunk({0: sizes[0]})
        if _n_blocks(x) != _n_blocks(first):
            raise ValueError(
                f"{names[0]} has {_n_blocks(first)} blocks of rows, and {name} has {_n_blocks(x)}; they must be cut "
                "alike, as by x.repartition(npartitions=...)"
            )
    return cut


def require_collection(name: str, given: object) -> None:
    if not is_dask_collection(given) or not hasattr(given, "ndim"):
        raise ValueError(
            f"{name} must be an array or a frame of Dask, got {type(given).__name__}; "
            "dask.array.from_array(x, chunks=(1000, -1)) makes one of an array, and model.fit takes arrays as they are"
        )


def _n_blocks(x: Any) -> int:
    return int(x.npartitions)


def _computed(client: Client, x: Any, takers: Sequence[str]) -> list[Future]:
    """The blocks of a collection, computed by these workers in turns, or without any where their data lie."""
    # arrays may have blocks in common, as X[mask] and y[mask] do, which an optimised graph of each would compute by
    # different tasks of one name
    delayed = x.to_delayed(optimize_graph=not hasattr(x, "chunks"))
    blocks = list(delayed.ravel() if hasattr(delayed, "ravel") else delayed)  # an array has a table of them
    found: dict[int, Future] = {}
    for k in range(max(1, len(takers))):
        mine, where = range(k, len(blocks), max(1, len(takers))), [takers[k]] if takers else None
        futures = client.compute([blocks[i] for i in mine], workers=where, allow_other_workers=bool(takers))
        found.update(zip(mine, futures, strict=True))
    return [found[i] for i in range(len(blocks))]


def _holders(client: Client, blocks: Sequence[Sequence[Future]]) -> dict[str, Sequence[str]]:
    """The workers that hold each block, by its key, when all are computed; anew if a worker dies meanwhile.

    Raises
    ------
    RuntimeError
        A block was lost with its worker, and nothing is left to compute it from.
    """
    every = [block for of_name in blocks for block in of_name]
    while True:
        wait(every)
        for block in every:
            if block.status == "cancelled":
                raise RuntimeError("rows were lost with the worker that held them; bring them to the workers again")
            if block.status != "finished":
                block.result()  # raises what went wrong
        held: dict[str, Sequence[str]] = client.who_has(every)
        if all(held[block.key] for block in every):
            return held
        time.sleep(0.1)  # until the scheduler has told the client which blocks are computed again
