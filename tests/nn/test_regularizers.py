"""Penalties and constraints: by difference quotients, by hand, and in training."""

import numpy as np
import pytest
from fits import alike, tanh_network
from parts import CONSTRAINTS, REGULARIZERS

from xdfn import DFN, L2, SGD, FullyConnected, MaxNorm
from xdfn.nn.regularizers import constraints, regularizers


@pytest.mark.parametrize("spec", REGULARIZERS)
def test_gradients_are_difference_quotients(backend, spec, rng):
    part, W, h = regularizers.resolve(spec), rng.normal(size=(5, 4)), 1e-6
    gradient = backend.numpy(backend.call(part.grad, backend.array(W)))
    for r in rng.normal(size=(3, 5, 4)):
        quotient = (part.value(W + h * r) - part.value(W - h * r)) / (2 * h)
        assert np.sum(gradient * r) == pytest.approx(quotient, rel=1e-7)
        assert backend.numpy(part.value(backend.array(r))) == pytest.approx(part.value(r), rel=1e-12)


def test_penalties_by_hand():
    W = np.asarray([[3.0, -4.0], [0.0, 0.5]])
    assert regularizers.resolve("l1(0.5)").value(W) == 0.5 * 7.5
    assert regularizers.resolve("l2(0.5)").value(W) == 0.25 * 25.25
    assert regularizers.resolve("elastic_net(l1=0.5, l2=0.5)").value(W) == 0.5 * 7.5 + 0.25 * 25.25
    assert regularizers.resolve("l1(0.5)").grad(W).tolist() == [[0.5, -0.5], [0.0, 0.5]]


@pytest.mark.parametrize("spec", CONSTRAINTS)
def test_a_projection_is_allowed_and_stays(backend, spec, rng):
    part, W = constraints.resolve(spec), rng.normal(size=(5, 4)) * [0.0, 0.1, 1.0, 10.0]
    once = backend.numpy(backend.call(part.project, backend.array(W)))
    lengths = np.linalg.norm(once, axis=0)
    np.testing.assert_allclose(lengths, np.minimum(np.linalg.norm(W, axis=0), 0.7), rtol=1e-12)
    np.testing.assert_allclose(once * np.linalg.norm(W, axis=0), W * lengths, rtol=1e-12)  # the direction stays
    np.testing.assert_allclose(part.project(once), once, rtol=1e-12)


@pytest.fixture
def data(rng):
    return rng.normal(size=(20, 4)), rng.integers(0, 3, 20)


def test_l2_with_plain_sgd_is_its_weight_decay(backend, data):
    X, y = map(backend.array, data)
    rule = {"regularizer": L2(0.05)}
    layers = [
        FullyConnected(6, "tanh", "glorot_uniform", **rule),
        FullyConnected(3, "affine", "glorot_uniform", **rule),
    ]
    a = DFN(layers=layers, optimizer="sgd(lr=0.1)", seed=2).fit(X, y, 4, 8, verbose=None)
    b = tanh_network(SGD(0.1, weight_decay=0.05)).fit(X, y, 4, 8, verbose=None)
    alike(backend, a, b)
    np.testing.assert_allclose(a.history["loss"], b.history["loss"], rtol=1e-12)  # penalties are not in the loss


@pytest.mark.parametrize("optimizer", ["sgd(lr=3.0)", "adam(lr=0.5)"])
def test_columns_stay_within_the_limit(backend, optimizer, data):
    X, y = map(backend.array, data)
    model = tanh_network(optimizer, {"constraint": MaxNorm(1.2)}).fit(X, y, 5, 8, verbose=None)
    lengths = np.linalg.norm(backend.numpy(model.layers["FC1"].params["W"]), axis=0)
    assert lengths.max() <= 1.2 * (1 + 1e-12)
    assert np.isclose(lengths, 1.2).any()
    free = tanh_network(optimizer).fit(X, y, 5, 8, verbose=None)
    assert np.linalg.norm(backend.numpy(free.layers["FC1"].params["W"]), axis=0).max() > 1.5
