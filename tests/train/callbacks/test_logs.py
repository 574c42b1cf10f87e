import csv
import logging
import re
import sys

import numpy as np
import pytest
from fits import classifier, two_layers

from xdfn import DFN, Checkpoint, CSVLog, ProgressBar


def test_logs(data, tmp_path, capsys):
    X, y = data
    path = tmp_path / "log.csv"
    callbacks = ["learning_rate_log", CSVLog(str(path))]
    model = DFN(8, 2, optimizer="sgd(lr='step(0.1, 2)')", seed=0)
    model.fit(X, y, 2, validation_data=(X, y), metrics="accuracy", callbacks=callbacks)
    model.save(tmp_path / "m.npz")
    DFN.load(tmp_path / "m.npz").fit(X, y, 1, validation_data=(X, y), metrics="accuracy", callbacks=callbacks)
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["epoch", "loss", "val_loss", "val_accuracy", "lr"]
    assert [row[0] for row in rows[1:]] == ["1", "2", "3"]
    assert [float(row[1]) for row in rows[1:3]] == model.history["loss"]
    assert [float(row[4]) for row in rows[1:]] == pytest.approx([0.1, 0.1, 0.01])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert f"val_accuracy: {model.history['val_accuracy'][0]:.4g} lr: 0.1" in lines[0]


@pytest.mark.parametrize(("batches", "total"), [(False, "3/3"), (True, "9/9")])
def test_a_progress_bar(batches, total, data, capsys):
    pytest.importorskip("tqdm")
    X, y = data
    DFN(8, 2, seed=0).fit(X, y, 3, 64, None, callbacks=[ProgressBar(batches)], validation_data=(X, y))
    err = capsys.readouterr().err
    assert total in err
    assert re.search(r"\[\d\d:\d\d<\d\d:\d\d, .*loss=0\.\d+, val_loss=0\.69", err)  # gone<left


def test_a_log_of_other_values_is_refused(data, tmp_path):
    X, y = data
    log = str(tmp_path / "l.csv")
    model = two_layers().fit(X, y, 1, 64, None, callbacks=[CSVLog(log)])
    with pytest.raises(ValueError, match="has the columns epoch,loss, not epoch,loss,val_loss"):
        model.fit(X, y, 1, 64, None, callbacks=[CSVLog(log)], validation_data=(X, y))
    for callback in (CSVLog(str(tmp_path)), Checkpoint(str(tmp_path))):
        with pytest.raises(ValueError, match="is a folder"):
            model.fit(X, y, 1, 64, None, callbacks=[callback])
    assert len(model.history["loss"]) == 1


def test_what_is_printed(blobs, capsys):
    classifier().fit(*blobs, 2, 100)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("[Epoch 1] Avg. loss: ")
    assert "Delta: inf (0.0" in lines[0]
    assert lines[1].startswith("[Epoch 2]")
    model = classifier()
    model.fit(*blobs, 1, 128, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" Train loss")[0] for line in lines[:3]] == [f"\t[Batch {i}/3]" for i in (1, 2, 3)]
    assert lines[0].endswith("s/batch)")
    quiet = classifier().fit(*blobs, 1, 128, verbose=None)
    assert capsys.readouterr().out == ""
    assert quiet.history == model.history


@pytest.mark.parametrize(
    ("verbose", "lines"),
    [(None, 0), (0, 0), (np.int64(0), 0), (2, 3), (1, 3), (False, 3), (np.bool(False), 3), (True, 3 + 9)],
)
def test_what_verbose_shows(verbose, lines, data, capsys):
    """Where there is no terminal, as under pytest, 1 is lines."""
    DFN(8, 2, seed=0).fit(*data, 3, 64, verbose)
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == lines
    assert err == ""


def test_a_terminal_gets_a_bar(data, capsys, monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    DFN(8, 2, seed=0).fit(*data, 3, 64, 1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "3/3" in err
    monkeypatch.setitem(sys.modules, "tqdm", None)  # as if it were not installed
    DFN(8, 2, seed=0).fit(*data, 3, 64, 1)
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize("verbose", [3, -1, "yes", 1.0, [1], np.ones(2)])
def test_any_other_verbose_is_refused(verbose, data):
    with pytest.raises(ValueError, match=r"verbose must be False .* None or 0 .* 1 .* or 2"):
        DFN(8, 2, seed=0).fit(*data, 1, 64, verbose)


def test_values_go_to_the_logger(data, caplog, capsys):
    X, y = data
    with caplog.at_level("INFO", logger="xdfn"):
        model = DFN(8, 2, seed=0).fit(X, y, 2, 64, 0, callbacks=["log"], validation_data=(X, y))
    loss, val_loss = (model.history[name][-1] for name in ("loss", "val_loss"))
    assert [record.getMessage() for record in caplog.records][
        -1
    ] == f"epoch 2: loss {loss:.4g}, val_loss {val_loss:.4g}"
    assert {(record.name, record.levelno) for record in caplog.records} == {("xdfn", logging.INFO)}
    with caplog.at_level("WARNING", logger="xdfn"):  # Dask, where its tests came before, has raised the root's level
        model.fit(X, y, 1, 64, 0, callbacks=["log('WARNING')"])
    assert caplog.records[-1].levelno == logging.WARNING
    assert caplog.records[-1].getMessage().startswith("epoch 3: ")
    assert capsys.readouterr().out == ""
