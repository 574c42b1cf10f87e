"""NCCL through CuPy, one process a GPU: ``mpiexec -n 8 python -m mpi4py train.py``. MPI tells the processes of each
other, NCCL sums.
"""

from typing import TYPE_CHECKING

from xdfn.backend import NCCLCommunicator, new_id
from xdfn.distributed.mpi import mpi

if TYPE_CHECKING:
    from mpi4py.MPI import Comm


class NCCLOverMPI(NCCLCommunicator):
    """Ranks of NCCL that MPI has started.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
    """

    def __init__(self, comm: "Comm | None") -> None:
        from mpi4py import MPI

        self.mpi = mpi(comm)
        here = self.mpi.comm.Split_type(MPI.COMM_TYPE_SHARED)
        given = self.mpi.broadcast(new_id() if self.mpi.rank == 0 else ())
        super().__init__(self.mpi.rank, self.mpi.size, given, here.Get_rank())

    def abort(self, message: str) -> None:
        """End all ranks."""
        self.mpi.abort(message)


def nccl(comm: "Comm | None" = None) -> NCCLCommunicator:
    """What joins the processes that mpiexec started, each with the GPU of its number on its machine.

    ``fit(X, y, comm=comm, device=comm.device)`` takes arrays of NumPy and computes on that GPU.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm, optional
        Those that train together: all of them, unless it is given.

    Raises
    ------
    ModuleNotFoundError
        CuPy, NCCL or mpi4py is not there.
    """
    mpi(comm)
    try:
        new_id()
    except ImportError as error:
        advice = "pip install nvidia-nccl-cu12, or nvidia-nccl-cu13, beside CuPy of the same CUDA"
        raise ModuleNotFoundError(f"xdfn.distributed.nccl needs CuPy and NCCL: {advice} ({error})") from error
    return NCCLOverMPI(comm)
