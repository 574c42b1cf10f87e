"""CuPy's own ways. Every call of CuPy launches a kernel, so functions are traced and fused into one. Two kernels are
written by hand, since no tracer makes them from a Python function: a batch's rows of X and y, and cross-entropy over
short rows. Each has a plain expression that stands in for it elsewhere, and a test that both agree. Rows of host arrays
are copied to the device while it works.
"""

import functools
import importlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from xdfn.backend._numpy import take_into
from xdfn.backend.array import Array, Host

CuPyArray = Any  # mypy does not know CuPy, which need not be installed

_LONGEST_ROW = 128  # one thread goes through a whole row


@functools.cache
def _kernel(name: str, inputs: str, outputs: str, body: str) -> Callable[..., None]:
    cupy = importlib.import_module("cupy")
    kernel: Callable[..., None] = cupy.ElementwiseKernel(inputs, outputs, body, f"xdfn_{name}")
    return kernel


def take_rows(X: CuPyArray, y: CuPyArray, rows: CuPyArray) -> tuple[Array, Array] | None:
    """X[rows] and y[rows]; None where that has to be done one after the other."""
    if not (X.flags.c_contiguous and y.flags.c_contiguous and rows.flags.c_contiguous):
        return None
    cupy = importlib.import_module("cupy")
    n, d, k = rows.shape[0], X.shape[1], y.shape[1] if y.ndim == 2 else 1
    x_rows, y_rows = cupy.empty((n, d), X.dtype), cupy.empty((n, *y.shape[1:]), y.dtype)
    kernel = _kernel(
        "take_rows",
        "raw X x, raw Y y, raw I rows, int64 d, int64 k",
        "raw X x_rows, raw Y y_rows",
        """
        long long row = i / (d + k), column = i % (d + k), from = rows[row];
        if (column < d) x_rows[row * d + column] = x[from * d + column];
        else y_rows[row * k + column - d] = y[from * k + column - d];
        """,
    )
    kernel(X, y, rows, d, k, x_rows, y_rows, size=n * (d + k))
    return x_rows, y_rows


def cross_entropy(z: CuPyArray, y: CuPyArray, weight: Array | float) -> tuple[Array, Array] | None:
    """-w sum y log p for each row (n,), and w (p - y) with p = softmax(z); None where there is no kernel for that.

    z and y are (n, m), or stacks (k, n, m) of such; or y are class numbers (n,), or (k, n).
    """
    *rows, m = z.shape
    n = math.prod(rows)
    if m > _LONGEST_ROW or not isinstance(weight, float) or not (z.flags.c_contiguous and y.flags.c_contiguous):
        return None
    cupy = importlib.import_module("cupy")
    values, dz = cupy.empty(rows, z.dtype), cupy.empty(z.shape, z.dtype)
    kernel = _kernel(
        "cross_entropy",
        "raw T z, raw Y y, T w, int64 m, bool labels",
        "raw T values, raw T dz",
        """
        const long long start = i * m;
        T top = z[start], total = 0, value = 0;
        for (long long j = start + 1; j < start + m; j++) if (z[j] > top || z[j] != z[j]) top = z[j];
        for (long long j = start; j < start + m; j++) total += exp(z[j] - top);
        const T log_total = log(total);
        for (long long j = start; j < start + m; j++) {
            const T shifted = z[j] - top, target = labels ? T(j - start == y[i]) : T(y[j]);
            value += (log_total - shifted) * target;
            dz[j] = (exp(shifted) / total - target) * w;
        }
        values[i] = value * w;
        """,
    )
    kernel(z, y, weight, m, y.ndim < z.ndim, values, dz, size=n)
    return values, dz


# each gives None where it does not take the arguments
HANDWRITTEN: dict[str, Callable[..., tuple[Array, ...] | None]] = {"softmax_cross_entropy": cross_entropy}


class Kernel:
    """A function of arrays and numbers, fused into one kernel; called as it is where CuPy cannot fuse it."""

    def __init__(self, name: str, function: Callable[..., object]) -> None:
        self.fallback, self.tried = function, False
        self.kernel = importlib.import_module("cupy").fuse(kernel_name=f"xdfn_{name}")(function)

    def __call__(self, *args: object) -> object:
        if self.tried:
            return self.kernel(*args)
        self.tried = True
        try:
            return self.kernel(*args)
        except Exception:  # from the tracer or the compiler, before anything is computed
            self.kernel = self.fallback
            return self.fallback(*args)


def stream_rows(arrays: Sequence[Host], parts: Iterator[Host]) -> Iterator[list[Array]]:
    """`transfer.stream_rows`, through two page-locked buffers on the host, two on the device, and its own stream."""
    cupy, cupyx = importlib.import_module("cupy"), importlib.import_module("cupyx")
    main, copies = cupy.cuda.get_current_stream(), cupy.cuda.Stream(non_blocking=True)
    buffers = []  # two of: pairs (host, device) by array, event after their copy, event after their use
    try:
        for i, rows in enumerate(parts):
            if i < 2:
                shapes = [(len(rows), *x.shape[1:]) for x in arrays]
                pairs = [
                    (cupyx.empty_pinned(shape, x.dtype), cupy.empty(shape, x.dtype))
                    for shape, x in zip(shapes, arrays, strict=True)
                ]
                buffers.append((pairs, cupy.cuda.Event(), cupy.cuda.Event()))
                buffers[-1][2].record(main)  # memory from the pool may still be in use there
            pairs, copied, used = buffers[i % 2]
            copied.synchronize()  # the copy before the last has left the host's buffer
            copies.wait_event(used)
            given = []
            for x, (host, device) in zip(arrays, pairs, strict=True):
                take_into(x, rows, host[: len(rows)])
                device[: len(rows)].set(host[: len(rows)], stream=copies)
                given.append(device[: len(rows)])
            copied.record(copies)
            main.wait_event(copied)
            yield given
            used.record(main)
    finally:  # only then may the pool give the buffers to others
        copies.synchronize()
