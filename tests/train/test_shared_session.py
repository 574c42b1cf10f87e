"""Several ranks, here threads, train the network that one process trains."""

import numpy as np
import pytest
from crew import BusySeat, together

from xdfn import DFN, BatchNorm, Callback, Checkpoint, Dropout, FullyConnected, FunctionMetric, GaussianNoise, Residual
from xdfn.backend import random
from xdfn.train import update
from xdfn.train.data import Resident

N = 203
WRITES = {"numpy", "numpy-readonly", "torch", "array-api-strict", "array-api-strictest", "cupy"}


def fc(n, acti_fn="tanh", **more):
    return FullyConnected(n, acti_fn, "glorot_uniform", **more)


def block():
    return Residual([fc(8), Dropout(0.3), GaussianNoise(0.1)])


FITS = {  # layers, arguments of the model, arguments of fit
    "sgd": ([fc(8), fc(3, "affine")], {"optimizer": "sgd(0.1)"}, {}),
    "many parameters": ([fc(1400), fc(3, "affine")], {"optimizer": "sgd(0.001)"}, {"n_epochs": 2}),
    "adam": ([fc(8), fc(3, "affine")], {"optimizer": "adam(lr=0.01)"}, {}),
    "momentum, schedule": ([fc(8), fc(3, "affine")], {"optimizer": "momentum('cosine(0.1, 12)')"}, {}),
    "dropout, noise": ([fc(8), Dropout(0.3), GaussianNoise(0.2), fc(3, "affine")], {"optimizer": "adam(lr=0.01)"}, {}),
    "a block that draws": ([fc(8), block(), fc(3, "affine")], {"optimizer": "adam(lr=0.01)"}, {}),
    "batch_norm": ([fc(8), BatchNorm(), fc(3, "affine")], {"optimizer": "sgd(0.1)"}, {"batch_size": 50}),
    "batch_norm, weights": (
        [fc(8), BatchNorm(), fc(3, "affine")],
        {"optimizer": "sgd(0.1)"},
        {"batch_size": 50, "class_weight": {0: 2.0, 2: 0.5}},
    ),
    "penalties": (
        [fc(8, regularizer="l2(0.01)", constraint="max_norm(1)"), fc(3, "affine", regularizer="l1(0.01)")],
        {"optimizer": "sgd(0.1)", "clip_norm": 0.3, "clip_value": 0.1, "ema": 0.9},
        {},
    ),
    "balanced": ([fc(8), fc(3, "affine")], {"optimizer": "adam(lr=0.01)"}, {"class_weight": "balanced"}),
    "early stopping": (
        [fc(8), fc(3, "affine")],
        {"optimizer": "adam(lr=0.2)"},
        {
            "validation_fraction": 0.3,
            "metrics": ["accuracy", "f1"],
            "callbacks": ["early_stopping(patience=1)"],
            "n_epochs": 9,
        },
    ),
    "plateau": (
        [fc(8), fc(3, "affine")],
        {"optimizer": "sgd('reduce_on_plateau(0.5, patience=1, monitor=\"loss\")')"},
        {},
    ),
    "frozen": ([fc(8), fc(6), fc(3, "affine")], {"optimizer": "adam(lr=0.01)"}, {}),
}  # fmt: skip


def data(dtype="float64"):
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, 5)).astype(dtype), rng.integers(0, 3, N)


def network(name):
    layers, more, fit = FITS[name]
    model = DFN(layers=[layer.clone() for layer in layers], seed=0, **more)
    if name == "frozen":
        model.layers["FC2"].trainable = False
    return model, {"n_epochs": 4, "batch_size": 16, "verbose": None, **fit}


def assert_one_network(one, other, backend, tol=1e-12):
    for name, values in one.history.items():
        np.testing.assert_allclose(other.history[name], values, atol=tol, rtol=tol)
    for a, b in zip(one.layers.values(), other.layers.values(), strict=True):
        for x, y in ((a.params, b.params), (a.buffers, b.buffers)):
            assert x.keys() == y.keys()
            for key in x:
                np.testing.assert_allclose(backend.numpy(y[key]), backend.numpy(x[key]), atol=tol, rtol=tol)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("name", FITS)
def test_ranks_train_the_network_of_one_process(backend, name, size):
    if backend.value not in WRITES:
        pytest.skip("JAX compiles whole runs of steps")
    X, y = map(backend.array, data())
    model, fit = network(name)
    one = model.fit(X, y, **fit)
    others = together(size, lambda comm: network(name)[0].fit(X, y, comm=comm, **fit))
    for other in others:
        assert isinstance(other, DFN), other
        assert_one_network(one, other, backend)
    for layer in one.layers:
        for key in one.layers[layer].params:
            bits = [backend.numpy(other.layers[layer].params[key]).tobytes() for other in others]
            assert len(set(bits)) == 1


def test_without_the_sum_there_is_another_network():
    """The tolerance above could fail."""

    class Deaf:
        def __init__(self, comm):
            self.rank, self.size, self.broadcast, self.comm = comm.rank, comm.size, comm.broadcast, comm

        def sum(self, x):
            if x.size == 8 * 5 + 8 + 8 * 3 + 3:
                x *= 2.0  # this rank's gradient in place of the sum
            else:
                self.comm.sum(x)

    X, y = data()
    model, fit = network("sgd")
    one = model.fit(X, y, **fit)
    errors = together(2, lambda comm: network("sgd")[0].fit(X, y, comm=Deaf(comm), **fit))
    assert all("are no longer those of rank 0" in str(error) for error in errors)
    assert one.history["loss"]


def test_float32_has_the_loss_of_one_process():
    X, y = data("float32")
    model, fit = network("adam")
    one = model.fit(X, y, **{**fit, "n_epochs": 20})
    for other in together(2, lambda comm: network("adam")[0].fit(X, y, comm=comm, **{**fit, "n_epochs": 20})):
        np.testing.assert_allclose(other.history["loss"], one.history["loss"], rtol=1e-5)


def orders(seed, epoch, counts, batch_size):
    """The rows of one process that takes those of the ranks' batches."""
    n, ends = sum(counts), np.cumsum([0, *counts])
    own = [ends[r] + random.permutation(random.hash_ints(seed, r), epoch, count) for r, count in enumerate(counts)]
    rows = []
    for start in range(0, n, batch_size):
        for r in range(len(counts)):
            a, b = ((at * ends[r + 1] // n - at * ends[r] // n) for at in (start, min(start + batch_size, n)))
            rows += own[r][a:b].tolist()
    return np.asarray(rows, np.int32)


@pytest.mark.parametrize("counts", [[100, 103], [150, 20, 33], [202, 1]])
@pytest.mark.parametrize("more", [{}, {"class_weight": "balanced"}])
def test_rows_of_their_own(monkeypatch, counts, more):
    X, y = data()
    ends = np.cumsum([0, *counts])
    model, fit = network("dropout, noise")

    def run(comm):
        mine = slice(ends[comm.rank], ends[comm.rank + 1])
        return network("dropout, noise")[0].fit(X[mine], y[mine], comm=comm, rows="own", **fit, **more)

    others = together(len(counts), run)
    monkeypatch.setattr(Resident, "order", lambda rows, seed, epoch: orders(seed, epoch, counts, 16))
    one = model.fit(X, y, **fit, **more)
    for other in others:
        assert isinstance(other, DFN), other
        np.testing.assert_allclose(other.history["loss"], one.history["loss"], rtol=1e-12)
        W = one.layers["FC1"].params["W"]
        np.testing.assert_allclose(other.layers["FC1"].params["W"], W, atol=1e-12)


def test_each_rank_measures_its_own_rows():
    X, y = data()
    ends = [0, 60, N]

    def run(comm):
        mine = slice(ends[comm.rank], ends[comm.rank + 1])
        validation = X[mine], y[mine]
        return network("sgd")[0].fit(
            X[mine], y[mine], 2, 16, None, comm=comm, rows="own", validation_data=validation, metrics="accuracy"
        )

    for model in together(2, run):
        assert model.history["val_accuracy"][-1] == pytest.approx((model.predict(X) == y).mean(), abs=1e-12)
        assert model.history["val_loss"][-1] == pytest.approx(model.evaluate(X, y, metric="loss"), rel=1e-12)


@pytest.mark.parametrize("name", ["many parameters", "momentum, schedule", "penalties", "frozen"])
def test_sums_that_overlap_the_backward_pass(backend, name, monkeypatch):
    if backend.value not in WRITES:
        pytest.skip("JAX compiles whole runs of steps")
    monkeypatch.setattr(update, "BUCKET", 20)
    X, y = map(backend.array, data())
    model, fit = network(name)
    one, sums = model.fit(X, y, **fit), []

    def run(comm):
        trained = network(name)[0].fit(X, y, comm=comm, **fit)
        sums.append(comm.sums)
        return trained

    for other in together(2, run, BusySeat):
        assert_one_network(one, other, backend)
    together(2, run)
    if backend.value in WRITES - {"array-api-strict", "array-api-strictest"}:  # which write into given arrays
        assert sums[0] > sums[-1]  # by buckets


def test_what_must_see_all_rows_is_measured_by_each():
    X, y = data()
    metric = {"most": FunctionMetric(lambda y_true, y_pred: float((y_true == y_pred).mean()))}
    model, fit = network("sgd")
    one = model.fit(X, y, **fit, metrics=metric)
    for other in together(2, lambda comm: network("sgd")[0].fit(X, y, comm=comm, **fit, metrics=metric)):
        assert other.history["most"] == one.history["most"]
    errors = together(2, lambda comm: network("sgd")[0].fit(X, y, comm=comm, rows="own", **fit, metrics=metric))
    assert all("must see all rows at once" in str(error) for error in errors)


class At(Callback):
    """Does something on rank 1 after the second epoch."""

    def __init__(self, comm, what):
        self.comm, self.what = comm, what

    def on_epoch_end(self, model, values):
        if self.comm.rank == 1 and len(model.history["loss"]) == 2:
            self.what(model)


def fail(model):
    raise RuntimeError("boom")


def stop(model):
    model.stop_training = True


def drift(model):
    W = model.layers["FC1"].params["W"].copy()
    W[0, 0] += 1e-9
    model.layers["FC1"].params["W"] = W


def test_one_that_stops_stops_all():
    X, y = data()
    models = together(3, lambda comm: network("adam")[0].fit(X, y, 9, 16, None, comm=comm, callbacks=[At(comm, stop)]))
    assert [len(model.history["loss"]) for model in models] == [2, 2, 2]


@pytest.mark.parametrize(
    ("what", "message"), [(fail, "rank 1 of 2: RuntimeError: boom"), (drift, "rank 1 are no longer")]
)
def test_one_that_fails_fails_all(what, message):
    X, y = data()
    models = [network("adam")[0] for _ in range(2)]
    errors = together(2, lambda comm: models[comm.rank].fit(X, y, 9, 16, None, comm=comm, callbacks=[At(comm, what)]))
    assert all(message in str(error) for error in errors)
    assert all(len(model.history["loss"]) >= 2 and np.isfinite(model.predict_proba(X)).all() for model in models)


def test_an_interrupt_of_one_ends_all():
    def interrupt(model):
        raise KeyboardInterrupt

    X, y = data()
    found = together(
        2, lambda comm: network("adam")[0].fit(X, y, 9, 16, None, comm=comm, callbacks=[At(comm, interrupt)])
    )
    assert isinstance(found[1], KeyboardInterrupt)
    assert type(found[0]).__name__ == "BrokenBarrierError"  # what this engine does when it is told to end all


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X[:, :4], y, {}), "the number of columns is 5 on rank 0, and 4 on rank 1"),
        (lambda X, y: (X.astype("f4"), y, {}), "the dtype of X_train is float64 on rank 0, and float32 on rank 1"),
        (lambda X, y: (X[:-1], y[:-1], {}), "the number of rows is 203 on rank 0, and 202 on rank 1"),
        (lambda X, y: (X, y, {"batch_size": 8}), "fit's batch_size is 16 on rank 0, and 8 on rank 1"),
        (lambda X, y: (X, y, {"batch_size": 0}), "rank 1 of 2: ValueError: batch_size must be an integer"),
        (lambda X, y: (np.where(X > 2, np.nan, X), y, {}), "rank 1 of 2: ValueError: X holds NaN"),
        (lambda X, y: (X, y + 1, {}), "rank 1 of 2: ValueError: y"),
        (lambda X, y: (X, y, {"seed": 1}), "the seed is 0 on rank 0, and 1 on rank 1"),
        (lambda X, y: (X, y, {"optimizer": "adam"}), "layer FC1 is"),
        (lambda X, y: (X, y, {"trained": True}), "the steps trained before is"),
    ],
)
def test_ranks_that_differ_are_told_before_training(change, message):
    def run(comm):
        X, y = data()
        X, y, more = change(X, y) if comm.rank == 1 else (X, y, {})
        model = DFN(8, 3, optimizer=more.pop("optimizer", "sgd"), seed=more.pop("seed", 0))
        if more.pop("trained", False):
            model.fit(X, y, 1, 16, None)
        try:
            model.fit(X, y, **{"n_epochs": 2, "batch_size": 16, "verbose": None, **more}, comm=comm)
        except ValueError as error:
            return str(error), len(model.history["loss"])

    (first, n), (second, _) = together(2, run)
    assert first == second
    assert message in first
    assert n == 0


def test_a_seed_that_nobody_names_is_one_for_all():
    X, y = data()
    a, b = together(2, lambda comm: DFN(8, 3).fit(X, y, 1, 16, None, comm=comm))
    np.testing.assert_array_equal(a.layers["FC1"].params["W"], b.layers["FC1"].params["W"])


def test_the_first_rank_alone_prints_and_saves(capsys, tmp_path):
    X, y = data()
    callbacks = [f"csv_log({str(tmp_path / 'log.csv')!r})", f"checkpoint({str(tmp_path / 'model.npz')!r})"]

    def run(comm):
        return DFN(8, 3, seed=0).fit(X, y, 3, 16, comm=comm, verbose=True, callbacks=callbacks)

    models = together(3, run)
    assert all(isinstance(model, DFN) for model in models), models
    out = capsys.readouterr().out
    assert out.count("[Epoch 2]") == 1
    assert out.count("[Batch 3/13]") == 3
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 4
    one = DFN(8, 3, seed=0).fit(X, y, 3, 16, verbose=None)
    resumed = together(2, lambda comm: DFN.load(tmp_path / "model.npz").fit(X, y, 2, 16, None, comm=comm))
    one.fit(X, y, 2, 16, verbose=None)
    for model in resumed:
        np.testing.assert_allclose(model.layers["FC1"].params["W"], one.layers["FC1"].params["W"], atol=1e-12)


@pytest.mark.parametrize("every", [1, 3])
def test_ranks_with_rows_of_their_own_come_to_a_batch_together(every, tmp_path):
    """However unevenly their rows fall on the batches, as 31, 71 and 101 of 203 do on batches of 16."""
    X, y = data()
    rows = [slice(0, 31), slice(31, 102), slice(102, 203)]

    def run(comm, **more):
        mine = rows[comm.rank]
        return network("adam")[0].fit(X[mine], y[mine], 3, 16, None, comm=comm, rows="own", **more)

    callbacks = [Checkpoint(tmp_path / "model.npz", every=every)]
    expected, models = together(3, run), together(3, lambda comm: run(comm, callbacks=callbacks))
    for one, model in zip(expected, models, strict=True):
        assert model.history == one.history
        np.testing.assert_array_equal(model.layers["FC1"].params["W"], one.layers["FC1"].params["W"])


def test_divergence_is_told_by_all():
    X, y = data()
    errors = together(2, lambda comm: DFN(8, 3, optimizer="sgd(1e308)", seed=0).fit(X, y, 2, 16, None, comm=comm))
    assert all(isinstance(error, FloatingPointError) for error in errors)


def test_one_rank_is_plain_training():
    class Single:
        rank, size = 0, 1

        def sum(self, x):
            raise AssertionError

        def broadcast(self, value):
            raise AssertionError

    X, y = data()
    model, fit = network("sgd")
    other = network("sgd")[0].fit(X, y, comm=Single(), **fit)
    np.testing.assert_array_equal(model.fit(X, y, **fit).layers["FC1"].params["W"], other.layers["FC1"].params["W"])


def test_bad_arguments():
    X, y = data()
    with pytest.raises(ValueError, match=r"comm must have rank, size, sum, broadcast.*without sum, broadcast"):
        DFN(8, 3).fit(X, y, comm=type("C", (), {"rank": 0, "size": 2})())
    with pytest.raises(ValueError, match="rows must be 'all'"):
        DFN(8, 3).fit(X, y, rows="mine")
    with pytest.raises(ValueError, match="rows='own' is for several ranks"):
        DFN(8, 3).fit(X, y, rows="own")


def test_jax_is_refused():
    jnp = pytest.importorskip("jax.numpy")
    X, y = map(jnp.asarray, data("float32"))
    errors = together(2, lambda comm: DFN(8, 3).fit(X, y, 1, 16, None, comm=comm))
    assert all("JAX compiles whole runs" in str(error) for error in errors)
