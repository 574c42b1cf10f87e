"""Whole files: on a disk that loses what was not forced to it, among other writers, where writing fails."""

import itertools
import os
import stat
import threading

import pytest

from xdfn.core.writer import ABANDONED, OperatingSystem, write_whole


class Cut(Exception):
    """The power is cut."""


class Disk(OperatingSystem):
    """A disk of one folder that loses, when the power is cut, whatever was not forced to it.

    Each name refers to a file. What survives of a file that was not synchronised is any beginning of it; names that
    were made, changed or removed since the folder was synchronised are there or not, each by itself, as on file systems
    that order nothing.

    Parameters
    ----------
    names : dict of the contents of the files that are there already
    cut_at : int
        The call before which the power goes.
    """

    def __init__(self, folder, names, cut_at):
        self.folder, self.cut_at, self.calls = folder, cut_at, 0
        self.safe_names = {name: f"old {name}" for name in names}  # name -> file
        self.safe_files = {f"old {name}": content for name, content in names.items()}
        self.now_names = dict(self.safe_names)
        self.now_files, self.open_files = dict(self.safe_files), {}

    def _call(self):
        self.calls += 1
        if self.calls > self.cut_at:
            raise Cut

    def create(self, folder, prefix, suffix):
        self._call()
        file, name = super().create(folder, prefix, suffix)
        self.now_names[os.path.basename(name)] = name
        self.open_files[name] = file
        return file, name

    def sync(self, file):
        self._call()
        file.flush()
        name = next(name for name, other in self.open_files.items() if other is file)
        with open(name, "rb") as there:
            self.safe_files[name] = there.read()

    def rename(self, source, target):
        self._call()
        self.now_names[os.path.basename(target)] = self.now_names.pop(os.path.basename(source))

    def sync_folder(self, folder):
        self._call()
        self.safe_names = dict(self.now_names)

    def remove(self, name):
        self._call()
        self.now_names.pop(os.path.basename(name), None)

    def after_the_cut(self, name):
        """Every content that the file of that name may have when the power is back; None where it may be gone."""
        found = []
        for names in (self.safe_names, self.now_names):  # the renaming has reached the disk, or not
            file = names.get(name)
            if file is None:
                found.append(None)
            elif file in self.safe_files:
                found.append(self.safe_files[file])
            else:  # never synchronised: empty, half, or garbage
                found += [b"", b"ne", b"\0\0\0"]
        return found


def cut(tmp_path, at, names, write=lambda file: file.write(b"new")):
    disk = Disk(tmp_path, names, at)
    try:
        write_whole(tmp_path / "m.npz", write, disk)
    except Cut:
        return disk, False
    return disk, True


def test_at_every_cut_the_old_file_or_the_new_one_is_whole(tmp_path):
    for at in itertools.count():
        disk, finished = cut(tmp_path, at, {"m.npz": b"old"})
        assert set(disk.after_the_cut("m.npz")) <= {b"old", b"new"}, at
        if finished:
            assert at >= 4  # it was cut at every call
            assert disk.after_the_cut("m.npz") == [b"new", b"new"]  # nothing can take it back
            break
    for at in range(6):  # where there was none
        disk, finished = cut(tmp_path, at, {})
        assert set(disk.after_the_cut("m.npz")) <= {None, b"new"}


@pytest.mark.parametrize("left_out", ["sync", "sync_folder"])
def test_the_disk_shows_what_is_left_out(tmp_path, left_out, monkeypatch):
    """The test above can fail: without forcing the file, or the folder, to the disk something may be lost."""
    monkeypatch.setattr(Disk, left_out, lambda self, _: None)
    contents = [disk.after_the_cut("m.npz") for disk, _ in (cut(tmp_path, at, {"m.npz": b"old"}) for at in range(6))]
    whole = all(set(content) <= {b"old", b"new"} for content in contents)
    assert whole == (left_out == "sync_folder")
    assert contents[-1] != [b"new", b"new"]  # what was finished is not sure to be there


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "m.npz"
    path.write_bytes(b"old")

    def write(file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_whole(path, write)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_many_writers_of_one_name(tmp_path):
    """Threads, and processes that have one number in two containers, need different temporary files."""
    path, broken = tmp_path / "m.npz", []
    contents = [bytes([65 + i]) * 200_000 for i in range(4)]

    def write(content):
        for _ in range(25):
            write_whole(path, lambda file: file.write(content))
            seen = path.read_bytes()
            if seen not in contents:
                broken.append(len(seen))

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broken == []
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed_and_the_mode_is_kept(tmp_path):
    real, link = tmp_path / "real.npz", tmp_path / "link.npz"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    write_whole(link, lambda file: file.write(b"new"))
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_new_file_has_the_mode_of_any_other(tmp_path):
    (tmp_path / "other").write_bytes(b"")
    write_whole(tmp_path / "m.npz", lambda file: file.write(b"new"))
    assert (tmp_path / "m.npz").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("kind", [str, os.fsencode, lambda path: path])
def test_paths_of_any_kind(tmp_path, kind):
    write_whole(kind(str(tmp_path / "m.npz")), lambda file: file.write(b"new"))
    assert (tmp_path / "m.npz").read_bytes() == b"new"


def test_what_killed_writers_left_is_removed(tmp_path):
    old, young, other = (tmp_path / name for name in (".m.npz.a.tmp", ".m.npz.b.tmp", ".n.npz.c.tmp"))
    for left in (old, young, other):
        left.write_bytes(b"half")
    for left in (old, other):
        past = left.stat().st_mtime - ABANDONED - 60
        os.utime(left, (past, past))
    write_whole(tmp_path / "m.npz", lambda file: file.write(b"new"))
    assert not old.exists()
    assert young.exists()  # its writer may be at work
    assert other.exists()  # of another file


def test_where_one_cannot_write(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"folder of .* does not exist"):
        write_whole(tmp_path / "none" / "m.npz", lambda file: None)
    with pytest.raises(IsADirectoryError, match="is a folder"):
        write_whole(tmp_path, lambda file: None)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(OSError, match="is no file but a device or a pipe"):
            write_whole(tmp_path / "pipe", lambda file: None)
