"""One seed is one network: the promise that the libraries are interchangeable."""

import numpy as np
import pytest
from steps import network

from xdfn import DFN, Dropout, FullyConnected
from xdfn.backend import random


def model(optimizer="adam(lr=0.01)"):
    return DFN(
        layers=[
            FullyConnected(16, "relu", "he_uniform"),
            Dropout(0.3),
            FullyConnected(8, "tanh", "glorot_normal", "momentum(lr=0.05, momentum=0.9)"),
            Dropout(0.1),
            FullyConnected(3, "affine", "std_normal(gain=0.1)"),
        ],
        optimizer=optimizer,
        seed=11,
    )


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(203, 20)), rng.integers(0, 3, 203)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_initial_weights_are_identical(backend, data, dtype):
    ours = model().initialize(backend.array(data[0], dtype))
    numpys = model().initialize(data[0].astype(dtype))
    for name in ("FC1", "FC2", "FC3"):
        W = backend.numpy(ours.layers[name].params["W"])
        assert W.dtype == dtype
        assert (numpys.layers[name].params["W"] == W).all()


def test_batches_and_masks_are_identical(backend, data):
    def seen(array):
        X = array(data[0])
        m = model()
        step, _ = network(m, X)
        masks = []
        for t in (0, 1, 5):
            for key, width in zip(step.scalars(t).keys, (16, 8), strict=True):
                masks.append(random.uniform_bits(key, (32, width), X))
        return masks

    for ours, numpys in zip(seen(backend.array), seen(np.asarray), strict=True):
        assert (backend.numpy(ours) == numpys).all()


@pytest.mark.parametrize("optimizer", ["adam(lr=0.01)", "sgd(lr=0.1)", "rmsprop", "adagrad(lr=0.01)", "adadelta"])
def test_losses_of_three_epochs_agree_to_1e_10(backend, data, optimizer):
    X, y = data
    ours = model(optimizer).fit(backend.array(X), backend.array(y), 3, 32, verbose=None)
    numpys = model(optimizer).fit(X, y, 3, 32, verbose=None)
    np.testing.assert_allclose(ours.history["loss"], numpys.history["loss"], rtol=1e-10)
    W = [backend.numpy(layer.params["W"]) for layer in ours.layers.values() if layer.params]
    V = [layer.params["W"] for layer in numpys.layers.values() if layer.params]
    for w, v in zip(W, V, strict=True):
        np.testing.assert_allclose(w, v, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        ("squared_error", "real"),
        ("quantile([0.1, 0.9])", "half"),
        ("gaussian", "half"),
        ("binary_cross_entropy", "binary"),
        ("cross_entropy", "one-hot"),
    ],
)
def test_other_losses_agree_too(backend, data, loss, target):
    X = data[0]
    squares, binary, one_hot = X[:, :4] ** 2, (X[:, :4] > 0).astype(float), np.eye(4)[data[1]]
    y = {"real": squares, "half": squares[:, :2], "binary": binary, "one-hot": one_hot}[target]

    def make():
        layers = [FullyConnected(8, "sigmoid", "he_normal"), FullyConnected(4, "affine", "he_normal")]
        return DFN(layers=layers, loss=loss, seed=2)

    ours = make().fit(backend.array(X), backend.array(y), 3, 50, verbose=None)
    numpys = make().fit(X, y, 3, 50, verbose=None)
    np.testing.assert_allclose(ours.history["loss"], numpys.history["loss"], rtol=1e-10)


def test_another_seed_is_another_network(data):
    X, y = data
    histories = [DFN(8, 3, seed=s).fit(X, y, 1, 32, verbose=None).history["loss"] for s in (0, 1, 0)]
    assert histories[0] == histories[2] != histories[1]


def test_without_a_seed_numpys_global_one_steers(data):
    X, y = data

    def run(seed):
        np.random.seed(seed)
        return DFN(8, 3).fit(X, y, 1, 32, verbose=None).history["loss"]

    assert run(1) == run(1) != run(2)
