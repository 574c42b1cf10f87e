import numpy as np
import pytest
from measures import measure

from xdfn.nn.losses import SquaredError


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [False, True])
def test_r2_of_targets_with_a_large_mean(backend, dtype, weighted, rng):
    """The textbook's sum y^2 - n mean^2 has no digit left here: eps(float32) 1e12 is 1e5, the variance 1."""
    n = 4000
    y = (1e6 + rng.normal(size=(n, 2))).astype(dtype)
    z = (y + 0.5 * rng.normal(size=(n, 2))).astype(dtype)
    w = rng.random(n).astype(dtype) if weighted else None
    exact, wide = y.astype(np.longdouble), np.ones(n, np.longdouble) if w is None else w.astype(np.longdouble)
    spread = exact - np.average(exact, axis=0, weights=wide)
    errors = exact - z
    expected = np.mean(1 - wide @ errors**2 / (wide @ spread**2))
    for cuts in ((), (1000, 2000, 3000)):
        value = measure("r2", y, z, SquaredError(), weight=w, cuts=cuts, backend=backend, dtype=dtype)
        assert value == pytest.approx(float(expected), abs=2e-6 if dtype == "float32" else 1e-12)


def test_r2_of_targets_that_are_all_the_same(backend, rng):
    y = np.full((9, 2), 0.1)
    off = y + np.asarray([0, 0.25])
    for dtype in ("float32", "float64"):
        for weight in (None, rng.random(9)):
            options = {"weight": weight, "cuts": (1, 4), "backend": backend, "dtype": dtype}
            assert measure("r2", y, y, SquaredError(), **options) == 1
            assert measure("r2", y, off, SquaredError(), **options) == 0.5  # 1 and 0


def test_infinite_sums_are_told(rng):
    y, z = rng.normal(size=(4, 1)).astype("float32"), np.full((4, 1), 1e30, "float32")
    with np.errstate(over="ignore"):
        assert measure("rmse", y, z, SquaredError(), cuts=(2,), dtype="float32") == np.inf
        assert measure("r2", y, z, SquaredError(), cuts=(2,), dtype="float32") == -np.inf
    assert measure("mae", y, z, SquaredError(), dtype="float32") == pytest.approx(1e30)
