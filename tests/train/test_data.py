"""Rows and batches: rows that stay on the host while the network is elsewhere, weights of rows, rows held out."""

import numpy as np
import pytest

from xdfn import DFN, Dropout, FullyConnected, minibatch
from xdfn.train import data
from xdfn.train.data import row_weights, split


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


def test_balanced_is_scikit_learns(rng):
    utils = pytest.importorskip("sklearn.utils.class_weight")
    labels = rng.choice(4, 200, p=[0.5, 0.3, 0.15, 0.05])
    for m in (4, 6):  # two classes more, that do not occur
        ours = row_weights(200, None, "balanced", labels, m, None)
        theirs = utils.compute_sample_weight("balanced", labels)
        np.testing.assert_allclose(ours, theirs / theirs.mean(), rtol=1e-12)
    by_class = {0: 2.0, 3: 0.5}
    ours = row_weights(200, None, by_class, labels, 4, None)
    theirs = utils.compute_sample_weight({0: 2.0, 1: 1.0, 2: 1.0, 3: 0.5}, labels)
    np.testing.assert_allclose(ours, theirs / theirs.mean(), rtol=1e-12)


def test_a_split_is_by_class_and_by_seed(rng):
    labels = rng.choice(3, 1000, p=[0.8, 0.15, 0.05])
    train, val = split(1000, 0.2, labels, 7)
    assert sorted([*train, *val]) == list(range(1000))
    for c in range(3):
        assert abs((labels[val] == c).sum() - 0.2 * (labels == c).sum()) <= 1
    assert split(1000, 0.2, labels, 7)[1].tolist() == val.tolist()
    assert split(1000, 0.2, labels, 8)[1].tolist() != val.tolist()
    assert len(split(10, 0.25, None, 0)[1]) in (2, 3)
    for n, fraction in ((1, 0.5), (3, 0.01), (3, 0.99)):
        with pytest.raises(ValueError, match=f"validation_fraction={fraction} of {n} rows leaves none"):
            split(n, fraction, None, 0)


def test_minibatch_wants_an_array():
    with pytest.raises(ValueError, match="X: expected an array"):
        minibatch([[1.0], [2.0]])
