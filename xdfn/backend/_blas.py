"""Two things for which NumPy has a routine but no function. C <- C + alpha A B in one go: a step of plain SGD is just
that, and a pass over the gradient and the weights is a third of what the step costs beside its products. And
y <- a x + b y in one pass, of which Adam's step is made.

The routines are called in the BLAS that NumPy itself has loaded, for two BLAS would each bring threads and fight over
the cores. Where no such routine is found, or it fails a small test, the functions here say so and nothing is lost.
"""

import ctypes
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xdfn.backend._recorder import call_c

Matrix = np.ndarray[Any, Any]

_SMALLEST = 2**16  # multiplications, below which a call by way of ctypes costs more than it saves
_SHORTEST = 2**14  # elements, the same for vectors
_ROW_MAJOR, _PLAIN, _TRANSPOSED = 101, 111, 112  # enumerations of CBLAS
_NAMES = ("scipy_cblas_{}64_", "cblas_{}64_", "scipy_cblas_{}", "cblas_{}")


def add_product(out: Matrix, a: Matrix, b: Matrix, alpha: Any) -> bool:
    """out += alpha a b, in place, if that can be done here; whether it was.

    Parameters
    ----------
    out : array (m, n), a : array (m, k), b : array (k, n)
        Of one dtype, float32 or float64. `out` is in C order, the others in C or Fortran order.
    """
    (m, n), k = out.shape, a.shape[1]
    if m * n * k < _SMALLEST or not (a.dtype == b.dtype == out.dtype) or not out.flags.c_contiguous:
        return False
    gemm = routine("gemm", out.dtype.char)
    order_a, order_b = _order(a), _order(b)
    if gemm is None or order_a is None or order_b is None:
        return False
    orders = (_ROW_MAJOR, order_a[0], order_b[0])
    call_c(out, gemm, *orders, m, n, k, alpha, a, order_a[1], b, order_b[1], 1.0, out, n)
    return True


def _order(x: Matrix) -> tuple[int, int] | None:
    """How CBLAS is told the order of a matrix, and the distance between its rows or columns."""
    if x.flags.c_contiguous:
        return _PLAIN, x.shape[1]
    return (_TRANSPOSED, x.shape[0]) if x.flags.f_contiguous else None


def add_scaled(a: Any, x: Matrix, b: Any, y: Matrix) -> bool:
    """y <- a x + b y for long vectors (n,), in place, if that can be done here; whether it was."""
    if y.ndim != 1 or y.shape[0] < _SHORTEST or x.dtype != y.dtype or x.shape != y.shape:
        return False
    axpby = routine("axpby", y.dtype.char)
    if axpby is None or not (x.flags.c_contiguous and y.flags.c_contiguous):
        return False
    call_c(y, axpby, y.shape[0], a, x, 1, b, y, 1)
    return True


class _Routine(NamedTuple):
    """A routine of BLAS: what it is called with, and a test whether it is what its name says."""

    arguments: Callable[[Any, Any], list[Any]]  # types, for the types of integers and of real numbers
    works: Callable[[Callable[..., None], Any], bool]


def _gemm_works(gemm: Callable[..., None], dtype: Any) -> bool:
    a, b, c = (np.arange(size, dtype=dtype).reshape(shape) for size, shape in ((6, (3, 2)), (8, (2, 4)), (12, (3, 4))))
    expected = c - a @ b
    order = (_ROW_MAJOR, _PLAIN, _PLAIN)
    gemm(*order, 3, 4, 2, -1.0, a.ctypes.data, 2, b.ctypes.data, 4, 1.0, c.ctypes.data, 4)
    return np.array_equal(c, expected)


def _axpby_works(axpby: Callable[..., None], dtype: Any) -> bool:
    x, y = np.arange(5, dtype=dtype), np.arange(5, 10, dtype=dtype)
    expected = 2 * x - 3 * y
    axpby(5, 2.0, x.ctypes.data, 1, -3.0, y.ctypes.data, 1)
    return np.array_equal(y, expected)


_POINTER = ctypes.c_void_p
_ROUTINES = {
    "gemm": _Routine(
        lambda integer, real: [
            *[ctypes.c_int] * 3,
            *[integer] * 3,
            *(real, _POINTER, integer, _POINTER, integer, real, _POINTER, integer),
        ],
        _gemm_works,
    ),
    "axpby": _Routine(lambda integer, real: [integer, real, _POINTER, integer, real, _POINTER, integer], _axpby_works),
}
_KINDS = {"f": ("s", ctypes.c_float, np.float32), "d": ("d", ctypes.c_double, np.float64)}


@functools.cache
def routine(name: str, char: str) -> Callable[..., None] | None:
    """A routine for the dtype of that character, tested; None for other dtypes and where there is none."""
    if char not in _KINDS:
        return None
    letter, real, dtype = _KINDS[char]
    try:
        # asked of a module that is linked with the BLAS, the loader finds the BLAS's own functions
        library = ctypes.CDLL(np.linalg._umath_linalg.__file__)
        full = next(full for full in (n.format(letter + name) for n in _NAMES) if hasattr(library, full))
    except (AttributeError, OSError, StopIteration):
        return None
    function = getattr(library, full)
    function.restype = None
    function.argtypes = _ROUTINES[name].arguments(ctypes.c_int64 if full.endswith("64_") else ctypes.c_int, real)
    return function if _ROUTINES[name].works(function, dtype) else None
