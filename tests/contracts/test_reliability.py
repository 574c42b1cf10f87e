"""What hostile use broke once: strings that take for ever, numbers that overflow, tensors that are none."""

import math
import threading
import time

import numpy as np
import pytest

from xdfn import DFN, BatchNorm, FullyConnected, Residual
from xdfn.core.registry import parse

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 4)).astype("f4"), np.arange(40) % 2


def seconds(spec):
    best = math.inf
    for _ in range(5):
        start = time.perf_counter()
        with pytest.raises(ValueError, match="expected a name"):
            parse(spec)
        best = min(best, time.perf_counter() - start)
    return best


@pytest.mark.parametrize("spec", ["a{}!", "{}a!", "a{}(", "a_{}-!", "({}"])
def test_a_string_is_parsed_in_time_that_grows_with_its_length(spec):
    """16 times the length: 16 times as long, and not 16^3 times."""
    assert seconds(spec.format(" " * 9600)) < 100 * max(seconds(spec.format(" " * 600)), 2e-6)


@pytest.mark.parametrize("number", [10**400, -(10**400)])
def test_integers_that_no_float_holds(number):
    for given in ({"clip_norm": number}, {"ema": number}):
        with pytest.raises(ValueError, match="must be a number in"):
            DFN(4, 2, **given)


def test_blocks_within_blocks_have_an_end():
    block = [FullyConnected(4)]
    for _ in range(6):
        block = [Residual(block)]
    with pytest.raises(ValueError, match="a block within blocks can be 6 deep"):
        Residual(block)
    model = DFN(layers=[4, *block, 2], seed=0).fit(X, Y, 1, 8, verbose=None)
    assert len(str(model.layers["Residual1"])) < 1000


@pytest.mark.filterwarnings("ignore:Sparse", "ignore:The PyTorch API of nested")
def test_tensors_that_are_no_arrays():
    torch = pytest.importorskip("torch")
    model = DFN(layers=[4, 2], seed=0).fit(torch.asarray(X), torch.asarray(Y), 1, 8, verbose=None)
    for tensor, said in (
        (torch.eye(4).to_sparse(), "is a sparse tensor"),
        (torch.eye(4).to_sparse_csr(), "is a sparse tensor"),
        (torch.nested.nested_tensor([torch.ones(3), torch.ones(2)]), "is a nested tensor"),
    ):
        with pytest.raises(ValueError, match=said):
            model.fit(tensor, torch.asarray(Y[:4]))
        with pytest.raises(ValueError, match=said):
            model.predict(tensor)
        with pytest.raises(ValueError, match=said):
            model.evaluate(tensor, torch.asarray(Y[:4]))


def large_row(backend):
    Z = X.copy()
    Z[3] = 1e22
    return backend.array(Z), backend.array(Y)


def test_statistics_that_overflow_are_told(backend):
    """The parameters stay finite, and the network would never learn again."""
    layers = [BatchNorm(), FullyConnected(2, "affine", "he_normal")]
    model = DFN(layers=layers, optimizer="adam", seed=0)
    with pytest.raises(FloatingPointError, match=r"var of a layer is.* not finite"):
        model.fit(*large_row(backend), 3, 40, verbose=None)
    assert model.history["loss"] == []


def test_the_memory_of_an_optimizer_that_overflows_is_told(backend):
    model = DFN(layers=[FullyConnected(2, "affine", "zeros")], optimizer="adam", seed=0)
    with pytest.raises(FloatingPointError, match="the memory of an optimizer is not finite"):
        model.fit(*large_row(backend), 3, 40, verbose=None)


def test_large_numbers_whose_sum_overflows_are_no_error(backend):
    """Adam's memory of gradients of 5e18 is 2.5e34 each, and the sum of 40,000 is beyond float32."""
    Z = np.full((40, 20_000), 1e19, "f4")
    model = DFN(layers=[FullyConnected(2, "affine", "zeros")], optimizer="adam(1e-30)", seed=0)
    model.fit(backend.array(Z), backend.array(0 * Y), 2, 40, verbose=None)
    v = backend.numpy(model._memory.slots["FC1"]["W"]["v"])
    with np.errstate(over="ignore"):
        assert math.isinf(v.sum(dtype="f4"))
    assert np.isfinite(v).all()


@pytest.mark.parametrize("given", [{"sample_weight": np.full(40, 1e308)}, {"class_weight": {0: 1e308, 1: 1e308}}])
def test_weights_that_overflow_are_refused(given):
    model = DFN(layers=[4, 2], seed=0)
    with pytest.raises(ValueError, match="sample_weight and class_weight overflow"):
        model.fit(X, Y, 1, 8, verbose=None, **given)
    assert model.history["loss"] == []


def test_numbers_beyond_float32_are_told(backend):
    model = DFN(layers=[4, 2], seed=0).fit(backend.array(X), backend.array(Y), 1, 8, verbose=None)
    Z = X.astype("f8")
    Z[3, 1] = 1e39
    with pytest.raises(ValueError, match="X in float32 is infinite"):
        model.fit(backend.array(Z), backend.array(Y), 1, 8, verbose=None)
    with pytest.raises(ValueError, match="validation_data: X in float32 is infinite"):
        model.fit(
            backend.array(X.astype("f8")), backend.array(Y), 1, 8, None,
            validation_data=(backend.array(Z), backend.array(Y)),
        )  # fmt: skip
    assert len(model.history["loss"]) == 1


def fit_at_once(model, barrier, errors):
    barrier.wait()
    try:
        model.fit(X, Y, 30, 8, verbose=None)
    except ValueError as error:
        errors.append(str(error))


def test_of_two_fits_of_one_model_one_is_refused():
    for _ in range(20):
        model, barrier, errors = DFN(layers=[8, 2], optimizer="adam", seed=0), threading.Barrier(2), []
        threads = [threading.Thread(target=fit_at_once, args=(model, barrier, errors)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(model.history["loss"]) == 30 * (2 - len(errors)) == model._memory.epoch
        assert all("another fit of the same model goes on" in error for error in errors)
