"""Arrays and a text as a `.safetensors` file, written and read by the package of that name; its other readers see the
arrays under their names.
"""

import importlib
import json
import zlib
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from xdfn.backend import Host
from xdfn.checkpoint.npz import TEXT
from xdfn.core.optional import need

if TYPE_CHECKING:
    from types import ModuleType

_CHECKSUMS = "crc32"
_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BOOL": "bool",
    **{f"{kind[0].upper()}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
}  # fmt: skip


class Entry(NamedTuple):
    """An array in a file, before it is read."""

    dtype: "np.dtype[np.generic]"
    shape: tuple[int, ...]


def _package() -> "ModuleType":
    need("a .safetensors file", "safetensors.numpy", "safetensors", "safetensors>=0.4.3")
    return importlib.import_module("safetensors")


def write(file: IO[bytes], arrays: Mapping[str, Host], text: str) -> None:
    tensors = {name: np.ascontiguousarray(x) for name, x in arrays.items()}
    checksums = {name: _checksum(x) for name, x in tensors.items()}
    file.write(_package().numpy.save(tensors, {TEXT: text, _CHECKSUMS: json.dumps(checksums)}))


def _checksum(x: Host) -> int:
    return zlib.crc32(x.reshape(-1).view(np.uint8).data)


class SafetensorsFile:
    """A file of `write`, whose arrays are read when they are asked for.

    Raises
    ------
    ValueError
        The file is none of these, or damaged.
    """

    def __init__(self, path: str) -> None:
        package = _package()
        with open(path, "rb"):  # an error of the operating system stays one
            pass
        try:
            self._file = package.safe_open(path, framework="np")
            given = self._file.metadata() or {}
            self.text: str = given[TEXT]
            self._checksums = json.loads(given.get(_CHECKSUMS, "{}"))
            slices = {name: self._file.get_slice(name) for name in self._file.keys()}  # noqa: SIM118  not a dict
            self.entries = {
                name: Entry(np.dtype(_DTYPES[x.get_dtype()]), tuple(x.get_shape())) for name, x in slices.items()
            }
        except (package.SafetensorError, KeyError, TypeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from None

    def read(self, name: str) -> Host:
        """An array. A damaged one is an error, by its checksum."""
        values: Host = self._file.get_tensor(name)
        if _checksum(values) != self._checksums.get(name):
            raise ValueError(f"{name}: expected the values that its checksum is of, got others")
        return values

    def close(self) -> None:
        """Let go of the file."""
        del self._file

    def __enter__(self) -> "SafetensorsFile":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
