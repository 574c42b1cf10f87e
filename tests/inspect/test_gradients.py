"""Right derivatives pass, wrong ones are named."""

import numpy as np
import pytest
from parts import ACTIVATIONS, LAYERS, LOSSES

from xdfn import DFN, ActivationBase, FullyConnected, LayerBase, ObjectiveBase, check_gradients
from xdfn.backend import has_float64, namespace


@pytest.fixture
def data(rng):
    return rng.normal(size=(6, 4)), rng.integers(0, 3, 6)


def network(*layers, **more):
    return DFN(layers=list(layers), optimizer="sgd(lr=0.1)", seed=3, **more)


@pytest.mark.parametrize("spec", ACTIVATIONS)
def test_every_activation_passes_the_check(backend, data, spec):
    model = network(FullyConnected(5, spec, "glorot_normal"), FullyConnected(3, "affine", "glorot_normal"))
    X = backend.array(data[0])
    error = check_gradients(model, X, backend.array(data[1]))
    assert error < (1e-6 if has_float64(namespace(X)) else 3e-2)
    assert not model.is_initialized  # nothing was done to it


@pytest.mark.parametrize("spec", LAYERS)
def test_every_layer_passes_the_check(data, spec):
    model = network(FullyConnected(5, "tanh", "he_normal"), spec, FullyConnected(3, "affine", "he_normal"))
    assert check_gradients(model, *data) < 1e-6


@pytest.mark.parametrize("spec", LOSSES)
def test_every_loss_passes_the_check(data, spec, rng):
    model = network(FullyConnected(5, "tanh", "he_normal"), FullyConnected(4, "affine", "he_normal"), loss=spec)
    assert check_gradients(model, data[0], LOSSES[spec](rng, 6, 4)) < 1e-6


def test_a_wrong_activation_derivative_is_named(data):
    class Wrong(ActivationBase):
        def forward(self, z):
            return z * z

        def grad(self, z):
            return 1.9 * z

    model = network(
        FullyConnected(5, "tanh", "he_normal"), FullyConnected(4, Wrong(), "he_normal"), "fc(3, 'affine', 'he_normal')"
    )
    with pytest.raises(ValueError, match=r"wrong gradient at FC2\.b\[0, \d\]|wrong gradient at FC2\.W\[\d, \d\]"):
        check_gradients(model, *data)


class Scale(LayerBase):
    """y = x s, right unless told otherwise."""

    def __init__(self, entry=None, down=1.0):
        super().__init__()
        self.entry, self.down = entry, down

    def init(self, rng, n_in):
        return {"s": rng.normal(size=(1, n_in)) + 2}, {}, n_in

    def apply(self, params, buffers, x, ctx=None):
        return x * params["s"], x, buffers

    def pullback(self, params, cache, dy, input_grad=True):
        ds = (cache * dy).sum(0, keepdims=True)
        if self.entry is not None:
            ds[0, self.entry] += 0.5
        return self.down * dy * params["s"], {"s": ds}


def test_the_worst_entry_is_named(data):
    with pytest.raises(ValueError, match=r"wrong gradient at Scale1\.s\[0, 2\]: backward gives .* quotient is"):
        check_gradients(network(Scale(entry=2), FullyConnected(3, "affine", "he_normal")), *data)


def test_a_wrong_gradient_passed_down_shows_below(data):
    with pytest.raises(ValueError, match=r"wrong gradient at FC1\.[Wb]"):
        check_gradients(network("fc(4, 'tanh', 'he_normal')", Scale(down=0.5), "fc(3, 'affine', 'he_normal')"), *data)
    with pytest.raises(ValueError, match="wrong gradient at the input"):
        check_gradients(network(Scale(down=0.5), FullyConnected(3, "affine", "he_normal")), *data)


def test_a_wrong_loss_is_named(data):
    class Wrong(ObjectiveBase):
        def value_and_grad(self, y, z, weight):
            d = z - y
            return np.sum(d**4) * weight, 3.9 * d**3 * weight

    model = network(FullyConnected(4, "affine", "he_normal"), loss=Wrong())
    with pytest.raises(ValueError, match=r"wrong gradient at Wrong, the scores.*Look at Wrong.value_and_grad"):
        check_gradients(model, data[0], data[0] + 1)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_the_check_runs_in_float64_whatever_comes_in(backend, data, dtype):
    """A derivative that is wrong by 2 % everywhere is found from float32 and from integers too."""
    wrong = type("Wrong", (ActivationBase,), {"forward": lambda s, z: z * z * z, "grad": lambda s, z: 3.06 * z * z})
    model = network(FullyConnected(5, wrong(), "he_normal"), FullyConnected(3, "affine", "he_normal"))
    with pytest.raises(ValueError, match="wrong gradient at FC1"):
        check_gradients(model, backend.array(3 * data[0], dtype), backend.array(data[1]))


def test_right_gradients_pass_near_kinks_and_at_any_scale(rng):
    for seed in range(30):
        X = rng.normal(size=(100, 4)) * 10.0 ** rng.integers(-2, 4)
        y = X @ rng.normal(size=(4, 1)) * 10.0 ** rng.integers(-2, 4)
        hidden = [FullyConnected(n, "relu", "he_normal") for n in (64, 32)]
        for loss in ("mae", "squared_error"):
            model = DFN(layers=[*hidden, FullyConnected(1, "affine", "he_normal")], loss=loss, seed=seed)
            assert check_gradients(model, X, y, seed=seed) < 1e-6


def test_one_wrong_entry_of_many_is_found(rng):
    class Holed(FullyConnected):
        def pullback(self, params, cache, dy, input_grad=True):
            dx, gradients = super().pullback(params, cache, dy, input_grad)
            x, dz = gradients["W"]
            dW = x @ dz
            dW[17, 5] = 0.0
            return dx, {**gradients, "W": dW}

    model = network(Holed(64, "tanh", "he_normal"), FullyConnected(1, "affine", "he_normal"), loss="mse")
    with pytest.raises(ValueError, match=r"wrong gradient at (Holed|FC)1.W\[17, 5\]"):
        check_gradients(model, rng.normal(size=(20, 100)), rng.normal(size=(20, 1)))


def test_what_only_training_would_show_is_found(data):
    class First(FullyConnected):
        def pullback(self, params, cache, dy, input_grad=True):
            dx, gradients = super().pullback(params, cache, dy, input_grad)
            ones, dz = gradients["b"]  # the factors of a product
            return dx, gradients if input_grad else {**gradients, "b": 2 * ones @ dz}

    class Summed(ObjectiveBase):
        def value_and_grad(self, y, z, weight):
            return ((z - y) ** 2).sum(), 2 * (z - y)

    with pytest.raises(ValueError, match=r"b: pullback gives another gradient with input_grad=False"):
        check_gradients(network(First(4, "tanh", "he_normal")), data[0], data[0] + 1)
    with pytest.raises(ValueError, match="multiple of weight"):
        check_gradients(network(FullyConnected(4, "tanh", "he_normal"), loss=Summed()), data[0], data[0] + 1)
