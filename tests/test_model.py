import numpy as np
import pytest
from fits import classifier, tanh_network

from xdfn import DFN, Adam, FullyConnected, SquaredError
from xdfn.backend import place


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "bool"])
def test_any_real_input_trains(backend, blobs, dtype):
    x = np.abs(blobs[0]).round().astype(dtype)
    X, y = backend.array(x), backend.array(blobs[1])
    model = classifier().fit(X, y, 2, 64, verbose=None)
    W = model.layers["FC1"].params["W"]
    assert backend.numpy(W).dtype == ("float64" if dtype == "float64" else "float32")
    assert place(W) == place(X)
    assert np.isfinite(model.history["loss"]).all()
    assert tuple(model.predict_proba(X).shape) == (300, 3)


def test_targets_of_cross_entropy(backend, blobs):
    X, y = blobs
    results = []
    for target in (y, y.astype("uint8"), np.eye(3)[y], np.eye(3, dtype="int32")[y]):
        model = classifier().fit(backend.array(X), backend.array(target), 5, 32, verbose=None)
        predicted = model.predict(backend.array(X))
        assert tuple(predicted.shape) == (300,)
        accuracy = model.evaluate(backend.array(X), backend.array(target))
        assert accuracy == pytest.approx(np.mean(backend.numpy(predicted) == y))
        results.append((model.history["loss"], accuracy))
    assert results[0][1] > 0.9
    for history, accuracy in results[1:]:
        np.testing.assert_allclose(history, results[0][0], rtol=1e-12)
        assert accuracy == results[0][1]


@pytest.mark.parametrize("shape", [(300,), (300, 1), (300, 2)])
def test_targets_of_binary_cross_entropy(backend, blobs, shape):
    X, y = blobs[0], (blobs[1] > 0).astype("float32")
    y = np.broadcast_to(y[:, None], shape).copy() if len(shape) == 2 else y
    model = DFN(
        layers=[FullyConnected(shape[1] if len(shape) == 2 else 1, "sigmoid", "zeros")],
        loss="bernoulli",
        optimizer="adam(lr=0.1)",
        seed=0,
    )
    model.fit(backend.array(X), backend.array(y), 10, 32, verbose=None)
    predicted, p = (backend.numpy(f(backend.array(X))) for f in (model.predict, model.predict_proba))
    assert predicted.shape == p.shape == shape
    assert ((p > 0.5) == predicted).all()
    assert set(np.unique(predicted)) == {0, 1}
    accuracy = model.evaluate(backend.array(X), backend.array(y))
    assert accuracy == pytest.approx(np.mean(predicted == y))
    assert accuracy > 0.9


@pytest.mark.parametrize("shape", [(300,), (300, 1), (300, 2)])
def test_targets_of_squared_error(backend, rng, shape):
    X = rng.normal(size=(300, 3))
    y = X[:, 0] - 2 * X[:, 1] + 0.5
    y = np.broadcast_to(y[:, None], shape).copy() if len(shape) == 2 else y
    model = DFN(
        layers=[FullyConnected(shape[1] if len(shape) == 2 else 1, "affine", "zeros")],
        loss="squared_error",
        optimizer="adam(lr=0.05)",
        seed=0,
    )
    model.fit(backend.array(X), backend.array(y), 40, 32, verbose=None)
    predicted = backend.numpy(model.predict(backend.array(X)))
    assert predicted.shape == shape
    np.testing.assert_allclose(predicted, y, atol=1e-3)
    loss = model.evaluate(backend.array(X), backend.array(y))
    assert loss == pytest.approx(0.5 * np.sum((predicted - y) ** 2) / 300, rel=1e-6)


def test_least_squares_is_found(rng):
    """A linear network under squared error, against the closed form."""
    X, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    model = DFN(layers=[FullyConnected(2, "affine", "zeros")], loss=SquaredError(), optimizer="sgd(lr=0.5)", seed=0)
    model.fit(X, y, 500, 50, verbose=None)
    best = np.linalg.lstsq(np.hstack([X, np.ones((50, 1))]), y, rcond=None)[0]
    np.testing.assert_allclose(model.layers["FC1"].params["W"], best[:3], atol=1e-9)
    np.testing.assert_allclose(model.layers["FC1"].params["b"], best[3:], atol=1e-9)


def test_the_loss_curve_is_that_of_scikit_learn(rng):
    """The same network from the same weights in the same order of rows: its SGD against ours."""
    sklearn = pytest.importorskip("sklearn.neural_network")
    X, y = rng.normal(size=(64, 5)), rng.normal(size=64)
    model = DFN(
        layers=[FullyConnected(8, "tanh", "glorot_normal"), FullyConnected(1, "affine", "glorot_normal")],
        loss="squared_error",
        optimizer="sgd(lr=0.05)",
        seed=3,
    ).initialize(X)
    theirs = sklearn.MLPRegressor(
        hidden_layer_sizes=(8,),
        activation="tanh",
        solver="sgd",
        alpha=0,
        momentum=0,
        learning_rate_init=0.05,
        batch_size=64,
        shuffle=False,
    )
    theirs.partial_fit(X, y)
    weights = [model.layers[name].params for name in ("FC1", "FC2")]
    theirs.coefs_ = [p["W"].copy() for p in weights]
    theirs.intercepts_ = [p["b"][0].copy() for p in weights]
    model.fit(X, y, 20, 64, verbose=None)  # one full batch, in which the order does not matter
    for _ in range(20):
        theirs.partial_fit(X, y)
    np.testing.assert_allclose(model.history["loss"], theirs.loss_curve_[1:], rtol=1e-9)


def test_weights_set_by_hand_are_the_truth(backend, blobs):
    X = backend.array(blobs[0][:5])
    model = classifier().initialize(X)
    model.layers["FC2"].params["b"] = backend.array([[0.0, 1e6, 0.0]])
    assert backend.numpy(model.predict(X)).tolist() == [1] * 5
    model.layers["FC1"].params = {"W": backend.array(np.zeros((4, 16))), "b": backend.array(np.zeros((1, 16)))}
    model.fit(X, backend.array([0] * 5), 0, 5)
    assert (backend.numpy(model.layers["FC1"].params["W"]) == 0).all()


def test_the_layers_given_are_copied(blobs):
    layers = [FullyConnected(16, "relu", "he_uniform"), FullyConnected(3, "affine", "glorot_uniform")]
    first, second = (DFN(layers=layers, seed=s).fit(*blobs, 1, 64, verbose=None) for s in (0, 1))
    assert not layers[0].is_initialized
    assert (first.layers["FC1"].params["W"] != second.layers["FC1"].params["W"]).all()
    warm = DFN(layers=list(first.layers.values()), seed=9)
    assert (warm.predict(blobs[0]) == first.predict(blobs[0])).all()


def test_hyper_parameters_may_be_assigned_between_fits(blobs):
    model = classifier().fit(*blobs, 1, 64, verbose=None)
    for layer in model.layers.values():
        layer.optimizer.lr = 0.0
    before = model.layers["FC1"].params["W"].copy()
    model.fit(*blobs, 1, 64, verbose=None)
    assert (model.layers["FC1"].params["W"] == before).all()


def test_a_layers_own_optimizer_overrides_the_models(blobs):
    layers = [FullyConnected(8, "relu", "he_uniform", "sgd(lr=0.0)"), FullyConnected(3, "affine", "he_uniform")]
    model = DFN(layers=layers, optimizer=Adam(0.1), seed=0).initialize(blobs[0])
    before = {name: layer.params["W"].copy() for name, layer in model.layers.items()}
    model.fit(*blobs, 1, 64, verbose=None)
    assert (model.layers["FC1"].params["W"] == before["FC1"]).all()
    assert (model.layers["FC2"].params["W"] != before["FC2"]).any()


def test_moving_a_model(backend, blobs):
    X, y = backend.array(blobs[0]), backend.array(blobs[1])
    there = classifier().fit(X, y, 2, 64, verbose=None)
    expected = backend.numpy(there.predict_proba(X))
    here = there.to_numpy()
    assert here is there
    np.testing.assert_allclose(here.predict_proba(blobs[0]), expected, rtol=1e-12)
    here.fit(*blobs, 1, 64, verbose=None)  # the optimizer's memory came along
    again = classifier().fit(X, y, 3, 64, verbose=None)
    assert here.history["loss"][-1] == pytest.approx(again.history["loss"][-1], rel=1e-10)
    back = here.to(X)
    assert place(back.layers["FC1"].params["W"]) == place(X)
    np.testing.assert_allclose(backend.numpy(back.predict_proba(X)), backend.numpy(again.predict_proba(X)), rtol=1e-7)


BAD_CALLS = [
    (lambda m, X, y: m.fit(X[:5], y[:4]), "same number of rows, got 5 and 4"),
    (lambda m, X, y: m.fit(X[:, :2], y), "must have the 4 columns"),
    (lambda m, X, y: m.predict(X[:, :2]), "must have the 4 columns"),
    (lambda m, X, y: m.fit(X, y + 1), r"y must lie in \[0, 2\], got values from 1 to 3"),
    (lambda m, X, y: m.fit(X, y - 1), r"y must lie in \[0, 2\], got values from -1 to 1"),
    (lambda m, X, y: m.fit(X, y.astype(float)), "integer dtype"),
    (lambda m, X, y: m.fit(X, np.eye(4)[y]), r"one-hot of shape \(n, 3\)"),
    (lambda m, X, y: m.fit(X[0], y), "X_train must be 2-d"),
    (lambda m, X, y: m.fit(X[:0], y[:0]), "at least one row"),
    (lambda m, X, y: m.fit(X * np.nan, y), "X holds NaN or infinity"),
    (lambda m, X, y: m.fit(X, y, batch_size=0), "batch_size must be an integer of at least 1, got 0"),
    (lambda m, X, y: m.fit(X, y, n_epochs=-1), "n_epochs must be an integer of at least 0"),
    (lambda m, X, y: m.fit(X + 1j, y), "must hold real numbers"),
    (lambda m, X, y: m.fit(X.astype(object), y), "must hold real numbers"),
    (lambda m, X, y: m.fit("nonsense", y), "X_train must be an array, a frame or a list of numbers, got str"),
    (lambda m, X, y: m.evaluate(X, y[:4]), "same number of rows"),
    (lambda m, X, y: m.to("nympy"), "unknown library 'nympy'"),
    (lambda m, X, y: m.to("numpy:7"), "cannot use"),
    (lambda m, X, y: m.to(3), "expected an array, a device"),
]


@pytest.mark.parametrize(("call", "says"), BAD_CALLS, ids=[says for _, says in BAD_CALLS])
def test_a_bad_call_gets_a_clear_error_and_changes_nothing(blobs, call, says):
    model, twin = (classifier().fit(*blobs, 1, 64, verbose=None) for _ in range(2))
    with pytest.raises(ValueError, match=says):
        call(model, *blobs)
    model.fit(*blobs, 1, 64, verbose=None)
    twin.fit(*blobs, 1, 64, verbose=None)
    assert model.history == twin.history


def test_arrays_of_two_places_say_so(backend, blobs):
    if backend.value.startswith("numpy"):
        pytest.skip("needs a library other than NumPy")
    X, y = backend.array(blobs[0]), backend.array(blobs[1])
    with pytest.raises(ValueError, match=r"y is on numpy \(cpu\), expected .*: X and y must be on one device"):
        classifier().fit(X, blobs[1])
    model = classifier().fit(X, y, 1, 64, verbose=None)
    for call in (model.predict, model.forward, lambda X: model.fit(X, blobs[1])):
        with pytest.raises(ValueError, match=r"is on numpy \(cpu\), expected .*model.to\("):
            call(blobs[0])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: DFN(), "expects hidden_dims_1 and hidden_dims_2"),
        (lambda: DFN(0, 3), "hidden_dims_1 must be an integer of at least 1"),
        (lambda: DFN(3, 3, layers=["dropout(0.1)"]), "got both"),
        (lambda: DFN(layers=[]), "at least one layer"),
        (lambda: DFN(layers="dropout(0.1)"), "at least one layer"),
        (lambda: DFN(layers=[3.5]), "expected the name of a layer"),
        (lambda: DFN(3, 3, loss="hinge"), "unknown loss 'hinge'"),
        (lambda: DFN(3, 3, optimizer="adm"), "did you mean 'Adam'"),
        (lambda: DFN(3, 3, init_w="he"), "unknown initialiser"),
        (lambda: DFN(3, 3, seed=-1), "seed must be an integer of at least 0"),
        (lambda: DFN(3, 3, seed="x"), "seed must be an integer"),
        (lambda: DFN(layers=["dropout(0.1)"]).fit(np.zeros((2, 2)), np.zeros(2, int)), "no parameters"),
    ],
)
def test_a_bad_model_is_refused_at_once(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize(
    ("name", "value"), [("ema", 1.0), ("ema", -0.1), ("clip_norm", 0), ("clip_value", -1), ("clip_norm", "x")]
)
def test_bad_values_are_said(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a number"):
        tanh_network(**{name: value})
    with pytest.raises(ValueError, match=f"{name} must be a number"):
        setattr(tanh_network(), name, value)


def test_weights_assigned_before_the_first_fit_are_adopted(backend, blobs):
    X, y = (backend.array(a) for a in blobs)
    trained, model = classifier().fit(X, y, 2, 64, verbose=0), classifier()
    for name, layer in trained.layers.items():
        model.layers[name].params = {key: backend.numpy(value) for key, value in layer.params.items()}
    assert (backend.numpy(model.predict(X)) == backend.numpy(trained.predict(X))).all()
    model.fit(X, y, 0, verbose=0)
    for name, layer in trained.layers.items():
        for key, value in layer.params.items():
            assert (backend.numpy(model.layers[name].params[key]) == backend.numpy(value)).all()


def test_weights_of_some_layers_are_no_network(blobs):
    model = classifier()
    model.layers["FC1"].params = {"W": np.ones((blobs[0].shape[1], 16))}
    with pytest.raises(ValueError, match="no parameters yet"):
        model.predict(blobs[0])
    model.fit(*blobs, 0, verbose=0)  # which draws the others
    assert (model.layers["FC1"].params["W"] == 1).all()


def test_a_reset_model_is_a_new_one(backend, blobs):
    X, y = (backend.array(a) for a in blobs)
    model = classifier().fit(X, y, 2, 64, verbose=0)
    first = model.history
    model.layers["FC1"].optimizer.lr = 0.5
    model.layers["FC1"].optimizer.lr = 0.01
    assert model.reset() is model
    assert (model.is_initialized, model.history) == (False, {"loss": []})
    with pytest.raises(ValueError, match="no parameters yet"):
        model.predict(X)
    assert model.fit(X, y, 2, 64, verbose=0).history == first
    model.reset().fit(X[:, :2], y, 1, 64, verbose=0)  # other columns, too
    assert model.layers["FC1"].n_in == 2


def test_a_reset_model_keeps_the_rates_of_its_layers(blobs):
    X, y = blobs
    model = DFN(layers=[4, 3], optimizer="sgd(lr=0.1)", seed=0).fit(X, y, 1, 64, None)
    model.layers["FC1"].optimizer.lr = 0.5
    model.reset().fit(X, y, 1, 64, None)
    assert [layer.optimizer.lr for layer in model.layers.values()] == [0.5, 0.1]
