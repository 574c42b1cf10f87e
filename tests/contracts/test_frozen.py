"""`layer.trainable = False`: bit-identical weights and statistics, no work below them, no memory; on every library."""

from typing import ClassVar

import numpy as np
import pytest
from fits import NotebookLinear, everything, of_everything

from xdfn import (
    DFN,
    SGD,
    BatchNorm,
    Callback,
    Dropout,
    FullyConnected,
    LayerBase,
    Residual,
    check_gradients,
    find_learning_rate,
)

OPTIMIZERS = ["sgd(lr=0.1)", "adam(lr=0.01)", "adamw(lr='cosine(0.01, 6)')"]


@pytest.fixture
def data(rng):
    return rng.normal(size=(100, 4)), rng.integers(0, 2, 100)


def values(backend, layer):
    """Parameters and buffers, on the host."""
    return {name: backend.numpy(x).copy() for name, x in {**layer.params, **layer.buffers}.items()}


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def network(optimizer="adam(lr=0.01)", **more):
    layers = [16, BatchNorm(), Dropout(0.2), Residual([FullyConnected(16, "tanh"), "layer_norm"]), 2]
    return DFN(layers=layers, optimizer=optimizer, seed=1, **more)


@pytest.mark.parametrize("frozen", [["FC1"], ["BatchNorm1", "Residual1"], ["FC1", "BatchNorm1", "Residual1"], ["FC2"]])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_frozen_layers_stay_bit_for_bit_and_others_learn(backend, data, optimizer, frozen):
    X, y = (backend.array(a) for a in data)
    model = network(optimizer, ema=0.9, clip_norm=1.0).fit(X, y, 2, 32, None)
    for name in frozen:
        model.layers[name].trainable = False
    before = {name: values(backend, layer) for name, layer in model.layers.items()}
    model.fit(X, y, 3, 32, None)
    for name, layer in model.layers.items():
        assert same(values(backend, layer), before[name]) is (name in frozen or not before[name]), name
    assert not any(model.snapshot()["slots"].get(name) for name in frozen)
    model.layers[frozen[0]].trainable = True
    model.fit(X, y, 1, 32, None)
    assert not same(values(backend, model.layers[frozen[0]]), before[frozen[0]])


def test_everything_at_once(backend, rng):
    """Penalties, constraints, clipping, averages, weights, schedules, a layer within a block."""
    X, y = rng.normal(size=(90, 6)), rng.integers(0, 2, 90)
    given = of_everything(X, y)
    given["sample_weight"] = backend.array(given["sample_weight"])
    model = everything()
    model.layers["FC1"].trainable = False
    model.layers["Residual1"].inner[0].trainable = False
    model.initialize(backend.array(X))
    before = {name: values(backend, model.layers[name]) for name in ("FC1", "Residual1")}
    model.fit(backend.array(X), backend.array(y), 3, **given)
    after = {name: values(backend, model.layers[name]) for name in before}
    assert same(before["FC1"], after["FC1"])
    moved = {
        name for name in before["Residual1"] if not np.array_equal(before["Residual1"][name], after["Residual1"][name])
    }
    assert moved == {"LayerNorm1.gamma", "LayerNorm1.beta"}


def test_a_frozen_first_layer_is_a_fit_on_its_outputs(backend, data):
    """The network above it learns what it would learn on the outputs, fed to it as inputs."""
    X, y = (backend.array(a) for a in data)
    whole = DFN(layers=[8, 6, 2], optimizer="adam(lr=0.01)", seed=3).initialize(X)
    whole.layers["FC1"].trainable = False
    upper = DFN(layers=[FullyConnected(6, "relu"), FullyConnected(2, "affine")], optimizer="adam(lr=0.01)", seed=3)
    for name, above in (("FC2", "FC1"), ("FC3", "FC2")):
        upper.layers[above].params = dict(whole.layers[name].params)
    inputs = whole.activations(X)["FC1"]
    whole.fit(X, y, 4, 32, None)
    upper.fit(inputs, y, 4, 32, None)
    np.testing.assert_allclose(whole.history["loss"], upper.history["loss"], rtol=1e-10)
    for name, above in (("FC2", "FC1"), ("FC3", "FC2")):
        a, b = values(backend, whole.layers[name]), values(backend, upper.layers[above])
        for key in a:
            np.testing.assert_allclose(a[key], b[key], rtol=1e-9, atol=1e-12)


def test_batch_norm_normalises_by_its_statistics_while_it_is_frozen(data):
    """As in Keras: the loss of an epoch with a rate of 0 is that of inference."""
    X, y = data
    model = DFN(layers=[8, BatchNorm(), 2], optimizer="sgd(lr=0.1)", seed=0).fit(X, y, 3, 25, None)
    model.layers["BatchNorm1"].trainable = False
    model.optimizer = SGD(lr=0.0)
    model.fit(X, y, 1, 25, None)
    assert model.history["loss"][-1] == pytest.approx(model.evaluate(X, y, metric="loss"), rel=1e-12)


class Counting(LayerBase):
    """y = w x, counting how often its gradients are asked for."""

    pulled: ClassVar[list] = []

    def __init__(self, mark="a"):
        super().__init__()
        self.mark = mark

    def init(self, rng, n_in):
        return {"w": np.ones((1, 1))}, {}, n_in

    def apply(self, params, buffers, x, ctx=None):
        return x * params["w"], x, buffers

    def pullback(self, params, cache, dy, input_grad=True):
        self.pulled.append((self.mark, input_grad))
        return dy * params["w"], {"w": (cache * dy).sum().reshape(1, 1)}


def test_nothing_is_computed_below_the_lowest_layer_that_learns(data):
    X, y = data
    model = DFN(layers=[Counting("a"), Counting("b"), Counting("c"), Counting("d"), 2], seed=0)
    for i, trainable in enumerate([False, False, True, False], 1):
        model.layers[f"Counting{i}"].trainable = trainable
    Counting.pulled.clear()
    model.fit(X, y, 1, 100, None)
    assert set(Counting.pulled) == {("d", True), ("c", False)}


def test_a_callback_may_freeze_and_free(backend, data):
    """As in fine-tuning: the upper layer learns first. It is the same as three fits."""

    class Thaw(Callback):
        def on_epoch_begin(self, model):
            model.layers["FC1"].trainable = len(model.history["loss"]) not in (2, 3)

    X, y = (backend.array(a) for a in data)
    at_once, in_parts = network(), network()
    at_once.fit(X, y, 6, 32, None, callbacks=[Thaw()])
    for n_epochs, trainable in ((2, True), (2, False), (2, True)):
        in_parts.layers["FC1"].trainable = trainable
        in_parts.fit(X, y, n_epochs, 32, None)
    assert at_once.history == in_parts.history


def test_by_hand(backend, data):
    X, y = backend.array(data[0]), backend.array(np.eye(2)[data[1]])
    models = [DFN(layers=[16, BatchNorm(), 8, 2], optimizer="adam(lr=0.01)", seed=1) for _ in range(2)]
    for model in models:
        model.initialize(X)
        model.layers["FC1"].trainable = model.layers["BatchNorm1"].trainable = False
    fitted, stepped = models
    fitted.fit(X, y, 2, 100, None)
    for _ in range(2):
        out, _ = stepped.forward(X)
        stepped.backward(stepped.loss.value_and_grad(y, out, 1 / 100)[1])
        stepped.update()
    for name, layer in fitted.layers.items():
        a, b = values(backend, layer), values(backend, stepped.layers[name])
        for key in a:
            np.testing.assert_allclose(a[key], b[key], rtol=1e-9, atol=1e-12)


def test_a_layer_by_itself(backend):
    x = backend.array(np.arange(6.0).reshape(3, 2))
    for layer in (FullyConnected(4), BatchNorm()):
        layer.forward(x)
        layer.flush_gradients()
        layer.trainable = False
        before = values(backend, layer)
        layer.backward(layer.forward(x))
        layer.update()
        assert same(values(backend, layer), before)


def test_a_layer_in_the_notebooks_style(data):
    X = data[0]
    model = DFN(layers=[NotebookLinear(3), 2], loss="squared_error", seed=0).initialize(X)
    model.layers["NotebookLinear1"].trainable = False
    before = model.layers["NotebookLinear1"].params["W"].copy()
    model.fit(X, X[:, :2], 2, 32, None)
    assert np.array_equal(model.layers["NotebookLinear1"].params["W"], before)


def test_it_is_saved_copied_and_shown(data, tmp_path):
    X, y = data
    model = network().fit(X, y, 1, 32, None)
    model.layers["FC1"].trainable = False
    model.layers["Residual1"].inner[1].trainable = False
    model.save(tmp_path / "m.npz")
    again = DFN.load(tmp_path / "m.npz")
    for m in (again, model):
        assert [layer.trainable for layer in m.layers.values()] == [False, True, True, True, True]
        assert [layer.trainable for layer in m.layers["Residual1"].inner] == [True, False]
        assert "FullyConnected, ReLU, frozen" in m.summary()
    assert again.fit(X, y, 2, 32, None).history == model.fit(X, y, 2, 32, None).history
    assert not DFN(layers=[model.layers["FC1"], 2]).layers["FC1"].trainable


def test_what_looks_at_gradients_looks_at_those_that_move(data):
    X, y = data
    model = network().initialize(X)
    model.layers["FC1"].trainable = False
    assert check_gradients(model, X, y) < 1e-6
    assert find_learning_rate(model, X, y, n_steps=20).suggestion > 0


def test_all_frozen_and_no_bool(data):
    X, y = data
    model = network().fit(X, y, 1, 32, None)
    for layer in model.layers.values():
        layer.trainable = False
    before = model.history["loss"][:]
    with pytest.raises(ValueError, match=r"there is nothing to train: all layers are frozen; layer.trainable = True"):
        model.fit(X, y, 1, 32, None)
    assert model.history["loss"] == before
    for wrong in (0, None, "no"):
        with pytest.raises(ValueError, match="trainable must be True or False"):
            model.layers["FC1"].trainable = wrong
