import numpy as np
import pytest
import sklearn.neural_network as theirs
from scipy.sparse import csr_matrix
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.preprocessing import scale

from xdfn import DFN
from xdfn.sklearn import MLPClassifier, MLPRegressor, lbfgs, rows


def objective(loss, X, y, weight=None, n_out=3, loss_scale=1.0, like=None):
    layers = ["fc(5, 'tanh', regularizer='l2(0.3)')", f"fc({n_out}, 'affine', regularizer='l2(0.3)')"]
    model = DFN(layers=layers, loss=loss, seed=0).initialize(X if like is None else like)
    made = list(model.layers.values())
    found = lbfgs.Objective(made, model.loss, X, y, weight, loss_scale, X if like is None else like)
    return found, [layer.params for layer in made]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "squared_error", "poisson"])
def test_the_gradient_is_that_of_the_value(rng, loss, weighted):
    X = rng.normal(size=(20, 4))
    y = rng.integers(0, 3, 20) if loss == "cross_entropy" else rng.integers(0, 2, (20, 3)).astype(float)
    f, start = objective(loss, X, y, rng.uniform(0, 2, 20) if weighted else None)
    at = f.vector(start)
    at = at + 0.1 * rng.normal(size=at.shape)
    value, gradient = f(at)
    assert isinstance(value, float)
    for i in range(0, len(at), 3):
        step = np.zeros_like(at)
        step[i] = 1e-5
        assert gradient[i] == pytest.approx((f(at + step)[0] - f(at - step)[0]) / 2e-5, rel=1e-5, abs=1e-8)


def test_value_and_gradient_everywhere(backend, rng):
    X, y = rng.normal(size=(20, 4)), rng.integers(0, 3, 20)
    f, start = objective("cross_entropy", X, y)
    at = f.vector(start)
    g, _ = objective("cross_entropy", backend.array(X), backend.array(y))
    expected, (value, gradient) = f(at), g(at)
    assert value == pytest.approx(expected[0])
    np.testing.assert_allclose(gradient, expected[1], atol=1e-12)


def test_sparse_rows_by_pieces(rng, monkeypatch):
    X, y, weight = rng.normal(size=(20, 4)), rng.integers(0, 3, 20), rng.uniform(0, 2, 20)
    f, start = objective("cross_entropy", X, y, weight)
    monkeypatch.setattr(rows, "_PIECE", 8 * 4 * 6)
    g, _ = objective("cross_entropy", csr_matrix(X), y, weight, like=X)
    at = f.vector(start)
    expected, (value, gradient) = f(at), g(at)
    assert value == pytest.approx(expected[0])
    np.testing.assert_allclose(gradient, expected[1], atol=1e-12)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_it_goes_scikit_learns_way():
    """The same search from the same weights; rounding makes them part in the end."""
    X, y = load_breast_cancer(return_X_y=True)
    X = scale(X)
    a, b = (C(solver="lbfgs", max_iter=5, random_state=0).fit(X, y) for C in (theirs.MLPClassifier, MLPClassifier))
    np.testing.assert_allclose(a.coefs_[0], b.coefs_[0], atol=1e-7)
    assert (a.n_iter_, a.loss_) == (b.n_iter_, pytest.approx(b.loss_))
    X, y = load_diabetes(return_X_y=True)
    args = {"solver": "lbfgs", "max_iter": 5, "random_state": 0, "alpha": 1.0}
    y2 = np.stack([y, -y], axis=1) / 100
    a, b = (C(**args).fit(X, y2) for C in (theirs.MLPRegressor, MLPRegressor))
    np.testing.assert_allclose(a.coefs_[0], b.coefs_[0], atol=1e-7)
    assert (a.n_iter_, a.loss_) == (b.n_iter_, pytest.approx(b.loss_))


def test_the_search_ends_at_a_minimum_or_says_that_it_does_not(rng):
    X, y = rng.normal(size=(40, 4)), rng.integers(0, 3, 40)
    f, start = objective("cross_entropy", X, y)
    told = []
    found = lbfgs.search(f, start, 500, 15000, 1e-6, lambda i, value, vector: bool(told.append((i, value))))
    assert found.message == ""
    assert [i for i, _ in told] == list(range(1, found.n_iter + 1))
    assert np.abs(f(f.vector(found.params))[1]).max() < 1e-5
    short = lbfgs.search(f, start, 500, 15000, 1e-6, lambda i, value, vector: i == 3)
    assert (short.n_iter, short.message) == (3, "")
    assert lbfgs.search(f, start, 2, 15000, 1e-6, lambda i, value, vector: False).message


def test_what_draws_is_refused():
    for more in ({"dropout": 0.5}, {"batch_norm": True}, {"max_norm": 1.0}):
        with pytest.raises(ValueError, match="lbfgs"):
            MLPRegressor(solver="lbfgs", **more).fit([[0.0], [1.0]], [0.0, 1.0])
