import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.datasets import load_iris

from xdfn.backend import namespace, place, to_numpy
from xdfn.sklearn import MLPClassifier, MLPRegressor, inputs
from xdfn.sklearn.inputs import is_foreign, read_weights

pd = pytest.importorskip("pandas")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
ARGS = {"hidden_layer_sizes": (8,), "max_iter": 5, "batch_size": 32, "random_state": 1}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_arrays_stay_where_they_are(backend, blobs, solver, dtype):
    """Trained there to what NumPy comes to, and answered there."""
    X, y = blobs[0].astype(dtype), blobs[1]
    there = backend.array(X)
    expected = MLPClassifier(solver=solver, **ARGS).fit(X, y)
    fitted = MLPClassifier(solver=solver, **ARGS).fit(there, backend.array(y))
    answer = fitted.predict_proba(there)
    assert place(answer) == place(there) == place(fitted.coefs_[0]) == place(fitted.intercepts_[0])
    assert str(answer.dtype).endswith(dtype)
    tol = 1e-3 if dtype == "float32" else 1e-9
    np.testing.assert_allclose(backend.numpy(answer), expected.predict_proba(X), atol=tol)
    labels = fitted.predict(there)
    assert namespace(labels) is namespace(there)
    assert np.mean(backend.numpy(labels) == expected.predict(X)) > 0.99
    assert fitted.predict_log_proba(there).shape == (300, 3)


def test_numbers_stay_where_they_are(backend, rng):
    X, y = rng.normal(size=(100, 4)), rng.normal(size=(100, 2))
    there, targets = backend.array(X), backend.array(y)
    expected = MLPRegressor(**ARGS).fit(X, y)
    fitted = MLPRegressor(**ARGS).fit(there, targets)
    assert place(fitted.predict(there)) == place(there)
    np.testing.assert_allclose(backend.numpy(fitted.predict(there)), expected.predict(X), atol=1e-9)
    fitted.partial_fit(there, targets)
    early = MLPRegressor(early_stopping=True, **ARGS).fit(there, targets)
    np.testing.assert_allclose(
        early.validation_scores_, MLPRegressor(early_stopping=True, **ARGS).fit(X, y).validation_scores_, atol=1e-9
    )


def test_binary_labels_there(backend, rng):
    X, y = rng.normal(size=(100, 4)), rng.integers(0, 2, 100)
    expected, fitted = MLPClassifier(**ARGS).fit(X, y), MLPClassifier(**ARGS).fit(backend.array(X), y)
    answer = fitted.predict_proba(backend.array(X))
    assert answer.shape == (100, 2)
    np.testing.assert_allclose(backend.numpy(answer), expected.predict_proba(X), atol=1e-9)


def test_names_are_answered_on_the_host(backend, blobs):
    X, names = backend.array(blobs[0]), np.asarray(["a", "b", "c"])[blobs[1]]
    answer = MLPClassifier(**ARGS).fit(X, names).predict(X)
    assert isinstance(answer, np.ndarray)
    assert set(answer) <= {"a", "b", "c"}


def test_what_was_trained_elsewhere_says_so(backend, blobs, monkeypatch):
    X, y = blobs
    monkeypatch.setattr(inputs, "get_config", lambda: {"array_api_dispatch": True})
    if is_foreign(backend.array(X)):
        with pytest.raises(ValueError, match="must use the same namespace"):
            MLPClassifier(**ARGS).fit(X, y).predict(backend.array(X))
    monkeypatch.undo()
    answer = MLPClassifier(**ARGS).fit(backend.array(X), y).predict_proba(X)  # NumPy's arrays go there
    np.testing.assert_allclose(answer, MLPClassifier(**ARGS).fit(X, y).predict_proba(X), atol=1e-9)


def test_what_is_no_finite_number_is_refused(backend):
    bad = backend.array([[0.0, np.nan], [1.0, 2.0]])
    with pytest.raises(ValueError, match="NaN"):
        MLPRegressor().fit(bad, [0.0, 1.0])
    fitted = MLPRegressor(max_iter=1).fit(backend.array([[0.0, 1.0], [1.0, 2.0]]), [0.0, 1.0])
    with pytest.raises(ValueError, match="3 features"):
        fitted.predict(backend.array([[0.0, 1.0, 2.0]]))
    with pytest.raises(ValueError, match=r"same number of rows|inconsistent"):
        fitted.fit(backend.array([[0.0, 1.0], [1.0, 2.0]]), backend.array([0.0, 1.0, 2.0]))


def test_frames_have_names(rng):
    frame = pd.DataFrame(rng.normal(size=(60, 3)), columns=["x", "y", "z"])
    fitted = MLPRegressor(max_iter=2).fit(frame, frame["x"])
    assert fitted.feature_names_in_.tolist() == ["x", "y", "z"]
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(frame[["z", "y", "x"]])


def test_which_arrays_are_foreign():
    for x in ([[1.0]], np.zeros((1, 1)), pd.DataFrame([[1.0]]), csr_matrix((1, 1)), None, "x"):
        assert not is_foreign(x)


def test_weights():
    assert read_weights(None, 3) is None
    assert read_weights(2.0, 3).tolist() == [2.0, 2.0, 2.0]
    for bad in ([1.0, 2.0], [0.0, 0.0, 0.0], [1.0, -1.0, 1.0], [[1.0, 1.0, 1.0]]):
        with pytest.raises(ValueError, match="weight"):
            read_weights(bad, 3)


def test_a_device_takes_arrays_of_the_host_and_its_own(backend):
    X, y = load_iris(return_X_y=True)
    there = backend.array(X)
    if place(there).device != place(namespace(there).asarray([0.0])).device:
        pytest.skip("device= names a library, whose default device this is not")
    fitted = MLPClassifier(max_iter=3, device=there).fit(there, y)
    expected = fitted.predict_proba(there)
    assert place(expected) == place(there)
    np.testing.assert_allclose(fitted.predict_proba(X), to_numpy(expected), atol=1e-6)


def test_a_network_on_the_host_takes_arrays_from_elsewhere(backend):
    X, y = load_iris(return_X_y=True)
    fitted = MLPClassifier(max_iter=3).fit(X, y)
    there = backend.array(X)
    p = fitted.predict_proba(there)
    assert place(p) == place(there)
    np.testing.assert_allclose(to_numpy(p), fitted.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_order_of_memory_changes_nothing(order):
    X, y = load_iris(return_X_y=True)
    fitted = MLPClassifier(max_iter=3, random_state=0).fit(np.asarray(X, order=order), y)
    np.testing.assert_array_equal(fitted.coefs_[0], MLPClassifier(max_iter=3, random_state=0).fit(X, y).coefs_[0])


def test_numbers_that_are_none_are_told(backend):
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        MLPRegressor().fit(backend.array(X), backend.array(np.where(y > 1, np.nan, y)))
