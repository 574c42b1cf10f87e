"""Each of these once went wrong."""

import numpy as np
import pytest

from xdfn import (
    DFN,
    L2,
    SGD,
    Adam,
    Callback,
    Checkpoint,
    Context,
    CSVLog,
    EarlyStopping,
    FullyConnected,
    GaussianNoise,
    MaxNorm,
    OptimizerBase,
    Softmax,
    find_learning_rate,
    random,
)
from xdfn.train.callbacks.base import callbacks


@pytest.fixture
def data(rng):
    X = rng.normal(size=(40, 4))
    return X, (X[:, 0] > 0) * 1


def same(a, b):
    assert a.history == b.history
    assert a.layers.keys() == b.layers.keys()
    for name, layer in a.layers.items():
        for parameter, value in layer.params.items():
            np.testing.assert_array_equal(value, b.layers[name].params[parameter], err_msg=f"{name}.{parameter}")


# -- normal numbers --

# offsets of keys whose first number is these bits: the ends, where u rounds to 0 and to 1, and the middle
OFFSETS = {
    -(2**31): 1252019204,
    -(2**31) + 1: 1502392200,
    -(2**31) + 63: 279214480,
    -(2**31) + 64: -1486231529,
    -1: -992696130,
    0: 0,
    2**31 - 64: 1242267733,
    2**31 - 1: 1425650792,
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bits", OFFSETS)
def test_noise_is_finite_whatever_the_bits(backend, bits, dtype):
    key, x = (1, OFFSETS[bits]), backend.array([[0.0]], dtype)
    first, second = backend.numpy(random.uniform_bits(key, (2,), x)).tolist()
    assert first == bits
    y = backend.numpy(backend.call(lambda x: GaussianNoise(1.0).apply({}, {}, x, Context(key))[0], x))
    assert y.dtype == dtype
    u, v = np.asarray([first, second], dtype).astype("float64") * 2.0**-32
    u = min(u + 0.5 + 2.0**-33, 1.0)  # in float32 the largest bits are rounded up to 2^31
    expected = np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v)
    assert y[0, 0] == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_noise_in_float32_is_not_infinite():
    x = np.zeros((1, 1), "float32")
    y = GaussianNoise(1.0).apply({}, {}, x, Context((1, 45231310)))[0]
    assert y[0, 0] == pytest.approx(2.461, abs=1e-3)


# -- a fit that is refused changes nothing --


def test_a_rate_assigned_before_a_refused_fit_holds_in_the_next(data):
    X, y = data
    model, other = (DFN(4, 2, optimizer=SGD(lr=0.01), seed=0).fit(X, y, 1, 20, verbose=None) for _ in range(2))
    model.optimizer.lr = other.optimizer.lr = 0.5
    with pytest.raises(ValueError, match="the same number of rows, got 40 and 10"):
        model.fit(X, y[:10], verbose=None)
    assert str(model.optimizer) == "SGD(lr=0.5)"
    same(model.fit(X, y, 2, 20, verbose=None), other.fit(X, y, 2, 20, verbose=None))
    assert {str(layer.optimizer) for layer in model.layers.values()} == {"SGD(lr=0.5)"}
    assert model.learning_rate == 0.5


def refuse_schedule(model, X, y):
    """The optimizer has memory of another kind, and waits for a value that this fit has not."""
    model.optimizer = "sgd(lr=\"plateau(0.1, monitor='val_loss')\", momentum=0.9)"
    with pytest.raises(ValueError, match="val_loss"):
        model.fit(X, y, 1, 20, verbose=None)
    model.optimizer = "adam(lr=0.01)"


def refuse_callback(model, X, y):
    class Refusing(Callback):
        def on_fit_begin(self, model, plan):
            model.optimizer = "momentum(0.1, 0.9)"  # taken back with all else
            raise ValueError("not this plan")

    with pytest.raises(ValueError, match="not this plan"):
        model.fit(X, y, 1, 20, verbose=None, callbacks=[Refusing()])


def break_off(model, X, y):
    class Looking(Callback):
        def on_batch_end(self, model, batch, n_batches, loss):
            assert np.isfinite(model.layers["FC1"].params["W"]).all()  # the model shows how far training is
            if batch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y, 1, 20, verbose=None, callbacks=[Looking()])


def assign_and_return(model, X, y):
    """Without a fit between: nothing has happened."""
    model.optimizer = "nadam(lr=0.1)"
    model.optimizer = "adam(lr=0.01)"


@pytest.mark.parametrize("refused", [refuse_schedule, refuse_callback, break_off, assign_and_return])
def test_a_refused_fit_leaves_the_optimizers_memory(data, refused, tmp_path):
    X, y = data
    model, other = (
        DFN(4, 2, optimizer="adam(lr=0.01)", seed=0, ema=0.9).fit(X, y, 3, 20, verbose=None) for _ in range(2)
    )
    rate, scores = model.learning_rate, model.predict_proba(X)
    refused(model, X, y)
    assert str(model.optimizer) == "adam(lr=0.01)"
    assert model.learning_rate == rate
    np.testing.assert_array_equal(model.predict_proba(X), scores)
    model.save(tmp_path / "model.npz")
    loaded = DFN.load(tmp_path / "model.npz")
    other.fit(X, y, 3, 20, verbose=None)
    same(model.fit(X, y, 3, 20, verbose=None), other)
    same(loaded.fit(X, y, 3, 20, verbose=None), other)


def test_a_refused_first_fit_leaves_a_new_model(data):
    X, y = data
    model = DFN(4, 2, optimizer=Adam(lr=0.01), seed=0)
    with pytest.raises(ValueError, match="the same number of rows"):
        model.fit(X, y[:10], verbose=None)
    assert not model.is_initialized
    assert np.isnan(model.learning_rate)
    model.fit(X[:, :3].astype("float32"), y, 2, 20, verbose=None)  # of another width and dtype
    other = DFN(4, 2, optimizer=Adam(lr=0.01), seed=0).fit(X[:, :3].astype("float32"), y, 2, 20, verbose=None)
    same(model, other)


def test_another_rule_begins_without_the_memory_of_the_first(data):
    """Adam's first step is lr in every entry, and Nadam has memory of the same names."""
    X, y = data
    model = DFN(4, 2, optimizer="nadam(lr=0.5)", seed=0, init_w="glorot_uniform").fit(X, y, 3, 20, verbose=None)
    before = model.layers["FC1"].params["W"].copy()
    model.optimizer = "adam(lr=1e-3)"
    model.fit(X, y, 1, 40, verbose=None)
    np.testing.assert_allclose(np.abs(model.layers["FC1"].params["W"] - before), 1e-3, rtol=1e-2)


# -- a layer by itself --


def test_a_layer_by_itself_is_held_to_its_penalty_and_constraint(backend):
    """W (2, 2) and b (1, 2) after a step of 0.1 with x = (1, 2), dy = (1, -1), by hand."""
    more = {"regularizer": L2(0.5), "constraint": MaxNorm(1.0)}
    layer = FullyConnected(2, "affine", "zeros", "sgd(lr=0.1)", **more)
    layer.forward(backend.array([[1.0, 2.0]]))
    layer.params["W"], layer.params["b"] = backend.array([[3.0, 0.2], [4.0, 0.2]]), backend.array([[5.0, 5.0]])
    layer.backward(backend.array([[1.0, -1.0]]))
    gathered = backend.numpy(layer.gradients["W"]).copy()
    layer.update()
    # W - 0.1 (x^T dy + 0.5 W) = [[2.75, 0.29], [3.6, 0.39]]; the first column is too long, and b is free
    length = (2.75**2 + 3.6**2) ** 0.5
    expected = [[2.75 / length, 0.29], [3.6 / length, 0.39]]
    np.testing.assert_allclose(backend.numpy(layer.params["W"]), expected, rtol=1e-12)
    np.testing.assert_allclose(backend.numpy(layer.params["b"]), [[4.9, 5.1]], rtol=1e-12)
    np.testing.assert_array_equal(backend.numpy(layer.gradients["W"]), gathered)
    np.testing.assert_array_equal(gathered, [[1.0, -1.0], [2.0, -2.0]])


class ByHand(FullyConnected):
    """A layer in the notebook's style, which keeps what it needs by itself."""

    def forward(self, X, retain_derived=True):
        return super().forward(X, retain_derived)


@pytest.mark.parametrize("kind", [FullyConnected, ByHand])
@pytest.mark.parametrize("rule", ["sgd(lr=0.1)", "adam(lr=0.1)", "sgd(lr=0.1, momentum=0.9, weight_decay=0.1)"])
def test_a_layer_by_itself_moves_as_in_a_network(rng, kind, rule):
    X = rng.normal(size=(10, 3))
    given = kind(2, "tanh", "std_normal(gain=2)", rule, regularizer="l1l2(0.1, 0.2)", constraint="max_norm(1)")
    model = DFN(layers=[given], loss="squared_error", seed=0).initialize(X)
    alone = model.layers["FC1"].clone()
    for _ in range(3):
        dy = rng.normal(size=(10, 2))
        for network in (model, alone):
            network.forward(X)
            network.backward(dy)
            network.update()
        alone.flush_gradients()
    for name, value in model.layers["FC1"].params.items():
        np.testing.assert_allclose(alone.params[name], value, rtol=1e-12, err_msg=name)
    assert np.linalg.norm(alone.params["W"], axis=0).max() <= 1 + 1e-12


# -- arguments --


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: EarlyStopping(None), "monitor must be the name of a value in the history"),
        (lambda: EarlyStopping(5), "monitor must be .* got 5"),
        (lambda: EarlyStopping(""), "monitor must be .* got ''"),
        (lambda: setattr(EarlyStopping(), "monitor", None), "monitor must be .* got None"),
        (lambda: Checkpoint("a.npz", 5), "monitor must be .* got 5"),
        (lambda: Checkpoint(None), "path must be the name of a file, .* got None"),
        (lambda: Checkpoint(b"a.npz"), "path must be the name of a file, .* got b'a.npz'"),
        (lambda: CSVLog(""), "path must be the name of a file, .* got ''"),
        (lambda: setattr(CSVLog("a.csv"), "path", 3), "path must be the name of a file, .* got 3"),
        (lambda: callbacks.resolve("early_stopping(None)"), "monitor must be .* got None"),
        (lambda: callbacks.resolve("checkpoint(5)"), "path must be .* got 5"),
        (lambda: callbacks.resolve("csv_log(None)"), "path must be .* got None"),
        (lambda: Softmax(0), "dim must be -1 or 1, .* got 0"),
        (lambda: setattr(Softmax(), "dim", 0), "dim must be -1 or 1, .* got 0"),
    ],
)
def test_a_bad_argument_is_named_at_once(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_paths_and_monitors_that_are_right(tmp_path):
    assert Checkpoint(tmp_path / "a.npz").path == str(tmp_path / "a.npz")
    assert CSVLog(tmp_path / "a.csv").path == str(tmp_path / "a.csv")
    assert Checkpoint("a.npz").monitor is None
    softmax = Softmax()
    softmax.dim = 1
    assert softmax == Softmax(1)


# -- the search for a learning rate --


class SignDescent(OptimizerBase):
    """Steps of a fixed length: a rule without a rate."""

    seen: list = []  # noqa: RUF012  shared by the copies

    def apply(self, p, g, slots, rates):
        self.seen.append(rates)
        return p - 1e-3 * (g > 0) + 1e-3 * (g < 0), slots


class OfTheClass(OptimizerBase):
    """A rule whose rate is an attribute of the class."""

    lr = 0.1

    def apply(self, p, g, slots, rates):
        return p - self.lr * g, slots


def test_no_rate_is_given_to_a_rule_without_one(data):
    X, y = data
    layers = [FullyConnected(4, "tanh", "he_normal", SignDescent()), FullyConnected(2, "affine", "he_normal", "sgd")]
    SignDescent.seen.clear()
    search = find_learning_rate(DFN(layers=layers, seed=0), X, y, n_steps=10, batch_size=20)
    assert len(search.rates) == 10
    assert set(SignDescent.seen) == {()}


def test_a_search_without_any_rate_says_so(data):
    X, y = data
    fixed = FullyConnected(2, "affine", "he_normal", SignDescent())
    model = DFN(layers=["dropout(0.1)", fixed], seed=0)  # dropout's rule has a rate, and nothing to move
    with pytest.raises(ValueError, match=r"an optimizer with a rate lr, such as 'sgd', got \[SignDescent"):
        find_learning_rate(model, X, y)


def test_a_rate_of_the_class_is_found(data):
    X, y = data
    search = find_learning_rate(DFN(4, 2, optimizer=OfTheClass(), seed=0), X, y, low=1e-3, n_steps=30, batch_size=20)
    assert search.losses[-1] != search.losses[0]
    assert 1e-3 <= search.suggestion <= 10
