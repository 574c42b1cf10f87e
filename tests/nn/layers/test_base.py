"""What holds for every layer."""

import numpy as np
import pytest
from parts import LAYERS

from xdfn import DFN, Context, CrossEntropy, FullyConnected, LayerBase, ReLU, Softmax
from xdfn.backend import product, random
from xdfn.nn.layers.base import layers

N, N_IN = 6, 5


def context(layer):
    return Context(layer.random_key(5, 0, 3))


def made(spec):
    layer = layers.resolve(spec)
    params, buffers, _ = layer.init(random.generator(1, random.WEIGHTS), N_IN)
    return layer, params, buffers


@pytest.mark.parametrize("spec", LAYERS)
def test_gradients_are_difference_quotients(spec, rng):
    layer, params, buffers = made(spec)
    ctx = context(layer)
    x, h = rng.normal(size=(N, N_IN)), 1e-6
    y, cache, _ = layer.apply(params, buffers, x, ctx)
    dy = rng.normal(size=y.shape)
    dx, gradients = layer.pullback(params, cache, dy)
    assert layer.pullback(params, cache, dy, False)[1].keys() == gradients.keys() == params.keys()

    def value(x, params):
        return np.sum(layer.apply(params, buffers, x, ctx)[0] * dy)

    r = rng.normal(size=x.shape)
    assert np.sum(dx * r) == pytest.approx((value(x + h * r, params) - value(x - h * r, params)) / (2 * h), rel=1e-7)
    for name, p in params.items():
        r = rng.normal(size=p.shape)
        quotient = (value(x, {**params, name: p + h * r}) - value(x, {**params, name: p - h * r})) / (2 * h)
        assert np.sum(product(gradients[name]) * r) == pytest.approx(quotient, rel=1e-7)


@pytest.mark.parametrize("spec", LAYERS)
def test_gradients_are_those_of_jax(spec, rng):
    jax = pytest.importorskip("jax")
    layer, params, buffers = made(spec)
    ctx = context(layer)
    x = rng.normal(size=(N, N_IN))
    dy = rng.normal(size=layer.apply(params, buffers, x, ctx)[0].shape)
    loss = lambda x, params: (layer.apply(params, buffers, x, ctx)[0] * dy).sum()  # noqa: E731
    dx, gradients = jax.grad(loss, (0, 1))(jax.numpy.asarray(x), jax.tree.map(jax.numpy.asarray, params))
    ours = layer.pullback(params, layer.apply(params, buffers, x, ctx)[1], dy)
    np.testing.assert_allclose(ours[0], dx, rtol=1e-9, atol=1e-12)
    for name in params:
        np.testing.assert_allclose(product(ours[1][name]), gradients[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rows", [1, N])
@pytest.mark.parametrize("spec", LAYERS)
def test_values_are_numpys_on_every_library(backend, spec, rows, rng):
    layer, params, buffers = made(spec)
    ctx = context(layer)
    x = rng.normal(size=(rows, N_IN))
    y, cache, _ = layer.apply(params, buffers, x, ctx)
    dy = rng.normal(size=y.shape)
    dx, gradients = layer.pullback(params, cache, dy)

    def both(x, dy, *values):
        p = dict(zip(params, values, strict=False))
        y, cache, _ = layer.apply(p, dict(zip(buffers, values[len(params) :], strict=True)), x, ctx)
        dx, gradients = layer.pullback(p, cache, dy)
        return [y, dx, *(product(gradients[name]) for name in params)]

    given = [x, dy, *params.values(), *buffers.values()]
    result = backend.call(both, *map(backend.array, given))
    for ours, numpys in zip(result, [y, dx, *(product(gradients[name]) for name in params)], strict=True):
        np.testing.assert_allclose(backend.numpy(ours), numpys, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("spec", LAYERS)
def test_extreme_inputs_stay_finite_in_float32(backend, spec):
    """Inputs up to 1e4: outputs and gradients are finite float32, and nothing warns."""
    layer = layers.resolve(spec)
    x = np.asarray([[-1e4, 1e4, 0, 1, -1], [1e4, 1e4, 1e4, 1e4, 1e4], [-1e4, -1e4, -1e4, -1e4, -1e4]], "float32")
    y = layer.forward(backend.array(x))
    dx = layer.backward(backend.array(np.ones(tuple(y.shape)), "float32"))
    for result in (y, dx, *layer.gradients.values()):
        result = backend.numpy(result)
        assert result.dtype == np.float32
        assert np.isfinite(result).all()


def test_hyperparams():
    layer = FullyConnected(3, "relu", "he_uniform", "adam")
    layer.forward(np.ones((1, 2)))
    h = layer.hyperparams
    assert list(h) == ["layer", "init_w", "n_in", "n_out", "acti_fn", "optimizer", "components"]
    assert (h["layer"], h["init_w"], h["n_in"], h["n_out"], h["acti_fn"]) == (
        "FullyConnected",
        "he_uniform",
        2,
        3,
        "ReLU",
    )
    adam = {"op": "Adam", "lr": 0.001, "decay1": 0.9, "decay2": 0.999, "eps": 1e-7}
    assert h["optimizer"] == {"hyperparams": adam}
    assert h["components"].keys() == {"W", "b"}
    assert isinstance(layer.acti_fn, ReLU)
    softmax = Softmax()
    softmax.forward(np.ones((1, 4)))
    assert softmax.hyperparams["layer"] == "SoftmaxLayer"
    assert softmax.hyperparams["n_out"] == softmax.hyperparams["n_in"] == 4
    assert "components" not in softmax.hyperparams


def test_a_layer_of_ones_own_needs_two_functions(backend, rng):
    class Square(LayerBase):
        def apply(self, params, buffers, x, ctx=None):
            return x * x, x, buffers

        def pullback(self, params, cache, dy, input_grad=True):
            return 2 * cache * dy, {}

    x = rng.normal(size=(60, 2))
    y = np.sum(x * x, axis=1) > 1.4  # a circle, which takes the square to be found
    layers = [FullyConnected(6, "affine", "glorot_uniform"), Square(), FullyConnected(2, "affine", "glorot_uniform")]
    model = DFN(layers=layers, loss=CrossEntropy, optimizer="adam(lr=0.02)", seed=0)
    model.fit(backend.array(x), backend.array(y), 40, 10, verbose=None)
    assert model.evaluate(backend.array(x), backend.array(y)) > 0.9
    assert list(model.layers) == ["FC1", "Square1", "FC2"]
    assert random.WEIGHTS == 0
