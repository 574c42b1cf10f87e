"""The kernels for CuPy that no tracer makes of a Python function: a batch's rows of X and y in one launch, and
cross-entropy over short rows. Each has a plain expression that stands in for it elsewhere, and a test that both agree.
"""

import functools
import importlib
from typing import Any

Array = Any

_LONGEST_ROW = 128  # a thread goes through a row by itself


@functools.cache
def _kernel(name: str, inputs: str, outputs: str, body: str) -> Any:
    return importlib.import_module("cupy").ElementwiseKernel(inputs, outputs, body, f"xdfn_{name}")


def take_rows(X: Array, y: Array, rows: Array) -> tuple[Array, Array] | None:
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


def cross_entropy(z: Array, y: Array, weight: Any) -> tuple[Array, Array] | None:
    """-w sum y log p for each row (n,), and w (p - y) with p = softmax(z); None where there is no kernel for that."""
    n, m = z.shape
    if m > _LONGEST_ROW or not isinstance(weight, float) or not (z.flags.c_contiguous and y.flags.c_contiguous):
        return None
    cupy = importlib.import_module("cupy")
    values, dz = cupy.empty(n, z.dtype), cupy.empty((n, m), z.dtype)
    kernel = _kernel(
        "cross_entropy",
        "raw T z, raw T y, T w, int64 m",
        "raw T values, raw T dz",
        """
        const long long start = i * m;
        T top = z[start], total = 0, value = 0;
        for (long long j = start + 1; j < start + m; j++) if (z[j] > top || z[j] != z[j]) top = z[j];
        for (long long j = start; j < start + m; j++) total += exp(z[j] - top);
        const T log_total = log(total);
        for (long long j = start; j < start + m; j++) {
            const T shifted = z[j] - top;
            value += (log_total - shifted) * y[j];
            dz[j] = (exp(shifted) / total - y[j]) * w;
        }
        values[i] = value * w;
        """,
    )
    kernel(z, y, weight, m, values, dz, size=n)
    return values, dz
