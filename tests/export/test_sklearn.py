"""scikit-learn's MLPs answer as the model does, and the model as they do."""

import warnings

import numpy as np
import pytest
from exported import CASES, make, networks, rows
from hypothesis import given, settings
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from xdfn import DFN, FullyConnected
from xdfn.backend import to_numpy
from xdfn.export import from_coefs, from_sklearn, to_coefs, to_sklearn

ACTIVATIONS = {"identity": "affine", "relu": "relu", "logistic": "sigmoid", "tanh": "tanh"}
LOSSES = ["SquaredError", "CrossEntropy", "BinaryCrossEntropy", "AbsoluteError"]
POISSON = "loss" in MLPRegressor().get_params()  # since scikit-learn 1.7
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def assert_alike(estimator, model, X, tolerance):
    """The probabilities of the estimator are those of the model, and so are the answers."""
    p = to_numpy(model.predict_proba(X))
    if hasattr(estimator, "predict_proba"):
        found = estimator.predict_proba(X)
        p = p.reshape(len(X), -1)
        p = np.concatenate([1 - p, p], axis=1) if p.shape[1] == 1 else p
        np.testing.assert_allclose(found, p, rtol=tolerance, atol=tolerance)
        answers = estimator.predict(X)
        assert answers.tolist() == to_numpy(model.predict(X)).reshape(answers.shape).tolist()
    else:
        found = estimator.predict(X)
        np.testing.assert_allclose(found, p.reshape(found.shape), rtol=tolerance, atol=tolerance)


@settings(max_examples=40, deadline=None)
@given(networks(("dropout(0.3)", "gaussian_noise(0.1)"), ("relu",), (*LOSSES, *["Poisson(deviance=True)"] * POISSON)))
def test_random_networks_there_and_back(given):
    model, X = given
    tolerance = TOLERANCE[X.dtype.name]
    estimator = to_sklearn(model)
    assert_alike(estimator, model, X, tolerance)
    back = from_sklearn(estimator)
    assert_alike(estimator, back, X, tolerance)
    assert to_numpy(back.predict_proba(X)).dtype == X.dtype
    coefs, intercepts = to_coefs(model)
    again = from_coefs(coefs, intercepts, activation="relu", loss=model.loss)
    np.testing.assert_allclose(again.predict_proba(X), model.predict_proba(X), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("n_out", [2, 3])
def test_hidden_activations(name, n_out):
    X = rows()
    model = DFN(layers=[FullyConnected(6, ACTIVATIONS[name]), FullyConnected(4, ACTIVATIONS[name]), n_out], seed=0)
    model.initialize(X)
    estimator = to_sklearn(model)
    assert estimator.activation == name
    assert estimator.hidden_layer_sizes == (6, 4)
    assert_alike(estimator, model, X, 1e-12)
    assert_alike(estimator, from_sklearn(estimator), X, 1e-12)


@pytest.mark.parametrize("case", CASES)
def test_every_part_is_the_same_or_refused(case):
    model, X = make(case)
    try:
        estimator = to_sklearn(model)
    except ValueError as error:
        assert "to_sklearn has no word for" in str(error)
    else:
        assert_alike(estimator, model, X, 1e-12)


def test_labels_and_further_training():
    X = rows()
    y = np.asarray(["ant", "bee", "cat"])[np.arange(40) % 3]
    model = DFN(layers=[8, 3], seed=0).fit(X, np.arange(40) % 3, 5, verbose=None)
    estimator = to_sklearn(model, classes=["ant", "bee", "cat"])
    assert estimator.predict(X).tolist() == [["ant", "bee", "cat"][k] for k in model.predict(X)]
    before = estimator.score(X, y)
    for _ in range(200):
        estimator.partial_fit(X, y)
    assert estimator.t_ == 200 * len(X)
    assert estimator.score(X, y) > before
    with pytest.raises(ValueError, match="ascending order"):
        to_sklearn(model, classes=["cat", "bee", "ant"])


@pytest.mark.parametrize(
    ("estimator", "y"),
    [
        (MLPClassifier((5, 4), "tanh"), np.arange(40) % 3),
        (MLPClassifier((5,), "logistic"), np.arange(40) % 2),
        (MLPClassifier((5,)), np.arange(120).reshape(40, 3) % 7 > 2),
        (MLPRegressor(hidden_layer_sizes=(5,)), rows()[:, 0]),
        (MLPRegressor(hidden_layer_sizes=(), activation="identity"), rows()[:, :2]),
        *([(MLPRegressor(loss="poisson", hidden_layer_sizes=(5,)), np.arange(40) % 4)] if POISSON else []),
    ],
)
def test_estimators_of_scikit_learn(estimator, y):
    X = rows()
    estimator.set_params(max_iter=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(X, y)
    model = from_sklearn(estimator)
    assert_alike(estimator, model, X, 1e-12)
    if isinstance(estimator, MLPRegressor):
        assert model.predict(X).shape == estimator.predict(X).shape
    before = [W.copy() for W in estimator.coefs_]
    targets = np.asarray(y, int) if isinstance(estimator, MLPClassifier) else y
    model.fit(X, targets, 1, verbose=None)
    for W, old in zip(estimator.coefs_, before, strict=True):
        np.testing.assert_array_equal(W, old)


def test_the_coefficients_are_copies():
    model, X = make("CrossEntropy")
    before = model.predict_proba(X)
    for arrays in to_coefs(model):
        for x in arrays:
            x += 1.0
    estimator = to_sklearn(model)
    estimator.coefs_[0] += 1.0
    np.testing.assert_array_equal(model.predict_proba(X), before)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([FullyConnected(4, "relu"), FullyConnected(4, "tanh"), 3], "FC2, Tanh: all its hidden layers have one"),
        ([FullyConnected(4, "gelu"), 3], "FC1, GELU; formats that have one: .*to_torch"),
        ([FullyConnected(4, "affine(2)"), 3], r"FC1, Affine\(slope=2"),
        ([4, FullyConnected(3, "tanh")], "FC2, Tanh: its last layer is affine"),
        (["batch_norm", 3], "BatchNorm1, BatchNorm; formats that have one: .*to_onnx"),
    ],
)
def test_what_scikit_learn_has_not_is_refused(layers, message):
    model = DFN(layers=layers, seed=0).initialize(rows())
    with pytest.raises(ValueError, match=f"to_sklearn has no word for {message}"):
        to_sklearn(model)


def test_coefs_have_no_word_for_other_layers():
    model = DFN(layers=["layer_norm", 3], seed=0).initialize(rows())
    with pytest.raises(ValueError, match="to_coefs has no word for LayerNorm1"):
        to_coefs(model)


def test_the_global_generator_stays_as_it_is():
    model, _ = make("CrossEntropy")
    np.random.seed(5)
    before = np.random.random()
    np.random.seed(5)
    assert to_sklearn(model).random_state is None
    assert np.random.random() == before


def test_what_is_no_estimator_is_refused():
    with pytest.raises(ValueError, match="expects a fitted MLPClassifier or MLPRegressor"):
        from_sklearn(MLPClassifier())
    with pytest.raises(ValueError, match=r"an array for each layer, got 1 and 0"):
        from_coefs([np.eye(2)], [])
    with pytest.raises(ValueError, match=r"coefs\[1\] must be \(2, n_out\), intercepts\[1\] \(n_out,\), got \(3, 1\)"):
        from_coefs([np.eye(2), np.ones((3, 1))], [np.zeros(2), np.ones(1)])


def test_coefs_stay_where_they_are(backend):
    """On the array library that they are of."""
    W, b = backend.array(np.eye(2), "float32"), backend.array([0.5, -0.5], "float32")
    model = from_coefs([W], [b], loss="squared_error")
    X = backend.array([[1.0, 2.0]], "float32")
    assert type(model.predict(X)) is type(X)
    np.testing.assert_allclose(backend.numpy(model.predict(X)), [[1.5, 1.5]])
    coefs, intercepts = to_coefs(model)
    np.testing.assert_array_equal(coefs[0], np.eye(2))
    assert intercepts[0].tolist() == [0.5, -0.5]
