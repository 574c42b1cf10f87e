"""A network and its loss as one function: what is left out at its two ends."""

import numpy as np
import pytest

from xdfn import DFN, ActivationBase, Dropout, FullyConnected, Softmax
from xdfn.nn.losses import losses


def _scores(model, x):
    params = model.layers["FC1"].params
    return x @ params["W"] + params["b"]


@pytest.mark.parametrize(("link", "loss"), [("softmax", "cross_entropy"), ("sigmoid", "binary_cross_entropy")])
def test_a_last_layer_that_is_the_link_is_folded_in(link, loss, rng):
    """The folded network against the explicit link and the chain rule through it."""
    last = (
        [FullyConnected(3, "affine", "he_normal"), Softmax()]
        if link == "softmax"
        else [FullyConnected(3, link, "he_normal")]
    )
    x = rng.normal(size=(6, 5))
    y = np.eye(3)[rng.integers(0, 3, 6)]
    model = DFN(layers=last, loss=loss, seed=1, optimizer="sgd(lr=0.1)").initialize(x)
    probabilities, _ = model.forward(x)
    np.testing.assert_allclose(probabilities, model.predict_proba(x), rtol=1e-12)
    np.testing.assert_allclose(probabilities, losses.resolve(loss).link(_scores(model, x)), rtol=1e-12)

    dp = -y / probabilities if link == "softmax" else (probabilities - y) / (probabilities * (1 - probabilities))
    model.backward(dp / 6)
    expected = model.layers["FC1"].params["W"] - 0.1 * model.layers["FC1"].gradients["W"]
    model.flush_gradients()
    model.fit(x, y, 1, 6, verbose=None)
    np.testing.assert_allclose(model.layers["FC1"].params["W"], expected, rtol=1e-10)


def test_what_is_not_the_link_is_not_folded(rng):
    x = rng.normal(size=(4, 5))
    model = DFN(layers=[FullyConnected(3, "sigmoid", "he_normal")], loss="squared_error", seed=0).initialize(x)
    np.testing.assert_allclose(model.predict(x), 1 / (1 + np.exp(-_scores(model, x))), rtol=1e-12)


def test_the_first_layer_computes_no_input_gradient(rng):
    asked = []

    class Spy(FullyConnected):
        def pullback(self, params, cache, dy, input_grad=True):
            asked.append(input_grad)
            return super().pullback(params, cache, dy, input_grad)

    x = rng.normal(size=(8, 5))
    layers = [Dropout(0.1), Spy(4, "relu", "he_normal"), Spy(3, "affine", "he_normal")]
    DFN(layers=layers, seed=0).fit(x, rng.integers(0, 3, 8), 1, 8, verbose=None)
    assert asked == [True, False]


@pytest.fixture
def data(rng):
    return rng.normal(size=(6, 4)), rng.integers(0, 3, 6)


def network(*layers, **more):
    return DFN(layers=list(layers), optimizer="sgd(lr=0.1)", seed=3, **more)


def test_an_own_activation_of_the_links_name_is_not_folded(data):
    own = type("Sigmoid", (ActivationBase,), {"forward": lambda s, z: z / 2, "grad": lambda s, z: z * 0 + 0.5})
    model = network(FullyConnected(1, own(), "he_normal"), loss="bce").initialize(data[0])
    scores = model.activations(data[0])["FC1"]
    np.testing.assert_allclose(model.predict_proba(data[0]), 1 / (1 + np.exp(-scores)), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_poissons_link_is_the_exponential_of_a_last_layer(backend, dtype):
    """Beyond exp(44) too, where the loss cuts its scores: e^60 is 1.14e26."""
    model = DFN(layers=[FullyConnected(1, "exponential", "constant(1)")], loss="poisson", seed=0)
    X = backend.array([[60.0], [1.0], [-60.0]], dtype)
    model.initialize(X)
    by_hand, answered = (backend.numpy(y).ravel() for y in (model.forward(X)[0], model.predict(X)))
    assert (by_hand.dtype, answered.dtype) == (dtype, dtype)
    np.testing.assert_allclose(by_hand, np.exp([60.0, 1.0, -60.0]), rtol=1e-5)
    np.testing.assert_allclose(answered, by_hand, rtol=1e-6)
