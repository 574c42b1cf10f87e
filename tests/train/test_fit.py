"""All that surrounds training: validation, schedules, callbacks, and a resume with all of it."""

import csv
import math

import numpy as np
import pytest

from xdfn import (
    DFN,
    SGD,
    BatchNorm,
    Callback,
    Checkpoint,
    CSVLog,
    Dropout,
    EarlyStopping,
    FullyConnected,
    LearningRateLog,
    ProgressBar,
    Residual,
    ScheduleBase,
    find_learning_rate,
    register,
)


@pytest.fixture
def data(rng):
    X = rng.normal(size=(150, 4))
    return X, (X[:, 0] * X[:, 1] > 0).astype(int)


def everything(optimizer="adam(lr='cosine(0.02, 6, warmup=1)')", **more):
    """A network with a part of every kind."""
    layers = [
        "gaussian_noise(0.05)",
        FullyConnected(12, "relu", "he_uniform", regularizer="l2(1e-3)", constraint="max_norm(2)"),
        BatchNorm(),
        Dropout(0.2),
        Residual([FullyConnected(12, "tanh", "glorot_uniform"), "layer_norm", "dropout(0.1)"]),
        "maxout(6, n_pieces=3)",
        "prelu",
        FullyConnected(2, "affine", "glorot_uniform", regularizer="l1(1e-4)"),
    ]
    return DFN(layers=layers, optimizer=optimizer, seed=4, clip_norm=2.0, clip_value=1.0, ema=0.9, **more)


FIT = {"batch_size": 32, "verbose": None, "validation_fraction": 0.2, "metrics": ["accuracy", "f1"]}


def of_everything(X, y, **more):
    weight = 0.5 + (X[:, 2] > 0)
    return {**FIT, "class_weight": "balanced", "sample_weight": weight, **more}


def test_a_fit_with_everything_is_the_same_everywhere(backend, data):
    X, y = data
    expected = everything().fit(X, y, 6, **of_everything(X, y)).history
    assert expected["val_loss"][-1] < 0.97 * expected["val_loss"][0]
    more = of_everything(X, y)
    more["sample_weight"] = backend.array(more["sample_weight"])
    there = backend.array(X), backend.array(y)
    model = everything().fit(*there, 6, **more)
    for name in expected:
        np.testing.assert_allclose(model.history[name], expected[name], rtol=1e-10)
    mean, spread = model.predict(there[0], samples=5)
    ours_mean, ours_spread = everything().fit(X, y, 6, **of_everything(X, y)).predict(X, samples=5)
    np.testing.assert_allclose(backend.numpy(mean), ours_mean, rtol=1e-7)
    np.testing.assert_allclose(backend.numpy(spread), ours_spread, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("moment", ["between fits", "from a checkpoint"])
def test_a_resume_is_exact_with_everything(backend, data, tmp_path, moment):
    X, y = data
    there = backend.array(X), backend.array(y)
    more = of_everything(X, y)
    more["sample_weight"] = backend.array(more["sample_weight"])
    if moment == "between fits":
        callbacks = [EarlyStopping(patience=50, restore_best=False), LearningRateLog()]
        optimizer = "adam(lr='plateau(0.03, patience=1, factor=0.5, monitor=\"val_loss\", min_delta=1)')"
    else:
        callbacks = [EarlyStopping("val_accuracy", patience=50), LearningRateLog()]
        optimizer = "sgd(lr='one_cycle(0.2, 6)', momentum=0.9)"
    whole = everything(optimizer).fit(*there, 6, callbacks=callbacks, **more)
    path = str(tmp_path / "m.npz")
    if moment == "between fits":
        everything(optimizer).fit(*there, 4, callbacks=callbacks, **more).save(path)
    else:

        class Crash(Callback):
            def on_epoch_begin(self, model):
                if len(model.history["loss"]) == 4:
                    raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            everything(optimizer).fit(*there, 6, callbacks=[*callbacks, Checkpoint(path), Crash()], **more)
    resumed = DFN.load(path, there[0])
    assert len(resumed.history["loss"]) == 4
    resumed.fit(*there, 2, callbacks=callbacks, **more)
    assert resumed.history == whole.history
    assert len(set(whole.history["lr"])) > 1
    for name, layer in whole.layers.items():
        for key, value in {**layer.params, **layer.buffers}.items():
            other = {**resumed.layers[name].params, **resumed.layers[name].buffers}[key]
            assert (backend.numpy(value) == backend.numpy(other)).all(), (name, key)
    assert (backend.numpy(whole.predict_proba(there[0])) == backend.numpy(resumed.predict_proba(there[0]))).all()


def test_history_has_a_value_an_epoch(data):
    X, y = data
    model = DFN(8, 2, init_w="he_normal", seed=0)
    model.fit(X, y, 2, verbose=None)
    model.fit(X, y, 1, verbose=None, validation_data=(X, y), metrics={"right": "accuracy"})
    model.fit(X, y, 1, verbose=None)
    assert list(model.history) == ["loss", "val_loss", "val_right"]
    assert [len(column) for column in model.history.values()] == [4, 4, 4]
    assert [math.isnan(v) for v in model.history["val_right"]] == [True, True, False, True]


def test_the_validation_is_what_evaluate_says(backend, data):
    X, y = (backend.array(a) for a in data)
    model = everything().fit(X, y, 3, 32, None, validation_data=(X, y), metrics=["accuracy", "f1"])
    for name, metric in (("val_loss", "loss"), ("val_accuracy", "accuracy"), ("val_f1", "f1")):
        assert model.history[name][-1] == pytest.approx(model.evaluate(X, y, 1000, metric=metric), rel=1e-12)


# ---- schedules -----------------------------------------------------------------------------------------------------


def rates_seen(model, X, y, n_epochs, batch_size=50):
    seen = []

    class Rates(Callback):
        def on_batch_end(self, model, batch, n_batches, loss):
            seen.append(model.learning_rate)

    model.fit(X, y, n_epochs, batch_size, None, callbacks=[Rates()])
    return seen


def test_each_step_has_the_rate_of_its_time(data):
    X, y = data  # three batches of 50
    model = DFN(8, 2, optimizer="sgd(lr='linear(0.3, 2)')", seed=0)
    assert rates_seen(model, X, y, 3) == pytest.approx([0.3, 0.25, 0.2, 0.15, 0.1, 0.05, 0, 0, 0])
    model = DFN(8, 2, optimizer="adam(lr='linear(0.3, 6, by=\"step\")')", seed=0)
    assert rates_seen(model, X, y, 2, 64) == pytest.approx([0.3, 0.25, 0.2, 0.15, 0.1, 0.05])


def test_a_schedule_moves_the_weights_as_its_rates_would(backend, data):
    X, y = (backend.array(a) for a in data)
    model = DFN(8, 2, optimizer="sgd(lr='step(0.4, 1, 0.5)')", init_w="he_normal", seed=0).fit(X, y, 3, verbose=None)
    by_hand = DFN(8, 2, optimizer="sgd(lr=0.4)", init_w="he_normal", seed=0)
    for _ in range(3):
        by_hand.fit(X, y, 1, verbose=None)
        for layer in by_hand.layers.values():
            layer.optimizer.lr *= 0.5
    np.testing.assert_allclose(model.history["loss"], by_hand.history["loss"], rtol=1e-12)


def test_a_new_schedule_begins_anew_and_an_old_one_goes_on(data):
    X, y = data
    model = DFN(8, 2, optimizer="sgd(lr='linear(0.3, 2)')", seed=0)
    assert rates_seen(model, X, y, 1)[0] == pytest.approx(0.3)
    assert rates_seen(model, X, y, 1)[0] == pytest.approx(0.15)
    model.optimizer = "sgd(lr='linear(0.2, 2)')"
    assert rates_seen(model, X, y, 1)[0] == pytest.approx(0.2)
    assert rates_seen(model, X, y, 1)[0] == pytest.approx(0.1)
    model.layers["FC2"].optimizer = model.layers["FC2"].optimizer.__class__("linear(9.0, 2)")
    assert rates_seen(model, X, y, 1)[0] == pytest.approx(0.0)  # that of FC1 goes on


def test_bad_schedules_are_found_before_training(data):
    X, y = data

    @register
    class Broken(ScheduleBase):
        def __call__(self, t, history=None):
            return math.nan if t >= 2 else 0.1

    for optimizer, message in [
        ("sgd(lr='broken')", "lr: Broken gave nan at epoch 2"),
        ("sgd(lr='plateau(0.1, monitor=\"val_loss\")')", "monitors 'val_loss', expected one of loss"),
    ]:
        model = DFN(8, 2, optimizer=optimizer, seed=0)
        with pytest.raises(ValueError, match=message):
            model.fit(X, y, 5, verbose=None)
        assert not model.is_initialized
    with pytest.raises(ValueError, match=r"lr must be a number in .* or a schedule"):
        DFN(8, 2, optimizer="sgd(lr='cosine')")


def test_epochs_are_not_counted_by_hand(data):
    X, y = data
    model = DFN(8, 2, optimizer="sgd(lr='linear(0.3, 2)')", seed=0)
    scores, _ = model.forward(X)
    model.backward(model.loss.value_and_grad(y, scores, 1 / 150)[1])
    with pytest.raises(ValueError, match="counts epochs, of which only fit knows; give by='step'"):
        model.update()
    rule = type(model.layers["FC1"].optimizer)("linear(0.3, 3, by='step')")
    moved = [np.ones(1)]
    for _ in range(4):
        moved.append(rule(moved[-1], np.ones(1), "W"))
    assert np.ravel(moved).tolist() == pytest.approx([1, 0.7, 0.5, 0.4, 0.4])


def test_plateau_waits_for_the_validation(data):
    X, y = data
    model = DFN(
        8, 2, optimizer="sgd(lr='plateau(0.1, factor=0.1, patience=2, monitor=\"val_loss\", min_delta=9)')", seed=0
    )
    model.fit(X, y, 7, verbose=None, validation_fraction=0.2, callbacks=["learning_rate_log"])
    assert model.history["lr"] == pytest.approx([0.1] * 4 + [0.01] * 3)


# ---- callbacks -----------------------------------------------------------------------------------------------------


class Told(Callback):
    def __init__(self):
        self.calls = []

    def on_fit_begin(self, model, plan):
        self.calls.append(("fit begins", plan.n_epochs, plan.n_batches, plan.values))

    def on_epoch_begin(self, model):
        self.calls.append("epoch begins")

    def on_batch_end(self, model, batch, n_batches, loss):
        self.calls.append((batch, n_batches))

    def on_epoch_end(self, model, values):
        self.calls.append(sorted(values))

    def on_fit_end(self, model, complete):
        self.calls.append(("fit ends", complete))


def test_callbacks_are_told_in_order(data):
    X, y = data
    told = Told()
    DFN(8, 2, seed=0).fit(X, y, 2, 100, None, callbacks=[told], validation_data=(X, y))
    epoch = ["epoch begins", (1, 2), (2, 2), ["loss", "val_loss"]]
    assert told.calls == [("fit begins", 2, 2, ("loss", "val_loss")), *epoch, *epoch, ("fit ends", True)]
    told = Told()
    with pytest.raises(FloatingPointError):
        DFN(8, 2, loss="squared_error", optimizer="sgd(lr=1e30)").fit(X, 1.0 * np.eye(2)[y], 9, callbacks=[told])
    assert told.calls[-1] == ("fit ends", False)


def test_a_batchs_loss_can_be_asked_for(backend, data):
    X, y = (backend.array(a) for a in data)
    losses = []

    class Losses(Callback):
        def on_batch_end(self, model, batch, n_batches, loss):
            losses.append(loss())

    model = DFN(8, 2, seed=0).fit(X, y, 1, 60, None, callbacks=[Losses()])
    assert model.history["loss"][0] == pytest.approx((60 * losses[0] + 60 * losses[1] + 30 * losses[2]) / 150, rel=1e-9)


def test_the_model_may_be_used_within_a_fit(backend, data, tmp_path):
    """And what it shows there stays as it was shown."""
    X, y = (backend.array(a) for a in data)
    shown, seen = [], []

    class Look(Callback):
        def on_epoch_end(self, model, values):
            assert model.evaluate(X, y, 1000, metric="loss") == pytest.approx(values["val_loss"], rel=1e-12)
            W = model.layers["FC1"].params["W"]
            shown.append((W, backend.numpy(W).copy()))
            model.save(tmp_path / f"{len(shown)}.npz")
            with pytest.raises(ValueError, match="fit was called by a callback"):
                model.fit(X, y, 1)

        def on_batch_end(self, model, batch, n_batches, loss):
            seen.append(float(np.sum(backend.numpy(model.layers["FC1"].params["W"]))))

    model = everything().fit(X, y, 4, 64, None, callbacks=[Look()], validation_data=(X, y))
    plain = everything().fit(X, y, 4, 64, None, validation_data=(X, y))
    assert model.history == plain.history
    assert len(set(seen)) == len(seen) == 4 * 3
    for W, copy in shown:
        assert (backend.numpy(W) == copy).all()
    again = DFN.load(tmp_path / "2.npz", X).fit(X, y, 2, 64, None, validation_data=(X, y))
    assert again.history == plain.history


def test_a_callback_may_change_the_model(backend, data):
    X, y = (backend.array(a) for a in data)

    class Halve(Callback):
        def on_epoch_end(self, model, values):
            for layer in model.layers.values():
                layer.optimizer.lr *= 0.5

    changed = DFN(8, 2, optimizer="adam(lr=0.1)", seed=0).fit(X, y, 3, 64, None, callbacks=[Halve()])
    scheduled = DFN(8, 2, optimizer="adam(lr='step(0.1, 1, 0.5)')", seed=0).fit(X, y, 3, 64, None)
    np.testing.assert_allclose(changed.history["loss"], scheduled.history["loss"], rtol=1e-12)

    class Zero(Callback):
        def on_epoch_end(self, model, values):
            for layer in model.layers.values():
                layer.params = {name: 0 * value for name, value in layer.params.items()}

    model = DFN(8, 2, optimizer="sgd(lr=1e-9)", init_w="he_normal", seed=0)
    model.fit(X, y, 2, 64, None, callbacks=[Zero()])
    assert model.history["loss"][0] != pytest.approx(math.log(2), rel=1e-4)
    assert model.history["loss"][1] == pytest.approx(math.log(2), rel=1e-6)
    assert float(np.sum(np.abs(backend.numpy(model.layers["FC1"].params["W"])))) == 0


def test_early_stopping_by_hand(backend):
    """The validation's targets move away after a while: the best epoch is known, and its weights come back."""
    X = backend.array(np.asarray([[1.0]]))
    kept = []

    class Keep(Callback):
        def on_epoch_end(self, model, values):
            kept.append(backend.numpy(model.layers["FC1"].params["W"]).copy())

    layers = [FullyConnected(1, "affine", "constant(0)")]
    model = DFN(layers=layers, loss="squared_error", optimizer="sgd(lr=0.1)", seed=0)
    stop = EarlyStopping("val_loss", patience=3)
    there = X, backend.array(np.asarray([[1.0]])), backend.array(np.asarray([[0.7]]))
    model.fit(X, there[1], 50, 1, None, validation_data=(X, there[2]), callbacks=[stop, Keep()])
    best = int(np.argmin(model.history["val_loss"]))
    assert len(model.history["loss"]) == best + 1 + 3
    assert (backend.numpy(model.layers["FC1"].params["W"]) == kept[best]).all()
    assert model.evaluate(X, there[2]) == pytest.approx(min(model.history["val_loss"]), rel=1e-12)
    n = len(model.history["loss"])
    model.fit(X, there[1], 2, 1, None, validation_data=(X, there[2]), callbacks=[stop])  # who fits on, goes on
    assert len(model.history["loss"]) == n + 2


@pytest.mark.parametrize(
    ("values", "arguments", "epochs"),
    [
        ([5, 4, 3, 4, 4, 2], {"patience": 2}, 5),
        ([5, 4, 3, 4, 4, 2], {"patience": 3}, 6),
        ([5, 4, 3.95, 3.9, 3.8], {"patience": 2, "min_delta": 0.1}, 5),
        ([5, 4, 3.95, 3.91, 3.8], {"patience": 2, "min_delta": 0.15}, 4),
        ([1, 2, 3, 2, 2, 9], {"patience": 2, "mode": "max"}, 5),
        ([math.nan, 2, math.nan, math.nan, 1], {"patience": 2}, 4),
    ],
)
def test_patience_and_min_delta_by_hand(values, arguments, epochs, data):
    X, y = data
    given = iter(values)

    def moved(y_true, y_pred):
        return next(given)

    arguments = {"mode": "min", **arguments}
    stop = EarlyStopping("val_moved", restore_best=False, **arguments)
    model = DFN(4, 2, seed=0).fit(X, y, len(values), 64, None, validation_data=(X, y), metrics=moved, callbacks=[stop])
    assert len(model.history["loss"]) == epochs
    with pytest.raises(ValueError, match="say mode='max' or mode='min'"):
        model.fit(X, y, 1, validation_data=(X, y), metrics=moved, callbacks=[EarlyStopping("val_moved")])


def test_the_best_checkpoint_is_kept(data, tmp_path):
    X, y = data
    model = DFN(8, 2, optimizer="adam(lr=0.3)", init_w="he_normal", seed=0)
    path = tmp_path / "best.npz"
    more = {"validation_fraction": 0.3, "metrics": "accuracy", "verbose": None}
    model.fit(X, y, 12, 16, callbacks=[Checkpoint(str(path), "val_accuracy")], **more)
    best = model.history["val_accuracy"]
    saved = DFN.load(path)
    assert saved.history["val_accuracy"][-1] == max(best)
    assert len(saved.history["loss"]) == best.index(max(best)) + 1


def test_logs(data, tmp_path, capsys):
    X, y = data
    path = tmp_path / "log.csv"
    callbacks = ["learning_rate_log", CSVLog(str(path))]
    model = DFN(8, 2, optimizer="sgd(lr='step(0.1, 2)')", seed=0)
    model.fit(X, y, 2, validation_data=(X, y), metrics="accuracy", callbacks=callbacks)
    model.save(tmp_path / "m.npz")
    DFN.load(tmp_path / "m.npz").fit(X, y, 1, validation_data=(X, y), metrics="accuracy", callbacks=callbacks)
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["epoch", "loss", "val_loss", "val_accuracy", "lr"]
    assert [row[0] for row in rows[1:]] == ["1", "2", "3"]
    assert [float(row[1]) for row in rows[1:3]] == model.history["loss"]
    assert [float(row[4]) for row in rows[1:]] == pytest.approx([0.1, 0.1, 0.01])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert f"val_accuracy: {model.history['val_accuracy'][0]:.4g} lr: 0.1" in lines[0]


@pytest.mark.parametrize(("batches", "total"), [(False, "3/3"), (True, "9/9")])
def test_a_progress_bar(batches, total, data, capsys):
    pytest.importorskip("tqdm")
    X, y = data
    DFN(8, 2, seed=0).fit(X, y, 3, 64, None, callbacks=[ProgressBar(batches)], validation_data=(X, y))
    err = capsys.readouterr().err
    assert total in err
    assert "val_loss=0.69" in err


def test_a_rate_is_found_and_the_model_stays(backend, data):
    X, y = (backend.array(a) for a in data)
    model = DFN(8, 2, optimizer="sgd(lr=0.01)", init_w="glorot_uniform", seed=0)
    search = find_learning_rate(model, X, y, low=1e-3, high=1e6, n_steps=60, batch_size=50)
    assert not model.is_initialized
    assert search.rates[0] == pytest.approx(1e-3)
    assert search.rates[1] / search.rates[0] == pytest.approx(1e9 ** (1 / 59))
    assert len(search.rates) == len(search.losses) < 60  # it exploded
    assert max(search.losses[-5:]) > 1.5 * min(search.losses)
    best = search.losses.index(min(search.losses[6:]))  # the first tenth is left out
    assert search.suggestion == pytest.approx(search.rates[best] / 10)
    assert 0.05 < search.suggestion < 1
    for name, value in (("low", 0.0), ("high", 1e-9), ("smoothing", 1.0)):
        with pytest.raises(ValueError, match=f"{name} must be a number"):
            find_learning_rate(model, X, y, **{name: value})


def test_samples_are_of_the_dropout_distribution(backend):
    """One input through dropout(0.5) and a weight of 1: outputs 0 or 2, mean 1 and standard deviation 1."""
    layers = [Dropout(0.5), FullyConnected(1, "affine", "constant(1)")]
    model = DFN(layers=layers, loss="squared_error", seed=0).initialize(backend.array(np.ones((1, 1))))
    mean, spread = model.predict(backend.array(np.ones((1500, 1))), samples=40)
    mean, spread = backend.numpy(mean), backend.numpy(spread)
    assert mean.shape == spread.shape == (1500, 1)
    assert mean.mean() == pytest.approx(1, abs=5 / (1500 * 40) ** 0.5)
    np.testing.assert_allclose(spread, np.sqrt(mean * (2 - mean)), rtol=1e-9, atol=1e-9)  # of so many twos
    assert len(np.unique(mean)) > 5
    for other, samples, message in (
        (model, 1, "samples must be an integer of at least 2"),
        (DFN(3, 1, loss="squared_error").initialize(np.ones((1, 1))), 5, "no layer draws"),
    ):
        with pytest.raises(ValueError, match=message):
            other.predict(np.ones((1, 1)), samples=samples)


def test_jax_compiles_a_step_twice_whatever_is_asked(data):
    jax = pytest.importorskip("jax")
    from xdfn.backend import _jax

    X, y = (jax.numpy.asarray(a) for a in data)
    _jax._compiled.cache_clear()
    model = everything("sgd(lr='cosine(0.1, 4)', momentum=0.9)")
    for _ in range(3):
        model.fit(X, y, 2, 32, None, validation_data=(X, y), metrics="accuracy", callbacks=["learning_rate_log"])
    model.optimizer = "sgd(lr=0.003, momentum=0.9)"
    model.fit(X, y, 2, 32, None)
    assert _jax._compiled()._cache_size() == 2  # full batches, and the short last one


def test_a_copy_made_within_a_fit_is_where_training_is(data):
    import copy

    X, y = data
    copies = []

    class Copy(Callback):
        def on_epoch_end(self, model, values):
            copies.append(copy.copy(model))
            assert copies[-1].fit(X, y, 1, 64, None).history["loss"][:-1] == model.history["loss"]

    model = DFN(8, 2, optimizer="adam", ema=0.9, seed=0).fit(X, y, 3, 64, None, callbacks=[Copy()])
    for done, other in enumerate(copies, 1):
        assert other.history["loss"][: done + 1] == [*model.history["loss"], *other.history["loss"][-1:]][: done + 1]
    assert copies[0].history["loss"] == model.history["loss"][:2]
    assert (copies[1].predict_proba(X) == model.predict_proba(X)).all()


def test_a_notebook_shows_a_table(data):
    model = everything().fit(*data, 1, 32, None)
    html = model._repr_html_()
    assert html.count("<tr") == len(model.layers) + 2  # and the head, and the total
    assert "GaussianNoise1" in html
    assert f"{sum(p.size for layer in model.layers.values() for p in layer.params.values()):,}" in html


# ---- what a first user stumbled over -------------------------------------------------------------------------------


class Do(Callback):
    """Calls a function at one of the moments."""

    def __init__(self, function, moment="on_epoch_end"):
        self.function, self.moment = function, moment

    def on_fit_begin(self, model, plan):
        self.call("on_fit_begin", model)

    def on_epoch_begin(self, model):
        self.call("on_epoch_begin", model)

    def on_epoch_end(self, model, values):
        self.call("on_epoch_end", model)

    def call(self, moment, model):
        if moment == self.moment:
            self.function(model)


def two_layers(**more):
    given = {"optimizer": SGD(lr=0.1), "init_w": "he_normal", "seed": 0, **more}
    return DFN(8, 2, **given)


@pytest.mark.parametrize("moment", ["on_epoch_end", "on_epoch_begin", "on_fit_begin"])
@pytest.mark.parametrize(
    "change",
    [
        lambda model: setattr(model.optimizer, "lr", 0.0),
        lambda model: setattr(model, "optimizer", "sgd(lr=0)"),
        lambda model: [setattr(layer.optimizer, "lr", 0.0) for layer in model.layers.values()],
        lambda model: setattr(model, "clip_norm", 1e-12),
    ],
    ids=["optimizer.lr", "optimizer", "layers", "clip_norm"],
)
def test_changes_by_callbacks_hold_from_the_next_epoch_on(data, moment, change):
    """With a rate or gradients of nothing the validation's loss stands still."""
    X, y = data
    model = two_layers().fit(X, y, 4, 64, None, validation_data=(X, y), callbacks=[Do(change, moment)])
    losses = model.history["val_loss"]
    assert len(set(np.round(losses, 9))) == 1
    free = two_layers().fit(X, y, 4, 64, None, validation_data=(X, y)).history["val_loss"]
    assert len(set(np.round(free, 9))) == 4
    assert (losses[0] == free[0]) == (moment == "on_epoch_end")


def test_weights_changed_in_place_by_a_callback_count(backend, data):
    X, y = (backend.array(a) for a in data)

    def halve(model):
        params = model.layers["FC1"].params
        params["W"] *= 0.5

    def halve_anew(model):
        model.layers["FC1"].params["W"] = 0.5 * model.layers["FC1"].params["W"]

    histories = [two_layers().fit(X, y, 3, 64, None, callbacks=[Do(f)]).history for f in (halve, halve_anew)]
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-12)
    assert histories[0]["loss"][1] != two_layers().fit(X, y, 3, 64, None).history["loss"][1]


def test_what_a_callback_holds_since_before_the_fit_counts(data):
    X, y = data
    model = two_layers()
    held = list(model.layers.values())
    model.fit(X, y, 3, 64, None, callbacks=[Do(lambda _: [setattr(layer.optimizer, "lr", 0.0) for layer in held])])
    stopped = two_layers().fit(X, y, 1, 64, None)
    for name, layer in model.layers.items():
        for key, value in layer.params.items():
            assert (value == stopped.layers[name].params[key]).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda m: m.layers["FC1"].params.update(W=np.zeros((3, 3))), r"must have shape \(4, 8\), got \(3, 3\)"),
        (
            lambda m: m.layers.update(FC1=FullyConnected(8, "relu", "he_normal")),
            "layers cannot be replaced within a fit",
        ),
        (lambda m: setattr(m, "optimizer", "sgd(lr='plateau(0.1, monitor=\"val_x\")')"), "monitors 'val_x'"),
    ],
    ids=["shape", "layer", "monitor"],
)
def test_a_wrong_change_ends_the_fit_after_its_last_good_epoch(data, wrong, message):
    X, y = data

    def second(model):
        if len(model.history["loss"]) == 2:
            wrong(model)

    model, good = two_layers(), two_layers().fit(X, y, 2, 64, None)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, 4, 64, None, callbacks=[Do(second)])
    assert model.history == good.history
    assert (model.predict_proba(X) == good.predict_proba(X)).all()
    model.optimizer = "sgd(lr=0.1)"
    assert model.fit(X, y, 1, 64, None).history == good.fit(X, y, 1, 64, None).history


def test_a_fit_that_came_to_its_end_leaves_nothing_to_the_next(data):
    X, y = data
    stop = lambda: [EarlyStopping(patience=2, restore_best=False)]  # noqa: E731
    one = two_layers().fit(X, y, 8, 64, None, validation_data=(X, y), callbacks=stop())
    other = two_layers().fit(X, y, 8, 64, None, validation_data=(X, y))
    for model in (one, other):
        model.fit(X, 1 - y, 10, 64, None, validation_data=(X, 1 - y), callbacks=stop())
    assert one.history["val_loss"][8:] == other.history["val_loss"][8:]


@pytest.mark.parametrize("crash", range(2, 9))
def test_a_checkpoint_saves_what_the_others_remember_of_the_epoch(data, tmp_path, crash):
    """Whatever the order in which they are given."""
    X, y = data
    path, log = str(tmp_path / "m.npz"), str(tmp_path / "l.csv")
    callbacks = lambda: [Checkpoint(path), CSVLog(log), EarlyStopping("val_loss", patience=3)]  # noqa: E731
    model = lambda: DFN(8, 2, optimizer="adam(lr=0.3)", init_w="he_normal", seed=0)  # noqa: E731
    more = {"batch_size": 16, "verbose": None, "validation_fraction": 0.3}
    whole = model().fit(X, y, 40, callbacks=callbacks(), **more)
    with open(log) as file:
        lines = file.read()

    def stop(model):
        if len(model.history["loss"]) == crash:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model().fit(X, y, 40, callbacks=[*callbacks(), Do(stop, "on_epoch_begin")], **more)
    resumed = DFN.load(path)
    resumed.fit(X, y, 40 - len(resumed.history["loss"]), callbacks=callbacks(), **more)
    assert resumed.history == whole.history
    assert (resumed.predict_proba(X) == whole.predict_proba(X)).all()
    with open(log) as file:
        assert file.read() == lines


def test_a_log_of_other_values_is_refused(data, tmp_path):
    X, y = data
    log = str(tmp_path / "l.csv")
    model = two_layers().fit(X, y, 1, 64, None, callbacks=[CSVLog(log)])
    with pytest.raises(ValueError, match="has the columns epoch,loss, not epoch,loss,val_loss"):
        model.fit(X, y, 1, 64, None, callbacks=[CSVLog(log)], validation_data=(X, y))
    for callback in (CSVLog(str(tmp_path)), Checkpoint(str(tmp_path))):
        with pytest.raises(ValueError, match="is a folder"):
            model.fit(X, y, 1, 64, None, callbacks=[callback])
    assert len(model.history["loss"]) == 1


def test_averages_know_what_they_are_averages_of(data, tmp_path):
    """Through save, load and to, after one of the arrays was assigned."""
    X, y = data
    model = two_layers(ema=0.9).fit(X, y, 5, 64, None)
    averaged = model.predict_proba(X)
    model.ema = None
    raw = model.predict_proba(X)
    np.testing.assert_array_equal(raw, two_layers().fit(X, y, 5, 64, None).predict_proba(X))
    model.ema = 0.9
    assert (model.predict_proba(X) == averaged).all()
    model.layers["FC2"].params["W"] = np.zeros((8, 2))
    mixed = model.predict_proba(X)
    assert (mixed != averaged).any()
    model.save(tmp_path / "m.npz")
    assert (DFN.load(tmp_path / "m.npz").predict_proba(X) == mixed).all()
    assert (model.to("numpy").predict_proba(X) == mixed).all()


def test_an_assigned_schedule_begins_at_its_beginning(data):
    X, y = data
    model = DFN(8, 2, optimizer="sgd(lr='linear(0.3, 2)')", seed=0).fit(X, y, 2, verbose=None)
    assert rates_seen(model, X, y, 1)[0] == 0
    model.optimizer = "sgd(lr='linear(0.3, 2)')"
    assert rates_seen(model, X, y, 1)[0] == pytest.approx(0.3)
    assert rates_seen(model, X, y, 1)[0] == pytest.approx(0.15)


def test_a_plateau_that_waits_the_wrong_way_is_refused(data):
    X, y = data
    more = {"validation_data": (X, y), "metrics": "accuracy", "verbose": None}
    rule = "sgd(lr='plateau(0.1, monitor=\"val_accuracy\"{})')"
    with pytest.raises(ValueError, match="mode='min'; it is better the other way: 'max'"):
        two_layers(optimizer=rule.format("")).fit(X, y, 1, **more)
    two_layers(optimizer=rule.format(', mode="max"')).fit(X, y, 1, **more)


def test_values_that_callbacks_measure_are_looked_at(data):
    X, y = data

    class Measures(Callback):
        names = ("norm",)

        def measure(self, model):
            return {"norm": float(np.linalg.norm(model.layers["FC1"].params["W"]))}

    model = two_layers().fit(X, y, 2, 64, None, callbacks=[Measures(), EarlyStopping("norm", mode="min")])
    assert len(set(model.history["norm"])) == 2
    Measures.names = ("other",)
    with pytest.raises(ValueError, match=r"Measures.measure must give a number for each of \('other',\)"):
        model.fit(X, y, 1, 64, None, callbacks=[Measures()])
    Measures.names = ("loss",)
    with pytest.raises(ValueError, match="measure what has a name already: loss, loss"):
        model.fit(X, y, 1, 64, None, callbacks=[Measures()])
    assert len(model.history["loss"]) == 2


def test_all_callbacks_are_told_of_the_end_whatever_one_does(data):
    X, y = data

    class Raises(Callback):
        def on_fit_end(self, model, complete):
            raise RuntimeError("at the end")

    told = Told()
    with pytest.raises(RuntimeError, match="at the end"):
        two_layers().fit(X, y, 1, 64, None, callbacks=[Raises(), told])
    assert told.calls[-1] == ("fit ends", True)


def test_weights_and_functions_are_refused_before_training(data):
    X, y = data

    def right(y_true, y_pred):
        return 1.0

    more = {"validation_fraction": 0.2, "metrics": right, "callbacks": [told := Told()]}
    with pytest.raises(ValueError, match=r"the metric right .* takes no weights"):
        two_layers().fit(X, y, 1, sample_weight=np.ones(150), **more)
    assert told.calls == []
    broken = X.copy()
    broken[0, 0] = np.nan
    with pytest.raises(ValueError, match="validation_data: X holds NaN"):
        two_layers().fit(X, y, 1, verbose=None, validation_data=(broken, y))
    model = two_layers().fit(X, y, 1, verbose=None, validation_data=(broken, y), check_input=False)
    assert math.isnan(model.history["val_loss"][0])
