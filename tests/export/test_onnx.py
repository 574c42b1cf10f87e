"""onnxruntime answers as the model does."""

import importlib.util

import numpy as np
import pytest
from exported import CASES, Cubed, assert_same_answers, make, networks, rows, tolerance_of, yes_or_no
from hypothesis import given, settings

from xdfn import DFN, FullyConnected
from xdfn.export import OPSET, to_onnx

MISSING = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
with_runtime = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
DTYPES = ["float32", "float64"]


def run(proto, X):
    import onnxruntime

    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"X": X})


@with_runtime
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_onnxruntime_answers_as_the_model(case, dtype):
    model, X = make(case, dtype)
    found = run(to_onnx(model), X)
    assert found[-1].dtype == dtype
    assert_same_answers(found, model, X, 1e-6)


@with_runtime
@settings(max_examples=60, deadline=None)
@given(networks())
def test_random_networks(given):
    model, X = given
    assert_same_answers(run(to_onnx(model), X), model, X, max(tolerance_of(model), 1e-6))


@with_runtime
def test_a_wrong_answer_is_seen():
    """The comparison can fail: another weight is another answer."""
    model, X = make("one number")
    proto = to_onnx(model)
    model.layers["FC1"].params["W"] = model.layers["FC1"].params["W"] + 1e-3
    with pytest.raises(AssertionError):
        assert_same_answers(run(proto, X), model, X, 1e-6)


@with_runtime
@pytest.mark.parametrize("n", [0, 1, 3])
def test_any_number_of_rows(n):
    model, X = make("CrossEntropy", "float32")
    label, probabilities = run(to_onnx(model), X[:n])
    assert label.shape == (n,)
    assert probabilities.shape == (n, 4)


@with_runtime
def test_the_file_is_what_it_says(tmp_path):
    import onnx

    model, X = make("CrossEntropy", "float32")
    proto = to_onnx(model, tmp_path / "net.onnx", dtype="float64")
    assert onnx.load(tmp_path / "net.onnx") == proto
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", OPSET)]
    (given,) = proto.graph.input
    assert given.name == "X"
    assert [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim] == ["n", 5]
    assert given.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE
    assert [output.name for output in proto.graph.output] == ["label", "probabilities"]
    np.testing.assert_allclose(run(proto, X.astype("f8"))[1], model.predict_proba(X), atol=1e-6)


@with_runtime
@pytest.mark.parametrize("classes", [["ant", "bee", "çat", "dog"], [10, 20, 30, -4], [0.5, 1.5, 2.5, 3.5]])
def test_the_models_own_labels(classes):
    model, X = make("CrossEntropy", "float32")
    label, _ = run(to_onnx(model, classes=classes), X)
    assert label.tolist() == [classes[k] for k in model.predict(X)]
    two, X = yes_or_no("float32")
    label, probabilities = run(to_onnx(two, classes=classes[:2]), X)
    assert label.tolist() == [classes[k] for k in two.predict(X)]
    assert probabilities.shape == (len(X),)


@with_runtime
@pytest.mark.parametrize("labels", [["no", "yes"], ["a", "b", "c"]])
def test_an_estimators_labels(labels):
    mlp = pytest.importorskip("xdfn.sklearn")
    X = rows()
    y = np.asarray(labels)[np.arange(len(X)) % len(labels)]
    estimator = mlp.MLPClassifier((6,), max_iter=3, random_state=0, tol=0.0)
    with pytest.warns(match="Maximum iterations"):
        estimator.fit(X, y)
    label, probabilities = run(to_onnx(estimator), X)
    assert label.tolist() == estimator.predict(X).tolist()
    np.testing.assert_allclose(probabilities, estimator.predict_proba(X), rtol=1e-9)


@with_runtime
def test_several_labels_and_numbers_of_an_estimator():
    mlp = pytest.importorskip("xdfn.sklearn")
    X = rows()
    for estimator, y in [
        (mlp.MLPClassifier((6,), max_iter=2, random_state=0, tol=0.0), (X[:, :3] > 0).astype(int)),
        (mlp.MLPRegressor(hidden_layer_sizes=(6,), max_iter=2, random_state=0, tol=0.0), X[:, 0]),
    ]:
        with pytest.warns(match="Maximum iterations"):
            estimator.fit(X, y)
        found, *probabilities = run(to_onnx(estimator), X)
        np.testing.assert_allclose(found, estimator.predict(X), rtol=1e-9)
        for p in probabilities:
            np.testing.assert_allclose(p, estimator.predict_proba(X), rtol=1e-9)


@with_runtime
def test_the_moving_averages_answer():
    X = rows()
    layers = [FullyConnected(4, Cubed()), 3]
    model = DFN(layers=layers, ema=0.9, seed=0, optimizer="sgd(0.1)").fit(X, np.arange(40) % 3, 3, verbose=None)
    assert_same_answers(run(to_onnx(model), X), model, X, 1e-6)
