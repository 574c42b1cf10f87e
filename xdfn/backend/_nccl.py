"""NCCL as CuPy has it: sums over GPUs, one a process, in the order of the current stream."""

import importlib
from typing import Any, TypeVar

import numpy as np

from xdfn.backend.array import Array
from xdfn.backend.comm import broadcast_by_sum

V = TypeVar("V")


class NCCLCommunicator:
    """Ranks of NCCL, each with a GPU of its own.

    Parameters
    ----------
    rank, size : int
    unique_id : tuple of int
        What `new_id` gave on rank 0.
    device : int
        This rank's GPU on its machine.

    Attributes
    ----------
    device : str
        For ``fit(device=)``.
    """

    def __init__(self, rank: int, size: int, unique_id: tuple[int, ...], device: int) -> None:
        self.rank, self.size, self.device = rank, size, f"cupy:{device}"
        self._cupy, nccl = importlib.import_module("cupy"), importlib.import_module("cupy.cuda.nccl")
        self._kinds = {"f": nccl.NCCL_FLOAT32, "d": nccl.NCCL_FLOAT64}
        self._plus = nccl.NCCL_SUM
        self._gpu = self._cupy.cuda.Device(device)
        with self._gpu:
            self._nccl = nccl.NcclCommunicator(size, unique_id, rank)
            self._beside = self._cupy.cuda.Stream(non_blocking=True)  # for sums that overlap the backward pass

    def sum(self, x: Array) -> None:
        """Put the sum over all ranks in place of x, on the current stream; an array of NumPy goes there and back."""
        if isinstance(x, np.ndarray):
            with self._gpu:
                there = self._cupy.asarray(x)
                self._sum(there)
                x[...] = there.get()
        else:
            self._sum(x)

    def start(self, part: Array) -> None:
        """Begin the sum of a part of a vector, beside the current stream, as soon as that has computed it."""
        self._beside.wait_event(self._cupy.cuda.get_current_stream().record())
        with self._beside:
            self._sum(part)

    def finish(self, vector: Array) -> None:
        """Let the current stream wait for all sums that were begun."""
        self._cupy.cuda.get_current_stream().wait_event(self._beside.record())

    def _sum(self, x: Any) -> None:  # mypy does not know CuPy
        stream = self._cupy.cuda.get_current_stream().ptr
        self._nccl.allReduce(x.data.ptr, x.data.ptr, x.size, self._kinds[x.dtype.char], self._plus, stream)

    def broadcast(self, value: V) -> V:
        """Rank 0's value, a number or a string, on all ranks."""
        return broadcast_by_sum(self, value)

    def abort(self, message: str) -> None:
        """Let the other ranks' sums fail."""
        self._nccl.abort()


def new_id() -> tuple[int, ...]:
    """What all ranks of a communicator are to be given."""
    given: tuple[int, ...] = importlib.import_module("cupy.cuda.nccl").get_unique_id()
    return given
