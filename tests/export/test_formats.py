"""Each format covers a part or says that it does not, and which formats do."""

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from exported import CASES, Doubled, make, rows
from parts import ACTIVATIONS, LAYERS, LOSSES

import xdfn.export
from xdfn import DFN
from xdfn.export import export_c, export_numpy, export_safetensors, to_coefs, to_onnx, to_sklearn, to_torch
from xdfn.export.formats import HAS_WORD
from xdfn.nn.activations import activations
from xdfn.nn.layers.base import layers
from xdfn.nn.losses import losses

ROOT = Path(__file__).resolve().parents[2]
WRITE = {  # format: how it is written, and the package that it needs
    "to_onnx": (lambda model, folder: to_onnx(model), "onnx"),
    "to_torch": (lambda model, folder: to_torch(model), "torch"),
    "to_sklearn": (lambda model, folder: to_sklearn(model), "sklearn"),
    "to_coefs": (lambda model, folder: to_coefs(model), "numpy"),
    "export_safetensors": (lambda model, folder: export_safetensors(model, folder / "net.safetensors"), "safetensors"),
    "export_numpy": (lambda model, folder: export_numpy(model, folder / "net.py"), "numpy"),
    "export_c": (lambda model, folder: export_c(model, folder / "net.c"), "numpy"),
}
PARTS = {
    **{spec: activations.resolve(spec) for spec in ACTIVATIONS},
    **{spec: layers.resolve(spec) for spec in LAYERS},
    **{spec: losses.resolve(spec) for spec in LOSSES},
}


def test_every_format_is_here():
    assert set(HAS_WORD) == set(WRITE)
    writing = {name for name in xdfn.export.__all__ if name.startswith(("to_", "export_"))}
    assert writing == set(WRITE)


@pytest.mark.parametrize("case", PARTS)
@pytest.mark.parametrize("name", WRITE)
def test_each_part_is_covered_or_refused_by_its_name(name, case, tmp_path):
    """And what a format says that it has a word for, it writes. That it writes the right thing, its own tests say."""
    write, package = WRITE[name]
    pytest.importorskip(package)
    model, _ = make(case)
    if name == "to_sklearn" and case.startswith("Poisson"):
        pytest.importorskip("sklearn", minversion="1.7")
    if HAS_WORD[name](PARTS[case]):
        write(model, tmp_path)
        return
    with pytest.raises(ValueError, match=f"^{name} has no word for .*{type(PARTS[case]).__name__}") as refused:
        write(model, tmp_path)
    others = {other for other, has_word in HAS_WORD.items() if has_word(PARTS[case])}
    assert f"formats that have one: {', '.join(other for other in HAS_WORD if other in others)}, DFN.save" in str(
        refused.value
    )


def test_the_parts_are_all_that_are_registered():
    assert {type(part) for part in PARTS.values()} == {
        cls for registry in (activations, layers, losses) for cls in registry.classes if cls.__module__[:5] == "xdfn."
    }
    assert set(PARTS) <= set(CASES)


@pytest.mark.parametrize("name", sorted(set(WRITE) - {"export_safetensors"}))
def test_a_users_layer_is_refused(name, tmp_path):
    write, package = WRITE[name]
    pytest.importorskip(package)
    model = DFN(layers=[Doubled(), 2], seed=0).initialize(rows())
    with pytest.raises(ValueError, match=f"{name} has no word for Doubled1, Doubled; .* export_safetensors, DFN.save"):
        write(model, tmp_path)


@pytest.mark.parametrize(
    ("package", "extra", "call"),
    [
        ("onnx", "onnx", "to_onnx(model)"),
        ("torch", "torch", "to_torch(model)"),
        ("torch", "torch", "from_torch(None)"),
        ("sklearn", "sklearn", "to_sklearn(model)"),
        ("safetensors", "safetensors", "export_safetensors(model, 'net')"),
        ("safetensors", "safetensors", "import_safetensors('net', model)"),
    ],
)
def test_a_missing_package_names_its_extra(package, extra, call):
    code = (
        f"import sys; sys.modules['{package}'] = None; import numpy as np; from xdfn import DFN;"
        f"from xdfn.export import *; model = DFN(4, 2).initialize(np.eye(3)); {call}"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = run.stderr.splitlines()[-1]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    requirement = next(
        given
        for given in extras[extra]
        if given.replace("scikit-learn", "sklearn").startswith(package)
    )  # fmt: skip
    assert last.startswith("ModuleNotFoundError: xdfn.export needs")
    assert f'pip install "{requirement}"' in last
    assert f'pip install "xdfn[{extra}]"' in last


def test_importing_loads_no_package():
    code = "import sys, xdfn.export; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"onnx", "torch", "sklearn", "safetensors", "scipy"} & set(loaded)


@pytest.mark.parametrize("name", ["to_onnx", "export_numpy", "export_c", "export_safetensors"])
def test_a_file_is_written_whole_or_not_at_all(name, tmp_path):
    """A refused model leaves the old file."""
    suffix = {"to_onnx": "onnx", "export_numpy": "py", "export_c": "c", "export_safetensors": "safetensors"}[name]
    _, package = WRITE[name]
    pytest.importorskip(package)
    path = tmp_path / f"net.{suffix}"
    path.write_text("old")
    with pytest.raises(ValueError, match="no parameters yet"):
        getattr(importlib.import_module("xdfn.export"), name)(DFN(4, 2), path)
    assert path.read_text() == "old"
    getattr(xdfn.export, name)(DFN(4, 2, seed=0).initialize(np.eye(3)), path)
    assert path.read_bytes() != b"old"


def test_the_table_of_the_docs_is_true():
    """docs/exporting.md says "no" of the parts that a format has no word for, and of these alone."""
    text = (ROOT / "docs/exporting.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| part \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    (head,) = re.findall(r"^\| part \|(.*)\|$", text, re.MULTILINE)
    columns = [re.findall(r"`(\w+)`", cell) for cell in head.split("|")]
    assert {name for names in columns for name in names} == set(WRITE)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    by_class = {type(part).__name__: part for part in PARTS.values()}
    assert sorted(name.strip("`") for name, *_ in rows) == sorted(by_class)
    for name, *cells in rows:
        part = {"`Affine`": activations.resolve("affine")}.get(name, by_class[name.strip("`")])
        for names, cell in zip(columns, cells, strict=True):
            covered = "no" if cell == "no" or cell == "with `scores=True`" or cell.startswith("at the end") else "yes"
            assert {HAS_WORD[of](part) for of in names} == {covered == "yes"}, (name, names)
