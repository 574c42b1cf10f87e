"""Files of earlier versions: they load, and what they hold answers and trains on as it did then.

tests/data/make_golden.py says what is in them.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from xdfn import DFN, Callback
from xdfn.core.registry import REGISTRIES

GOLDEN = Path(__file__).resolve().parent.parent / "data" / "golden"
OF_0_1_0 = set((Path(__file__).parent / "public_names.txt").read_text().split())
NAMES = sorted(path.name.removesuffix(".expected.npz") for path in GOLDEN.glob("*.expected.npz"))
# the BLAS of another machine sums in another order, and training carries that on
TOLERANCES = {"float64": {"rtol": 1e-10, "atol": 1e-12}, "float32": {"rtol": 1e-4, "atol": 1e-5}}


class Golden:
    """A file, and what the version that wrote it made of it."""

    def __init__(self, name):
        self.path = GOLDEN / f"{name}.npz"
        with np.load(GOLDEN / f"{name}.expected.npz") as file:
            self.expected = dict(file)
        self.X, self.y = self.expected["X"], self.expected["y"]

    def check(self, what, actual):
        expected = self.expected[what]
        if what.startswith("after/arrays"):
            assert actual.dtype == expected.dtype
        np.testing.assert_allclose(actual, expected, **TOLERANCES[self.X.dtype.name], err_msg=what)

    def check_answers(self, model, prefix=""):
        names = {name for name in self.expected if name.startswith(f"{prefix}history/")}
        assert {f"{prefix}history/{name}" for name in model.history} == names
        for name, values in model.history.items():
            self.check(f"{prefix}history/{name}", values)
        if f"{prefix}prediction" in self.expected:
            expected = self.expected[f"{prefix}prediction"]
            found = model.predict_proba(self.X)
            assert found.dtype == expected.dtype
            self.check(f"{prefix}prediction", found)
        else:
            assert not model.is_initialized


def test_there_are_files():
    assert {path.name for path in GOLDEN.iterdir()} == {
        f"{name}{end}" for name in NAMES for end in (".npz", ".expected.npz")
    }


@pytest.fixture(params=NAMES)
def golden(request):
    return Golden(request.param)


def test_a_file_loads_and_answers(golden):
    golden.check_answers(DFN.load(golden.path))


def test_training_goes_on(golden, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where a Checkpoint writes
    model, more = DFN.load(golden.path), json.loads(golden.expected["fit"].tobytes())
    if "callbacks" in more:
        more["callbacks"] = [re.sub(r"(Checkpoint.*)monitor=", r"\1best=", spec) for spec in more["callbacks"]]
    model.fit(golden.X, golden.y, sample_weight=golden.expected.get("sample_weight"), **more)
    golden.check_answers(model, "after/")
    trees = [{**layer.params, **layer.buffers} for layer in model.layers.values()]
    golden.check("after/arrays", np.concatenate([np.ravel(tree[name]) for tree in trees for name in sorted(tree)]))


def test_saving_again_loses_nothing(golden, tmp_path):
    DFN.load(golden.path).save(tmp_path / "again.npz")
    with np.load(golden.path) as old, np.load(tmp_path / "again.npz") as new:
        arrays = set(old.files) - {"xdfn.json"}
        assert arrays <= set(new.files)
        for name in arrays:
            assert old[name].dtype == new[name].dtype
            assert old[name].tobytes() == new[name].tobytes()


def test_every_part_is_in_a_file():
    """Every part of 0.1.0: a file knows callbacks by what they remember, and metrics by the history."""
    named, measured = set(), set()
    for name in NAMES:
        with np.load(GOLDEN / f"{name}.npz") as file:
            meta = json.loads(file["xdfn.json"].tobytes())
        specs = [*meta["layers"].values(), meta["loss"], *(name for name, _ in meta["callbacks"])]
        named |= set(re.findall(r"\w+", " ".join(specs)))
        measured |= {name.removeprefix("val_") for name in meta["history"]}
    for registry in REGISTRIES:
        library = {cls for cls in registry.classes if cls.__name__ in OF_0_1_0}
        if registry.kind == "callback":
            library = {cls for cls in library if cls.state is not Callback.state}
        found = measured if registry.kind == "metric" else named
        assert {cls.__name__ for cls in library} <= found, registry.kind
