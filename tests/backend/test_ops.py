"""The short ways of the seam against the plain expressions that they stand for."""

import numpy as np
import pytest

from xdfn import Adam, OptimizerBase
from xdfn import backend as door
from xdfn.backend import _blas, _numpy
from xdfn.optim.base import optimizers
from xdfn.train.update import apply_rule


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(
    "shapes", [((64, 784), (64, 200)), ((5, 3), (5, 2)), ((64, 1), (64, 2000)), ((3, 300), (3, 400))]
)
def test_subtracting_a_product(backend, rng, dtype, shapes):
    x, dz = (backend.array(rng.normal(size=shape), dtype) for shape in shapes)
    out = backend.array(rng.normal(size=(shapes[0][1], shapes[1][1])), dtype)
    out = door.fresh_copy(out)
    expected = backend.numpy(out).astype("f8") - backend.numpy(x).astype("f8").T @ backend.numpy(dz).astype("f8")
    if not door.traits(out).writes:
        pytest.skip("only where the library writes in place")
    door.subtract(1.0, (x.mT, dz), out)
    tolerance = {"f4": 1e-4, "f8": 1e-12}[dtype]  # products of up to 64 terms of size 1, in that precision
    np.testing.assert_allclose(backend.numpy(out), expected, rtol=tolerance, atol=tolerance)


def test_the_blas_of_numpy_is_found_or_refused(rng, monkeypatch):
    a, b, out = (rng.normal(size=shape) for shape in ((90, 40), (40, 50), (90, 50)))
    found = _blas.routine("gemm", "d") is not None
    for x, y in ((a, b), (a.T.copy().T, b), (a, b.T.copy().T)):
        result = out.copy()
        assert _blas.add_product(result, x, y, -2.0) == found
        if found:
            np.testing.assert_allclose(result, out - 2 * (a @ b), rtol=1e-12, atol=1e-12)
    x, y = rng.normal(size=(2, 20_000))
    expected = 0.5 * x - 3 * y
    assert _blas.add_scaled(0.5, x, -3.0, y) == (_blas.routine("axpby", "d") is not None)
    if _blas.routine("axpby", "d"):
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    assert not _blas.add_scaled(1.0, x[::2], 1.0, y[::2])
    assert not _blas.add_scaled(1.0, x.astype("f4"), 1.0, y)
    before = out.copy()
    for x, y in ((a[:, ::2], b[::2]), (a.astype("f4"), b.astype("f4")), (a.astype("i4"), b)):  # not for BLAS
        assert not _blas.add_product(out, x, y, -1.0)
    monkeypatch.setattr(_blas, "_NAMES", ("nowhere_{}",))
    assert _blas.routine.__wrapped__("gemm", "d") is None
    assert _blas.routine.__wrapped__("axpby", "d") is None
    assert np.array_equal(out, before)


def test_numpys_short_ways_are_numpys(rng):
    x = rng.normal(size=(5, 7)).astype("f4")
    rows = np.asarray([3, 0, 3], "i4")
    for name, args, kwargs in [
        ("sum", (x,), {}),
        ("sum", (x,), {"axis": -1, "keepdims": True}),
        ("sum", (x > 0,), {"axis": 0}),
        ("max", (x,), {"axis": -2, "keepdims": True}),
        ("max", (x,), {}),
        ("take", (x, rows), {"axis": 0}),
        ("reshape", (x, (7, -1)), {}),
        ("astype", (x, np.float64), {}),
        ("exp", (x,), {}),
    ]:
        ours, theirs = getattr(_numpy, name)(*args, **kwargs), getattr(np, name)(*args, **kwargs)
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)
    assert _numpy.astype(x, np.float32, copy=False) is x
    assert _numpy.linalg is np.linalg
    with pytest.raises(AttributeError):
        _numpy.nonsense  # noqa: B018


@pytest.mark.parametrize("spec", [str(cls(lr=0.01)) for cls in optimizers.classes])
def test_an_optimizer_in_numpy_is_the_whole(spec, rng, monkeypatch):
    rule = optimizers.resolve(spec)
    p, g = (rng.normal(size=1000).astype("f4") for _ in range(2))
    whole, slots = rule.apply(p.copy(), g.copy(), rule.init_slots(p), rule.rates(1))
    monkeypatch.setattr(_numpy, "IN_CACHE", 64)
    q, memory = p.copy(), rule.init_slots(p)
    moved, after = apply_rule(rule, q, g.copy(), memory, rule.rates(1), None)
    assert moved is q
    assert all(a is b for a, b in zip(after, memory, strict=True))
    assert np.array_equal(moved, whole)
    assert all(np.array_equal(a, b) for a, b in zip(after, slots, strict=True))


def test_an_optimizer_that_makes_new_arrays_and_keeps_the_gradient(backend, rng):
    class Delayed(OptimizerBase):
        slots = ("g",)

        def __init__(self, lr=0.1):
            self.lr = lr

        def apply(self, p, g, slots, rates):
            return p - rates[0] * slots[0], (g,)

    p, g = backend.array(np.ones(5), "f4"), door.fresh_copy(backend.array(np.full(5, 2.0), "f4"))
    rule = Delayed()
    q, slots = apply_rule(rule, door.fresh_copy(p), g, rule.init_slots(p), (0.1,), None)
    assert backend.numpy(q).tolist() == [1.0] * 5
    if door.traits(g).writes:
        g *= 7  # the next step's gradient
    q, slots = apply_rule(rule, q, g, slots, (0.1,), None)
    np.testing.assert_allclose(backend.numpy(q), 0.8, rtol=1e-6)


def test_own_rules_get_the_whole_vector(rng, monkeypatch):
    class Normed(OptimizerBase):
        def __init__(self, lr=0.1):
            self.lr = lr

        def apply(self, p, g, slots, rates):
            return p - rates[0] * g / np.sqrt((g * g).sum()), slots

    monkeypatch.setattr(_numpy, "IN_CACHE", 4)
    p, g = np.zeros(10), np.ones(10)
    np.testing.assert_allclose(apply_rule(Normed(), p, g, (), (0.1,), None)[0], -0.1 / np.sqrt(10))
    assert Adam().elementwise
