"""Epochs and batches: every row once, the mean over the rows, and what an end before the end leaves."""

import numpy as np
import pytest
from fits import classifier, everything, of_everything, with_dropout

from xdfn import DFN, Callback, CrossEntropy, FullyConnected, ReLU
from xdfn.backend._recorder import Replay
from xdfn.train import engine
from xdfn.train.loop import equal_batches
from xdfn.train.step import TrainStep


def test_a_fit_with_everything_is_the_same_everywhere(backend, data):
    X, y = data
    expected = everything().fit(X, y, 6, **of_everything(X, y)).history
    assert expected["val_loss"][-1] < 0.97 * expected["val_loss"][0]
    more = of_everything(X, y)
    more["sample_weight"] = backend.array(more["sample_weight"])
    there = backend.array(X), backend.array(y)
    model = everything().fit(*there, 6, **more)
    for name in expected:
        np.testing.assert_allclose(model.history[name], expected[name], rtol=1e-10)
    mean, spread = model.predict(there[0], samples=5)
    ours_mean, ours_spread = everything().fit(X, y, 6, **of_everything(X, y)).predict(X, samples=5)
    np.testing.assert_allclose(backend.numpy(mean), ours_mean, rtol=1e-7)
    np.testing.assert_allclose(backend.numpy(spread), ours_spread, rtol=1e-5, atol=1e-9)


def test_fit_evaluate_fit_is_right(backend, blobs):
    X, y = backend.array(blobs[0]), backend.array(blobs[1])
    whole, parts = classifier(), classifier()
    whole.fit(X, y, 4, 64, verbose=None)
    parts.fit(X, y, 2, 64, verbose=None)
    parts.evaluate(X, y)
    parts.predict(X)
    parts.fit(X, y, 2, 64, verbose=None)
    assert whole.history == parts.history
    assert all(layer.X == [] for layer in parts.layers.values())


@pytest.mark.parametrize("rows", [1, 5, 64, 65])
def test_any_number_of_rows_and_a_batch_larger_than_them(backend, blobs, rows):
    X, y = backend.array(blobs[0][:rows]), backend.array(blobs[1][:rows])
    model = classifier().fit(X, y, 2, 64, verbose=None)
    assert tuple(model.predict(X).shape) == (rows,)
    assert len(model.history["loss"]) == 2


def test_the_mean_loss_weighs_a_short_last_batch(blobs):
    """With a learning rate of 0 the mean over the batches is the mean over the rows."""
    X, y = blobs[0][:70], blobs[1][:70]
    model = classifier().initialize(X)
    for layer in model.layers.values():
        layer.optimizer.lr = 0.0
    model.fit(X, y, 1, 64, verbose=None)
    expected = CrossEntropy.loss(y, model.predict_proba(X))
    assert model.history["loss"][0] == pytest.approx(expected, rel=1e-12)


def test_a_divergence_keeps_the_last_finite_state(backend, blobs):
    X, y = backend.array(blobs[0] * 100), backend.array(blobs[0])
    model = DFN(
        layers=[FullyConnected(4, "affine", "he_uniform")], loss="squared_error", optimizer="sgd(lr=1e-5)", seed=0
    )
    model.fit(X, y, 2, 64, verbose=None)
    before, history = backend.numpy(model.layers["FC1"].params["W"]).copy(), list(model.history["loss"])
    model.layers["FC1"].optimizer.lr = 10.0
    with pytest.raises(FloatingPointError, match=r"diverged in epoch \d+.*smaller learning rate"):
        model.fit(X, y, 500, 64, verbose=None)
    W = backend.numpy(model.layers["FC1"].params["W"])
    assert np.isfinite(W).all()
    assert np.isfinite(model.history["loss"]).all()
    assert model.history["loss"][:2] == history
    if len(model.history["loss"]) == 2:
        assert (before == W).all()
    model.layers["FC1"].optimizer.lr = 0.0
    model.fit(X, y, 1, 64, verbose=None)


@pytest.mark.parametrize("recorded", [False, True])
def test_an_interrupt_keeps_the_last_finished_epoch(blobs, monkeypatch, recorded):
    where, what = (Replay if recorded else TrainStep), "__call__"
    if not recorded:
        monkeypatch.setattr(engine, "WARMUP_STEPS", 10**9)
    model, twin = classifier(), classifier()
    steps = iter(range(10**6))
    step = getattr(where, what)

    def interrupted(self, *args):
        if next(steps) == (4 if recorded else 13):  # in the middle of the third epoch
            raise KeyboardInterrupt
        return step(self, *args)

    monkeypatch.setattr(where, what, interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*blobs, 5, 64, verbose=None)
    monkeypatch.undo()
    twin.fit(*blobs, 2, 64, verbose=None)
    assert model.history == twin.history
    model.fit(*blobs, 2, 64, verbose=None)
    twin.fit(*blobs, 2, 64, verbose=None)
    assert model.history == twin.history
    assert (model.layers["FC1"].params["W"] == twin.layers["FC1"].params["W"]).all()


def test_training_writes_to_no_array_of_the_callers(backend, rng):
    x, y = backend.array(rng.normal(size=(20, 5)), "float32"), backend.array(rng.integers(0, 4, 20))
    x0, y0 = backend.numpy(x).copy(), backend.numpy(y).copy()
    model = with_dropout().initialize(x)
    shown = [model.layers["FC1"].params["W"], model.layers["FC2"].params["b"]]
    values = [backend.numpy(a).copy() for a in shown]
    model.fit(x, y, 2, 8, verbose=None)
    again = model.layers["FC1"].params["W"]
    kept = backend.numpy(again).copy()
    model.fit(x, y, 2, 8, verbose=None)
    model.forward(x)
    assert (backend.numpy(x) == x0).all()
    assert (backend.numpy(y) == y0).all()
    assert all((backend.numpy(a) == v).all() for a, v in zip(shown, values, strict=True))
    assert (backend.numpy(again) == kept).all()


def test_runs_of_equal_batches():
    def runs(n, size):
        return [(start, stop, shape.n_batches, shape.share) for start, stop, shape in equal_batches(n, size)]

    assert runs(10, 4) == [(0, 8, 3, 1.0), (8, 10, 3, 0.5)]
    assert runs(8, 4) == [(0, 8, 2, 1.0)]
    assert runs(3, 4) == [(0, 3, 1, 0.75)]


class Count(Callback):
    """Notes the epoch and the number of each batch that it is told of."""

    def __init__(self):
        self.calls = []

    def on_batch_end(self, model, batch, n_batches, loss):
        assert n_batches == 11
        self.calls.append((len(model.history["loss"]), batch))


READS = [np.sort, lambda z: z.copy() * 1.0, lambda z: bool(z[0, 0] > 0)]


@pytest.mark.parametrize("reads", READS, ids=["sorts", "copies", "asks"])
def test_a_step_that_cannot_be_recorded_is_taken_from_where_it_is(rng, monkeypatch, reads):
    """By the loop: no batch is taken, and no callback told of one, a second time."""
    X, y = rng.normal(size=(83, 5)), rng.integers(0, 3, 83)
    forward, tried = ReLU.forward, []
    record = engine.record
    monkeypatch.setattr(engine, "record", lambda *args: (tried.append(args), record(*args))[1])
    plain, told = classifier().fit(X, y, 4, 8, None), Count()
    assert len(tried) == 1
    monkeypatch.setattr(ReLU, "forward", lambda self, z: (reads(z), forward(self, z))[1])
    model = classifier().fit(X, y, 4, 8, None, callbacks=[told])
    assert told.calls == [(epoch, batch) for epoch in range(4) for batch in range(1, 12)]
    assert len(tried) == 2  # once a fit
    assert model.history == plain.history
    for name, layer in model.layers.items():
        for key, value in layer.params.items():
            assert value.tobytes() == plain.layers[name].params[key].tobytes()
    assert model.fit(X, y, 1, 8, None).history == plain.fit(X, y, 1, 8, None).history
