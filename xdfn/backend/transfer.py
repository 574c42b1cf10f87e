"""Transfer of values: from the host to a device, from a device to the host, from one library to another. Reading a
value makes the host wait for the device, so all reading goes through here.
"""

import functools
import importlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVarTuple, cast

import numpy as np
from array_api_compat import to_device as _to_device

from xdfn.backend import _cupy, _numpy
from xdfn.backend.array import Array, DType, Foreign, Host
from xdfn.backend.place import Place, has_float64, is_array, library_of, namespace, place, traits
from xdfn.core.tree import Tree, leaves, tree_map

Ts = TypeVarTuple("Ts")


def to_numpy(x: Array) -> Host:
    """A NumPy array with the values of `x`. Reads the device. May share memory with `x`."""
    library = library_of(namespace(x))
    foreign: Foreign = x
    if library == "torch":
        return np.asarray(foreign.detach().cpu())
    if library == "cupy":
        return np.asarray(foreign.get())
    if library in ("numpy", "jax"):
        return np.asarray(foreign)
    return np.from_dlpack(foreign)


def put(host: object, where: Place, dtype: DType = None) -> Array:
    """A host array on `where`, in `dtype`. May share memory with `host` where the library can."""
    values = np.asarray(host)
    if where.xp is _numpy:
        array: Array = _numpy.asarray(values, dtype)
        return array
    if where.library == "jax":  # whose asarray takes ten times as long
        values = values.astype(dtype or values.dtype, copy=False)  # type: ignore[call-overload]  # its dtypes are NumPy's
        there: Array = importlib.import_module("jax").device_put(values, where.device)
        return there
    if not values.flags.writeable:  # PyTorch warns of a read-only array
        values = values.copy()
    return where.xp.asarray(values, dtype=dtype, device=where.device)


def to_place(x: Array, where: Place) -> Array:
    """`x` on another place, in the same precision. Through the host where the library changes."""
    here = place(x)
    if here.xp is where.xp:
        return x if here.device == where.device else cast(Array, _to_device(x, where.device))
    host = to_numpy(x)
    if host.dtype == np.float64 and not has_float64(where.xp):
        raise ValueError("JAX holds float64 only after jax.config.update('jax_enable_x64', True); got float64 values")
    return put(host, where, getattr(where.xp, host.dtype.name))


def stream_rows(arrays: Sequence[Host], parts: Iterator[Host], where: Place) -> Iterator[list[Array]]:
    """The rows of host arrays that each of the index arrays names, on `where`, in turn.

    On CuPy the arrays of one part are overwritten by those of the part after the next, and a part is copied while the
    device works on the part before.
    """
    if where.library == "cupy":
        yield from _cupy.stream_rows(arrays, parts)
    else:
        for rows in parts:
            yield [put(_numpy.take(x, rows, 0), where) for x in arrays]


def as_real(x: object) -> Array:
    """`x` as an array of real floating numbers.

    Python numbers and lists go to NumPy, integers to the library's default precision.
    """
    array = cast(Array, x if is_array(x) else np.asarray(x))
    xp = namespace(array)
    return array if xp.isdtype(array.dtype, "real floating") else xp.astype(array, xp.asarray(0.0).dtype)


def fresh_copy(tree: Tree) -> Tree:
    """The tree with fresh arrays. Counters pass through."""
    arrays = [leaf for leaf in leaves(tree) if not isinstance(leaf, int)]
    if arrays and traits(arrays[0]).compiles:
        copies = iter(_copy_all()(arrays))
        return tree_map(lambda leaf: leaf if isinstance(leaf, int) else next(copies), tree)
    return tree_map(lambda leaf: leaf if isinstance(leaf, int) else namespace(leaf).asarray(leaf, copy=True), tree)


@functools.cache
def _copy_all() -> Callable[[list[Array]], list[Array]]:
    """All arrays of a list copied in one call of JAX."""
    jax = importlib.import_module("jax")
    return cast(Callable[[list[Array]], list[Array]], jax.jit(lambda arrays: [jax.numpy.copy(x) for x in arrays]))


def jit_if_compiled(function: Callable[[Array, *Ts], Array]) -> Callable[[Array, *Ts], Array]:
    """Decorator for a function of arrays alone, which a library with a compiler computes in one call."""

    @functools.cache
    def compiled() -> Callable[[Array, *Ts], Array]:
        jitted: Callable[[Array, *Ts], Array] = importlib.import_module("jax").jit(function)
        return jitted

    @functools.wraps(function)
    def call(x: Array, *others: *Ts) -> Array:
        return compiled()(x, *others) if traits(x).compiles else function(x, *others)

    return call


@jit_if_compiled
def _packed(x: Array, *others: Array) -> Array:
    xp = namespace(x)
    return xp.concat([xp.reshape(value, (-1,)) for value in (x, *others)])


def read(numbers: Sequence[Array], *vectors: Array) -> list[list[float]]:
    """0-d arrays of one dtype, together, and vectors of it, as Python numbers, in one read of the device."""
    if isinstance((*numbers, *vectors)[0], (np.ndarray, np.generic)):
        return [[float(x) for x in numbers], *(x.tolist() for x in vectors)]  # type: ignore[arg-type, attr-defined]
    packed: list[float] = to_numpy(_packed(*numbers, *vectors)).tolist()
    stops = itertools.accumulate((len(numbers), *(x.shape[0] for x in vectors)))
    return [packed[start:stop] for start, stop in itertools.pairwise((0, *stops))]
