"""What a loss takes as its targets, and what they become."""

import numpy as np
import pytest

from xdfn import CrossEntropy, Gaussian, SquaredError, softmax
from xdfn.nn.losses import losses
from xdfn.nn.targets import aligned, one_hot

N, M = 7, 4


def test_labels_are_one_hot_rows(backend, rng):
    labels, z = rng.integers(0, M, N), rng.normal(size=(N, M))
    for dtype in ("uint8", "int32", "int64"):
        value, dz = CrossEntropy().value_and_grad(backend.array(labels, dtype), backend.array(z), 1 / N)
        expected = CrossEntropy().value_and_grad(np.eye(M)[labels], z, 1 / N)
        np.testing.assert_allclose(backend.numpy(value), expected[0], rtol=1e-13)
        np.testing.assert_allclose(backend.numpy(dz), expected[1], rtol=1e-12, atol=1e-15)
    assert CrossEntropy.loss(labels, softmax(z)) == pytest.approx(CrossEntropy.loss(np.eye(M)[labels], softmax(z)))


def test_a_column_is_never_broadcast_against_a_row():
    y, z = np.zeros(5), np.zeros((5, 1))
    assert SquaredError().value_and_grad(y, z, 0.2)[1].shape == (5, 1)
    for wrong in (np.zeros((5, 5)), np.zeros((1, 5)), np.zeros(4)):
        with pytest.raises(ValueError, match="expected targets of the shape"):
            SquaredError().value_and_grad(wrong, z, 0.2)


def test_targets_of_one_column_are_rows_or_a_column(backend):
    z = backend.array(np.zeros((3, 1)), "float32")
    for given in ([1, 0, 1], [[1], [0], [1]]):
        y = SquaredError().targets(backend.array(given), z)
        assert y.dtype == z.dtype
        assert backend.numpy(y).tolist() == [[1.0], [0.0], [1.0]]
    y = backend.array(np.ones((3, 1)), "float32")
    assert aligned(y, z) is y


def test_rows_of_a_unit_matrix(backend):
    like = backend.array(np.zeros((3, 4)), "float32")
    for dtype in ("uint8", "int64"):
        rows = one_hot(backend.array([2, 0, 3], dtype), like)
        assert rows.dtype == like.dtype
        assert (backend.numpy(rows) == np.eye(4)[[2, 0, 3]]).all()


@pytest.mark.parametrize(
    ("loss", "y", "n_out", "says"),
    [
        (
            "squared_error",
            np.zeros((5, 2)),
            3,
            r"SquaredError with 3 outputs expects y of shape \(n, 3\), got",
        ),
        ("squared_error", np.zeros(5), 3, r"of shape \(n, 3\), got \(5,\)"),
        ("mae", np.zeros((5, 2)), 1, r"of shape \(n, 1\) or \(n,\), got \(5, 2\)"),
        (
            "gaussian",
            np.zeros((5, 2)),
            2,
            r"Gaussian with 2 outputs expects y of shape \(n, 1\) or \(n,\), got \(5, 2\)",
        ),
        ("gaussian", np.zeros(5), 1, "Gaussian expects 2 outputs of the network for each target, .* got 1"),
        ("quantile([0.1, 0.5])", np.zeros(5), 6, r"with 6 outputs expects y of shape \(n, 3\), got \(5,\)"),
        ("quantile([0.1, 0.5])", np.zeros(5), 3, "expects 2 outputs of the network for each target, .* got 3"),
        (
            "cross_entropy",
            np.zeros((5, 1), int),
            3,
            r"one-hot of shape \(n, 3\) .* got \(5, 1\): .*reshape\(y, \(-1,\)\)",
        ),
        (
            "cross_entropy",
            np.zeros(5),
            3,
            r"class numbers \(n,\) of an integer dtype, got float64: .* loss='squared_error'",
        ),
        ("cross_entropy", np.zeros(5, int), 1, "at least 2 outputs, one a class; for one output: loss='binary"),
    ],
)
def test_targets_of_the_wrong_shape_are_said(loss, y, n_out, says):
    with pytest.raises(ValueError, match=says):
        losses.resolve(loss).check_shape(y, n_out)


def test_shapes_and_ranges_that_are_right():
    for spec, y, n_out, limits, classifies in [
        ("squared_error", np.zeros((5, 3)), 3, (None, None), False),
        ("squared_error", np.zeros(5), 1, (None, None), False),
        ("poisson", np.zeros(5), 1, (0, None), False),
        ("quantile(0.5)", np.zeros((5, 3)), 3, (None, None), False),
        ("quantile([0.1, 0.5, 0.9])", np.zeros(5), 3, (None, None), False),
        ("quantile([0.1, 0.9])", np.zeros((5, 2)), 4, (None, None), False),
        ("gaussian", np.zeros(5), 2, (None, None), False),
        ("gaussian", np.zeros((5, 3)), 6, (None, None), False),
        ("cross_entropy", np.zeros(5, "uint8"), 3, (0, 2), True),
        ("cross_entropy", np.zeros((5, 3)), 3, (0, 1), True),
        ("binary_cross_entropy", np.zeros((5, 3)), 3, (0, 1), True),
    ]:
        loss = losses.resolve(spec)
        loss.check_shape(y, n_out)
        assert (loss.limits(y, n_out), loss.classifies) == (limits, classifies)


def test_the_class_of_each_row(backend):
    for given in ([2, 0, 1], np.eye(3)[[2, 0, 1]]):
        assert backend.numpy(CrossEntropy().labels(backend.array(given), 3)).tolist() == [2, 0, 1]
    with pytest.raises(ValueError, match="classes were asked for, and SquaredError with 3 outputs has none"):
        SquaredError().labels(backend.array(np.zeros((2, 3))), 3)
    with pytest.raises(ValueError, match="classes were asked for, and Gaussian with 2 outputs has none"):
        Gaussian().labels(backend.array(np.zeros(2)), 2)
