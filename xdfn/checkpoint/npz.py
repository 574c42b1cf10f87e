"""Arrays and a text as a `.npz` file, which NumPy reads without xdfn: a zip archive of `.npy` files, not compressed."""

import ast
import os
import struct
import zipfile
from collections.abc import Mapping
from typing import IO, NamedTuple

import numpy as np

from xdfn.backend import Host

TEXT = "xdfn.json"
_LONGEST_HEADER = 4096


class Entry(NamedTuple):
    """An array in a file, before it is read."""

    dtype: "np.dtype[np.generic]"
    shape: tuple[int, ...]
    order: str  # of the memory, "C" or "F"
    start: int  # of the values, in its member


def write_npz(file: IO[bytes], arrays: Mapping[str, Host], text: str) -> None:
    np.savez(file, **{TEXT: np.frombuffer(text.encode(), np.uint8), **arrays})  # type: ignore[arg-type]


class NpzFile:
    """A file of `write_npz`, whose arrays are read when they are asked for.

    Nothing is believed that the length of the file does not bear out: no memory is asked for that the values in the
    file do not fill.

    Raises
    ------
    ValueError
        The file is none of these, or damaged.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._zip = zipfile.ZipFile(path)
        try:
            size = os.path.getsize(path)
            self._members: dict[str, zipfile.ZipInfo] = {}
            for info in self._zip.infolist():
                name = info.filename.removesuffix(".npy")
                if name in self._members:
                    raise ValueError(f"{name!r} is there twice")
                if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
                    raise ValueError(f"{name!r} is compressed, and xdfn compresses nothing")
                self._members[name] = info
            held = sum(info.file_size for info in self._members.values())
            if held > size:
                raise ValueError(f"its members claim {held} bytes, and it has {size}")
            if TEXT not in self._members:
                raise ValueError(f"it has no {TEXT}")
            self._entries = {name: self._entry(info) for name, info in self._members.items()}
        except BaseException:
            self.close()
            raise

    def _entry(self, info: zipfile.ZipInfo) -> Entry:
        """What the header of a `.npy` file says: version, length, and a dict literal."""
        with self._zip.open(info) as file:
            start = file.read(12)
            if start[:6] != b"\x93NUMPY" or start[6:8] not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
                raise ValueError(f"{info.filename!r} is no array of NumPy")
            long = start[6] > 1
            (length,) = struct.unpack("<I", start[8:12]) if long else struct.unpack("<H", start[8:10])
            if length > _LONGEST_HEADER:
                raise ValueError(f"{info.filename!r} has a header of {length} bytes")
            header = file.read(length) if long else start[10:] + file.read(length - 2)
        given = ast.literal_eval(header.decode("latin1").strip())
        dtype, shape = np.dtype(given["descr"]), given["shape"]
        offset = 12 + length if long else 10 + length
        if dtype.hasobject or not isinstance(given["descr"], str):
            raise ValueError(f"{info.filename!r} holds objects of Python")
        if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"{info.filename!r} has the shape {shape!r:.100}")
        n = 1
        for extent in shape:
            n *= extent
        if offset + n * dtype.itemsize != info.file_size:
            raise ValueError(
                f"{info.filename!r} of shape {shape!r:.100} and {dtype} needs {n * dtype.itemsize} bytes, and has "
                f"{info.file_size - offset}"
            )
        return Entry(dtype, shape, "F" if given["fortran_order"] else "C", offset)

    @property
    def text(self) -> str:
        return self.read(TEXT).tobytes().decode()

    @property
    def entries(self) -> dict[str, Entry]:
        """The arrays by name, without their values."""
        return {name: entry for name, entry in self._entries.items() if name != TEXT}

    def read(self, name: str) -> Host:
        """An array. A damaged one is an error, by the checksum of its member."""
        entry = self._entries[name]
        values: Host = np.empty(entry.shape, entry.dtype, entry.order)  # type: ignore[call-overload]
        flat = values.reshape(-1, order="A").view(np.uint8).data if values.size else memoryview(b"")
        with self._zip.open(self._members[name]) as file:
            file.read(entry.start)
            at = 0
            while at < len(flat):
                n = file.readinto(flat[at : at + 2**20])  # type: ignore[attr-defined]
                if not n:
                    raise ValueError(f"{name!r} ends early")
                at += n
            file.read(1)  # at the end the checksum is compared
        return values

    def close(self) -> None:
        self._zip.close()

    def __enter__(self) -> "NpzFile":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
