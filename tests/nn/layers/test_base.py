import numpy as np
import pytest
from parts import LAYERS

from xdfn import Context, Dropout, FullyConnected, ReLU, Softmax
from xdfn.backend import product, random
from xdfn.nn.layers.base import layers

N, N_IN = 6, 5


def context(layer):
    return Context(layer.keys(5, 0, 3))


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


def test_the_notebooks_face(backend, rng):
    layer = FullyConnected(3, "sigmoid", "std_normal(gain=0.5)", "sgd(lr=0.1)")
    assert not layer.is_initialized
    x1, x2, d1, d2 = (rng.normal(size=shape) for shape in ((4, 2), (5, 2), (4, 3), (5, 3)))
    X1, X2 = backend.array(x1), backend.array(x2)
    assert layer.forward(X1, retain_derived=False).shape == (4, 3)
    assert layer.X == []
    a = layer.forward(X1)
    assert layer.X == [X1] if backend.value == "numpy" else len(layer.X) == 1
    assert (layer.n_in, layer.n_out, layer.is_initialized) == (2, 3, True)
    W, b = (backend.numpy(layer.params[name]).copy() for name in ("W", "b"))
    assert (W.shape, b.shape) == ((2, 3), (1, 3))
    expected = 1 / (1 + np.exp(-(x1 @ W + b)))
    np.testing.assert_allclose(backend.numpy(a), expected, rtol=1e-12)
    dX = layer.backward(backend.array(d1))
    dz1 = d1 * expected * (1 - expected)
    np.testing.assert_allclose(backend.numpy(dX), dz1 @ W.T, rtol=1e-12)
    np.testing.assert_allclose(backend.numpy(layer.gradients["W"]), x1.T @ dz1, rtol=1e-12)

    layer.flush_gradients()
    assert layer.X == []
    assert (backend.numpy(layer.gradients["W"]) == 0).all()
    layer.forward(X1)
    a2 = 1 / (1 + np.exp(-(x2 @ W + b)))
    np.testing.assert_allclose(backend.numpy(layer.forward(X2)), a2, rtol=1e-12)
    first, second = layer.backward([backend.array(d1), backend.array(d2)])
    dz2 = d2 * a2 * (1 - a2)
    np.testing.assert_allclose(backend.numpy(first), dz1 @ W.T, rtol=1e-12)
    np.testing.assert_allclose(backend.numpy(second), dz2 @ W.T, rtol=1e-12)
    dW, db = x1.T @ dz1 + x2.T @ dz2, dz1.sum(0, keepdims=True) + dz2.sum(0, keepdims=True)
    np.testing.assert_allclose(backend.numpy(layer.gradients["W"]), dW, rtol=1e-12)
    np.testing.assert_allclose(backend.numpy(layer.gradients["b"]), db, rtol=1e-12)
    shown = layer.params["W"]
    layer.update()
    np.testing.assert_allclose(backend.numpy(layer.params["W"]), W - 0.1 * dW, rtol=1e-12)
    assert (backend.numpy(shown) == W).all()  # an array once read stays as it was read


def test_backward_without_retaining_leaves_the_gradients():
    layer = FullyConnected(2, "relu", "he_uniform")
    layer.forward(np.ones((3, 2)))
    layer.backward(np.ones((3, 2)), retain_grads=False)
    assert (layer.gradients["W"] == 0).all()
    with pytest.raises(ValueError, match="one gradient for each of the 1 retained forwards, got 2"):
        layer.backward([np.ones((3, 2))] * 2)


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


def test_softmax_backward_is_the_jacobian_product(rng):
    layer, x, dy = Softmax(), rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    y = layer.forward(x)
    jacobians = [np.diag(row) - np.outer(row, row) for row in y]
    np.testing.assert_allclose(layer.backward(dy), [J @ d for J, d in zip(jacobians, dy, strict=True)], rtol=1e-12)


def test_dropout(backend):
    layer = Dropout(0.25)
    x = backend.array(np.ones((200, 500)), "float32")
    y = backend.numpy(layer.forward(x))
    values, counts = np.unique(y, return_counts=True)
    np.testing.assert_allclose(values, [0, 1 / 0.75], rtol=1e-6)
    assert counts[0] / y.size == pytest.approx(0.25, abs=5 * (0.25 * 0.75 / y.size) ** 0.5)  # 5 standard errors
    dx = backend.numpy(layer.backward(backend.array(np.full((200, 500), 3.0), "float32")))
    np.testing.assert_allclose(dx, 3 * y, rtol=1e-6)
    assert layer.forward(x, retain_derived=False) is x
    assert (backend.numpy(layer.forward(x)) != y).any()
    assert (backend.numpy(Dropout(1 - 1e-12).forward(x)) == 0).all()


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
