import numpy as np
import pytest

from xdfn import DFN, BatchNorm, Dropout, FullyConnected, Residual
from xdfn.backend import place


def test_a_residual_block_is_its_input_plus_its_layers(rng):
    inner = [FullyConnected(6, "tanh", "he_normal"), Dropout(0.5), FullyConnected(4, "affine", "he_normal")]
    block, x = Residual(inner), rng.normal(size=(5, 4))
    block.initialize(4, place(x), x.dtype, np.random.default_rng(0))
    p = block.params
    expected = x + np.tanh(x @ p["FC1.W"] + p["FC1.b"]) @ p["FC2.W"] + p["FC2.b"]
    np.testing.assert_allclose(block.forward(x, retain_derived=False), expected, rtol=1e-12)
    assert (block.forward(x) != expected).any()
    assert str(block).count("optimizer") == 1
    with pytest.raises(ValueError, match="its layers make 3 outputs of 4 inputs"):
        DFN(layers=[Residual([FullyConnected(3, "relu", "he_normal")])]).initialize(x)
    with pytest.raises(ValueError, match="FC1 has an optimizer of its own"):
        Residual([FullyConnected(3, "relu", "he_normal", "adam")])


def _flat(keys):
    return [keys] if isinstance(keys[0], int) else [key for part in keys for key in _flat(part)]


def test_blocks_in_blocks_train_save_and_load(backend, tmp_path, rng):
    """Each inner dropout has masks of its own, and decay, regulariser and constraint find their way to the weights."""
    X, y = rng.normal(size=(64, 4)), rng.integers(0, 3, 64)
    hidden = FullyConnected(4, "relu", "he_normal", regularizer="l2(0.01)", constraint="max_norm(0.5)")
    block = Residual([hidden, Dropout(0.3), Residual([BatchNorm(), hidden, Dropout(0.3)])])
    layers = [block, FullyConnected(3, "affine", "he_normal")]
    model = DFN(layers=layers, optimizer="adamw(weight_decay=0.1)", seed=0)
    model.fit(backend.array(X), backend.array(y), 3, 16, verbose=None)
    norms = np.linalg.norm(backend.numpy(model.layers["Residual1"].params["Residual1.FC1.W"]), axis=0)
    assert (norms < 0.5 + 1e-9).all()
    assert norms.max() > 0.45  # of columns that began with lengths of some 1.4
    keys = np.asarray([k for k in _flat(model.layers["Residual1"].random_key(0, 0, 0)) if k != (1, 0)])
    assert len({tuple(k) for k in keys}) == 2
    model.save(tmp_path / "m.npz")
    loaded = DFN.load(tmp_path / "m.npz", backend.array(X))
    assert (backend.numpy(loaded.predict(backend.array(X))) == backend.numpy(model.predict(backend.array(X)))).all()
    again = loaded.fit(backend.array(X), backend.array(y), 1, 16, verbose=None).history
    assert again == model.fit(backend.array(X), backend.array(y), 1, 16, verbose=None).history
