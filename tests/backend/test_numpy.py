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
    ]:
        ours, theirs = getattr(_numpy, name)(*args, **kwargs), getattr(np, name)(*args, **kwargs)
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)
    assert _numpy.astype(x, np.float32, copy=False) is x
    assert _numpy.linalg is np.linalg
    with pytest.raises(AttributeError):
        _numpy.nonsense  # noqa: B018
