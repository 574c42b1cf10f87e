"""Data that stay on the host while the network is elsewhere."""

import numpy as np
import pytest

from xdfn import DFN, Dropout, FullyConnected
from xdfn.train import data


def network():
    layers = [FullyConnected(16, "relu", "he_uniform"), Dropout(0.2), FullyConnected(10, "affine", "glorot_uniform")]
    return DFN(layers=layers, optimizer="adam", seed=0)


@pytest.fixture
def rows(rng):
    return rng.normal(size=(330, 8)).astype("f4"), rng.integers(0, 10, 330).astype("i4")


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(data, "_UPLOAD", 3 * 32 * 8 * 4)  # three batches of 32 rows


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("batch_size", [32, 330, 1000])
def test_streamed_is_resident_bit_for_bit(backend, rows, batch_size):
    X, y = rows
    there = backend.array(X)
    resident = network().fit(there, backend.array(y), 3, batch_size, verbose=None)
    streamed = network().fit(X, y, 3, batch_size, verbose=None, device=there)
    assert streamed.history == resident.history
    for name, layer in resident.layers.items():
        for key, value in layer.params.items():
            assert type(streamed.layers[name].params[key]) is type(value)
            assert np.array_equal(backend.numpy(streamed.layers[name].params[key]), backend.numpy(value))
    assert streamed.predict(there).shape == (330,)


@pytest.mark.usefixtures("small_pieces")
def test_files_and_integers_are_streamed_too(backend, rows, tmp_path):
    X, y = (rows[0] * 20).astype("i1"), rows[1]
    there = backend.array(np.zeros((1, 1)), "float32")
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    ours, plain = (network().fit(x, y, 2, 32, verbose=None, device=there) for x in (mapped, X))
    assert ours.history == plain.history
    assert ours.history["loss"] == pytest.approx(network().fit(X, y, 2, 32, verbose=None).history["loss"], rel=1e-5)


def test_what_cannot_be_streamed_is_refused(rows):
    strict = pytest.importorskip("array_api_strict")
    X, y = rows
    with pytest.raises(ValueError, match="unknown library 'gpu'"):
        network().fit(X, y, 1, device="gpu")
    there = strict.asarray(X, device=strict.Device("device1"))
    with pytest.raises(ValueError, match="expected NumPy arrays, which go to numpy"):
        network().fit(there, strict.asarray(y, device=strict.Device("device1")), 1, device="numpy")
    model = network().fit(X, y, 1, verbose=None)
    with pytest.raises(ValueError, match="the input is on array_api_strict"):
        model.fit(X, y, 1, device=there)  # a model on NumPy stays there until it is moved
    assert model.fit(X, y, 1, verbose=None, device="numpy").history["loss"][1] > 0


def test_a_streamed_model_goes_on_with_resident_data(backend, rows):
    X, y = rows
    there, labels = backend.array(X), backend.array(y)
    model = network().fit(X, y, 2, 32, verbose=None, device=there).fit(there, labels, 2, 32, verbose=None)
    assert model.history == network().fit(there, labels, 4, 32, verbose=None).history
