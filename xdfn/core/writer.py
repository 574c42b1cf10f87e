"""A file is written whole, or not at all: what ends the process, or cuts the power, leaves the old one or the new one.

The new file is written beside the old one, forced to the disk, and takes its name by one rename, which is forced there
too. Two writers of one name do not disturb each other: the last one wins.
"""

import contextlib
import os
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Protocol

ABANDONED = 3600.0  # seconds after which a temporary file has no writer any more
_SUFFIX = ".tmp"


class Disk(Protocol):
    """The calls of the operating system on which a whole file depends."""

    def create(self, folder: str, prefix: str, suffix: str) -> tuple[IO[bytes], str]:
        """A new file that nobody else has, and its name."""

    def sync(self, file: IO[bytes]) -> None:
        """Return when what was written to the file is on the disk."""

    def rename(self, source: str, target: str) -> None: ...

    def sync_folder(self, folder: str) -> None:
        """Return when the names in the folder are on the disk."""

    def remove(self, name: str) -> None: ...


class OperatingSystem:
    """The real disk."""

    def create(self, folder: str, prefix: str, suffix: str) -> tuple[IO[bytes], str]:
        number, name = tempfile.mkstemp(suffix, prefix, folder)
        return os.fdopen(number, "wb"), name

    def sync(self, file: IO[bytes]) -> None:
        file.flush()
        os.fsync(file.fileno())

    def rename(self, source: str, target: str) -> None:
        os.replace(source, target)

    def sync_folder(self, folder: str) -> None:
        if os.name == "nt":  # where a folder cannot be opened
            return
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        except OSError:  # some network file systems cannot
            pass
        finally:
            os.close(number)

    def remove(self, name: str) -> None:
        os.unlink(name)


def write_whole(
    path: str | bytes | os.PathLike[str], write: Callable[[IO[bytes]], object], disk: Disk | None = None
) -> None:
    """Have `write` write a file, which then takes the name `path`.

    A link is followed, the mode of the old file is kept, and what killed writers left of this name is removed.

    Raises
    ------
    OSError
        The file cannot be written. The old one is as it was.
    """
    disk = OperatingSystem() if disk is None else disk
    target = Path(os.path.realpath(os.fsdecode(path)))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder of {os.fsdecode(path)!r} does not exist; make it first")
    if target.is_dir():
        raise IsADirectoryError(f"{os.fsdecode(path)!r} is a folder; give the name of a file in it")
    if target.exists() and not target.is_file():
        raise OSError(f"{os.fsdecode(path)!r} is no file but a device or a pipe, which a file cannot take the place of")
    folder, prefix = os.fspath(target.parent), f".{target.name[:100]}."
    file, temporary = disk.create(folder, prefix, _SUFFIX)
    try:
        with file:
            write(file)
            disk.sync(file)
        with contextlib.suppress(OSError):  # a file system without modes
            os.chmod(temporary, _mode_of(target))
        disk.rename(temporary, os.fspath(target))
    except BaseException:
        with contextlib.suppress(OSError):
            disk.remove(temporary)
        raise
    disk.sync_folder(folder)
    _sweep(target.parent, prefix)


def _mode_of(target: Path) -> int:
    """The mode of the old file; of a new one that which `open` would give it."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _sweep(folder: Path, prefix: str) -> None:
    """Remove what writers that were killed long ago have left of a name."""
    now = time.time()
    with contextlib.suppress(OSError):
        for left in folder.iterdir():
            if left.name.startswith(prefix) and left.name.endswith(_SUFFIX):
                with contextlib.suppress(OSError):
                    if now - left.stat().st_mtime > ABANDONED:
                        left.unlink()
