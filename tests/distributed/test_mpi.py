"""Ranks as processes of MPI. What they compute is tested with ranks as threads, in train/test_shared_session.py; here
are MPI's own calls, and what becomes of a job in which one rank fails.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import xdfn
from xdfn import DFN

MPIEXEC = os.environ.get("XDFN_MPIEXEC") or shutil.which("mpiexec", path=f"{sys.prefix}/bin") or shutil.which("mpiexec")
PROGRAM = Path(__file__).parents[1] / "ranks_program.py"
needs_mpi = pytest.mark.skipif(MPIEXEC is None, reason="there is no mpiexec; pip install mpi4py mpich")


def mpi(size, *args, program=PROGRAM, threads="1"):
    """The finished job of that many ranks, and its seconds."""
    pytest.importorskip("mpi4py")
    paths = os.pathsep.join([str(Path(xdfn.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "PYTHONPATH": paths}
    environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    more = ["--oversubscribe"] if b"Open MPI" in subprocess.check_output([MPIEXEC, "--version"]) else []
    command = [MPIEXEC, *more, "-n", str(size), sys.executable, "-m", "mpi4py", program, *map(str, args)]
    start = time.perf_counter()
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    return run, time.perf_counter() - start


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(203, 5)), rng.integers(0, 3, 203)


@needs_mpi
@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_ranks_train_the_network_of_one_process(size, library, tmp_path):
    if library != "numpy":
        pytest.importorskip(library)
    run, _ = mpi(size, "fit", library, tmp_path / "model.npz")
    assert run.returncode == 0, run.stderr
    X, y = data()
    one = DFN(layers=[8, "dropout(0.2)", 3], optimizer="adam(lr=0.01)", seed=0)
    one.fit(X, y, 4, 16, verbose=None, validation_fraction=0.2, metrics="accuracy")
    model = DFN.load(tmp_path / "model.npz")
    for name, values in one.history.items():
        np.testing.assert_allclose(model.history[name], values, rtol=1e-12)
    for a, b in zip(one.layers.values(), model.layers.values(), strict=True):
        for key in a.params:
            np.testing.assert_allclose(b.params[key], a.params[key], atol=1e-12)


@needs_mpi
@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("callback", "rank 1 of 3: RuntimeError: boom"),
        ("batch", "rank 1: MemoryError: no room"),
        ("interrupt", "rank 1: KeyboardInterrupt"),
        ("killed", ""),
    ],
)
def test_a_rank_that_fails_ends_the_job(event, said):
    run, seconds = mpi(3, event)
    assert run.returncode != 0
    assert said in run.stdout + run.stderr
    assert seconds < 20  # it would train for minutes; a fit on its own ends within a second here


@needs_mpi
def test_ranks_stop_together():
    run, _ = mpi(3, "stop")
    assert run.returncode == 0, run.stderr
    assert sorted(run.stdout.split()) == ["3", "3", "3"]


@needs_mpi
def test_too_many_threads_are_told_once():
    run, _ = mpi(2, "stop", threads="32")
    assert run.stderr.count("ranks share") == (0 if len(os.sched_getaffinity(0)) >= 64 else 1), run.stderr
    run, _ = mpi(2, "stop")
    assert "ranks share" not in run.stderr


def test_without_mpi4py_it_says_what_to_install():
    code = "import sys; sys.modules['mpi4py'] = None; import xdfn; xdfn.distributed.mpi()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ModuleNotFoundError: xdfn.distributed.mpi needs mpi4py and an MPI: pip install mpi4py mpich" in run.stderr


def test_importing_xdfn_starts_no_mpi():
    code = "import sys, xdfn; print('mpi4py' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@needs_mpi
@pytest.mark.parametrize("more", [[], ["--own"]])
def test_the_example(more):
    example = Path(__file__).parents[2] / "examples" / "distributed_mnist.py"
    run, _ = mpi(2, "--rows", 2000, "--epochs", 2, *more, program=example)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("[Epoch 2]") == 1
    (accuracy,) = re.findall(r"test accuracy (0\.\d+) after 2 epochs, .* on 2 processes", run.stdout)
    assert float(accuracy) > 0.8
