"""What is measured on other rows."""

import numpy as np
import pytest
from fits import everything

from xdfn import DFN, BatchNorm, FullyConnected


def test_the_validation_is_what_evaluate_says(backend, data):
    X, y = (backend.array(a) for a in data)
    model = everything().fit(X, y, 3, 32, None, validation_data=(X, y), metrics=["accuracy", "f1"])
    for name, metric in (("val_loss", "loss"), ("val_accuracy", "accuracy"), ("val_f1", "f1")):
        assert model.history[name][-1] == pytest.approx(model.evaluate(X, y, 1000, metric=metric), rel=1e-12)


COUNTS = np.asarray([1, 0, 2, 1, 3, 1, 0, 1, 1, 2, 1, 4])
N, M = 12, 3
AGAIN = np.repeat(np.arange(N), COUNTS)


def network(loss, **more):
    hidden = FullyConnected(5, "tanh", "glorot_uniform")
    layers = [hidden, BatchNorm(), FullyConnected(M, "affine", "glorot_uniform")]
    return DFN(layers=layers, loss=loss, optimizer="adam(lr=0.05)", seed=1, **more)


def test_weights_in_a_validation_and_in_evaluate(backend, rng):
    X, y = rng.normal(size=(N, 4)), rng.integers(0, M, N)
    there = [backend.array(a) for a in (X, y, COUNTS)]
    repeated = [backend.array(a) for a in (X[AGAIN], y[AGAIN])]
    fit = {"n_epochs": 2, "batch_size": 5, "verbose": None, "metrics": ["accuracy", "f1", "balanced_accuracy"]}
    a = network("cross_entropy").fit(there[0], there[1], validation_data=there, **fit)
    b = network("cross_entropy").fit(there[0], there[1], validation_data=repeated, **fit)
    assert a.history.keys() == {"loss", "val_loss", "val_accuracy", "val_f1", "val_balanced_accuracy"}
    for name in a.history:
        np.testing.assert_allclose(a.history[name], b.history[name], rtol=1e-12)
    for metric in (None, "loss", "f1"):
        weighted = a.evaluate(there[0], there[1], metric=metric, sample_weight=there[2])
        assert weighted == pytest.approx(a.evaluate(*repeated, metric=metric), rel=1e-12)
