"""What scikit-learn asks of its own estimators, by its own tests; they are copied nowhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
SHARES = 3  # run after each other they take half a minute; pytest-xdist spreads these


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_scikit_learns_own_tests_pass(share, tmp_path):
    """All but one, which the plugin names with its reason."""
    path = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    environment = {**os.environ, "PYTHONPATH": path, "SKLEARN_SHARE": f"{share}/{SHARES}"}
    command = [sys.executable, "-m", "pytest", "-qrs", "-p", "sklearn_swap", "-p", "no:cacheprovider", "-c", os.devnull]
    target = ["--rootdir", str(tmp_path), "--pyargs", "sklearn.neural_network.tests.test_mlp"]
    run = subprocess.run([*command, *target], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]
    assert int(re.search(r"(\d+) passed", run.stdout)[1]) >= 17  # of 58; scikit-learn 1.6 has 55
    assert all("pandas" in line for line in run.stdout.splitlines() if line.startswith("SKIPPED"))
    assert "failed" not in run.stdout


def test_importing_xdfn_loads_nothing_of_scikit_learn():
    code = "import sys, xdfn; print(*(name for name in sys.modules if name.startswith(('sklearn', 'xdfn.sklearn'))))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
