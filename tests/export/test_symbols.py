"""What a traced function is, and what cannot be traced."""

import numpy as np
import pytest
from parts import ACTIVATIONS

from xdfn.backend import namespace
from xdfn.export.symbols import FUNCTIONS, Symbol, UntracedError, trace, uses
from xdfn.nn.activations import activations


def evaluate(symbol, z):
    """The value of a symbol at z, by NumPy."""
    if not isinstance(symbol, Symbol):
        return symbol
    if not symbol.function:
        return z
    given = [evaluate(x, z) for x in symbol.arguments]
    return given[0].astype(symbol.dtype) if symbol.function == "astype" else FUNCTIONS[symbol.function](*given)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spec", ACTIVATIONS)
def test_a_symbol_is_what_the_activation_computes(spec, dtype):
    g = activations.resolve(spec)
    z = np.linspace(-30, 30, 201, dtype=dtype)[None]
    with np.errstate(over="ignore"):
        found = evaluate(trace(g.forward, dtype), z)
        np.testing.assert_allclose(found, g.forward(z), rtol=4 * np.finfo(dtype).eps)
    assert found.dtype == dtype


def test_the_largest_exponent_is_that_of_the_dtype():
    exponential = activations.resolve("exponential")
    limits = [trace(exponential.forward, dtype).arguments[0].arguments[1] for dtype in ("float32", "float64")]
    assert limits == [88.0, 709.0]


def test_what_has_no_symbol_in_it_is_computed():
    row = np.asarray([[4.0, 9.0]])
    symbol = trace(lambda z: z * namespace(z).sqrt(row), "float64")
    assert symbol.function == "multiply"
    assert symbol.arguments[1].tolist() == [[2.0, 3.0]]


def test_numbers_of_numpy_are_numbers():
    symbol = trace(lambda z: np.float64(2.0) * z + np.asarray(1.0), "float32")
    assert evaluate(symbol, np.ones((1, 1), "float32")).dtype == "float32"


def test_how_often_a_symbol_is_used():
    def function(z):
        e = namespace(z).exp(z)
        return e / (1.0 + e)

    symbol = trace(function, "float64")
    assert uses(symbol)[id(symbol.arguments[0])] == 2


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda z: z if z > 0 else -z, "decides by a value"),
        (lambda z: z / namespace(z).sum(z, axis=-1, keepdims=True), "calls sum"),
        (lambda z: z[:, ::-1], "no elementwise function"),
        (lambda z: z @ np.eye(2), "no elementwise function"),
        (lambda z: z.tolist(), "no elementwise function"),
        (lambda z: np.exp(z), "no elementwise function"),
        (lambda z: z * np.eye(2), "computes with ndarray"),
        (lambda z: z > 0, "in place of numbers"),
        (lambda z: 1.0, "gives float"),
        (lambda z: namespace(z).where(z > 0, 1.0, 0.0), "calls where of float, float"),
        (lambda z: namespace(z).where(z, z, 0.0), "a condition that is none"),
        (lambda z: (z > 0) * z, "calls multiply of bool, float64"),
        (lambda z: z & z, "calls logical_and of float64"),
        (lambda z: namespace(z).astype(z, np.float32), "makes .*float32.* of float64"),
        (lambda z: sum(z), "no elementwise function"),
    ],
)
def test_what_is_no_elementwise_function_is_refused(function, message):
    with pytest.raises(UntracedError, match=message):
        trace(function, "float64")
