import gzip
import hashlib
import struct
import sys

import numpy as np
import pytest

from xdfn import datasets, load_mnist


def idx(array):
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def small(rng, tmp_path):
    arrays = {}
    for name in datasets._FILES:
        n = 6 if name.startswith("train") else 4
        arrays[name] = rng.integers(0, 256, (n, 28, 28) if "images" in name else n, dtype=np.uint8)
        packed = name.startswith("train")
        (tmp_path / f"{name}{'.gz' if packed else ''}").write_bytes(
            gzip.compress(idx(arrays[name])) if packed else idx(arrays[name])
        )
    return arrays, tmp_path


def test_the_files_that_come_with_the_repository_are_mnist():
    for name, (sha256, _) in datasets._FILES.items():
        raw = gzip.decompress((datasets._BESIDE / f"{name}.gz").read_bytes())
        assert hashlib.sha256(raw).hexdigest() == sha256
    (X_train, y_train), (X_test, y_test) = load_mnist()
    assert (X_train.shape, y_train.shape, X_test.shape, y_test.shape) == (
        (60000, 784),
        (60000,),
        (10000, 784),
        (10000,),
    )
    assert (X_train.dtype, y_train.dtype) == (np.float32, np.int64)
    assert (X_train.min(), X_train.max()) == (0, 1)
    assert np.bincount(y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]  # LeCun's counts


def test_idx_files_packed_and_plain(small):
    arrays, folder = small
    (X_train, y_train), (X_test, _) = load_mnist(folder)
    assert (X_train == arrays["train-images-idx3-ubyte"].reshape(6, 784).astype(np.float32) / 255).all()
    assert (y_train == arrays["train-labels-idx1-ubyte"]).all()
    assert X_test.shape == (4, 784)


def test_npz(small):
    arrays, folder = small
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez(folder / "mnist.npz", **dict(zip(names, arrays.values(), strict=True)))
    for ours, theirs in zip(load_mnist(folder / "mnist.npz"), load_mnist(folder), strict=True):
        assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))


def test_errors(tmp_path, small):
    with pytest.raises(FileNotFoundError, match="train-images"):
        load_mnist(tmp_path / "nowhere")
    (small[1] / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"hello"))
    with pytest.raises(ValueError, match="not an IDX file"):
        load_mnist(small[1])


def test_without_files_and_pooch_the_error_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets, "_BESIDE", tmp_path / "none")
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(FileNotFoundError, match="pip install pooch"):
        load_mnist()


def test_download(monkeypatch, tmp_path, small):
    """Through pooch, from a mirror on this disk: a good file, a wrong one, none."""
    pooch = pytest.importorskip("pooch")
    arrays, _ = small
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    files = {}
    for name, array in arrays.items():
        packed = gzip.compress(idx(array))
        (mirror / f"{name}.gz").write_bytes(packed)
        files[name] = (hashlib.sha256(idx(array)).hexdigest(), hashlib.md5(packed).hexdigest())
    monkeypatch.setattr(datasets, "_BESIDE", tmp_path / "none")
    monkeypatch.setattr(datasets, "_FILES", files)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache")

    def retrieve(url, known_hash, fname, path):
        source = mirror / url.rsplit("/", 1)[1]
        if not source.exists():
            raise ConnectionError("no route to host")
        path.mkdir(parents=True, exist_ok=True)
        (path / fname).write_bytes(source.read_bytes())
        assert pooch.hashes.hash_matches(path / fname, known_hash)
        return str(path / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert load_mnist()[0][0].shape == (6, 784)
    files["train-images-idx3-ubyte"] = ("0" * 64, files["train-images-idx3-ubyte"][1])
    with pytest.raises(ValueError, match="wrong checksum"):
        load_mnist()
    (mirror / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(OSError, match=r"could not be downloaded.*offline"):
        load_mnist()
