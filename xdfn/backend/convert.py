"""Array-likes become arrays: lists, frames and series, and whatever speaks DLPack or `__array__`. This is the one place
where that happens. An array of a library that xdfn knows stays as it is.
"""

import importlib
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Protocol, cast

import numpy as np

from xdfn.backend.array import Array, Foreign, Host
from xdfn.backend.place import _NAMESPACES, HOST, Place, namespace
from xdfn.backend.transfer import put

_ON_HOST, _ON_GPU = (
    (1, 3),
    (2, 13),
)  # DLPack's numbers of devices: memory of the CPU, pinned or not; CUDA, managed or not


class HasArray(Protocol):
    """What NumPy can make an array of: a frame or a series of pandas and polars, and much else."""

    def __array__(self) -> Host: ...


class HasDLPack(Protocol):
    """What hands its memory over without a copy (https://dmlc.github.io/dlpack)."""

    def __dlpack__(self) -> object: ...


ArrayLike = Array | HasArray | HasDLPack | Iterable[float] | Iterable[Iterable[float]]


def as_array(name: str, x: ArrayLike, where: Callable[[], Place] = lambda: HOST) -> Array:
    """`x` as an array, without a copy where that can be.

    Parameters
    ----------
    name : str
        What errors call it.
    x : array, or array-like
        An array is returned as it is. What lies on a GPU becomes an array of CuPy, there.
    where : callable
        Asked for the place to which values go that are of no library: those of lists, frames, and other things on the
        host.

    Raises
    ------
    ValueError
        Something of which no array of numbers can be made.
    """
    if type(x) in _NAMESPACES:
        if hasattr(x, "layout"):
            _require_dense(name, x)
        return cast(Array, x)
    if _is_array(name, x):
        return cast(Array, x)
    converted = _converted(name, x)
    is_real = isinstance(converted, np.ndarray) and converted.dtype.kind in "biuf"
    return put(converted, place) if is_real and (place := where()) != HOST else converted


def _is_array(name: str, x: object) -> bool:
    """Whether xdfn knows the library of x. Arrays that hide some of their values are none."""
    if isinstance(x, np.ma.MaskedArray):
        raise ValueError(f"{name} is a masked array, expected one without a mask: {name}.filled(0), or another value")
    if isinstance(x, np.matrix):
        raise ValueError(f"{name} is a numpy.matrix, expected an array: numpy.asarray({name}) makes one")
    if hasattr(x, "__dask_graph__"):
        raise ValueError(
            f"{name} lies in the blocks of Dask: xdfn.dask.fit and xdfn.dask.predict take it, and {name}.compute() "
            "brings it into memory"
        )
    if hasattr(x, "tocsr"):
        raise ValueError(f"{name} is a sparse {type(x).__name__}, expected a dense array: {name}.toarray() makes one")
    _require_dense(name, x)
    try:
        namespace(cast(Array, x))
    except ValueError:
        return False
    return True


def _require_dense(name: str, x: object) -> None:
    """Raise ValueError for PyTorch's tensors of other kinds, for which it lacks most functions."""
    if getattr(x, "is_nested", False):
        raise ValueError(f"{name} is a nested tensor, expected an array whose rows are equally long")
    if "sparse" in str(getattr(x, "layout", "")):
        raise ValueError(f"{name} is a sparse tensor, expected a dense one: {name}.to_dense() makes one")


def _converted(name: str, x: object) -> Array:
    """x as an array of NumPy, or of CuPy if it lies on a GPU."""
    foreign: Foreign = x
    if hasattr(x, "to_cupy"):  # a frame on a GPU, which refuses `__array__`
        return cast(Array, foreign.to_cupy())
    if hasattr(x, "__dlpack__") and hasattr(x, "__dlpack_device__"):
        kind = int(foreign.__dlpack_device__()[0])
        if kind not in _ON_HOST + _ON_GPU:
            raise ValueError(f"{name} is on a device of DLPack's kind {kind}, expected a CPU or a CUDA device")
        library = "numpy" if kind in _ON_HOST else "cupy"
        return cast(Array, importlib.import_module(library).from_dlpack(x))
    if hasattr(x, "__cuda_array_interface__"):
        return cast(Array, importlib.import_module("cupy").asarray(x))
    if isinstance(x, (str, bytes, Mapping)) or not (hasattr(x, "__array__") or isinstance(x, (list, tuple, range))):
        raise ValueError(f"{name} must be an array, a frame or a list of numbers, got {type(x).__name__}: {x!r:.80}")
    try:
        values = np.asarray(foreign)
    except Exception as error:
        raise ValueError(f"no array can be made of {name} ({type(error).__name__}: {error!s:.200})") from error
    framed = hasattr(x, "columns") and hasattr(x, "to_dummies")  # polars makes numbers of dates
    special = hasattr(x, "to_numpy") and (values.dtype == object or framed)
    return cast(Array, _with_gaps(name, foreign) if special else values)


def _with_gaps(name: str, x: Foreign) -> Host:
    """A frame or a series of columns that hold numbers with gaps, or bools beside numbers; a gap is NaN.

    Raises
    ------
    ValueError
        A column holds something else; they are named.
    """
    if not hasattr(x, "columns"):
        return _numbers(x) if _is_numeric(x) else np.asarray(x)
    columns = [x.iloc[:, i] if hasattr(x, "iloc") else x[:, i] for i in range(len(x.columns))]
    others = [name for name, column in zip(x.columns, columns, strict=True) if not _is_numeric(column)]
    if others:
        variable = name.rpartition(": ")[2]
        shown = ", ".join(map(repr, others[:5])) + (", ..." if len(others) > 5 else "")
        dummies = f"{variable}.to_dummies(" if hasattr(x, "to_dummies") else f"pandas.get_dummies({variable}, columns="
        raise ValueError(
            f"{name} must hold numbers, and the columns {shown} do not: {dummies}[...]) makes columns of 0 and 1 of "
            "them, one a category; numpy.unique(column, return_inverse=True)[1] numbers the categories, for the layer "
            "Embedding; or leave them out"
        )
    return _numbers(x)


def _is_numeric(column: Foreign) -> bool:
    """Whether a series holds numbers or bools, with or without gaps, if need be as objects."""
    if getattr(column.dtype, "is_temporal", bool)():
        return False
    kind = getattr(column.dtype, "kind", None) or np.asarray(column).dtype.kind
    return kind in "biuf" or (kind == "O" and all(x is None or isinstance(x, Real) for x in np.asarray(column)))


def _numbers(x: Foreign) -> Host:
    return np.asarray(x) if hasattr(x, "to_dummies") else cast(Host, x.to_numpy(dtype="float64", na_value=np.nan))
