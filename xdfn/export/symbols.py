"""What an activation computes, read off the activation itself: its `forward` is called with a symbol in the place of
the scores, and the symbol that comes back says which functions of which numbers it is.

A symbol speaks the array API as far as elementwise functions go. What is anything else, such as a sum over a row or an
`if` on a value, raises `UntracedError`.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np

from xdfn.backend import Array, Foreign

__all__: list[str] = []

# the elementwise functions that every format has a word for, by their names in the array API, with NumPy's
FUNCTIONS: dict[str, Callable[..., Foreign]] = {
    "abs": np.abs,
    "add": np.add,
    "cos": np.cos,
    "divide": np.divide,
    "equal": np.equal,
    "exp": np.exp,
    "expm1": np.expm1,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "log": np.log,
    "log1p": np.log1p,
    "logical_and": np.logical_and,
    "logical_not": np.logical_not,
    "logical_or": np.logical_or,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "multiply": np.multiply,
    "negative": np.negative,
    "not_equal": np.not_equal,
    "pow": np.power,
    "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "sin": np.sin,
    "sqrt": np.sqrt,
    "subtract": np.subtract,
    "tanh": np.tanh,
    "where": np.where,
}
_OF_BOOLS = {"logical_and", "logical_or", "logical_not"}
_TO_BOOLS = {"equal", "not_equal", "greater", "greater_equal", "less", "less_equal"} | _OF_BOOLS
_BOOL = np.dtype(bool)


class UntracedError(ValueError):
    """A function does more than elementwise functions of its argument."""


class Symbol:
    """A function of the scores: of other symbols, rows and numbers.

    Attributes
    ----------
    function : the name of the function, one of `FUNCTIONS`; "astype" for a bool as 1 or 0; empty for the scores
        themselves
    arguments : what it is a function of: symbols, numbers, and rows (1, m), a number for each feature
    dtype : of its values, that of the scores or bool
    """

    __array_ufunc__ = None  # NumPy's arrays leave to the symbol what they are combined with

    def __init__(self, function: str, arguments: "tuple[Foreign, ...]", dtype: "np.dtype[np.generic]") -> None:
        self.function, self.arguments, self.dtype = function, arguments, dtype

    def __array_namespace__(self, api_version: str | None = None) -> "_Namespace":
        return NAMESPACE

    def __bool__(self) -> bool:
        raise UntracedError("it decides by a value, as `if` and `while` do; xp.where makes both cases")

    def __add__(self, other: Foreign) -> Foreign:
        return call("add", self, other)

    def __radd__(self, other: Foreign) -> Foreign:
        return call("add", other, self)

    def __sub__(self, other: Foreign) -> Foreign:
        return call("subtract", self, other)

    def __rsub__(self, other: Foreign) -> Foreign:
        return call("subtract", other, self)

    def __mul__(self, other: Foreign) -> Foreign:
        return call("multiply", self, other)

    def __rmul__(self, other: Foreign) -> Foreign:
        return call("multiply", other, self)

    def __truediv__(self, other: Foreign) -> Foreign:
        return call("divide", self, other)

    def __rtruediv__(self, other: Foreign) -> Foreign:
        return call("divide", other, self)

    def __pow__(self, other: Foreign) -> Foreign:
        return call("pow", self, other)

    def __rpow__(self, other: Foreign) -> Foreign:
        return call("pow", other, self)

    def __neg__(self) -> Foreign:
        return call("negative", self)

    def __abs__(self) -> Foreign:
        return call("abs", self)

    def __invert__(self) -> Foreign:
        return call("logical_not", self)

    def __and__(self, other: Foreign) -> Foreign:
        return call("logical_and", self, other)

    def __or__(self, other: Foreign) -> Foreign:
        return call("logical_or", self, other)

    def __gt__(self, other: Foreign) -> Foreign:
        return call("greater", self, other)

    def __ge__(self, other: Foreign) -> Foreign:
        return call("greater_equal", self, other)

    def __lt__(self, other: Foreign) -> Foreign:
        return call("less", self, other)

    def __le__(self, other: Foreign) -> Foreign:
        return call("less_equal", self, other)

    def __eq__(self, other: object) -> Foreign:
        return call("equal", self, other)

    def __ne__(self, other: object) -> Foreign:
        return call("not_equal", self, other)

    __hash__ = object.__hash__


class _Namespace:
    """The array-API namespace of symbols."""

    __name__ = "xdfn.export"
    e, inf, nan, pi = math.e, math.inf, math.nan, math.pi
    finfo = staticmethod(np.finfo)
    isdtype = staticmethod(np.isdtype)

    def __getattr__(self, name: str) -> Callable[..., Foreign]:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in FUNCTIONS:
            raise UntracedError(f"it calls {name}, which is no elementwise function that all formats have")
        return lambda *arguments: call(name, *arguments)

    @staticmethod
    def astype(x: Foreign, dtype: object, copy: bool = True) -> Foreign:
        if not isinstance(x, Symbol) or np.dtype(dtype) == x.dtype:  # type: ignore[call-overload]
            return x
        if x.dtype != _BOOL or np.dtype(dtype).kind != "f":  # type: ignore[call-overload]
            raise UntracedError(f"it makes {dtype} of {x.dtype}")
        return Symbol("astype", (x,), np.dtype(dtype))  # type: ignore[call-overload]  # 1 for true, 0 for false

    @staticmethod
    def square(x: Foreign) -> Foreign:
        return x * x

    @staticmethod
    def clip(x: Foreign, low: Foreign, high: Foreign) -> Foreign:
        return call("minimum", call("maximum", x, low), high)

    @staticmethod
    def zeros_like(x: Foreign) -> float:
        return 0.0

    @staticmethod
    def ones_like(x: Foreign) -> float:
        return 1.0

    @staticmethod
    def full_like(x: Foreign, value: float) -> float:
        return value


NAMESPACE = _Namespace()


def call(function: str, *arguments: Foreign) -> Foreign:
    """The symbol of a function of these arguments. What has no symbol in it is computed."""
    given = tuple(map(_operand, arguments))
    if not any(isinstance(x, Symbol) for x in given):
        return FUNCTIONS[function](*given)
    values = given
    if function == "where":
        condition, values = given[0], given[1:]
        if not isinstance(condition, Symbol) or condition.dtype != _BOOL:
            raise UntracedError("it calls where with a condition that is none")
    dtypes = {x.dtype for x in values if isinstance(x, Symbol)}
    if len(dtypes) != 1 or (dtypes == {_BOOL}) != (function in _OF_BOOLS):
        kinds = [str(x.dtype) if isinstance(x, Symbol) else type(x).__name__ for x in values]
        raise UntracedError(f"it calls {function} of {', '.join(kinds)}")
    return Symbol(function, given, _BOOL if function in _TO_BOOLS else dtypes.pop())


def _operand(x: Foreign) -> Foreign:
    """A symbol, a number of Python, or a row (1, m)."""
    if isinstance(x, np.generic) or (isinstance(x, np.ndarray) and x.ndim == 0):
        return x.tolist()
    if isinstance(x, (Symbol, bool, int, float)):
        return x
    if isinstance(x, np.ndarray) and (x.ndim == 1 or (x.ndim == 2 and x.shape[0] == 1)):
        return x.reshape(1, -1)
    raise UntracedError(f"it computes with {type(x).__name__}: {x!r:.80}")


def trace(function: Callable[[Array], Foreign], dtype: str) -> Symbol:
    """What an elementwise function computes, as a symbol of its scores z.

    Raises
    ------
    UntracedError
        It is none, or does what not all formats can.
    """
    try:
        result = function(Symbol("", (), np.dtype(dtype)))  # type: ignore[arg-type]  # as much of an array as is needed
    except UntracedError:
        raise
    except Exception as error:
        raise UntracedError(
            f"it is no elementwise function of its scores ({type(error).__name__}: {error!s:.200})"
        ) from None
    if not isinstance(result, Symbol) or result.dtype == _BOOL:
        raise UntracedError(f"it gives {type(result).__name__} in place of numbers that depend on the scores")
    return result


def uses(symbol: Symbol) -> dict[int, int]:
    """How often each symbol within a symbol is an argument, by identity."""
    counts: dict[int, int] = {}
    for x in _within(symbol):
        counts[id(x)] = counts.get(id(x), 0) + 1
    return counts


def _within(symbol: Symbol) -> Iterator[Symbol]:
    """Each symbol as often as it is an argument of others."""
    seen, waiting = {id(symbol)}, [symbol]
    while waiting:
        for x in waiting.pop().arguments:
            if isinstance(x, Symbol):
                yield x
                if id(x) not in seen:
                    seen.add(id(x))
                    waiting.append(x)
