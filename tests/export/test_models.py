"""What can be exported, with which labels."""

import numpy as np
import pytest
from exported import make, yes_or_no

from xdfn import DFN
from xdfn.export.models import answering


def test_a_model_answers_with_its_averages():
    model, _ = make("everything")
    W = model.layers["FC1"].params["W"]
    frozen = answering(model).frozen
    assert not np.array_equal(frozen.params[list(model.layers).index("FC1")]["W"], W)


@pytest.mark.parametrize("model", [None, "net.npz", DFN, np.eye(2)])
def test_what_is_no_model_is_refused(model):
    with pytest.raises(ValueError, match=r"expected a DFN, or a fitted estimator of xdfn.sklearn"):
        answering(model)


def test_a_model_without_parameters_is_refused():
    with pytest.raises(ValueError, match="no parameters yet"):
        answering(DFN(4, 2))


@pytest.mark.parametrize("classes", [["a", "b", "c"], [[1, 2, 3, 4]], [1j, 2, 3, 4], ["a", None, "c", "d"]])
def test_classes_that_do_not_fit_are_refused(classes):
    model, _ = make("CrossEntropy")
    with pytest.raises(ValueError, match="classes must be"):
        answering(model, classes)


def test_numbers_have_no_classes():
    model, _ = make("one number")
    with pytest.raises(ValueError, match="the model chooses none"):
        answering(model, ["a"])


def test_two_classes_for_one_output():
    model, _ = yes_or_no()
    assert answering(model, ["no", "yes"]).classes.tolist() == ["no", "yes"]
    with pytest.raises(ValueError, match="classes must be 2"):
        answering(model, ["no"])


def test_the_coefficients_of_an_estimator_are_those_it_has_now():
    mlp = pytest.importorskip("xdfn.sklearn")
    X = np.random.default_rng(0).normal(size=(40, 5))
    with pytest.warns(match="Maximum iterations"):
        estimator = mlp.MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0, tol=0.0).fit(X, X[:, 0])
    estimator.coefs_[0] = estimator.coefs_[0] + 1.0
    np.testing.assert_array_equal(answering(estimator).frozen.params[0]["W"], estimator.coefs_[0])
