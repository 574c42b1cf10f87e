"""A fit whose steps were recorded is the fit: every part of the library, bit for bit."""

import gc
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from parts import (
    ACTIVATIONS,
    CONSTRAINTS,
    LAYERS,
    LOSSES,
    OPTIMIZERS,
    REGULARIZERS,
    SCHEDULES,
    everything,
    with_categories,
)

from xdfn import DFN, Callback, FullyConnected
from xdfn.backend._recorder import Replay
from xdfn.nn.activations import ActivationBase, ReLU
from xdfn.nn.layers.base import LayerBase
from xdfn.train import engine
from xdfn.train.step import TrainStep


def learned(model):
    """All arrays and numbers that training leaves."""
    snapshot = model.snapshot()
    found, trees = [], [snapshot]
    while trees:
        tree = trees.pop()
        if isinstance(tree, dict):
            trees += tree.values()
        elif isinstance(tree, (tuple, list)):
            trees += tree
        else:
            found.append(np.asarray(tree))
    return [*found, *(np.asarray(values) for values in model.history.values())]


@pytest.fixture
def replayed(monkeypatch):
    """The steps that were replayed, by recording."""
    counts = []
    replay = Replay.__call__
    monkeypatch.setattr(Replay, "__call__", lambda self, numbers: (counts.append(self), replay(self, numbers))[1])
    return counts


def check(make, X, y, replayed, monkeypatch, **more):
    """The same training with and without a recording; nearly all steps of the first are replayed."""
    n_epochs, batch_size = 3, 8
    more = {"verbose": None, **more}
    recorded = make().fit(X, y, n_epochs, batch_size, **more)
    # the first epoch that is long enough records one step
    n_rows = 66 if "validation_fraction" in more else len(X)
    assert len(replayed) >= n_epochs * (n_rows // batch_size) - 1
    del replayed[:]
    with monkeypatch.context() as patch:
        patch.setattr(engine, "WARMUP_STEPS", 10**9)
        plain = make().fit(X, y, n_epochs, batch_size, **more)
    assert not replayed
    ours, expected = learned(recorded), learned(plain)
    assert len(ours) == len(expected)
    for a, b in zip(ours, expected, strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()
    assert np.isfinite(recorded.history["loss"]).all()


@pytest.fixture(params=["float32", "float64"])
def data(request, rng):
    return rng.normal(size=(83, 5)).astype(request.param)  # ten full batches and a short one


def model_of(*layers, n_out=3, **more):
    return lambda: DFN(layers=[*layers, FullyConnected(n_out, "affine", "glorot_uniform")], seed=1, **more)


@pytest.mark.parametrize("spec", ACTIVATIONS)
def test_activations(data, rng, spec, replayed, monkeypatch):
    make = model_of(FullyConnected(6, spec, "glorot_uniform"), FullyConnected(4, spec, "glorot_uniform"))
    check(make, 0.1 * data, rng.integers(0, 3, 83), replayed, monkeypatch)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("spec", LOSSES)
def test_losses(data, rng, spec, weighted, replayed, monkeypatch):
    more = {"sample_weight": rng.uniform(size=83)} if weighted else {}
    make = model_of("fc(6, 'tanh', 'he_normal')", n_out=4, loss=spec)
    check(make, data, LOSSES[spec](rng, 83, 4).astype(data.dtype), replayed, monkeypatch, **more)


@pytest.mark.parametrize("width", [6, 200])  # of the second the gradients are long enough for BLAS
@pytest.mark.parametrize("spec", OPTIMIZERS)
def test_optimizers(data, rng, spec, width, replayed, monkeypatch):
    make = model_of(*[FullyConnected(width, "tanh", "he_normal")] * 2, optimizer=spec)
    check(make, data, rng.integers(0, 3, 83), replayed, monkeypatch)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("spec", LAYERS)
def test_layers(data, rng, spec, weighted, replayed, monkeypatch):
    more = {"sample_weight": rng.uniform(size=83)} if weighted else {}
    make = model_of(spec, optimizer="adam(lr=0.01)")
    check(make, with_categories(spec, data), rng.integers(0, 3, 83), replayed, monkeypatch, **more)


@pytest.mark.parametrize("k", [20, 2000])  # the second has parameters enough for steps of SGD without a gradient vector
def test_embeddings(data, rng, k, replayed, monkeypatch):
    spec = f"embedding({{1: {k}}}, dim=9)"
    make = model_of(spec, optimizer="sgd(lr=0.1)")
    check(make, with_categories(spec, data), rng.integers(0, 3, 83), replayed, monkeypatch)


@pytest.mark.parametrize("spec", REGULARIZERS + CONSTRAINTS)
def test_regularizers(data, rng, spec, replayed, monkeypatch):
    argument = {"regularizer" if spec in REGULARIZERS else "constraint": spec}
    make = model_of(FullyConnected(6, "relu", "he_normal", **argument))
    check(make, data, rng.integers(0, 3, 83), replayed, monkeypatch)


@pytest.mark.parametrize("spec", SCHEDULES)
def test_schedules(data, rng, spec, replayed, monkeypatch):
    make = model_of("fc(6, 'tanh', 'he_normal')", optimizer=f'sgdw(lr="{spec}", momentum=0.5)')
    check(make, data, rng.integers(0, 3, 83), replayed, monkeypatch)


def test_everything(data, rng, replayed, monkeypatch):
    y, weight = rng.integers(0, 10, 83), rng.uniform(size=83)
    check(
        everything, data, y, replayed, monkeypatch, sample_weight=weight, validation_fraction=0.2, metrics=["accuracy"]
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda X, y: (X.astype(np.uint8), y.astype(np.uint8)),
        lambda X, y: (np.asfortranarray(X), np.eye(3)[y]),
        lambda X, y: (X[:, ::-1].astype(">f8"), y.astype(bool).astype(int)),
        lambda X, y: (X[:80], y[:80]),  # no short batch
    ],
)
def test_inputs(rng, change, replayed, monkeypatch):
    X, y = change(rng.normal(size=(83, 5)) ** 2, rng.integers(0, 3, 83))
    check(model_of("fc(6, 'relu', 'he_normal')"), X, y, replayed, monkeypatch)


def test_every_epoch_and_many_fits(rng, replayed, monkeypatch):
    """One step an epoch: it is recorded after some, once in a fit."""
    X, y = rng.normal(size=(8, 5)), rng.integers(0, 3, 8)

    def run():
        model = model_of("fc(6, 'sigmoid', 'he_normal')", "dropout(0.3)")()
        return learned(model.fit(X, y, 30, verbose=None).fit(X, y, 1, verbose=None).fit(X, y, 20, verbose=None))

    ours = run()
    assert len(set(map(id, replayed))) == 2
    monkeypatch.setattr(engine, "WARMUP_STEPS", 10**9)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(ours, run(), strict=True))


class Counting(ActivationBase):
    """One's own: it may do anything in each step."""

    calls = 0

    def forward(self, z):
        type(self).calls += 1
        return z * (1 if type(self).calls % 2 else 0.5)

    def grad(self, z):
        return np.ones_like(z)


class Halving(ReLU):
    def forward(self, z):
        return super().forward(z) / 2


@pytest.mark.parametrize("part", [Counting(), Halving()])
def test_ones_own_parts_are_asked_in_every_step(rng, part, replayed):
    X, y = rng.normal(size=(80, 5)), rng.integers(0, 3, 80)
    model_of(FullyConnected(6, part, "he_normal"))().fit(X, y, 2, 8, verbose=None)
    assert not replayed
    Counting.calls = 0


class Jump(LayerBase):
    def apply(self, params, buffers, x, ctx=None):
        return (x + 1 if float(x.sum()) > 0 else x), None, buffers

    def pullback(self, params, cache, dy, input_grad=True):
        return dy, {}


def test_ones_own_layers_are_asked_in_every_step(rng, replayed):
    X, y = rng.normal(size=(80, 5)), rng.integers(0, 3, 80)
    model_of(Jump())().fit(X, y, 2, 8, verbose=None)
    assert not replayed


@pytest.mark.parametrize("reads", [np.sort, lambda z: z.copy() * 1.0, lambda z: bool(z[0, 0] > 0)])
def test_what_cannot_be_written_down_is_done_without_a_recording(rng, monkeypatch, reads, replayed):
    """No part of the library does such things; were there one, training would be slower and right."""
    X, y = rng.normal(size=(83, 5)), rng.integers(0, 3, 83)
    forward = ReLU.forward
    monkeypatch.setattr(ReLU, "forward", lambda self, z: (reads(z), forward(self, z))[1])
    make, recorded = model_of("fc(6, 'relu', 'he_normal')"), []
    for enough in (engine.WARMUP_STEPS, 10**9):
        monkeypatch.setattr(engine, "WARMUP_STEPS", enough)
        recorded.append(learned(make().fit(X, y, 3, 8, verbose=None)))
        assert not replayed
    assert all(a.tobytes() == b.tobytes() for a, b in zip(*recorded, strict=True))


def test_an_interrupt_leaves_the_epoch_before(rng):
    X, y = rng.normal(size=(80, 5)), rng.integers(0, 3, 80)

    class Interrupt(Callback):
        by_batch = True

        def on_batch_end(self, model, batch, n_batches, loss):
            if len(model.history["loss"]) == 3 and batch == 5:
                raise KeyboardInterrupt

    make = model_of("fc(6, 'tanh', 'he_normal')", optimizer="adam")
    model = make()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y, 6, 8, verbose=None, callbacks=[Interrupt()])
    expected = make().fit(X, y, 3, 8, verbose=None)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(learned(model), learned(expected), strict=True))


def test_a_fit_leaves_no_circle_that_keeps_its_memory(rng, monkeypatch):
    nets, make_net = weakref.WeakSet(), TrainStep.__init__
    monkeypatch.setattr(
        TrainStep, "__init__", lambda self, *args, **more: (nets.add(self), make_net(self, *args, **more))[1]
    )
    gc.disable()
    try:
        model = model_of("fc(6, 'relu', 'he_normal')")().fit(
            rng.normal(size=(80, 5)), rng.integers(0, 3, 80), 2, 8, verbose=None
        )
        assert not nets
    finally:
        gc.enable()
    assert model.is_initialized


def test_threads_do_not_meet(rng):
    """Several models of one seed at once: each learns what it would alone."""
    X, y = rng.normal(size=(80, 5)), rng.integers(0, 3, 80)

    def train(_):
        model = model_of("fc(6, 'relu', 'he_normal')", "dropout(0.3)", optimizer="adam")()
        return learned(model.fit(X, y, 30, 8, verbose=None))

    expected = train(0)
    with ThreadPoolExecutor(4) as pool:
        for ours in pool.map(train, range(8)):
            assert all(a.tobytes() == b.tobytes() for a, b in zip(ours, expected, strict=True))


def test_a_recording_takes_no_more_memory_than_a_step(rng, monkeypatch):
    """What the arrays of a step need at once, and one batch: nothing that is gone stays."""
    X, y = rng.normal(size=(2048, 64)).astype("f4"), rng.integers(0, 3, 2048)
    make = model_of(*[FullyConnected(256, "sigmoid", "glorot_uniform")] * 4)

    def peak():
        model = make().initialize(X)
        tracemalloc.start()
        model.fit(X, y, 3, 512, verbose=None)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    recorded = peak()
    monkeypatch.setattr(engine, "WARMUP_STEPS", 10**9)
    assert recorded < 1.25 * peak()


class Watching(Callback):
    def on_epoch_end(self, model, values): ...


@pytest.mark.parametrize(("n_rows", "n_epochs"), [(128, 8), (32, 8)], ids=["16 batches", "4 batches"])
@pytest.mark.parametrize("callback", [None, Callback, Watching], ids=["none", "base", "own"])
def test_a_callback_throws_no_recording_away(rng, monkeypatch, replayed, callback, n_rows, n_epochs):
    """One of the user's own may change the model after each epoch; what it has not changed is not recorded anew."""
    recorded, record = [], engine.record
    monkeypatch.setattr(engine, "record", lambda *args: (recorded.append(args), record(*args))[1])
    X, y = rng.normal(size=(n_rows, 5)), rng.integers(0, 3, n_rows)
    callbacks = [] if callback is None else [callback()]
    make = model_of("fc(6, 'tanh', 'he_normal')", "batch_norm", optimizer="adam")
    model = make().fit(X, y, n_epochs, 8, None, callbacks=callbacks)
    assert len(recorded) == 1
    assert len(replayed) >= n_epochs * n_rows // 8 - engine.WARMUP_STEPS
    plain = make().fit(X, y, n_epochs, 8, None)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(learned(model), learned(plain), strict=True))


def test_a_change_by_a_callback_is_recorded_anew(rng, monkeypatch):
    """A rate is a number of the step; a clipping is another step."""
    recorded, record = [], engine.record
    monkeypatch.setattr(engine, "record", lambda *args: (recorded.append(args), record(*args))[1])
    X, y = rng.normal(size=(128, 5)), rng.integers(0, 3, 128)

    class Clips(Callback):
        def on_epoch_end(self, model, values):
            if len(model.history["loss"]) == 2:
                model.clip_norm = 1e-3

    make = model_of("fc(6, 'tanh', 'he_normal')")
    model = make().fit(X, y, 4, 8, None, callbacks=[Clips()])
    assert len(recorded) == 2
    monkeypatch.setattr(engine, "WARMUP_STEPS", 10**9)
    expected = make().fit(X, y, 4, 8, None, callbacks=[Clips()])
    assert all(a.tobytes() == b.tobytes() for a, b in zip(learned(model), learned(expected), strict=True))
