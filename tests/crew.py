"""Ranks as threads of one process: a communicator whose sums wait for each other."""

import functools
import operator
import threading


class Seat:
    """A thread's communicator."""

    def __init__(self, rank, size, shared, barrier):
        self.rank, self.size, self.shared, self.barrier, self.sums = rank, size, shared, barrier, 0

    def sum(self, x):
        self.sums += 1
        self.shared[self.rank] = x + 0  # a copy
        self.barrier.wait(20)
        total = functools.reduce(operator.add, self.shared)
        self.barrier.wait(20)
        x[...] = total

    def broadcast(self, value):
        self.shared[self.rank] = value
        self.barrier.wait(20)
        given = self.shared[0]
        self.barrier.wait(20)
        return given

    def abort(self, message):
        self.shared.append(message)
        self.barrier.abort()


class BusySeat(Seat):
    """One whose engine sums beside other work: what was begun is there at the end only."""

    def __init__(self, *args):
        super().__init__(*args)
        self.parts = []

    def start(self, part):
        self.parts.append(part)

    def finish(self, vector):
        while self.parts:
            self.sum(self.parts.pop(0))


def together(size, function, seat=Seat):
    """What function(communicator) gives, or raises, on each of `size` ranks."""
    shared, barrier, results = [None] * size, threading.Barrier(size), [None] * size

    def run(rank):
        try:
            results[rank] = function(seat(rank, size, shared, barrier))
        except BaseException as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return results
