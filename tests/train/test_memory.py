"""What a model keeps between fits, and what a fit that fails gives back."""

import copy
import math
import operator
import pickle

import numpy as np
import pytest
from fits import Do, everything, of_everything, rates_seen, tanh_network, two_layers

from xdfn import DFN, SGD, Adam, Callback, Checkpoint, EarlyStopping, LearningRateLog
from xdfn.train.memory import Memory, TrainedParams
from xdfn.train.segments import Provenance


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


def test_an_assigned_schedule_begins_at_its_beginning(data):
    X, y = data
    model = DFN(8, 2, optimizer="sgd(lr='linear(0.3, 2)')", seed=0).fit(X, y, 2, verbose=None)
    assert rates_seen(model, X, y, 1)[0] == 0
    model.optimizer = "sgd(lr='linear(0.3, 2)')"
    assert rates_seen(model, X, y, 1)[0] == pytest.approx(0.3)
    assert rates_seen(model, X, y, 1)[0] == pytest.approx(0.15)


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


@pytest.fixture
def classes(rng):
    return rng.normal(size=(20, 4)), rng.integers(0, 3, 20)


def test_averages_are_saved_moved_and_left_behind_by_assignment(backend, classes, tmp_path):
    X, y = map(backend.array, classes)
    model = tanh_network("adam(lr=0.05)", ema=0.9).fit(X, y, 3, 8, verbose=None)
    p = backend.numpy(model.predict_proba(X))
    model.save(tmp_path / "m.npz")
    loaded = DFN.load(tmp_path / "m.npz", X)
    assert loaded.ema == 0.9
    assert (backend.numpy(loaded.predict_proba(X)) == p).all()
    assert loaded.fit(X, y, 2, 8, verbose=None).history == model.fit(X, y, 2, 8, verbose=None).history
    assert (backend.numpy(loaded.predict_proba(X)) == backend.numpy(model.predict_proba(X))).all()
    served = DFN.load(tmp_path / "m.npz").predict_proba(classes[0])
    np.testing.assert_allclose(served, p, rtol=1e-12)
    for name, layer in loaded.layers.items():
        layer.params = {key: value + 0.0 for key, value in loaded.layers[name].params.items()}
    raw = tanh_network("adam(lr=0.05)").fit(X, y, 5, 8, verbose=None)
    np.testing.assert_allclose(backend.numpy(loaded.predict_proba(X)), backend.numpy(raw.predict_proba(X)), rtol=1e-12)


@pytest.fixture
def few(rng):
    X = rng.normal(size=(40, 4))
    return X, (X[:, 0] > 0) * 1


def same(a, b):
    assert a.history == b.history
    assert a.layers.keys() == b.layers.keys()
    for name, layer in a.layers.items():
        for parameter, value in layer.params.items():
            np.testing.assert_array_equal(value, b.layers[name].params[parameter], err_msg=f"{name}.{parameter}")


def test_a_rate_assigned_before_a_refused_fit_holds_in_the_next(few):
    X, y = few
    model, other = (DFN(4, 2, optimizer=SGD(lr=0.01), seed=0).fit(X, y, 1, 20, verbose=None) for _ in range(2))
    model.optimizer.lr = other.optimizer.lr = 0.5
    with pytest.raises(ValueError, match="the same number of rows, got 40 and 10"):
        model.fit(X, y[:10], verbose=None)
    assert str(model.optimizer) == "SGD(lr=0.5)"
    same(model.fit(X, y, 2, 20, verbose=None), other.fit(X, y, 2, 20, verbose=None))
    assert {str(layer.optimizer) for layer in model.layers.values()} == {"SGD(lr=0.5)"}
    assert model.learning_rate == 0.5


def assign_and_return(model, X, y):
    """Without a fit between: nothing has happened."""
    model.optimizer = "nadam(lr=0.1)"
    model.optimizer = "adam(lr=0.01)"


def break_off(model, X, y):
    class Looking(Callback):
        def on_batch_end(self, model, batch, n_batches, loss):
            assert np.isfinite(model.layers["FC1"].params["W"]).all()  # the model shows how far training is
            if batch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y, 1, 20, verbose=None, callbacks=[Looking()])


def refuse_callback(model, X, y):
    class Refusing(Callback):
        def on_fit_begin(self, model, plan):
            model.optimizer = "momentum(0.1, 0.9)"  # taken back with all else
            raise ValueError("not this plan")

    with pytest.raises(ValueError, match="not this plan"):
        model.fit(X, y, 1, 20, verbose=None, callbacks=[Refusing()])


def refuse_schedule(model, X, y):
    """The optimizer has memory of another kind, and waits for a value that this fit has not."""
    model.optimizer = "sgd(lr=\"plateau(0.1, monitor='val_loss')\", momentum=0.9)"
    with pytest.raises(ValueError, match="val_loss"):
        model.fit(X, y, 1, 20, verbose=None)
    model.optimizer = "adam(lr=0.01)"


@pytest.mark.parametrize("refused", [refuse_schedule, refuse_callback, break_off, assign_and_return])
def test_a_refused_fit_leaves_the_optimizers_memory(few, refused, tmp_path):
    X, y = few
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


def test_a_refused_first_fit_leaves_a_new_model(few):
    X, y = few
    model = DFN(4, 2, optimizer=Adam(lr=0.01), seed=0)
    with pytest.raises(ValueError, match="the same number of rows"):
        model.fit(X, y[:10], verbose=None)
    assert not model.is_initialized
    assert np.isnan(model.learning_rate)
    model.fit(X[:, :3].astype("float32"), y, 2, 20, verbose=None)  # of another width and dtype
    other = DFN(4, 2, optimizer=Adam(lr=0.01), seed=0).fit(X[:, :3].astype("float32"), y, 2, 20, verbose=None)
    same(model, other)


def test_another_rule_begins_without_the_memory_of_the_first(few):
    """Adam's first step is lr in every entry, and Nadam has memory of the same names."""
    X, y = few
    model = DFN(4, 2, optimizer="nadam(lr=0.5)", seed=0, init_w="glorot_uniform").fit(X, y, 3, 20, verbose=None)
    before = model.layers["FC1"].params["W"].copy()
    model.optimizer = "adam(lr=1e-3)"
    model.fit(X, y, 1, 40, verbose=None)
    np.testing.assert_allclose(np.abs(model.layers["FC1"].params["W"] - before), 1e-3, rtol=1e-2)


# -- what it consists of --


def trained():
    return TrainedParams({"W": np.ones(2), "b": np.zeros(1)}, 0)


@pytest.mark.parametrize(
    "assign",
    [
        lambda p: p.__setitem__("W", np.zeros(2)),
        lambda p: p.update(W=np.zeros(2)),
        lambda p: p.update({"W": np.zeros(2)}),
        lambda p: operator.ior(p, {"W": np.zeros(2)}),
        lambda p: p.__setitem__("W", p["W"]),  # what is assigned is the user's, whatever it is
    ],
    ids=["item", "update", "update by a dict", "ior", "itself"],
)
def test_parameters_know_which_of_them_were_assigned(assign):
    params = trained()
    assert Memory().is_untouched(params, "W")
    assign(params)
    assert not Memory().is_untouched(params, "W")
    assert Memory().is_untouched(params, "b")
    assert params.assigned == {"W"}
    for again in (copy.copy(params), copy.deepcopy(params), pickle.loads(pickle.dumps(params))):
        assert type(again) is TrainedParams
        assert (again.assigned, list(again)) == ({"W"}, ["W", "b"])
        assert all((again[name] == params[name]).all() for name in params)
        again["b"] = np.ones(1)
        assert params.assigned == {"W"}  # each copy by itself


def test_parameters_of_no_training_are_touched():
    params = trained()
    assert not Memory().is_untouched(params, "V")
    assert not Memory().is_untouched(dict(params), "W")
    del params["W"]
    assert not Memory().is_untouched(params, "W")
    params["W"] = np.ones(2)
    assert not Memory().is_untouched(params, "W")


def kept(data):
    """A model with something in each part of its memory."""
    stop = EarlyStopping("loss", patience=9)
    made = DFN(4, 2, optimizer="adam(lr='linear(0.1, 9)')", init_w="he_normal", seed=3, ema=0.9)

    def crash(model):
        if len(model.history["loss"]) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.fit(*data, 9, 50, None, callbacks=[stop, Do(crash, "on_epoch_begin")])
    return made


def test_a_memory_is_its_state_dict(data):
    memory = kept(data)._memory
    state = memory.state_dict()
    assert (state["seed"], state["dtype"], state["step"], state["epoch"]) == (3, "float64", 9, 3)
    assert state["slots"]["FC1"]["W"].keys() == {"m", "v"}
    assert state["averages"].keys() == {"FC1", "FC2"}
    assert list(state["callbacks"]) == ["EarlyStopping(monitor='loss', patience=9)"]
    listed = {layer: {name: list(x) for name, x in of.items()} for layer, of in state["provenance"].items()}
    again = Memory.from_state_dict({**state, "provenance": listed})  # as a file gives it
    assert again.state_dict() == state
    assert isinstance(again.provenance["FC1"]["W"], Provenance)
    assert (again.optimizer_key, math.isnan(again.learning_rate)) == (None, True)  # these two are not saved


def test_a_copy_of_a_memory_is_changed_by_itself(data):
    memory = kept(data)._memory
    before = memory.state_dict()
    slot = memory.slots["FC1"]["W"]["m"]
    other = memory.copy()
    assert other.slots["FC1"]["W"]["m"] is slot  # its arrays are never written in place
    other.slots["FC1"]["W"].pop("m")
    other.averages.clear()
    other.callbacks.clear()
    other.restart_schedule("FC1")
    other.step = 0
    assert memory.state_dict() == before
    assert memory.slots["FC1"]["W"]["m"] is slot
    assert memory.averages.keys() == {"FC1", "FC2"}


def test_provenance_says_since_when_a_rule_and_a_schedule_move_a_parameter(data):
    model = kept(data)
    memory, layers = model._memory, model.layers
    linear = "LinearDecay(lr=0.1, length=9)"
    assert memory.provenance_of(layers, "FC1", "W") == Provenance("Adam", 0, linear)
    layers["FC1"].optimizer = "adam(lr=0.5)"  # the memory is Adam's, and there is no schedule
    assert memory.provenance_of(layers, "FC1", "W") == Provenance("Adam", 0)
    layers["FC1"].optimizer = "adam(lr='linear(0.2, 9)')"
    assert memory.provenance_of(layers, "FC1", "W") == Provenance("Adam", 0, "LinearDecay(lr=0.2, length=9)", 9, 3)
    layers["FC1"].optimizer = "nadam(lr=0.5)"  # of the same names of memory, but not of the same kind
    assert memory.slots_of(layers, "FC1", "W") == {}
    assert memory.provenance_of(layers, "FC1", "W") == Provenance("Nadam", 9)
    layers["FC1"].optimizer = "sgd(lr=0.5)"  # which remembers nothing
    assert memory.provenance_of(layers, "FC1", "W") == Provenance("SGD", 0)
    memory.restart_schedule("FC2")
    assert memory.provenance_of(layers, "FC2", "W") == Provenance("Adam", 0, linear, 9, 3)
    assert memory.slots_of(layers, "FC2", "W").keys() == {"m", "v"}


def test_a_snapshot_is_put_back(data):
    model = kept(data)
    before, scores = model.snapshot(), model.predict_proba(data[0])
    model.fit(*data, 2, 50, None)
    assert (model.predict_proba(data[0]) != scores).any()
    model.put_back(before)
    assert (model.predict_proba(data[0]) == scores).all()
    assert all(
        model._memory.is_untouched(layer.params, name) for layer in model.layers.values() for name in layer.params
    )
    assert (model._memory.step, model._memory.epoch) == (15, 5)  # the counts stay
    before["params"]["FC1"]["W"][...] = 0.0
    assert (model.predict_proba(data[0]) == scores).all()


def test_parameters_of_an_earlier_fit_have_no_averages(data):
    """Parameters that were read before a fit and are assigned after it count, and not the averages of the fit."""
    model = DFN(layers=["fc(3, 'affine', 'he_normal')"], optimizer="sgd(lr=0.5)", ema=0.9, seed=0)
    earlier = model.fit(*data, 1, 20, None).layers["FC1"].params
    scores = model.fit(*data, 2, 20, None).predict_proba(data[0])
    model.layers["FC1"].params = earlier
    plain = DFN(layers=["fc(3, 'affine', 'he_normal')"], seed=0).initialize(data[0])
    plain.layers["FC1"].params = dict(earlier)
    assert (model.predict_proba(data[0]) == plain.predict_proba(data[0])).all()
    assert (model.predict_proba(data[0]) != scores).any()
