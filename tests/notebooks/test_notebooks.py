"""The two teaching notebooks, which are one in two languages: docs/notebooks/*.ipynb."""

import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
ENGLISH, CHINESE = (FOLDER / f"deep-feedforward-networks{end}.ipynb" for end in ("", "-zh"))


def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def test_there_are_two():
    assert sorted(FOLDER.glob("*.ipynb")) == sorted([CHINESE, ENGLISH])


def test_they_differ_in_the_text_alone():
    for english, chinese in zip(cells(ENGLISH), cells(CHINESE), strict=True):
        assert english["cell_type"] == chinese["cell_type"]
        if english["cell_type"] == "code":
            assert english["source"] == chinese["source"]
            continue
        # the same formulas, references to equations, numbers of sections and exercises
        one, other = "".join(english["source"]), "".join(chinese["source"])
        for pattern in (r"^#+ (?:\d+\.)?", r"^\d+\. ", r"\]\(([^)\s]+)\)"):
            assert re.findall(pattern, one, re.MULTILINE) == re.findall(pattern, other, re.MULTILINE)
        assert sorted(formulas(one)) == sorted(formulas(other))


def formulas(text):
    return [re.sub(r"\s+", "", formula) for formula in re.findall(r"\$\$(.+?)\$\$", text, re.DOTALL)]


@pytest.mark.parametrize("path", [ENGLISH, CHINESE], ids=lambda path: path.stem)
def test_it_is_kept_without_what_it_printed(path):
    for cell in cells(path):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
            assert len(cell["source"]) <= 30


@pytest.mark.parametrize("path", [ENGLISH, CHINESE], ids=lambda path: path.stem)
def test_it_runs_and_shows_its_figures(path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # a kernel shows pictures by its own
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(FOLDER)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    outputs = {cell["id"]: cell["outputs"] for cell in notebook.cells if cell["cell_type"] == "code"}
    pictures = {name for name, given in outputs.items() if any("image/png" in out.get("data", {}) for out in given)}
    drawn = {"neuron", "network", "numbers", "descent", "surfaces", "towers", "widths"}
    assert pictures == drawn | {"mnist", "confusion", "mistakes"}
    assert not [out for given in outputs.values() for out in given if out.get("name") == "stderr"]
    accuracy = float(printed(outputs["mnist"]).split()[-1])
    assert 0.93 < accuracy < 0.98  # what 10,000 rows give
    losses = [line.split()[-1] for line in printed(outputs["libraries"]).splitlines()]
    assert len(set(losses)) == 1  # on every library


def printed(outputs):
    return "".join(out["text"] for out in outputs if out.get("name") == "stdout")
