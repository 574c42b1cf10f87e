"""Processes that train one network together are ranks; a `Communicator` joins them. It is all that xdfn asks of an
engine such as MPI or NCCL.
"""

import json
from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np

from xdfn.backend._recorder import call_in_place
from xdfn.backend.array import Array, Host

V = TypeVar("V")


class Communicator(Protocol):
    """What joins the ranks; an object with these four members is one.

    An engine that has it gives ``abort(message)`` too, which ends all ranks: an error that one rank alone has in the
    middle of an epoch would leave the others waiting. One that sums while other things are computed gives
    ``start(part)``, which begins the sum of a part of a vector, and ``finish(vector)``, after which those of all its
    parts are in their places.

    Attributes
    ----------
    rank : int
        Which of the processes this one is, from 0 on.
    size : int
        How many there are.
    """

    rank: int
    size: int

    def sum(self, x: Array, /) -> None:
        """Put the sum over all ranks in place of x, bit by bit the same on all of them.

        x is a contiguous array in floating point, of the same shape and dtype on all ranks. On a device it takes its
        turn among what else is computed there.
        """

    def broadcast(self, value: V, /) -> V:
        """Rank 0's value, a number or a string, on all ranks."""


def summed(x: Array, comm: Communicator) -> Array:
    """The sum of x over all ranks. Consumes x."""
    _call(comm.sum, x)
    return x


def overlaps(comm: Communicator) -> bool:
    """Whether sums go on while other things are computed."""
    return hasattr(comm, "start") and hasattr(comm, "finish")


def start_sum(part: Array, comm: Communicator) -> None:
    """Begin the sum of a contiguous part of a vector, for a communicator that `overlaps`."""
    _call(comm.start, part)  # type: ignore[attr-defined]


def finish_sums(vector: Array, comm: Communicator) -> None:
    """Let what follows wait for the sums of all parts of the vector."""
    _call(comm.finish, vector)  # type: ignore[attr-defined]


def _call(function: Callable[[Array], None], x: Array) -> None:
    if isinstance(x, np.ndarray):
        call_in_place(function, x)  # it may be a recorded array
    else:
        function(x)


def gather_texts(comm: Communicator, text: str) -> list[str]:
    """The texts of all ranks, by sums alone."""

    def gather(numbers: Host) -> Host:
        table = np.zeros((comm.size, len(numbers)))
        table[comm.rank] = numbers
        comm.sum(table)
        return table

    encoded = np.frombuffer(text.encode(), np.uint8)
    lengths = gather(np.asarray([len(encoded)])).astype(int).ravel()
    padded = np.zeros(max(1, lengths.max()))
    padded[: len(encoded)] = encoded
    table = gather(padded).astype(np.uint8)
    return [row[:n].tobytes().decode() for row, n in zip(table, lengths, strict=True)]


def broadcast_by_sum(comm: Communicator, value: V) -> V:
    """Rank 0's value, a number or a string, on all ranks, for an engine that only sums."""
    given: V = json.loads(gather_texts(comm, json.dumps(value))[0])
    return given
