"""The place of an array, that is, its library and its device; and the traits of libraries."""

import functools
import importlib
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import NamedTuple, cast

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj
from array_api_compat import device as device_of

from xdfn.backend import _numpy, _torch
from xdfn.backend.array import Array, DType, Foreign, Namespace


class Traits(NamedTuple):
    """The abilities of a library. They decide how a step of training is run there."""

    writes: bool = False  # results into given arrays (`out=`, `x[...] = y`) that its views share
    compiles: bool = False  # whole runs of steps into one program
    records: bool = False  # the calls that a step makes, to make them again
    fuses: bool = False  # a Python function of arrays into one kernel
    tapes: bool = False  # operations, to differentiate or to map them: what one has seen must not be written over

    @property
    def packs(self) -> bool:
        """Whether parameters that share an optimizer should lie end to end in one vector.

        An eager library wants one pass over one vector. A compiler fuses the passes anyway, and slices of a large
        vector become copies in front of every product: on JAX the notebook's step took 390 us with one array per
        parameter and 490 us with one vector.
        """
        return not self.compiles


_TRAITS = {
    "numpy": Traits(writes=True, records=True),
    "cupy": Traits(writes=True, fuses=True),
    "torch": Traits(writes=True, tapes=True),
    "jax": Traits(compiles=True),
    "xdfn": Traits(tapes=True),  # of export: symbols, which remember what they are made of
}


class Place(NamedTuple):
    """A library, by its array-API namespace, and one of its devices."""

    xp: Namespace
    device: object

    @property
    def library(self) -> str:
        return library_of(self.xp)

    @property
    def traits(self) -> Traits:
        return _TRAITS.get(self.library, Traits())

    def __str__(self) -> str:
        return f"{self.library} ({self.device})"


_NAMESPACES: dict[type, Namespace] = {}
_TRAITS_OF_TYPE: dict[type, Traits] = {}


def namespace(x: Array) -> Namespace:
    """The array-API namespace of `x`, looked up once per type of array.

    Raises
    ------
    ValueError
        `x` is not an array.
    """
    xp = _NAMESPACES.get(type(x))
    return xp if xp is not None else _find_namespace(x)


def is_array(x: object) -> bool:
    """Whether x is an array of any library."""
    return type(x) in _NAMESPACES or is_array_api_obj(x)


def traits(x: Array) -> Traits:
    """The traits of the library of `x`."""
    found = _TRAITS_OF_TYPE.get(type(x))
    if found is None:
        found = _TRAITS_OF_TYPE[type(x)] = _TRAITS.get(library_of(namespace(x)), Traits())
    return found


def _find_namespace(x: object) -> Namespace:
    if type(x).__name__ in ("MaskedArray", "matrix"):
        raise ValueError(f"expected a plain array, got a {type(x).__name__}; numpy.asarray(...) makes one")
    if isinstance(x, (np.ndarray, np.generic)):
        xp: Namespace = _numpy  # array_api_compat's wrapper costs 100 ms to import and adds nothing from NumPy 2 on
    elif is_array_api_obj(x):
        xp = array_namespace(x)
        if library_of(xp) == "torch":
            xp = _torch.namespace()
    elif type(x).__module__.startswith("cupy._core"):  # CuPy's tracer passes these to a function that it fuses
        xp = _namespace_of_tracer()
    else:
        raise ValueError(
            f"expected an array (NumPy, CuPy, PyTorch, JAX, ...), got {type(x).__name__}; numpy.asarray(...) makes one"
        )
    _NAMESPACES[type(x)] = xp
    return xp


@functools.cache
def _namespace_of_tracer() -> Namespace:
    cupy, xp = importlib.import_module("cupy"), ModuleType("array_api_compat.cupy")
    vars(xp).update(vars(cupy), __name__=xp.__name__, astype=lambda x, dtype, copy=True: x.astype(dtype))
    return cast(Namespace, xp)


@functools.cache
def library_of(xp: Namespace) -> str:
    """The name of a namespace's library, such as ``"numpy"``."""
    name = cast(ModuleType, xp).__name__
    return "numpy" if xp is _numpy else name.removeprefix("array_api_compat.").split(".")[0]


def place(x: Array) -> Place:
    """The library and the device of an array."""
    kind: object = type(x)
    if kind is np.ndarray:
        return HOST
    return Place(namespace(x), device_of(x))


HOST = Place(_numpy, device_of(np.empty(0)))

_IMPORTS = {
    "numpy": "xdfn.backend._numpy",
    "cupy": "array_api_compat.cupy",
    "torch": "array_api_compat.torch",
    "jax": "jax.numpy",
    "array_api_strict": "array_api_strict",
}


def resolve_place(target: object) -> Place:
    """The place that `target` means: an array's, a device object's, or that of ``"cupy:1"``, ``"torch:cuda:0"``.

    Raises
    ------
    ValueError
        A library or a device that is unknown or not installed.
    """
    if isinstance(target, Place):
        return target
    if not isinstance(target, str):
        if is_array_api_obj(target):
            return place(cast(Array, target))
        library = type(target).__module__.split(".")[0].replace("jaxlib", "jax")
        if library not in _IMPORTS:
            raise ValueError(
                "expected an array, a device, or a string such as 'cupy:1', "
                f"got {type(target).__name__}: {target!r:.80}"
            )
        return Place(_import(library), target)
    library, _, index = target.partition(":")
    if library not in _IMPORTS:
        raise ValueError(
            f"unknown library {library!r} in {target!r}: known are {', '.join(_IMPORTS)}, "
            "with a device after a colon, as in 'cupy:1' or 'torch:cuda:0'"
        )
    xp = _import(library)
    try:
        device = _named_device(library, xp, index) if index else None
        return Place(xp, device_of(xp.empty(0, dtype=xp.float32, device=device)))
    except Exception as error:
        raise ValueError(f"cannot use {target!r}: {type(error).__name__}: {error!s:.200}") from error


def _named_device(library: str, xp: Namespace, name: str) -> object:
    if library == "cupy":
        return importlib.import_module("cupy").cuda.Device(int(name))
    if library == "jax":
        kind, _, number = name.partition(":")
        return importlib.import_module("jax").devices(kind)[int(number or 0)]
    by_name: dict[str, Callable[[], object]] = {
        "torch": lambda: xp.device(name),
        "array_api_strict": lambda: xp.Device(name),
    }
    return by_name.get(library, lambda: name)()


def _import(library: str) -> Namespace:
    try:
        return _torch.namespace() if library == "torch" else cast(Namespace, importlib.import_module(_IMPORTS[library]))
    except ImportError as error:
        extra = {"cupy": 'cuda12]" or "xdfn[cuda13', "torch": "torch", "jax": "jax"}.get(library)
        mend = f'pip install "xdfn[{extra}]"' if extra else "install it first"
        raise ValueError(f"cannot import {library!r} ({error}); {mend}") from error


def require_array(name: str, x: Array, ndim: int) -> None:
    """Raise ValueError, naming the argument, unless x is an array with that many axes."""
    try:
        namespace(x)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if x.ndim != ndim:
        raise ValueError(f"{name} must be {ndim}-d, got shape {tuple(x.shape)}{_advice(name, x, ndim)}")


def function_name(x: Array, function: str) -> str:
    """What a user writes to call a function of the library of x, such as ``numpy.reshape``, which takes frames too."""
    library = library_of(namespace(x))
    return f"{'jax.numpy' if library == 'jax' else library}.{function}"


def _advice(name: str, x: Array, ndim: int) -> str:
    """How to bring an array to that many axes."""
    reshape = function_name(x, "reshape")
    if (x.ndim, ndim) == (1, 2):
        return f"; {reshape}({name}, (-1, 1)) makes one column of it, {reshape}({name}, (1, -1)) one row"
    if ndim == 1 and math.prod(x.shape) == max(x.shape, default=0):
        return f"; {reshape}({name}, (-1,)) makes it so"
    if ndim == 2 and x.ndim > 2:
        return f"; {reshape}({name}, ({x.shape[0]}, -1)) makes one row of each sample"
    return ""


def require_shape(name: str, x: Array, shape: tuple[int, ...]) -> None:
    """Raise ValueError, naming the argument, unless x has that shape."""
    given = tuple(x.shape)
    if given == shape:
        return
    advice = (
        f"; {function_name(x, 'reshape')}(..., {shape}) makes it so" if math.prod(given) == math.prod(shape) else ""
    )
    if len(shape) == 2 and given == shape[::-1]:
        advice = "; its transpose has: PyTorch's weights are (n_out, n_in), these (n_in, n_out)"
    raise ValueError(f"{name} must have shape {shape}, got {given}{advice}")


def require_place(where: Place, mend: str, **arrays: Array | None) -> None:
    """Raise ValueError unless all arrays are on `where`; the message names both places and says how to mend it."""
    for name, x in arrays.items():
        if x is not None and place(x) != where:
            raise ValueError(f"{name} is on {place(x)}, expected {where}: {mend}")


def has_float64(xp: Namespace) -> bool:
    """Whether arrays can be float64: always, except on JAX without its x64 switch."""
    return library_of(xp) != "jax" or bool(importlib.import_module("jax").config.jax_enable_x64)


def real_dtype(x: Array) -> DType:
    """The dtype in which a network for `x` trains: float64 for float64 and wider ones, else float32."""
    xp, name = namespace(x), getattr(x.dtype, "name", str(x.dtype))  # by name, for NumPy's >f8 is float64 too
    return xp.float64 if name.endswith(("float64", "float96", "float128", "longdouble")) else xp.float32


def real_name(dtype: DType) -> str:
    """``"float32"`` or ``"float64"``, for one of these dtypes of any library."""
    return "float64" if "float64" in str(dtype) else "float32"


def tiny(x: Array) -> float:
    """The smallest positive normal number in the dtype of x: what keeps a logarithm or a quotient finite."""
    return _finfo(x)[0]


def largest(x: Array) -> float:
    """The largest finite number in the dtype of x."""
    return _finfo(x)[1]


def eps(x: Array) -> float:
    """The distance from 1 to the next number in the dtype of x."""
    return _finfo(x)[2]


_FINFO: dict[tuple[type, DType], tuple[float, float, float]] = {}


def _finfo(x: Array) -> tuple[float, float, float]:
    kind = type(x), x.dtype
    if kind not in _FINFO:
        found: Foreign = namespace(x).finfo(x.dtype)
        _FINFO[kind] = float(found.smallest_normal), float(found.max), float(found.eps)
    return _FINFO[kind]


def computing(x: Array, *, tape: bool = False) -> AbstractContextManager[object]:
    """The context in which all computing with x takes place.

    On its device, without a library's own tape, since the gradients are ours, unless `tape` lets it run, and without
    warnings, since a divergence is reported at the end of the epoch.
    """
    xp = namespace(x)
    if traits(x).tapes:
        if tape:
            return nullcontext()
        _numpy.keep_pages()  # PyTorch's arrays on the host are of the same C library
        return xp.no_grad()  # type: ignore[return-value]
    library = library_of(xp)
    if library == "cupy":
        device: AbstractContextManager[object] = x.device  # type: ignore[attr-defined]
        return device
    if library == "numpy":
        _numpy.keep_pages()
    return np.errstate(all="ignore")  # for NumPy, and libraries that compute with NumPy
