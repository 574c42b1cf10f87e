"""What mypy says of a user's code: nothing of the right uses, and something of each wrong one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import xdfn

PROGRAM = Path(__file__).parents[1] / "data" / "user_code.py"


def test_mypy_finds_the_wrong_uses_and_no_others(tmp_path):
    pytest.importorskip("mypy")
    config = tmp_path / "mypy.ini"
    config.write_text(f"[mypy]\nstrict = true\nfollow_imports = silent\nmypy_path = {Path(xdfn.__file__).parents[1]}\n")
    command = [sys.executable, "-m", "mypy", "--config-file", config, "--cache-dir", tmp_path / "cache"]
    run = subprocess.run(
        [*command, "--no-error-summary", "--hide-error-context", PROGRAM],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    said = {int(line) for line in re.findall(r"user_code\.py:(\d+): error", run.stdout)}
    lines = PROGRAM.read_text().splitlines()
    marked = {i for i, line in enumerate(lines, 1) if line.endswith("# error")}
    assert said == marked, run.stdout + run.stderr
    assert not re.search(r"\bxdfn/(?!tests/)\w+(/\w+)*\.pyi?:\d", run.stdout), run.stdout  # nor of the package


def test_the_right_uses_run():
    subprocess.run([sys.executable, "-W", "error", PROGRAM], check=True)
