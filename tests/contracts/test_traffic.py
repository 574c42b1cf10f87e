"""What crosses between host and device, and in what precision. Counted on array-api-strict's device1, from which
nothing can be read in silence.
"""

import collections
import re
import tracemalloc
import types

import numpy as np
import pytest
from parts import everything
from steps import steps_of

from xdfn import DFN, Dropout, FullyConnected

strict = pytest.importorskip("array_api_strict")
Array = type(strict.zeros(1))


@pytest.fixture
def reads(monkeypatch):
    """A counter of the ways in which a value can leave the device."""
    counter = collections.Counter()
    for name in ("__float__", "__int__", "__bool__", "__index__", "__complex__", "__array__", "__dlpack__", "__iter__"):
        original = getattr(Array, name)

        def counted(self, *args, _name=name, _original=original, **more):
            counter[_name] += 1
            return _original(self, *args, **more)

        monkeypatch.setattr(Array, name, counted)
    return counter


def on_device(values, dtype):
    return strict.asarray(np.asarray(values, dtype), device=strict.Device("device1"))


def networks():
    dropout = [FullyConnected(16, "relu", "he_uniform"), Dropout(0.2), FullyConnected(10, "affine", "glorot_uniform")]
    regression = [FullyConnected(16, "tanh", "he_uniform"), FullyConnected(10, "affine", "glorot_uniform")]
    return {
        "notebook": lambda: DFN(20, 10, seed=0),
        "dropout + adam": lambda: DFN(layers=dropout, optimizer="adam", seed=0),
        "all kinds of layers": lambda: everything(),
        "regression": lambda: DFN(layers=regression, loss="squared_error", optimizer="rmsprop", seed=0),
        "mean and spread": lambda: DFN(layers=[16, 20], loss="gaussian", optimizer="adam", seed=0),
        "quantiles": lambda: DFN(layers=[16, 20], loss="quantile([0.1, 0.9])", optimizer="adam", seed=0),
    }


@pytest.mark.parametrize("name", networks())
def test_an_epoch_reads_the_device_once_and_a_fit_once_more(reads, rng, name):
    X, y = on_device(rng.normal(size=(100, 8)), "float32"), on_device(np.eye(10)[rng.integers(0, 10, 100)], "float32")
    model = networks()[name]()
    model.fit(X, y, 1, 8, verbose=None)
    assert sum(reads.values()) == 2  # the check of the input, and the loss
    reads.clear()
    model.fit(X, y, 5, 8, verbose=None)
    assert sum(reads.values()) == 1 + 5
    reads.clear()
    model.predict(X)
    assert sum(reads.values()) == 0
    model.evaluate(X, y, batch_size=10)
    assert sum(reads.values()) == 2  # the check of the input, and the result


def test_validation_metrics_and_callbacks_cross_in_the_same_read(reads, rng):
    X, y = on_device(rng.normal(size=(100, 8)), "float32"), on_device(np.eye(10)[rng.integers(0, 10, 100)], "float32")
    model = everything()
    more = {"metrics": ["accuracy", "f1", "top_k(3)"], "callbacks": ["early_stopping", "learning_rate_log"]}
    model.fit(X, y, 1, 8, verbose=None, validation_data=(X, y), **more)
    assert sum(reads.values()) == 3  # the checks of two inputs, and the epoch
    reads.clear()
    model.fit(X, y, 5, 8, verbose=None, validation_data=(X, y), **more)
    assert sum(reads.values()) == 2 + 5
    reads.clear()
    weight = on_device(rng.random(100), "float32")
    model.fit(X, y, 5, 8, None, validation_fraction=0.2, sample_weight=weight, class_weight="balanced", **more)
    assert sum(reads.values()) == 3 + 5  # the check of the input, the labels, the weights
    reads.clear()
    model.predict(X, samples=3)
    assert sum(reads.values()) == 0


@pytest.mark.parametrize("name", networks())
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_float32_stays_float32(monkeypatch, rng, name, dtype):
    seen = set()
    new = Array._new.__func__

    def recorded(cls, *args, **more):
        result = new(cls, *args, **more)
        seen.add(str(result.dtype).removeprefix("array_api_strict."))
        return result

    X, y = on_device(rng.integers(0, 9, (100, 8)), dtype), on_device(np.eye(10)[rng.integers(0, 10, 100)], "float32")
    monkeypatch.setattr(Array, "_new", classmethod(recorded))
    model = networks()[name]().fit(X, y, 2, 8, verbose=None)
    model.predict(X)
    model.evaluate(X, y)
    assert "float32" in seen
    assert not {"float64", "complex128"} & seen


def test_an_epoch_makes_no_copy_of_the_data(rng):
    X = rng.random((20_000, 400), dtype=np.float32)
    y = rng.integers(0, 10, 20_000)
    model = DFN(20, 10, seed=0).fit(X[:64], y[:64], 1, 64, verbose=None)
    for data in (X, (X * 255).astype(np.uint8)):
        tracemalloc.start()
        model.fit(data, y, 2, 64, verbose=None)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 6e6  # the check's pieces, the order, batches; the data are 32 MB, or 8 MB


OPERATORS = re.findall(
    r"\w+",
    "add radd iadd sub rsub isub mul rmul imul truediv rtruediv itruediv matmul rmatmul pow rpow neg abs "
    "lt le gt ge eq ne and rand iand or ror ior xor rxor ixor rshift irshift lshift ilshift invert",
)
FREE = {"reshape", "isdtype", "finfo", "iinfo", "asarray"}  # a view, or nothing for the device at all


@pytest.fixture
def calls(monkeypatch):
    """The operations asked of the library, by name; slices, reshapes and transposes cost nothing on a device."""
    made, depth = [], [0]

    def counting(name, function):
        def counted(*args, **more):
            if not depth[0]:
                made.append(name)
            depth[0] += 1
            try:
                return function(*args, **more)
            finally:
                depth[0] -= 1

        return counted

    for name in OPERATORS:
        monkeypatch.setattr(Array, f"__{name}__", counting(name, getattr(Array, f"__{name}__")))
    namespace = types.ModuleType("array_api_strict")
    for name, value in vars(strict).items():
        is_function = isinstance(value, types.FunctionType) and name not in FREE
        setattr(namespace, name, counting(name, value) if is_function else value)
    from xdfn.backend.place import _NAMESPACES

    monkeypatch.setitem(_NAMESPACES, Array, namespace)
    return made


# the notebook's network on one-hot rows, in plain namespace code, the two takes of the batch included
@pytest.mark.parametrize(("optimizer", "budget"), [("sgd", 34), ("adam", 46)])
def test_a_step_makes_few_calls(calls, rng, optimizer, budget):
    X, y = on_device(rng.normal(size=(8, 20)), "float32"), on_device(np.eye(10)[rng.integers(0, 10, 8)], "float32")
    model = DFN(20, 10, optimizer=optimizer, seed=0).initialize(X)
    run = steps_of(model, X, y, on_device(np.arange(8), "int32"), 8)
    calls.clear()
    run()
    assert len(calls) <= budget, calls
