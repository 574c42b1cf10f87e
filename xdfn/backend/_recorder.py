"""A step of training makes the same calls of NumPy each time, except for a few numbers. So `record` takes one step with
arrays that write down each operation on them, and from then on the calls are made again: into the same arrays, without
the Python between them and without asking for memory. A tiny network's step takes half of the time that way, and one
of nine layers of 256 units six sevenths.

The recorder knows ufuncs, their reductions, assignments, a few more functions and the calls of BLAS; anything else
raises `UnrecordedError`. A result gets memory that no living array of the step uses, as it would without a recorder:
CPython deletes an array with its last reference, and then its memory is free for later results (`__del__`). The numbers
that change from step to step are `Number`s: they can be operands, be negated, and be taken from a constant.
"""

import ctypes
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from xdfn.backend.array import Host
from xdfn.core.tree import Tree, leaves, tree_map

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

Body = Callable[[Tree, Tree, Tree], tuple[Tree, Tree]]


class UnrecordedError(Exception):
    """The step did something with its arrays that the recorder does not know."""


@dataclass(frozen=True)
class Number:
    """shift + sign * numbers[index], where a step is given `numbers`."""

    index: int
    sign: float = 1
    shift: float = 0

    def __neg__(self) -> "Number":
        return replace(self, sign=-self.sign, shift=-self.shift)

    def __rsub__(self, other: float) -> "Number":
        return replace(self, sign=-self.sign, shift=other - self.shift)

    def of(self, numbers: Sequence[float]) -> float:
        return self.shift + self.sign * numbers[self.index]

    def __array_ufunc__(self, *args: object, **kwargs: object) -> object:
        return NotImplemented  # the other operand records it


class RecordedArray(np.ndarray):
    """An array that records each operation on it, or a view of such an array."""

    recording: "Recording"
    owns = False  # True unless it is a view
    memory: Host | None = None  # of an array that the step made; it goes back to the recording

    def __array_finalize__(self, parent: object) -> None:
        if isinstance(parent, RecordedArray):
            self.recording = parent.recording

    def __del__(self) -> None:
        if self.memory is not None:
            self.recording.free.append(self.memory)

    def as_ndarray(self) -> Host:
        """The same elements as a plain array, whose operations are not recorded."""
        owner = self if self.owns else self.base
        if not (isinstance(owner, RecordedArray) and owner.owns):
            raise UnrecordedError("an array came from a call that was not recorded")
        memory = owner.view(np.ndarray)
        if owner is self:
            return memory
        if owner.memory is None:  # a given array, which may have gaps
            return self.view(np.ndarray)
        offset = self.ctypes.data - memory.ctypes.data  # not a view of this array, which would keep the owner alive
        return np.ndarray(self.shape, self.dtype, memory, offset, self.strides)

    def __array_ufunc__(
        self,
        ufunc: np.ufunc,
        method: str,
        *inputs: "ArrayLike | Number",
        out: tuple[Host | None, ...] | None = None,
        **kwargs: object,
    ) -> "RecordedArray":
        if method not in ("__call__", "reduce") or ufunc.nout != 1 or kwargs.keys() - {"axis", "dtype", "keepdims"}:
            raise UnrecordedError(f"{ufunc.__name__}.{method} with {', '.join(kwargs) or 'nothing else'}")
        first = next(x for x in inputs if isinstance(x, np.ndarray))
        args = [self.recording.operand(x, first.dtype) for x in inputs]
        function: Callable[..., Host] = getattr(ufunc, method)

        def call(into: Host | None) -> Callable[[], Host]:
            if method == "reduce":
                more = (kwargs.get("axis", 0), kwargs.get("dtype"), into, kwargs.get("keepdims", False))
                return partial(function, *args, *more)
            if ufunc in (np.maximum, np.minimum):  # their third argument by position is deprecated
                return partial(function, *args, out=into)
            return partial(function, *args, into)  # by position, as a partial is slower with keywords

        if out is None or out[0] is None:
            into = self.recording.new(call(None)())
            self.recording.calls.append(call(into.as_ndarray()))
        elif isinstance(out[0], RecordedArray):
            into = out[0]
            self.recording.call(call(into.as_ndarray()))
        else:
            raise UnrecordedError(f"{ufunc.__name__} into an array from elsewhere")
        return into

    def __array_function__(
        self, function: Callable[..., object], types: object, args: Iterable[object], kwargs: Mapping[str, object]
    ) -> "RecordedArray":
        if function not in _FUNCTIONS:
            raise UnrecordedError(function.__name__)
        return _FUNCTIONS[function](self.recording, *args, **kwargs)

    def astype(self, dtype: "DTypeLike", *, copy: bool = True) -> "RecordedArray":  # type: ignore[override]
        if self.dtype == dtype and not copy:
            return self
        new = self.recording.new(self.as_ndarray().astype(dtype))
        self.recording.calls.append(partial(np.copyto, new.as_ndarray(), self.as_ndarray(), "unsafe"))
        return new

    def take(self, rows: Host, axis: int | None = None) -> "RecordedArray":  # type: ignore[override]
        plain, at = self.as_ndarray(), rows.as_ndarray() if isinstance(rows, RecordedArray) else rows
        new = self.recording.new(plain.take(at, axis))
        self.recording.calls.append(partial(plain.take, at, axis, new.as_ndarray()))
        return new

    def __getitem__(self, key: object) -> "RecordedArray":
        item = super().__getitem__(key)  # type: ignore[call-overload]  # NumPy checks it
        if not isinstance(item, RecordedArray):
            raise UnrecordedError("an element was read")
        return item

    def __setitem__(self, key: object, value: "ArrayLike | Number") -> None:  # type: ignore[override]
        self.recording.call(partial(np.copyto, self[key].as_ndarray(), self.recording.operand(value, self.dtype)))

    def _read(self, *args: object, **kwargs: object) -> NoReturn:
        raise UnrecordedError("values were read or copied")

    __bool__ = __float__ = __int__ = __index__ = __iter__ = item = tolist = copy = _read


def _where(recording: "Recording", condition: Host, x: "ArrayLike | Number", y: "ArrayLike | Number") -> RecordedArray:
    plain = [recording.operand(a, None) for a in (condition, x, y)]
    new = recording.new(np.where(*plain))
    recording.call(partial(np.copyto, new.as_ndarray(), plain[2]))
    recording.call(partial(np.copyto, new.as_ndarray(), plain[1], "same_kind", plain[0]))
    return new


def _argmax(recording: "Recording", x: RecordedArray, axis: int, keepdims: bool = False) -> RecordedArray:
    new = recording.new(np.argmax(x.as_ndarray(), axis=axis, keepdims=keepdims))
    recording.call(partial(np.argmax, x.as_ndarray(), axis, new.as_ndarray(), keepdims=keepdims))
    return new


def _full(recording: "Recording", x: RecordedArray, value: float, dtype: "DTypeLike | None" = None) -> RecordedArray:
    new = recording.empty(x.shape, dtype or x.dtype)
    recording.call(partial(new.as_ndarray().fill, value))
    return new


def _arange(recording: "Recording", start: int, stop: int, dtype: "DTypeLike") -> RecordedArray:
    numbers = np.arange(start, stop, dtype=dtype)
    new = recording.empty(numbers.shape, dtype)
    recording.call(partial(np.copyto, new.as_ndarray(), numbers))
    return new


def _concatenate(recording: "Recording", arrays: Sequence[Host], axis: int = 0) -> RecordedArray:
    plain = [recording.operand(x, None) for x in arrays]
    new = recording.new(np.concatenate(plain, axis))
    recording.calls.append(partial(np.concatenate, plain, axis, new.as_ndarray()))
    return new


_FUNCTIONS: dict[object, Callable[..., RecordedArray]] = {
    np.where: _where,
    np.concatenate: _concatenate,
    np.argmax: _argmax,
    np.full_like: _full,
    np.ones_like: lambda recording, x, dtype=None: _full(recording, x, 1, dtype),
    np.zeros_like: lambda recording, x, dtype=None: _full(recording, x, 0, dtype),
    np.arange: lambda recording, start, stop, dtype: _arange(recording, start, stop, dtype),
    np.empty_like: lambda recording, x, dtype=None: recording.empty(x.shape, dtype or x.dtype),
}


class Recording:
    """The calls of a step.

    Parameters
    ----------
    free : list of arrays
        Memory to use, shared by recordings that are never replayed at the same time.
    numbers : tree of numbers
        The numbers of the step that is recorded.
    """

    def __init__(self, free: list[Host], numbers: Tree) -> None:
        self.free, self._numbers = free, numbers
        self.calls: list[Callable[[], object]] = []
        self._cells: dict[tuple[Number, np.dtype | None], Host] = {}
        self._kept: list[object] = []  # arrays that a call refers to by address only
        self._columns: dict[int, Host] = {}  # by their place among the numbers, those that are arrays

    # -- while the step is recorded --

    def own(self, x: Host) -> RecordedArray:
        """A given array, which the step may read and write, as one that records."""
        array = x.view(RecordedArray)
        array.recording, array.owns = self, True
        return array

    def symbol(self, number: "float | Host", index: int) -> "Number | RecordedArray":
        """What stands for a number of the step, or for an array of numbers."""
        if not isinstance(number, np.ndarray):
            return Number(index)
        self._columns[index] = np.array(number)
        return self.own(self._columns[index])

    def empty(self, shape: tuple[int, ...], dtype: "DTypeLike") -> RecordedArray:
        """An array of any values, in memory that nothing else uses."""
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        # of equal sizes the one freed last, which the cache may hold
        fitting = [i for i in reversed(range(len(self.free))) if size <= self.free[i].nbytes <= 2 * size]
        best = min(fitting, key=lambda i: self.free[i].nbytes, default=None)
        memory = np.empty(size, np.uint8) if best is None else self.free.pop(best)
        array = self.own(memory[:size].view(dtype).reshape(shape))
        array.memory = memory
        return array

    def new(self, values: Host) -> RecordedArray:
        """An array for a call to write, with `values`, the call's result now.

        It has the memory layout of `values`, since a later reduction adds in the order of the layout.
        """
        if values.flags.c_contiguous:
            array = self.empty(values.shape, values.dtype)
        else:
            axes = sorted(range(values.ndim), key=lambda axis: -values.strides[axis])
            array = self.empty(tuple([values.shape[i] for i in axes]), values.dtype).transpose(np.argsort(axes))
        np.copyto(array.as_ndarray(), values)
        return array

    def operand(self, x: "ArrayLike | Number", dtype: np.dtype | None) -> "ArrayLike":
        """The argument of a recorded call for x; `dtype` is the other operand's. An x that no step changes stays."""
        if isinstance(x, RecordedArray):
            return x.as_ndarray()
        if isinstance(x, Number):
            return self._cell(x, dtype)
        kind = dtype.kind if dtype is not None else ""
        if (type(x) in (int, float) and kind == "f") or (type(x) is int and kind == "i"):
            return np.asarray(x, dtype)  # made once instead of in each call
        return x

    def _cell(self, number: Number, dtype: np.dtype | None) -> Host:
        """A 0-d array that holds the number in each step."""
        if (number, dtype) not in self._cells:
            self._cells[number, dtype] = np.asarray(number.of(leaves(self._numbers)), dtype)
        return self._cells[number, dtype]

    def call(self, call: Callable[[], object]) -> None:
        """Make a call, now and in each step."""
        call()
        self.calls.append(call)

    def call_c(self, routine: Callable[..., None], args: Sequence[object], real: np.dtype) -> None:
        """Make and record a call of a C function, with the addresses of arrays for arrays."""
        plain = [self.operand(x, real) if isinstance(x, (np.ndarray, Number)) else x for x in args]
        self._kept.append(plain)
        number = {"f": ctypes.c_float, "d": ctypes.c_double}[real.char]
        given = [
            number.from_buffer(p)  # type: ignore[arg-type]  # an array of NumPy
            if isinstance(x, Number)
            else (p.ctypes.data if isinstance(p, np.ndarray) else p)
            for x, p in zip(args, plain, strict=True)
        ]
        self.call(partial(routine, *given))

    # -- when it is replayed --

    def replay(self, numbers: Tree) -> None:
        """Make the calls of the step again, with other numbers."""
        if self._columns or numbers != self._numbers:
            self._numbers, flat = numbers, leaves(numbers)
            for (number, _), cell in self._cells.items():
                cell[...] = number.of(flat)
            for index, column in self._columns.items():
                column[...] = flat[index]
        for call in self.calls:
            call()


def call_c(like: Host, routine: Callable[..., None], *args: object) -> None:
    """routine(*args), a function of a C library on the memory of `like` and of the arrays among its arguments."""
    if isinstance(like, RecordedArray):
        like.recording.call_c(routine, args, like.dtype)
    else:
        routine(*[x.ctypes.data if isinstance(x, np.ndarray) else x for x in args])


def call_in_place(function: Callable[..., None], out: Host, *arrays: Host) -> None:
    """function(out, *arrays), a function of NumPy that writes into `out` alone and is no method of it."""
    if isinstance(out, RecordedArray):
        recording = out.recording
        recording.call(partial(function, *[recording.operand(x, None) for x in (out, *arrays)]))
    else:
        function(out, *arrays)


class Replay:
    """A recorded step: call it with the numbers of the next one, and read its result."""

    def __init__(self, recording: Recording, result: Tree) -> None:
        self._recording, self.result = recording, result

    def __call__(self, numbers: Tree) -> None:
        self._recording.replay(numbers)


def record(
    body: Body, carry: Tree, inputs: Tree, numbers: Tree, scratch: list[Host], backup: Tree | None = None
) -> Replay:
    """Take the step ``carry, result = body(carry, inputs, numbers)``, and record it for later ones.

    The arrays of `carry`, `inputs` and the result are bound to the recording: each replay reads what `inputs` and
    `carry` hold then, writes the new carry into `carry`, and the result into `Replay.result`.

    Parameters
    ----------
    body : callable
        Makes the same operations in each step; all arrays that change are among its arguments.
    carry, inputs : trees of NumPy arrays, or None
    numbers : tree of Python numbers, or of small arrays of numbers
    scratch : list of arrays
        Memory for the step's own arrays, shared by recordings that are never replayed at the same time. What is
        missing is added.
    backup : tree of arrays, optional
        A copy of `carry`, to go back to if the step cannot be recorded; without one it is made here.

    Raises
    ------
    UnrecordedError
        The step cannot be recorded. `carry` is as it was.
    """
    before = tree_map(np.array, carry) if backup is None else backup
    recording, index = Recording(scratch, numbers), itertools.count()
    symbols = tree_map(lambda x: recording.symbol(x, next(index)), numbers)
    given, others = tree_map(lambda x: None if x is None else recording.own(x), (carry, inputs))
    try:
        after, result = body(given, others, symbols)
        for old, new in zip(leaves(given), leaves(after), strict=True):
            if old.ctypes.data != new.ctypes.data:
                old[...] = new
        return Replay(recording, tree_map(lambda x: x.as_ndarray(), result))
    except Exception as error:  # an error of the step itself comes again when the step is taken without a recorder
        tree_map(np.copyto, carry, before)
        raise UnrecordedError(str(error)) from error
