"""A fit goes down the floors: model, train, nn, backend. Calls go up through named doors alone, and the rows of the
user are seen on the way down only.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

import xdfn
from xdfn import DFN, Callback, Dropout, FullyConnected, model
from xdfn.train import loop

PACKAGE = str(Path(xdfn.__file__).parent)
FLOORS = [
    "core",
    "backend",
    "optim",
    "nn",
    "notebook",
    "train",
    "inference",
    "custom_loop",
    "inspect",
    "portable",
    "fitting",
    "model",
]
HALVES = {"portable": "model", "fitting": "model"}  # the methods of DFN that stand elsewhere and use the rest of it
# caller, callee: a session hands the model to callbacks, which may look at it; and it asks what the model is after them
DOORS = {("train.session", "model.config")}
# the modules below training that call functions which they are handed, or constructors: they know no more of these
HANDED = {"backend.ops", "backend._recorder", "core.fields", "core.keywords", "core.registry", "core.tree"}
# what the loop is handed and calls: a session that listens
LISTENER = {"by_batch", "next_batch", "wants_epoch", "keep", "on_batch", "on_epoch"}


def module_of(frame):
    """The dotted name of a frame's module within the package; None elsewhere."""
    file = frame.f_code.co_filename
    return file.removeprefix(PACKAGE + "/").removesuffix(".py").replace("/", ".") if file.startswith(PACKAGE) else None


def profile(call):
    """(caller's module, callee's module, callee) of every call between modules of the package."""
    edges = set()

    def see(frame, event, _):
        if event == "call" and frame.f_back is not None:
            caller, callee = module_of(frame.f_back), module_of(frame)
            if caller and callee and caller != callee:
                edges.add((caller, callee, frame.f_code.co_name))

    sys.setprofile(see)
    try:
        call()
    finally:
        sys.setprofile(None)
    return edges


class Look(Callback):
    def on_batch_end(self, model, batch, n_batches, loss):
        loss()

    def on_epoch_end(self, model, values):
        assert model.layers["FC1"].params


@pytest.fixture
def data(rng):
    return rng.normal(size=(100, 5)).astype("f4"), rng.integers(0, 3, 100)


def network():
    layers = [FullyConnected(8, "relu", "he_normal", regularizer="l2", constraint="max_norm(2)"), Dropout(0.3)]
    return DFN(layers=[*layers, FullyConnected(3, "affine", "he_normal")], optimizer="adam", ema=0.9, seed=0)


def floor(module):
    first = module.split(".")[0]
    return FLOORS.index(HALVES.get(first, first))


@pytest.mark.parametrize("callbacks", [[], [Look()], ["early_stopping('loss')", "learning_rate_log"]])
def test_calls_go_up_through_named_doors_alone(data, callbacks):
    X, y = data
    more = {"callbacks": callbacks, "validation_data": (X, y), "metrics": "accuracy", "verbose": None}
    edges = profile(lambda: network().fit(X, y, 3, 8, **more))
    upwards = {
        (caller, f"{callee}.{name}")
        for caller, callee, name in edges
        if floor(callee) > floor(caller) and not name.startswith("<")
    }
    by_callbacks = {edge for edge in upwards if edge[0].startswith("train.callbacks")}
    assert {caller for caller, _ in upwards - by_callbacks - DOORS} <= HANDED
    assert all(callee.startswith(("model.", "portable.")) for _, callee in by_callbacks)
    assert {("model", "train.loop"), ("train.loop", "train.step")} <= {edge[:2] for edge in edges}


def test_the_loop_knows_its_listener_and_no_library(data):
    """All that the loop calls of what is above it are the methods of a listener."""
    edges = profile(lambda: network().fit(*data, 3, 8, verbose=None, callbacks=[Look()]))
    assert {name for caller, callee, name in edges if (caller, callee) == ("train.loop", "train.session")} <= LISTENER
    source = Path(loop.__file__).read_text()
    assert not [name for name in ("numpy.ndarray", "jax", "cupy", "torch", "record", "scan") if f"{name}" in source]


def test_the_rows_go_down_once(data):
    """Above the loop nobody sees a batch, below it nobody sees all rows."""
    X, y = data
    seen = {}

    def see(frame, event, _):
        module = event == "call" and module_of(frame)
        if module and module.split(".")[0] in ("train", "nn", "optim"):
            for value in frame.f_locals.values():
                if isinstance(value, np.ndarray) and value.ndim == 2 and value.shape[1] == 5:
                    seen.setdefault(module, set()).add(len(value))

    sys.setprofile(see)
    try:
        network().fit(X, y, 2, 8, verbose=None)
    finally:
        sys.setprofile(None)
    batches = {8, 4}
    assert seen["train.plan"] <= {100, 5}  # W has as many columns as X has rows of features
    assert seen["nn.layers.dense"] - {5} <= batches
    assert not seen.get("train.step", set()) - batches - {5}


def test_fit_reads_as_validate_plan_run_report():
    source = Path(model.__file__).read_text()
    body = source[source.index("    def fit(") : source.index("    def initialize(")]
    steps = [body.index(word) for word in ("check_options(", "_planned(", "train(", "_report(")]
    assert steps == sorted(steps)
