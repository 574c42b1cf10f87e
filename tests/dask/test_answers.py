import dask.array as da
import numpy as np
import pytest

from xdfn import DFN
from xdfn.dask import predict, predict_proba


def trained(n_out, **settings):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    y = rng.integers(0, n_out, 60) if "loss" not in settings else rng.normal(size=(60, n_out))
    return DFN(layers=[6, n_out], seed=0, **settings).fit(X, y, 2, verbose=None), X


@pytest.mark.parametrize("method", [predict, predict_proba])
@pytest.mark.parametrize("columns", [4, 3])
def test_an_array_is_answered_block_by_block(method, columns):
    model, X = trained(3)
    answers = method(model, da.from_array(X, chunks=(25, columns)))
    expected = getattr(model, method.__name__)(X)
    assert answers.chunks[0] == (25, 25, 10)
    assert answers.shape == expected.shape
    assert answers.dtype == expected.dtype
    np.testing.assert_allclose(answers.compute(scheduler="threads"), expected, rtol=1e-12)
    np.testing.assert_allclose(answers[30:33].compute(scheduler="sync"), expected[30:33], rtol=1e-12)


@pytest.mark.parametrize("method", [predict, predict_proba])
def test_blocks_without_rows_are_answered(method):
    """As a condition on the rows leaves them."""
    model, X = trained(3)
    X[:25, 0] = -1
    dX = da.from_array(X, chunks=(25, 4))
    expected = getattr(model, method.__name__)(X[X[:, 0] > 0])
    answers = method(model, dX[dX[:, 0] > 0]).compute(scheduler="sync")
    np.testing.assert_allclose(answers, expected, rtol=1e-12)
    dd, pd = pytest.importorskip("dask.dataframe"), pytest.importorskip("pandas")
    frame = dd.from_pandas(pd.DataFrame(X, columns=list("abcd")), npartitions=3)
    answers = method(model, frame[frame.a > 0]).compute(scheduler="sync")
    np.testing.assert_allclose(answers.to_numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("n_out", [1, 2])
def test_a_regression_is_answered(n_out):
    model, X = trained(n_out, loss="squared_error")
    answers = predict(model, da.from_array(X, chunks=(25, 4)))
    expected = model.predict(X)
    assert answers.shape == expected.shape
    np.testing.assert_allclose(answers.compute(scheduler="sync"), expected, rtol=1e-12)


@pytest.mark.parametrize("method", [predict, predict_proba])
def test_a_frame_keeps_its_index(method):
    dd, pd = pytest.importorskip("dask.dataframe"), pytest.importorskip("pandas")
    model, X = trained(3)
    frame = pd.DataFrame(X, index=np.arange(60) * 2, columns=list("abcd"))
    answers = method(model, dd.from_pandas(frame, npartitions=3)).compute(scheduler="sync")
    assert answers.index.tolist() == frame.index.tolist()
    np.testing.assert_allclose(answers.to_numpy(), getattr(model, method.__name__)(X), rtol=1e-12)


def test_the_answers_are_those_of_the_model_as_it_was():
    model, X = trained(3)
    lazy, before = predict_proba(model, da.from_array(X, chunks=(25, 4))), model.predict_proba(X)
    model.reset()
    np.testing.assert_allclose(lazy.compute(scheduler="sync"), before, rtol=1e-12)


def test_workers_answer(client):
    model, X = trained(3)
    answers = predict(model, client.persist(da.from_array(X, chunks=(25, 4))))
    np.testing.assert_array_equal(answers.compute(), model.predict(X))


def test_bad_input_is_told():
    model, X = trained(3)
    with pytest.raises(ValueError, match="X must be an array or a frame of Dask, got ndarray"):
        predict(model, X)
    with pytest.raises(ValueError, match="4 columns"):
        predict(model, da.ones((10, 5)))
