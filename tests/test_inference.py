"""How a trained network answers."""

import numpy as np
import pytest
from fits import classifier

from xdfn import DFN, Dropout, FullyConnected


def test_prediction_before_fit_says_so(blobs):
    for call in (lambda m: m.predict(blobs[0]), lambda m: m.predict_proba(blobs[0]), lambda m: m.evaluate(*blobs)):
        with pytest.raises(ValueError, match="no parameters yet: call fit"):
            call(classifier())


def test_prediction_does_not_depend_on_how_it_is_cut(backend, rng):
    X = rng.normal(size=(9000, 4))  # more than two pieces
    model = classifier().initialize(backend.array(X))
    whole = backend.numpy(model.predict_proba(backend.array(X)))
    part = backend.numpy(model.predict_proba(backend.array(X[5000:5001])))
    np.testing.assert_allclose(whole[5000:5001], part, rtol=1e-12)
    assert whole.shape == (9000, 3)


def test_samples_are_of_the_dropout_distribution(backend):
    """One input through dropout(0.5) and a weight of 1: outputs 0 or 2, mean 1 and standard deviation 1."""
    layers = [Dropout(0.5), FullyConnected(1, "affine", "constant(1)")]
    model = DFN(layers=layers, loss="squared_error", seed=0).initialize(backend.array(np.ones((1, 1))))
    mean, spread = model.predict(backend.array(np.ones((1500, 1))), samples=40)
    mean, spread = backend.numpy(mean), backend.numpy(spread)
    assert mean.shape == spread.shape == (1500, 1)
    assert mean.mean() == pytest.approx(1, abs=5 / (1500 * 40) ** 0.5)
    np.testing.assert_allclose(spread, np.sqrt(mean * (2 - mean)), rtol=1e-9, atol=1e-9)  # of so many twos
    assert len(np.unique(mean)) > 5
    for other, samples, message in (
        (model, 1, "samples must be an integer of at least 2"),
        (DFN(3, 1, loss="squared_error").initialize(np.ones((1, 1))), 5, "no layer draws"),
    ):
        with pytest.raises(ValueError, match=message):
            other.predict(np.ones((1, 1)), samples=samples)


def test_a_loss_with_a_spread_is_asked_for_it(backend, rng):
    """A network whose scores are its inputs: means in the first half, log-variances in the second."""
    X = rng.normal(size=(1500, 4))  # two pieces
    model = DFN(layers=["fc(4, 'affine', 'zeros')"], loss="gaussian", seed=0).initialize(backend.array(X))
    model.layers["FC1"].params["W"] = backend.array(np.eye(4))
    mean, spread = model.predict(backend.array(X), spread=True)
    np.testing.assert_allclose(backend.numpy(mean), X[:, :2], rtol=1e-12)
    np.testing.assert_allclose(backend.numpy(spread), np.exp(X[:, 2:] / 2), rtol=1e-12)
    for call in (model.predict, model.predict_proba, lambda X: model.predict(X, spread=False)):
        assert (backend.numpy(call(backend.array(X))) == backend.numpy(mean)).all()


def test_means_and_spreads_have_the_shape_of_the_targets(rng):
    X, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    model = DFN(layers=[4, Dropout(0.5), 2], loss="gaussian", seed=0).fit(X, y, 1, verbose=0)
    assert (
        [a.shape for a in model.predict(X, spread=True)]
        == [a.shape for a in model.predict(X, samples=3)]
        == [(20,)] * 2
    )
    assert model.predict(X).shape == model.predict_proba(X).shape == (20,)
    model = DFN(layers=[4, 2], loss="gaussian", seed=0).fit(X, y[:, None], 1, verbose=0)
    assert [a.shape for a in model.predict(X, spread=True)] == [(20, 1)] * 2
    assert DFN(layers=[4, 2], loss="quantile([0.1, 0.9])").fit(X, y, 1, verbose=0).predict(X).shape == (20, 2)


def test_a_spread_that_is_not_there_is_said(rng):
    X, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    model = DFN(layers=[4, Dropout(0.5), 2], loss="gaussian", seed=0).fit(X, y, 1, verbose=0)
    with pytest.raises(ValueError, match="either samples= or spread=True, got both"):
        model.predict(X, samples=3, spread=True)
    with pytest.raises(ValueError, match="spread must be True or False, got 3"):
        model.predict(X, spread=3)
    for other in ("squared_error", "cross_entropy", "quantile([0.1, 0.9])"):
        model = DFN(layers=[2], loss=other, seed=0).initialize(X)
        with pytest.raises(ValueError, match=r"spread=True: the loss \w+.* tells no spread .*: Gaussian; .* samples="):
            model.predict(X, spread=True)


def test_samples_are_of_the_mean(rng):
    """The scores of one input through dropout are 0 or 2 times the weights; the log-variances are not asked."""
    model = DFN(layers=[Dropout(0.5), "fc(2, 'affine', 'constant(3)')"], loss="gaussian", seed=0)
    mean, spread = model.initialize(np.ones((1, 1))).predict(np.ones((50, 1)), samples=40)
    assert mean.shape == spread.shape == (50, 1)
    np.testing.assert_allclose(spread, np.sqrt(mean * (6 - mean)), rtol=1e-9)


@pytest.fixture
def data(rng):
    return rng.normal(size=(6, 4)), rng.integers(0, 3, 6)


def network(*layers, **more):
    return DFN(layers=list(layers), optimizer="sgd(lr=0.1)", seed=3, **more)


def test_activations_are_the_outputs_of_the_layers(backend, data):
    X = backend.array(data[0])
    model = network(
        FullyConnected(5, "tanh", "he_normal"), Dropout(0.5), FullyConnected(3, "softsign", "he_normal")
    ).initialize(X)
    out = {name: backend.numpy(a) for name, a in model.activations(X).items()}
    W = {name: {k: backend.numpy(v) for k, v in layer.params.items()} for name, layer in model.layers.items()}
    hidden = np.tanh(data[0] @ W["FC1"]["W"] + W["FC1"]["b"])
    np.testing.assert_allclose(out["FC1"], hidden, rtol=1e-12)
    assert (out["Dropout1"] == out["FC1"]).all()
    z = hidden @ W["FC2"]["W"] + W["FC2"]["b"]
    np.testing.assert_allclose(out["FC2"], z / (1 + abs(z)), rtol=1e-11)
    assert all(layer.X == [] for layer in model.layers.values())


def test_input_gradients_are_difference_quotients(backend, data, rng):
    x, y = data
    model = network("fc(5, 'tanh', 'he_normal')", "dropout(0.5)", "fc(3, 'affine', 'he_normal')", "softmax").initialize(
        backend.array(x)
    )
    r, h = rng.normal(size=x.shape), 1e-6

    def along(f):
        up, down = (f(backend.array(x + s * h * r)) for s in (1, -1))
        return (up - down) / (2 * h)

    def scores(X):
        p = backend.numpy(model.predict_proba(X))
        return np.log(p)  # the scores up to a constant of each row

    dx = backend.numpy(model.input_gradients(backend.array(x), output=2)) - backend.numpy(
        model.input_gradients(backend.array(x), output=0)
    )
    np.testing.assert_allclose(
        (dx * r).sum(1), along(lambda X: scores(X)[:, 2] - scores(X)[:, 0]), rtol=1e-6, atol=1e-9
    )
    dx = backend.numpy(model.input_gradients(backend.array(x), backend.array(y)))
    np.testing.assert_allclose((dx * r).sum(1), along(lambda X: -scores(X)[np.arange(6), y]), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("loss", ["gaussian", "quantile([0.2, 0.7])"])
def test_input_gradients_of_several_outputs_for_a_target(data, loss, rng):
    X, y, r, h = data[0], rng.normal(size=6), rng.normal(size=data[0].shape), 1e-6
    model = network("fc(5, 'tanh', 'he_normal')", "fc(2, 'affine', 'he_normal')", loss=loss).fit(X, y, 1, verbose=0)

    def of_rows(X):
        return np.asarray([model.evaluate(X[i : i + 1], y[i : i + 1]) for i in range(len(X))])

    quotient = (of_rows(X + h * r) - of_rows(X - h * r)) / (2 * h)
    np.testing.assert_allclose((model.input_gradients(X, y) * r).sum(1), quotient, rtol=1e-6, atol=1e-8)
    assert model.input_gradients(X, output=1).shape == X.shape


def test_input_gradients_say_what_they_need(data):
    model = network(FullyConnected(3, "affine", "he_normal")).initialize(data[0])
    with pytest.raises(ValueError, match="either y or output="):
        model.input_gradients(data[0])
    with pytest.raises(ValueError, match="output must be below 3"):
        model.input_gradients(data[0], output=3)
    with pytest.raises(ValueError, match="no parameters yet"):
        network(FullyConnected(3, "affine", "he_normal")).activations(data[0])
