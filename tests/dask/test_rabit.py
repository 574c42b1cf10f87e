import multiprocessing
import time

import numpy as np
import pytest

from xdfn.dask.rabit import rabit


def sum_thrice(comm):
    for _ in range(3):
        comm.sum(np.zeros(1000))


def work(rank, size, queue, leaves):
    def learn():
        where = queue.get()
        queue.put(where)
        return where

    with rabit(rank, size, "127.0.0.1", queue.put, learn) as comm:
        x = np.arange(6, dtype=np.float32).reshape(2, 3) + rank
        comm.sum(x)
        word = comm.broadcast(f"rank {comm.rank}")
        if rank == leaves:
            return None
        if leaves is not None:
            start = time.perf_counter()
            with pytest.raises(ConnectionError, match="another worker has left the training"):
                sum_thrice(comm)
            return time.perf_counter() - start
    return comm.rank, x.tolist(), word


def alone(queue):
    def learn():
        return queue.get()

    start = time.perf_counter()
    with pytest.raises(ConnectionError, match="another worker did not come"):  # noqa: SIM117
        with rabit(0, 2, "127.0.0.1", queue.put, learn, lambda: time.perf_counter() - start > 1):
            pass
    return time.perf_counter() - start


def test_a_training_that_is_given_up_keeps_nobody_waiting():
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(1) as pool:
        assert pool.apply(alone, (manager.Queue(),)) < 10


def run(size, leaves=None):
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(size) as pool:
        queue = manager.Queue()
        return pool.starmap(work, [(rank, size, queue, leaves) for rank in range(size)], 1)


def test_ranks_sum_and_hear_the_first():
    total = (3 * np.arange(6).reshape(2, 3) + 3).tolist()
    assert run(3) == [(rank, total, "rank 0") for rank in range(3)]


@pytest.mark.parametrize("leaves", [0, 2])
def test_a_rank_that_leaves_is_noticed_at_once(leaves):
    seconds = [s for s in run(3, leaves) if s is not None]
    assert len(seconds) == 2
    assert max(seconds) < 5
