"""Workers of Dask as ranks. What ranks compute is tested in train/test_shared_session.py."""

import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from crew import together
from distributed import Client, LocalCluster, get_worker

import xdfn.dask
from xdfn import DFN, Callback, Checkpoint


def data(n=203):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 5))
    return X, (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


def collections(n=203, rows=20):
    X, y = data(n)
    return da.from_array(X, chunks=(rows, 3)), da.from_array(y, chunks=50)


def network(**settings):
    return DFN(layers=[8, "dropout(0.2)", 3], optimizer="adam(lr=0.01)", **{"seed": 0, **settings})


def assert_same(a, b):
    assert a.history.keys() == b.history.keys()
    for name, values in a.history.items():
        np.testing.assert_allclose(b.history[name], values, rtol=1e-12)
    for x, y in zip(a.layers.values(), b.layers.values(), strict=True):
        for key in x.params:
            np.testing.assert_allclose(y.params[key], x.params[key], atol=1e-12)


@pytest.mark.parametrize("validates", [False, True])
def test_workers_train_the_network_of_ranks_with_their_rows(client, validates):
    X, y = data()
    w = np.linspace(0.5, 2, 203)
    blocks = np.array_split(np.arange(203), range(20, 203, 20))
    mine = [np.concatenate(blocks[rank::3]) for rank in range(3)]  # as they are spread, in turns
    parts = [slice(90 * r // 3, 90 * (r + 1) // 3) for r in range(3)]
    more = {"metrics": "accuracy"} if validates else {}

    def rank(comm):
        i, v = mine[comm.rank], parts[comm.rank]
        validation = {"validation_data": (X[:90][v], y[:90][v])} if validates else {}
        return network().fit(X[i], y[i], 4, 16, None, sample_weight=w[i], comm=comm, rows="own", **validation, **more)

    expected = together(3, rank)[0]
    dX, dy = collections()
    dw = da.from_array(w, chunks=203)
    model = network()
    validation = {"validation_data": (dX[:90], dy[:90])} if validates else {}
    same = xdfn.dask.fit(model, dX, dy, 4, 16, None, sample_weight=dw, **validation, **more)
    assert same is model
    assert_same(expected, model)


def test_one_worker_trains_plainly(client):
    home = next(iter(client.nthreads()))
    X, y = collections()
    dX, dy = client.persist([X.rechunk({1: -1}), y], workers=[home])
    with pytest.warns(UserWarning, match="203, .*0.*: 3 workers do the work of 1.0"):
        model = xdfn.dask.fit(network(), dX, dy, 3, 16, None, client=client)
    assert_same(network().fit(*data(), 3, 16, None), model)


def test_threads_of_one_process_are_workers():
    with Client(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"):
        model = xdfn.dask.fit(network(), *collections(), 3, 16, None)
    assert len(model.history["loss"]) == 3


def test_a_frame_is_trained_on(client):
    dd, pd = pytest.importorskip("dask.dataframe"), pytest.importorskip("pandas")
    X, y = data()
    frame = dd.from_pandas(pd.DataFrame(X, columns=list("abcde")).assign(y=y), npartitions=6)
    columns = frame[list("abcde")]
    model = xdfn.dask.fit(
        network(), columns, frame.y, 40, 16, None, validation_data=(columns, frame.y), metrics="accuracy"
    )
    assert model.history["val_accuracy"][-1] > 0.9


def test_blocks_in_common_have_one_task_of_a_name(client, monkeypatch):
    """The scheduler, which is in this process, warns of tasks of one name that differ."""
    said, logger = [], logging.getLogger("distributed.scheduler")
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", lambda record: said.append(record.getMessage()))
    level = logger.level
    logger.setLevel(logging.WARNING)
    logger.addHandler(handler)
    try:
        dX, dy = collections()
        mask = dX[:, 2] > 0
        xdfn.dask.fit(network(), dX[mask], dy.rechunk((dX.chunks[0],))[mask], 2, 16, None)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert not [text for text in said if "run_spec" in text]


def test_a_second_fit_goes_on(client):
    dX, dy = collections()
    whole = xdfn.dask.fit(network(), dX, dy, 5, 16, None)
    model = xdfn.dask.fit(network(), dX, dy, 2, 16, None)
    assert_same(whole, xdfn.dask.fit(model, dX, dy, 3, 16, None))


def test_a_file_is_gone_on_from(client, tmp_path):
    dX, dy = collections()
    whole = xdfn.dask.fit(network(), dX, dy, 5, 16, None)
    path = tmp_path / "run.npz"
    xdfn.dask.fit(network(), dX, dy, 2, 16, None, resume=path, callbacks=[Checkpoint(path)])
    assert_same(whole, xdfn.dask.fit(network(), dX, dy, 5, 16, None, resume=path))


def test_lines_appear_at_the_client(client, capfd):
    xdfn.dask.fit(network(), *collections(), 2)
    printed = capfd.readouterr().out
    assert re.findall(r"\[Epoch (\d)\] Avg. loss", printed) == ["1", "2"]


class Event(Callback):
    """What happens to one worker in its fifth epoch."""

    may_change_model = False

    def __init__(self, home, what):
        self.home, self.what = home, what

    def on_epoch_end(self, model, values):
        if get_worker().address == self.home and len(model.history["loss"]) == 5:
            if self.what == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError("boom")


class Broken(Event):
    def on_batch_end(self, model, batch, n_batches, loss):
        if get_worker().address == self.home:
            raise MemoryError("no room")


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize(("event", "error", "said"), [
    (Event, ValueError, "rank {} of 3: RuntimeError: boom"), (Broken, MemoryError, "no room"),
])  # fmt: skip
def test_a_workers_error_is_the_clients(client, rank, event, error, said):
    model, home = network(), sorted(client.nthreads())[rank]
    with pytest.raises(error, match=said.format(rank)):
        xdfn.dask.fit(model, *collections(), 10**6, 16, None, callbacks=[event(home, "raise")])
    assert model.history == {"loss": []}
    assert len(xdfn.dask.fit(model, *collections(), 2, 16, None).history["loss"]) == 2  # the workers are free


@pytest.mark.parametrize("n_workers", [1, 3])
def test_a_worker_that_dies_is_told(n_workers):
    with (
        LocalCluster(n_workers, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        home, start = sorted(client.nthreads())[-1], time.perf_counter()
        with pytest.raises(RuntimeError, match=f"worker {home} died while it trained, and its rows with it"):
            xdfn.dask.fit(network(), *collections(), 10**6, 16, None, callbacks=[Event(home, "kill")])
        assert time.perf_counter() - start < 15  # with all that comes before; the death alone is told within 2 s here


def slow(block):
    time.sleep(0.15)
    return block


@pytest.mark.filterwarnings("ignore:the rows lie unevenly")  # after those of the killed worker are computed anew
@pytest.mark.parametrize("seconds", [0.2, 1.1])
def test_a_worker_that_dies_before_the_training_lets_nobody_wait(seconds):
    """While blocks are computed, brought together, or while ranks find each other: an error, or other workers do it."""
    with (
        LocalCluster(2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        X, y = collections()
        pids = client.run(os.getpid)
        timer = threading.Timer(seconds, os.kill, (pids[min(pids)], signal.SIGKILL))
        timer.start()
        start = time.perf_counter()
        try:
            model = xdfn.dask.fit(network(), X.map_blocks(slow, dtype=float), y, 300, 16, None)
            assert len(model.history["loss"]) == 300
        except RuntimeError as error:
            assert "died while it trained" in str(error)
        assert time.perf_counter() - start < 20
        timer.join()
        client.wait_for_workers(2)  # the killed one is started anew
        start = time.perf_counter()
        assert len(xdfn.dask.fit(network(), X, y, 2, 16, None).history["loss"]) == 2
        assert time.perf_counter() - start < 10  # nobody waits any longer


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_at_the_client_frees_the_workers(client):
    timer = threading.Timer(2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        xdfn.dask.fit(network(), *collections(), 10**6, 16, None)
    timer.join()
    start = time.perf_counter()
    assert len(xdfn.dask.fit(network(), *collections(), 2, 16, None).history["loss"]) == 2
    assert time.perf_counter() - start < 10


def test_what_does_not_fit_is_told(client):
    dX, dy = collections()
    with pytest.raises(TypeError, match=r"trains a DFN, got str; estimators of xdfn\.sklearn fit rows in memory"):
        xdfn.dask.fit("model", dX, dy)
    with pytest.raises(TypeError, match="it is called n_epochs here"):
        xdfn.dask.fit(network(), dX, dy, epochs=2)
    with pytest.raises(ValueError, match=r"y must lie in \[0, 2\], got values from 7 to 9"):
        xdfn.dask.fit(network(), dX, dy + 7, 2, 16, None)
    with pytest.raises(ValueError, match="X holds no rows"):
        xdfn.dask.fit(network(), dX[:0], dy[:0], 2, 16, None)


def test_without_a_client_it_says_what_to_do():
    with pytest.raises(ValueError, match=r"there is none: client = dask.distributed.Client\(\)"):
        xdfn.dask.fit(network(), *collections())


@pytest.mark.parametrize("more", [[], ["--many"]])
def test_the_example(more):
    path = Path(__file__).parents[2] / "examples" / "dask_mnist.py"
    run = subprocess.run(
        [sys.executable, path, "--rows", "2000", "--epochs", "2", *more], capture_output=True, text=True, check=True
    )
    (accuracy,) = re.findall(r"test accuracy (0\.\d+) after 2 epochs", run.stdout)
    assert float(accuracy) > 0.8
    assert "Warning" not in run.stderr
