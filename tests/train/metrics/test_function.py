"""A user's function as a metric."""

import numpy as np
import pytest

from xdfn import DFN
from xdfn.backend import place
from xdfn.nn.losses import BinaryCrossEntropy, CrossEntropy, Gaussian, Quantile, SquaredError
from xdfn.train.metrics import FunctionMetric

RESULTS = {  # what a function may give for the mean of p - y
    "array": lambda xp, x: xp,
    "float": lambda xp, x: x,
    "int": lambda xp, x: int(x),
    "NumPy scalar": lambda xp, x: np.float64(x),
    "NumPy integer": lambda xp, x: np.int32(x),
    "NumPy array": lambda xp, x: np.asarray(x),
}


@pytest.mark.parametrize("kind", RESULTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_function_may_give_any_number(backend, kind, dtype):
    y, z = backend.array([[1.0], [2.0]], dtype), backend.array([[3.0], [4.0]], dtype)

    def bias(y_true, y_pred):
        assert y_true.dtype == y.dtype
        return RESULTS[kind]((y_pred - y_true)[0, 0], 2.0)

    metric = FunctionMetric(bias)
    part = metric.part(y, z, None, SquaredError())
    assert part.dtype == z.dtype
    assert tuple(part.shape) == (1,)
    assert place(part) == place(z)
    value = metric.value(backend.numpy(part)[None])
    assert type(value) is float
    assert value == 2
    assert (metric.name, metric.whole, metric.higher_is_better) == ("bias", True, None)


@pytest.mark.parametrize("targets", ["labels", "one-hot", "binary (n,)", "binary (n, 1)", "binary (n, 2)", "numbers"])
def test_functions_of_scikit_learn_work(rng, targets):
    """They get what `predict` answers, or `predict_proba`."""
    sk = pytest.importorskip("sklearn.metrics")
    labels, X = rng.integers(0, 3, 50), rng.normal(size=(50, 4))
    y, loss, decide, proba = {
        "labels": (labels, "cross_entropy", sk.balanced_accuracy_score, sk.log_loss),
        "one-hot": (np.eye(3)[labels], "cross_entropy", sk.balanced_accuracy_score, None),
        "binary (n,)": (labels > 0, "bce", sk.f1_score, sk.roc_auc_score),
        "binary (n, 1)": (labels[:, None] > 0, "bce", sk.f1_score, sk.roc_auc_score),
        "binary (n, 2)": (np.stack([labels > 0, labels > 1], axis=1), "bce", sk.hamming_loss, sk.roc_auc_score),
        "numbers": (X[:, 0] + labels, "squared_error", sk.r2_score, sk.median_absolute_error),
    }[targets]
    n_out = 3 if loss == "cross_entropy" else (y.shape[1] if y.ndim == 2 else 1)
    model = DFN(layers=[5, n_out], loss=loss, optimizer="adam(lr=0.01)", seed=0).fit(X, y, 2, verbose=None)
    true = labels if targets == "one-hot" else y
    assert model.evaluate(X, y, metric=decide) == pytest.approx(decide(true, model.predict(X)))
    if proba is not None:
        expected = pytest.approx(proba(true, model.predict_proba(X)))
        assert model.evaluate(X, y, metric=FunctionMetric(proba, proba=True)) == expected


def test_targets_and_predictions_have_one_shape(backend):
    """An (n,) against an (n, 1) would be an (n, n)."""
    shapes = []

    def shape(y_true, y_pred):
        shapes.append((tuple(y_true.shape), tuple(y_pred.shape)))
        return 0

    numbers, classes = backend.array([1.0, 2.0, 3.0]), backend.array([0, 1, 1])
    one, two = (backend.array(np.zeros((3, m)), "float32") for m in (1, 2))
    FunctionMetric(shape).part(numbers, one, None, SquaredError())
    FunctionMetric(shape).part(numbers[:, None], one, None, SquaredError())
    FunctionMetric(shape).part(classes, two, None, CrossEntropy())
    FunctionMetric(shape, proba=True).part(classes, two, None, CrossEntropy())
    FunctionMetric(shape).part(classes, one, None, BinaryCrossEntropy())
    three = backend.array(np.zeros((3, 3)), "float32")
    FunctionMetric(shape).part(numbers, two, None, Gaussian())
    FunctionMetric(shape).part(numbers, three, None, Quantile([0.1, 0.5, 0.9]))
    of_classes = [((3,), (3,)), ((3,), (3, 2)), ((3,), (3,))]
    assert shapes == [((3,), (3,)), ((3, 1), (3, 1)), *of_classes, ((3,), (3,)), ((3, 1), (3, 3))]


def test_its_direction_may_be_said():
    metric = FunctionMetric(np.max, higher_is_better=True)
    assert (metric.higher_is_better, FunctionMetric(np.max).higher_is_better) == (True, None)
    with pytest.raises(ValueError, match="proba must be True or False, got 1"):
        FunctionMetric(np.max, 1)


def test_what_is_no_number_is_named(backend):
    y = backend.array([[1.0], [2.0]])
    for result, message in [
        (lambda y, p: y - p, r"got an array of shape \(2, 1\): take the mean"),
        (lambda y, p: (y - p)[0, :], r"got an array of shape \(1,\)"),
        (lambda y, p: None, "got NoneType: None"),
        (lambda y, p: [1.0], "got list"),
        (lambda y, p: 1j, "got complex"),
    ]:
        result.__name__ = "mine"
        with pytest.raises(ValueError, match=f"the metric mine must give a number or a 0-d array, {message}"):
            FunctionMetric(result).part(y, y, None, SquaredError())
    with pytest.raises(ValueError, match="mine is a function of y_true and y_pred and takes no weights"):
        FunctionMetric(result).part(y, y, backend.array([1.0, 1.0]), SquaredError())


def test_what_is_no_function_is_named():
    for wrong in (3, "acc", int):
        with pytest.raises(ValueError, match=r"function must be a function f\(y_true, y_pred\)"):
            FunctionMetric(wrong)
