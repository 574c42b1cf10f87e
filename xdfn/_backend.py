"""The seam between xdfn and the array libraries: which namespace an array belongs to, how values cross to and from
the host, and how a run of training steps is executed. It is the only file that knows a library by name.

Everything above it is written against `xp`, the array-API namespace of its input (https://data-apis.org/array-api).
"""

import functools
import importlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj
from array_api_compat import device as _device
from array_api_compat import to_device as _to_device

from xdfn import _cupy, _numpy
from xdfn._blas import add_product, add_scaled
from xdfn._pieces import in_pieces, keep_pages
from xdfn._tape import Recorded, Taped
from xdfn._trees import Tree, leaves, tree_map

Array = Any


class Place(NamedTuple):
    """Where arrays live: a library and one of its devices."""

    xp: ModuleType
    device: Any

    @property
    def library(self) -> str:
        return _library(self.xp)

    def __str__(self) -> str:
        return f"{self.library} ({self.device})"


_NAMESPACES: dict[type, ModuleType] = {}


def namespace(x: Array) -> ModuleType:
    """The array-API namespace of `x`, looked up once per type of array.

    Raises
    ------
    ValueError
        `x` is not an array.
    """
    xp = _NAMESPACES.get(type(x))
    return xp if xp is not None else _find_namespace(x)


def _find_namespace(x: Array) -> ModuleType:
    if type(x).__name__ in ("MaskedArray", "matrix"):
        raise ValueError(f"expected a plain array, got a {type(x).__name__}; numpy.asarray(...) makes one")
    if isinstance(x, (np.ndarray, np.generic)):
        xp: ModuleType = _numpy  # array_api_compat's wrapper costs 100 ms to import and adds nothing from NumPy 2 on
    elif is_array_api_obj(x):
        xp = array_namespace(x)
    elif type(x).__module__.startswith("cupy._core"):  # what CuPy's tracer passes to a function that it fuses
        xp = _fusing()
    else:
        raise ValueError(
            f"expected an array (NumPy, CuPy, PyTorch, JAX, ...), got {type(x).__name__}; numpy.asarray(...) makes one"
        )
    _NAMESPACES[type(x)] = xp
    return xp


@functools.cache
def _fusing() -> ModuleType:
    cupy, xp = importlib.import_module("cupy"), ModuleType("array_api_compat.cupy")
    vars(xp).update(vars(cupy), __name__=xp.__name__)
    xp.astype = lambda x, dtype, copy=True: x.astype(dtype)  # type: ignore[attr-defined]
    return xp


@functools.cache
def _library(xp: ModuleType) -> str:
    return "numpy" if xp is _numpy else xp.__name__.removeprefix("array_api_compat.").split(".")[0]


def place(x: Array) -> Place:
    """The library and the device of an array."""
    if type(x) is np.ndarray:
        return _HOST
    return Place(namespace(x), _device(x))


_IMPORTS = {
    "numpy": "xdfn._numpy",
    "cupy": "array_api_compat.cupy",
    "torch": "array_api_compat.torch",
    "jax": "jax.numpy",
    "array_api_strict": "array_api_strict",
}


def resolve_place(target: Any) -> Place:
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
            return place(target)
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
        return Place(xp, _device(xp.empty(0, dtype=xp.float32, device=device)))
    except Exception as error:
        raise ValueError(f"{target!r} is not to be had: {type(error).__name__}: {error!s:.200}") from error


def _named_device(library: str, xp: ModuleType, name: str) -> Any:
    if library == "cupy":
        return xp.cuda.Device(int(name))
    if library == "jax":
        kind, _, number = name.partition(":")
        return importlib.import_module("jax").devices(kind)[int(number or 0)]
    return {"torch": lambda: xp.device(name), "array_api_strict": lambda: xp.Device(name)}.get(library, lambda: name)()


def _import(library: str) -> ModuleType:
    try:
        return importlib.import_module(_IMPORTS[library])
    except ImportError as error:
        raise ValueError(f"{library!r} was asked for and cannot be imported ({error}); install it first") from error


def arange(n: int, dtype: str, like: Array, *, own: bool = False) -> Array:
    """0, 1, ..., n - 1 on the device of `like`; to be written over only if asked for as one's `own`."""
    if isinstance(like, Taped):
        return like.tape.counted(n, dtype, own)
    xp = namespace(like)

    def make() -> Array:
        return xp.arange(n, dtype=getattr(xp, dtype), device=_device(like))

    return make() if own else _constant(("arange", n, dtype), make, like)


def ones_row(like: Array) -> Array:
    """Ones (1, n) for an array (n, m), whose product with it are the sums of its columns. Not to be written over."""
    xp, n = namespace(like), like.shape[-2]
    device = {} if _compiles(xp) else {"device": _device(like)}  # traced arrays have none
    return _constant(("ones", n, like.dtype), lambda: xp.ones((1, n), dtype=like.dtype, **device), like)


_CONSTANTS: dict[Any, Array] = {}


def _constant(what: tuple[Any, ...], make: Callable[[], Array], like: Array) -> Array:
    """An array that is made once for each library and device."""
    xp = namespace(like)
    if _compiles(xp):  # where nothing traced may outlive the trace
        return make()
    kind = (*what, xp, None if isinstance(like, np.ndarray) else str(_device(like)))
    if kind not in _CONSTANTS:
        if len(_CONSTANTS) >= 64:
            _CONSTANTS.clear()
        _CONSTANTS[kind] = make()
    return _CONSTANTS[kind]


def read(numbers: Sequence[Array], *vectors: Array) -> list[list[float]]:
    """0-d arrays of one dtype, together, and vectors of it, as Python numbers, in one read of the device."""
    if isinstance(numbers[0], (np.ndarray, np.generic)):
        return [[float(x) for x in numbers], *(x.tolist() for x in vectors)]
    packed: list[float] = to_numpy(_packed(*numbers, *vectors)).tolist()
    stops = itertools.accumulate((len(numbers), *(x.shape[0] for x in vectors)))
    return [packed[start:stop] for start, stop in itertools.pairwise((0, *stops))]


_HOST = Place(_numpy, _device(np.empty(0)))


def same_place(a: Place, b: Place) -> bool:
    return a.xp is b.xp and a.device == b.device


def require_array(name: str, x: Any, ndim: int) -> None:
    """Raise ValueError, naming the argument, unless x is an array with that many axes."""
    try:
        namespace(x)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if x.ndim != ndim:
        raise ValueError(f"{name} must be {ndim}-d, got shape {tuple(x.shape)}; reshape it")


def require_place(where: Place, mend: str, **arrays: Array) -> None:
    """Raise ValueError unless all arrays are on `where`; the message names both places and says how to mend it."""
    for name, x in arrays.items():
        if x is not None and not same_place(place(x), where):
            raise ValueError(f"{name} is on {place(x)}, expected {where}: {mend}")


def to_numpy(x: Array) -> np.ndarray[Any, Any]:
    """A NumPy array with the values of `x`. Reads the device. May share memory with `x`."""
    library = _library(namespace(x))
    if library == "torch":
        return np.asarray(x.detach().cpu())
    if library == "cupy":
        return np.asarray(x.get())
    if library in ("numpy", "jax"):
        return np.asarray(x)
    return np.from_dlpack(x)


def put(host: Any, where: Place, dtype: Any = None) -> Array:
    """A host array on `where`, in `dtype`. May share memory with `host` where the library can."""
    host = np.asarray(host)
    if where.xp is _numpy:
        return np.asarray(host, dtype)
    if where.library == "jax":  # whose asarray takes ten times as long
        return importlib.import_module("jax").device_put(host.astype(dtype or host.dtype, copy=False), where.device)
    if not host.flags.writeable:  # PyTorch warns of a read-only array
        host = host.copy()
    return where.xp.asarray(host, dtype=dtype, device=where.device)


def uploads(arrays: Sequence[Array], parts: Iterator[Any], where: Place) -> Iterator[list[Array]]:
    """The rows of host arrays that each of the index arrays names, on `where`, in turn.

    On CuPy what is given is written over after the next but one; the copies run beside what computes with the part
    before.
    """
    if where.library == "cupy":
        yield from _cupy.uploads(arrays, parts)
    else:
        for rows in parts:
            yield [put(np.take(x, rows, axis=0), where) for x in arrays]


def has_float64(xp: ModuleType) -> bool:
    """Whether arrays can be float64: always, but for JAX without its x64 switch."""
    return _library(xp) != "jax" or bool(importlib.import_module("jax").config.jax_enable_x64)


def move(x: Array, where: Place) -> Array:
    """`x` on another place, in the same precision. Through the host where the library changes."""
    if namespace(x) is where.xp:
        return x if _device(x) == where.device else _to_device(x, where.device)
    host = to_numpy(x)
    if host.dtype == np.float64 and not has_float64(where.xp):
        raise ValueError("JAX holds float64 only after jax.config.update('jax_enable_x64', True); got float64 values")
    return put(host, where, getattr(where.xp, host.dtype.name))


def real_dtype(x: Array) -> Any:
    """The dtype in which a network for `x` trains: float64 for that and what is wider, else float32."""
    xp, name = namespace(x), getattr(x.dtype, "name", str(x.dtype))  # by name, for NumPy's >f8 is float64 too
    return xp.float64 if name.endswith(("float64", "float96", "float128", "longdouble")) else xp.float32


def real_name(dtype: Any) -> str:
    """``"float32"`` or ``"float64"``, for one of these dtypes of any library."""
    return "float64" if "float64" in str(dtype) else "float32"


def as_real(x: Any) -> Array:
    """`x` as an array of real floating numbers.

    Python numbers and lists go to NumPy, integers to the library's default precision.
    """
    if not is_array_api_obj(x):
        x = np.asarray(x)
    xp = namespace(x)
    return x if xp.isdtype(x.dtype, "real floating") else xp.astype(x, xp.asarray(0.0).dtype)


def copy(tree: Tree) -> Tree:
    """The tree with fresh arrays. Counters pass through."""
    arrays = [leaf for leaf in leaves(tree) if not isinstance(leaf, int)]
    if arrays and _compiles(namespace(arrays[0])):
        copies = iter(_copies()(arrays))
        return tree_map(lambda leaf: leaf if isinstance(leaf, int) else next(copies), tree)
    return tree_map(lambda leaf: leaf if isinstance(leaf, int) else namespace(leaf).asarray(leaf, copy=True), tree)


@functools.cache
def _copies() -> Callable[..., Any]:
    """All arrays of a list copied in one call of JAX."""
    jax = importlib.import_module("jax")
    copies: Callable[..., Any] = jax.jit(lambda arrays: [jax.numpy.copy(x) for x in arrays])
    return copies


def together(function: Callable[..., Array]) -> Callable[..., Array]:
    """Decorator for a function of arrays alone, which a library with a compiler computes in one call."""

    @functools.cache
    def compiled() -> Callable[..., Array]:
        jitted: Callable[..., Array] = importlib.import_module("jax").jit(function)
        return jitted

    @functools.wraps(function)
    def call(x: Array, *others: Array) -> Array:
        return compiled()(x, *others) if _compiles(namespace(x)) else function(x, *others)

    return call


@together
def _packed(x: Array, *others: Array) -> Array:
    xp = namespace(x)
    return xp.concat([xp.reshape(value, (-1,)) for value in (x, *others)])


# ---- how a run of steps is executed -------------------------------------------------------------------------------


def flat(xp: ModuleType) -> bool:
    """Whether parameters that share an optimizer live in one vector.

    One pass over one vector is what an eager library wants. A compiler fuses the passes anyhow, and slices of a large
    vector become copies in front of every product: on JAX the notebook's step took 390 us with one array per
    parameter and 490 us with one vector.
    """
    return not _compiles(xp)


def _compiles(xp: ModuleType) -> bool:
    return _library(xp) == "jax"


def writes(x: Array) -> bool:
    """Whether the library writes results into given arrays (`out=`, `x[...] = y`) that its views share."""
    return _library(namespace(x)) in ("numpy", "cupy", "torch")


def product(gradient: Any) -> Array:
    """A gradient as an array: a pair (A, B) stands for the product A B."""
    return gradient[0] @ gradient[1] if isinstance(gradient, tuple) else gradient


def concatenate(pieces: Sequence[Any]) -> Array:
    """The pieces, arrays or pairs (A, B) that stand for the product A B, end to end in one vector."""
    arrays = [product(piece) for piece in pieces]
    xp = namespace(arrays[0])
    return xp.concat([xp.reshape(x, (-1,)) for x in arrays])


def subtract(rate: float, piece: Any, out: Array) -> None:
    """out -= rate piece, an array or a pair (A, B), in place; the product needs no array of its own where BLAS can."""
    if not isinstance(piece, tuple) or not _subtract_product(rate, piece[0], piece[1], out):
        out -= rate * product(piece)


def _subtract_product(rate: float, a: Array, b: Array, out: Array) -> bool:
    """out -= rate a b by one call of the library's BLAS, if that can be; whether it was."""
    if out.ndim != 2 or not a.dtype == b.dtype == out.dtype:
        return False
    if isinstance(out, np.ndarray):
        return add_product(out, a, b, -rate)
    library = _library(namespace(out))
    if library == "torch":
        out.addmm_(a, b, alpha=-rate)
    elif library == "cupy":
        importlib.import_module("cupy.cublas").gemm("N", "N", a, b, out=out, alpha=-rate, beta=1.0)
    return library in ("torch", "cupy")


def axpby(a: Any, x: Array, b: Any, y: Array) -> Array:
    """a x + b y, under the name that BLAS gives it, for a number b. Consumes y, which holds the result where it can."""
    if not isinstance(y, np.ndarray) or not add_scaled(a, x, b, y):
        if type(b) is not float or b != 1.0:  # a traced number cannot be asked
            y *= b
        y += a * x
    return y


def write(piece: Any, out: Array) -> None:
    """Put a gradient, an array or a pair (A, B), straight where it belongs: a product needs no array of its own."""
    if isinstance(piece, tuple):
        namespace(out).matmul(*piece, out=out)
    else:
        out[...] = piece


_KERNELS: dict[Any, _cupy.Kernel] = {}


def fuses(x: Array) -> bool:
    """Whether the library of x makes kernels of functions, as `fused` asks for."""
    return _library(namespace(x)) == "cupy"


def fused(key: Any, function: Callable[..., Any], like: Array) -> Callable[..., Any]:
    """The function, of arrays and Python numbers, as one kernel where the library makes kernels of functions.

    `key`, a name and all that the function depends on beside its arguments, tells it from others.
    """
    if not fuses(like):
        return function
    if key not in _KERNELS:
        _KERNELS[key] = _cupy.Kernel(key[0], function)
    return _KERNELS[key]


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator for functions of arrays and numbers that depend on nothing else: see `fused`."""

    @functools.wraps(function)
    def call(x: Array, *args: Any) -> Any:
        if isinstance(x, np.ndarray):
            return function(x, *args)
        return fused((function.__name__.strip("_"),), function, x)(x, *args)

    return call


def elementwise(
    key: tuple[Any, ...],
    function: Callable[..., tuple[Array, ...]],
    *arrays: Array,
    numbers: tuple[Any, ...] = (),
    whole: bool = False,
) -> tuple[Array, ...]:
    """function(*arrays, *numbers), which gives new values for the first of the arrays, element by element.

    Where the library writes into given arrays, the values are in those that were given. CuPy does it in one kernel,
    for which `key` stands as in `fused`. NumPy does it in pieces that fit the cache. Neither if the function wants the
    `whole`.
    """
    if not writes(arrays[0]):
        return function(*arrays, *numbers)

    def work(piece: slice) -> None:
        given = [x[piece] for x in arrays]
        for x, new in zip(given, function(*given, *numbers), strict=False):
            if new is not x:
                x[...] = new

    if fuses(arrays[0]) and not whole:

        def in_place(*arrays_and_numbers: Any) -> None:
            for x, new in zip(arrays_and_numbers, function(*arrays_and_numbers), strict=False):
                if new is not x:
                    x[...] = new

        fused(key, in_place, arrays[0])(*arrays, *numbers)
    elif isinstance(arrays[0], np.ndarray) and not whole:
        in_pieces(work, arrays[0].shape[0])
    else:
        work(slice(None))
    return arrays


# NumPy alone warns of an overflow, and array-api-strict, which computes with it; used as a decorator.
overflow_is_fine = np.errstate(over="ignore")


def computing(x: Array) -> AbstractContextManager[Any]:
    """The context in which all computing with x takes place: on its device, without tape and without warnings, since
    the gradients are our own and a divergence is reported at the end of the epoch.
    """
    library = _library(namespace(x))
    if library in ("torch", "cupy"):
        context: AbstractContextManager[Any] = namespace(x).no_grad() if library == "torch" else x.device
        return context
    keep_pages()
    return np.errstate(all="ignore")  # NumPy, and what computes with it


def advance(
    net: Any,
    state: Any,
    X: Array,
    y: Array,
    order: Array,
    batch_size: int,
    weight: Array | None = None,
    clock: Any = (1, 1.0),
) -> tuple[Any, Array]:
    """Run the steps that `order` asks for, one for each `batch_size` of its rows; return the state and the last loss.

    To be called within `computing`.

    Parameters
    ----------
    net : Network
        What to train. Its `step` is called, or compiled.
    state : TrainState
        Consumed: its arrays may be written over.
    X, y : array (n, n_in), array (n,) or (n, n_out)
        Rows are taken as they are needed; no copy of the whole is made.
    order : int32 array (n_steps * batch_size,)
        On the device of `X`.
    weight : array (n,), optional
        Weights of the rows, with mean 1.
    clock : Clock
    """
    n_steps = order.shape[0] // batch_size
    n_batches, share = clock
    if _compiles(namespace(X)) and net.pure:
        times = [(state.step + i, state.epoch + (state.batch + i) / n_batches, share) for i in range(n_steps)]
        hypers = [net.hyper(*time) for time in times]
        return _scan(net, state, X, y, order, batch_size, weight, hypers)
    workspace = net.workspace(state)
    eager, recorded = n_steps, None
    if net.repeats and isinstance(X, np.ndarray):
        kind = batch_size, share, X.dtype, y.dtype, y.shape[1:], weight is None
        recorded = workspace.recorded.get(kind)
        if recorded is None:
            recorded = workspace.recorded[kind] = Recorded()
        eager = recorded.before(n_steps)
    loss = None
    for i in range(eager):
        rows = order[i * batch_size : (i + 1) * batch_size]
        x_i, y_i = _rows(X, y, rows)
        w_i = 1.0 / batch_size if weight is None else _take(weight, rows) / batch_size
        hyper = net.hyper(state.step, state.epoch + state.batch / n_batches, share)
        state, loss = net.step(state, x_i, y_i, w_i, hyper, workspace)
    if recorded is not None and eager < n_steps:
        advanced: tuple[Any, Array] = recorded.advance(
            net, workspace, state, X, y, order[eager * batch_size :], batch_size, weight, clock
        )
        return advanced
    return state, loss


def _rows(X: Array, y: Array, rows: Array) -> tuple[Array, Array]:
    """A batch's rows of X and y."""
    together = _cupy.take_rows(X, y, rows) if _library(namespace(X)) == "cupy" else None
    return together or (_take(X, rows), _take(y, rows))


def _take(x: Array, rows: Array) -> Array:
    """Rows of x, by numbers that are not negative, which array_api_compat asks PyTorch's about by three kernels."""
    xp = namespace(x)
    return x.index_select(0, rows) if _library(xp) == "torch" else xp.take(x, rows, axis=0)


def cross_entropy(z: Array, y: Array, weight: Any) -> tuple[Array, Array] | None:
    """Its values (n,) and its gradient (n, m) by one kernel, if the library has that; see `losses.CrossEntropy`."""
    if isinstance(z, np.ndarray) or not fuses(z):
        return None
    return _cupy.cross_entropy(z, y, weight)


def _scan(
    net: Any, state: Any, X: Array, y: Array, order: Array, batch_size: int, weight: Array | None, hypers: list[Any]
) -> tuple[Any, Array]:
    """The same as one compiled loop. The steps' numbers are arguments, so a new learning rate compiles nothing."""
    dtype = state.sums["loss"].dtype
    rows = tree_map(lambda *values: np.asarray(values, np.int32 if isinstance(values[0], int) else dtype), *hypers)
    n_steps = len(hypers)
    arrays, loss = _compiled()(_Static(net), state.arrays(), X, y, order.reshape(n_steps, batch_size), weight, rows)
    return state.with_arrays(arrays, n_steps), loss


class _Static:
    """A network as a static argument of a compiled function: equal where the compiled code is the same."""

    def __init__(self, net: Any) -> None:
        self.net, self.key = net, net.key()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Static) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@functools.lru_cache(maxsize=1)
def _compiled() -> Callable[..., Any]:
    jax = importlib.import_module("jax")

    def run(static: _Static, arrays: Any, X: Array, y: Array, order: Array, weight: Array | None, hypers: Any) -> Any:
        net, xp = static.net, namespace(X)

        def body(arrays: Any, step: Any) -> Any:
            rows, hyper = step
            w = 1.0 / rows.shape[0] if weight is None else xp.take(weight, rows, axis=0) / rows.shape[0]
            state = net.state(arrays)
            state, loss = net.step(state, xp.take(X, rows, axis=0), xp.take(y, rows, axis=0), w, hyper)
            return state.arrays(), loss

        arrays, losses = jax.lax.scan(body, arrays, (order, hypers))
        return arrays, losses[-1]

    compiled: Callable[..., Any] = jax.jit(run, static_argnums=0, donate_argnums=1)
    return compiled
