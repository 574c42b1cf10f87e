"""A step of training is the same calls of NumPy each time, but for a few numbers. So a step is taken once with arrays
that write down what is asked of them, and from then on the calls are made again: into the same arrays, without the
Python between them and without asking for memory. A tiny network's step takes half of the time that way, and one of
nine layers of 256 units six sevenths.

What is written down are ufuncs, their reductions, assignments, a few functions more and the calls of BLAS. A result
gets memory that no living array of the step uses, as it would without a tape. The numbers that change from step to
step are `Number`s: they can be operands, be negated, and be taken from a constant.
"""

import ctypes
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from xdfn._trees import leaves, tree_map

Plain = np.ndarray[Any, Any]


class UnrecordedError(Exception):
    """The step did something with its arrays that a tape does not know."""


@dataclass(frozen=True)
class Number:
    """shift + sign times the number at `index` of those that a step is given."""

    index: int
    sign: float = 1
    shift: float = 0

    def __neg__(self) -> "Number":
        return replace(self, sign=-self.sign, shift=-self.shift)

    def __rsub__(self, other: float) -> "Number":
        return replace(self, sign=-self.sign, shift=other - self.shift)

    def of(self, numbers: Sequence[float]) -> float:
        return self.shift + self.sign * numbers[self.index]

    def __array_ufunc__(self, *args: Any, **kwargs: Any) -> Any:
        return NotImplemented  # the other operand writes it down


class Taped(np.ndarray[Any, Any]):
    """An array that writes down what is done to it, or a view of such an array."""

    tape: "Tape"
    owns = False  # what is not a view
    memory: Plain | None = None  # of an array that the step made, which goes back to the tape

    def __array_finalize__(self, parent: Any) -> None:
        if isinstance(parent, Taped):
            self.tape = parent.tape

    def __del__(self) -> None:
        if self.memory is not None:
            self.tape.free.append(self.memory)

    def plain(self) -> Plain:
        """The same elements as an array that writes nothing down."""
        owner = self if self.owns else self.base
        if not (isinstance(owner, Taped) and owner.owns):
            raise UnrecordedError("an array came of a call that was not written down")
        memory = owner.view(np.ndarray)
        if owner is self:
            return memory
        offset = self.ctypes.data - memory.ctypes.data  # not a view of this array, which would keep the owner alive
        return np.ndarray(self.shape, self.dtype, memory, offset, self.strides)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> "Taped":
        if method not in ("__call__", "reduce") or ufunc.nout != 1 or kwargs.keys() - {"axis", "dtype", "keepdims"}:
            raise UnrecordedError(f"{ufunc.__name__}.{method} with {', '.join(kwargs) or 'nothing else'}")
        first = next(x for x in inputs if isinstance(x, np.ndarray))
        args = [self.tape.operand(x, first.dtype) for x in inputs]
        function: Any = getattr(ufunc, method)

        def call(into: Plain | None) -> Callable[[], Any]:
            if method == "reduce":
                more = (kwargs.get("axis", 0), kwargs.get("dtype"), into, kwargs.get("keepdims", False))
                return partial(function, *args, *more)
            if ufunc in (np.maximum, np.minimum):  # which deprecate a third argument by position
                return partial(function, *args, out=into)
            return partial(function, *args, into)  # by position, as a partial is slower with keywords

        if out is None or out[0] is None:
            into = self.tape.new(call(None)())
            self.tape.calls.append(call(into.plain()))
        elif isinstance(out[0], Taped):
            into = out[0]
            self.tape.call(call(into.plain()))
        else:
            raise UnrecordedError(f"{ufunc.__name__} into an array from elsewhere")
        return into

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function not in _FUNCTIONS:
            raise UnrecordedError(function.__name__)
        return _FUNCTIONS[function](self.tape, *args, **kwargs)

    def astype(self, dtype: Any, *, copy: bool = True) -> "Taped":  # type: ignore[override]
        if self.dtype == dtype and not copy:
            return self
        new = self.tape.new(self.plain().astype(dtype))
        self.tape.calls.append(partial(np.copyto, new.plain(), self.plain(), "unsafe"))
        return new

    def __getitem__(self, key: Any) -> "Taped":
        item = super().__getitem__(key)
        if not isinstance(item, Taped):
            raise UnrecordedError("an element was read")
        return item

    def __setitem__(self, key: Any, value: Any) -> None:
        self.tape.call(partial(np.copyto, self[key].plain(), self.tape.operand(value, self.dtype)))

    def _read(self, *args: Any, **kwargs: Any) -> Any:
        raise UnrecordedError("values were read or copied")

    __bool__ = __float__ = __int__ = __index__ = __iter__ = item = tolist = take = copy = _read


def _where(tape: "Tape", condition: Any, x: Any, y: Any) -> Taped:
    plain = [tape.operand(a, None) for a in (condition, x, y)]
    new = tape.new(np.where(*plain))
    tape.call(partial(np.copyto, new.plain(), plain[2]))
    tape.call(partial(np.copyto, new.plain(), plain[1], "same_kind", plain[0]))
    return new


def _argmax(tape: "Tape", x: Taped, axis: int, keepdims: bool = False) -> Taped:
    new = tape.new(np.argmax(x.plain(), axis=axis, keepdims=keepdims))
    tape.call(partial(np.argmax, x.plain(), axis, new.plain(), keepdims=keepdims))
    return new


def _full(tape: "Tape", x: Taped, value: float, dtype: Any = None) -> Taped:
    new = tape.empty(x.shape, dtype or x.dtype)
    tape.call(partial(new.plain().fill, value))
    return new


_FUNCTIONS: dict[Any, Callable[..., Taped]] = {
    np.where: _where,
    np.argmax: _argmax,
    np.full_like: _full,
    np.ones_like: lambda tape, x, dtype=None: _full(tape, x, 1, dtype),
    np.zeros_like: lambda tape, x, dtype=None: _full(tape, x, 0, dtype),
    np.empty_like: lambda tape, x, dtype=None: tape.empty(x.shape, dtype or x.dtype),
}


class Tape:
    """The calls of a step.

    Parameters
    ----------
    free : list of arrays
        Memory that may be used, of tapes that are never played at the same time.
    numbers : tree of numbers
        Those of the step that is written down.
    """

    def __init__(self, free: list[Plain], numbers: Any) -> None:
        self.free, self._numbers = free, numbers
        self.calls: list[Callable[[], Any]] = []
        self._cells: dict[tuple[Number, Any], Plain] = {}
        self._kept: list[Any] = []  # arrays of which a call knows the address alone

    # -- while the step is written down --

    def own(self, x: Plain) -> Taped:
        """A given array, which the step may read and write."""
        taped = x.view(Taped)
        taped.tape, taped.owns = self, True
        return taped

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Taped:
        """An array of any values, in memory that nothing else uses."""
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        # of equal ones the last, which the cache may hold
        fitting = [i for i in reversed(range(len(self.free))) if size <= self.free[i].nbytes <= 2 * size]
        best = min(fitting, key=lambda i: self.free[i].nbytes, default=None)
        memory = np.empty(size, np.uint8) if best is None else self.free.pop(best)
        taped = self.own(memory[:size].view(dtype).reshape(shape))
        taped.memory = memory
        return taped

    def new(self, values: Any) -> Taped:
        """An array with the values of the moment, for a call that is going to write it.

        Its elements lie in the same order, on which it depends in which order a later call adds them.
        """
        if values.flags.c_contiguous:
            taped = self.empty(values.shape, values.dtype)
        else:
            axes = sorted(range(values.ndim), key=lambda axis: -values.strides[axis])
            taped = self.empty(tuple([values.shape[i] for i in axes]), values.dtype).transpose(np.argsort(axes))
        np.copyto(taped.plain(), values)
        return taped

    def operand(self, x: Any, dtype: Any) -> Any:
        """What a call is given for x. What is not of the step stays as it is; `dtype` is that of the other operand."""
        if isinstance(x, Taped):
            return x.plain()
        if isinstance(x, Number):
            return self._cell(x, dtype)
        kind = dtype.kind if dtype is not None else ""
        if (type(x) in (int, float) and kind == "f") or (type(x) is int and kind == "i"):
            return np.asarray(x, dtype)  # made once instead of in each call
        return x

    def _cell(self, number: Number, dtype: Any) -> Plain:
        """A 0-d array that holds the number in each step."""
        if (number, dtype) not in self._cells:
            self._cells[number, dtype] = np.asarray(number.of(leaves(self._numbers)), dtype)
        return self._cells[number, dtype]

    def counted(self, n: int, dtype: str, own: bool) -> Plain:
        """0, 1, ..., n - 1, which the step may write over if it is its own."""
        numbers = np.arange(n, dtype=dtype)
        numbers.flags.writeable = False
        if not own:
            return numbers
        taped = self.new(numbers)
        self.call(partial(np.copyto, taped.plain(), numbers))
        return taped

    def call(self, call: Callable[[], Any]) -> None:
        """Make a call, now and in each step."""
        call()
        self.calls.append(call)

    def call_c(self, routine: Callable[..., None], args: Sequence[Any], real: np.dtype[Any]) -> None:
        """The same for a function of a C library, which is given the addresses of arrays."""
        plain = [self.operand(x, real) if isinstance(x, (np.ndarray, Number)) else x for x in args]
        self._kept.append(plain)
        number = {"f": ctypes.c_float, "d": ctypes.c_double}[real.char]
        given = [
            number.from_buffer(p) if isinstance(x, Number) else p.ctypes.data if isinstance(x, np.ndarray) else x
            for x, p in zip(args, plain, strict=True)
        ]
        self.call(partial(routine, *given))

    # -- when it is played --

    def play(self, numbers: Any) -> None:
        """Make the calls of the step again, with other numbers."""
        if numbers != self._numbers:
            self._numbers, flat = numbers, leaves(numbers)
            for (number, _), cell in self._cells.items():
                cell[...] = number.of(flat)
        for call in self.calls:
            call()


def call_c(like: Plain, routine: Callable[..., None], *args: Any) -> None:
    """routine(*args), a function of a C library on the memory of `like` and of the arrays among its arguments."""
    if isinstance(like, Taped):
        like.tape.call_c(routine, args, like.dtype)
    else:
        routine(*[x.ctypes.data if isinstance(x, np.ndarray) else x for x in args])


class Recorded:
    """The step of a network on batches of one kind, in the memory of one workspace.

    It keeps neither of them, which would be a circle, and hold their memory until Python looks for such.
    """

    ENOUGH = 8  # steps: to write one down takes as long as some

    def __init__(self) -> None:
        self._steps = 0
        self._tape: Tape | None = None

    def before(self, n_steps: int) -> int:
        """How many of the next steps are to be taken without a tape: all, as long as they are few."""
        self._steps += n_steps
        return n_steps if self._steps < self.ENOUGH else 0

    def advance(
        self,
        net: Any,
        workspace: Any,
        state: Any,
        X: Plain,
        y: Plain,
        order: Plain,
        batch_size: int,
        weight: Plain | None,
        clock: Any,
    ) -> tuple[Any, Plain]:
        """See `_backend.advance`.

        Raises
        ------
        UnrecordedError
            The step could not be written down, and the state is lost.
        """
        n_batches, share = clock
        if self._tape is None:
            self._x, self._y = (np.empty((batch_size, *a.shape[1:]), a.dtype) for a in (X, y))
            self._w: Any = 1.0 / batch_size if weight is None else np.empty(batch_size, weight.dtype)
            # what a step makes anew
            self._buffers, self._sum = tree_map(np.array, state.buffers), np.array(state.sums["loss"])
        if any(state.buffers):
            tree_map(np.copyto, self._buffers, state.buffers)
        self._sum[...] = state.sums["loss"]
        n_steps = order.shape[0] // batch_size
        for i in range(n_steps):
            rows = order[i * batch_size : (i + 1) * batch_size]
            X.take(rows, 0, self._x, "clip")
            y.take(rows, 0, self._y, "clip")
            if weight is not None:
                np.divide(weight.take(rows), batch_size, self._w)
            hyper = net.hyper(state.step + i, state.epoch + (state.batch + i) / n_batches, share)
            if self._tape is None:
                self._record(net, workspace, state, hyper)
            else:
                self._tape.play(hyper)
        buffers = tree_map(np.array, self._buffers) if any(state.buffers) else state.buffers
        arrays = state.params, buffers, state.slots, state.averages, {"loss": self._sum.copy()}
        return state.with_arrays(arrays, n_steps), self._loss.copy()

    def _record(self, net: Any, workspace: Any, state: Any, hyper: Any) -> None:
        """Take the step that is next, and write it down."""
        tape, index = Tape(net.scratch, hyper), itertools.count()
        numbers = tree_map(lambda _: Number(next(index)), hyper)._replace(share=hyper.share)  # which stays the same
        given = tree_map(tape.own, (state.params, self._buffers, state.slots, state.averages, {"loss": self._sum}))
        x, y, taped = tree_map(tape.own, (self._x, self._y, workspace.arrays()))
        w = self._w if isinstance(self._w, float) else tape.own(self._w)
        try:
            after, loss = net.step(net.state(given), x, y, w, numbers, workspace.with_arrays(taped))
            for old, new in zip(leaves(given), leaves(after.arrays()), strict=True):
                if old.ctypes.data != new.ctypes.data:
                    old[...] = new
            self._loss = loss.plain()
        except Exception as error:  # if it is the step's own, it will come again without a tape
            raise UnrecordedError(str(error)) from error
        self._tape = tape
