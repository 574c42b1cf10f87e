"""Models do not share what changes: parts, arrays, memory; and what is assigned takes effect or is refused."""

import numpy as np
import pytest

from xdfn import DFN, Adam, CrossEntropy, Dropout, FullyConnected, LayerBase, LeakyReLU, ObjectiveBase, register


def test_a_loss_belongs_to_one_model():
    one, other = DFN(8, 2), DFN(8, 2)
    one.loss.smoothing = 0.4
    assert other.loss == DFN(8, 2).loss == CrossEntropy()


@pytest.fixture
def data(rng):
    X = rng.normal(size=(64, 4))
    return X, (X @ rng.normal(size=4) > 0).astype(int)


def test_an_activation_belongs_to_one_layer(data):
    g = LeakyReLU(0.1)
    model = DFN(layers=[FullyConnected(4, g, "he_normal"), FullyConnected(2, g, "he_normal")])
    other = DFN(layers=list(model.layers.values()))
    model.layers["FC1"].acti_fn.alpha = 0.9
    assert [m.layers[name].acti_fn.alpha for m in (model, other) for name in m.layers] == [0.9, 0.1, 0.1, 0.1]
    assert g.alpha == 0.1


class Centre(LayerBase):
    """x - mean, with the mean of the last batch in a buffer."""

    def init(self, rng, n_in):
        return {}, {"mean": np.zeros((1, n_in))}, n_in

    def apply(self, params, buffers, x, ctx=None):
        mean = buffers["mean"] if ctx is None else x.mean(axis=0, keepdims=True)
        return x - mean, None, {"mean": mean}

    def pullback(self, params, cache, dy, input_grad=True):
        return dy - dy.mean(axis=0, keepdims=True), {}


def network(optimizer="adam(lr=0.01)", *, loss="cross_entropy", n_out=2, first=()):
    hidden, last = FullyConnected(8, "leakyrelu", "glorot_uniform"), FullyConnected(n_out, "affine", "glorot_uniform")
    return DFN(layers=[*first, hidden, last], optimizer=optimizer, loss=loss, seed=0)


def test_arrays_belong_to_one_model(data):
    X, y = data
    one = network(first=[Centre()]).fit(X + 3, y, 4, 32, verbose=None)
    before, shown = one.predict_proba(X), one.layers["Centre1"].buffers["mean"]
    kept = shown.copy()
    other = DFN(layers=list(one.layers.values()), optimizer="adam", seed=1).fit(X - 50, y, 4, 32, verbose=None)
    other.layers["FC1"].params["W"] *= 0
    assert np.array_equal(one.predict_proba(X), before)
    one.fit(X, y, 3, 32, verbose=None)
    assert np.array_equal(shown, kept)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("sgd(lr=0.01, momentum=0.9)", "momentum(lr=0.01, momentum=0.9)"),
        ("adagrad(lr=0.01)", "rmsprop(lr=0.01)"),
        ("rmsprop(lr=0.01)", "adagrad(lr=0.01)"),
        ("adam(lr=0.01)", "nadam(lr=0.01)"),
    ],
)
def test_memory_serves_the_rule_that_made_it(data, first, then):
    X, y = data
    model = network(first).fit(X, y, 3, 32, verbose=None)
    fresh = network(then)
    for name, layer in model.initialize(X).layers.items():
        fresh.initialize(X).layers[name].params = dict(layer.params)
    fresh._memory.epoch = model._memory.epoch  # the same orders
    model.optimizer = then
    assert (
        model.fit(X, y, 2, 32, verbose=None).history["loss"][3:] == fresh.fit(X, y, 2, 32, verbose=None).history["loss"]
    )


def test_a_rate_assigned_to_the_models_optimizer_takes_effect(data):
    X, y = data
    given = Adam(lr=0.01)
    model = network(given).fit(X, y, 1, verbose=None)
    model.optimizer.lr = 0.0
    W = model.layers["FC1"].params["W"]
    model.fit(X, y, 1, verbose=None)
    assert np.array_equal(model.layers["FC1"].params["W"], W)
    assert given.lr == 0.01  # which may serve another model
    with pytest.raises(AttributeError):
        network("adam").optimizer.lr = 0.1


def test_a_rate_assigned_and_saved_takes_effect_after_loading(data, tmp_path):
    X, y = data
    model = network(Adam(lr=0.01)).fit(X, y, 2, verbose=None)
    model.optimizer.lr = 0.1
    model.save(tmp_path / "m.npz")
    again = DFN.load(tmp_path / "m.npz").fit(X, y, 2, verbose=None)
    assert again.history == model.fit(X, y, 2, verbose=None).history
    assert again.layers["FC1"].optimizer.lr == 0.1


def test_a_new_layer_takes_the_models_optimizer_and_no_old_memory(data):
    X, y = data
    model = network().fit(X, y, 2, verbose=None)
    model.layers["FC2"] = FullyConnected(3, "affine", "glorot_uniform")
    model.fit(X, y, 1, verbose=None)
    assert str(model.layers["FC2"].optimizer).startswith("Adam(lr=0.01")
    model.layers["FC2"] = FullyConnected(3, "affine", "glorot_uniform", Adam(lr=0.0)).clone()
    before = model.initialize(X).layers["FC2"].params["W"]
    model.fit(X, y, 1, verbose=None)
    assert np.array_equal(model.layers["FC2"].params["W"], before)


def test_an_optimizer_assigned_to_a_layer_is_its_own(data):
    X, y = data
    model = network("sgd").fit(X, y, 1, verbose=None)
    model.layers["FC1"].optimizer = "sgd(lr=0)"
    model.optimizer = "adam"
    assert [str(layer.optimizer)[:4] for layer in model.layers.values()] == ["SGD(", "Adam"]
    W = model.layers["FC1"].params["W"]
    model.fit(X, y, 1, verbose=None)
    assert np.array_equal(model.layers["FC1"].params["W"], W)


def test_own_and_inherited_optimizers_survive_a_file(data, tmp_path):
    model = network("sgd").fit(*data, 1, verbose=None)
    model.layers["FC1"].optimizer = "sgd(lr=0)"
    model.save(tmp_path / "m.npz")
    again = DFN.load(tmp_path / "m.npz")
    again.optimizer = "adam"
    assert [str(layer.optimizer)[:4] for layer in again.layers.values()] == ["SGD(", "Adam"]


def test_what_is_fixed_says_so(data):
    model = network()
    for name in ("seed", "init_w", "hidden_dims_1"):
        with pytest.raises(AttributeError, match=f"{name} is fixed"):
            setattr(model, name, 3)
    model.fit(*data, 1, verbose=None)
    model.layers["FC2"].n_out = 3
    with pytest.raises(ValueError, match="was made for 8 inputs and 2 outputs"):
        model.fit(data[0], np.arange(64) % 3, 1, verbose=None)


class Plain(ObjectiveBase):
    """As a user writes it: no thought of shapes."""

    def value_and_grad(self, y, z, weight):
        d = z - y
        return (0.5 * d * d).sum() * weight, d * weight


def test_an_own_loss_gets_aligned_targets(data):
    X, _ = data
    y = X @ np.arange(4)
    own, ours = (network(loss=loss, n_out=1) for loss in (Plain(), "squared_error"))
    for model in (own, ours):
        model.fit(X, y, 3, 32, verbose=None)
    assert own.history["loss"] == pytest.approx(ours.history["loss"], rel=1e-12)
    assert own.evaluate(X, y) == pytest.approx(ours.evaluate(X, y), rel=1e-12)
    np.testing.assert_allclose(own.input_gradients(X, y), ours.input_gradients(X, y), rtol=1e-12)


def test_a_loss_that_a_file_cannot_hold_is_refused(data, tmp_path):
    @register
    class Weighted(CrossEntropy):
        def __init__(self, k=1.0):
            super().__init__()
            self.kk = k

    model = network(loss=Weighted(7.0)).fit(*data, 1, verbose=None)
    with pytest.raises(ValueError, match="cannot save the loss"):
        model.save(tmp_path / "m.npz")


def test_an_own_link_is_not_that_of_the_layer(data):
    class Cool(CrossEntropy):
        def link(self, z):
            return super().link(z / 5)

    X, y = data
    model = DFN(layers=["fc(2, 'affine', 'he_normal')", "softmax"], loss=Cool(), seed=0).fit(X, y, 1, verbose=None)
    p = model.activations(X)["Softmax1"] / 5
    np.testing.assert_allclose(model.predict_proba(X), np.exp(p) / np.exp(p).sum(axis=1, keepdims=True), rtol=1e-12)


def test_dropout_in_a_clone_is_its_own():
    layer = Dropout(0.3)
    model = DFN(layers=["fc(2, 'relu', 'he_normal')", layer, "fc(2, 'affine', 'he_normal')"])
    model.layers["Dropout1"].rate = 0.9
    assert layer.rate == 0.3
