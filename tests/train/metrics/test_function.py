"""A user's function as a metric."""

import numpy as np
import pytest
from measures import measure, yes_or_no

from xdfn.backend import place
from xdfn.nn.losses import BinaryCrossEntropy, CrossEntropy, SquaredError
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
        assert y_true is y
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


def test_a_function_gets_the_link_of_the_scores(rng):
    sk = pytest.importorskip("sklearn.metrics")
    y, z = yes_or_no(1)(rng)
    for function in (sk.roc_auc_score, sk.log_loss):
        assert measure(FunctionMetric(function), y, z, BinaryCrossEntropy()) == function(y, 1 / (1 + np.exp(-z)))


def test_a_function_gets_labels_and_else_targets_in_the_shape_of_the_prediction(backend):
    """An (n,) against an (n, 1) would be an (n, n)."""
    shapes = []

    def shape(y_true, y_pred):
        shapes.append((tuple(y_true.shape), tuple(y_pred.shape), y_true.dtype == y_pred.dtype))
        return 0

    numbers, classes = backend.array([1.0, 2.0, 3.0]), backend.array([0, 1, 1])
    FunctionMetric(shape).part(numbers, backend.array(np.zeros((3, 1)), "float32"), None, SquaredError())
    FunctionMetric(shape).part(classes, backend.array(np.zeros((3, 2)), "float32"), None, CrossEntropy())
    assert shapes == [((3, 1), (3, 1), True), ((3,), (3, 2), False)]


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
