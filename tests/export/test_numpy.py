"""The Python file answers as the model does, with NumPy alone."""

import runpy
import subprocess
import sys

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

from xdfn import DFN
from xdfn.export import export_numpy


def run(model, folder, X, **more):
    """What the functions of the file answer."""
    export_numpy(model, folder / "net.py", **more)
    net = runpy.run_path(str(folder / "net.py"))
    return [net[name](X) for name in ("predict", "predict_proba") if name in net]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_the_file_answers_as_the_model(case, dtype, tmp_path):
    model, X = make(case, dtype)
    found = run(model, tmp_path, X)
    assert_same_answers(found, model, X, TOLERANCE[dtype])
    assert found[0].dtype == model.predict(X).dtype
    assert found[-1].dtype == dtype


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(networks())
def test_random_networks(tmp_path, given):
    model, X = given
    assert_same_answers(run(model, tmp_path, X), model, X, tolerance_of(model))


def test_a_wrong_answer_is_seen(tmp_path):
    model, X = make("one number")
    found = run(model, tmp_path, X)
    model.layers["FC1"].params["b"] = model.layers["FC1"].params["b"] + 1e-9
    with pytest.raises(AssertionError):
        assert_same_answers(found, model, X, TOLERANCE["float64"])


def test_it_needs_numpy_alone(tmp_path):
    model, X = make("everything", "float32")
    export_numpy(model, tmp_path / "net.py")
    np.save(tmp_path / "X.npy", X)
    code = "import sys, numpy as np, net; np.save('p.npy', net.predict_proba(np.load('X.npy'))); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert not {"xdfn", "array_api_compat"} & set(run.stdout.split())
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), model.predict_proba(X), rtol=1e-5)


@pytest.mark.parametrize("units", [1, 60])
def test_the_weights_are_exact(tmp_path, units):
    """Both as decimals and as base64, and those that are not finite."""
    X = rows()
    model = DFN(layers=[units, 2], loss="squared_error", seed=0).initialize(X)
    W = np.array(model.layers["FC1"].params["W"])
    W.flat[:4] = [np.nextafter(1, 2), 1e-300, -0.0, np.inf]
    model.layers["FC1"].params["W"] = W
    export_numpy(model, tmp_path / "net.py")
    net = runpy.run_path(str(tmp_path / "net.py"))
    assert net["FC1_W"].tobytes() == W.tobytes()
    assert net["FC2_b"].tobytes() == model.layers["FC2"].params["b"].tobytes()


def test_labels(tmp_path):
    model, X = make("CrossEntropy")
    label, _ = run(model, tmp_path, X, classes=["a", "b", "c", 'quote " \\'])
    assert label.tolist() == [["a", "b", "c", 'quote " \\'][k] for k in model.predict(X)]
    model, X = yes_or_no()
    label, _ = run(model, tmp_path, X, classes=[7, 9])
    assert label.tolist() == [[7, 9][k] for k in model.predict(X)]


def test_an_estimators_two_classes(tmp_path):
    mlp = pytest.importorskip("xdfn.sklearn")
    X = rows()
    with pytest.warns(match="Maximum iterations"):
        estimator = mlp.MLPClassifier((6,), max_iter=2, random_state=0, tol=0.0).fit(X, X[:, 0] > 0)
    label, p = run(estimator, tmp_path, X)
    assert label.tolist() == estimator.predict(X).tolist()
    np.testing.assert_allclose(p, estimator.predict_proba(X), rtol=1e-12)


def test_other_rows_are_refused(tmp_path):
    model, X = make("one number")
    export_numpy(model, tmp_path / "net.py")
    net = runpy.run_path(str(tmp_path / "net.py"))
    with pytest.raises(ValueError, match=r"X must have shape \(n, 5\), got \(40, 4\)"):
        net["predict"](X[:, :4])


def test_a_users_activation_and_odd_names(tmp_path):
    """Names that are no identifiers, or the same one, or that would end a comment."""
    model, X = with_activation(Cubed())
    first, second = model.layers.values()
    model.layers = {'1 \n"""': first, "1_____": second}
    assert_same_answers(run(model, tmp_path, X), model, X, 1e-12)


@pytest.mark.parametrize("name", ["net-2.py", "net.txt", "2net.py"])
def test_a_module_that_cannot_be_imported_is_refused(tmp_path, name):
    model = DFN(layers=[3, 2], seed=0).initialize(np.eye(4))
    with pytest.raises(ValueError, match="a module that Python can import"):
        export_numpy(model, tmp_path / name)
    assert not list(tmp_path.iterdir())
