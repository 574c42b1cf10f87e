"""One step: a pure function of numbers and arrays, and right."""

import numpy as np
import pytest
from fits import alike, tanh_network, weights, with_dropout
from steps import network as step_of

from xdfn import DFN, Context, FullyConnected, ReLU, Residual
from xdfn.train.state import TrainState


def network(x):
    return step_of(with_dropout(), x)


def test_a_step_goes_down_the_difference_quotient(rng):
    """The whole network's gradient along a random direction, in float64, dropout and link included."""
    x, y = rng.normal(size=(6, 5)), rng.integers(0, 4, 6)
    step, state = network(x)
    net, segments, h = step.network, step.segments, 1e-6
    drawn = Context((1, 0)), step.scalars(3).keys

    def loss(vector):
        z, _, _ = net.forward(segments.unpack([vector]), state.buffers, x, *drawn)
        return net.loss.value_and_grad(y, z, 1 / 6)

    (p,) = state.params
    r = rng.normal(size=p.shape)
    tree = segments.unpack([p])
    _, caches, _ = net.forward(tree, state.buffers, x, *drawn)
    (g,) = segments.gather(net.backward(tree, caches, loss(p)[1]), None)
    assert np.sum(g * r) == pytest.approx((loss(p + h * r)[0] - loss(p - h * r)[0]) / (2 * h), rel=1e-8)


def test_a_step_reads_nothing_and_compiles_once(rng):
    """Under jax.jit a step that asked for a value would fail, and one with a number as a constant compile again."""
    jax = pytest.importorskip("jax")
    x, y = jax.numpy.asarray(rng.normal(size=(6, 5))), jax.numpy.asarray(rng.integers(0, 4, 6))
    step, state = network(x)
    compiled = jax.jit(lambda arrays, x, y, scalars: step(TrainState(*arrays), x, y, 1 / 6, scalars)[0].arrays)
    arrays = state.arrays
    for t in range(4):
        arrays = compiled(arrays, x, y, step.scalars(t))
    assert compiled._cache_size() == 1


@pytest.fixture
def data(rng):
    return rng.normal(size=(20, 4)), rng.integers(0, 3, 20)


@pytest.mark.parametrize("optimizer", ["sgd(lr=0.1)", "adam(lr=0.05)"])
def test_averages_by_hand(backend, optimizer, data):
    """Weights after every step from a model trained step by step; the average as the docstring says."""
    X, y = data
    there = backend.array(X), backend.array(y)
    stepwise, averaged = tanh_network(optimizer), tanh_network(optimizer, ema=0.6)
    expected = weights(backend, tanh_network().initialize(X))
    for t in range(12):
        stepwise.fit(*there, 1, 20, verbose=None)
        d = min(0.6, (1 + t) / (10 + t))
        expected = {n: d * a + (1 - d) * weights(backend, stepwise)[n] for n, a in expected.items()}
    averaged.fit(*there, 5, 20, verbose=None).fit(*there, 7, 20, verbose=None)
    alike(backend, averaged, stepwise)  # the parameters themselves
    hidden = np.tanh(X @ expected["FC1", "W"] + expected["FC1", "b"])
    z = hidden @ expected["FC2", "W"] + expected["FC2", "b"]
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(backend.numpy(averaged.predict_proba(there[0])), p, rtol=1e-9)
    assert averaged.evaluate(*there, metric="loss") == pytest.approx(-np.log(p[np.arange(20), y]).mean(), rel=1e-9)
    np.testing.assert_allclose(backend.numpy(averaged.activations(there[0])["FC1"]), hidden, rtol=1e-9)


def test_a_step_is_the_same_as_long_as_nothing_that_it_depends_on_changes(rng):
    """A rate is no part of what is compiled, but training does not go on with another one."""
    x = rng.normal(size=(6, 5))
    model = with_dropout()
    first, _ = step_of(model, x)
    again, _ = step_of(model, x + 1)
    assert again.same(first)
    for lr in (0.5, 0.01):
        for layer in model.layers.values():
            layer.optimizer.lr = lr
        other, _ = step_of(model, x)
        assert other.compile_key() == first.compile_key()
        assert other.same(first) == (lr == 0.01)
    model.layers["Dropout1"].rate = 0.5
    assert step_of(model, x)[0].compile_key() != first.compile_key()
    model.layers["Dropout1"].rate = 0.3
    model.clip_norm = 1.0
    assert step_of(model, x)[0].compile_key() != first.compile_key()


def test_a_step_can_be_recorded_if_all_of_its_parts_can(rng):
    x = rng.normal(size=(6, 5))
    own = type("Own", (ReLU,), {"forward": lambda self, z: z})
    layers = [FullyConnected(4, own(), "he_normal"), FullyConnected(3, "affine", "he_normal")]
    for given, traceable in (
        (layers, False),
        ([Residual([layers[0], layers[0]]), layers[1]], False),
        ([layers[1]], True),
    ):
        step, _ = step_of(DFN(layers=given, seed=0), rng.normal(size=(6, 4)))
        assert step.traceable == traceable
    assert step_of(with_dropout(), x)[0].traceable
    assert step_of(with_dropout(), x)[0].compilable


def test_a_wrong_gradient_is_named(rng):
    x = rng.normal(size=(6, 5))
    step, state = step_of(with_dropout(), x)
    step.traceable = False  # as with a user's part
    gradients = [{"W": np.zeros((5, 7)), "b": np.zeros((1, 7))}, {}, {"W": (np.zeros((7, 6)), np.zeros((6, 4)))}]
    with pytest.raises(ValueError, match=r"layer 3, FullyConnected: pullback must give .* \(1, 4\) for 'b', got None"):
        step.update(state, gradients, step.scalars(0))


def test_a_part_that_says_that_it_is_traceable_is_checked_once(rng):
    """A gradient of the wrong shape would be broadcast into the parameters."""

    class Wrong(FullyConnected, traceable=True):
        def pullback(self, params, cache, dy, input_grad=True):
            dx, gradients = super().pullback(params, cache, dy, input_grad)
            return dx, {**gradients, "W": dy[:1, :]}

    model = DFN(layers=[Wrong(3, "affine", "he_normal")], seed=0)
    with pytest.raises(ValueError, match=r"gradient of shape \(5, 3\) for 'W', got \(1, 3\)"):
        model.fit(rng.normal(size=(20, 5)), rng.integers(0, 3, 20), 1, 10, None)
