"""The documents tell the truth: every block of code in README.md and docs runs, every link leads somewhere, and what
docs/architecture.md and CONTRIBUTING.md name is there.
"""

import importlib
import operator
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
CONTRIBUTING, ARCHITECTURE = ROOT / "CONTRIBUTING.md", ROOT / "docs/architecture.md"
LINKED = [README, *DOCS, ROOT / "CHANGELOG.md", CONTRIBUTING]


def blocks():
    for path in (README, *DOCS, CONTRIBUTING):
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"^```([^\n]*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            if match[1] in ("text", "math", "{toctree}"):  # a picture of characters, an equation, the site's menu
                continue
            if match[1] == "python" and path == CONTRIBUTING:  # a piece of a file, see test_the_example_of_a_new_part
                continue
            kind = "cupy" if "import cupy" in match[2] else match[1]
            page = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "-")
            line = text[: match.start()].count("\n") + 1
            slow = match[1] == "python" and path != README  # a process each
            yield pytest.param(
                match[1], match[2], id=f"{kind}-{page}-line-{line}", marks=[pytest.mark.slow] if slow else []
            )


@pytest.mark.parametrize(("language", "code"), list(blocks()))
def test_a_block_of_code(language, code, tmp_path):
    if language == "sh":
        for line in code.splitlines():
            check_command(line.split("#")[0].split())
        return
    assert language == "python"
    for package in re.findall(r"^(?:import|from) (pandas|onnxruntime|torch|sklearn|safetensors)", code, re.MULTILINE):
        pytest.importorskip(package)
    if "distributed.mpi" in code:
        try:
            importlib.import_module("mpi4py.MPI")
        except (ImportError, RuntimeError) as error:
            pytest.skip(f"there is no MPI here ({error})")
    if "import cupy" in code:
        cupy = pytest.importorskip("cupy", reason="no CuPy here")
        if not cupy.cuda.is_available():
            pytest.skip("CuPy finds no GPU")
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def check_command(words):
    """A command of a shell block. The scripts that run the tests can't be run by them, but they have to be there."""
    words = words[bool(words) and "=" in words[0] :]  # VARIABLE=value before it
    if not words or words[0] == "git":
        return
    if words[:2] == ["pip", "install"]:
        pyproject = (ROOT / "pyproject.toml").read_text()
        for extra in re.findall(r"\[(\w+)\]", words[-1]):
            assert f"\n{extra} = [" in pyproject
    elif words[0] == "python":
        assert (ROOT / words[1]).exists()  # test_examples runs it
    else:
        assert os.access(ROOT / words[0], os.X_OK)
        assert all((ROOT / word.split("::")[0]).exists() for word in words[1:] if word.endswith(".py"))


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


def test_every_page_is_linked_from_the_index():
    """By the index itself, or by the pages of links that it leads to."""
    pages = [ROOT / "docs" / f"{name}.md" for name in ("index", "tutorials", "guide", "about")]
    links = [re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")) for page in pages]
    linked = {(ROOT / "docs" / link).resolve() for page in links for link in page}
    assert set(DOCS) - linked - {pages[0]} == set()


def test_the_readme_is_a_front_page():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_the_table_of_parts_is_complete():
    from xdfn.core.registry import REGISTRIES

    table = (ROOT / "docs/parts.md").read_text(encoding="utf-8")
    names = {"initializer": "initialiser", "regularizer": "regulariser", "loss": "losse"}
    for registry in REGISTRIES:
        kind = names.get(registry.kind, registry.kind) + "s"
        row = re.search(rf"^\| {kind} \|(.*)\|$", table, re.MULTILINE)[1]
        named = set(re.findall(r"`(\w+)", row))
        assert named == {cls.__name__ for cls in registry.classes if cls.__module__.startswith("xdfn.")}


def exists(code):
    """Whether the file, the function or the name is there that a document has in backticks; None for other code."""
    # a folder, a file, a test in a file
    if match := re.fullmatch(r"([\w/.-]+/|[\w/]+\.(?:py|md|txt)|\.?ci/[\w-]+)(?:::(\w+))?", code):
        found = [path for path in (ROOT / match[1], ROOT / "xdfn" / match[1]) if path.exists()]
        return bool(found) and (match[2] is None or f"def {match[2]}(" in found[0].read_text(encoding="utf-8"))
    if match := re.fullmatch(r"([a-z_/]+)\.([A-Za-z_][\w.]*)", code):  # module.function, module.Class.method
        if not (ROOT / "xdfn" / f"{match[1]}.py").exists():
            return False
        module = importlib.import_module(f"xdfn.{match[1].replace('/', '.')}")
        try:
            operator.attrgetter(match[2])(module)
        except AttributeError:
            return False
        return True
    if re.fullmatch(r"\w+", code):
        texts = [path.read_text(encoding="utf-8") for top in ("xdfn", "tests") for path in (ROOT / top).rglob("*.py")]
        return any(re.search(rf"\b{code}\b", text) for text in texts)
    return None


@pytest.mark.parametrize("page", [ARCHITECTURE, CONTRIBUTING], ids=lambda path: path.name)
def test_what_is_named_is_there(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`([^`]+)`", text)) - {"HardTanh"}  # the example of a part that is not there
    assert [code for code in sorted(named) if exists(code) is False] == []


@pytest.mark.parametrize(
    "code",
    [
        "train/nothing.py",
        "ci/nothing",
        "nothing/",
        "tests/contracts/test_flow.py::test_nothing",
        "train/loop.nothing",
        "train/nothing.epochs",
        "model.DFN.nothing",
    ],
)
def test_what_is_gone_is_seen(code):
    assert exists(code) is False


def test_the_example_of_a_new_part():
    """The class in CONTRIBUTING.md, put where it says, is right."""
    from xdfn.nn import activations

    code = re.search(r"^```python\n(.*?)^```", CONTRIBUTING.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[1]
    exec(code, dict(vars(activations)))  # conftest takes it out of the registry again
    g, z, h = activations.activations.resolve("hard_tanh"), np.linspace(-2, 2, 42), 1e-6
    assert g.traceable
    np.testing.assert_array_equal(g.forward(z), np.clip(z, -1, 1))
    np.testing.assert_allclose(g.grad(z), (g.forward(z + h) - g.forward(z - h)) / (2 * h), atol=1e-9)
