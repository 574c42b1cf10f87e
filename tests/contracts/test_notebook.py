"""Code as a user of the notebook has it, on every library: `from xdfn import *`, and nothing else of xdfn."""

import inspect
import re
from collections import OrderedDict

import numpy as np
import pytest

import xdfn
from xdfn import *  # noqa: F403
from xdfn import (
    DFN,
    ActivationBase,
    CrossEntropy,
    FullyConnected,
    LayerBase,
    ObjectiveBase,
    OptimizerBase,
    SquaredError,
    load_data,
    minibatch,
)


class XOR:
    """The notebook's two-layer network for XOR: layers used alone, squared error, all by hand."""

    def __init__(
        self, hidden_dims_1, hidden_dims_2, optimizer="sgd(lr=1.0)", init_w="std_normal(gain=1.0)", loss=SquaredError()
    ):
        self.optimizer, self.init_w, self.loss = optimizer, init_w, loss
        self.hidden_dims_1, self.hidden_dims_2 = hidden_dims_1, hidden_dims_2
        self.is_initialized = False

    def _set_params(self):
        self.layers = OrderedDict()
        self.layers["FC1"] = FullyConnected(
            n_out=self.hidden_dims_1, acti_fn="relu", init_w=self.init_w, optimizer=self.optimizer
        )
        self.layers["FC2"] = FullyConnected(
            n_out=self.hidden_dims_2,
            acti_fn="affine(slope=1, intercept=0)",
            init_w=self.init_w,
            optimizer=self.optimizer,
        )
        self.is_initialized = True

    def forward(self, X_train):
        Xs = {}
        out = X_train
        for k, v in self.layers.items():
            Xs[k] = out
            out = v.forward(out)
        return out, Xs

    def backward(self, grad):
        dXs = {}
        out = grad
        for k, v in reversed(list(self.layers.items())):
            dXs[k] = out
            out = v.backward(out)
        return out, dXs

    def update(self):
        for v in self.layers.values():
            v.update()
        self.flush_gradients()

    def flush_gradients(self, curr_loss=None):
        for v in self.layers.values():
            v.flush_gradients()

    def fit(self, X_train, y_train, n_epochs):
        if not self.is_initialized:
            self._set_params()
        losses = []
        for _ in range(n_epochs):
            out, _ = self.forward(X_train)
            losses.append(float(self.loss(y_train, out)))
            z = out  # the last layer is affine(1, 0)
            grad = self.loss.grad(y_train, out, z, self.layers["FC2"].acti_fn)
            self.backward(grad)
            self.update()
        return losses

    @property
    def hyperparams(self):
        return {"components": {k: v.params for k, v in self.layers.items()}, "loss": str(self.loss)}


def test_the_users_xor_class_runs(backend):
    X = backend.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = backend.array([[0.0], [1.0], [1.0], [0.0]])
    histories = []
    for inputs in ((X, y), (backend.numpy(X), backend.numpy(y))):
        np.random.seed(0)
        network = XOR(2, 1)
        histories.append(network.fit(*inputs, 50))
        assert network.hyperparams["components"]["FC1"]["W"].shape == (2, 2)
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-9)
    assert histories[0][-1] < histories[0][0]


def test_xor_is_solved_by_the_books_weights(backend):
    """Goodfellow, Bengio, Courville, Deep Learning, section 6.1: W of ones, c = (0, -1), w = (1, -2), b = 0."""
    X = backend.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    first = FullyConnected(n_out=2, acti_fn="relu", init_w="std_normal(gain=1.0)")
    second = FullyConnected(n_out=1, acti_fn="affine", init_w="std_normal(gain=1.0)")
    second.forward(first.forward(X))
    first.params["W"], first.params["b"] = backend.array(np.ones((2, 2))), backend.array([[0.0, -1.0]])
    second.params["W"], second.params["b"] = backend.array([[1.0], [-2.0]]), backend.array([[0.0]])
    out = second.forward(first.forward(X, retain_derived=False), retain_derived=False)
    assert backend.numpy(out).ravel().tolist() == [0, 1, 1, 0]


def test_a_training_loop_over_minibatches(backend, rng):
    X, y = backend.array(rng.normal(size=(70, 6))), backend.array(np.eye(3)[rng.integers(0, 3, 70)])
    model = DFN(hidden_dims_1=8, hidden_dims_2=3, init_w="std_normal(gain=0.5)")
    xp = xdfn.backend.namespace(X)
    generator, n_batches = minibatch(X, batchsize=32)
    assert n_batches == 3
    seen = []
    for rows in generator:
        seen += backend.numpy(rows).tolist()
        x_batch, y_batch = xp.take(X, rows, axis=0), xp.take(y, rows, axis=0)
        out, _ = model.forward(x_batch)
        p = xdfn.softmax(out)
        loss = model.loss(y_batch, p)
        assert float(loss) > 0
        model.backward(model.loss.grad(y_batch, p))
        model.update()
    assert sorted(seen) == list(range(70))


def test_the_whole_of_dfn(backend, rng, capsys):
    X, y = rng.normal(size=(200, 6)), rng.integers(0, 3, 200)
    X = X + 4 * np.eye(3, 6)[y]
    X, y = backend.array(X), backend.array(np.eye(3)[y])
    model = DFN(
        hidden_dims_1=10, hidden_dims_2=3, optimizer="sgd(lr=0.5)", init_w="std_normal(gain=0.3)", loss=CrossEntropy()
    )
    assert model.fit(X, y, n_epochs=20, batch_size=64, verbose=False) is model
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 20
    assert re.fullmatch(r"\[Epoch 1\] Avg\. loss: \d\.\d{3} Delta: inf \(\d\.\d\dm/epoch\)", out[0])
    model.fit(X, y, n_epochs=1, batch_size=64, verbose=True)
    out = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\t\[Batch 4/4\] Train loss: \d\.\d{3} \(\d\.\ds/batch\)", out[3])
    assert out[4].startswith("[Epoch 1]")
    assert model.evaluate(X, y, batch_size=128) > 0.9
    h = model.hyperparams
    assert list(h) == ["init_w", "loss", "optimizer", "hidden_dims_1", "hidden_dims_2", "components"]
    assert (h["init_w"], h["loss"], h["optimizer"]) == ("std_normal(gain=0.3)", "CrossEntropy", "sgd(lr=0.5)")
    assert (h["hidden_dims_1"], h["hidden_dims_2"]) == (10, 3)
    assert h["components"]["FC1"]["W"].shape == (6, 10)
    assert list(model.layers) == ["FC1", "FC2"]
    assert str(model.layers["FC1"].acti_fn) == "Sigmoid"
    assert model.layers["FC2"].hyperparams["optimizer"] == {"hyperparams": {"op": "SGD", "lr": 0.5}}


def test_signatures():
    def arguments(function):
        parameters = list(inspect.signature(function).parameters.values())
        return [(p.name, p.default) for p in parameters if p.kind is not p.KEYWORD_ONLY and p.name != "self"]

    empty = inspect.Parameter.empty
    dfn = arguments(DFN)
    assert [name for name, _ in dfn] == ["hidden_dims_1", "hidden_dims_2", "optimizer", "init_w", "loss"]
    assert [default for _, default in dfn[:4]] == [None, None, "sgd(lr=0.01)", "std_normal"]
    assert str(dfn[4][1]) == "CrossEntropy"
    assert arguments(DFN.fit) == [
        ("X_train", empty),
        ("y_train", empty),
        ("n_epochs", 20),
        ("batch_size", 64),
        ("verbose", False),
    ]
    assert arguments(DFN.evaluate) == [("X_test", empty), ("y_test", empty), ("batch_size", 128)]
    assert arguments(FullyConnected)[:4] == [
        ("n_out", empty),
        ("acti_fn", "relu"),  # defaults, where the notebook has none
        ("init_w", None),
        ("optimizer", None),
    ]
    assert arguments(xdfn.Softmax) == [("dim", -1), ("optimizer", None)]
    assert arguments(minibatch) == [("X", empty), ("batchsize", 256), ("shuffle", True)]
    assert arguments(LayerBase.forward) == [("X", empty), ("retain_derived", True)]
    assert arguments(LayerBase.backward) == [("dLda", empty), ("retain_grads", True)]
    assert arguments(load_data) == [("path", "../data/mnist/mnist.npz")]


@pytest.mark.parametrize("style", ["means", "with z and acti_fn"])
def test_a_users_loss_in_the_notebooks_style_trains(rng, style):
    if style == "means":

        class Mine(ObjectiveBase):
            def __init__(self):
                super().__init__()

            @staticmethod
            def loss(y_true, y_pred):
                return 0.5 * np.sum((y_pred - y_true) ** 2) / y_true.shape[0]

            @staticmethod
            def grad(y_true, y_pred):
                return (y_pred - y_true) / y_true.shape[0]
    else:

        class Mine(SquaredError):
            value_and_grad = ObjectiveBase.value_and_grad

    X, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    layers = [FullyConnected(5, "tanh", "he_normal"), FullyConnected(2, "affine", "he_normal")]
    mine, ours = (
        DFN(layers=layers, loss=loss, seed=0).fit(X, y, 3, 16, verbose=None) for loss in (Mine(), SquaredError())
    )
    np.testing.assert_allclose(mine.history["loss"], ours.history["loss"], rtol=1e-12)


class OwnRule(OptimizerBase):
    """Momentum as a user of the notebook would write it."""

    def __init__(self, lr=0.05, momentum=0.9, **kwargs):
        super().__init__()
        self.lr, self.momentum, self.cache = lr, momentum, {}

    def __str__(self):
        return f"OwnRule(lr={self.lr})"

    def update(self, param, param_grad, param_name):
        v = self.momentum * self.cache.get(param_name, 0.0) - self.lr * param_grad
        self.cache[param_name] = v
        return param + v

    @property
    def hyperparams(self):
        return {"op": "OwnRule", "lr": self.lr, "momentum": self.momentum}


class OwnActivation(ActivationBase):
    """Softsign, with its constructor and its name in the notebook's way."""

    def __init__(self):
        super().__init__()

    def __str__(self):
        return "OwnActivation"

    def forward(self, z):
        return z / (1 + abs(z))

    def grad(self, x, **kwargs):
        return 1 / (1 + abs(x)) ** 2


class OwnLayer(LayerBase):
    """A fully connected layer without bias that keeps everything by itself, as the notebook's do."""

    def __init__(self, n_out, init_w, optimizer=None):
        super().__init__(optimizer)
        self.n_in, self.n_out = None, n_out
        self.init_weights = xdfn.WeightInitializer(mode=init_w)
        self.is_initialized = False

    def _init_params(self):
        W = self.init_weights((self.n_in, self.n_out))
        self.params = {"W": W}
        self.gradients = {"W": np.zeros_like(W)}
        self.is_initialized = True

    def forward(self, X, retain_derived=True):
        if not self.is_initialized:
            self.n_in = X.shape[1]
            self._init_params()
        if retain_derived:
            self.X.append(X)
        return X @ self.params["W"]

    def backward(self, dLda, retain_grads=True):
        if not isinstance(dLda, list):
            dLda = [dLda]
        dX = []
        for dy, x in zip(dLda, self.X, strict=True):
            dX.append(dy @ self.params["W"].T)
            if retain_grads:
                self.gradients["W"] += x.T @ dy
        return dX[0] if len(self.X) == 1 else dX

    @property
    def hyperparams(self):
        return {"layer": "OwnLayer", "n_in": self.n_in, "n_out": self.n_out}


class Linear(LayerBase):
    """The same as OwnLayer, as a layer of xdfn is written."""

    def __init__(self, n_out, init_w):
        super().__init__()
        self.n_out, self.init_w = n_out, init_w

    def init(self, rng, n_in):
        return {"W": xdfn.WeightInitializer(self.init_w).init_fn((n_in, self.n_out), rng)}, {}, self.n_out

    def apply(self, params, buffers, x, ctx=None):
        return x @ params["W"], x, buffers

    def pullback(self, params, cache, dy, input_grad=True):
        return dy @ params["W"].T, {"W": cache.T @ dy}


def test_users_subclasses_of_every_base_work_in_a_layer_and_in_dfn(rng):
    """Against the library's own parts from the same weights; the second fit goes on with the optimizer's memory."""
    X, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))

    def model(g, middle, rule):
        layers = [FullyConnected(5, g, "he_normal"), middle, FullyConnected(2, "affine", "he_normal")]
        return DFN(layers=layers, optimizer=rule, loss="squared_error", seed=0).initialize(X)

    own = model(OwnActivation(), OwnLayer(4, "he_normal"), OwnRule())
    ours = model("softsign", Linear(4, "he_normal"), xdfn.Momentum(0.05, 0.9))
    ours.layers["Linear1"].params["W"] = own.layers["OwnLayer1"].params["W"].copy()
    for _ in range(2):
        own.fit(X, y, 2, 16, verbose=None)
        ours.fit(X, y, 2, 16, verbose=None)
    np.testing.assert_allclose(own.history["loss"], ours.history["loss"], rtol=1e-10)
    np.testing.assert_allclose(own.predict(X), ours.predict(X), rtol=1e-10)
    alone = OwnLayer(4, "he_normal", OwnRule())
    alone.forward(X)
    alone.backward(np.ones((40, 4)))
    before = alone.params["W"].copy()
    alone.update()
    np.testing.assert_allclose(alone.params["W"], before - 0.05 * X.T @ np.ones((40, 4)))


@pytest.mark.parametrize("library", ["torch", "jax.numpy"])
def test_a_users_optimizer_works_on_other_libraries(library, rng):
    xp = pytest.importorskip(library)
    X, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    histories = []
    for array in (np.asarray, xp.asarray):
        m = DFN(layers=[FullyConnected(2, "tanh", "he_normal")], optimizer=OwnRule(), loss="squared_error", seed=0)
        histories.append(m.fit(array(X), array(y), 3, 16, verbose=None).history["loss"])
    np.testing.assert_allclose(*histories, rtol=1e-10)


def test_load_data_reads_an_npz(tmp_path):
    arrays = {name: np.arange(i, i + 4) for i, name in enumerate(("x_train", "y_train", "x_test", "y_test"))}
    np.savez(tmp_path / "mnist.npz", **arrays)
    (X_train, y_train), (X_test, y_test) = load_data(tmp_path / "mnist.npz")
    for ours, name in zip((X_train, y_train, X_test, y_test), arrays, strict=True):
        assert (ours == arrays[name]).all()


class Deeper(DFN):
    """The exercise: another layer, by the notebook's own hook."""

    def __init__(self, hidden_dims_1=None, hidden_dims_2=None, hidden_dims_3=None, **more):
        super().__init__(hidden_dims_1, hidden_dims_2, **more)
        self.hidden_dims_3 = hidden_dims_3

    def _set_params(self):
        assert self.n_features == 4
        self.layers = OrderedDict()
        for i, (n_out, acti_fn) in enumerate([(self.hidden_dims_1, "sigmoid"), (self.hidden_dims_2, "tanh")], 1):
            self.layers[f"FC{i}"] = FullyConnected(n_out, acti_fn, self.init_w, self.optimizer)
        self.layers["Out"] = FullyConnected(
            n_out=self.hidden_dims_3, acti_fn="affine(slope=1, intercept=0)", init_w=self.init_w
        )
        self.is_initialized = True


def test_set_params_of_a_subclass_is_honoured(rng, tmp_path):
    X, y = rng.normal(size=(60, 4)), rng.integers(0, 3, 60)
    given = {"optimizer": "adam(lr=0.01)", "init_w": "glorot_uniform", "seed": 0}
    model = Deeper(8, 6, 3, **given)
    assert model.layers == {}
    assert not model.is_initialized
    assert model.summary().splitlines()[-1].split() == ["total", "?"]
    with pytest.raises(ValueError, match="no parameters yet"):
        model.predict(X)
    model.fit(X, y, 3, 16, verbose=None)
    assert list(model.layers) == ["FC1", "FC2", "Out"]
    same = DFN(layers=["fc(8, 'sigmoid', 'glorot_uniform')", "fc(6, 'tanh', 'glorot_uniform')", 3], **given)
    assert model.history == same.fit(X, y, 3, 16, verbose=None).history
    model.optimizer = "sgd(lr=0.5)"  # of the layers that were given the model's, too
    assert {layer.optimizer.lr for layer in model.layers.values()} == {0.5}
    again = Deeper(8, 6, 3, **given)
    assert again.forward(X)[0].shape == (60, 3)
    assert again.is_initialized


def test_set_params_may_go_on_from_the_base_class(rng):
    class WithNoise(DFN):
        def _set_params(self):
            super()._set_params()
            self.layers["Noise"] = LayerBase() if self.seed == 1 else "noise"

    X = rng.normal(size=(9, 4))
    with pytest.raises(ValueError, match="unknown layer 'noise'"):
        WithNoise(4, 2).fit(X, X[:, :2], verbose=None)

    class Broken(DFN):
        def _set_params(self):
            1 / 0  # noqa: B018

    with pytest.raises(ZeroDivisionError):
        Broken(4, 2).fit(X, X[:, 0] > 0, verbose=None)
