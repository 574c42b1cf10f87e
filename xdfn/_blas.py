"""The one product for which NumPy has a routine but no function: C <- C + alpha A B, in one go. A step of plain SGD is
just that, and a pass over the gradient and the weights is a third of what the step costs beside its products.

The routine is called in the BLAS that NumPy itself has loaded, for two BLAS would each bring threads and fight over the
cores. Where there is none to be found, or it fails a small test, `add_product` says so and nothing is lost.
"""

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

Matrix = np.ndarray[Any, Any]

_SMALLEST = 2**16  # multiplications, below which a call by way of ctypes costs more than it saves
_ROW_MAJOR, _PLAIN, _TRANSPOSED = 101, 111, 112  # enumerations of CBLAS
_NAMES = ("scipy_cblas_{}gemm64_", "cblas_{}gemm64_", "scipy_cblas_{}gemm", "cblas_{}gemm")


def add_product(out: Matrix, a: Matrix, b: Matrix, alpha: float) -> bool:
    """out += alpha a b, in place, if that can be done here; whether it was.

    Parameters
    ----------
    out : array (m, n), a : array (m, k), b : array (k, n)
        Of one dtype, float32 or float64. `out` is in C order, the others in C or Fortran order.
    """
    (m, n), k = out.shape, a.shape[1]
    if m * n * k < _SMALLEST or not (a.dtype == b.dtype == out.dtype) or not out.flags.c_contiguous:
        return False
    routine = _routine(out.dtype.char)
    order_a, order_b = _order(a), _order(b)
    if routine is None or order_a is None or order_b is None:
        return False
    pointers = (x.ctypes.data for x in (a, b, out))
    at_a, at_b, at_out = pointers
    routine(
        _ROW_MAJOR, order_a[0], order_b[0], m, n, k, alpha, at_a, order_a[1], at_b, order_b[1], 1.0, at_out, n
    )  # fmt: skip
    return True


def _order(x: Matrix) -> tuple[int, int] | None:
    """How CBLAS is told the order of a matrix, and the distance between its rows or columns."""
    if x.flags.c_contiguous:
        return _PLAIN, x.shape[1]
    return (_TRANSPOSED, x.shape[0]) if x.flags.f_contiguous else None


@functools.cache
def _routine(char: str) -> Callable[..., None] | None:
    """sgemm or dgemm for the dtype of that character, tested; None for other dtypes and where there is none."""
    kind = {"f": ("s", ctypes.c_float, np.float32), "d": ("d", ctypes.c_double, np.float64)}.get(char)
    if kind is None:
        return None
    letter, real, dtype = kind
    try:
        # asked of a module that is linked with the BLAS, the loader finds the BLAS's own functions
        library = ctypes.CDLL(np.linalg._umath_linalg.__file__)
        name = next(name for name in (n.format(letter) for n in _NAMES) if hasattr(library, name))
    except (AttributeError, OSError, StopIteration):
        return None
    integer = ctypes.c_int64 if name.endswith("64_") else ctypes.c_int
    routine = getattr(library, name)
    routine.restype = None
    pointer = ctypes.c_void_p
    flags = [ctypes.c_int] * 3
    routine.argtypes = [*flags, *[integer] * 3, real, pointer, integer, pointer, integer, real, pointer, integer]
    a, b, c = (np.arange(size, dtype=dtype).reshape(shape) for size, shape in ((6, (3, 2)), (8, (2, 4)), (12, (3, 4))))
    expected = c - a @ b
    routine(
        _ROW_MAJOR, _PLAIN, _PLAIN, 3, 4, 2, -1.0, a.ctypes.data, 2, b.ctypes.data, 4, 1.0, c.ctypes.data, 4
    )  # fmt: skip
    return routine if np.array_equal(c, expected) else None
