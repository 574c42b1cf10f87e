"""What ranks tell each other, and whose rows are whose."""

import numpy as np
import pytest
from crew import together
from hypothesis import given, settings
from hypothesis import strategies as st

from xdfn.train.loop import equal_batches
from xdfn.train.ranks import Ranks, fingerprint


class Alone:
    """A communicator that nobody calls."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 7), st.integers(1, 60), st.integers(1, 40))
def test_every_row_of_a_batch_is_one_ranks(size, n, batch_size):
    team = [Ranks(Alone(rank, size), False) for rank in range(size)]
    for ranks in team:
        found = list(equal_batches(n, batch_size, ranks))
        assert [(start, stop) for start, stop, _ in found] == [s[:2] for s in equal_batches(n, batch_size)]
    for start in range(0, n, batch_size):
        stop, upto = min(start + batch_size, n), 0
        for ranks in team:
            first, mine, begin = ranks.share(start, stop)
            assert (first, begin) == (upto, start + upto)
            upto += mine
        assert upto == stop - start


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(1, 40))
def test_ranks_with_rows_of_their_own_fill_every_batch(counts, batch_size):
    n, team = sum(counts), [Ranks(Alone(rank, len(counts)), True) for rank in range(len(counts))]
    for ranks in team:
        ranks.counts = counts
    taken = [0] * len(counts)
    for start in range(0, n, batch_size):
        stop, upto = min(start + batch_size, n), 0
        for ranks in team:
            first, mine, begin = ranks.share(start, stop)
            assert (first, begin) == (upto, taken[ranks.rank])
            upto, taken[ranks.rank] = upto + mine, begin + mine
        assert upto == stop - start
    assert taken == counts
    ends = [[stretch[:2] for stretch in equal_batches(n, batch_size, ranks)] for ranks in team]
    assert all(of_rank == ends[0] for of_rank in ends)  # all come to the same places together
    for ranks in team:  # each stretch is of batches in which the rank's rows have one place
        for start, stop, shape in equal_batches(n, batch_size, ranks):
            size = min(batch_size, stop - start)
            shares = [ranks.share(at, at + size) for at in range(start, stop, size)]
            assert {first for first, _, _ in shares} == {shape.rows[0]}
            assert len({mine for _, mine, _ in shares}) == 1
            assert shape.rows[1] == size


def test_an_error_of_one_is_one_of_all():
    def run(comm):
        ranks = Ranks(comm, False)
        with ranks.agreed():
            if comm.rank == 1:
                raise KeyError("gone")
        return "no error"

    errors = together(3, run)
    assert [type(error) for error in errors] == [ValueError] * 3
    assert {str(error) for error in errors} == {"rank 1 of 3: KeyError: 'gone'"}


def test_an_error_of_all_alike_is_itself():
    def run(comm):
        with Ranks(comm, False).agreed():
            raise TypeError("the same")

    assert [repr(error) for error in together(2, run)] == ["TypeError('the same')"] * 2


def test_an_error_before_a_sum_ends_the_others_sum():
    def run(comm):
        ranks = Ranks(comm, False)
        with ranks.agreed():
            if comm.rank == 0:
                raise ValueError("bad rows")
            ranks.total(np.ones(5))

    assert {str(error) for error in together(2, run)} == {"rank 0 of 2: ValueError: bad rows"}


def test_what_differs_is_named():
    def run(comm):
        Ranks(comm, False).compare({"a": 1, "the dtype": "float64" if comm.rank < 2 else "float32"})

    errors = together(3, run)
    assert {str(error) for error in errors} == {
        "the ranks must train one network alike: the dtype is float64 on rank 0, and float32 on rank 2"
    }


def test_drift_is_named():
    def run(comm):
        params = np.ones(4, np.float32)
        params[2] += np.float32(comm.rank == 2) * np.float32(1e-7)
        return Ranks(comm, False).check_drift((params,), stop=comm.rank == 1)

    errors = together(3, run)
    assert all(isinstance(error, RuntimeError) and "of rank 2 are no longer" in str(error) for error in errors)
    assert together(2, lambda comm: Ranks(comm, False).check_drift((np.ones(3),), comm.rank == 1)) == [True, True]
    assert together(2, lambda comm: Ranks(comm, False).check_drift((np.ones(3),), False)) == [False, False]


def test_an_unexpected_error_ends_all(capsys):
    def run(comm):
        with Ranks(comm, False).guarded():
            if comm.rank == 1:
                raise MemoryError("no room")
            comm.sum(np.ones(3))

    waiting, failed = together(2, run)
    assert isinstance(failed, MemoryError)
    assert type(waiting).__name__ == "BrokenBarrierError"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fingerprints(backend, dtype):
    x = np.arange(6.0).reshape(2, 3).astype(dtype)
    y = x.copy()
    y[1, 1] = np.nextafter(y[1, 1], 9)
    assert fingerprint((backend.array(x),)) == fingerprint((x,)) != fingerprint((y,))
    assert all(0 <= word < 2**32 for word in fingerprint((x,)))
