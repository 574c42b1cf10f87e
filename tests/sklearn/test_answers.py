import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from xdfn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_it_answers_after_a_fit_alone(kind, rng):
    X, y = rng.normal(size=(40, 3)), rng.integers(0, 2, 40)
    with pytest.raises(NotFittedError):
        kind().predict(X)
    fitted = kind(max_iter=3, random_state=0).fit(X, y)
    for other in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        np.testing.assert_array_equal(fitted.predict(X), other.predict(X))
        other.partial_fit(X, y)
        assert (other.coefs_[0] != fitted.coefs_[0]).any()
        np.testing.assert_array_equal(other.coefs_[0], copy.deepcopy(fitted).partial_fit(X, y).coefs_[0])
    assert not hasattr(clone(fitted), "coefs_")


def test_it_says_that_it_takes_arrays_and_sparse_rows():
    tags = MLPClassifier().__sklearn_tags__()
    assert tags.array_api_support
    assert tags.input_tags.sparse
    assert tags.classifier_tags.multi_label


def test_an_empty_network_is_a_linear_model(rng):
    X, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    fitted = MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", alpha=0.0, tol=1e-8, random_state=0).fit(X, y)
    (W,), (b,) = fitted.coefs_, fitted.intercepts_
    expected = np.linalg.lstsq(np.c_[X, np.ones(40)], y, rcond=None)[0]
    # the search ends where a step lessens the loss by less than 2e-9 of it
    np.testing.assert_allclose([*W.ravel(), *b], expected, atol=1e-4)
