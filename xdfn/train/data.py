"""Data come in rows and leave in batches: rows that are where the network is, rows that are streamed to it, the weights
of rows, and the rows that are held out for validation.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, cast

import numpy as np

from xdfn.backend import Array, Host, Place, arange, place, put, random, require_array, stream_rows, take, take_rows
from xdfn.core.fields import integer, number
from xdfn.train.checks import spans

__all__ = ["minibatch"]

_UPLOAD = 2**24  # bytes of X that go to a device together


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


class Batches:
    """Consecutive batches of one size: iterate over them, or take them all at once.

    Attributes
    ----------
    X, y : array (n, n_in), array (n,) or (n, n_out), where the network is
    weight : array (n,) with mean 1, or None
    order : int32 array (n_batches * size,), the rows of X and y in the order of the batches
    size : int, the rows of each batch
    whole : float, what the weights of the rows are divided by: the rows of the whole batch, if ranks share it
    """

    def __init__(
        self, X: Array, y: Array, weight: Array | None, order: Array, size: int, whole: float | None = None
    ) -> None:
        self.X, self.y, self.weight, self.order, self.size = X, y, weight, order, size
        self.whole = size if whole is None else whole

    def __len__(self) -> int:
        return self.order.shape[0] // self.size

    def rows(self, i: int) -> Array:
        return self.order[i * self.size : (i + 1) * self.size]

    def __iter__(self) -> Iterator[tuple[Array, Array, Array | float]]:
        """x, y and the weight of each batch; a weight has the division by the batch's rows in it."""
        for i in range(len(self)):
            rows = self.rows(i)
            x, y = take_rows(self.X, self.y, rows)
            yield x, y, 1.0 / self.whole if self.weight is None else take(self.weight, rows) / self.whole


class Resident(NamedTuple):
    """Rows that are where the network is.

    Attributes
    ----------
    X, y : array (n, n_in), array (n,) or (n, n_out)
    weight : array (n,), optional
    subset : int32 array on the host, optional
        The rows that are trained on, if not all.
    """

    X: Array
    y: Array
    weight: Array | None = None
    subset: Host | None = None

    @property
    def n(self) -> int:
        """The number of rows that are trained on."""
        return self.X.shape[0] if self.subset is None else int(self.subset.shape[0])

    def order(self, seed: int, epoch: int) -> Array:
        """The rows that are trained on in the order of an epoch, as `batches` takes it."""
        permutation = random.permutation(seed, epoch, self.n)
        return put(permutation if self.subset is None else self.subset[permutation], place(self.X))

    def batches(self, order: Array, start: int, stop: int, size: int) -> Iterator[Batches]:
        """The batches of these rows, all at once."""
        yield Batches(self.X, self.y, self.weight, order[start:stop], size)


class Streamed(NamedTuple):
    """Rows that stay on the host, in memory or in a file, and go to the device `where` by a few batches at a time."""

    X: Host
    y: Host
    weight: Host | None
    where: Place
    subset: Host | None = None

    @property
    def n(self) -> int:
        return int(self.X.shape[0] if self.subset is None else self.subset.shape[0])

    def order(self, seed: int, epoch: int) -> Array:
        permutation = random.permutation(seed, epoch, self.n)
        return cast(Array, permutation if self.subset is None else self.subset[permutation])

    def batches(self, order: Array, start: int, stop: int, size: int) -> Iterator[Batches]:
        """The batches of these rows, a few at a time."""
        host = cast(Host, order[start:stop])
        bytes_a_batch = size * self.X.dtype.itemsize * math.prod(self.X.shape[1:])
        rows = max(1, _UPLOAD // bytes_a_batch) * size
        arrays = [x for x in (self.X, self.y, self.weight) if x is not None]
        parts = (host[first:last] for first, last in spans(len(host), rows))
        for X, y, *weight in stream_rows(arrays, parts, self.where):
            yield Batches(X, y, weight[0] if weight else None, arange(X.shape[0], X), size)


class Rows(Protocol):
    """What the loop needs of the rows that are trained on; `Resident` and `Streamed` are such."""

    @property
    def n(self) -> int:
        """The number of rows that are trained on."""

    def order(self, seed: int, epoch: int) -> Array:
        """The rows of an epoch in their order, as `batches` takes it: asked for once an epoch, before its batches."""

    def batches(self, order: Array, start: int, stop: int, size: int) -> Iterator[Batches]:
        """The batches of the stretch of that order from start to stop, all at once or a few at a time."""


def row_weights(
    n: int,
    sample_weight: Host | None,
    class_weight: object,
    labels: Host | None,
    n_classes: int,
    subset: Host | None,
    total: Callable[[Host], Host] = lambda sums: sums,
) -> Host | None:
    """The weights (n,) of the rows, float64 on the host, with mean 1 over the rows in `subset`; None if all are alike.

    Parameters
    ----------
    sample_weight : NumPy array (n,), optional
        From `checks.check_weights`.
    class_weight : "balanced" or dict, optional
        The factor of each class, by number, 1 for classes that are not named; or n / (m n_c) for a class of n_c of the
        n rows, where m classes occur and rows are counted by their weights.
    labels : NumPy array (n,), for class_weight
    n_classes : int
    subset : NumPy array, optional
        The rows that are trained on.
    total : callable
        Sums an array over all ranks, where each has rows of its own.

    Raises
    ------
    ValueError
        No row that is trained on has a weight, or a class does not exist.
    """
    if sample_weight is None and class_weight is None:
        return None
    weight = np.ones(n) if sample_weight is None else sample_weight
    used = slice(None) if subset is None else subset
    if class_weight is not None:
        assert labels is not None
        weight = weight * _class_factors(class_weight, labels[used], n_classes, weight[used], total)[labels]
    used_sum, n_used = total(np.asarray([weight[used].sum(), len(weight[used])]))
    mean = float(used_sum / n_used)
    if not np.isfinite(mean):
        raise ValueError("sample_weight and class_weight overflow: expected weights whose sum is a finite number")
    if mean == 0:
        raise ValueError("sample_weight and class_weight leave no row to train on: all weights are 0")
    return cast(Host, weight / mean)


def _class_factors(given: object, labels: Host, n_classes: int, weight: Host, total: Callable[[Host], Host]) -> Host:
    """The factor of each class (n_classes,)."""
    if isinstance(given, str) and given == "balanced":
        counts = total(np.bincount(labels, weights=weight, minlength=n_classes))
        present = np.count_nonzero(counts)
        return cast(Host, counts.sum() / (np.maximum(counts, 1e-300) * max(1, present)))
    if not isinstance(given, dict):
        raise ValueError(f"class_weight must be 'balanced' or a dict of class numbers and weights, got {given!r:.80}")
    factors = np.ones(n_classes)
    for label, value in given.items():
        label = integer("class_weight: a class", label, 0)
        if label >= n_classes:
            raise ValueError(f"class_weight: there is no class {label}, the classes are 0 to {n_classes - 1}")
        factors[label] = number(f"class_weight[{label}]", value, 0)
    return factors


def split(n: int, fraction: float, labels: Host | None, seed: int) -> tuple[Host, Host]:
    """Rows to train on and rows to validate with, as sorted int32 arrays on the host; by class if there are labels.

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
    return np.sort(order[~chosen]).astype("int32"), np.sort(order[chosen]).astype("int32")
