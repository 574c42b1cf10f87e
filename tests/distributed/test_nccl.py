import importlib
import subprocess
import sys

import pytest


def test_without_nccl_it_says_what_to_install():
    try:
        importlib.import_module("mpi4py.MPI")
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"there is no MPI here ({error})")
    code = "import sys; sys.modules['cupy.cuda.nccl'] = None; import xdfn; xdfn.distributed.nccl()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ModuleNotFoundError: xdfn.distributed.nccl needs CuPy and NCCL: pip install nvidia-nccl" in run.stderr
