"""Operations for which a library may have a faster way than the array standard. Each is an expression in namespace
functions with, next to it, the way that saves a pass over memory, an allocation or a launch.
"""

import functools
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, TypeVarTuple

import numpy as np
from array_api_compat import device as device_of

from xdfn.backend import _cupy, _torch
from xdfn.backend._blas import add_product, add_scaled
from xdfn.backend._numpy import IN_CACHE, add_rows, in_pieces
from xdfn.backend._recorder import call_in_place
from xdfn.backend.array import Array, Foreign
from xdfn.backend.place import library_of, namespace, traits

Product = tuple[Array, Array]  # a pair (A, B) that stands for the product A B


@dataclass(frozen=True)
class RowSums:
    """Values (n, d) that stand for the matrix (n_rows, d) whose row c is the sum of the values[i] with rows[i] = c."""

    rows: Array
    values: Array
    n_rows: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.n_rows, self.values.shape[-1]


Gradient = Array | Product | RowSums


class Function(Protocol):
    """The attributes of an activation g that fusing needs."""

    fusable: bool

    def forward(self, z: Array) -> Array: ...
    def pullback(self, z: Array, a: Array, da: Array) -> Array: ...


# ---- new arrays ---------------------------------------------------------------------------------------------------


def counted(n: int, like: Array, start: int = 0) -> Array:
    """start, start + 1, ..., start + n - 1 as int32 on the device of `like`, to be written over."""
    xp = namespace(like)
    if isinstance(like, np.ndarray):
        return np.arange(start, start + n, dtype=np.int32, like=like)  # `like` may be a recorded array
    return xp.arange(start, start + n, dtype=xp.int32, device=device_of(like))


def arange(n: int, like: Array) -> Array:
    """0, 1, ..., n - 1 as int32 on the device of `like`. Never written in place."""
    xp = namespace(like)
    return _constant(("arange", n), lambda: xp.arange(n, dtype=xp.int32, device=device_of(like)), like)


def ones_row(like: Array) -> Array:
    """Ones (1, n) for an array (n, m), whose product with it is the sum of its rows. Never written in place."""
    xp, n = namespace(like), like.shape[-2]
    device = {} if traits(like).compiles else {"device": device_of(like)}  # traced arrays have none
    return _constant(("ones", n, like.dtype), lambda: xp.ones((1, n), dtype=like.dtype, **device), like)


def constants(values: tuple[float, ...], like: Array) -> Array:
    """Numbers that do not change as a vector, in the dtype of `like` and on its device. Never written in place."""
    xp = namespace(like)
    device = {} if traits(like).compiles else {"device": device_of(like)}  # traced arrays have none
    return _constant(("constants", values, like.dtype), lambda: xp.asarray(values, dtype=like.dtype, **device), like)


_CONSTANTS: dict[tuple[object, ...], Array] = {}


def _constant(what: tuple[object, ...], make: Callable[[], Array], like: Array) -> Array:
    """An array that is made once for each library and device."""
    if traits(like).compiles:  # there, nothing traced may outlive the trace
        return make()
    kind = (*what, namespace(like), None if isinstance(like, np.ndarray) else str(device_of(like)))
    if kind not in _CONSTANTS:
        if len(_CONSTANTS) >= 64:
            _CONSTANTS.clear()
        _CONSTANTS[kind] = make()
    return _CONSTANTS[kind]


def unit_rows(rows: Array, n: int, like: Array) -> Array:
    """The rows, int32 (m,), of a unit matrix (n, n), as an array (m, n) in the dtype of `like`: one-hot. A stack
    (k, m) of rows gives a stack.
    """
    xp = namespace(like)
    return xp.astype(xp.reshape(rows, (*rows.shape, 1)) == arange(n, like), like.dtype)


def sign(x: Array) -> Array:
    """-1, 0 or 1 in the dtype of x: `xp.sign`, which reads the device on CuPy."""
    xp = namespace(x)
    return xp.astype(x > 0, x.dtype) - xp.astype(x < 0, x.dtype)


def positive(x: Array) -> Array:
    """1 where x > 0, else 0, in the dtype of x."""
    made = _torch.positive(x) if traits(x).tapes else None
    return namespace(x).astype(x > 0, x.dtype) if made is None else made


def sigmoid(z: Array) -> Array:
    """1 / (1 + e^-z), without overflow.

    On PyTorch and JAX it is the library's own function: their derivative of the formula is infinity times 0 where e^-z
    is infinite.
    """
    if traits(z).tapes:
        return namespace(z).sigmoid(z)
    if traits(z).compiles:
        own: Array = importlib.import_module("jax").nn.sigmoid(z)
        return own
    return _sigmoid(z)


@np.errstate(over="ignore")
def _sigmoid(z: Array) -> Array:
    e = namespace(z).exp(-z)  # infinite for z < -88 in float32, and 1 / infinity is the right 0
    e += 1.0
    return 1.0 / e


def add(x: Array, y: Array) -> Array:
    """x + y. Consumes x, and writes the result there unless the library may need x."""
    if traits(x).tapes:
        return x + y
    x += y
    return x


def divide(x: Array, y: Array) -> Array:
    """x / y. Consumes x, and writes the result there unless the library may need x."""
    if traits(x).tapes:
        return x / y
    x /= y
    return x


# ---- gradients and vectors of parameters -------------------------------------------------------------------------


def product(gradient: Gradient) -> Array:
    """A gradient as an array: a pair (A, B) stands for the product A B, `RowSums` for sums of rows."""
    gradient = _settled(gradient)
    if isinstance(gradient, RowSums):
        return _summed(gradient)
    return gradient[0] @ gradient[1] if isinstance(gradient, tuple) else gradient


def _settled(gradient: Gradient) -> Gradient:
    """Sums of rows as a product with one-hot rows, unless the library can add rows to an array."""
    if not isinstance(gradient, RowSums):
        return gradient
    rows, values, n_rows = gradient.rows, gradient.values, gradient.n_rows
    library = library_of(namespace(values))
    if library in ("numpy", "torch", "jax") or (library == "cupy" and n_rows > values.shape[0]):
        return gradient
    return unit_rows(rows, n_rows, values).mT, values


def _summed(sums: RowSums) -> Array:
    values = sums.values
    if traits(values).compiles:
        added: Array = importlib.import_module("jax").ops.segment_sum(values, sums.rows, num_segments=sums.n_rows)
        return added
    out = namespace(values).zeros(sums.shape, dtype=values.dtype, device=device_of(values))
    _add_rows(out, sums.rows, values)
    return out


def _add_rows(out: Foreign, rows: Foreign, values: Foreign) -> None:
    """Compute out[rows[i]] += values[i] for all i, in place and in the same order each time: without atomic additions.

    `out` is in C order.
    """
    xp = namespace(out)
    if isinstance(out, np.ndarray):
        call_in_place(add_rows, out, rows, values)
    elif library_of(xp) == "torch" and device_of(out).type == "cpu":
        out.index_add_(0, rows, values)
    elif library_of(xp) == "torch":  # on a GPU it sorts the rows
        out.index_put_((rows.long(),), values, accumulate=True)
    else:  # equal rows get equal sums, so it does not matter which of them is written last
        out[rows] += xp.astype(xp.reshape(rows, (-1, 1)) == rows, out.dtype) @ values


def concatenate(pieces: Sequence[Gradient], lead: tuple[int, ...] = ()) -> Array:
    """The gradients, of whatever kind, end to end in one vector; with `lead` (k,), stacks of k of them in k rows."""
    arrays = [product(piece) for piece in pieces]
    xp = namespace(arrays[0])
    return xp.concat([xp.reshape(x, (*lead, -1)) for x in arrays], axis=-1)


def write(gradient: Gradient, out: Array) -> None:
    """Put a gradient straight where it belongs: a product needs no array of its own."""
    gradient = _settled(gradient)
    if isinstance(gradient, RowSums):
        out[...] = 0.0
        _add_rows(out, gradient.rows, gradient.values)
    elif isinstance(gradient, tuple):
        namespace(out).matmul(*gradient, out=out)
    else:
        out[...] = gradient


def subtract(rate: float, gradient: Gradient, out: Array) -> None:
    """out -= rate gradient, in place; the product of a pair needs no array of its own where BLAS can."""
    gradient = _settled(gradient)
    if isinstance(gradient, RowSums):  # the other rows are not touched
        _add_rows(out, gradient.rows, -rate * gradient.values)
    elif not isinstance(gradient, tuple) or not _subtract_product(rate, gradient[0], gradient[1], out):
        out -= rate * product(gradient)


def _subtract_product(rate: float, a: Foreign, b: Foreign, out: Foreign) -> bool:
    """Compute out -= rate a b by one call of the library's BLAS. False, with nothing done, where it cannot."""
    if out.ndim != 2 or not a.dtype == b.dtype == out.dtype:
        return False
    if isinstance(out, np.ndarray):
        return add_product(out, a, b, -rate)
    library = library_of(namespace(out))
    if library == "torch":
        out.addmm_(a, b, alpha=-rate)
    elif library == "cupy":
        importlib.import_module("cupy.cublas").gemm("N", "N", a, b, out=out, alpha=-rate, beta=1.0)
    return library in ("torch", "cupy")


def axpby(a: float, x: Array, b: float, y: Array) -> Array:
    """a x + b y, by the name that BLAS has for it. Consumes y, and writes the result there where the library can."""
    done = add_scaled(a, x, b, y) if isinstance(y, np.ndarray) else traits(y).tapes and _torch.add_scaled(a, x, b, y)
    if not done:
        if type(b) is not float or b != 1.0:  # a traced number cannot be asked
            y *= b
        y += a * x
    return y


def take_rows(X: Array, y: Array, rows: Array) -> tuple[Array, Array]:
    """X[rows] and y[rows]: a batch."""
    together = _cupy.take_rows(X, y, rows) if traits(X).fuses else None
    return together or (take(X, rows), take(y, rows))


def take(x: Array, rows: Array) -> Array:
    """Rows of x by non-negative indices."""
    return namespace(x).take(x, rows, axis=0)


# ---- functions that become kernels -------------------------------------------------------------------------------

F = TypeVar("F", bound=Callable[..., object])
Ts = TypeVarTuple("Ts")
T = TypeVar("T")

_KERNELS: dict[object, Callable[..., object]] = {}


def _fused(key: tuple[object, ...], function: F) -> F:
    """The function, of arrays and Python numbers, as one kernel of CuPy.

    `key` identifies it: a name, and all that the function depends on besides its arguments.
    """
    if key not in _KERNELS:
        _KERNELS[key] = _cupy.Kernel(str(key[0]), function)
    return _KERNELS[key]  # type: ignore[return-value]  # made from this function, or one that does the same


def kernel(function: Callable[[Array, *Ts], T]) -> Callable[[Array, *Ts], T]:
    """Decorator for a function of arrays and numbers: one kernel where the library fuses.

    A hand-written kernel of that name comes first, for the arguments that it takes.
    """
    name = function.__name__.strip("_")
    handwritten: Callable[[Array, *Ts], T | None] | None = _cupy.HANDWRITTEN.get(name)  # type: ignore[assignment]

    @functools.wraps(function)
    def call(x: Array, *args: *Ts) -> T:
        if not traits(x).fuses:
            return function(x, *args)
        if handwritten is not None:
            result = handwritten(x, *args)
            return function(x, *args) if result is None else result
        return _fused((name,), function)(x, *args)

    return call


@kernel
def row_numbers(x: Array, n_rows: float) -> tuple[Array, Array]:
    """The row, int32 (m,), that each of the numbers x (m,) is nearest to, and 1 in the dtype of x, or 0 if it is none
    of 0 to n_rows - 1; its row is 0 then.
    """
    xp = namespace(x)
    nearest = xp.round(x)
    known = (nearest >= 0.0) & (nearest < n_rows)
    return xp.astype(xp.where(known, nearest, 0.0), xp.int32), xp.astype(known, x.dtype)


def bias_activation(g: Function, z: Array, b: Array) -> tuple[Array, Array]:
    """z + b and g(z + b), for a z that may be written over."""
    if g.fusable and traits(z).fuses:

        def function(z: Array, b: Array) -> tuple[Array, Array]:
            z = z + b
            return z, g.forward(z)

        return _fused(("bias_activation", *_identity(g)), function)(z, b)
    z = add(z, b)
    return z, g.forward(z)


def activation_pullback(g: Function, z: Array, a: Array, da: Array) -> Array:
    """dz = g'(z) da, where a = g(z)."""
    if g.fusable and traits(z).fuses:
        return _fused(("activation_pullback", *_identity(g)), g.pullback)(z, a, da)
    return g.pullback(z, a, da)


def _identity(g: Function) -> tuple[object, ...]:
    """The identity of a fusable activation: its class and its hyper-parameters, which are numbers."""
    return (type(g), *vars(g).values())


def _piece(x: Foreign) -> int:
    """The elements of a piece that fits the cache; 0 where pieces are of no use."""
    if isinstance(x, np.ndarray):
        return IN_CACHE
    on_cpu = traits(x).tapes and getattr(getattr(x, "device", None), "type", "") == "cpu"
    return 2 * IN_CACHE if on_cpu else 0  # PyTorch's calls cost more


def elementwise(
    key: tuple[object, ...],
    function: Callable[..., tuple[Array, ...]],
    *arrays: Array,
    numbers: tuple[float | Array, ...] = (),
    whole: bool = False,
) -> tuple[Array, ...]:
    """function(*arrays, *numbers), which gives new values for the first of the arrays, element by element.

    The arrays may be (k, n), with columns (k, 1) among the numbers.

    Where the library writes into given arrays, the values are in the given ones. CuPy does it in one kernel, where
    `key` tells the function from others. NumPy does it in pieces that fit the cache. Neither if `whole`, for a function
    that must see whole arrays.
    """
    if not traits(arrays[0]).writes:
        return function(*arrays, *numbers)

    def in_place(*arrays_and_numbers: Foreign) -> None:
        for x, new in zip(arrays_and_numbers, function(*arrays_and_numbers), strict=False):
            if new is not x:
                x[...] = new

    if traits(arrays[0]).fuses and not whole:
        _fused(key, in_place)(*arrays, *numbers)
    elif (size := _piece(arrays[0])) and not whole:
        columns: Sequence[Foreign] = numbers

        def on_piece(piece: slice) -> None:
            rows = [x[piece] if getattr(x, "ndim", 0) else x for x in columns]
            in_place(*[x[piece] for x in arrays], *rows)

        in_pieces(on_piece, size, *arrays[0].shape)
    else:
        in_place(*arrays, *numbers)
    return arrays
