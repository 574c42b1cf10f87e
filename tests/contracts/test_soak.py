import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_a_long_life_takes_no_more_memory():
    """The short form of tests/soak.py, in a process of its own."""
    program = Path(__file__).parents[1] / "soak.py"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, program, "400"], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stdout + run.stderr
