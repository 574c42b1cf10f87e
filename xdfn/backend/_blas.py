"""Two routines of BLAS for which NumPy has no function. gemm, C <- C + alpha A B: a step of plain SGD is one gemm for
each matrix, and the pass over gradient and weights that it saves is a third of the step's cost without the products.
axpby, y <- a x + b y in one pass: Adam's step is made of it.

The routines are called in the BLAS that NumPy itself has loaded, since a second BLAS would bring its own threads and
fight over the cores. Where a routine is not found, or fails a small test, the functions here return False.
"""

import contextlib
import ctypes
import functools
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from xdfn.backend._recorder import Number, call_c
from xdfn.backend.array import Foreign, Host

Scalar = float | Number  # a Python number, or the symbol for it while a step is recorded

_SMALLEST = 2**16  # multiplications; for fewer, a call by ctypes costs more than it saves
_SHORTEST = 2**14  # elements, the same for vectors
_ROW_MAJOR, _PLAIN, _TRANSPOSED = 101, 111, 112  # enumerations of CBLAS
_NAMES = ("scipy_cblas_{}64_", "cblas_{}64_", "scipy_cblas_{}", "cblas_{}")


def add_product(out: Host, a: Host, b: Host, alpha: Scalar) -> bool:
    """Compute out += alpha a b in place. False, with nothing done, where no routine can do it.

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


def _order(x: Host) -> tuple[int, int] | None:
    """The order of a matrix as CBLAS numbers it, and its leading dimension; None for any other order."""
    if x.flags.c_contiguous:
        return _PLAIN, x.shape[1]
    return (_TRANSPOSED, x.shape[0]) if x.flags.f_contiguous else None


def add_scaled(a: Scalar, x: Foreign, b: Scalar, y: Host) -> bool:
    """Compute y <- a x + b y in place, for long arrays. False, with nothing done, where no routine can do it."""
    if y.size < _SHORTEST or x.dtype != y.dtype or x.shape != y.shape:
        return False
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):  # a number for each row
        return False
    axpby = routine("axpby", y.dtype.char)
    if axpby is None or not (x.flags.c_contiguous and y.flags.c_contiguous):
        return False
    call_c(y, axpby, y.size, a, x, 1, b, y, 1)
    return True


class _Routine(NamedTuple):
    """A routine of BLAS: the types of its arguments, and a test that it is what its name says."""

    arguments: Callable[[type, type], list[type]]  # types of ctypes, from those of integers and of real numbers
    works: Callable[[Callable[..., None], type[np.floating]], bool]


def _gemm_works(gemm: Callable[..., None], dtype: type[np.floating]) -> bool:
    a, b, c = (np.arange(size, dtype=dtype).reshape(shape) for size, shape in ((6, (3, 2)), (8, (2, 4)), (12, (3, 4))))
    expected = c - a @ b
    order = (_ROW_MAJOR, _PLAIN, _PLAIN)
    gemm(*order, 3, 4, 2, -1.0, a.ctypes.data, 2, b.ctypes.data, 4, 1.0, c.ctypes.data, 4)
    return np.array_equal(c, expected)


def _axpby_works(axpby: Callable[..., None], dtype: type[np.floating]) -> bool:
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
_KINDS: dict[str, tuple[str, type, type[np.floating]]] = {
    "f": ("s", ctypes.c_float, np.float32),
    "d": ("d", ctypes.c_double, np.float64),
}


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


# ---- threads ---------------------------------------------------------------------------------------------------------

_THREADS = [f"{prefix}openblas_{{}}_num_threads{suffix}" for prefix in ("scipy_", "") for suffix in ("64_", "")]
_lock = threading.Lock()
_users, _before = 0, 1


@functools.cache
def _control() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """OpenBLAS's functions that tell and set the number of its threads, in the BLAS that NumPy has loaded."""
    try:
        library = ctypes.CDLL(np.linalg._umath_linalg.__file__)
        name = next(name for name in _THREADS if hasattr(library, name.format("set")))
        tell, change = getattr(library, name.format("get")), getattr(library, name.format("set"))
    except (AttributeError, OSError, StopIteration):
        return None
    change.restype = None
    return tell, change


def blas_threads() -> int:
    """How many threads NumPy's products take; 1 where that cannot be told or changed."""
    control = _control()
    return 1 if control is None else control[0]()


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within it NumPy's products take one thread each, in the whole process."""
    global _users, _before
    control = _control()
    if control is None:
        yield
        return
    tell, change = control
    with _lock:
        if _users == 0:
            _before = tell()
            change(1)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                change(_before)
