"""xgboost's collective, Rabit, joins the workers of any cluster by TCP. It sums arrays of the host."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, TypeVar

import numpy as np

from xdfn.backend import Array, broadcast_by_sum, place, put, to_numpy

V = TypeVar("V")
EVERY = 1.0  # seconds between two looks at what else happens in the cluster
TIMEOUT = 1800  # seconds that a rank waits for the others; one that fails is noticed at once
Meeting = Mapping[str, str | int]  # where the ranks find each other


class Tracker(Protocol):
    """What is asked of xgboost's `RabitTracker`, where ranks meet."""

    def free(self) -> None: ...


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
    rank: int,
    size: int,
    host: str,
    publish: Callable[[Meeting], None],
    learn: Callable[[], Meeting],
    given_up: Callable[[], bool] = lambda: False,
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
    given_up : callable, optional
        Whether to wait no longer for ranks that have not come. Asked by rank 0, every second until all have.

    Raises
    ------
    ConnectionError
        Another rank did not come.
    """
    from xgboost import collective
    from xgboost.core import XGBoostError
    from xgboost.tracker import RabitTracker

    with contextlib.ExitStack() as stack:
        if rank == 0:
            tracker = RabitTracker(n_workers=size, host_ip=host, sortby="task", timeout=TIMEOUT)
            tracker.start()
            threading.Thread(target=_quietly, args=(tracker.wait_for,), daemon=True).start()
            stack.enter_context(_freed(tracker, given_up))
            publish(tracker.worker_args())
        # with more retries, whoever is left alone waits for a tracker that died
        arguments = {**learn(), "dmlc_task_id": f"{rank:09d}", "dmlc_timeout": TIMEOUT, "dmlc_retry": 1}
        try:
            collective.init(**arguments)
        except XGBoostError as error:
            raise ConnectionError("another worker did not come to the training") from error
    try:
        yield RabitCommunicator(rank, size)
    finally:
        _quietly(collective.finalize)  # if another has left before, that is told where it matters


def _quietly(call: Callable[[], object]) -> None:
    from xgboost.core import XGBoostError

    with contextlib.suppress(XGBoostError):
        call()


@contextlib.contextmanager
def _freed(tracker: Tracker, given_up: Callable[[], bool]) -> Iterator[None]:
    """Within it the tracker is freed once the training is given up, so that nobody waits for a rank that died."""
    over = threading.Event()

    def watch() -> None:
        while not (over.wait(EVERY) or given_up()):
            pass
        if not over.is_set():
            _quietly(tracker.free)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()
