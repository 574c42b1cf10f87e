"""README tells the truth: every block of code in it runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = [
    pytest.param(
        match[1],
        match[2],
        id=f"{'cupy' if 'import cupy' in match[2] else match[1]}-line-{README[: match.start()].count(chr(10)) + 1}",
    )
    for match in re.finditer(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
]


@pytest.mark.parametrize(("language", "code"), BLOCKS)
def test_a_block_of_code(language, code, tmp_path):
    if language == "sh":
        for line in code.splitlines():
            check_command(line.split("#")[0].split())
        return
    assert language == "python"
    if "import cupy" in code:
        cupy = pytest.importorskip("cupy", reason="no CuPy here")
        if not cupy.cuda.is_available():
            pytest.skip("CuPy finds no GPU")
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def check_command(words):
    """A command of a shell block. The scripts that run the tests can't be run by them, but they have to be there."""
    if words[:2] == ["pip", "install"]:
        pyproject = (ROOT / "pyproject.toml").read_text()
        for extra in re.findall(r"\[(\w+)\]", words[-1]):
            assert f"\n{extra} = [" in pyproject
    elif words[0] == "python":
        assert (ROOT / words[1]).exists()  # test_examples runs it
    else:
        assert os.access(ROOT / words[0], os.X_OK)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_the_table_of_parts_is_complete():
    from xdfn._spec import _REGISTRIES

    names = {"initializer": "initialiser", "regularizer": "regulariser", "loss": "losse"}
    for registry in _REGISTRIES:
        kind = names.get(registry.kind, registry.kind) + "s"
        row = re.search(rf"^\| {kind} \|(.*)\|$", README, re.MULTILINE)[1]
        named = set(re.findall(r"`(\w+)", row))
        assert named == {cls.__name__ for cls in registry.classes if cls.__module__.startswith("xdfn.")}
