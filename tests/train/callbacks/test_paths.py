"""Paths, and other arguments of callbacks, are checked when they are given."""

import pytest

from xdfn import Checkpoint, CSVLog, EarlyStopping
from xdfn.train.callbacks.base import callbacks
from xdfn.train.callbacks.paths import check_folder


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: EarlyStopping(None), "monitor must be the name of a value in the history"),
        (lambda: EarlyStopping(5), "monitor must be .* got 5"),
        (lambda: EarlyStopping(""), "monitor must be .* got ''"),
        (lambda: setattr(EarlyStopping(), "monitor", None), "monitor must be .* got None"),
        (lambda: Checkpoint("a.npz", 5), "best must be .* got 5"),
        (lambda: Checkpoint(None), "path must be the name of a file, .* got None"),
        (lambda: Checkpoint(b"a.npz"), "path must be the name of a file, .* got b'a.npz'"),
        (lambda: CSVLog(""), "path must be the name of a file, .* got ''"),
        (lambda: setattr(CSVLog("a.csv"), "path", 3), "path must be the name of a file, .* got 3"),
        (lambda: callbacks.resolve("early_stopping(None)"), "monitor must be .* got None"),
        (lambda: callbacks.resolve("checkpoint(5)"), "path must be .* got 5"),
        (lambda: callbacks.resolve("csv_log(None)"), "path must be .* got None"),
    ],
)
def test_a_bad_argument_is_named_at_once(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_paths_and_monitors_that_are_right(tmp_path):
    assert Checkpoint(tmp_path / "a.npz").path == str(tmp_path / "a.npz")
    assert CSVLog(tmp_path / "a.csv").path == str(tmp_path / "a.csv")
    assert Checkpoint("a.npz").best is None


def test_a_folder_that_is_not_there_and_a_path_that_is_one(tmp_path):
    check_folder("Mine", str(tmp_path / "a.csv"))
    check_folder("Mine", "a.csv")
    with pytest.raises(ValueError, match=r"^Mine: the folder of path '.*none/a.csv' does not exist; make it first$"):
        check_folder("Mine", str(tmp_path / "none" / "a.csv"))
    with pytest.raises(ValueError, match=r"^Mine: path '.*' is a folder; give the name of a file in it$"):
        check_folder("Mine", str(tmp_path))
