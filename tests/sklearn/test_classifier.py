import numpy as np
import pytest
import sklearn.neural_network as theirs
from scipy.sparse import csr_matrix
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.utils.class_weight import compute_sample_weight
from sklearn_checks import check_name, scikit_learns_checks

from xdfn.sklearn import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, y = load_iris(return_X_y=True)
CHECKS = scikit_learns_checks(MLPClassifier())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", CHECKS, ids=check_name)
def test_scikit_learns_checks_of_an_estimator(check):
    """All of them, with an empty list of expected failures."""
    check(MLPClassifier())


@pytest.mark.parametrize(
    "names",
    [np.asarray([7, -3, 20]), np.asarray(["a", "b", "c"]), np.asarray(["a", "b", "c"], object), [0.0, 1.0, 2.0]],
)
def test_labels_of_any_kind(names):
    labels = np.asarray(names)[y]
    fitted = MLPClassifier(max_iter=100, learning_rate_init=0.01, random_state=0).fit(X, labels)
    assert fitted.predict(X).dtype == theirs.MLPClassifier(max_iter=1).fit(X, labels).predict(X).dtype
    assert fitted.score(X, labels) > 0.95
    np.testing.assert_array_equal(fitted.classes_, np.unique(labels))


def test_class_weights_are_sample_weights():
    args = {"max_iter": 5, "random_state": 0}
    few = np.r_[0:50, 50:60, 100:150]
    a = MLPClassifier(class_weight="balanced", **args).fit(X[few], y[few])
    b = MLPClassifier(**args).fit(X[few], y[few], sample_weight=compute_sample_weight("balanced", y[few]))
    np.testing.assert_allclose(a.coefs_[0], b.coefs_[0])


def test_smoothed_labels_are_less_sure():
    args = {"max_iter": 200, "learning_rate_init": 0.01, "random_state": 0}
    sure, smooth = (MLPClassifier(label_smoothing=s, **args).fit(X, y).predict_proba(X).max() for s in (0.0, 0.3))
    assert sure > 0.99
    assert smooth < 0.95


def test_partial_fit_needs_all_classes_first():
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        MLPClassifier().partial_fit(X, y)
    fitted = MLPClassifier().partial_fit(X[:100], y[:100], classes=[0, 1, 2])
    with pytest.raises(ValueError, match="not the same as on last call"):
        fitted.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="classes not in"):
        fitted.partial_fit(X, y + 1)
    assert fitted.partial_fit(X, y).predict_proba(X).shape == (150, 3)


def test_lbfgs_has_no_partial_fit():
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")
    assert hasattr(MLPClassifier(solver="lbfgs", optimizer="adam"), "partial_fit")


def test_labels_of_a_sparse_matrix_part_by_part():
    several = csr_matrix(np.stack([y == 0, y == 1], axis=1).astype(int))
    a, b = (C(random_state=0).partial_fit(X, several, classes=[0, 1]) for C in (theirs.MLPClassifier, MLPClassifier))
    np.testing.assert_allclose(a.coefs_[0], b.coefs_[0], atol=1e-9)


def test_one_class_is_always_right():
    args = {"hidden_layer_sizes": (5,), "max_iter": 4, "random_state": 0, "early_stopping": True}
    a, b = (C(**args).fit(X, np.zeros(150, int)) for C in (theirs.MLPClassifier, MLPClassifier))
    assert a.validation_scores_ == b.validation_scores_ == [1.0] * 4


@pytest.mark.parametrize("target", [y > 0, np.stack([y == 0, y == 1], axis=1)])
def test_smoothing_needs_three_classes(target):
    with pytest.raises(ValueError, match="label_smoothing is for three or more classes"):
        MLPClassifier(label_smoothing=0.1).fit(X, target.astype(int))


def test_a_fit_that_failed_has_not_happened():
    model = MLPClassifier(optimizer="no such thing")
    with pytest.raises(ValueError, match="unknown optimizer"):
        model.fit(X, y)
    with pytest.raises(NotFittedError):
        model.predict(X)
