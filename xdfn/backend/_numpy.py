"""NumPy as an array-API namespace, with less overhead. Some of NumPy's functions are Python wrappers that cost more
than their work on a small array: a sum over a batch takes 2.0 us by `np.sum` and 0.9 us by its ufunc. This module has
the ufunc or the method under the standard's name; everything else is NumPy's own.

Two functions below spare memory traffic. An optimizer makes a dozen passes over its vectors: made one after the other
over megabytes, each waits for memory; made piece by piece (`in_pieces`), all but the first find the piece in the cache.
And the arrays that a step makes and drops should come from pages that the process has already (`keep_pages`).
"""

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from xdfn.backend.array import DType, Host

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

Axis = int | tuple[int, ...] | None

globals().update({name: value for name, value in vars(np).items() if not name.startswith("_")})

_sum: Callable[..., Host] = np.add.reduce
_max: Callable[..., Host] = np.maximum.reduce
_maximum: Callable[..., Host] = np.maximum
_minimum: Callable[..., Host] = np.minimum
_rint: Callable[..., Host] = np.rint


def sum(x: Host, axis: Axis = None, dtype: DType = None, keepdims: bool = False) -> Host:
    return _sum(x, axis, dtype, None, keepdims)


def max(x: Host, axis: Axis = None, keepdims: bool = False) -> Host:
    return _max(x, axis, None, None, keepdims)


def take(x: Host, indices: Host, axis: int | None = None) -> Host:
    if axis == 0 and not x.flags.c_contiguous and type(x) in (np.ndarray, np.memmap):
        return np.asarray(x[indices])  # `take` would copy all of x first
    return x.take(indices, axis)


def take_into(x: Host, rows: Host, out: Host) -> None:
    """Compute out[i] = x[rows[i]] for all i, in place."""
    if x.flags.c_contiguous:
        x.take(rows, 0, out, "clip")  # "raise" would buffer the output
    else:
        out[...] = x[rows]


def with_rows_together(x: Host) -> Host:
    """x, or a copy of it in which each row lies in one piece of memory; a file stays where it is.

    A batch of rows of 200 columns takes ten times as long to gather where the columns lie together, as in a frame of
    pandas: after a hundred batches the copy has paid.
    """
    apart = x.ndim == 2 and x.shape[1] > 1 and x.strides[1] != x.itemsize
    in_file = isinstance(x, np.memmap) or isinstance(x.base, np.memmap)
    return np.ascontiguousarray(x) if apart and not in_file else x


def zeros_like(x: Host, dtype: "DTypeLike | None" = None) -> Host:
    if type(x) is np.ndarray:  # from pages that are zero already and not touched before they are used
        return np.zeros(x.shape, x.dtype if dtype is None else dtype)
    zeros: Host = np.zeros_like(x, dtype=dtype)
    return zeros


def reshape(x: Host, shape: tuple[int, ...], copy: bool | None = None) -> Host:
    y = x.reshape(shape)  # whose own copy= is not there before NumPy 2.1
    if copy is False and x.size and not np.may_share_memory(x, y):
        raise ValueError("a view of this shape is not possible: its elements are apart in memory")
    return y.copy() if copy and np.may_share_memory(x, y) else y


def astype(x: Host, dtype: "DTypeLike", copy: bool = True) -> Host:
    return x.astype(dtype, copy=copy)


def round(x: Host) -> Host:
    return _rint(x)


def maximum(x: Host, y: Host | float) -> Host:
    if type(y) is float and x.ndim and x.dtype.char in "fd":  # two arrays are compared by vector instructions
        y = np.full(x.shape[-1], y, x.dtype)
    return _maximum(x, y)


def minimum(x: Host, y: Host | float) -> Host:
    if type(y) is float and x.ndim and x.dtype.char in "fd":
        y = np.full(x.shape[-1], y, x.dtype)
    return _minimum(x, y)


IN_CACHE = 2**16  # elements of each array in a piece


def add_rows(out: Host, rows: Host, values: Host) -> None:
    """Compute out[rows[i]] += values[i] for all i, in place; `out` is in C order.

    Element by element, since `np.add.at` takes up to four times as long row by row.
    """
    assert out.flags.c_contiguous
    at = rows[:, None] * np.intp(out.shape[1]) + np.arange(out.shape[1])
    np.add.at(out.reshape(-1), at.reshape(-1), values.reshape(-1))


def in_pieces(work: Callable[[slice], None], size: int, n: int, *width: int) -> None:
    """Call `work` for each piece of a range of n rows, of as many elements as `width` says, or of one.

    A piece has at most `size` elements, or one row.
    """
    rows = size // math.prod(width) or 1
    for start in range(0, n, rows):
        work(slice(start, start + rows))


@functools.cache
def keep_pages() -> None:
    """Let the C library keep memory that is freed, up to some 64 MB, instead of handing it back in every step.

    glibc takes arrays above a threshold straight from the kernel, page by page, and returns the free end of its heap;
    it raises both limits when a large array is freed, so one is made and freed here, once. Without it the first epochs
    of a network with layers of 256 units spend a third of their time in page faults.
    """
    np.empty(31 * 2**20, np.uint8)


def __getattr__(name: str) -> Any:  # for modules that NumPy loads on first use
    return getattr(np, name)
