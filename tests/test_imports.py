import ast
import subprocess
import sys
from pathlib import Path

import pytest

import xdfn

PACKAGE = Path(xdfn.__file__).parent
# Reading order: a module imports only from those before it.
ORDER = [
    *(
        "_trees",
        "_tape",
        "_blas",
        "_numpy",
        "_pieces",
        "_cupy",
        "_backend",
        "_spec",
        "random",
        "activations",
        "initializers",
        "regularizers",
        "losses",
        "metrics",
        "schedules",
        "optimizers",
        "layers",
        "normalization",
        "units",
        "network",
    ),
    *("data", "training", "callbacks", "fitting", "checkpoint", "inspection", "datasets", "model", "plotting"),
    "__init__",
]
OPTIONAL = {"cupy", "torch", "jax", "jaxlib", "array_api_strict", "matplotlib", "pooch", "tqdm", "sklearn", "scipy"}


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
            yield from (
                (f"{node.module}.{alias.name}" if node.module == "xdfn" else node.module, id(node) in top)
                for alias in node.names
            )


def test_every_module_has_its_place():
    assert {path.stem for path in PACKAGE.glob("*.py")} == set(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_imports_point_upwards(name):
    for module, at_run_time in imports(PACKAGE / f"{name}.py"):
        if module.startswith("xdfn.") and at_run_time:
            assert ORDER.index(module.split(".")[1]) < ORDER.index(name), f"{name} imports {module}"


@pytest.mark.parametrize("name", ORDER)
def test_only_the_backend_knows_a_library(name):
    named = {module.split(".")[0] for module, _ in imports(PACKAGE / f"{name}.py")}
    if name not in ("_backend", "_cupy"):
        assert not named & {"array_api_compat", "cupy", "torch", "jax", "array_api_strict"}
    optional = {module.split(".")[0] for module, top in imports(PACKAGE / f"{name}.py") if top} & OPTIONAL
    assert optional == ({"matplotlib"} if name == "plotting" else set())


def test_importing_loads_numpy_and_array_api_compat_alone():
    code = "import sys, xdfn; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not OPTIONAL & {name.split(".")[0] for name in loaded}
    assert "array_api_compat.numpy" not in loaded
    assert "numpy.random" not in loaded


def test_all_is_exactly_the_public_names_sorted():
    public = {
        name for name, value in vars(xdfn).items() if not name.startswith("_") and not isinstance(value, type(sys))
    }
    assert sorted(xdfn.__all__, key=str.swapcase) == sorted(public, key=str.swapcase)
    assert len(set(xdfn.__all__)) == len(xdfn.__all__)


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
