"""NumPy as an array-API namespace, by shorter ways. Some of NumPy's functions are wrappers in Python that cost more
than what they do to a small array: a sum over a batch takes 2.0 us by `np.sum` and 0.9 us by its ufunc. Here stands
the ufunc or the method under the standard's name; everything else is NumPy's own.

Below the namespace stands what NumPy's functions ask of memory. An optimizer makes a dozen passes over its vectors:
made one after the other over megabytes, each waits for memory; made piece by piece, all but the first find the piece in
the cache. And the arrays that a step makes and drops should come from pages that the process has already.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any

globals().update({name: value for name, value in vars(np).items() if not name.startswith("_")})

_sum: Any = np.add.reduce
_max: Any = np.maximum.reduce


def sum(x: Array, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Array:
    return _sum(x, axis, dtype, None, keepdims)


def max(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    return _max(x, axis, None, None, keepdims)


def take(x: Array, indices: Array, axis: Any = None) -> Array:
    return x.take(indices, axis)


def reshape(x: Array, shape: tuple[int, ...], copy: bool | None = None) -> Array:
    return x.reshape(shape) if copy is None else x.reshape(shape, copy=copy)


def astype(x: Array, dtype: Any, copy: bool = True) -> Array:
    return x.astype(dtype, copy=copy)


def maximum(x: Array, y: Array) -> Array:
    if type(y) is float and x.ndim and x.dtype.char in "fd":  # two arrays are compared by vector instructions
        y = np.full(x.shape[-1], y, x.dtype)
    return np.maximum(x, y)


def minimum(x: Array, y: Array) -> Array:
    if type(y) is float and x.ndim and x.dtype.char in "fd":
        y = np.full(x.shape[-1], y, x.dtype)
    return np.minimum(x, y)


IN_CACHE = 2**16  # elements of each array in a piece


def in_pieces(work: Callable[[slice], None], n: int) -> None:
    """Call `work` for each piece of a range of n."""
    for start in range(0, n, IN_CACHE):
        work(slice(start, start + IN_CACHE))


@functools.cache
def keep_pages() -> None:
    """Let the C library keep memory that is freed, up to some 64 MB, instead of handing it back in every step.

    glibc takes arrays above a threshold straight from the kernel, page by page, and returns the free end of its heap;
    it raises both limits when a large array is freed, so one is made and freed here, once. Without it the first epochs
    of a network with layers of 256 units spend a third of their time in page faults.
    """
    np.empty(31 * 2**20, np.uint8)


def __getattr__(name: str) -> Any:  # what NumPy itself loads when it is first asked for
    return getattr(np, name)
