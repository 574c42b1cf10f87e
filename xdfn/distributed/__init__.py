"""Several processes that train one network: what joins them. See docs/distributed.md.

mpi     through mpi4py, for NumPy's arrays and PyTorch's on the CPU
nccl    through CuPy, for arrays on NVIDIA GPUs, one a process
"""

from xdfn.backend import Communicator
from xdfn.distributed.mpi import mpi
from xdfn.distributed.nccl import nccl

__all__ = ["Communicator", "mpi", "nccl"]
