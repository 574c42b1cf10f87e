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
        ("round", (4 * x,), {}),
    ]:
        ours, theirs = getattr(_numpy, name)(*args, **kwargs), getattr(np, name)(*args, **kwargs)
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)
    assert _numpy.astype(x, np.float32, copy=False) is x
    assert _numpy.linalg is np.linalg
    with pytest.raises(AttributeError):
        _numpy.nonsense  # noqa: B018


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
