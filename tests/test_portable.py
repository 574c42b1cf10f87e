"""A model that is carried elsewhere: files with and without the optimizer, copies, other places."""

import copy

import numpy as np
import pytest
from fits import classifier, two_layers

from xdfn import DFN, Callback


@pytest.fixture
def data(rng):
    return rng.normal(size=(60, 4)), rng.integers(0, 2, 60)


def slots_in(path):
    with np.load(path) as file:
        return sorted(name for name in file.files if name.startswith("slots/"))


def test_a_file_without_the_optimizer(data, tmp_path):
    """It answers the same, is smaller, and goes on as with an optimizer without memory."""
    X, y = data
    model = two_layers(optimizer="adam(lr=0.01)", ema=0.9).fit(X, y, 3, 16, None)
    model.save(tmp_path / "whole.npz")
    model.save(tmp_path / "small.npz", optimizer=False)
    assert len(slots_in(tmp_path / "whole.npz")) == 8
    assert slots_in(tmp_path / "small.npz") == []
    small = DFN.load(tmp_path / "small.npz")
    assert np.array_equal(small.predict_proba(X), model.predict_proba(X))  # with the averages
    assert small.history == model.history
    fresh = DFN.load(tmp_path / "whole.npz")
    fresh.optimizer = "sgd"
    fresh.optimizer = "adam(lr=0.01)"
    for m in (small, fresh):
        m.fit(X, y, 2, 16, None)
    whole = DFN.load(tmp_path / "whole.npz").fit(X, y, 2, 16, None)
    assert small.history["loss"][3:] != whole.history["loss"][3:]
    assert np.isfinite(small.history["loss"]).all()


def test_what_another_optimizer_left_is_not_saved(data, tmp_path):
    model = classifier().fit(*data, 2, 16, None)
    model.optimizer = "sgd(lr=0.1)"
    model.save(tmp_path / "m.npz")
    assert slots_in(tmp_path / "m.npz") == []
    model.layers["FC1"].optimizer = "adam(lr=0.01)"  # goes on with what Adam left
    model.save(tmp_path / "m.npz")
    assert slots_in(tmp_path / "m.npz") == [f"slots/FC1/{p}/{slot}" for p in ("W", "b") for slot in ("m", "v")]


def test_a_file_written_within_a_fit_has_the_optimizer(data, tmp_path):
    class Save(Callback):
        def on_epoch_end(self, model, values):
            model.save(tmp_path / f"{len(model.history['loss'])}.npz")

    model = classifier().fit(*data, 3, 16, None, callbacks=[Save()])
    again = DFN.load(tmp_path / "2.npz").fit(*data, 1, 16, None)
    assert again.history == model.history


def test_a_copy_goes_its_own_way(data):
    X, y = data
    model = classifier().fit(X, y, 2, 16, None)
    before = {name: dict(layer.params) for name, layer in model.layers.items()}
    for other in (copy.copy(model), copy.deepcopy(model)):
        other.fit(X, y, 2, 16, None)
        assert (other.n_epochs, len(other.history["loss"])) == (2, 4)
    for name, layer in model.layers.items():
        assert all(np.array_equal(layer.params[key], before[name][key]) for key in before[name])
    assert len(model.history["loss"]) == 2


def test_a_model_moves(backend, data):
    X, y = data
    model = classifier().fit(X, y, 2, 16, None)
    there = backend.array(X)
    moved = copy.copy(model).to(there)
    np.testing.assert_allclose(backend.numpy(moved.predict_proba(there)), model.predict_proba(X), rtol=1e-12)
    assert np.array_equal(moved.to_numpy().predict_proba(X), model.predict_proba(X))


def test_a_snapshot_is_put_back(data):
    model = classifier().fit(*data, 2, 16, None)
    kept = model.snapshot()
    answers = model.predict_proba(data[0])
    model.fit(*data, 2, 16, None).put_back(kept)
    assert np.array_equal(model.predict_proba(data[0]), answers)
