import numpy as np
import pytest
from steps import network as step_of

from xdfn import DFN, Context, CrossEntropy, Dropout, FullyConnected, LayerBase, Softmax
from xdfn.backend import fresh_copy, place, random
from xdfn.nn.losses import losses
from xdfn.train.state import TrainState


def layers_of(spec="adam(lr=0.01)"):
    return DFN(
        layers=[FullyConnected(7, "tanh", "glorot_uniform"), Dropout(0.3), FullyConnected(4, "affine", "he_normal")],
        optimizer=spec,
        seed=5,
    )


def network(x):
    return step_of(layers_of(), x)


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


@pytest.mark.parametrize(("link", "loss"), [("softmax", "cross_entropy"), ("sigmoid", "binary_cross_entropy")])
def test_a_last_layer_that_is_the_link_is_folded_in(link, loss, rng):
    """The folded network against the explicit link and the chain rule through it."""
    last = (
        [FullyConnected(3, "affine", "he_normal"), Softmax()]
        if link == "softmax"
        else [FullyConnected(3, link, "he_normal")]
    )
    x = rng.normal(size=(6, 5))
    y = np.eye(3)[rng.integers(0, 3, 6)]
    model = DFN(layers=last, loss=loss, seed=1, optimizer="sgd(lr=0.1)").initialize(x)
    probabilities, _ = model.forward(x)
    np.testing.assert_allclose(probabilities, model.predict_proba(x), rtol=1e-12)
    np.testing.assert_allclose(probabilities, losses.resolve(loss).link(_scores(model, x)), rtol=1e-12)

    dp = -y / probabilities if link == "softmax" else (probabilities - y) / (probabilities * (1 - probabilities))
    model.backward(dp / 6)
    expected = model.layers["FC1"].params["W"] - 0.1 * model.layers["FC1"].gradients["W"]
    model.flush_gradients()
    model.fit(x, y, 1, 6, verbose=None)
    np.testing.assert_allclose(model.layers["FC1"].params["W"], expected, rtol=1e-10)


def _scores(model, x):
    params = model.layers["FC1"].params
    return x @ params["W"] + params["b"]


def test_what_is_not_the_link_is_not_folded(rng):
    x = rng.normal(size=(4, 5))
    model = DFN(layers=[FullyConnected(3, "sigmoid", "he_normal")], loss="squared_error", seed=0).initialize(x)
    np.testing.assert_allclose(model.predict(x), 1 / (1 + np.exp(-_scores(model, x))), rtol=1e-12)


def test_neighbours_with_equal_optimizers_share_a_segment(rng):
    x = rng.normal(size=(4, 5))
    layers = [FullyConnected(2, "relu", "he_normal", opt) for opt in (None, None, "adam", "sgd(lr=0.5)", "sgd(lr=0.5)")]
    step, _ = step_of(DFN(layers=layers, optimizer="adam", seed=0), x)
    assert [(str(s.optimizer)[:4], len(s.entries)) for s in step.segments.segments] == [("Adam", 6), ("SGD(", 4)]


def test_the_first_layer_computes_no_input_gradient(rng):
    asked = []

    class Spy(FullyConnected):
        def pullback(self, params, cache, dy, input_grad=True):
            asked.append(input_grad)
            return super().pullback(params, cache, dy, input_grad)

    x = rng.normal(size=(8, 5))
    layers = [Dropout(0.1), Spy(4, "relu", "he_normal"), Spy(3, "affine", "he_normal")]
    DFN(layers=layers, seed=0).fit(x, rng.integers(0, 3, 8), 1, 8, verbose=None)
    assert asked == [True, False]


def test_the_state_makes_a_round_trip(backend, rng):
    x = backend.array(rng.normal(size=(6, 5)), "float32")
    step, state = network(x)
    net = step.segments
    tree = net.unpack(state.params)
    shapes = [{name: tuple(p.shape) for name, p in layer.items()} for layer in tree]
    assert shapes == [
        {"W": (5, 7), "b": (1, 7)},
        {},
        {"W": (7, 4), "b": (1, 4)},
    ]
    for ours, packed in zip(state.params, net.pack(tree), strict=True):
        assert (backend.numpy(ours) == backend.numpy(packed)).all()
    slots = net.unpack_slots(state.slots)
    assert slots[0]["W"].keys() == {"m", "v"}
    for ours, packed in zip(state.slots, net.pack_slots(slots, state.params), strict=True):
        assert all((backend.numpy(a) == backend.numpy(b)).all() for a, b in zip(ours, packed, strict=True))


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


def test_jax_compiles_twice_however_many_epochs_fits_and_learning_rates(rng):
    pytest.importorskip("jax")
    import jax

    from xdfn.backend._jax import _compiled

    model = layers_of("adam(lr=0.02)")
    x, y = jax.numpy.asarray(rng.normal(size=(20, 5))), jax.numpy.asarray(rng.integers(0, 4, 20))
    before = _compiled()._cache_size()
    for _ in range(3):
        model.fit(x, y, 2, 8, verbose=None)
        for layer in model.layers.values():
            layer.optimizer.lr *= 0.5
    assert _compiled()._cache_size() == before + 2  # the full batches, and the short last one


def test_training_writes_to_no_array_of_the_callers(backend, rng):
    x, y = backend.array(rng.normal(size=(20, 5)), "float32"), backend.array(rng.integers(0, 4, 20))
    x0, y0 = backend.numpy(x).copy(), backend.numpy(y).copy()
    model = layers_of().initialize(x)
    shown = [model.layers["FC1"].params["W"], model.layers["FC2"].params["b"]]
    values = [backend.numpy(a).copy() for a in shown]
    model.fit(x, y, 2, 8, verbose=None)
    again = model.layers["FC1"].params["W"]
    kept = backend.numpy(again).copy()
    model.fit(x, y, 2, 8, verbose=None)
    model.forward(x)
    assert (backend.numpy(x) == x0).all()
    assert (backend.numpy(y) == y0).all()
    assert all((backend.numpy(a) == v).all() for a, v in zip(shown, values, strict=True))
    assert (backend.numpy(again) == kept).all()


def test_copies_are_copies(backend):
    tree = {"a": (backend.array([1.0, 2.0]), 7)}
    fresh = fresh_copy(tree)
    again = fresh_copy(fresh)
    assert backend.numpy(again["a"][0]).tolist() == [1, 2]
    assert again["a"][1] == 7
    assert fresh["a"][0] is not tree["a"][0]
    assert place(again["a"][0]) == place(tree["a"][0])


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
