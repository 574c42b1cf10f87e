"""A layer by itself, as the notebook uses it: it keeps its parameters, its inputs and its gradients."""

import numpy as np
import pytest

from xdfn import DFN, L2, FullyConnected, MaxNorm


def test_the_notebooks_face(backend, rng):
    layer = FullyConnected(3, "sigmoid", "std_normal(gain=0.5)", "sgd(lr=0.1)")
    assert not layer.is_initialized
    x1, x2, d1, d2 = (rng.normal(size=shape) for shape in ((4, 2), (5, 2), (4, 3), (5, 3)))
    X1, X2 = backend.array(x1), backend.array(x2)
    assert layer.forward(X1, retain_derived=False).shape == (4, 3)
    assert layer.X == []
    a = layer.forward(X1)
    assert layer.X == [X1] if backend.value == "numpy" else len(layer.X) == 1
    assert (layer.n_in, layer.n_out, layer.is_initialized) == (2, 3, True)
    W, b = (backend.numpy(layer.params[name]).copy() for name in ("W", "b"))
    assert (W.shape, b.shape) == ((2, 3), (1, 3))
    expected = 1 / (1 + np.exp(-(x1 @ W + b)))
    np.testing.assert_allclose(backend.numpy(a), expected, rtol=1e-12)
    dX = layer.backward(backend.array(d1))
    dz1 = d1 * expected * (1 - expected)
    np.testing.assert_allclose(backend.numpy(dX), dz1 @ W.T, rtol=1e-12)
    np.testing.assert_allclose(backend.numpy(layer.gradients["W"]), x1.T @ dz1, rtol=1e-12)

    layer.flush_gradients()
    assert layer.X == []
    assert (backend.numpy(layer.gradients["W"]) == 0).all()
    layer.forward(X1)
    a2 = 1 / (1 + np.exp(-(x2 @ W + b)))
    np.testing.assert_allclose(backend.numpy(layer.forward(X2)), a2, rtol=1e-12)
    first, second = layer.backward([backend.array(d1), backend.array(d2)])
    dz2 = d2 * a2 * (1 - a2)
    np.testing.assert_allclose(backend.numpy(first), dz1 @ W.T, rtol=1e-12)
    np.testing.assert_allclose(backend.numpy(second), dz2 @ W.T, rtol=1e-12)
    dW, db = x1.T @ dz1 + x2.T @ dz2, dz1.sum(0, keepdims=True) + dz2.sum(0, keepdims=True)
    np.testing.assert_allclose(backend.numpy(layer.gradients["W"]), dW, rtol=1e-12)
    np.testing.assert_allclose(backend.numpy(layer.gradients["b"]), db, rtol=1e-12)
    shown = layer.params["W"]
    layer.update()
    np.testing.assert_allclose(backend.numpy(layer.params["W"]), W - 0.1 * dW, rtol=1e-12)
    assert (backend.numpy(shown) == W).all()  # an array once read stays as it was read


def test_backward_without_retaining_leaves_the_gradients():
    layer = FullyConnected(2, "relu", "he_uniform")
    layer.forward(np.ones((3, 2)))
    layer.backward(np.ones((3, 2)), retain_grads=False)
    assert (layer.gradients["W"] == 0).all()
    with pytest.raises(ValueError, match="one gradient for each of the 1 retained forwards, got 2"):
        layer.backward([np.ones((3, 2))] * 2)


def test_a_layer_by_itself_is_held_to_its_penalty_and_constraint(backend):
    """W (2, 2) and b (1, 2) after a step of 0.1 with x = (1, 2), dy = (1, -1), by hand."""
    more = {"regularizer": L2(0.5), "constraint": MaxNorm(1.0)}
    layer = FullyConnected(2, "affine", "zeros", "sgd(lr=0.1)", **more)
    layer.forward(backend.array([[1.0, 2.0]]))
    layer.params["W"], layer.params["b"] = backend.array([[3.0, 0.2], [4.0, 0.2]]), backend.array([[5.0, 5.0]])
    layer.backward(backend.array([[1.0, -1.0]]))
    gathered = backend.numpy(layer.gradients["W"]).copy()
    layer.update()
    # W - 0.1 (x^T dy + 0.5 W) = [[2.75, 0.29], [3.6, 0.39]]; the first column is too long, and b is free
    length = (2.75**2 + 3.6**2) ** 0.5
    expected = [[2.75 / length, 0.29], [3.6 / length, 0.39]]
    np.testing.assert_allclose(backend.numpy(layer.params["W"]), expected, rtol=1e-12)
    np.testing.assert_allclose(backend.numpy(layer.params["b"]), [[4.9, 5.1]], rtol=1e-12)
    np.testing.assert_array_equal(backend.numpy(layer.gradients["W"]), gathered)
    np.testing.assert_array_equal(gathered, [[1.0, -1.0], [2.0, -2.0]])


class ByHand(FullyConnected):
    """A layer in the notebook's style, which keeps what it needs by itself."""

    def forward(self, X, retain_derived=True):
        return super().forward(X, retain_derived)


@pytest.mark.parametrize("kind", [FullyConnected, ByHand])
@pytest.mark.parametrize("rule", ["sgd(lr=0.1)", "adam(lr=0.1)", "sgd(lr=0.1, momentum=0.9, weight_decay=0.1)"])
def test_a_layer_by_itself_moves_as_in_a_network(rng, kind, rule):
    X = rng.normal(size=(10, 3))
    given = kind(2, "tanh", "std_normal(gain=2)", rule, regularizer="l1l2(0.1, 0.2)", constraint="max_norm(1)")
    model = DFN(layers=[given], loss="squared_error", seed=0).initialize(X)
    alone = model.layers["FC1"].clone()
    for _ in range(3):
        dy = rng.normal(size=(10, 2))
        for network in (model, alone):
            network.forward(X)
            network.backward(dy)
            network.update()
        alone.flush_gradients()
    for name, value in model.layers["FC1"].params.items():
        np.testing.assert_allclose(alone.params[name], value, rtol=1e-12, err_msg=name)
    assert np.linalg.norm(alone.params["W"], axis=0).max() <= 1 + 1e-12


def test_arrays_that_were_assigned_before_are_adopted(backend):
    layer = FullyConnected(2, "relu", "he_normal")
    layer.params = {"W": backend.array([[1.0, -1.0]])}
    y = layer.forward(backend.array([[3.0]]))
    assert backend.numpy(y).tolist() == [[3.0, 0.0]]
    assert backend.numpy(layer.params["b"]).tolist() == [[0.0, 0.0]]  # the others are drawn


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"W": np.ones((2, 3))}, r"params\['W'\] must have shape \(1, 2\), got \(2, 3\)"),
        ({"w": np.ones((1, 2))}, r"params hold \['W', 'b'\], and 'w' was assigned"),
        ({"W": [[1.0], [2.0]]}, r"must have shape \(1, 2\), got \(2, 1\); its transpose has"),
        ({"W": "zeros"}, "must be an array, a frame or a list of numbers, got str: 'zeros'"),
    ],
)
def test_assigned_arrays_that_do_not_fit_are_refused(params, says):
    layer = FullyConnected(2, "relu", "he_normal")
    layer.params = params
    with pytest.raises(ValueError, match=says):
        layer.forward(np.ones((1, 1)))
    assert not layer.is_initialized
