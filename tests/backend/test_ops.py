"""The short ways of the backend against the plain expressions that they stand for."""

import numpy as np
import pytest

from xdfn import Tanh
from xdfn import backend as door
from xdfn.backend.ops import counted


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


def test_gradients_as_arrays_and_as_pairs(backend, rng):
    """(A, B) stands for A B, wherever a gradient goes."""
    a, b, c = (rng.normal(size=shape) for shape in ((4, 3), (3, 2), (1, 2)))
    pair, array = (backend.array(a), backend.array(b)), backend.array(c)
    np.testing.assert_allclose(backend.numpy(door.product(pair)), a @ b, rtol=1e-12)
    assert door.product(array) is array
    vector = backend.numpy(door.concatenate([pair, array]))
    np.testing.assert_allclose(vector, [*(a @ b).ravel(), *c.ravel()], rtol=1e-12)
    if door.traits(array).writes:
        out = door.fresh_copy(backend.array(np.zeros((4, 2))))
        door.write(pair, out)
        np.testing.assert_allclose(backend.numpy(out), a @ b, rtol=1e-12)
        door.write(out, into := door.fresh_copy(out * 0))
        assert (backend.numpy(into) == backend.numpy(out)).all()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n_rows", [3, 200])  # fewer than values, and more
def test_gradients_that_are_sums_of_rows(backend, rng, n_rows, dtype):
    rows, values = rng.integers(0, 3, 20), rng.normal(size=(20, 4)).astype(dtype)
    expected = np.zeros((n_rows, 4))
    for row, value in zip(rows, values, strict=True):
        expected[row] += value
    sums = door.RowSums(backend.array(rows, "int32"), backend.array(values), n_rows)
    tolerance = {"f4": {"rtol": 1e-5, "atol": 1e-5}, "f8": {"rtol": 1e-12, "atol": 1e-12}}[dtype]
    assert sums.shape == (n_rows, 4)
    dense = door.product(sums)
    assert dense.dtype == sums.values.dtype
    np.testing.assert_allclose(backend.numpy(dense), expected, **tolerance)
    np.testing.assert_allclose(backend.numpy(door.concatenate([sums])), expected.ravel(), **tolerance)
    if door.traits(dense).writes:
        out = door.fresh_copy(backend.array(np.ones((n_rows, 4)), dtype))
        door.write(sums, out)
        np.testing.assert_allclose(backend.numpy(out), expected, **tolerance)
        door.subtract(0.5, sums, out)
        np.testing.assert_allclose(backend.numpy(out), 0.5 * expected, **tolerance)


def test_rows_are_added_on_a_gpu_of_pytorchs_too(monkeypatch, rng):
    """The call that is made there; on the CPU it gives the same."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr("xdfn.backend.ops.device_of", lambda x: torch.device("cuda"))
    rows, values, out = rng.integers(0, 3, 20), rng.normal(size=(20, 4)), torch.ones((5, 4), dtype=torch.float64)
    door.write(door.RowSums(torch.tensor(rows, dtype=torch.int32), torch.tensor(values), 5), out)
    np.testing.assert_allclose(out.numpy(), np.eye(5)[rows].T @ values, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_numbers_as_rows(backend, dtype):
    most = 2.0**24 - 1  # the last odd integer of float32
    x = [0.0, 2.0, 2.4, 1.6, most, -0.4, -0.6, -1.0, most + 1, np.nan, np.inf, -np.inf]
    rows, known = door.row_numbers(backend.array(x, dtype), most + 1)
    assert backend.numpy(rows).tolist() == [0, 2, 2, 2, most, 0, 0, 0, 0, 0, 0, 0]
    assert backend.numpy(rows).dtype == np.int32
    assert backend.numpy(known).tolist() == [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert backend.numpy(known).dtype == dtype
    unit = door.unit_rows(backend.array([2, 0, 2], "int32"), 3, backend.array([0.0], dtype))
    assert backend.numpy(unit).tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1]]
    assert backend.numpy(unit).dtype == dtype


@pytest.mark.parametrize("n", [5, 2**14])  # the second is long enough for BLAS
def test_a_sum_of_two_multiples(backend, rng, n):
    x, y = rng.normal(size=(2, n))
    there = door.fresh_copy(backend.array(y))
    result = door.axpby(0.25, backend.array(x), -3.0, there)
    np.testing.assert_allclose(backend.numpy(result), 0.25 * x - 3 * y, rtol=1e-12, atol=1e-12)
    if door.traits(there).writes:
        assert result is there
    one = door.axpby(0.25, backend.array(x), 1.0, door.fresh_copy(backend.array(y)))
    np.testing.assert_allclose(backend.numpy(one), 0.25 * x + y, rtol=1e-12, atol=1e-12)


def test_small_arrays_and_rows(backend, rng):
    x, y, rows = rng.normal(size=(6, 2)), rng.integers(0, 3, 6), np.asarray([4, 0, 4], "int32")
    X = backend.array(x)
    for made in (door.arange(5, X), counted(5, X)):
        assert backend.numpy(made).tolist() == [0, 1, 2, 3, 4]
        assert backend.numpy(made).dtype == np.int32
        assert door.place(made) == door.place(X)
    assert backend.numpy(door.ones_row(X)).tolist() == [[1.0] * 6]
    assert backend.numpy(door.sign(X)).tolist() == np.sign(x).tolist()
    assert (backend.numpy(door.take(X, backend.array(rows))) == x[rows]).all()
    batch = door.take_rows(X, backend.array(y), backend.array(rows))
    assert (backend.numpy(batch[0]) == x[rows]).all()
    assert (backend.numpy(batch[1]) == y[rows]).all()


def test_a_sigmoid_without_overflow(backend):
    z = np.asarray([[-1e4, -88.8, -1.0, 0.0, 1.0, 1e4]])
    with np.errstate(all="raise", under="ignore"):
        a = backend.call(door.sigmoid, backend.array(z, "float32"))
    np.testing.assert_allclose(backend.numpy(a), 1 / (1 + np.exp(-z, dtype="longdouble")), rtol=1e-6, atol=1e-37)


def test_sums_and_quotients_may_stand_in_the_place_of_an_operand(backend, rng):
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(1, 3))
    for ours, expected in ((door.add, x + y), (door.divide, x / y)):
        given = door.fresh_copy(backend.array(x))
        result = ours(given, backend.array(y))
        np.testing.assert_allclose(backend.numpy(result), expected, rtol=1e-12)
        if door.traits(given).tapes:  # what such a library has seen must stay
            assert (backend.numpy(given) == x).all()
        elif door.traits(given).writes:
            assert result is given


@pytest.mark.parametrize("whole", [False, True])
def test_new_values_element_by_element(backend, rng, whole):
    p, g = rng.normal(size=(2, 7))

    def function(p, g, lr):
        return (p - lr * g,)

    given = door.fresh_copy(backend.array(p))
    result, *_ = door.elementwise(("of the test",), function, given, backend.array(g), numbers=(0.5,), whole=whole)
    np.testing.assert_allclose(backend.numpy(result), p - 0.5 * g, rtol=1e-12)
    assert (result is given) == door.traits(given).writes


def test_an_activation_after_a_bias(backend, rng):
    z, b, da = rng.normal(size=(4, 3)), rng.normal(size=(1, 3)), rng.normal(size=(4, 3))
    g = Tanh()
    shifted, a = door.bias_activation(g, door.fresh_copy(backend.array(z)), backend.array(b))
    np.testing.assert_allclose(backend.numpy(shifted), z + b, rtol=1e-12)
    np.testing.assert_allclose(backend.numpy(a), np.tanh(z + b), rtol=1e-12)
    dz = door.activation_pullback(g, shifted, a, backend.array(da))
    np.testing.assert_allclose(backend.numpy(dz), (1 - np.tanh(z + b) ** 2) * da, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constants_are_made_once_for_a_dtype(backend, dtype):
    like = backend.array(np.zeros((2, 3)), dtype)
    made = door.constants((0.1, 0.5, 0.9), like)
    assert (made.dtype, door.place(made)) == (like.dtype, door.place(like))
    assert (backend.numpy(made) == np.asarray([0.1, 0.5, 0.9], dtype)).all()
    assert (backend.numpy(door.constants((0.2,), like)) == np.asarray([0.2], dtype)).all()
    assert (door.constants((0.1, 0.5, 0.9), like) is made) != door.traits(like).compiles
