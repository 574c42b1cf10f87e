import subprocess
import sys

import pytest


def test_without_nccl_it_says_what_to_install():
    pytest.importorskip("mpi4py.MPI")
    code = "import sys; sys.modules['cupy.cuda.nccl'] = None; import xdfn; xdfn.distributed.nccl()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ModuleNotFoundError: xdfn.distributed.nccl needs CuPy and NCCL: pip install nvidia-nccl" in run.stderr
