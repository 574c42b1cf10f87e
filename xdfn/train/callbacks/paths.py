"""The path of a file that a callback writes, checked before training begins."""

import os
from pathlib import Path

from xdfn.core.fields import Field

__all__: list[str] = []


def path_field() -> Field[str]:
    """A `Field` of the path of a file, as a string."""
    return Field(path_of)


def path_of(name: str, value: object) -> str:
    """The path of a file, as a string."""
    path = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(path, str) or not path:
        raise ValueError(f"{name} must be the name of a file, a string or a pathlib.Path, got {value!r:.80}")
    return path


def check_folder(who: str, path: str) -> None:
    """Raise ValueError unless a file can be made there."""
    if not Path(path).parent.is_dir():
        raise ValueError(f"{who}: the folder of path {path!r} does not exist; make it first")
    if Path(path).is_dir():
        raise ValueError(f"{who}: path {path!r} is a folder; give the name of a file in it")
