"""Ctrl-C at any moment of a fit leaves the model at the end of an epoch."""

import os
import signal
import sys
import threading

import numpy as np
import pytest

from xdfn import DFN, BatchNorm, Callback, Dropout, EarlyStopping, FullyConnected
from xdfn.core.interrupts import Interrupts

PARTS = (
    "fitting.py",
    "model.py",
    "session.py",
    "memory.py",
    "loop.py",
    "segments.py",
    "interrupts.py",
    "contextlib.py",
)
EVERY = int(os.environ.get("XDFN_EVERY", "97"))  # of the bytecodes; 1 takes some minutes

pytestmark = [
    pytest.mark.skipif(
        threading.current_thread() is not threading.main_thread(), reason="signals go to the main thread"
    ),
    pytest.mark.usefixtures("interruptible"),
]


class Watching(Callback):
    def on_epoch_end(self, model, values):
        self.seen = model.predict(X)


rng = np.random.default_rng(0)
X, Y = rng.normal(size=(24, 3)), rng.integers(0, 2, 24)
FIT = {"batch_size": 8, "verbose": None, "validation_fraction": 0.25}


def model():
    layers = [
        FullyConnected(4, "tanh", "he_normal"),
        BatchNorm(),
        Dropout(0.2),
        FullyConnected(2, "affine", "he_normal"),
    ]
    return DFN(layers=layers, optimizer="adam(0.01)", ema=0.9, seed=0)


def callbacks():
    return [EarlyStopping("val_loss", patience=5), Watching()]


def state(model):
    memory = model._memory
    arrays = [x for layer in model.layers.values() for x in (*layer.params.values(), *layer.buffers.values())]
    for of_layer in (*memory.slots.values(), *memory.averages.values()):
        for x in of_layer.values():
            arrays += list(x.values()) if isinstance(x, dict) else [x]
    return [x.tobytes() for x in arrays], memory.step, memory.epoch, {k: list(v) for k, v in model.history.items()}


class Signal:
    """Raises SIGINT at one bytecode of the package, counted from the end of the second epoch on, and at one later."""

    def __init__(self, at, again=None):
        self.at, self.again, self.count, self.counting = at, again, 0, False

    def __call__(self, frame, event, argument):
        path = frame.f_code.co_filename
        if not path.endswith(PARTS) or ("xdfn" not in path and "contextlib" not in path):
            return None
        frame.f_trace_opcodes = True
        if frame.f_code.co_name == "end_of_epoch" and event == "call":
            self.counting = True
        if event == "opcode" and self.counting:
            self.count += 1
            if self.count == self.at or (self.again is not None and self.count == self.at + self.again):
                signal.raise_signal(signal.SIGINT)
        return self


def interrupted(at, again=None):
    """A fit of three epochs that is interrupted; whether it was."""
    m, tracer, before = model(), Signal(at, again), sys.gettrace()
    try:
        sys.settrace(tracer)
        try:
            m.fit(X, Y, 3, **FIT, callbacks=callbacks())
        finally:
            sys.settrace(before)
    except KeyboardInterrupt:
        return m, True, tracer.count
    return m, False, tracer.count


@pytest.mark.slow
def test_at_every_bytecode():
    states = [state(model().fit(X, Y, n, **FIT)) for n in range(1, 4)]
    states.append(state(model().fit(X, Y, 3, **FIT, callbacks=callbacks())))  # with the weights of the best epoch
    _, was_interrupted, length = interrupted(10**9)
    assert not was_interrupted
    ends = set()
    for at in range(1, length, EVERY):
        m, was_interrupted, _ = interrupted(at, again=at % 40)
        assert was_interrupted or at > length - 200, at
        assert state(m) in states or not m.history["loss"], at  # at the end of an epoch, or as it was before the fit
        n = len(m.history["loss"])
        ends.add(n)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if n:
            m.fit(X, Y, 3 - n, **FIT, callbacks=callbacks())
            assert state(m) == states[-1], at  # it goes on as if nothing had been
    assert {1, 2} <= ends


def noted_then_allowed(done):
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
        done.append("closed")
        with interrupts.allowed:
            done.append("allowed")


def noted_to_the_end(done):
    with Interrupts():
        signal.raise_signal(signal.SIGINT)
        done.append("closed")


def where_it_is_allowed(done):
    with Interrupts() as interrupts, interrupts.allowed:
        signal.raise_signal(signal.SIGINT)
        done.append("allowed")


@pytest.mark.parametrize(
    ("part", "expected"), [(noted_then_allowed, ["closed"]), (noted_to_the_end, ["closed"]), (where_it_is_allowed, [])]
)
def test_a_signal_is_noted_and_raised_where_it_may(part, expected):
    done = []
    with pytest.raises(KeyboardInterrupt):
        part(done)
    assert done == expected
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def failing():
    with Interrupts():
        signal.raise_signal(signal.SIGINT)
        raise ValueError("own")


def test_an_error_is_not_hidden_by_a_signal():
    with pytest.raises(ValueError, match="own"):
        failing()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_fit_in_a_thread_leaves_signals_alone():
    errors = []

    def run():
        try:
            model().fit(X, Y, 2, **FIT)
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert errors == []


def test_a_fit_within_a_callback():
    class Inner(Callback):
        def on_epoch_end(self, m, values):
            signal.raise_signal(signal.SIGINT)

    class Outer(Callback):
        def on_epoch_end(self, m, values):
            if len(m.history["loss"]) == 2:
                model().fit(X, Y, 5, **FIT, callbacks=[Inner()])

    m = model()
    with pytest.raises(KeyboardInterrupt):
        m.fit(X, Y, 4, **FIT, callbacks=[Outer()])
    assert len(m.history["loss"]) == 2
    assert state(m) == state(model().fit(X, Y, 2, **FIT))
