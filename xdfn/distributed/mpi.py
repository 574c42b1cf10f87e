"""MPI through mpi4py: ``mpiexec -n 4 python -m mpi4py train.py``."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from xdfn.backend import Array, place, put, to_numpy
from xdfn.distributed.threads import cores_here, threads_here, warn_of_threads

if TYPE_CHECKING:
    from mpi4py.MPI import Comm

V = TypeVar("V")


class MPICommunicator:
    """Ranks of MPI.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
    """

    def __init__(self, comm: "Comm") -> None:
        from mpi4py import MPI  # importing it starts MPI

        self.comm, self.rank, self.size = comm, comm.Get_rank(), comm.Get_size()
        self._in_place = MPI.IN_PLACE

    def sum(self, x: Array) -> None:
        """Put the sum over all ranks in place of x; arrays of a device go through the host."""
        if isinstance(x, np.ndarray):
            self.comm.Allreduce(self._in_place, x)
            return
        host = np.array(to_numpy(x))  # PyTorch's arrays on the CPU could go as they are, but not those that are traced
        self.comm.Allreduce(self._in_place, host)
        x[...] = put(host, place(x))

    def broadcast(self, value: V) -> V:
        """Rank 0's value on all ranks."""
        given: V = self.comm.bcast(value)
        return given

    def abort(self, message: str) -> None:
        """End all ranks."""
        print(message, file=sys.stderr, flush=True)
        self.comm.Abort(1)


def mpi(comm: "Comm | None" = None) -> MPICommunicator:
    """What joins the processes that mpiexec started.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm, optional
        Those that train together: all of them, unless it is given.

    Raises
    ------
    ModuleNotFoundError
        mpi4py is not installed, or finds no MPI.

    Warns
    -----
    UserWarning
        The ranks of a machine have more threads than cores together (told if threadpoolctl is installed).
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # the second if it finds no MPI
        advice = 'pip install mpi4py mpich, or pip install "xdfn[mpi]"'
        raise ModuleNotFoundError(f"xdfn.distributed.mpi needs mpi4py and an MPI: {advice} ({error})") from error
    joined = MPICommunicator(MPI.COMM_WORLD if comm is None else comm)
    here = joined.comm.Split_type(MPI.COMM_TYPE_SHARED)  # the ranks of this machine
    told = here.gather((threads_here(), cores_here()))
    here.Free()
    if told is not None and len(told) > 1:
        warn_of_threads(*zip(*told, strict=True))
    return joined


def world_rank() -> int | None:
    """This process's number among those that MPI has started; None if it has started none."""
    module = sys.modules.get("mpi4py.MPI")
    if module is None or not module.Is_initialized() or module.COMM_WORLD.Get_size() == 1:
        return None
    return int(module.COMM_WORLD.Get_rank())


def mpi_of(ranks: Sequence[int]) -> MPICommunicator:
    """What joins those of the processes that have these numbers; each of them must call it."""
    from mpi4py import MPI

    return MPICommunicator(MPI.COMM_WORLD.Create_group(MPI.COMM_WORLD.Get_group().Incl(list(ranks))))
