"""What must not stand in the library because of what it costs on a GPU: a wait, a copy, dozens of kernels or a silent
float64. Counted on CuPy 14.2: `clip` is 19 kernels and 4 reads, `sign` 5 and 1, a boolean mask 5 and 1.
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "xdfn"
FILES = sorted(PACKAGE.rglob("*.py"))
# where arrays are NumPy's by design: what draws and reads files on the host, and NumPy's own short ways; and pictures,
# and files for other tools
HOST = {
    "backend/_blas.py",
    "backend/_numpy.py",
    "backend/_recorder.py",
    "checkpoint/saved.py",
    "checkpoint/checks.py",
    "datasets.py",
    "nn/initializers.py",
}
BANNED = {"clip", "sign", "nonzero", "argwhere", "unique_values", "unique_all", "item", "compress", "extract"}
CREATING = {"zeros", "ones", "empty", "full", "arange", "linspace", "eye"}
# the places that may read the device: the check of a fit's input, the end of an epoch and a batch that is printed,
# calls that return a number, saving and moving
READING = {
    "train/checks.py": {"_advice", "_check_values", "_complaint", "_complaint_of", "_numbering", "check_weights"},
    "nn/targets.py": {"_of_floats"},  # for the text of an error
    "train/loop.py": {"end_of_epoch", "require_finite"},
    "train/options.py": {"device_template"},  # of NumPy's own arrays
    "train/plan.py": {"class_numbers"},
    "train/session.py": {"on_batch"},  # if a callback asks
    "train/stack.py": {"end_of_epoch"},
    "train/stacked_session.py": {"on_batch"},  # if a callback asks
    "train/ranks.py": {"fingerprint"},  # once an epoch
    "distributed/mpi.py": {"sum"},  # of a device's arrays, which MPI does not know
    "dask/answers.py": {"_lazily", "answer_frame"},  # frames lie on the host
    "dask/rabit.py": {"sum"},  # nor does Rabit
    "inference.py": {"evaluate"},
    "inspect/gradients.py": {"__init__", "_number", "error", "off_by"},
    "nn/layers/stateful.py": {"put_all"},
    "backend/transfer.py": {"to_numpy", "to_place", "read"},
    # labels go to the host, answers of scikit-learn's come from there; its search has its vector there
    "sklearn/answers.py": {"_predictions"},
    "sklearn/classifier.py": {"predict", "partial_fit"},
    "sklearn/estimator.py": {"_fit_lbfgs"},
    "sklearn/inputs.py": {"read_both", "read_inputs", "read_weights"},
    "sklearn/lbfgs.py": {"__call__", "vector"},
    "sklearn/stochastic.py": {"score", "_rules"},
}
NUMBERS = {  # float( of Python's numbers
    "backend/place.py": {"_finfo"},
    "core/fields.py": {"number"},
    "inspect/gradients.py": {"off_by"},
    "lr_finder.py": {"__call__"},  # of a schedule
    "nn/activations.py": {"_whole_log"},
    "optim/adam.py": {"_nadam_mu"},
    "sklearn/inputs.py": {"read_weights"},
    "sklearn/lbfgs.py": {"search"},
    "sklearn/stochastic.py": {"_rule", "_fit_stochastic", "_rules"},
    "train/callbacks/checkpoint.py": {"interval"},
    "train/data.py": {"row_weights"},
    "train/ranks.py": {"batches"},
    "train/scalars.py": {"__call__", "rate"},
    "train/step.py": {"add_sums"},  # of a batch's size
}


def functions(tree):
    """(name of the innermost function, node) for every node."""

    def walk(node, name):
        for child in ast.iter_child_nodes(node):
            inner = child.name if isinstance(child, ast.FunctionDef) else name
            yield inner, child
            yield from walk(child, inner)

    return walk(tree, "")


def name_of(path):
    return path.relative_to(PACKAGE).as_posix()


def offences(path, source=None):
    """(line, what is wrong) in a file."""
    tree, file = ast.parse(source if source is not None else path.read_text()), name_of(path)
    if file in HOST or file.startswith(("plotting/", "export/")):
        return
    for function, node in functions(tree):
        if isinstance(node, ast.Call):
            f = node.func
            name = f.attr if isinstance(f, ast.Attribute) else f.id if isinstance(f, ast.Name) else ""
            owner = f.value.id if isinstance(f, ast.Attribute) and isinstance(f.value, ast.Name) else ""
            if isinstance(f, ast.Attribute) and name in BANNED and not (file == "core/fields.py" and name == "item"):
                yield node.lineno, f".{name}( costs a wait or dozens of kernels"
            if isinstance(f, ast.Name) and name == "float":
                allowed = READING.get(file, set()) | NUMBERS.get(file, set())
                of_shape = ".shape" in ast.unparse(node) or "finfo" in ast.unparse(node)
                if function not in allowed and not of_shape:
                    yield node.lineno, "float( reads the device"
            reads = name in ("to_numpy", "read") and isinstance(f, ast.Name)
            if reads and function not in READING.get(file, set()):
                yield node.lineno, f"{name}( reads the device"
            if owner == "xp" and name in CREATING:
                given = {keyword.arg for keyword in node.keywords}
                traced = function == "ones_row"  # under JAX's trace, where there is no device
                if "dtype" not in given or not ({"device"} <= given or traced):
                    yield node.lineno, f"xp.{name}( without dtype and device"
            if owner == "np" and name in {"float32", "float64", "int32", "int64", "sqrt", "log", "exp"}:
                yield node.lineno, f"np.{name}( makes a scalar that turns float32 arrays into float64"
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Compare):
            yield node.lineno, "a boolean mask reads the device"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_that_a_gpu_waits_for(path):
    assert list(offences(path)) == []


@pytest.mark.parametrize(
    "line",
    [
        "xp.clip(x, 0, 1)",
        "xp.sign(x)",
        "xp.nonzero(x)",
        "x.item()",
        "float(x)",
        "to_numpy(x)",
        "xp.zeros(3)",
        "xp.zeros(3, dtype=x.dtype)",
        "np.sqrt(2)",
        "x[x > 0]",
    ],
)
def test_the_lint_sees_it(line):
    assert list(offences(PACKAGE / "nn/layers/dense.py", f"def f(x):\n    return {line}\n"))
