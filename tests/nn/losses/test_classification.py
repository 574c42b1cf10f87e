"""Losses of probabilities."""

import numpy as np
import pytest

from xdfn import BinaryCrossEntropy, CrossEntropy


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
