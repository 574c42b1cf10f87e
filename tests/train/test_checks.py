"""The arrays of a fit, checked: each error names the array."""

import numpy as np
import pytest
from fits import tanh_network

from xdfn.nn.losses import losses
from xdfn.train.checks import (
    check_inputs,
    check_params,
    check_real,
    check_targets,
    check_values,
    check_weights,
    spans,
)

RIGHT = np.asarray([[0.5, 0.5], [1.0, 0.0]])


def test_spans_cover_all_rows_once():
    assert spans(7, 3) == [(0, 3), (3, 6), (6, 7)]
    assert spans(6, 3) == [(0, 3), (3, 6)]
    assert spans(2, 9) == [(0, 2)]
    assert spans(0, 9) == []


@pytest.mark.parametrize(
    ("X", "says"),
    [
        ([[1.0]], "X: expected an array .*, got list"),
        (np.zeros(3), r"X must be 2-d, got shape \(3,\); numpy.reshape\(X, \(-1, 1\)\) makes one column of it"),
        (np.zeros((0, 3)), r"X must have at least one row and one column, got shape \(0, 3\)"),
        (np.zeros((3, 0)), r"X must have at least one row and one column, got shape \(3, 0\)"),
        (np.zeros((2, 4)), "X must have the 3 columns that the network was made for, got 4"),
        (np.zeros((2, 3), complex), "X must hold real numbers, got dtype complex128; take X.real"),
        (np.zeros((2, 3), "M8[s]"), "X must hold real numbers"),
        (np.zeros((2, 3), object), "X must hold real numbers, got dtype object"),
    ],
)
def test_inputs_that_cannot_be_meant(X, says):
    with pytest.raises(ValueError, match=f"^{says}"):
        check_inputs(X, 3)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "bool"])
def test_real_arrays_pass(backend, dtype):
    check_inputs(backend.array([[0, 1]], dtype), 2)
    check_real(backend.array([0, 1], dtype), "y")


def test_targets_belong_to_their_rows(backend):
    X, loss = backend.array(np.zeros((4, 2))), losses.resolve("cross_entropy")
    check_targets(backend.array([0, 1, 2, 0]), X, loss, 3)
    with pytest.raises(ValueError, match=r"^X and y must have the same number of rows, got 4 and 3$"):
        check_targets(backend.array([0, 1, 2]), X, loss, 3)
    with pytest.raises(ValueError, match=r"^y must be 2-d"):
        check_targets(backend.array(np.zeros((4, 3, 1))), X, loss, 3)
    with pytest.raises(ValueError, match="one-hot of shape"):
        check_targets(backend.array(np.zeros((4, 2))), X, loss, 3)


@pytest.mark.parametrize(
    ("X", "y", "loss", "says"),
    [
        ([[0.0, np.nan]], [0], "cross_entropy", r"^X holds NaN or infinity; clean it; fit alone takes it"),
        ([[np.inf, 0.0]], [0], "cross_entropy", "^X holds NaN or infinity"),
        ([[0.0, 0.0]], [[np.nan, 0.0]], "squared_error", "^y holds NaN or infinity"),
        ([[0.0, 0.0]], [2], "cross_entropy", r"^y must lie in \[0, 1\], got values from 2 to 2; labels, y = .*unique"),
        ([[0.0, 0.0]], [-1], "cross_entropy", r"^y must lie in \[0, 1\], got values from -1 to -1; labels, y ="),
        ([[0.0, 0.0]], [[-1.0, 0.0]], "poisson", r"^y must lie in \[0, \.\.\.\], got values from -1 to 0$"),
        ([[0.0, 0.0]], [[0.5, 0.1]], "cross_entropy", "^the rows of y must each sum to 1"),
    ],
)
def test_values_that_cannot_be_meant(backend, X, y, loss, says):
    with pytest.raises(ValueError, match=says):
        check_values(backend.array(X), backend.array(y), losses.resolve(loss), 2)


@pytest.mark.parametrize(
    ("X", "dtype", "says"),
    [
        ([[0, 0, 5], [1, 3, 5]], "float32", "integers from 0 to 2, .* got values from 0 to 3; make them 4 categories"),
        ([[0, 0, 5], [1, 3, 5]], "int64", "integers from 0 to 2, .* got values from 0 to 3; make them 4 categories"),
        ([[0, 0, 5], [1, 3, 5]], "uint8", "integers from 0 to 2, .* got values from 0 to 3; make them 4 categories"),
        ([[0, -2, 5], [1, 2, 5]], "float64", ".*or -1 for an unknown category, got values from -2 to 2$"),
        ([[0, -2, 5], [1, 2, 5]], "int8", ".*or -1 for an unknown category, got values from -2 to 2$"),
        ([[0, 0.5, 5], [1, 2, 5]], "float32", ".*got values from 0.5 to 2, not all of them integers$"),
    ],
)
def test_columns_of_categories(backend, X, dtype, says):
    y, loss = backend.array([0, 1]), losses.resolve("cross_entropy")
    X = np.asarray(X)
    check_values(backend.array(X, dtype), y, loss, 2)
    with pytest.raises(ValueError, match=rf"^X\[:, 1\] must hold category numbers, {says}"):
        check_values(backend.array(X, dtype), y, loss, 2, {0: 2, 1: 3})
    fine = np.asarray([[0, 2, 9], [1, -1, 9]])
    check_values(backend.array(fine, "int32" if dtype == "uint8" else dtype), y, loss, 2, {0: 2, 1: 3, 2: 300})
    check_values(backend.array([[True], [False]]), y, loss, 2, {0: 2})


def test_values_that_are_right(backend):
    X = backend.array(np.zeros((2, 2)))
    for y, loss in [
        (np.asarray([0, 1], "uint8"), "cross_entropy"),
        (np.asarray([False, True]), "cross_entropy"),
        (RIGHT - [[1e-4, 0.0], [2e-4, 0.0]], "cross_entropy"),  # probabilities are rounded
        (RIGHT, "binary_cross_entropy"),
        (RIGHT - 7, "squared_error"),
    ]:
        check_values(X, backend.array(y), losses.resolve(loss), 2)


def test_the_last_row_of_many_is_looked_at(backend, monkeypatch):
    """In pieces, so that no array of the size of X is made."""
    monkeypatch.setattr("xdfn.train.checks._PIECE", 8)
    X = np.zeros((9, 3))
    X[8, 2] = np.nan
    with pytest.raises(ValueError, match="X holds NaN"):
        check_values(backend.array(X), backend.array([0] * 9), losses.resolve("cross_entropy"), 2)


def test_weights_are_host_numbers(backend):
    given = backend.array([0.0, 2.0, 1.0], "float32")
    weights = check_weights("w", given, 3)
    assert weights.dtype == np.float64
    assert weights.tolist() == check_weights("w", [0, 2, 1], 3).tolist() == [0.0, 2.0, 1.0]
    for wrong, says in [
        ([1.0, 2.0], "w must have one weight for each of the 3 rows, got 2"),
        ([1.0, -1.0, 1.0], "w must hold finite numbers of at least 0, got values from -1.0 to 1.0"),
        ([1.0, np.inf, 1.0], "w must hold finite numbers"),
        ([0, 0, 0], "w must not be 0 for all rows"),
        (np.ones((3, 1)), "w must be 1-d"),
        ("balanced", "w must be an array, a frame or a list of numbers, got str"),
    ]:
        with pytest.raises(ValueError, match=f"^{says}"):
            check_weights("w", wrong, 3)


def test_parameters_are_cast_and_named():
    X = np.zeros((2, 4), "f4")
    model = tanh_network().initialize(X)
    layers = model.layers
    assert layers["FC1"].params["W"].dtype == np.float32
    layers["FC1"].params["W"] = np.ones((4, 6))
    tree = check_params(layers, X, "float32")
    assert [sorted(of_layer) for of_layer in tree] == [["W", "b"], ["W", "b"]]
    assert tree[0]["W"].dtype == np.float32  # the model's own stays as it was assigned
    assert layers["FC1"].params["W"].dtype == np.float64
    assert tree[1]["W"] is layers["FC2"].params["W"]
    layers["FC2"].params["b"] = np.zeros(3)
    with pytest.raises(ValueError, match=r"^layers\['FC2'\].params\['b'\] must have shape \(1, 3\), got \(3,\); numpy"):
        check_params(layers, X, "float32")
    del layers["FC2"].params["b"]
    with pytest.raises(ValueError, match=r"^layers\['FC2'\].params must hold \['W', 'b'\], got \['W'\]$"):
        check_params(layers, X, "float32")
