"""Losses of probabilities."""

import numpy as np
import pytest

from xdfn import DFN, BinaryCrossEntropy, CrossEntropy


def test_values_by_hand():
    y, p = np.asarray([[1.0, 0.0], [0.0, 1.0]]), np.asarray([[0.5, 0.5], [0.75, 0.25]])
    assert CrossEntropy.loss(y, p) == pytest.approx((np.log(2) + np.log(4)) / 2)
    assert BinaryCrossEntropy.loss(y, p) == pytest.approx((2 * np.log(2) + 2 * np.log(4)) / 2)
    assert (CrossEntropy.grad(y, p) == (p - y) / 2).all()


def test_the_losses_are_finite_at_zero_and_one(backend):
    y, p = backend.array([[1.0, 0.0]], "float32"), backend.array([[0.0, 1.0]], "float32")
    for loss in (CrossEntropy, BinaryCrossEntropy):
        assert 80 < float(backend.numpy(loss.loss(y, p))) < 200
        assert float(backend.numpy(loss.loss(y, y))) == 0


class Reversed(CrossEntropy):
    """Counts the classes from the last one."""

    @staticmethod
    def targets(y, z):
        return CrossEntropy.targets(2 - y if y.ndim == 1 else y, z)


def test_targets_of_a_subclass_are_those_that_are_trained_on(rng):
    X, y = rng.normal(size=(40, 3)), rng.integers(0, 3, 40)
    model, plain = (DFN(layers=[4, 3], loss=loss, seed=0) for loss in (Reversed(), CrossEntropy()))
    model.fit(X, y, 3, 8, None)
    plain.fit(X, 2 - y, 3, 8, None)
    np.testing.assert_allclose(model.history["loss"], plain.history["loss"], rtol=1e-12)
