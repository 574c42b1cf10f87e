"""The floors of the house: what may import what, and what is public."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import xdfn
from xdfn.core.registry import REGISTRIES

PACKAGE = Path(xdfn.__file__).parent
# from the bottom up: a module imports from its own package and from floors below it
FLOORS = [
    "core",
    "backend",
    "optim",
    "nn",
    "notebook",
    "train",
    "checkpoint",
    "inference",
    "functional",
    "custom_loop",
    "inspect",
    "portable",
    "fitting",
    "datasets",
    "model",
    "ensemble",
    "lr_finder",
    "export",
    "distributed",
    "dask",
    "plotting",
    "sklearn",
    "__init__",
]
FILES = sorted(PACKAGE.rglob("*.py"))
OPTIONAL = {"cupy", "torch", "jax", "jaxlib", "array_api_strict", "matplotlib", "pooch", "tqdm", "sklearn", "scipy"}
OPTIONAL |= {"dask", "distributed", "xgboost", "pandas"}
NAMES = set((Path(__file__).parent / "public_names.txt").read_text().split())  # those of 0.1.0, for ever
PARTS = {cls.__name__ for registry in REGISTRIES for cls in registry.classes if cls.__module__.startswith("xdfn.")}


def floor(path):
    """The package, or the module at the top, that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    """(imported module, whether at the top of the file) of each import in a file."""
    tree = ast.parse(path.read_text())
    top = set(map(id, tree.body)) | {
        id(node) for block in tree.body if isinstance(block, ast.If) for node in block.body
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", id(node) in top) for alias in node.names)


def name_of(path):
    return path.relative_to(PACKAGE).as_posix()


def test_every_file_is_on_a_floor():
    assert {floor(path) for path in FILES} == set(FLOORS)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_down_only(path):
    for module, _ in imports(path):
        package, *inside = module.split(".")
        if package == "xdfn":
            below = FLOORS.index(inside[0]) < FLOORS.index(floor(path))
            assert below or inside[0] == floor(path), f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_private_modules_are_imported_by_their_package_alone(path):
    for module, _ in imports(path):
        package, *inside = module.split(".")
        modules = [name for name in inside if name.startswith("_") and not name.startswith("__")]
        if package == "xdfn" and any((PACKAGE / inside[0] / f"{name}.py").exists() for name in modules):
            assert inside[0] == floor(path), f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_backend_is_entered_by_its_door(path):
    """Only the backend, and random as a module of it, is imported from outside, and no file of it beside them."""
    for module, _ in imports(path):
        if module.startswith("xdfn.backend.") and floor(path) != "backend":
            name = module.split(".")[2]
            assert name == "random" or name in xdfn.backend.__all__, f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_only_the_backend_knows_a_library(path):
    named = {module.split(".")[0] for module, _ in imports(path)}
    if floor(path) != "backend":
        assert not named & {"array_api_compat", "cupy", "torch", "jax", "array_api_strict"}
    assert floor(path) == "distributed" or "mpi4py" not in named
    optional = {module.split(".")[0] for module, top in imports(path) if top} & OPTIONAL
    if floor(path) == "dask":  # the one package that knows Dask
        assert optional <= {"dask", "distributed"}
    elif floor(path) == "sklearn":  # the one package that knows scikit-learn, and what that brings
        assert optional <= {"sklearn", "scipy"}
    else:
        assert not named & {"sklearn", "scipy", "dask", "distributed", "xgboost"}
        assert optional == ({"matplotlib"} if floor(path) == "plotting" and path.name != "__init__.py" else set())


def test_without_matplotlib_plotting_says_what_to_install():
    code = "import sys; sys.modules['matplotlib'] = None; from xdfn import plotting"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    last = run.stderr.splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: xdfn.plotting needs matplotlib: pip install")
    extras = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (requirement,) = extras["plot"]
    assert f'"{requirement}"' in last
    assert '"xdfn[plot]"' in last
    assert "xdfn[plot,progress]" in extras["examples"]


def test_without_scikit_learn_its_package_says_what_to_install():
    code = "import sys; sys.modules['sklearn'] = None; from xdfn.sklearn import MLPClassifier"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    last = run.stderr.splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: xdfn.sklearn needs scikit-learn: pip install")
    extras = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (requirement,) = extras["sklearn"]
    assert f'"{requirement}"' in last
    assert '"xdfn[sklearn]"' in last
    assert "xdfn[sklearn]" in extras["test"]


@pytest.mark.parametrize("package", ["nn", "optim"])
def test_the_notebooks_style_is_heard_of_in_one_place(package):
    for path in (PACKAGE / package).rglob("*.py"):
        assert "notebook" not in path.read_text().lower(), path


def test_importing_loads_numpy_and_array_api_compat_alone():
    code = "import sys, xdfn; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not OPTIONAL & {name.split(".")[0] for name in loaded}
    assert "array_api_compat.numpy" not in loaded
    assert "numpy.random" not in loaded


def test_the_public_names_are_these_and_the_parts():
    """No public name is lost, no part is forgotten, and nothing else becomes public unnoticed."""
    public = {
        name for name, value in vars(xdfn).items() if not name.startswith("_") and not isinstance(value, type(sys))
    }
    assert set(xdfn.__all__) == public == NAMES | PARTS
    assert len(set(xdfn.__all__)) == len(xdfn.__all__)


def test_the_stub_for_type_checkers_has_the_same_names():
    names = {"register"}
    for module in re.findall(r"^from (xdfn\.[\w.]+) import \*$", (PACKAGE / "__init__.pyi").read_text(), re.MULTILINE):
        names |= set(importlib.import_module(module).__all__)
    assert names == set(xdfn.__all__)


def test_star_import_gives_the_notebooks_names():
    names = """
        ReLU Sigmoid Tanh Affine ActivationInitializer ActivationBase sigmoid softmax LeakyReLU SoftPlus ELU Exponential
        SELU HardSigmoid WeightInitializer std_normal he_uniform random_uniform random_normal he_normal glorot_uniform
        glorot_normal OptimizerInitializer SGD OptimizerBase Momentum AdaGrad RMSProp AdaDelta Adam FullyConnected
        Softmax LayerBase SquaredError CrossEntropy ObjectiveBase minibatch DFN load_data
    """
    assert set(names.split()) <= set(xdfn.__all__)


def test_every_public_name_has_a_docstring():
    for name in xdfn.__all__:
        assert getattr(xdfn, name).__doc__, name
