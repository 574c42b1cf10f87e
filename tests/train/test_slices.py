"""A stack in slices, each in a thread: the same networks."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from members import assert_same, fc

from xdfn import DFN, Ensemble
from xdfn.backend import blas_threads
from xdfn.train import slices, stack


class Numpy:
    numpy = staticmethod(np.asarray)


@pytest.fixture
def used(monkeypatch):
    """Small networks go side by side too; counts the engines."""
    made = []

    class Counted(slices.SlicedEngine):
        def __init__(self, *args):
            made.append(1)
            super().__init__(*args)

    monkeypatch.setattr(slices, "_LARGE", 1)
    monkeypatch.setattr(slices, "blas_threads", lambda: 2)
    monkeypatch.setattr(stack, "SlicedEngine", Counted)
    return made


@pytest.fixture
def rows(rng):
    X = rng.normal(size=(90, 5))
    return X, rng.integers(0, 3, 90)


FITS = {
    "sgd": ([fc(6), fc(3, "affine")], "sgd(lr=0.1)", {}),
    "all that is kept": (
        ["dropout(0.2)", fc(8, regularizer="l2(0.01)"), "batch_norm", fc(3, "affine")],
        "adam(lr='cosine(0.05, 9)')",
        {"metrics": ["accuracy"], "validation_fraction": 0.2},
    ),
    "a schedule for all": ([fc(6), fc(3, "affine")], "sgd(lr='cosine(0.5, 9)')", {}),
    "weights": ([fc(6), fc(3, "affine")], "momentum(lr=0.1)", {"class_weight": "balanced"}),
    "early stopping": (
        [fc(6), fc(3, "affine")],
        "adam(lr=0.1)",
        {"validation_fraction": 0.3, "callbacks": ["early_stopping(patience=1)"], "n_epochs": 30},
    ),
    "few steps": ([fc(6), fc(3, "affine")], "sgd(lr=0.1)", {"batch_size": 90, "n_epochs": 2}),
}


@pytest.mark.parametrize("what", FITS)
def test_members_in_slices_are_their_own_fits(rows, used, what):
    layers, rule, more = FITS[what]
    more = {"n_epochs": 4, "batch_size": 16, **more}

    def some():
        return [DFN(layers=layers, optimizer=rule, seed=seed, clip_norm=1.0, ema=0.9) for seed in range(5)]

    ensemble = Ensemble(some()).fit(*rows, **more)
    assert used
    assert_same(ensemble, [model.fit(*rows, verbose=None, **more) for model in some()], Numpy, atol=1e-12)


def test_stacks_of_large_networks_are_sliced_where_there_are_threads(monkeypatch, rng):
    chosen = []
    monkeypatch.setattr(stack, "worth_slicing", lambda *args: chosen.append(slices.worth_slicing(*args)))
    monkeypatch.setattr(slices, "blas_threads", lambda: 4)
    X, y = rng.normal(size=(64, 100)), rng.integers(0, 3, 64)
    for n in (8, 300):
        Ensemble(DFN(layers=[fc(n), fc(3, "affine")]), 2).fit(X, y, 1, 64)
    monkeypatch.setattr(slices, "blas_threads", lambda: 1)
    Ensemble(DFN(layers=[fc(300), fc(3, "affine")]), 2).fit(X, y, 1, 64)
    assert chosen == [False, True, False]


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_all(rows, used):
    ensemble = Ensemble(DFN(layers=[fc(6), fc(3, "affine")]), 3)
    threads, before = threading.active_count(), blas_threads()
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        ensemble.fit(*rows, 10**6, 16)
    timer.join()
    assert used
    for _ in range(100):  # each ends within 64 steps
        time.sleep(0.05 * (threading.active_count() > threads))
    assert threading.active_count() == threads
    assert blas_threads() == before
    (n,) = {len(member.history["loss"]) for member in ensemble}
    alone = DFN(layers=[fc(6), fc(3, "affine")], seed=1).fit(*rows, n, 16, None)
    assert ensemble.members[1].history == alone.history
