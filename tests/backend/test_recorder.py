"""A step that was recorded is the step: the calls, the numbers that change, the memory."""

import numpy as np
import pytest

from xdfn.backend import UnrecordedError, record
from xdfn.backend._recorder import Number, Recording, call_in_place


def test_numbers():
    step = [0.5, 3]
    assert (-Number(1)).of(step) == -3
    assert (1.0 - Number(0)).of(step) == 0.5
    assert (-(2.0 - Number(1))).of(step) == 1.0
    recording = Recording([], tuple(step))
    x = recording.own(np.ones(3, np.float32))
    x *= Number(0)
    x += -Number(1)
    assert x.as_ndarray().tolist() == [-2.5] * 3
    assert x.dtype == np.float32
    x.as_ndarray()[...] = 1
    recording.replay((4.0, 1))
    assert x.as_ndarray().tolist() == [3.0] * 3
    with pytest.raises(TypeError):
        Number(0) * 2.0


def test_memory_of_what_is_gone_is_used_again():
    recording = Recording([], ())
    x = recording.own(np.arange(6.0))
    first = x + 1.0
    kept = first[1:]  # a view keeps its array
    where = first.ctypes.data
    del first
    second = kept * 2.0
    assert second.ctypes.data != where
    del kept
    third = second + x[1:]
    assert third.ctypes.data == where
    expected = [4.0 + 1, 6.0 + 2, 8.0 + 3, 10.0 + 4, 12.0 + 5]
    assert third.as_ndarray().tolist() == expected
    third.as_ndarray()[...] = 0
    recording.replay(())
    assert third.as_ndarray().tolist() == expected


@pytest.mark.parametrize("axis", [0, 1])
def test_arrays_are_joined_again(axis):
    recording = Recording([], ())
    x, plain = recording.own(np.ones((2, 3), np.float32)), np.full((2, 3), 5.0, np.float32)
    joined = np.concat([x, 2.0 * x, plain], axis=axis)
    x.as_ndarray()[...] = 4
    recording.replay(())
    assert joined.dtype == np.float32
    expected = np.concat([np.full((2, 3), value) for value in (4, 8, 5)], axis=axis)
    assert joined.as_ndarray().tolist() == expected.tolist()


@pytest.mark.parametrize(
    "act",
    [
        float,
        bool,
        list,
        lambda x: x.copy() + 1,
        lambda x: x[[0, 1]] + 1,
        lambda x: np.cumsum(x),
        lambda x: np.add.accumulate(x),
        lambda x: np.add(x, 1, where=np.asarray([True, False])),
        lambda x: np.add(x, 1, out=np.empty(2)),
        lambda x: x[0],
    ],
)
def test_what_a_recording_does_not_know(act):
    with pytest.raises(UnrecordedError):
        act(Recording([], ()).own(np.ones(2)))


def body(carry, inputs, numbers):
    """p <- p - lr x, counted, and the sum of what it was; the count is a new array in every step."""
    (p, count), (x, absent) = carry["state"], inputs
    assert absent is None
    total = np.add.reduce(p, axis=0)
    p -= numbers["lr"] * x
    return {"state": (p, count + 1.0)}, {"total": total}


def test_rows_and_pieces_are_taken_anew(rng):
    """`take`, concatenation and functions that write into an array, on what the arrays hold then."""
    recording, table, at = Recording([], ()), rng.normal(size=(5, 2)), np.asarray([3, 0, 3])
    W, rows = recording.own(table.copy()), recording.own(at.copy())
    taken = W.take(rows, 0)
    joined = np.concatenate([taken * 2.0, W[:3, :1]], axis=-1)
    call_in_place(np.copyto, taken, joined[:, 1:])

    def expected():
        doubled = 2 * W.as_ndarray()[rows.as_ndarray()]
        return np.concatenate([doubled, W.as_ndarray()[:3, :1]], axis=-1)

    for _ in range(2):
        assert joined.as_ndarray().tolist() == expected().tolist()
        assert taken.as_ndarray().tolist() == expected()[:, 1:].tolist()
        W.as_ndarray()[...] = rng.normal(size=(5, 2))
        rows.as_ndarray()[...] = [1, 1, 4]
        recording.replay(())
    plain = np.zeros(2)
    call_in_place(np.copyto, plain, np.ones(2))
    assert plain.tolist() == [1.0, 1.0]
    rows.as_ndarray()[0] = 5
    with pytest.raises(IndexError):
        recording.replay(())


def carried():
    return {"state": (np.asarray([4.0, 2.0]), np.zeros(()))}


def test_a_recorded_step_is_replayed_on_what_its_arrays_hold():
    carry, x = carried(), np.asarray([1.0, 0.5])
    replay = record(body, carry, (x, None), {"lr": 1.0}, [])
    p, count = carry["state"]
    assert (p.tolist(), float(count), float(replay.result["total"])) == ([3.0, 1.5], 1.0, 6.0)  # taken once
    replay({"lr": 2.0})
    assert (p.tolist(), float(count), float(replay.result["total"])) == ([1.0, 0.5], 2.0, 4.5)
    x[...] = [0.0, 1.0]  # another batch
    p[0] = 7.0
    replay({"lr": 0.25})
    assert (p.tolist(), float(count), float(replay.result["total"])) == ([7.0, 0.25], 3.0, 7.5)
    assert carry["state"][0] is p


def test_a_recorded_step_is_the_step(rng):
    """Eight steps, in which nothing is taken from what numbers or arrays were when it was recorded."""
    numbers, batches = rng.uniform(size=8).tolist(), rng.normal(size=(8, 2))
    plain, recorded, x, totals = carried(), carried(), np.empty(2), []
    for lr, batch in zip(numbers, batches, strict=True):
        plain, result = body(plain, (batch, None), {"lr": lr})
        totals.append(float(result["total"]))
    replay, ours = None, []
    for lr, batch in zip(numbers, batches, strict=True):
        x[...] = batch
        if replay is None:
            replay = record(body, recorded, (x, None), {"lr": lr}, [])
        else:
            replay({"lr": lr})
        ours.append(float(replay.result["total"]))
    assert ours == totals
    assert [a.tolist() for a in recorded["state"]] == [np.asarray(a).tolist() for a in plain["state"]]


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("act", [lambda p: np.sort(p), lambda p: float(p[0:1].sum()), lambda p: 1 / 0])
def test_what_cannot_be_recorded_leaves_the_carry(act, given):
    """Whatever the step wrote there before; with a copy that the caller has already, or one made by the recorder."""

    def meddling(carry, inputs, numbers):
        carry, result = body(carry, inputs, numbers)
        act(carry["state"][0])
        return carry, result

    carry, backup = carried(), carried() if given else None
    p, count = carry["state"]
    with pytest.raises(UnrecordedError):
        record(meddling, carry, (np.ones(2), None), {"lr": 1.0}, [], backup)
    assert p.tolist() == [4.0, 2.0]
    assert float(count) == 0.0
    assert carry["state"][0] is p


def test_recordings_share_their_scratch():
    scratch = []

    def long(carry, inputs, numbers):
        (x,) = carry
        return (x + (x * 2.0) * (x * 3.0),), None

    def run():
        x = np.ones(1000)
        replay = record(lambda *args: (long(*args)[0], args[0][0] + 0.0), (x,), (), (), scratch)
        replay(())
        return x[0]

    assert run() == run() == 1 + 6 + 6 * 7**2
    assert scratch
    n = len(scratch)
    run()
    assert len(scratch) == n  # all of it was taken from there and came back
