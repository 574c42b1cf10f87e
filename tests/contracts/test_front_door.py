"""DFN takes what users hold: lists, frames, series, in every method that takes rows, as if they were arrays."""

import threading

import numpy as np
import pytest

from xdfn import DFN, Adam, Callback, Dropout, FullyConnected, check_gradients, find_learning_rate
from xdfn.backend import place

N = 80


def frame_of_pandas(X):
    return pytest.importorskip("pandas").DataFrame(X, columns=list("abcd"))


def series_of_pandas(y):
    return pytest.importorskip("pandas").Series(y)


def frame_of_polars(X):
    return pytest.importorskip("polars").DataFrame(X, schema=list("abcd"))


def series_of_polars(y):
    return pytest.importorskip("polars").Series(y)


class Capsule:
    """What speaks DLPack and nothing else."""

    def __init__(self, x):
        self.x = x

    def __dlpack__(self, **kwargs):
        return self.x.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.x.__dlpack_device__()


KINDS = {
    "lists": (np.ndarray.tolist, np.ndarray.tolist),
    "pandas": (frame_of_pandas, series_of_pandas),
    "polars": (frame_of_polars, series_of_polars),
    "DLPack": (Capsule, Capsule),
}


@pytest.fixture
def data(rng):
    X = rng.normal(size=(N, 4))
    return X, (X[:, 0] > 0).astype("int64"), rng.uniform(0.5, 2.0, N)


def network(**more):
    return DFN(layers=[8, 2], optimizer="adam(lr=0.01)", seed=0, **more)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_any_kind_are_as_arrays(kind, data):
    X, y, w = data
    frame, series = KINDS[kind]
    plain, alike = (
        network().fit(
            rows(X),
            of(y),
            3,
            16,
            None,
            sample_weight=of(w),
            validation_data=(rows(X), of(y), of(w)),
            metrics="accuracy",
        )
        for rows, of in ((np.asarray, np.asarray), (frame, series))
    )
    assert alike.history == plain.history
    for name in ("predict", "predict_proba"):
        answer = getattr(alike, name)(frame(X))
        assert type(answer) is np.ndarray
        assert np.array_equal(answer, getattr(plain, name)(X))
    assert alike.evaluate(frame(X), series(y), sample_weight=series(w)) == plain.evaluate(X, y, sample_weight=w)
    assert np.array_equal(alike.activations(frame(X))["FC1"], plain.activations(X)["FC1"])
    assert np.array_equal(alike.input_gradients(frame(X), series(y)), plain.input_gradients(X, y))
    assert np.array_equal(alike.forward(frame(X))[0], plain.forward(X)[0])
    assert network().initialize(frame(X)).is_initialized
    assert check_gradients(network(), frame(X), series(y)) < 1e-5
    assert find_learning_rate(network(), frame(X), series(y), n_steps=10).rates


def test_numbers_of_any_kind_are_targets(data):
    X, _, _ = data
    for y in (X[:, 0], X[:, :1], X[:, :2]):
        models = [DFN(layers=[8, 1 if y.ndim == 1 else y.shape[1]], loss="squared_error", seed=0) for _ in range(2)]
        of = series_of_pandas(y) if y.ndim == 1 else pytest.importorskip("pandas").DataFrame(y)
        models[0].fit(X, y, 2, 16, None)
        models[1].fit(frame_of_pandas(X), of, 2, 16, None)
        assert models[0].history == models[1].history
        assert models[1].predict(frame_of_pandas(X)).shape == y.shape


def test_what_has_no_library_goes_to_where_the_network_is(backend, data):
    X, y, w = data
    arrays = backend.array(X), backend.array(y)
    model = network().fit(*arrays, 2, 16, None, sample_weight=w.tolist())
    beside = network().fit(arrays[0], y.tolist(), 2, 16, None, sample_weight=w.tolist())
    assert beside.history == model.history
    assert place(model.predict(X.tolist())) == place(arrays[0])
    assert np.array_equal(backend.numpy(model.predict(X.tolist())), backend.numpy(model.predict(arrays[0])))
    model.fit(X.tolist(), y.tolist(), 1, 16, None, validation_data=(X.tolist(), y.tolist()))
    assert place(model.layers["FC1"].params["W"]) == place(arrays[0])


def test_assigned_parameters_may_be_lists_and_frames(data):
    X, y, _ = data
    W = np.arange(8.0).reshape(4, 2)
    for given in (W.tolist(), pytest.importorskip("pandas").DataFrame(W)):
        model = DFN(layers=[2])
        model.layers["FC1"].params = {"W": given, "b": [[0.0, 1.0]]}
        np.testing.assert_allclose(model.activations(X)["FC1"], X @ W + [0.0, 1.0])
        model.layers["FC1"].params["W"] = (W + 1).tolist()
        np.testing.assert_allclose(model.activations(X)["FC1"], X @ (W + 1) + [0.0, 1.0])
        model.fit(X, y, 1, verbose=None)


def test_objects_that_are_numbers_are_numbers(data):
    X, y, _ = data
    frame = frame_of_pandas(X)
    plain, objects = (network().fit(f, y, 2, 16, None) for f in (frame, frame.astype(object)))
    assert objects.history == plain.history


def test_outputs_are_affine_where_no_units_follow(data):
    X, y, _ = data
    for after in (["softmax"], ["dropout(0.1)", "softmax"], []):
        model = DFN(layers=[8, 2, *after], seed=0)
        assert [str(layer.acti_fn).split("(")[0] for layer in model.layers.values() if layer.acti_fn] == [
            "ReLU",
            "Affine",
        ]
    two = DFN(layers=[8, 2, "softmax"], optimizer="adam(lr=0.01)", seed=0).fit(X, y, 5, 16, None)
    assert two.history["loss"] == pytest.approx(network().fit(X, y, 5, 16, None).history["loss"], rel=1e-6)
    assert DFN(layers=[8, "maxout(2)"]).layers["FC1"].acti_fn == FullyConnected(8).acti_fn


def test_reset_keeps_what_is_frozen(data):
    X, y, _ = data
    source = network().fit(X, y, 2, 16, None)
    model = DFN(layers=[source.layers["FC1"], 2], optimizer="adam(lr=0.01)", seed=1)
    model.layers["FC1"].trainable = False
    first = model.fit(X, y, 3, 16, None).history["loss"]
    assert model.reset().fit(X, y, 3, 16, None).history["loss"] == first
    assert np.array_equal(model.layers["FC1"].params["W"], source.layers["FC1"].params["W"])


def test_layers_may_be_assigned_as_a_list(data):
    X, y, _ = data
    model = network()
    model.layers = [8, 2]
    assert list(model.layers) == ["FC1", "FC2"]
    assert model.fit(X, y, 2, 16, None).history == network().fit(X, y, 2, 16, None).history


def test_a_rate_that_a_layer_gets_before_the_first_fit_is_kept(data):
    X, y, _ = data
    model = network()
    model.layers["FC1"].optimizer.lr = 0.0
    before = DFN(layers=[8, 2], seed=0).initialize(X).layers["FC1"].params["W"]
    model.fit(X, y, 2, 16, None)
    assert np.array_equal(model.layers["FC1"].params["W"], before)
    model = network()
    model.layers["FC1"] = FullyConnected(8)  # a new layer follows the model
    assert str(model.fit(X, y, 1, 16, None).layers["FC1"].optimizer) == str(Adam(lr=0.01))


# ---- metrics -------------------------------------------------------------------------------------------------------


def test_without_a_validation_metrics_are_of_the_rows_that_are_trained_on(backend, data):
    X, y, w = data
    arrays = backend.array(X), backend.array(y)
    seen = []

    class Look(Callback):
        def on_epoch_end(self, model, values):
            seen.append(model.evaluate(*arrays, metrics=["accuracy", "f1"]))

    model = network().fit(*arrays, 4, 16, None, metrics=["accuracy", "f1"], callbacks=[Look()])
    assert list(model.history) == ["loss", "accuracy", "f1"]
    for name in ("accuracy", "f1"):
        assert model.history[name] == pytest.approx([values[name] for values in seen], rel=1e-12)
    weighted = network().fit(*arrays, 1, 16, None, metrics="accuracy", sample_weight=w)
    assert weighted.history["accuracy"][0] == pytest.approx(weighted.evaluate(*arrays, sample_weight=w), rel=1e-9)
    assert network().fit(*arrays, 2, 16, None).history["loss"] == model.history["loss"][:2]


def test_training_metrics_steer_callbacks(data):
    X, y, _ = data
    stop = "early_stopping('accuracy', patience=1)"
    model = network().fit(X, y, 50, 16, None, metrics="accuracy", callbacks=[stop])
    best = max(model.history["accuracy"])
    assert len(model.history["accuracy"]) < 50
    assert model.history["accuracy"][-2] == best
    with pytest.raises(ValueError, match="monitor must be one of loss, accuracy, got 'val_accuracy'"):
        network().fit(X, y, 2, 16, None, metrics="accuracy", callbacks=["early_stopping('val_accuracy')"])


def test_several_metrics_at_once(data):
    sk = pytest.importorskip("sklearn.metrics")
    X, y, _ = data
    model = network().fit(X, y, 5, 16, None)
    values = model.evaluate(X, y, metrics={"f": sk.f1_score, "own": "accuracy", "loss": "loss"})
    assert values == pytest.approx(
        {
            "f": sk.f1_score(y, model.predict(X)),
            "own": model.evaluate(X, y),
            "loss": model.evaluate(X, y, metric="loss"),
        }
    )
    assert model.evaluate(X, y, metrics="accuracy") == {"accuracy": model.evaluate(X, y)}


# ---- attributes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("lr", r"DFN.lr cannot be assigned: the rate is the optimizer's; assign one, as in model.optimizer = 'adam\("),
        ("learning_rate", "DFN.learning_rate cannot be assigned"),
        ("n_epochs", "n_epochs is what the last fit had, and cannot be assigned: pass it to fit"),
        ("optimiser", "DFN has no attribute 'optimiser', .*; did you mean 'optimizer'"),
        ("clipnorm", "did you mean 'clip_norm'"),
        ("histroy", "did you mean 'history'"),
    ],
)
def test_an_attribute_that_nothing_would_read_is_refused(name, says):
    with pytest.raises(AttributeError, match=says):
        setattr(DFN(4, 2), name, 0.1)


@pytest.mark.parametrize(
    ("part", "name", "near"),
    [
        (FullyConnected(3), "trainabel", "trainable"),
        (FullyConnected(3), "activation", "acti_fn"),
        (Dropout(0.5), "p", None),
        (Adam(), "learning_rate", None),
        (Adam(), "decay_1", "decay1"),
    ],
)
def test_so_is_one_of_a_part(part, name, near):
    with pytest.raises(AttributeError, match=f"{type(part).__name__} has no attribute '{name}'.*") as error:
        setattr(part, name, 1)
    assert near is None or f"did you mean '{near}'?" in str(error.value)


def test_subclasses_of_the_users_own_are_free():
    class Mine(DFN):
        pass

    class Layer(FullyConnected):
        pass

    model, layer = Mine(4, 2), Layer(3)
    model.note, model.lr, layer.note = "a", 0.1, "b"
    assert (model.note, model.lr, layer.note) == ("a", 0.1, "b")


def test_what_is_known_may_be_assigned(data):
    X, y, _ = data
    model = network()
    model.loss, model.optimizer, model.clip_norm, model.ema = "cross_entropy", "sgd", 1.0, 0.9
    model.stop_training, model.history = False, {"loss": []}
    layer = model.layers["FC1"]
    layer.acti_fn, layer.regularizer, layer.optimizer, layer.trainable = "tanh", "l2", "adam", True
    model.fit(X, y, 1, verbose=None)


def test_what_the_notebook_keeps_of_a_fit(rng):
    X, y = rng.normal(size=(60, 4)), rng.integers(0, 3, 60)
    model = DFN(8, 3)
    for name in ("n_features", "n_epochs", "batch_size", "verbose"):
        with pytest.raises(AttributeError, match=f"{name} is known after fit"):
            getattr(model, name)
    model.fit(X, y, n_epochs=2, batch_size=16, verbose=None)
    assert (model.n_features, model.n_epochs, model.batch_size, model.verbose) == (4, 2, 16, None)
    with pytest.raises(ValueError, match="y must lie in"):
        model.fit(X, y + 1, n_epochs=5, verbose=None)
    assert model.n_epochs == 2  # a refused fit leaves no trace


# ---- one fit at a time -----------------------------------------------------------------------------------------------


def test_a_second_fit_of_another_thread_is_refused(data):
    X, y, _ = data
    inside, refused = threading.Event(), threading.Event()
    errors = []

    class Wait(Callback):
        def on_epoch_end(self, model, values):
            inside.set()
            refused.wait(10)

    model = network()
    first = threading.Thread(target=model.fit, args=(X, y, 2, 16, None), kwargs={"callbacks": [Wait()]})
    first.start()
    inside.wait(10)
    try:
        model.fit(X, y, 2, 16, None)
    except ValueError as error:
        errors.append(str(error))
    refused.set()
    first.join()
    assert len(errors) == 1
    assert errors[0].startswith("fit was called while another fit of the same model goes on")
    assert model.history == network().fit(X, y, 2, 16, None).history
    model.fit(X, y, 1, 16, None)  # and then again
