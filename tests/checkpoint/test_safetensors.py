import subprocess
import sys

import numpy as np
import pytest

from xdfn import DFN

safetensors = pytest.importorskip("safetensors.numpy")


@pytest.fixture(name="model")
def trained(rng):
    X, y = rng.normal(size=(40, 4)), rng.integers(0, 3, 40)
    model = DFN(layers=[8, "batch_norm", 3], optimizer="adam(0.01)", ema=0.9, seed=0)
    return model.fit(X, y, 2, 8, verbose=None), X, y


def test_the_same_model_as_from_the_other_format(model, tmp_path):
    model, X, y = model
    model.save(tmp_path / "m.npz")
    model.save(tmp_path / "m.safetensors")
    a, b = (DFN.load(tmp_path / name) for name in ("m.npz", "m.safetensors"))
    for _ in range(2):
        np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))
        assert a.history == b.history
        for each in (a, b):
            each.fit(X, y, 1, 8, verbose=None)


def test_other_readers_see_the_arrays_under_their_names(model, tmp_path):
    model, *_ = model
    model.save(tmp_path / "m.safetensors")
    arrays = safetensors.load_file(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(arrays["params/FC1/W"], model.layers["FC1"].params["W"])
    np.testing.assert_array_equal(arrays["buffers/BatchNorm1/mean"], model.layers["BatchNorm1"].buffers["mean"])


def test_a_flipped_bit_is_found(model, tmp_path):
    model, *_ = model
    path = tmp_path / "m.safetensors"
    model.save(path)
    data = bytearray(path.read_bytes())
    data[data.index(model.layers["FC1"].params["W"].tobytes()) + 9] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"m.safetensors' was changed.*params/FC1/W: expected the values"):
        DFN.load(path)


def test_files_of_others_are_no_models(tmp_path):
    safetensors.save_file({"a": np.zeros(3)}, tmp_path / "a.safetensors")
    (tmp_path / "text.safetensors").write_text("no")
    for name in ("a", "text"):
        with pytest.raises(ValueError, match=f"{name}.safetensors' is not a model saved by xdfn"):
            DFN.load(tmp_path / f"{name}.safetensors")


def test_without_the_package_it_says_what_to_install(tmp_path):
    code = "import sys; sys.modules['safetensors'] = None; from xdfn import DFN; DFN(2, 2).save('m.safetensors')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert 'ModuleNotFoundError: a .safetensors file needs safetensors: pip install "safetensors>=0.4.3"' in run.stderr
    assert list(tmp_path.iterdir()) == []
