"""A fit that is cut short anywhere goes on as if nothing had happened; one that had ended does nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kills import FIT, bits, data, everything, text_of

from xdfn import DFN, Callback, Checkpoint, CSVLog, EarlyStopping, FullyConnected


class Stop(Exception):
    """The process ends here."""


class EndAt(Callback):
    """Ends the process, as far as the fit can tell, after so many batches or epochs."""

    late = True

    def __init__(self, at, what="batch"):
        self.at, self.what, self.seen = at, what, 0

    @property
    def by_batch(self):
        return self.what == "batch"

    def _count(self):
        self.seen += 1
        if self.seen == self.at:
            raise Stop

    def on_batch_end(self, model, batch, n_batches, loss):
        self._count()

    def on_epoch_end(self, model, values):
        if self.what == "epoch":
            self._count()


class SaveAt(Callback):
    """Saves in the middle of an epoch, as a user would."""

    late = True

    def __init__(self, path, at):
        self.path, self.at, self.seen = path, at, 0

    def on_batch_end(self, model, batch, n_batches, loss):
        self.seen += 1
        if self.seen == self.at:
            model.save(self.path)


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 7, 8, 11])
def test_a_file_from_the_middle_of_an_epoch_resumes_exactly(backend, tmp_path, at):
    """Saved by a user's callback after any batch: the first, the last full one, the short one at the end."""
    X, y = data(backend)
    path = tmp_path / "m.npz"
    whole = everything().fit(X, y, 4, **FIT, callbacks=[SaveAt(path, at)])
    resumed = DFN.load(path, like=X)
    assert resumed._memory.batch == (at - 1) % 4 + 1
    resumed.fit(X, y, 4 - len(resumed.history["loss"]), **FIT, callbacks=[SaveAt(tmp_path / "n.npz", -1)])
    assert bits(resumed, backend) == bits(whole, backend)


@pytest.mark.parametrize("every", ["1 batch", "3 batches", "0.001s", 2, "60s"])
def test_how_often_a_fit_saves_changes_no_bit(backend, tmp_path, every):
    X, y = data(backend)
    plain = everything().fit(X, y, 3, **FIT)
    saving = everything().fit(X, y, 3, **FIT, callbacks=[Checkpoint(tmp_path / "m.npz", every=every)])
    assert bits(saving, backend) == bits(plain, backend)
    assert bits(DFN.load(tmp_path / "m.npz", like=X), backend) == bits(plain, backend)


@pytest.mark.parametrize("cuts", [[3], [5, 2], [1, 1, 1, 1], [9]])
def test_one_line_is_what_a_restarted_job_needs(backend, tmp_path, cuts):
    X, y = data(backend)
    path, log = str(tmp_path / "m.npz"), str(tmp_path / "log.csv")

    def run(*more):
        callbacks = [Checkpoint(path, every="1 batch"), CSVLog(log), EarlyStopping("val_loss", patience=2), *more]
        return everything().fit(X, y, 6, **FIT, callbacks=callbacks, resume=path)

    whole = run()
    lines = text_of(log)
    os.remove(path)
    os.remove(log)
    for at in cuts:
        with pytest.raises(Stop):
            run(EndAt(at))
    assert bits(run(), backend) == bits(whole, backend)
    assert text_of(log) == lines
    before = os.stat(path).st_mtime_ns, bits(DFN.load(path, like=X), backend)
    again = run()  # the run has ended: nothing is to be done
    assert (os.stat(path).st_mtime_ns, bits(again, backend)) == before
    assert before[1] == bits(whole, backend)


def stopping(monitor="loss"):
    return EarlyStopping(monitor, patience=3, min_delta=10.0)


@pytest.mark.parametrize("epochs", [1, 2, 3, 4])
def test_a_run_that_early_stopping_ends_is_not_trained_further(tmp_path, epochs):
    """Killed after the file of its last epoch too, before the fit could end."""
    X, y = data()
    whole = everything().fit(X, y, 50, **FIT, callbacks=[stopping()])
    assert len(whole.history["loss"]) == 4
    path = str(tmp_path / "m.npz")
    with pytest.raises(Stop):
        everything().fit(X, y, 50, **FIT, callbacks=[stopping(), Checkpoint(path), EndAt(epochs, "epoch")])
    for _ in range(2):
        resumed = everything().fit(X, y, 50, **FIT, callbacks=[stopping(), Checkpoint(path)], resume=path)
        assert bits(resumed) == bits(whole)  # with the weights of the best epoch
    assert bits(DFN.load(path)) == bits(whole)


def test_more_epochs_later(tmp_path):
    X, y = data()
    path = str(tmp_path / "m.npz")
    everything().fit(X, y, 2, **FIT, resume=path)
    later = everything().fit(X, y, 5, **FIT, resume=path)
    assert bits(later) == bits(everything().fit(X, y, 5, **FIT))


def test_what_is_not_the_same_run_is_refused(tmp_path):
    X, y = data()
    path = str(tmp_path / "m.npz")
    everything().fit(X, y, 1, **FIT, resume=path)
    other = DFN(layers=[4, 3], seed=0)
    with pytest.raises(
        ValueError, match=r"m\.npz' is of another model: its layer FC1 is .*n_out=8.*, expected .*n_out=4"
    ):
        other.fit(X, y, 1, **FIT, resume=path)
    assert other.history == {"loss": []}
    assert not other.is_initialized
    with pytest.raises(ValueError, match="its seed is 0, expected 1"):
        everything(seed=1).fit(X, y, 1, **FIT, resume=path)
    same = DFN(layers=[FullyConnected(4)], optimizer="adam", seed=0)
    same.fit(X, y, 1, verbose=None, resume=str(tmp_path / "n.npz"), batch_size=16)
    with pytest.raises(ValueError, match="its optimizer of FC1 is Adam, expected SGD"):
        DFN(layers=[FullyConnected(4)], seed=0).fit(X, y, 2, 16, None, resume=str(tmp_path / "n.npz"))
    with pytest.raises(ValueError, match="resume must be the name of a file"):
        other.fit(X, y, 1, resume=5)


def test_half_an_epoch_needs_the_same_rows(tmp_path):
    X, y = data()
    everything().fit(X, y, 1, **FIT, callbacks=[SaveAt(tmp_path / "m.npz", 2)])
    model = DFN.load(tmp_path / "m.npz")
    before = bits(model)
    message = r"in the middle of an epoch of 56 rows in batches of 16, and cannot go on with 56 rows in batches of 8"
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, 1, **{**FIT, "batch_size": 8})
    assert bits(model) == before
    model.put_back(model.snapshot())  # as the error advises
    assert len(model.fit(X, y, 1, **{**FIT, "batch_size": 8}).history["loss"]) == 1


def test_files_that_are_kept(tmp_path):
    X, y = data()
    everything().fit(X, y, 5, **FIT, callbacks=[Checkpoint(tmp_path / "m.npz", keep=2)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.5.npz", "m.6.npz", "m.npz"]
    assert bits(DFN.load(tmp_path / "m.6.npz")) == bits(DFN.load(tmp_path / "m.npz"))
    assert len(DFN.load(tmp_path / "m.5.npz").history["loss"]) == 5


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_a_hundred_times():
    """In a process without threads, which forks."""
    program = Path(__file__).with_name("kills.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, program, "100"], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    assert "100 kills" in run.stdout
