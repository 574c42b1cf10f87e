"""A fit as its callbacks see it: they look at the model, and change it."""

import math

import numpy as np
import pytest
from fits import Do, everything, two_layers

from xdfn import DFN, Callback, EarlyStopping, FullyConnected


def test_history_has_a_value_an_epoch(data):
    X, y = data
    model = DFN(8, 2, init_w="he_normal", seed=0)
    model.fit(X, y, 2, verbose=None)
    model.fit(X, y, 1, verbose=None, validation_data=(X, y), metrics={"right": "accuracy"})
    model.fit(X, y, 1, verbose=None)
    assert list(model.history) == ["loss", "val_loss", "val_right"]
    assert [len(column) for column in model.history.values()] == [4, 4, 4]
    assert [math.isnan(v) for v in model.history["val_right"]] == [True, True, False, True]


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
            with pytest.raises(ValueError, match="fit was called while another fit of the same model goes on"):
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


def test_what_a_callback_puts_back_is_trained_on(backend, data):
    """A snapshot that is put back counts from the next epoch on, on JAX too, whose arrays cannot change in place."""
    X, y = (backend.array(a) for a in data)

    class Rewind(Callback):
        def on_epoch_end(self, model, values):
            if len(model.history["loss"]) == 1:
                self.first = model.snapshot()
            elif len(model.history["loss"]) == 3:
                model.put_back(self.first)

    model = DFN(8, 2, optimizer="sgd(lr=0.5)", init_w="he_normal", seed=0).fit(X, y, 4, 150, None, callbacks=[Rewind()])
    losses = model.history["loss"]  # of whole epochs in one batch each: the order of the rows does not matter
    assert losses[3] == pytest.approx(losses[1], rel=1e-12)
    assert losses[3] != pytest.approx(losses[2], rel=1e-3)


def test_an_equal_schedule_that_a_callback_assigns_begins_anew(data):
    spec, rates = "sgd(lr='step(0.4, 1, factor=0.5)')", []

    class Assign(Callback):
        def on_epoch_end(self, model, values):
            rates.append(model.learning_rate)
            if len(rates) == 2:
                model.optimizer = spec

    DFN(4, 2, optimizer=spec, seed=0).fit(*data, 4, 150, None, callbacks=[Assign()])
    assert rates == [0.4, 0.2, 0.4, 0.2]


def test_all_callbacks_hear_of_the_end_even_if_one_cannot_say_what_it_remembers(data):
    ended = []

    class Forgetful(Callback):
        def on_epoch_end(self, model, values):
            raise RuntimeError("in the midst")

        def state(self):
            raise RuntimeError("nothing comes to mind")

        def on_fit_end(self, model, complete):
            ended.append(complete)

    model = DFN(4, 2, seed=0)
    with pytest.raises(RuntimeError, match="nothing comes to mind"):
        model.fit(*data, 2, 50, None, callbacks=[Forgetful()])
    assert ended == [False]
    assert model.fit(*data, 1, 50, None).is_initialized
