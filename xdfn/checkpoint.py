"""A trained network outlives its process: one `.npz` file holds its arrays under readable names and, as JSON, all that
is not an array. No pickle, so that a file from elsewhere can do no harm.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 1
_META = "xdfn.json"


def write(path: str | os.PathLike[str], arrays: dict[str, "np.ndarray[Any, Any]"], meta: dict[str, Any]) -> None:
    """Write the file in one move: a failure half-way leaves an earlier file of that name as it was."""
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder of {os.fspath(path)!r} does not exist; make it first")
    if target.is_dir():
        raise IsADirectoryError(f"{os.fspath(path)!r} is a folder; give the name of a file in it")
    text = json.dumps({"format": FORMAT, **meta})
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, **{_META: np.frombuffer(text.encode(), np.uint8), **arrays})  # type: ignore[arg-type]
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, "np.ndarray[Any, Any]"], dict[str, Any]]:
    """The arrays and the rest.

    Raises
    ------
    ValueError
        The file is not one that `write` made, or was made by a later version.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(arrays.pop(_META).tobytes())
        version = meta["format"]
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(
            f"{os.fspath(path)!r} is not a model saved by xdfn ({type(error).__name__}: {error})"
        ) from None
    if version != FORMAT:
        raise ValueError(
            f"{os.fspath(path)!r} has format {version}, this version of xdfn reads format {FORMAT}; upgrade xdfn"
        )
    return arrays, meta


@contextlib.contextmanager
def damage(path: str | os.PathLike[str]) -> Iterator[None]:
    """Errors in what the file says become ValueErrors that name it."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        what = f"{type(error).__name__}: {error}"
        raise ValueError(f"{os.fspath(path)!r} was changed since xdfn wrote it, or is damaged ({what})") from None


def flatten(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """The leaves of nested dicts under names like ``params/FC1/W``."""
    pairs: list[tuple[str, Any]] = []
    for name, value in tree.items():
        if "/" in name:
            raise ValueError(f"cannot save what is named {name!r}: names of layers, parameters and buffers hold no '/'")
        pairs += flatten(value, f"{prefix}{name}/") if isinstance(value, dict) else [(prefix + name, value)]
    return pairs


def nest(leaves: dict[str, Any]) -> dict[str, Any]:
    """The reverse of `flatten`; what a model has is there even if empty."""
    tree: dict[str, Any] = {"params": {}, "buffers": {}, "slots": {}, "averages": {}, "callbacks": {}}
    for path, value in leaves.items():
        *folders, name = path.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[name] = value
    return tree


def parted(tree: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A tree of dicts as two: that of its arrays, and that of all else, which must be what JSON can hold."""
    arrays: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            arrays[name], rest[name] = parted(value)
        elif hasattr(value, "shape") and hasattr(value, "dtype"):
            arrays[name] = value
        else:
            rest[name] = value
    return arrays, rest


def joined(arrays: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    """The reverse of `parted`."""
    tree = dict(rest)
    for name, value in arrays.items():
        tree[name] = joined(value, rest.get(name, {})) if isinstance(value, dict) else value
    return tree
