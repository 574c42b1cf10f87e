"""Data come in rows and leave in batches. Here is the notebook's `minibatch`, and what is asked of arrays before they
may enter a network: one look at their shapes, and one read of the device for all that depends on their values.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from xdfn import random
from xdfn._backend import Array, Place, arange, computing, namespace, place, put, require_array, to_numpy, uploads
from xdfn._spec import integer, number

_UPLOAD = 2**24  # bytes of X that go to a device in one go
_PIECE = 2**18  # elements looked at in one go: such a piece fits the cache


def minibatch(X: Array, batchsize: int = 256, shuffle: bool = True) -> tuple[Iterator[Array], int]:
    """Indices of the rows of X by batches, and the number of batches. The last batch may be short.

    The indices are int32 arrays in X's library, on its device. The order comes from NumPy's global generator.

    Examples
    --------
    >>> import numpy as np
    >>> batches, n_batches = minibatch(np.zeros((5, 2)), batchsize=2, shuffle=False)
    >>> [batch.tolist() for batch in batches], n_batches
    ([[0, 1], [2, 3], [4]], 3)
    """
    require_array("X", X, getattr(X, "ndim", 2))
    n, batchsize = X.shape[0], integer("batchsize", batchsize)
    order = np.random.permutation(n) if shuffle else np.arange(n)
    rows = put(order.astype(np.int32), place(X))
    n_batches = math.ceil(n / batchsize)
    return (rows[start:stop] for start, stop in spans(n, batchsize)), n_batches


def spans(n: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of consecutive pieces of at most `size` rows."""
    return ((start, min(start + size, n)) for start in range(0, n, size))


class Resident(NamedTuple):
    """Rows that are where the network is.

    Attributes
    ----------
    X, y : array (n, n_in), array (n,) or (n, n_out)
    weight : array (n,), optional
    which : int32 array on the host, optional
        The rows that are trained on, if not all.
    """

    X: Array
    y: Array
    weight: Array | None = None
    which: Any = None

    @property
    def n(self) -> int:
        """The number of rows that are trained on."""
        return _count(self)

    def order(self, host: Any) -> Array:
        """An order of these rows, as `pieces` takes it."""
        return put(host if self.which is None else self.which[host], place(self.X))

    def pieces(self, order: Array, batch_size: int) -> Iterator[tuple[Array, Array, Array | None, Array]]:
        """X, y and weight, and which of their rows the next batches are, in turn."""
        yield self.X, self.y, self.weight, order


class Streamed(NamedTuple):
    """Rows that stay on the host, in memory or in a file, and go to the device `where` by a few batches at a time."""

    X: Array
    y: Array
    weight: Array | None
    where: Place
    which: Any = None

    @property
    def n(self) -> int:
        return _count(self)

    def order(self, host: Any) -> Array:
        return host if self.which is None else self.which[host]

    def pieces(self, order: Array, batch_size: int) -> Iterator[tuple[Array, Array, Array | None, Array]]:
        batch = batch_size * self.X.dtype.itemsize * math.prod(self.X.shape[1:])
        rows = max(1, _UPLOAD // batch) * batch_size
        arrays = [x for x in (self.X, self.y, self.weight) if x is not None]
        for X, y, *weight in uploads(
            arrays, (order[start:stop] for start, stop in spans(len(order), rows)), self.where
        ):
            yield X, y, weight[0] if weight else None, arange(X.shape[0], "int32", X)


def _count(rows: Resident | Streamed) -> int:
    return int(rows.X.shape[0] if rows.which is None else rows.which.shape[0])


def check_inputs(X: Array, n_in: int | None = None, name: str = "X") -> None:
    """Raise ValueError unless X is a real array (n, n_in) with at least one row."""
    require_array(name, X, 2)
    if X.shape[0] == 0 or X.shape[1] == 0:
        raise ValueError(f"{name} must have at least one row and one column, got shape {tuple(X.shape)}")
    if n_in is not None and X.shape[1] != n_in:
        raise ValueError(f"{name} must have the {n_in} columns that the network was made for, got {X.shape[1]}")
    check_real(X, name)


def check_real(x: Array, name: str) -> None:
    """Raise ValueError unless x holds real numbers."""
    xp = namespace(x)
    try:
        real = xp.isdtype(x.dtype, ("bool", "integral", "real floating"))
    except TypeError:  # NumPy's answer for objects and strings
        real = False
    if not real or getattr(x.dtype, "hasobject", False):
        raise ValueError(f"{name} must hold real numbers, got dtype {x.dtype}; use astype")


def check_values(X: Array, y: Array, limits: tuple[float | None, float | None], unit_rows: bool = False) -> None:
    """Raise ValueError where X or y holds NaN or infinity, y a value outside `limits` or a row that does not sum to 1.

    One read of the device.
    """
    with computing(X):
        _check_values(X, y, limits, unit_rows)


def _check_values(X: Array, y: Array, limits: tuple[float | None, float | None], unit_rows: bool) -> None:
    xp = namespace(X)
    low, high = limits
    tests: list[tuple[str, Array]] = []
    for name, x in (("X", X), ("y", y)):
        if xp.isdtype(x.dtype, "real floating"):
            tests.append((name, _all(xp, x, xp.isfinite)))
    if not xp.isdtype(y.dtype, "bool"):
        integers = xp.isdtype(y.dtype, "integral")
        # a bound beyond what the dtype can hold cannot be broken, nor on all libraries be compared with
        if low is not None and not (integers and low <= xp.iinfo(y.dtype).min):
            tests.append(("", _all(xp, y, lambda v: v >= low)))
        if high is not None and not (integers and high >= xp.iinfo(y.dtype).max):
            tests.append(("", _all(xp, y, lambda v: v <= high)))
    if unit_rows:
        tests.append(("rows", _all(xp, y, lambda v: _sum_to_one(xp, v))))
    if not tests:
        return
    passed = to_numpy(xp.stack([flag for _, flag in tests])).tolist()
    for (name, _), fine in zip(tests, passed, strict=True):
        if not fine and name == "rows":
            raise ValueError(
                "the rows of y must each sum to 1, as one-hot rows and probabilities do, and some do not; for several "
                "classes at once: binary_cross_entropy"
            )
        if not fine and name:
            raise ValueError(f"{name} holds NaN or infinity; clean it, or pass check_input=False to train all the same")
        if not fine:
            least, most = (float(to_numpy(f(y))) for f in (xp.min, xp.max))
            raise ValueError(f"y must lie in [{_bound(low)}, {_bound(high)}], got values from {least:g} to {most:g}")


def _sum_to_one(xp: Any, y: Array) -> Array:
    sums = xp.sum(xp.astype(y, xp.float32), axis=-1)
    return xp.abs(sums - 1.0) < 1e-3  # probabilities are rounded


def _bound(value: float | None) -> str:
    return "..." if value is None else f"{value:g}"


def _all(xp: Any, x: Array, test: Callable[[Array], Array]) -> Array:
    """Whether all elements pass, as a 0-d array."""
    rows = max(1, _PIECE // max(1, math.prod(x.shape[1:])))
    checks = [xp.all(test(x[start:stop, ...])) for start, stop in spans(x.shape[0], rows)]
    return checks[0] if len(checks) == 1 else xp.all(xp.stack(checks))


def row_weights(
    n: int, sample_weight: Any | None, class_weight: Any, labels: Any | None, n_classes: int, which: Any | None
) -> "np.ndarray[Any, Any] | None":
    """The weights (n,) of the rows, float64 on the host, with mean 1 over the rows `which`; None where all are alike.

    Parameters
    ----------
    sample_weight : NumPy array (n,), optional
        From `check_weights`.
    class_weight : "balanced" or dict, optional
        What a row's class multiplies its weight by: by number, 1 for those that are not named; or n / (m n_c) for a
        class of n_c of the n rows, where m classes occur, rows being counted by their weights.
    labels : NumPy array (n,), for class_weight
    n_classes : int
    which : NumPy array, optional
        The rows that are trained on.

    Raises
    ------
    ValueError
        No row that is trained on has a weight, or a class is not there.
    """
    if sample_weight is None and class_weight is None:
        return None
    weight = np.ones(n) if sample_weight is None else sample_weight
    used = slice(None) if which is None else which
    if class_weight is not None:
        assert labels is not None
        weight = weight * _by_class(class_weight, labels, n_classes, labels[used], weight[used])[labels]
    mean = float(weight[used].mean())
    if mean == 0:
        raise ValueError("sample_weight and class_weight leave no row to train on: all weights are 0")
    return weight / mean


def check_weights(name: str, weight: Any, n: int) -> "np.ndarray[Any, Any]":
    """Weights (n,) as float64 on the host, checked to be finite and not negative. Reads the device."""
    if isinstance(weight, (list, tuple)):
        weight = np.asarray(weight)
    require_array(name, weight, 1)
    if weight.shape[0] != n:
        raise ValueError(f"{name} must have one weight for each of the {n} rows, got {weight.shape[0]}")
    check_real(weight, name)
    host = to_numpy(weight).astype("float64")
    if not (np.isfinite(host) & (host >= 0)).all():
        raise ValueError(f"{name} must hold finite numbers of at least 0, got values from {host.min()} to {host.max()}")
    if not host.any():
        raise ValueError(f"{name} must not be 0 for all rows")
    return host


def _by_class(given: Any, labels: Any, n_classes: int, used: Any, weight: Any) -> "np.ndarray[Any, Any]":
    """The factor of each class (n_classes,)."""
    if isinstance(given, str) and given == "balanced":
        counts = np.bincount(used, weights=weight, minlength=n_classes)
        present = np.count_nonzero(counts)
        factors: np.ndarray[Any, Any] = counts.sum() / (np.maximum(counts, 1e-300) * max(1, present))
        return factors
    if not isinstance(given, dict):
        raise ValueError(f"class_weight must be 'balanced' or a dict of class numbers and weights, got {given!r:.80}")
    factors = np.ones(n_classes)  # of those that are not named
    for label, value in given.items():
        label = integer("class_weight: a class", label, 0)
        if label >= n_classes:
            raise ValueError(f"class_weight: there is no class {label}, the classes are 0 to {n_classes - 1}")
        factors[label] = number(f"class_weight[{label}]", value, 0)
    return factors


def split(n: int, fraction: float, labels: Any | None, seed: int) -> tuple[Any, Any]:
    """Rows to train on and rows to validate with, as sorted int32 arrays on the host; by class where there are labels.

    The rows are drawn by the seed alone. Each class gives the same share, up to one row.
    """
    order = random.generator(seed, random.SPLIT).permutation(n)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    marks = np.floor(np.arange(n + 1) * fraction + 0.5)
    chosen = marks[1:] > marks[:-1]
    if chosen.all() or not chosen.any():
        raise ValueError(
            f"validation_fraction={fraction} of {n} rows leaves none to train on, or none to validate with"
        )
    return tuple(np.sort(order[part]).astype("int32") for part in (~chosen, chosen))  # type: ignore[return-value]
