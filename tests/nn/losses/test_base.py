"""What holds for every loss."""

import numpy as np
import pytest
from parts import LOSSES

from xdfn import Affine, ObjectiveBase, register
from xdfn.nn.losses import losses

N, M = 7, 4


def case(spec, rng):
    return LOSSES[spec](rng, N, M), rng.normal(size=(N, M)) * 2


@pytest.mark.parametrize("spec", LOSSES)
def test_gradient_is_the_difference_quotient(spec, rng):
    loss, (y, z), h = losses.resolve(spec), case(spec, rng), 1e-6
    w, r = rng.random(N), rng.normal(size=(N, M))
    _, dz = loss.value_and_grad(y, z, w)
    up, down = (loss.value_and_grad(y, z + s * h * r, w)[0] for s in (1, -1))
    rounding = np.finfo(float).eps * abs(up) / h
    assert np.sum(dz * r) == pytest.approx((up - down) / (2 * h), rel=1e-8, abs=rounding)


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


# the others are no functions of the prediction alone, or have one form only
EXPLICIT = [spec for spec in LOSSES if not spec.startswith(("Huber", "Quantile", "Gaussian"))]


@pytest.mark.parametrize("spec", EXPLICIT)
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
    y = backend.array(np.asarray([[1, 0], [1, 0], [0, 1]])[:, : loss.n_targets(2)], "float32")
    value, dz = loss.value_and_grad(y, z, 1 / 3)
    assert np.isfinite(backend.numpy(value))
    assert np.isfinite(backend.numpy(dz)).all()


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


@pytest.mark.parametrize("spec", LOSSES)
@pytest.mark.parametrize("rows", [1, N])
def test_float32_and_a_single_row(backend, spec, rows, rng):
    loss, y, z = losses.resolve(spec), LOSSES[spec](rng, rows, M), rng.normal(size=(rows, M))
    value, dz = loss.value_and_grad(backend.array(y, "float32"), backend.array(z, "float32"), 1 / rows)
    expected, gradient = loss.value_and_grad(y, z, 1 / rows)
    assert backend.numpy(value).dtype == backend.numpy(dz).dtype == np.float32
    np.testing.assert_allclose(backend.numpy(value), expected, rtol=1e-5)  # float32 has 7 digits
    np.testing.assert_allclose(backend.numpy(dz), gradient, rtol=1e-4, atol=1e-6)


NAMES = {  # the names of other libraries, for what differs from theirs by a constant factor alone
    "SquaredError": "mse MSELoss mean_squared_error MeanSquaredError squared_error",
    "AbsoluteError": "mae L1Loss mean_absolute_error MeanAbsoluteError absolute_error",
    "Huber": "huber_loss HuberLoss smooth_l1 smooth_l1_loss SmoothL1Loss",
    "Quantile": "pinball pinball_loss quantile_loss",
    "Gaussian": "gaussian_nll gaussian_nll_loss GaussianNLLLoss",
    "Poisson": "poisson_nll poisson_nll_loss PoissonNLLLoss",
    "CrossEntropy": "categorical_crossentropy categorical_cross_entropy sparse_categorical_crossentropy "
    "SparseCategoricalCrossentropy CrossEntropyLoss cross_entropy_loss log_loss nll nll_loss NLLLoss",
    "BinaryCrossEntropy": "bce bernoulli binary_crossentropy BCELoss bce_with_logits BCEWithLogitsLoss",
}


def test_the_names_of_other_libraries():
    resolved = {name: type(losses.resolve(name)).__name__ for names in NAMES.values() for name in names.split()}
    assert resolved == {name: ours for ours, names in NAMES.items() for name in names.split()}
    assert set(NAMES) == {cls.__name__ for cls in losses.classes if cls.__module__.startswith("xdfn.")}


class StudentT(ObjectiveBase):
    """Of one's own: a place, a scale and a third number for each target."""

    outputs_per_target = 3

    def link(self, z):
        return z[:, : z.shape[1] // 3]


def test_a_loss_may_have_several_outputs_for_each_target():
    loss, z = StudentT(), np.zeros((5, 6), "float32")
    assert loss.n_targets(6) == 2
    loss.check_shape(np.zeros((5, 2)), 6)
    y = loss.targets(np.zeros((5, 2)), z)
    assert (y.shape, y.dtype) == ((5, 2), np.float32)
    assert loss.targets(np.zeros(5), z[:, :3]).shape == (5, 1)
    with pytest.raises(
        ValueError, match=r"StudentT with 3 outputs expects y of shape \(n, 1\) or \(n,\), got \(5, 3\)"
    ):
        loss.check_shape(np.zeros((5, 3)), 3)
    with pytest.raises(ValueError, match=r"expected targets of the shape of the predictions \(5, 2\), got \(5, 6\)"):
        loss.targets(z, z)
    with pytest.raises(ValueError, match=r"StudentT expects 3 outputs of the network for each target, .* got 4"):
        loss.check_shape(np.zeros(5), 4)


def test_a_spread_is_told_by_losses_that_have_one():
    @register
    class Told(StudentT):
        def spread(self, z):
            return z[:, -1:]

    assert Told().spread(np.ones((2, 3))).tolist() == [[1.0], [1.0]]
    with pytest.raises(
        ValueError, match=r"the loss Huber\(delta=1.0\) tells no spread .*: Gaussian, Told; .* samples="
    ):
        losses.resolve("huber").spread(np.ones((2, 3)))
