import numpy as np
import pytest
from sklearn.datasets import make_regression
from sklearn_checks import check_name, scikit_learns_checks

from xdfn.sklearn import MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
CHECKS = scikit_learns_checks(MLPRegressor())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", CHECKS, ids=check_name)
def test_scikit_learns_checks_of_an_estimator(check):
    """All of them, with an empty list of expected failures."""
    check(MLPRegressor())


def test_several_numbers_a_row():
    X, Y = make_regression(200, 5, n_targets=3, random_state=0)
    fitted = MLPRegressor(solver="lbfgs", max_iter=500, random_state=0).fit(X, Y)
    assert fitted.predict(X).shape == (200, 3)
    assert fitted.score(X, Y) > 0.99
    assert MLPRegressor(max_iter=2).fit(X, Y[:, :1].ravel()).predict(X).shape == (200,)


def test_any_registered_loss(rng):
    """The absolute error leads to the median."""
    X, y = np.zeros((300, 1)), rng.exponential(size=300)
    args = {"hidden_layer_sizes": (4,), "max_iter": 400, "learning_rate_init": 0.01, "random_state": 0, "alpha": 0.0}
    fitted = MLPRegressor(loss="absolute_error", **args).fit(X, y)
    assert abs(fitted.predict(X[:1])[0] - np.median(y)) < 0.05
    assert abs(MLPRegressor(**args).fit(X, y).predict(X[:1])[0] - y.mean()) < 0.05


@pytest.mark.parametrize("loss", ["gaussian", "quantile([0.1, 0.9])", "cross_entropy", "binary_cross_entropy"])
def test_losses_of_another_kind_are_refused(loss):
    with pytest.raises(ValueError, match="expects one with one output for each number"):
        MLPRegressor(loss=loss).fit([[0.0], [1.0]], [0.0, 1.0])


def test_bad_targets():
    with pytest.raises(ValueError, match="y must be at least 0 for loss='poisson'"):
        MLPRegressor(loss="poisson").fit([[0.0], [1.0]], [0.0, -1.0])
    with pytest.raises(ValueError, match="y must hold numbers"):
        MLPRegressor().fit([[0.0], [1.0]], np.asarray(["1", "2"]))
