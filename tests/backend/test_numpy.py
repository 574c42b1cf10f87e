import tracemalloc

import numpy as np
import pytest

from xdfn.backend import _numpy


def test_numpys_short_ways_are_numpys(rng):
    x = rng.normal(size=(5, 7)).astype("f4")
    rows = np.asarray([3, 0, 3], "i4")
    for name, args, kwargs in [
        ("sum", (x,), {}),
        ("sum", (x,), {"axis": -1, "keepdims": True}),
        ("sum", (x > 0,), {"axis": 0}),
        ("max", (x,), {"axis": -2, "keepdims": True}),
        ("max", (x,), {}),
        ("take", (x, rows), {"axis": 0}),
        ("reshape", (x, (7, -1)), {}),
        ("astype", (x, np.float64), {}),
        ("exp", (x,), {}),
        ("zeros_like", (x,), {}),
        ("zeros_like", (x,), {"dtype": np.float64}),
        ("round", (4 * x,), {}),
    ]:
        ours, theirs = getattr(_numpy, name)(*args, **kwargs), getattr(np, name)(*args, **kwargs)
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)
    assert _numpy.astype(x, np.float32, copy=False) is x
    assert _numpy.linalg is np.linalg
    with pytest.raises(AttributeError):
        _numpy.nonsense  # noqa: B018


def test_reshape_copies_as_asked():
    x = np.arange(6.0).reshape(2, 3)
    for copy in (None, False):
        assert np.shares_memory(_numpy.reshape(x, (6,), copy=copy), x)
    assert not np.shares_memory(_numpy.reshape(x, (6,), copy=True), x)
    assert not np.shares_memory(_numpy.reshape(x.T, (6,)), x)
    with pytest.raises(ValueError, match="a view of this shape is not possible"):
        _numpy.reshape(x.T, (6,), copy=False)


def test_rows_are_added_one_after_the_other(rng):
    rows, values = np.asarray([2, 0, 2, 2], "i4"), rng.normal(size=(4, 6))
    out = np.ones((3, 3))
    _numpy.add_rows(out, rows, values[:, ::2])
    expected = np.ones((3, 3))
    for row, value in zip(rows, values[:, ::2], strict=True):
        expected[row] += value
    assert (out == expected).all()
    with pytest.raises(AssertionError):
        _numpy.add_rows(out.T, rows, values[:, ::2])  # a copy would be added to


def of_a_file(tmp_path):
    x = np.memmap(tmp_path / "x", np.float64, "w+", shape=(40_000, 20), order="F")
    x[...] = np.arange(x.size).reshape(x.shape)
    return x


@pytest.mark.parametrize(
    "make",
    [
        lambda tmp_path: np.asfortranarray(np.arange(800_000.0).reshape(40_000, 20)),
        lambda tmp_path: np.arange(1_600_000.0).reshape(40_000, 40)[:, ::2],
        lambda tmp_path: np.arange(1_600_000.0).reshape(80_000, 20)[::2],
        lambda tmp_path: np.arange(80_000.0).reshape(40_000, 2)[:, 1],
        of_a_file,
    ],
    ids=["Fortran", "columns", "rows", "one column", "a file"],
)
def test_a_batch_is_taken_without_a_copy_of_all_rows(make, tmp_path):
    x, rows = make(tmp_path), np.asarray([5, 39_999, 5])
    out = np.empty((3, *x.shape[1:]))
    tracemalloc.start()
    taken = _numpy.take(x, rows, 0)
    _numpy.take_into(x, rows, out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000
    np.testing.assert_array_equal(taken, np.asarray(x)[rows])
    np.testing.assert_array_equal(out, taken)


def test_rows_lie_together(tmp_path):
    C = np.arange(12.0).reshape(4, 3)
    for x in (C, C[::2], C[:, :2], C[:, 1], np.asfortranarray(C)[:, :1]):
        assert _numpy.with_rows_together(x) is x
    for x in (np.asfortranarray(C), np.arange(24.0).reshape(4, 6)[:, ::2]):
        together = _numpy.with_rows_together(x)
        assert together.flags.c_contiguous
        np.testing.assert_array_equal(together, x)
    file = of_a_file(tmp_path)
    assert _numpy.with_rows_together(file) is file  # it may be larger than the memory
