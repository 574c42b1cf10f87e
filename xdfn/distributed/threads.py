"""Ranks on one machine share its cores, and each has threads of its own for its matrix products."""

import os
import warnings
from collections.abc import Collection, Sequence


def warn_of_threads(threads: Sequence[int], cores: Sequence[Collection[int]]) -> None:
    """Warn if the ranks of one machine have more threads than cores together, which slows all of them down.

    Parameters
    ----------
    threads : sequence of int
        How many each of them computes with.
    cores : sequence of collections of int
        The cores on which each may run.
    """
    n_cores, n_ranks = len(set().union(*cores)), len(threads)
    if sum(threads) > max(n_cores, n_ranks):
        warnings.warn(
            f"{n_ranks} ranks share {n_cores} cores, and compute with {sum(threads)} threads, which wait for one "
            f"another; start them with OPENBLAS_NUM_THREADS={max(1, n_cores // n_ranks)} (MKL_NUM_THREADS or "
            "OMP_NUM_THREADS for other libraries) in the environment",
            stacklevel=4,
        )


def threads_here() -> int:
    """How many threads the libraries of this process compute with; 1 where that cannot be told."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return 1
    return max((library["num_threads"] for library in threadpool_info()), default=1)


def cores_here() -> frozenset[int]:
    """The cores on which this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))
