import re

import numpy as np
import pytest
from pictures import ink, overlapping, texts

from xdfn import Dropout, FullyConnected, plotting


def numbers(ax):
    """The numbers that are written behind a name, by name: w_{1}, z, delta, dL/da, ..."""
    found = {}
    for text in texts(ax):
        if match := re.fullmatch(r"\$(.*)\$ = (\S+)", text):
            name = match[1].replace(r"\partial ", "d").replace(r"\delta", "delta")
            found[name] = float(match[2].replace("−", "-"))
    return found


def test_a_neuron_in_symbols():
    ax = plotting.neuron()
    symbols = {"$x_1$", "$x_n$", "$w_2$", "$b$", "$z$", "$a$", r"$z = \Sigma_j\, w_j x_j + b$", "$a = g(z)$"}
    back = {r"$\partial L/\partial w_n = \delta\, x_n$", r"$\partial L/\partial b = \delta$", r"$\delta$"}
    assert symbols | back <= set(texts(ax))
    assert numbers(ax) == {}
    assert overlapping(ax) == []
    assert ink(ax) > 0.01


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "affine(slope=2)", "gelu"])
def test_the_numbers_are_those_of_the_layer(backend, activation, rng):
    layer, X = FullyConnected(3, activation), backend.array(rng.normal(size=(1, 4)))
    layer.params = {"W": backend.array(rng.normal(size=(4, 3))), "b": backend.array([[0.5, -0.25, 0.125]])}
    a = backend.numpy(layer.forward(X))
    layer.backward(backend.array([[0.0, -0.7, 0.0]]))  # the gradients of unit 1 alone
    ax = plotting.neuron(layer, 1, X[0, :], -0.7)
    W, dW = (backend.numpy(arrays["W"])[:, 1] for arrays in (layer.params, layer.gradients))
    db = backend.numpy(layer.gradients["b"])[0, 1]
    x = backend.numpy(X)[0]
    expected = {"z": x @ W - 0.25, "a": a[0, 1], "dL/da": -0.7, "delta": db, "b": -0.25, "dL/db": db}
    for j in range(4):
        expected |= {f"w_{{{j + 1}}}": W[j], f"dL/dw_{{{j + 1}}}": dW[j]}
    assert numbers(ax) == pytest.approx(expected, rel=5.1e-3)  # three digits
    assert {f"{value:.3g}".replace("-", "−") for value in x} <= set(texts(ax))


def test_a_neuron_by_hand():
    """z = 3 * 2 - 1 * 4 + 1 = 3 and g'(3) = 1; at z = -3 both a and delta are 0."""
    layer = FullyConnected(1, "relu")
    layer.params = {"W": np.asarray([[2.0], [4.0]]), "b": np.asarray([[1.0]])}
    layer.forward(np.zeros((1, 2)))
    ax = plotting.neuron(layer, 0, np.asarray([3.0, -1.0]), 0.5)
    forward = {"w_{1}": 2, "w_{2}": 4, "b": 1, "z": 3, "a": 3}
    assert numbers(ax) == {**forward, "dL/da": 0.5, "delta": 0.5, "dL/dw_{1}": 1.5, "dL/dw_{2}": -0.5, "dL/db": 0.5}
    assert {"3", "−1", "1", "$a = g(z)$, ReLU"} <= set(texts(ax))
    dead = numbers(plotting.neuron(layer, 0, np.asarray([0.0, -1.0]), -0.5))
    assert (dead["z"], dead["a"], dead["delta"], dead["dL/dw_{2}"]) == (-3, 0, 0, 0)
    assert "−0" not in "".join(texts(plotting.neuron(layer, 0, np.asarray([0.0, -1.0]))))  # 0 has no sign


@pytest.mark.parametrize("n_in", [1, 6, 7, 784])
def test_of_many_inputs_some_are_shown(n_in, rng):
    layer, X = FullyConnected(2, "sigmoid"), 1e4 * rng.normal(size=(1, n_in))
    layer.forward(X)
    ax = plotting.neuron(layer, 1, X[0])
    shown = [int(name[3:-1]) for name in numbers(ax) if name.startswith("w_")]
    assert shown == ([1, 2, 3, 4, n_in] if n_in > 6 else list(range(1, n_in + 1)))
    assert (r"$\vdots$" in texts(ax)) == (n_in > 6)
    assert overlapping(ax) == []


def test_the_layer_is_left_as_it_is():
    layer = FullyConnected(2)
    layer.forward(np.ones((1, 3)))
    before = {name: value.copy() for name, value in layer.params.items()}
    plotting.neuron(layer, 0, np.ones(3))
    assert len(layer.X) == 1
    assert all((layer.params[name] == value).all() for name, value in before.items())
    assert all((gradient == 0).all() for gradient in layer.gradients.values())


def test_neurons_that_cannot_be_drawn_say_so():
    layer, x = FullyConnected(2), np.zeros(3)
    with pytest.raises(ValueError, match="expects a layer and its inputs x"):
        plotting.neuron(layer)
    with pytest.raises(ValueError, match="expects a layer and its inputs x"):
        plotting.neuron(x=x)
    with pytest.raises(ValueError, match="must be FullyConnected and have its parameters"):
        plotting.neuron(layer, 0, x)
    with pytest.raises(ValueError, match=r"must be FullyConnected .* got Dropout"):
        plotting.neuron(Dropout(0.5), 0, x)
    layer.forward(np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"x must have the 3 values that go into the layer, got shape \(2,\)"):
        plotting.neuron(layer, 0, x[:2])
    with pytest.raises(ValueError, match="unit must be below 2"):
        plotting.neuron(layer, 2, x)
    with pytest.raises(ValueError, match="unit must be an integer of at least 0"):
        plotting.neuron(layer, -1, x)
    with pytest.raises(ValueError, match="da must be a number"):
        plotting.neuron(layer, 0, x, "1")
    with pytest.raises(ValueError, match="x: expected an array"):
        plotting.neuron(layer, 0, [0.0, 0.0, 0.0])
