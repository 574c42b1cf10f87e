"""The documents tell the truth: every block of code in README.md and docs runs, and every link leads somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
LINKED = [README, *DOCS, *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md"))]


def blocks():
    for path in (README, *DOCS):
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            if match[1] == "text":  # a picture of characters
                continue
            kind = "cupy" if "import cupy" in match[2] else match[1]
            page = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "-")
            line = text[: match.start()].count("\n") + 1
            yield pytest.param(match[1], match[2], id=f"{kind}-{page}-line-{line}")


@pytest.mark.parametrize(("language", "code"), list(blocks()))
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
    if not words:
        return
    if words[:2] == ["pip", "install"]:
        pyproject = (ROOT / "pyproject.toml").read_text()
        for extra in re.findall(r"\[(\w+)\]", words[-1]):
            assert f"\n{extra} = [" in pyproject
    elif words[0] == "python":
        assert (ROOT / words[1]).exists()  # test_examples runs it
    else:
        assert os.access(ROOT / words[0], os.X_OK)


def anchors(path):
    """The names under which links reach the headings of a page, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LINKED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        target, _, anchor = link.partition("#")
        path = page.parent / target if target else page
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link


def test_every_page_is_linked_from_the_readme_and_the_index():
    for start in (README, ROOT / "docs/README.md"):
        links = re.findall(r"\]\(([^)#\s]+)", start.read_text(encoding="utf-8"))
        linked = {(start.parent / link).resolve() for link in links}
        assert set(DOCS) - linked - {ROOT / "docs/README.md"} == set(), start


def test_the_readme_is_a_front_page():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_the_table_of_parts_is_complete():
    try:  # moves with the registry
        from xdfn.core.registry import REGISTRIES
    except ImportError:
        from xdfn._spec import _REGISTRIES as REGISTRIES

    table = (ROOT / "docs/parts.md").read_text(encoding="utf-8")
    names = {"initializer": "initialiser", "regularizer": "regulariser", "loss": "losse"}
    for registry in REGISTRIES:
        kind = names.get(registry.kind, registry.kind) + "s"
        row = re.search(rf"^\| {kind} \|(.*)\|$", table, re.MULTILINE)[1]
        named = set(re.findall(r"`(\w+)", row))
        assert named == {cls.__name__ for cls in registry.classes if cls.__module__.startswith("xdfn.")}
