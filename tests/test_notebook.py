"""Parts in the notebook's style, and its ways to make a part from a name."""

import numpy as np
import pytest
from fits import NotebookLinear

from xdfn import (
    DFN,
    SGD,
    ActivationInitializer,
    Adam,
    CrossEntropy,
    FullyConnected,
    LayerBase,
    OptimizerBase,
    OptimizerInitializer,
    ReLU,
    SquaredError,
    WeightInitializer,
    check_gradients,
    std_normal,
)


def test_the_notebooks_strings():
    assert str(SGD()) == "SGD(lr=0.01)"
    assert str(Adam()) == "Adam(lr=0.001, decay1=0.9, decay2=0.999, eps=1e-07)"
    assert str(ReLU()) == "ReLU"
    assert str(ActivationInitializer("affine(slope=1, intercept=0)")()) == "Affine(slope=1, intercept=0)"
    assert str(ActivationInitializer("AFFINE")()) == "Affine(slope=1, intercept=0)"
    assert str(ActivationInitializer()()) == "Sigmoid"
    assert OptimizerInitializer("sgd(lr=0.01)")().hyperparams == {"op": "SGD", "lr": 0.01}
    assert OptimizerInitializer(None)() == SGD(lr=0.01)
    assert OptimizerInitializer("adam(lr=0.01, decay1=0.5, decay2=0.9)")().decay1 == 0.5


def test_the_notebooks_calls_follow_numpys_seed():
    np.random.seed(3)
    first = WeightInitializer("std_normal(gain=0.1)")((4, 3))
    np.random.seed(3)
    assert (std_normal(gain=0.1)((4, 3)) == first).all()
    assert (WeightInitializer()((4, 3)) != first).all()
    assert WeightInitializer().mode == "he_uniform"


@pytest.fixture
def data(rng):
    X = rng.uniform(-1, 1, (64, 3))
    return X, X @ rng.normal(size=(3, 2))


def losses(model, X, y, *, epochs=3):
    return model.fit(X, y, epochs, 16, verbose=None).history["loss"]


def network(*layers, optimizer="sgd(lr=0.1)", loss="squared_error"):
    return DFN(layers=list(layers), optimizer=optimizer, loss=loss, seed=1)


def test_overrides_in_the_notebooks_style_win_over_what_they_inherit(data):
    X, y = data
    calls = []

    class Half(SGD):
        def update(self, param, param_grad, param_name):
            calls.append(param_name)
            return super().update(param, 0.5 * param_grad, param_name)

    class Twice(SquaredError):
        @staticmethod
        def loss(y_true, y_pred):
            return 2 * SquaredError.loss(y_true, y_pred)

        @staticmethod
        def grad(y_true, y_pred):
            return 2 * SquaredError.grad(y_true, y_pred)

    class Flipped(FullyConnected):
        def forward(self, X, retain_derived=True):
            return -super().forward(X, retain_derived)

        def backward(self, dLda, retain_grads=True):
            return super().backward(-dLda, retain_grads)

    plain = losses(network("fc(2, 'affine', 'he_normal')", optimizer="sgd(lr=0.05)"), X, y)
    assert losses(network("fc(2, 'affine', 'he_normal')", optimizer=Half(0.1)), X, y) == pytest.approx(plain, rel=1e-12)
    assert {"W", "b"} == set(calls)
    doubled = losses(network("fc(2, 'affine', 'he_normal')", optimizer="sgd(lr=0.025)", loss=Twice()), X, y)
    assert doubled == pytest.approx([2 * loss for loss in plain], rel=1e-12)
    flipped = network(Flipped(2, "affine", "he_normal"), optimizer="sgd(lr=0.05)")
    assert losses(flipped, X, -y) == pytest.approx(plain, rel=1e-12)
    assert check_gradients(flipped, X, y) < 1e-6
    layer = flipped.layers["FC1"]
    np.testing.assert_allclose(flipped.predict(X), -(X @ layer.params["W"] + layer.params["b"]))


class NotebookDropout(LayerBase):
    """As the notebook would write it: a state of its own, and `retain_derived` for training."""

    def forward(self, X, retain_derived=True):
        if not retain_derived:
            return X
        self.masks = [*getattr(self, "masks", []), np.arange(X.size).reshape(X.shape) % 2]
        self.X.append(X)
        self.n_in = self.n_out = X.shape[1]
        self.is_initialized = True
        return X * self.masks[-1]

    def backward(self, dLda, retain_grads=True):
        return dLda * self.masks[-1]


def test_layers_in_the_notebooks_style_at_inference(data):
    X, y = data
    model = network(NotebookDropout(), NotebookLinear(2)).initialize(X)
    np.testing.assert_allclose(model.predict(X), X @ np.full((3, 2), 0.1))
    np.testing.assert_allclose(
        model.input_gradients(X, output=1), np.full((64, 3), 0.1) * (np.arange(192) % 2).reshape(64, 3)
    )
    assert list(model.activations(X)) == ["NotebookDropout1", "NotebookLinear1"]
    model.fit(X, y, 2, verbose=None)
    assert np.isfinite(model.evaluate(X, y))


def test_a_rule_in_the_notebooks_style_may_keep_what_it_is_given(data):
    class Delayed(OptimizerBase):
        """Moves by the gradient of the step before."""

        def __init__(self, copies):
            self.copies, self.before = copies, {}

        def update(self, param, param_grad, param_name):
            before = self.before.get(param_name, 0 * param_grad)
            self.before[param_name] = param_grad.copy() if self.copies else param_grad
            return param - 0.05 * before

    X, y = data
    layers = [
        [FullyConnected(4, "tanh", "he_normal", Delayed(c)), FullyConnected(2, "affine", "he_normal", Delayed(c))]
        for c in (True, False)
    ]
    assert losses(network(*layers[0]), X, y) == losses(network(*layers[1]), X, y)


def test_a_loss_in_the_notebooks_style_sees_the_link_it_inherits(data, rng):
    class Mine(CrossEntropy):
        @staticmethod
        def loss(y_true, y_pred):
            return -np.sum(y_true * np.log(y_pred)) / len(y_pred)

        @staticmethod
        def grad(y_true, y_pred):
            return (y_pred - y_true) / len(y_pred)

    X, Y = data[0], np.eye(3)[rng.integers(0, 3, 64)]
    ours, mine = (losses(network("fc(3, 'affine', 'he_normal')", loss=loss), X, Y) for loss in (CrossEntropy(), Mine()))
    np.testing.assert_allclose(mine, ours, rtol=1e-12)
    assert check_gradients(network("fc(3, 'tanh', 'he_normal')", loss=Mine()), X, Y) < 1e-6


@pytest.fixture
def classes(rng):
    X = rng.normal(size=(64, 4))
    return X, (X @ rng.normal(size=4) > 0).astype(int)


def leaky(optimizer="adam(lr=0.01)", *, loss="cross_entropy", n_out=2, first=()):
    hidden, last = FullyConnected(8, "leakyrelu", "glorot_uniform"), FullyConnected(n_out, "affine", "glorot_uniform")
    return DFN(layers=[*first, hidden, last], optimizer=optimizer, loss=loss, seed=0)


def test_what_a_layer_in_the_notebooks_style_learns_is_kept(classes):
    class Centred(LayerBase):
        mean = 0.0

        def forward(self, X, retain_derived=True):
            self.n_out = X.shape[1]
            if retain_derived:
                self.mean = 0.5 * self.mean + 0.5 * X.mean(axis=0)
                return X - X.mean(axis=0)
            return X - self.mean

        def backward(self, dLda, retain_grads=True):
            return dLda - dLda.mean(axis=0)

    X, y = classes
    model = leaky(first=[Centred()]).fit(X + 5, y, 10, verbose=None)
    np.testing.assert_allclose(model.layers["Centred1"].mean, (X + 5).mean(axis=0), rtol=0.01)
