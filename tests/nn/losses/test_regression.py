"""Losses of numbers."""

import numpy as np
import pytest

from xdfn import DFN, AbsoluteError, Gaussian, Poisson, Quantile, ReLU, Sigmoid, SquaredError, sigmoid


def test_values_by_hand():
    y, p = np.asarray([[1.0, 0.0], [0.0, 1.0]]), np.asarray([[0.5, 0.5], [0.75, 0.25]])
    assert SquaredError.loss(y, p) == pytest.approx((0.25 + 0.25 + 0.5625 + 0.5625) / 4)
    z = np.asarray([[2.0, -1.0], [0.5, 3.0]])
    assert (SquaredError().grad(y, p, z, ReLU()) == (p - y) * [[1, 0], [1, 1]] / 2).all()
    assert SquaredError().grad(y, p, z, Sigmoid()) == pytest.approx((p - y) * sigmoid(z) * (1 - sigmoid(z)) / 2)


def test_the_deviance_is_half_of_scikit_learns(backend, rng):
    metrics = pytest.importorskip("sklearn.metrics")
    y, z = rng.poisson(1.0, (30, 2)).astype(float), rng.normal(size=(30, 2))
    assert (y == 0).any()
    value, dz = Poisson(deviance=True).value_and_grad(backend.array(y), backend.array(z), 1 / 30)
    expected = sum(metrics.mean_poisson_deviance(y[:, j], np.exp(z[:, j])) for j in range(2)) / 2
    assert float(value) == pytest.approx(expected)
    assert Poisson(deviance=True).loss(y, np.exp(z)) == pytest.approx(expected)
    np.testing.assert_allclose(backend.numpy(dz), (np.exp(z) - y) / 30, rtol=1e-6)


# -- quantiles --


def test_the_pinball_loss_by_hand():
    y, z = np.asarray([1.0, 1.0, 1.0]), np.asarray([[3.0], [-3.0], [1.0]])
    value, dz = Quantile(0.25).value_and_grad(y, z, 1.0)
    assert value == 0.75 * 2 + 0.25 * 4
    assert dz.tolist() == [[0.75], [-0.25], [0.0]]  # at z = y too
    half, whole = Quantile(0.5).value_and_grad(y, z, 1.0), AbsoluteError().value_and_grad(y, z, 1.0)
    assert 2 * half[0] == whole[0]
    assert (2 * half[1] == whole[1]).all()


@pytest.mark.parametrize("q", [0.05, 0.5, 0.9])
def test_the_pinball_loss_of_scikit_learn(q, rng):
    sk = pytest.importorskip("sklearn.metrics")
    y, z, w = rng.normal(size=(9, 2)), rng.normal(size=(9, 2)), rng.random(9)
    expected = sk.mean_pinball_loss(y, z, alpha=q, sample_weight=w, multioutput="raw_values")
    value, _ = Quantile(q).value_and_grad(y, z, w / w.sum())
    assert value == pytest.approx(expected.sum(), rel=1e-13)


def test_several_quantiles_are_their_columns(backend, rng):
    """First the lowest quantile of both targets, then the next one."""
    levels, m = (0.1, 0.5, 0.9), 2
    y, z, w = rng.normal(size=(9, m)), rng.normal(size=(9, 3 * m)), rng.random(9)
    value, dz = Quantile(levels).value_and_grad(*map(backend.array, (y, z, w)))
    alone = [Quantile(q).value_and_grad(y, z[:, m * i : m * (i + 1)], w) for i, q in enumerate(levels)]
    np.testing.assert_allclose(backend.numpy(value), sum(value for value, _ in alone), rtol=1e-13)
    np.testing.assert_allclose(backend.numpy(dz), np.concatenate([dz for _, dz in alone], axis=1), rtol=1e-13)


def test_quantiles_that_cannot_be_meant():
    assert Quantile(np.asarray([0.1, 0.9])) == Quantile([0.1, 0.9]) == Quantile((0.1, 0.9)) != Quantile((0.9, 0.1))
    assert str(Quantile([0.1, 0.9])) == "Quantile(q=(0.1, 0.9))"
    for q, says in [
        (0, r"^q must be a number in \(0, 1\), got 0"),
        (1.0, r"^q must be a number in \(0, 1\), got 1.0"),
        ("0.5", r"^q must be a number in \(0, 1\), got str"),
        ([], "^q must be a number in .* or a list of such numbers, got an empty one"),
        ([0.5, 1.5], r"^q\[1\] must be a number in \(0, 1\), got 1.5"),
        (np.ones((1, 1)), r"^q\[0\] must be a number in \(0, 1\), got list"),
    ]:
        with pytest.raises(ValueError, match=says):
            Quantile(q)


def exponentials(rng, n):
    """x, and y from an exponential distribution of mean 1 + x, whose q-quantile -(1 + x) log(1 - q) is affine in x."""
    x = rng.random((n, 1))
    return x, (1 + x[:, 0]) * rng.exponential(size=n)


def test_a_trained_quantile_covers_its_share_of_fresh_rows(backend, rng):
    """The share of fresh rows below has a standard deviation of sqrt(q (1 - q) (1/n + 1/fresh)): of the rows that the
    quantile was estimated from, as for a quantile of a sample, and of those that it is tried on.
    """
    n, fresh, levels = 2000, 20_000, np.asarray([0.1, 0.5, 0.9])
    X, y = (backend.array(x) for x in exponentials(rng, n))
    model = DFN(layers=[3], loss=Quantile(levels), optimizer="adam(lr='cosine(0.1, 25)')", seed=0)
    X_fresh, y_fresh = exponentials(rng, fresh)
    predicted = backend.numpy(model.fit(X, y, 25, 100, verbose=0).predict(backend.array(X_fresh)))
    assert predicted.shape == (fresh, 3)
    below = np.mean(y_fresh[:, None] <= predicted, axis=0)
    assert (abs(below - levels) < 4 * np.sqrt(levels * (1 - levels) * (1 / n + 1 / fresh))).all()


@pytest.mark.parametrize("q", [0.2, 0.9])
def test_a_trained_quantile_is_that_of_linear_programming(q, rng):
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, y = exponentials(rng, 200)
    oracle = linear_model.QuantileRegressor(quantile=q, alpha=0).fit(X, y)
    model = DFN(layers=[1], loss=Quantile(q), optimizer="adam(lr='cosine(0.1, 1500)')", seed=0)
    model.fit(X, y, 1500, 200, verbose=0)
    least = Quantile(q).loss(y, oracle.predict(X)[:, None])
    assert least * (1 - 1e-12) <= model.evaluate(X, y) < least * (1 + 1e-4)


# -- means and variances --


def test_the_gaussian_loss_by_hand():
    y, z = np.asarray([[1.0, 5.0]]), np.asarray([[3.0, 5.0, np.log(4.0), 0.0]])  # two means, two log-variances
    value, dz = Gaussian().value_and_grad(y, z, 1.0)
    assert value == pytest.approx((np.log(4) + 4 / 4) / 2)
    assert dz[0].tolist() == pytest.approx([2 / 4, 0, (1 - 4 / 4) / 2, 1 / 2])
    assert Gaussian().link(z).tolist() == [[3.0, 5.0]]
    assert Gaussian().spread(z)[0].tolist() == pytest.approx([2.0, 1.0])


def test_the_gaussian_loss_of_torch(rng):
    torch = pytest.importorskip("torch")
    y, z = rng.normal(size=(9, 2)), rng.normal(size=(9, 4)) * 2
    scores = torch.asarray(z).requires_grad_()
    theirs = torch.nn.GaussianNLLLoss(full=False, reduction="sum")
    value = theirs(scores[:, :2], torch.asarray(y), torch.exp(scores[:, 2:])) / 9
    value.backward()
    ours = Gaussian().value_and_grad(y, z, 1 / 9)
    assert ours[0] == pytest.approx(value.item(), rel=1e-12)
    np.testing.assert_allclose(ours[1], scores.grad.numpy(), rtol=1e-9, atol=1e-15)


def test_small_variances_meet_the_tangent(monkeypatch, rng):
    """Beyond the bound too the gradient is the difference quotient; up to it the loss is the formula."""
    y, z, h, r = rng.normal(size=(50, 2)), 2 * rng.normal(size=(50, 4)), 1e-6, rng.normal(size=(50, 4))
    monkeypatch.setattr("xdfn.nn.losses.regression.exp_limit", lambda z: 3.0)  # the tangent is taken at s = -1
    assert (z[:, 2:] < -1).sum() > 20

    def loss(z):
        return Gaussian().value_and_grad(y, z, 1.0)

    assert np.sum(loss(z)[1] * r) == pytest.approx((loss(z + h * r)[0] - loss(z - h * r)[0]) / (2 * h), rel=1e-7)
    formula = 0.5 * np.sum(z[:, 2:] + (y - z[:, :2]) ** 2 * np.exp(-z[:, 2:]))
    assert loss(z)[0] < formula  # a tangent of a convex function
    z[:, 2:] = np.maximum(z[:, 2:], -1)
    formula = 0.5 * np.sum(z[:, 2:] + (y - z[:, :2]) ** 2 * np.exp(-z[:, 2:]))
    assert loss(z)[0] == pytest.approx(formula, rel=1e-13)


def test_a_spread_is_finite(backend):
    z = backend.array([[0.0, 1e4], [0.0, -1e4]], "float32")
    spread = backend.numpy(Gaussian().spread(z))
    assert (spread.dtype, spread.shape) == (np.float32, (2, 1))
    assert np.isfinite(spread).all()
    assert spread[0, 0] > 1e38 > spread[1, 0] == 0


def test_a_mean_and_a_spread_that_change_are_recovered(backend, rng):
    """y is normal with mean 1 + 2 x and log-variance -2 + 2 x, which one affine layer can say.

    Of n rows the maximum of the likelihood has (Fisher's information) the covariance (sum (1, x)' (1, x) e^-s)^-1 in
    the coefficients of the mean, and 2 (sum (1, x)' (1, x))^-1 in those of the log-variance.
    """
    n = 4000
    x = rng.uniform(-1, 1, size=(n, 1))
    s = -2 + 2 * x[:, 0]
    y = 1 + 2 * x[:, 0] + np.exp(s / 2) * rng.normal(size=n)
    model = DFN(layers=[2], loss="gaussian", optimizer="adam(lr='cosine(0.1, 25)')", seed=0)
    model.fit(backend.array(x), backend.array(y), 25, 200, verbose=0)
    W, b = (backend.numpy(model.layers["FC1"].params[name]) for name in ("W", "b"))
    rows = np.concatenate([np.ones((n, 1)), x], axis=1)
    of_mean, of_s = np.linalg.inv(rows.T @ (rows * np.exp(-s)[:, None])), 2 * np.linalg.inv(rows.T @ rows)
    for j, true, covariance in ((0, (1, 2), of_mean), (1, (-2, 2), of_s)):
        assert (abs(np.asarray([b[0, j], W[0, j]]) - true) < 4 * np.sqrt(np.diag(covariance))).all()
    mean, spread = (backend.numpy(a) for a in model.predict(backend.array(x), spread=True))
    assert mean.shape == spread.shape == (n,)
    np.testing.assert_allclose(spread, np.exp((b[0, 1] + x[:, 0] * W[0, 1]) / 2), rtol=1e-12)
