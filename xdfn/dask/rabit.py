"""xgboost's collective, Rabit, joins the workers of any cluster by TCP. It sums arrays of the host."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import numpy as np

from xdfn.backend import Array, broadcast_by_sum, place, put, to_numpy

V = TypeVar("V")
TIMEOUT = 1800  # seconds that a rank waits for the others; one that fails is noticed at once
Meeting = Mapping[str, str | int]  # where the ranks find each other


class RabitCommunicator:
    """Ranks of Rabit. To be used by the thread that has made it.

    Parameters
    ----------
    rank, size : int
    """

    def __init__(self, rank: int, size: int) -> None:
        from xgboost import collective

        self.rank, self.size = rank, size
        self._allreduce, self._plus = collective.allreduce, collective.Op.SUM

    def sum(self, x: Array) -> None:
        """Put the sum over all ranks in place of x; arrays of a device go through the host."""
        from xgboost.core import XGBoostError

        try:
            total = self._allreduce(to_numpy(x), self._plus).reshape(x.shape)
        except XGBoostError as error:
            raise ConnectionError("another worker has left the training") from error
        x[...] = total if isinstance(x, np.ndarray) else put(total, place(x))

    def broadcast(self, value: V) -> V:
        """Rank 0's value, a number or a string, on all ranks."""
        return broadcast_by_sum(self, value)


@contextlib.contextmanager
def rabit(
    rank: int, size: int, host: str, publish: Callable[[Meeting], None], learn: Callable[[], Meeting]
) -> Iterator[RabitCommunicator]:
    """What joins `size` ranks, as long as none of them leaves.

    Parameters
    ----------
    rank, size : int
    host : str
        An address of rank 0's machine that all can reach.
    publish : callable
        By which rank 0 tells the others where they meet.
    learn : callable
        By which they learn it.
    """
    from xgboost import collective
    from xgboost.core import XGBoostError
    from xgboost.tracker import RabitTracker

    if rank == 0:
        tracker = RabitTracker(n_workers=size, host_ip=host, sortby="task", timeout=TIMEOUT)
        tracker.start()
        threading.Thread(target=tracker.wait_for, daemon=True).start()  # it owns the tracker from here on
        publish(tracker.worker_args())
    collective.init(**learn(), dmlc_task_id=f"{rank:09d}", dmlc_timeout=TIMEOUT)
    try:
        yield RabitCommunicator(rank, size)
    finally:
        with contextlib.suppress(XGBoostError):  # if another has left before, which is told where it matters
            collective.finalize()
