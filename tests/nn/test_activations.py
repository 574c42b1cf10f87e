import numpy as np
import pytest
from parts import ACTIVATIONS

from xdfn import (
    ELU,
    GELU,
    SELU,
    Affine,
    HardSigmoid,
    LeakyReLU,
    Mish,
    ReLU,
    Sigmoid,
    SiLU,
    SoftPlus,
    Softsign,
    Tanh,
    sigmoid,
    softmax,
)
from xdfn.nn.activations import activations

Z = np.linspace(-6, 6, 42).reshape(7, 6) + 0.0123  # away from the kinks


@pytest.mark.parametrize("spec", ACTIVATIONS)
def test_values_are_numpys_on_every_library(backend, spec):
    g = activations.resolve(spec)
    for function in (g.forward, g.grad):
        expected = function(Z)
        # float32 has 7 digits and exp amplifies 6-fold; 1 - a^2 loses what a has in common with 1
        for dtype, rtol, atol in (("float64", 1e-13, 1e-15), ("float32", 2e-5, 1e-6)):
            z = backend.array(Z, dtype)
            result = backend.call(function, z)
            assert result.dtype == z.dtype
            np.testing.assert_allclose(backend.numpy(result), expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("spec", ACTIVATIONS)
def test_grad_is_the_difference_quotient(spec):
    g, h = activations.resolve(spec), 1e-6
    quotient = (g.forward(Z + h) - g.forward(Z - h)) / (2 * h)
    np.testing.assert_allclose(g.grad(Z), quotient, rtol=1e-7, atol=1e-9)  # of a central difference in float64


@pytest.mark.parametrize("spec", ACTIVATIONS)
def test_grad_is_that_of_jax(spec):
    jax = pytest.importorskip("jax")
    g = activations.resolve(spec)
    gradient = jax.grad(lambda z: g.forward(z).sum())(jax.numpy.asarray(Z))
    np.testing.assert_allclose(g.grad(Z), np.asarray(gradient), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("library", ["jax", "torch"])
def test_grad_of_libraries_at_zero_is_ours_where_there_is_no_kink(library):
    module = pytest.importorskip({"jax": "jax.numpy"}.get(library, library))
    grad = pytest.importorskip("jax").grad if library == "jax" else module.func.grad
    zero = np.zeros((1, 1))
    for g in (Sigmoid(), Tanh(), HardSigmoid(), Affine(2, 1), SoftPlus(), Softsign(), SiLU(), Mish(), GELU(), ELU()):
        gradient = grad(lambda z, g=g: g.forward(z).sum())(module.asarray(zero))
        assert float(gradient[0, 0]) == pytest.approx(g.grad(zero)[0, 0], rel=1e-15), g


@pytest.mark.parametrize("spec", ACTIVATIONS)
def test_pullback_is_grad_times_da(backend, spec, rng):
    g, da = activations.resolve(spec), rng.normal(size=Z.shape)
    z = backend.array(Z)
    dz = backend.call(lambda z, da: g.pullback(z, g.forward(z), da), z, backend.array(da))
    np.testing.assert_allclose(backend.numpy(dz), g.grad(Z) * da, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("spec", ACTIVATIONS)
def test_extreme_scores_stay_finite_in_float32(backend, spec):
    g = activations.resolve(spec)
    z = backend.array([[-1e4, -88.8, -0.0, 0.0, 88.8, 1e4]], "float32")
    for function in (g.forward, g.grad):
        assert np.isfinite(backend.numpy(backend.call(function, z))).all()


def test_values_of_other_libraries():
    torch = pytest.importorskip("torch")
    z, f = torch.asarray(Z), torch.nn.functional
    for ours, theirs in [
        (ReLU(), f.relu),
        (LeakyReLU(0.3), lambda z: f.leaky_relu(z, 0.3)),
        (Sigmoid(), torch.sigmoid),
        (Tanh(), torch.tanh),
        (SoftPlus(), lambda z: f.softplus(z, threshold=1e9)),
        (ELU(0.7), lambda z: f.elu(z, 0.7)),
        (SELU(), f.selu),
        (Softsign(), f.softsign),
        (SiLU(), f.silu),
        (Mish(), f.mish),
        (GELU(), lambda z: f.gelu(z, approximate="tanh")),
    ]:
        np.testing.assert_allclose(ours.forward(Z), theirs(z).numpy(), rtol=1e-13, atol=1e-15)


def test_values_by_hand():
    z = np.asarray([[-3.0, -1.0, 0.0, 1.0, 3.0]])
    assert HardSigmoid().forward(z).tolist() == [[0.0, 0.3, 0.5, 0.7, 1.0]]
    assert HardSigmoid().grad(z).tolist() == [[0.0, 0.2, 0.2, 0.2, 0.0]]
    assert ReLU().grad(z).tolist() == [[0.0, 0.0, 0.0, 1.0, 1.0]]
    assert Affine(2, 1).forward(z).tolist() == [[-5.0, -1.0, 1.0, 3.0, 7.0]]
    assert sigmoid(np.asarray([0.0, np.log(3)])).tolist() == pytest.approx([0.5, 0.75])
    assert softmax(np.log([[1.0, 2.0, 5.0]])).tolist() == [pytest.approx([0.125, 0.25, 0.625])]


def test_calling_takes_one_sample_as_a_row(backend):
    result = ReLU()(backend.array([-1.0, 2.0], "float32"))
    assert backend.numpy(result).tolist() == [[0.0, 2.0]]
    assert Sigmoid()([0, 0]).tolist() == [[0.5, 0.5]]
    assert sigmoid(0) == 0.5
    assert ReLU()(np.asarray([[1, -1]])).dtype == np.float64


def test_softmax_does_not_overflow(backend):
    result = backend.call(softmax, backend.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4]], "float32"))
    np.testing.assert_allclose(backend.numpy(result), [[1, 0, 0], [1 / 3] * 3], rtol=1e-6)
