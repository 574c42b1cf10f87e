from pathlib import Path

import numpy as np
import pytest

from xdfn.backend import _blas, blas_threads, one_blas_thread


def test_the_blas_of_numpy_is_found_or_refused(rng, monkeypatch):
    a, b, out = (rng.normal(size=shape) for shape in ((90, 40), (40, 50), (90, 50)))
    found = _blas.routine("gemm", "d") is not None
    for x, y in ((a, b), (a.T.copy().T, b), (a, b.T.copy().T)):
        result = out.copy()
        assert _blas.add_product(result, x, y, -2.0) == found
        if found:
            np.testing.assert_allclose(result, out - 2 * (a @ b), rtol=1e-12, atol=1e-12)
    x, y = rng.normal(size=(2, 20_000))
    expected = 0.5 * x - 3 * y
    assert _blas.add_scaled(0.5, x, -3.0, y) == (_blas.routine("axpby", "d") is not None)
    if _blas.routine("axpby", "d"):
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    assert not _blas.add_scaled(1.0, x[::2], 1.0, y[::2])
    assert not _blas.add_scaled(1.0, x.astype("f4"), 1.0, y)
    before = out.copy()
    for x, y in ((a[:, ::2], b[::2]), (a.astype("f4"), b.astype("f4")), (a.astype("i4"), b)):  # not for BLAS
        assert not _blas.add_product(out, x, y, -1.0)
    monkeypatch.setattr(_blas, "_NAMES", ("nowhere_{}",))
    assert _blas.routine.__wrapped__("gemm", "d") is None
    assert _blas.routine.__wrapped__("axpby", "d") is None
    assert np.array_equal(out, before)


def test_one_thread_is_for_all_who_ask_and_ends_with_the_last():
    before = blas_threads()
    with one_blas_thread():
        assert blas_threads() == 1
        with one_blas_thread():
            assert blas_threads() == 1
        assert blas_threads() == 1
    assert blas_threads() == before


def test_the_number_of_threads_is_openblas_own():
    """threadpoolctl, which scikit-learn brings, asks the library by its own way."""
    threadpoolctl = pytest.importorskip("threadpoolctl")
    mine = Path(np.__file__).parents[1]  # not that of SciPy
    own = [x for x in threadpoolctl.threadpool_info() if x["user_api"] == "blas" and "numpy" in x["filepath"]]
    if not own or not str(own[0]["filepath"]).startswith(str(mine)):
        pytest.skip("NumPy's BLAS is not its own")
    assert blas_threads() == own[0]["num_threads"]
    with threadpoolctl.threadpool_limits(1):
        assert blas_threads() == 1
