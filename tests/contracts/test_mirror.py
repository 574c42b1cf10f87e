"""The tests mirror the package: the file that guards a module is found by its name."""

from pathlib import Path

import pytest

import xdfn

PACKAGE, TESTS = Path(xdfn.__file__).parent, Path(__file__).resolve().parents[1]
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
# modules that another file guards
ELSEWHERE = {
    "backend/array.py": "contracts/test_imports.py",  # types alone
    "nn/layers/context.py": "nn/layers/test_base.py",  # what all layers are given
    "nn/layers/weighted.py": "nn/layers/test_dense.py",  # what its two kinds have in common
    # the files that they make are tested, and the ways there and back together
    "export/operations.py": "export/test_program.py",
    "export/printer.py": "export/test_numpy.py",
    "export/texts.py": "export/test_numpy.py",
    "export/torch_reading.py": "export/test_torch.py",
    # every rule goes through the same tests
    "optim/base.py": "optim/test_optimizers.py",
    "optim/sgd.py": "optim/test_optimizers.py",
    "optim/adaptive.py": "optim/test_optimizers.py",
    "optim/adam.py": "optim/test_optimizers.py",
}


def name_of(path):
    return path.relative_to(PACKAGE).as_posix()


def guard_of(path):
    """The test file of a module: backend/_blas.py has backend/test_blas.py."""
    name = path.relative_to(PACKAGE)
    return ELSEWHERE.get(name.as_posix(), name.with_name(f"test_{path.stem.lstrip('_')}.py").as_posix())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_has_its_tests(path):
    assert (TESTS / guard_of(path)).exists()


def test_every_file_of_tests_has_its_module():
    """Beside the contracts, which hold for all of them, the site of documents and the teaching notebooks."""
    guards = set(map(guard_of, MODULES))
    files = {path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}
    assert {file for file in files - guards if not file.startswith(("contracts/", "notebooks/", "site/"))} == set()


def test_the_exceptions_are_modules_without_a_file_of_their_own():
    assert set(ELSEWHERE) <= set(map(name_of, MODULES))
    for name in ELSEWHERE:
        assert not (TESTS / name).with_name(f"test_{Path(name).stem}.py").exists()


def test_no_file_of_tests_outgrows_a_sitting():
    lengths = {path.name: len(path.read_text().splitlines()) for path in TESTS.rglob("test_*.py")}
    assert {name: n for name, n in lengths.items() if n > 420} == {}
