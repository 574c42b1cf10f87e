import numpy as np
import pytest
from parts import LOSSES

from xdfn import Affine, BinaryCrossEntropy, CrossEntropy, ReLU, Sigmoid, SquaredError, sigmoid
from xdfn.nn.losses import losses

N, M = 7, 4


def case(spec, rng):
    return LOSSES[spec](rng, N, M), rng.normal(size=(N, M)) * 2


@pytest.mark.parametrize("spec", LOSSES)
def test_gradient_is_the_difference_quotient(spec, rng):
    loss, (y, z), h = losses.resolve(spec), case(spec, rng), 1e-6
    w, r = rng.random(N), rng.normal(size=(N, M))
    _, dz = loss.value_and_grad(y, z, w)
    quotient = (loss.value_and_grad(y, z + h * r, w)[0] - loss.value_and_grad(y, z - h * r, w)[0]) / (2 * h)
    assert np.sum(dz * r) == pytest.approx(quotient, rel=1e-8)


@pytest.mark.parametrize("spec", LOSSES)
def test_gradient_is_that_of_jax(spec, rng):
    jax = pytest.importorskip("jax")
    loss, (y, z) = losses.resolve(spec), case(spec, rng)
    value, gradient = jax.value_and_grad(lambda z: loss.value_and_grad(jax.numpy.asarray(y), z, 0.25)[0])(z)
    ours = loss.value_and_grad(y, z, 0.25)
    assert float(value) == pytest.approx(ours[0], rel=1e-13)
    np.testing.assert_allclose(ours[1], gradient, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("spec", LOSSES)
def test_values_are_numpys_on_every_library(backend, spec, rng):
    loss, (y, z) = losses.resolve(spec), case(spec, rng)
    w = rng.random(N)
    for weight in (1 / N, w):
        expected = loss.value_and_grad(y, z, weight)
        there = weight if isinstance(weight, float) else backend.array(weight)
        result = loss.value_and_grad(backend.array(y), backend.array(z), there)
        for ours, numpys in zip(result, expected, strict=True):
            np.testing.assert_allclose(backend.numpy(ours), numpys, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("spec", [s for s in LOSSES if s not in ("Huber(delta=0.3)", "Huber(delta=1.0)")])
def test_it_agrees_with_the_explicit_link(spec, rng):
    """The fused value against loss(y, link(z)), and the fused gradient against the chain rule through the link."""
    loss, (y, z) = losses.resolve(spec), case(spec, rng)
    value, dz = loss.value_and_grad(y, z, 1 / N)
    p = loss.link(z)
    if spec == "CrossEntropy(smoothing=0.1)":
        y = 0.9 * y + 0.1 / M
    assert value == pytest.approx(loss.loss(y, p), rel=1e-12)
    assert loss(y, p) == loss.loss(y, p)
    if spec == "AbsoluteError":
        return
    explicit = loss.grad(y, p, z, Affine()) if spec == "SquaredError" else loss.grad(y, p)
    np.testing.assert_allclose(dz, explicit, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("spec", LOSSES)
def test_extreme_scores_give_finite_values(backend, spec):
    loss = losses.resolve(spec)
    z = backend.array([[-1e4, 1e4], [1e4, -1e4], [0.0, 0.0]], "float32")
    y = backend.array([[1, 0], [1, 0], [0, 1]], "float32")
    value, dz = loss.value_and_grad(y, z, 1 / 3)
    assert np.isfinite(backend.numpy(value))
    assert np.isfinite(backend.numpy(dz)).all()


def test_values_by_hand():
    y, p = np.asarray([[1.0, 0.0], [0.0, 1.0]]), np.asarray([[0.5, 0.5], [0.75, 0.25]])
    assert SquaredError.loss(y, p) == pytest.approx((0.25 + 0.25 + 0.5625 + 0.5625) / 4)
    assert CrossEntropy.loss(y, p) == pytest.approx((np.log(2) + np.log(4)) / 2)
    assert BinaryCrossEntropy.loss(y, p) == pytest.approx((2 * np.log(2) + 2 * np.log(4)) / 2)
    assert (CrossEntropy.grad(y, p) == (p - y) / 2).all()
    z = np.asarray([[2.0, -1.0], [0.5, 3.0]])
    assert (SquaredError().grad(y, p, z, ReLU()) == (p - y) * [[1, 0], [1, 1]] / 2).all()
    assert SquaredError().grad(y, p, z, Sigmoid()) == pytest.approx((p - y) * sigmoid(z) * (1 - sigmoid(z)) / 2)


def test_values_of_torch(rng):
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    for spec, theirs in [
        ("SquaredError", lambda z, y: 0.5 * f.mse_loss(z, y, reduction="sum") / N),
        ("CrossEntropy", f.cross_entropy),
        ("AbsoluteError", lambda z, y: f.l1_loss(z, y, reduction="sum") / N),
        ("Huber(delta=0.3)", lambda z, y: f.huber_loss(z, y, reduction="sum", delta=0.3) / N),
        ("Poisson", lambda z, y: f.poisson_nll_loss(z, y, log_input=True, reduction="sum") / N),
        ("CrossEntropy(smoothing=0.1)", lambda z, y: f.cross_entropy(z, y, label_smoothing=0.1)),
        ("BinaryCrossEntropy", lambda z, y: f.binary_cross_entropy_with_logits(z, y, reduction="sum") / N),
    ]:
        y, z = case(spec, rng)
        scores = torch.asarray(z).requires_grad_()
        value = theirs(scores, torch.asarray(y))
        value.backward()
        ours = losses.resolve(spec).value_and_grad(y, z, 1 / N)
        assert ours[0] == pytest.approx(value.item(), rel=1e-12)
        np.testing.assert_allclose(ours[1], scores.grad.numpy(), rtol=1e-9, atol=1e-15)


def test_the_losses_are_finite_at_zero_and_one(backend):
    y, p = backend.array([[1.0, 0.0]], "float32"), backend.array([[0.0, 1.0]], "float32")
    for loss in (CrossEntropy, BinaryCrossEntropy):
        assert 80 < float(backend.numpy(loss.loss(y, p))) < 200
        assert float(backend.numpy(loss.loss(y, y))) == 0


@pytest.mark.parametrize("spec", LOSSES)
@pytest.mark.parametrize("rows", [1, N])
def test_float32_and_a_single_row(backend, spec, rows, rng):
    loss, y, z = losses.resolve(spec), LOSSES[spec](rng, rows, M), rng.normal(size=(rows, M))
    value, dz = loss.value_and_grad(backend.array(y, "float32"), backend.array(z, "float32"), 1 / rows)
    expected, gradient = loss.value_and_grad(y, z, 1 / rows)
    assert backend.numpy(value).dtype == backend.numpy(dz).dtype == np.float32
    np.testing.assert_allclose(backend.numpy(value), expected, rtol=1e-5)  # float32 has 7 digits
    np.testing.assert_allclose(backend.numpy(dz), gradient, rtol=1e-4, atol=1e-6)
