"""What a step of training asks of an NVIDIA GPU, counted. Runs where CuPy finds one; the counts need `hostcuda`, which
stands in for the driver (XDFN_CUPY_RUNNER, see ci/test --cupy).
"""

import numpy as np
import pytest
from parts import ACTIVATIONS, everything
from steps import steps_of

from xdfn import DFN, CrossEntropy, Dropout, FullyConnected, OptimizerBase
from xdfn.backend import _cupy, activation_pullback, bias_activation, take_rows
from xdfn.nn.activations import activations
from xdfn.optim.base import optimizers
from xdfn.train.update import apply_rule

cupy = pytest.importorskip("cupy", reason="cupy is not installed")
if not cupy.cuda.is_available():
    pytest.skip("CuPy finds no GPU", allow_module_level=True)


def network(name):
    dropout = [FullyConnected(16, "relu", "he_uniform"), Dropout(0.2), FullyConnected(10, "affine", "glorot_uniform")]
    regression = [FullyConnected(16, "tanh", "he_uniform"), FullyConnected(10, "affine", "glorot_uniform")]
    return {
        "notebook, sgd": lambda: DFN(20, 10, seed=0),
        "notebook, adam": lambda: DFN(20, 10, optimizer="adam", seed=0),
        "dropout, adam": lambda: DFN(layers=dropout, optimizer="adam", seed=0),
        "regression, rmsprop": lambda: DFN(layers=regression, loss="squared_error", optimizer="rmsprop", seed=0),
        "mean and spread, adam": lambda: DFN(layers=[16, 20], loss="gaussian", optimizer="adam", seed=0),
        "all kinds of layers": everything,
    }[name]()


@pytest.fixture
def data(rng):
    return cupy.asarray(rng.normal(size=(96, 8)), "float32"), cupy.asarray(np.eye(10, dtype="f4")[np.arange(96) % 10])


def steps(model, X, y, n):
    """n steps of 8 rows, as `fit` runs them, once the arrays that they share have been made."""
    return steps_of(model, X, y, cupy.arange(8 * n, dtype=cupy.int32), 8)


# launches and matrix products of a step, the two takes of its batch included; in plain namespace code they would be
# 34, 45, 61 and 34 (tests/contracts/test_traffic.py counts that)
BUDGETS = {"notebook, sgd": 14, "notebook, adam": 15, "dropout, adam": 22, "regression, rmsprop": 19}
BUDGETS["mean and spread, adam"] = 18
BUDGETS["all kinds of layers"] = 173  # nine layers, each written without a thought of launches


@pytest.mark.parametrize("name", BUDGETS)
def test_a_step_stays_on_the_device(data, name):
    hostcuda = pytest.importorskip("hostcuda", reason="counting needs hostcuda")
    run = steps(network(name), *data, 5)
    with hostcuda.forbid("d2h", "h2d", "sync", "malloc"), hostcuda.trace() as trace:
        run()
    per_step = (trace.counts["launch"] + trace.counts["gemm"]) / 5
    assert per_step <= BUDGETS[name], trace.kernels
    assert not [kernel for kernel in trace.kernels if "float64" in kernel or "double" in kernel]


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
@pytest.mark.parametrize("name", ["notebook, sgd", "notebook, adam", "dropout, adam"])
def test_class_numbers_cost_no_launch_more_than_one_hot_rows(data, name, dtype):
    hostcuda = pytest.importorskip("hostcuda", reason="counting needs hostcuda")
    X, y = data
    one_hot, labels = network(name), network(name)
    one_hot.fit(X, y, 2, 8, verbose=None)
    labels.fit(X, y.argmax(axis=1).astype(dtype), 2, 8, verbose=None)
    assert labels.history == one_hot.history
    run = steps(labels, X, y.argmax(axis=1).astype(dtype), 5)
    with hostcuda.trace() as trace:
        run()
    assert (trace.counts["launch"] + trace.counts["gemm"]) / 5 <= BUDGETS[name], trace.kernels


@pytest.mark.parametrize("name", BUDGETS)
def test_an_epoch_crosses_twice(data, name):
    hostcuda = pytest.importorskip("hostcuda", reason="counting needs hostcuda")
    X, y = data
    model = network(name).fit(X, y, 1, 8, verbose=None)
    counts = []
    for n_epochs in (2, 6):
        with hostcuda.trace() as trace:
            model.fit(X, y, n_epochs, 8, verbose=None, check_input=False)
        counts.append((trace.counts["h2d"], trace.counts["d2h"]))
    (up, down), (more_up, more_down) = counts
    assert (more_up - up, more_down - down) == (4, 4)  # the order in, one row of values out
    # at the start of a fit CuPy joins the many arrays of all kinds of layers by way of lists of pointers
    assert (up, down) == (2, 2) or (name == "all kinds of layers" and up < 20)


def test_a_validation_crosses_with_the_epoch(data):
    """Loss, metrics and what callbacks want of an epoch are in the one row that it gives, and nothing more goes in."""
    hostcuda = pytest.importorskip("hostcuda", reason="counting needs hostcuda")
    X, y = data
    more = {"validation_data": (X, y), "metrics": ["accuracy", "f1"], "callbacks": ["early_stopping"], "verbose": None}
    model = everything().fit(X, y, 1, 8, **more)
    counts = []
    for n_epochs in (2, 6):
        with hostcuda.trace() as trace:
            model.fit(X, y, n_epochs, 8, **more)
        counts.append((trace.counts["h2d"], trace.counts["d2h"]))
    (up, down), (more_up, more_down) = counts
    assert (more_up - up, more_down - down) == (4, 4)


def test_a_fit_reads_once_to_check_its_input(data):
    hostcuda = pytest.importorskip("hostcuda", reason="counting needs hostcuda")
    model = network("notebook, sgd").fit(*data, 1, 8, verbose=None)
    with hostcuda.trace() as trace:
        model.fit(*data, 0, 8, verbose=None)
    assert trace.counts["d2h"] == 1


def test_training_keeps_no_memory(data):
    X, y = data
    model, pool = network("dropout, adam"), cupy.get_default_memory_pool()
    used = []
    for _ in range(4):
        model.fit(X, y, 2, 8, verbose=None)
        cupy.cuda.get_current_stream().synchronize()
        used.append(pool.used_bytes())
    assert used[1] == used[2] == used[3]


def test_data_larger_than_the_memory_are_streamed(rng):
    X, y = rng.normal(size=(40_000, 256)).astype("f4"), rng.integers(0, 10, 40_000)  # 41 MB
    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    before = pool.get_limit()
    pool.set_limit(size=pool.total_bytes() + 36 * 2**20)  # two uploads of 16 MB, and the network
    try:
        with pytest.raises(cupy.cuda.memory.OutOfMemoryError):
            cupy.asarray(X)
        model = network("notebook, adam").fit(X, y, 1, 1000, verbose=None, device="cupy")
    finally:
        pool.set_limit(size=before)
    assert len(model.history["loss"]) == 1


def test_numpy_and_cupy_train_alike(rng):
    X, y = rng.normal(size=(200, 8)), rng.integers(0, 10, 200)
    there, here = network("dropout, adam"), network("dropout, adam")
    there.fit(cupy.asarray(X), cupy.asarray(y), 3, 64, verbose=None)
    here.fit(X, y, 3, 64, verbose=None)
    np.testing.assert_allclose(there.history["loss"], here.history["loss"], rtol=1e-10)
    assert (cupy.asnumpy(there.predict(cupy.asarray(X))) == here.predict(X)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spec", ACTIVATIONS)
def test_a_fused_activation_is_the_plain_one(rng, spec, dtype):
    g = activations.resolve(spec)
    z, da = (cupy.asarray(rng.normal(size=(7, 5)) * 3, dtype) for _ in range(2))
    b = cupy.asarray(rng.normal(size=(1, 5)), dtype)
    for _ in range(2):  # traced, then as it was kept
        shifted, a = bias_activation(g, z.copy(), b)
        assert bool((shifted == z + b).all())
        assert a.dtype == da.dtype
        tolerance = {"float32": 1e-6, "float64": 1e-14}[dtype]  # a compiler may contract products and sums
        cupy.testing.assert_allclose(a, g.forward(z + b), rtol=tolerance, atol=tolerance)
        cupy.testing.assert_allclose(
            activation_pullback(g, shifted, a, da), g.pullback(shifted, a, da), rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize("spec", [str(cls(lr=0.01)) for cls in optimizers.classes])
def test_a_fused_optimizer_is_the_plain_one(rng, spec):
    rule = optimizers.resolve(spec)
    p, q = (cupy.asarray(np.arange(1.0, 51.0), "float32") for _ in range(2))
    ours, plain = rule.init_slots(p), rule.init_slots(q)
    for t in range(1, 8):
        g = cupy.asarray(rng.normal(size=50), "float32")
        rule.lr = 0.01 * t  # a number that changes makes no new kernel, and takes effect
        moved, ours = apply_rule(rule, p, g.copy(), ours, rule.rates(t), ("of the test", spec))
        q, plain = rule.apply(q, g.copy(), plain, rule.rates(t))
        assert moved is p
        for a, b in zip((p, *ours), (q, *plain), strict=True):
            assert a.dtype == cupy.float32
            cupy.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)  # float32, seven steps


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 2), (7, 10), (300, 128)])
def test_cross_entropy_by_kernel_is_the_plain_one(rng, monkeypatch, shape, dtype):
    z = cupy.asarray(rng.normal(size=shape) * 10, dtype)
    y = cupy.asarray(np.eye(shape[1])[rng.integers(0, shape[1], shape[0])] * 0.9 + 0.1 / shape[1], dtype)
    loss, dz = CrossEntropy().value_and_grad(y, z, 1 / shape[0])
    assert _cupy.cross_entropy(z, y, 1 / shape[0]) is not None
    monkeypatch.setattr(_cupy, "_LONGEST_ROW", 0)
    assert _cupy.cross_entropy(z, y, 1 / shape[0]) is None
    plain, dz_plain = CrossEntropy().value_and_grad(y, z, 1 / shape[0])
    tolerance = {"float32": 1e-5, "float64": 1e-13}[dtype]  # other orders of summation
    assert dz.dtype == z.dtype
    cupy.testing.assert_allclose(loss, plain, rtol=tolerance)
    cupy.testing.assert_allclose(dz, dz_plain, rtol=tolerance, atol=tolerance / shape[0])


def test_cross_entropy_by_kernel_is_finite_and_shows_nan():
    z = cupy.asarray([[1e4, -1e4, 0.0], [float("nan"), 0.0, 1.0]], "float32")
    values, dz = _cupy.cross_entropy(z, cupy.asarray([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]], "float32"), 1.0)
    assert float(values[0]) == 2e4
    assert bool(cupy.isfinite(dz[0]).all())
    assert bool(cupy.isnan(values[1]))


@pytest.mark.parametrize("x_dtype", ["float32", "float64", "uint8", "bool"])
@pytest.mark.parametrize("labels", [True, False])
def test_rows_by_kernel_are_the_rows(rng, x_dtype, labels):
    X = cupy.asarray(rng.integers(0, 2, (50, 7)), x_dtype)
    y = cupy.asarray(rng.integers(0, 9, 50)) if labels else cupy.asarray(rng.normal(size=(50, 3)), "float32")
    rows = cupy.asarray(rng.permutation(50)[:20], "int32")
    x_rows, y_rows = _cupy.take_rows(X, y, rows)
    assert x_rows.dtype == X.dtype
    assert y_rows.dtype == y.dtype
    assert bool((x_rows == X[rows]).all())
    assert bool((y_rows == y[rows]).all())
    assert _cupy.take_rows(X[:, ::2], y, rows) is None
    a, b = take_rows(X[:, ::2], y, rows)
    assert bool((a == X[:, ::2][rows]).all())
    assert bool((b == y[rows]).all())


def test_what_cannot_be_fused_just_runs(rng):
    class Odd(OptimizerBase):
        elementwise = True

        def __init__(self, lr=0.1):
            self.lr = lr

        def apply(self, p, g, slots, rates):
            p[...] = p - rates[0] * cupy.sort(g)  # which no tracer follows
            return p, slots

    p, g = cupy.zeros(3), cupy.asarray([3.0, 1.0, 2.0])
    moved, _ = apply_rule(Odd(), p, g, (), (0.1,), "odd")
    cupy.testing.assert_allclose(moved, [-0.1, -0.2, -0.3])


two_devices = pytest.mark.skipif(cupy.cuda.runtime.getDeviceCount() < 2, reason="needs two devices")


@two_devices
def test_arrays_of_two_devices_are_refused(rng):
    X, y = rng.normal(size=(40, 8)).astype("f4"), rng.integers(0, 10, 40)
    with cupy.cuda.Device(1):
        X1, y1 = cupy.asarray(X), cupy.asarray(y)
    X0, y0 = cupy.asarray(X), cupy.asarray(y)
    for x, t in ((X0, y1), (X1, y0)):
        with pytest.raises(ValueError, match="y is on cupy"):
            network("notebook, sgd").fit(x, t, 1, verbose=None)
    model = network("notebook, sgd").fit(X0, y0, 1, verbose=None)
    before = cupy.asnumpy(model.layers["FC1"].params["W"])
    for call in (lambda: model.fit(X1, y1, 1, verbose=None), lambda: model.predict(X1), lambda: model.evaluate(X1, y1)):
        with pytest.raises(ValueError, match=r"the input is on cupy .*model\.to"):
            call()
    assert (cupy.asnumpy(model.layers["FC1"].params["W"]) == before).all()


@two_devices
@pytest.mark.parametrize("current", [0, 1])
@pytest.mark.parametrize("name", ["notebook, sgd", "dropout, adam"])
def test_a_model_trains_where_its_arrays_are(rng, current, name):
    X, y = rng.normal(size=(40, 8)), rng.integers(0, 10, 40)
    with cupy.cuda.Device(1):
        X1, y1 = cupy.asarray(X), cupy.asarray(y)
    with cupy.cuda.Device(current):
        model = network(name).fit(X1, y1, 3, 8, verbose=None)
        assert model.predict(X1).device.id == 1
        assert model.evaluate(X1, y1) >= 0
    assert {p.device.id for layer in model.layers.values() for p in layer.params.values()} == {1}
    np.testing.assert_allclose(model.history["loss"], network(name).fit(X, y, 3, 8, verbose=None).history["loss"])
    moved = model.to("cupy:0")
    assert {p.device.id for layer in moved.layers.values() for p in layer.params.values()} == {0}
    moved.fit(cupy.asarray(X), cupy.asarray(y), 1, 8, verbose=None)
