"""Something to train on: MNIST, from the files of the original distribution or from one `mnist.npz`."""

import os
import struct
from pathlib import Path

import numpy as np

from xdfn.backend import Host

__all__ = ["load_data", "load_mnist"]

Split = tuple[tuple[Host, Host], tuple[Host, Host]]

_FILES = {  # name: SHA-256 of the unpacked file, MD5 of the packed one as the mirrors have it
    "train-images-idx3-ubyte": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    ),
    "train-labels-idx1-ubyte": (
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "d53e105ee54ea40749a09fcbcd1e9432",
    ),
    "t10k-images-idx3-ubyte": (
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "9fb629c4189551a2d022fa330f9573f3",
    ),
    "t10k-labels-idx1-ubyte": (
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
}
_MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_BESIDE = Path(__file__).resolve().parent.parent / "examples" / "data" / "mnist"  # in a checkout of the repository


def load_mnist(path: str | os.PathLike[str] | None = None) -> Split:
    """The 70,000 handwritten digits of MNIST (LeCun, Cortes, Burges).

    Parameters
    ----------
    path : path, optional
        A folder with the four IDX files, gzipped or not, or an `mnist.npz`. Without it: the files that come with the
        repository, else a download to the user's cache, which needs `pip install pooch`.

    Returns
    -------
    (X_train, y_train), (X_test, y_test)
        Pixels float32 (60000, 784) and (10000, 784) in [0, 1]; digits int64 (60000,) and (10000,).

    Raises
    ------
    FileNotFoundError
        The files are not there.
    ValueError
        A file is damaged: not an IDX file, or a download with the wrong checksum.
    OSError
        The download failed.
    """
    if path is not None and Path(path).suffix == ".npz":
        (X_train, y_train), (X_test, y_test) = load_data(path)
    else:
        folder = Path(path) if path is not None else (_BESIDE if _BESIDE.is_dir() else _download())
        X_train, y_train, X_test, y_test = (_read_idx(folder, name) for name in _FILES)
    return (_pixels(X_train), y_train.astype(np.int64)), (_pixels(X_test), y_test.astype(np.int64))


def load_data(path: str | os.PathLike[str] = "../data/mnist/mnist.npz") -> Split:
    """The arrays of an `mnist.npz` as they are: (x_train, y_train), (x_test, y_test)."""
    with np.load(path, allow_pickle=False) as file:
        return (file["x_train"], file["y_train"]), (file["x_test"], file["y_test"])


def _pixels(images: Host) -> Host:
    rows = images.reshape(len(images), -1).astype(np.float32)
    rows /= 255
    return rows


def _read_idx(folder: Path, name: str) -> Host:
    """An IDX file: two zero bytes, the type (8 for unsigned bytes), the number of axes, the extents, the values."""
    import gzip  # only now, since `import xdfn` should be quick

    packed, plain = folder / f"{name}.gz", folder / name
    if not packed.exists() and not plain.exists():
        raise FileNotFoundError(
            f"neither {packed} nor {plain} is there; load_mnist() without a path knows where to look"
        )
    raw = gzip.decompress(packed.read_bytes()) if packed.exists() else plain.read_bytes()
    if len(raw) < 4 or raw[:3] != b"\0\0\x08":
        raise ValueError(f"{packed if packed.exists() else plain} is not an IDX file of unsigned bytes")
    n_axes = raw[3]
    shape = struct.unpack(f">{n_axes}I", raw[4 : 4 + 4 * n_axes])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * n_axes).reshape(shape)


def _download() -> Path:
    """Fetch the files into the user's cache, once, and check them."""
    import gzip
    import hashlib

    try:
        import pooch
    except ImportError:
        raise FileNotFoundError(
            "MNIST is not beside the code; `pip install pooch` to have it downloaded, "
            "or give load_mnist the path of a folder that has it"
        ) from None
    folder = Path(pooch.os_cache("xdfn")) / "mnist"
    for name, (sha256, md5) in _FILES.items():
        try:
            packed = pooch.retrieve(f"{_MIRROR}{name}.gz", known_hash=f"md5:{md5}", fname=f"{name}.gz", path=folder)
        except OSError as error:
            raise OSError(
                f"MNIST could not be downloaded from {_MIRROR} ({error}); "
                "when offline, give load_mnist the path of a folder that has its files"
            ) from error
        if hashlib.sha256(gzip.decompress(Path(packed).read_bytes())).hexdigest() != sha256:
            raise ValueError(f"{packed} has the wrong checksum; delete it and try again")
    return folder
