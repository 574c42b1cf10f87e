"""What a user may do to a model between calls, and what a failure may not do to it."""

import copy
import pickle

import numpy as np
import pytest

from xdfn import DFN, SGD, ActivationBase, Adam, CrossEntropy, Dropout, FullyConnected, LayerBase, SquaredError


@pytest.fixture
def data(rng):
    return rng.normal(size=(64, 4)), rng.integers(0, 3, 64)


@pytest.mark.parametrize("ds", [0.0, np.zeros((4, 1)), np.zeros((1, 3)), None])
def test_a_gradient_of_the_wrong_shape_is_an_error(backend, data, ds):
    class Bad(LayerBase):
        def init(self, rng, n_in):
            return {"s": np.ones((1, n_in))}, {}, n_in

        def apply(self, params, buffers, x, ctx=None):
            return x * params["s"], x, buffers

        def pullback(self, params, cache, dy, input_grad=True):
            return dy * params["s"], {} if ds is None else {"s": backend.array(ds)}

    bad = DFN(layers=[Bad(), FullyConnected(3, "affine", "he_normal")], seed=0)
    with pytest.raises(ValueError, match=r"layer 1, Bad: pullback must give a gradient of shape \(1, 4\) for 's', got"):
        bad.fit(backend.array(data[0]), backend.array(data[1]), 1, 32, verbose=None)


def model(optimizer="adam(lr=0.01)", seed=0):
    layers = [FullyConnected(8, "tanh", "he_normal"), Dropout(0.2), FullyConnected(3, "affine", "he_normal")]
    return DFN(layers=layers, optimizer=optimizer, seed=seed)


def test_hyper_parameters_are_checked_when_assigned(data):
    m = model().fit(*data, 1, 32, verbose=None)
    layer = m.layers["FC1"]
    layer.optimizer.lr = np.float64(1e-4)
    assert type(layer.optimizer.lr) is float
    layer.acti_fn, layer.optimizer = "relu", "sgd(lr=0.5)"
    assert (str(layer.acti_fn), layer.optimizer) == ("ReLU", SGD(0.5))
    m.loss = "squared_error"
    assert isinstance(m.loss, SquaredError)
    for target, name, value in [
        (layer.optimizer, "lr", -1),
        (layer.optimizer, "lr", "0.1"),
        (layer.optimizer, "lr", None),
        (m.layers["Dropout1"], "rate", 2),
        (layer, "acti_fn", "tanhh"),
        (layer, "init_w", "nope"),
        (layer, "n_out", 0),
        (m, "loss", "nope"),
        (m, "optimizer", "nope"),
    ]:
        before = str(getattr(target, name))
        with pytest.raises(ValueError, match=name if name in ("lr", "rate", "n_out") else "unknown"):
            setattr(target, name, value)
        assert str(getattr(target, name)) == before


def test_a_new_optimizer_for_the_model_reaches_the_layers_without_their_own(data):
    layers = [FullyConnected(8, "tanh", "he_normal", "sgd(lr=0.25)"), FullyConnected(3, "affine", "he_normal")]
    m = DFN(layers=layers, optimizer="adam", seed=0)
    m.optimizer = "momentum(lr=0.5)"
    assert [str(layer.optimizer)[:8] for layer in m.layers.values()] == ["SGD(lr=0", "Momentum"]
    assert m.hyperparams["optimizer"] == "momentum(lr=0.5)"
    again = DFN(layers=list(m.layers.values()), optimizer="adam(lr=0.125)", seed=0)
    assert [layer.optimizer.lr for layer in again.layers.values()] == [0.25, 0.125]


def test_a_new_optimizer_begins_at_its_own_first_step(data):
    """Adam's first step is lr in every entry whatever the model did before; and its neighbours keep their memory."""
    m = model("sgd(lr=1e-12)").fit(*data, 50, 32, verbose=None)
    before = m.layers["FC1"].params["W"].copy()
    m.layers["FC1"].optimizer = Adam(lr=1e-3)
    m.fit(*data, 1, 64, verbose=None)
    np.testing.assert_allclose(np.abs(m.layers["FC1"].params["W"] - before), 1e-3, rtol=1e-2)
    m.fit(*data, 200, 64, verbose=None)
    kept = m._memory.slots["FC1"]["W"]["v"].copy()
    m.layers["FC2"].optimizer = Adam(lr=1e-3)
    m.fit(*data, 1, 64, verbose=None)
    assert (m._memory.slots["FC1"]["W"]["v"] > 0.99 * kept).all()  # begun again it would be a hundredth


def test_jax_sees_an_attribute_that_changes(data):
    jnp = pytest.importorskip("jax.numpy")

    class Gain(ActivationBase):
        factor = 1.0

        def forward(self, z):
            return self.factor * z

        def grad(self, z):
            return self.factor * (z * 0 + 1)

    losses = []
    for array in (np.asarray, jnp.asarray):
        m = DFN(layers=[FullyConnected(3, Gain(), "he_normal")], optimizer="sgd(lr=0.0)", seed=0)
        m.fit(array(data[0]), array(data[1]), 1, 64, verbose=None)
        m.layers["FC1"].acti_fn.factor = 5.0
        losses.append(m.fit(array(data[0]), array(data[1]), 1, 64, verbose=None).history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-12)
    assert losses[0][0] != losses[0][1]


def test_the_width_of_an_own_last_layer_is_known_after_init(data):
    class Half(LayerBase):
        def init(self, rng, n_in):
            return {}, {}, n_in // 2

        def apply(self, params, buffers, x, ctx=None):
            return x[:, : x.shape[1] // 2], x, buffers

        def pullback(self, params, cache, dy, input_grad=True):
            return np.concatenate([dy, 0 * dy], axis=1), {}

    m = DFN(layers=[FullyConnected(4, "affine", "he_normal"), Half()], loss="mse", seed=0)
    assert m.fit(data[0], data[0][:, :2], 2, 32, verbose=None).predict(data[0]).shape == (64, 2)


def state(m):
    return {name: value for name, value in vars(m).items() if name not in ("layers", "_optimizer", "loss")}, {
        name: {k: v.tolist() for k, v in layer.params.items()} for name, layer in m.layers.items()
    }


def test_a_fit_that_fails_before_its_first_epoch_changes_nothing(data):
    X = data[0]
    m = DFN(layers=[FullyConnected(4, "affine", "he_normal")], loss="mse", optimizer="sgd(lr=1e200)")
    before = state(m)
    for call in (lambda: m.fit(X, X[:, :3]), lambda: m.fit(X, X * np.nan), lambda: m.fit(X, X, 5, 8, verbose=None)):
        with pytest.raises((ValueError, FloatingPointError)):
            call()
        assert state(m) == before
    m = DFN(layers=[FullyConnected(1, "affine", "he_normal")], loss="mse", seed=0).fit(X, X[:, 0], 1, 32, verbose=None)
    m.layers["FC1"].optimizer.lr = 1e200
    with pytest.raises(FloatingPointError):
        m.fit(X, X[:, :1], 5, 8, verbose=None)
    assert m.predict(X).shape == (64,)


def test_weights_assigned_by_hand_are_checked(data):
    X, y = data[0].astype("float32"), data[1]
    m = model().fit(X, y, 1, 32, verbose=None)
    m.layers["FC1"].params["W"] = np.ones((4, 8))  # float64 into a float32 model
    assert m.fit(X, y, 1, 32, verbose=None).layers["FC2"].params["W"].dtype == np.float32
    assert m.predict_proba(X).dtype == np.float32
    for wrong, says in [
        (np.ones((8, 4)), r"layers\['FC1'\].params\['W'\] must have shape \(4, 8\), got \(8, 4\)"),
        ("W", r"layers\['FC1'\].params\['W'\] must be an array, a frame or a list of numbers, got str"),
    ]:
        m.layers["FC1"].params["W"] = wrong
        for call in (lambda: m.fit(X, y), lambda: m.predict(X), lambda: m.forward(X)):
            with pytest.raises(ValueError, match=says):
                call()


def test_layers_from_another_library_are_refused(data):
    torch = pytest.importorskip("torch")
    trained = model().fit(torch.asarray(data[0]), torch.asarray(data[1]), 1, 32, verbose=None)
    for layers in (
        [trained.layers["FC1"], "fc(3, 'affine', 'he_normal')"],
        ["fc(4, 'tanh', 'he_normal')", trained.layers["FC1"]],
    ):
        with pytest.raises(ValueError, match="the input is on numpy"):
            DFN(layers=layers, seed=0).fit(*data, 1, 32, verbose=None)


@pytest.mark.parametrize("method", ["forward", "predict", "predict_proba", "activations", "initialize"])
def test_inputs_are_checked_everywhere(data, method):
    m = model().fit(*data, 1, 32, verbose=None)
    call = getattr(m, method)
    for wrong, says in [
        ("1234", "must be an array, a frame or a list of numbers, got str"),
        (np.zeros(4), "must be 2-d"),
        (np.zeros((2, 5)), "must have the 4 columns"),
        (np.zeros((0, 4)), "at least one row"),
        (np.ma.zeros((2, 4)), "is a masked array"),
        (np.zeros((2, 4), complex), "real numbers"),
        (np.zeros((2, 4), object), "real numbers"),
        (np.asarray([["a"] * 4]), "real numbers"),
    ]:
        with pytest.raises(ValueError, match=says):
            call(wrong)


def test_a_layer_alone_is_checked_too():
    layer = FullyConnected(3, "relu", "he_normal")
    layer.forward(np.ones((5, 2)))
    for call, says in [
        (lambda: layer.forward([[1.0, 2.0]]), "X: expected an array"),
        (lambda: layer.forward(np.ones(2)), "X must be 2-d"),
        (lambda: layer.forward(np.ones((5, 4))), r"was made for inputs \(n, 2\)"),
        (lambda: layer.backward(np.ones((5, 2))), r"must have the output's shape \(5, 3\)"),
        (lambda: layer.backward(np.ones(3)), "the gradient must be 2-d"),
    ]:
        with pytest.raises(ValueError, match=says):
            call()
    assert layer.forward(np.ones((5, 2), int)).dtype == np.float64


def test_big_endian_and_wide_floats_train_in_float64(data):
    X, y = data
    native = model().fit(X, y, 2, 32, verbose=None).history
    for dtype in (">f8", "longdouble"):
        assert model().fit(X.astype(dtype), y, 2, 32, verbose=None).history == native
    assert (
        model().fit(X.astype(">f4"), y.astype(">i4"), 1, 32, verbose=None).layers["FC1"].params["W"].dtype == np.float32
    )


def test_jax_without_x64_refuses_a_float64_model(data, monkeypatch):
    jax = pytest.importorskip("jax")
    m = model().fit(*data, 1, 32, verbose=None)
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(ValueError, match="jax_enable_x64"):
            m.to("jax")
    finally:
        jax.config.update("jax_enable_x64", True)
    assert m.predict(data[0]).shape == (64,)


def test_copies_stand_on_their_own(data):
    m = model().fit(*data, 1, 32, verbose=None)
    for twin in (copy.copy(m), copy.deepcopy(m), pickle.loads(pickle.dumps(m))):
        before, steps = m.layers["FC1"].params["W"].copy(), m._memory.step
        twin.fit(*data, 1, 32, verbose=None)
        assert (m.layers["FC1"].params["W"] == before).all()
        assert (m._memory.step, len(m.history["loss"])) == (steps, 1)


def test_evaluate_looks_at_its_input(data):
    X, y = data
    m = model().fit(X, y, 1, 32, verbose=None)
    with pytest.raises(ValueError, match="y must lie in"):
        m.evaluate(X, y + 5)
    with pytest.raises(ValueError, match="NaN"):
        m.evaluate(X * np.nan, y)


def test_losses_and_flags_that_cannot_be_meant(data):
    with pytest.raises(ValueError, match="at least 2 outputs"):
        DFN(8, 1, seed=0).fit(data[0], np.zeros(64, int))
    with pytest.raises(ValueError, match="verbose must be"):
        model().fit(*data, verbose="yes")
    y = np.eye(3)[data[1]]
    p = np.full((64, 3), 1 / 3)
    np.testing.assert_allclose(SquaredError.grad(y, p), (p - y) / 64)
    assert CrossEntropy.loss(data[1], p) == pytest.approx(np.log(3))


def test_a_divergence_warns_of_nothing_but_itself(backend, data):
    m = DFN(layers=[FullyConnected(4, "affine", "he_normal")], loss="mse", optimizer="sgd(lr=1e30)", seed=0)
    X = backend.array(data[0], "float32")
    with pytest.raises(FloatingPointError, match="diverged in epoch 1"):
        m.fit(X, X, 20, 8, verbose=None)
