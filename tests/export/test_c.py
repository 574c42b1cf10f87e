"""The C file, compiled, answers as the model does."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest
from exported import (
    CASES,
    TOLERANCE,
    Cubed,
    assert_same_answers,
    make,
    networks,
    rows,
    tolerance_of,
    with_activation,
    yes_or_no,
)
from hypothesis import HealthCheck, given, settings

from xdfn.export import export_c

CC = shutil.which("cc")
with_compiler = pytest.mark.skipif(CC is None, reason="there is no C compiler here")
FLAGS = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1", "-ffp-contract=off", "-shared", "-fPIC"]
_COUNT = iter(range(10**6))


def compiled(model, folder, **more):
    export_c(model, folder / "net.c", **more)
    library = folder / f"net{next(_COUNT)}.so"  # another name each, or the loader gives the one that it has
    subprocess.run([CC, *FLAGS, "-o", library, folder / "net.c", "-lm"], check=True)
    return ctypes.CDLL(str(library))


def run(library, model, X):
    """What the functions answer, in the shapes of the model's."""
    array = np.ctypeslib.ndpointer(X.dtype, flags="C_CONTIGUOUS")
    shape = model.predict_proba(X).shape
    values = np.empty((len(X), shape[1] if len(shape) == 2 else 1), X.dtype)
    function = library.net_predict_proba if model.loss.classifies else library.net_predict
    function.argtypes, function.restype = [array, array], None
    for x, y in zip(X, values, strict=True):
        function(x, y)
    values = values.reshape(shape)
    if not model.loss.classifies:
        return [values]
    label, of = library.net_predict, model.predict(X)
    if of.size == len(X):
        label.argtypes = [array]
        return [np.reshape([label(x) for x in X], of.shape), values]
    label.argtypes, labels = [array, np.ctypeslib.ndpointer(ctypes.c_int)], np.empty(of.shape, ctypes.c_int)
    for x, y in zip(X, labels, strict=True):
        label(x, y)
    return [labels, values]


@with_compiler
@pytest.mark.parametrize("case", CASES)
def test_the_file_answers_as_the_model(case, tmp_path):
    for dtype in ("float32", "float64"):
        model, X = make(case, dtype)
        found = run(compiled(model, tmp_path), model, X)
        assert_same_answers(found, model, X, 4 * TOLERANCE[dtype])


@with_compiler
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(networks())
def test_random_networks(tmp_path, given):
    model, X = given
    found = run(compiled(model, tmp_path), model, X)
    assert_same_answers(found, model, X, tolerance_of(model))


@with_compiler
def test_a_wrong_answer_is_seen(tmp_path):
    model, X = make("one number")
    library = compiled(model, tmp_path)
    model.layers["FC2"].params["b"] = model.layers["FC2"].params["b"] + 1e-9
    with pytest.raises(AssertionError):
        assert_same_answers(run(library, model, X), model, X, 1e-12)


@with_compiler
def test_a_program_of_its_own(tmp_path):
    """As a user of the files has it: a program that includes the header, without allocation."""
    model, X = make("CrossEntropy")
    labels = ["ant", 'b"e\\e?', "çat", "dog\n"]
    export_c(model, tmp_path / "net.c", classes=labels)
    values = ", ".join(map(repr, X[0].tolist()))
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "net.h"\nint main(void) { double x[NET_N_IN] = {' + values + "}, p[NET_N_OUT];\n"
        'net_predict_proba(x, p); printf("%s|%.17g", net_classes[net_predict(x)], p[0]); return 0; }\n'
    )
    program = tmp_path / "main"
    subprocess.run([CC, *FLAGS[:6], "-o", program, tmp_path / "main.c", tmp_path / "net.c", "-lm"], check=True)
    label, p = subprocess.run([program], capture_output=True, check=True).stdout.decode().split("|")
    assert label == labels[model.predict(X[:1])[0]]
    assert float(p) == pytest.approx(model.predict_proba(X[:1])[0, 0], rel=1e-12)
    for word in ("malloc", "calloc", "alloca", "free"):
        assert word not in (tmp_path / "net.c").read_text()


@with_compiler
def test_numbers_as_labels(tmp_path):
    model, X = yes_or_no()
    library = compiled(model, tmp_path, classes=[-7, 2**40])
    assert list((ctypes.c_longlong * 2).in_dll(library, "net_classes")) == [-7, 2**40]
    assert_same_answers(run(library, model, X), model, X, 1e-12)


@with_compiler
def test_nan_comes_out_as_nan(tmp_path):
    model, X = make("ReLU")
    X[0, 0] = np.nan
    found = run(compiled(model, tmp_path), model, X)
    assert np.isnan(found[0][0]).all()
    assert_same_answers(found, model, X, 1e-12)


@with_compiler
def test_a_users_activation_and_odd_names(tmp_path):
    model, X = with_activation(Cubed(), "float32")
    first, second = model.layers.values()
    model.layers = {"1 */ \n\\": first, "1____ __": second}
    assert_same_answers(run(compiled(model, tmp_path), model, X), model, X, 1e-5)


@with_compiler
def test_an_estimators_two_classes(tmp_path):
    mlp = pytest.importorskip("xdfn.sklearn")
    X = rows()
    with pytest.warns(match="Maximum iterations"):
        estimator = mlp.MLPClassifier((6,), max_iter=2, random_state=0, tol=0.0).fit(X, X[:, 0] > 0)
    library, p = compiled(estimator, tmp_path), np.empty(2)
    array = np.ctypeslib.ndpointer("float64")
    library.net_predict_proba.argtypes, library.net_predict.argtypes = [array, array], [array]
    for x, expected, label in zip(X, estimator.predict_proba(X), estimator.predict(X), strict=True):
        library.net_predict_proba(x, p)
        np.testing.assert_allclose(p, expected, rtol=1e-12)
        assert library.net_predict(x) == label


@pytest.mark.parametrize("name", ["net.h", "net", "1net.c", "my-net.c"])
def test_names_that_c_cannot_have(tmp_path, name):
    model, _ = make("one number")
    with pytest.raises(ValueError, match="a name that C can have"):
        export_c(model, tmp_path / name)
