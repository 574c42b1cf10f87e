"""Parts that users write, in both styles, well and badly."""

import importlib.util

import numpy as np
import pytest

from xdfn import (
    DFN,
    SGD,
    ActivationBase,
    FullyConnected,
    InitializerBase,
    LayerBase,
    ObjectiveBase,
    OptimizerBase,
    ReLU,
    Sigmoid,
    check_gradients,
    register,
)

LIBRARIES = [
    pytest.param(lambda x: x, id="numpy"),
    pytest.param(
        lambda x: __import__("jax").numpy.asarray(x),
        id="jax",
        marks=pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed"),
    ),
]


class Power(ActivationBase):
    """z |z|^k, which keeps its argument to itself."""

    def __init__(self, k):
        self._k = k

    def forward(self, z):
        return z * abs(z) ** self._k

    def grad(self, z):
        return (1 + self._k) * abs(z) ** self._k


@pytest.fixture
def data(rng):
    X = rng.uniform(-1, 1, (64, 3))
    return X, X @ rng.normal(size=(3, 2))


def losses(model, X, y, *, epochs=3):
    return model.fit(X, y, epochs, 16, verbose=None).history["loss"]


def network(*layers, optimizer="sgd(lr=0.1)", loss="squared_error"):
    return DFN(layers=list(layers), optimizer=optimizer, loss=loss, seed=1)


def powers(k):
    hidden = FullyConnected(4, Power(k), "glorot_normal")
    return network(hidden, "fc(2, 'affine', 'glorot_normal')", optimizer="sgd(lr=0.01)")


@pytest.mark.parametrize("array", LIBRARIES)
def test_arguments_kept_in_private_attributes_count(data, array, tmp_path):
    X, y = map(array, data)
    curves = {}
    for k in (1, 2):
        curves[k] = losses(powers(k), X, y)
    assert curves[1] != curves[2]
    x, t = data
    for k in (1, 2):  # each is what NumPy computes without any compiled step
        plain = losses(powers(k), x, t)
        np.testing.assert_allclose(curves[k], plain, rtol=1e-10)
    assert Power(1) != Power(2)
    assert Power(1) == Power(1)
    register(Power)
    model = network(FullyConnected(2, Power(3), "he_normal")).fit(X, y, 1, verbose=None)
    with pytest.raises(ValueError, match="FC1"):
        model.save(tmp_path / "m.npz")


def test_optimizers_with_private_arguments_are_not_merged(data):
    class Private(OptimizerBase):
        def __init__(self, rate):
            self._rate = rate

        def apply(self, p, g, slots, rates):
            return p - self._rate * g, slots

    X, y = data
    model = network(
        FullyConnected(4, "tanh", "he_normal", Private(0.1)), FullyConnected(2, "affine", "he_normal", Private(0.0))
    ).initialize(X)
    before = {name: layer.params["W"].copy() for name, layer in model.layers.items()}
    model.fit(X, y, 1, verbose=None)
    assert not np.array_equal(before["FC1"], model.layers["FC1"].params["W"])
    assert np.array_equal(before["FC2"], model.layers["FC2"].params["W"])


class Step(OptimizerBase):
    """SGD that reads its rate where it uses it."""

    def __init__(self, lr=0.1):
        self.lr = lr

    def apply(self, p, g, slots, rates):
        return p - self.lr * g, slots


@pytest.mark.parametrize("array", LIBRARIES)
def test_a_rate_read_in_apply_may_change(data, array):
    X, y = map(array, data)
    curves = []
    for rule in (Step(), SGD(0.1)):
        model = network(FullyConnected(2, "affine", "he_normal"), optimizer=rule)
        losses(model, X, y, epochs=2)
        model.layers["FC1"].optimizer.lr = 0.01
        curves.append(losses(model, X, y, epochs=2))
    np.testing.assert_allclose(*curves, rtol=1e-10)


@pytest.mark.parametrize("array", LIBRARIES)
def test_attributes_without_a_hash_are_told_apart(data, array):
    class Bag:
        def __init__(self, slope):
            self.slope = slope

        def __eq__(self, other):
            return False

    class Odd(ActivationBase):
        def __init__(self, bag):
            self.bag = bag

        def forward(self, z):
            return self.bag.slope * z

        def grad(self, z):
            return self.bag.slope + 0 * z

    X, y = map(array, data)
    curves = [losses(network(FullyConnected(2, Odd(Bag(s)), "he_normal")), X, y) for s in (0.5, 2.0, 0.5)]
    assert curves[0] == curves[2]
    assert curves[0] != curves[1]


def test_an_own_function_over_an_inherited_pullback(data):
    class Steep(Sigmoid):
        def forward(self, z):
            return super().forward(3 * z)

        def grad(self, z):
            return 3 * super().grad(3 * z)

    class Shifted(ReLU):
        def forward(self, z):
            return super().forward(z - 1)

        def grad(self, z):
            return super().grad(z - 1)

    for own in (Steep(), Shifted()):
        model = network(FullyConnected(5, own, "he_normal"), "fc(2, 'affine', 'he_normal')")
        assert check_gradients(model, *data) < 1e-6


def test_loss_and_grad_follow_from_value_and_grad():
    class Quartic(ObjectiveBase):
        def value_and_grad(self, y, z, weight):
            d = z - y
            return np.sum(d**4) * weight, 4 * d**3 * weight

    y, p = np.asarray([[1.0], [2.0]]), np.asarray([[2.0], [4.0]])
    assert Quartic()(y, p) == (1 + 16) / 2
    assert Quartic().grad(y, p).tolist() == [[2.0], [16.0]]


def test_a_subclass_of_a_last_layer_that_ends_differently_is_not_folded(data):
    class Scaled(FullyConnected):
        def apply(self, params, buffers, x, ctx=None):
            y, cache, buffers = super().apply(params, buffers, x, ctx)
            return 4 * y, cache, buffers

        def pullback(self, params, cache, dy, input_grad=True):
            return super().pullback(params, cache, 4 * dy, input_grad)

    X, y = data[0], (data[1][:, 0] > 0).astype(int)
    model = network(Scaled(1, "sigmoid", "he_normal"), loss="bce")
    assert check_gradients(model, X, y) < 1e-6
    model.fit(X, y, 1, verbose=None)
    scores = model.activations(X)["Scaled1" if "Scaled1" in model.layers else "FC1"]
    np.testing.assert_allclose(model.predict_proba(X), 1 / (1 + np.exp(-scores[:, 0])), rtol=1e-12)


class Bare(LayerBase):
    def apply(self, params, buffers, x, ctx=None):
        return x


class Flat(InitializerBase):
    def draw(self, rng, shape):
        return rng.normal(size=shape[::-1])


class NoSuper(LayerBase):
    def __init__(self, n_out):
        self.n_out = n_out


class Wider(LayerBase):
    def apply(self, params, buffers, x, ctx=None):
        return x[:, :1], None, buffers


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: NoSuper(3), r"NoSuper: its constructor must call super\(\)"),
        (Bare, r"Bare.apply must give \(y, cache, buffers\).*got ndarray"),
        (Wider, r"Wider.apply must give .* shape \(1, 3\).*got y of shape \(1, 1\)"),
        (lambda: FullyConnected(2, "tanh", Flat()), r"Flat.draw must give shape \(3, 2\), got \(2, 3\)"),
    ],
    ids=["super", "bare", "width", "initialiser"],
)
def test_a_badly_written_part_is_named(data, layer, message):
    with pytest.raises(ValueError, match=message):
        network(layer(), "fc(2, 'affine', 'he_normal')").fit(*data, 1, verbose=None)


class Slash(LayerBase):
    def init(self, rng, n_in):
        return {"a/b": np.ones((1, n_in))}, {}, n_in

    def apply(self, params, buffers, x, ctx=None):
        return x * params["a/b"], x, buffers

    def pullback(self, params, cache, dy, input_grad=True):
        return dy * params["a/b"], {"a/b": (dy * cache).sum(axis=0, keepdims=True)}


def test_a_name_that_a_file_cannot_hold_is_refused(data, tmp_path):
    register(Slash)
    model = network(Slash(), "fc(2, 'affine', 'he_normal')").fit(*data, 1, verbose=None)
    with pytest.raises(ValueError, match="'a/b'"):
        model.save(tmp_path / "m.npz")
    assert not list(tmp_path.iterdir())


def test_parameters_that_are_missing_or_too_many_are_named(data):
    X, y = data
    model = network("fc(2, 'affine', 'he_normal')").fit(X, y, 1, verbose=None)
    model.layers["FC1"].params["V"] = np.ones((1, 2))
    with pytest.raises(ValueError, match=r"must hold \['W', 'b'\], got \['V', 'W', 'b'\]"):
        model.predict(X)
    del model.layers["FC1"].params["V"], model.layers["FC1"].params["b"]
    with pytest.raises(ValueError, match=r"must hold \['W', 'b'\], got \['W'\]"):
        model.fit(X, y, 1, verbose=None)


def test_what_cannot_be_saved_is_refused_or_made_savable(data, tmp_path):
    X, y = data
    with pytest.raises(ValueError, match="unknown initialiser 'nonsense'"):
        DFN(layers=["fc(2, 'affine', 'he_normal')"], init_w="nonsense")
    model = network("fc(2, 'affine', 'he_normal')", optimizer="sgd(lr=0.1, momentum=0.9, nesterov=True)")
    model.fit(X, y, 1, verbose=None)
    model.layers["FC1"].optimizer.momentum = 0
    model.history["loss"][0] = np.float32(1.5)
    model.save(tmp_path / "m.npz")
    assert DFN.load(tmp_path / "m.npz").history == {"loss": [1.5]}


def test_targets_of_cross_entropy_are_distributions(data, rng):
    X = data[0]
    several = (rng.uniform(size=(64, 3)) > 0.3).astype(float)
    model = network("fc(3, 'affine', 'he_normal')", loss="cross_entropy")
    with pytest.raises(ValueError, match=r"rows of y must each sum to 1.*binary_cross_entropy"):
        model.fit(X, several, 1, verbose=None)
    soft = several + 0.1
    soft /= soft.sum(axis=1, keepdims=True)
    model.fit(X, soft.astype(np.float32), 1, verbose=None)
    network("fc(3, 'affine', 'he_normal')", loss="bce").fit(X, several, 1, verbose=None)
