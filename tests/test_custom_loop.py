"""A loop of the user's own over forward, backward and update."""

import importlib.util

import numpy as np
import pytest
from fits import NotebookLinear

from xdfn import DFN, CrossEntropy, Dropout, FullyConnected
from xdfn.backend import random


def test_fit_and_the_notebooks_steps_mix(backend, blobs):
    """A hand-written loop over forward, backward and update is what fit does, and either goes on from the other."""
    x, y = blobs[0][:64], np.eye(3)[blobs[1][:64]]
    X, Y = backend.array(x), backend.array(y)
    by_fit, by_hand = (DFN(5, 3, optimizer="sgd(lr=0.1)", init_w="glorot_normal", seed=4) for _ in range(2))
    by_fit.fit(X, Y, 3, 64, verbose=None)
    for _ in range(2):
        out, Xs = by_hand.forward(X)
        assert Xs.keys() == by_hand.layers.keys()
        grad = CrossEntropy.grad(Y, by_hand.loss.link(out))
        dX, dXs = by_hand.backward(grad)
        assert dX.shape == X.shape
        assert dXs["FC2"] is grad
        by_hand.update()
    by_hand.fit(X, Y, 1, 64, verbose=None)
    for name in ("FC1", "FC2"):
        W, V = (backend.numpy(m.layers[name].params["W"]) for m in (by_fit, by_hand))
        np.testing.assert_allclose(W, V, rtol=1e-9)


@pytest.fixture
def data(rng):
    return rng.normal(size=(64, 4)), rng.integers(0, 3, 64)


def model(optimizer="adam(lr=0.01)", seed=0):
    layers = [FullyConnected(8, "tanh", "he_normal"), Dropout(0.2), FullyConnected(3, "affine", "he_normal")]
    return DFN(layers=layers, optimizer=optimizer, seed=seed)


@pytest.mark.parametrize("spec", ["adam(lr=0.01)", "sgd(lr=0.1)"])
def test_a_loop_by_hand_is_fit(backend, data, spec, tmp_path):
    """Dropout's masks, the optimizer's memory, saving and moving included."""
    X, y = backend.array(data[0]), backend.array(np.eye(3)[data[1]])
    by_fit, by_hand = model(spec).fit(X, y, 3, 64, verbose=None), model(spec)
    for step in range(3):
        np.random.seed(step)  # has no say
        rows = random.permutation(0, step, 64)  # fit's order, since masks go by the place in the batch
        x, t = backend.array(data[0][rows]), backend.array(np.eye(3)[data[1][rows]])
        out, _ = by_hand.forward(x)
        by_hand.backward(by_hand.loss.value_and_grad(t, out, 1 / 64)[1])
        by_hand.update()
        by_hand.save(tmp_path / "m.npz")
        by_hand = DFN.load(tmp_path / "m.npz", like=X)
    for name in ("FC1", "FC2"):
        W, V = (backend.numpy(m.layers[name].params["W"]) for m in (by_fit, by_hand))
        np.testing.assert_allclose(W, V, rtol=1e-10, atol=1e-13)


def test_two_passes_before_an_update_draw_two_masks(data):
    m = model()
    first, _ = m.forward(data[0])
    second, _ = m.forward(data[0])
    assert (first != second).any()


@pytest.fixture
def two_classes(rng):
    X = rng.normal(size=(64, 4))
    return X, (X @ rng.normal(size=4) > 0).astype(int)


def leaky(optimizer="adam(lr=0.01)", *, loss="cross_entropy", n_out=2, first=()):
    hidden, last = FullyConnected(8, "leakyrelu", "glorot_uniform"), FullyConnected(n_out, "affine", "glorot_uniform")
    return DFN(layers=[*first, hidden, last], optimizer=optimizer, loss=loss, seed=0)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_a_loop_by_hand_keeps_off_the_tape(two_classes):
    import torch

    X, y = torch.asarray(two_classes[0]).requires_grad_(True), torch.asarray(two_classes[1])
    model = leaky()
    for _ in range(2):
        out, _ = model.forward(X)
        model.backward(model.loss.value_and_grad(y, out, 1 / 64)[1])
        model.update()
    assert not any(p.requires_grad for layer in model.layers.values() for p in layer.params.values())


@pytest.fixture
def numbers(rng):
    X = rng.uniform(-1, 1, (64, 3))
    return X, X @ rng.normal(size=(3, 2))


def network(*layers, optimizer="sgd(lr=0.1)", loss="squared_error"):
    return DFN(layers=list(layers), optimizer=optimizer, loss=loss, seed=1)


def test_inference_leaves_a_step_by_hand_alone(numbers):
    X, y = numbers
    models = [network(NotebookLinear(2)).initialize(X) for _ in range(2)]
    for model, looks in zip(models, (False, True), strict=True):
        out, _ = model.forward(X)
        if looks:
            model.predict(X[:5])
            model.evaluate(X, y)
            model.activations(X)
        model.backward(model.loss.value_and_grad(y, out, 1 / 64)[1])
        if looks:
            model.predict_proba(X[:5])
            model.input_gradients(X, y)
        model.update()
    assert np.array_equal(*(model.layers["NotebookLinear1"].params["W"] for model in models))
    assert not np.array_equal(models[0].layers["NotebookLinear1"].params["W"], np.full((3, 2), 0.1))
