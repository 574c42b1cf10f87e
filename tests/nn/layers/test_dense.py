"""The fully connected layer by hand."""

import numpy as np
import pytest
from parts import ACTIVATIONS

from xdfn import DFN, ActivationBase, Affine, FullyConnected, glorot_uniform
from xdfn.backend import product, random
from xdfn.nn.activations import sigmoid
from xdfn.nn.layers.base import layers

X, W, B = [[1.0, 2.0], [0.0, -1.0]], [[1.0, 0.0], [0.5, -1.0]], [[0.5, 1.0]]


def test_forward_and_backward_by_hand(backend):
    layer = FullyConnected(2, "relu", "zeros")
    x, params = backend.array(X), {"W": backend.array(W), "b": backend.array(B)}
    y, cache, buffers = layer.apply(params, {}, x)
    assert backend.numpy(y).tolist() == [[2.5, 0.0], [0.0, 2.0]]  # of z = [[2.5, -1], [0, 2]]
    assert buffers == {}
    dx, gradients = layer.pullback(params, cache, backend.array([[1.0, 10.0], [100.0, -1.0]]))
    # dz = [[1, 0], [0, -1]]
    assert backend.numpy(dx).tolist() == [[1.0, 0.5], [0.0, 1.0]]
    assert backend.numpy(product(gradients["W"])).tolist() == [[1.0, 0.0], [2.0, 1.0]]
    assert backend.numpy(product(gradients["b"])).tolist() == [[1.0, -1.0]]
    assert layer.pullback(params, cache, y, input_grad=False)[0] is None


def test_weights_and_biases_are_drawn_by_their_initialisers():
    layer = FullyConnected(3, "tanh", "constant(2)", init_b="random_normal")
    params, buffers, n_out = layer.init(random.generator(0, random.WEIGHTS), 4)
    assert (params["W"].shape, params["b"].shape, buffers, n_out) == ((4, 3), (1, 3), {}, 3)
    assert (params["W"] == 2).all()
    assert len(np.unique(params["b"])) == 3


def test_the_penalty_is_on_the_weights():
    layer = FullyConnected(3, "tanh", "zeros", regularizer="l2(0.1)", constraint="max_norm(2)")
    assert [str(part) for part in layer.penalties("W")] == ["L2(strength=0.1)", "MaxNorm(limit=2)"]
    assert layer.penalties("b") == (None, None)


@pytest.mark.parametrize(("spec", "function"), [("sigmoid", sigmoid), ("tanh", None), ("affine", None)])
def test_what_it_ends_in_is_known_where_a_loss_may_compute_it(spec, function):
    layer = FullyConnected(3, spec, "zeros")
    assert layer.output_function is function
    without = layer.without_output_function()
    assert (without.acti_fn, str(layer.acti_fn).lower()[:4]) == (Affine(), spec[:4])

    class Own(FullyConnected):
        def apply(self, params, buffers, x, ctx=None):
            return super().apply(params, buffers, 2 * x, ctx)

    assert Own(3, spec, "zeros").output_function is None


@pytest.mark.parametrize("spec", ACTIVATIONS)
def test_the_initialiser_suits_the_activation(spec):
    """He et al. 2015 for ReLU and its relatives, LeCun as in Klambauer et al. 2017 for SELU, else Glorot and Bengio."""
    name = spec.split("(")[0]
    relatives = {"ReLU", "LeakyReLU", "ELU", "GELU", "SiLU", "Mish"}
    expected = "he_uniform" if name in relatives else "lecun_normal" if name == "SELU" else "glorot_uniform"
    assert str(FullyConnected(3, spec).init_w) == expected
    assert str(FullyConnected(3, spec, "std_normal(gain=0.5)").init_w) == "std_normal(gain=0.5)"


def test_a_number_of_units_is_enough():
    layer = FullyConnected(64)
    assert layer == FullyConnected(64, "relu", "he_uniform")
    assert layers.resolve(str(layer)) == layer
    assert layers.resolve("fc(64)") == layer
    assert layer.hyperparams["init_w"] == "he_uniform"
    assert FullyConnected(64, Own()).init_w == glorot_uniform()


class Own(ActivationBase):
    def forward(self, z):
        return z

    def grad(self, z):
        return np.ones_like(z)


def test_ints_are_layers():
    model = DFN(layers=[128, "batch_norm", np.int64(64), 10])
    assert [str(model.layers[name].acti_fn) for name in ("FC1", "FC2", "FC3")] == [
        "ReLU",
        "ReLU",
        "Affine(slope=1, intercept=0)",
    ]
    assert [layer.n_out for name, layer in model.layers.items() if name.startswith("FC")] == [128, 64, 10]
    assert [str(model.layers[name].init_w) for name in ("FC1", "FC3")] == ["he_uniform", "glorot_uniform"]
    assert list(DFN(layers=[3]).layers) == ["FC1"]
    for bad, says in (
        ([0], "number of units must be an integer of at least 1"),
        ([True], "got bool"),
        ([2.0], "got float"),
    ):
        with pytest.raises(ValueError, match=says):
            DFN(layers=bad)
