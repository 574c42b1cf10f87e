"""Fits with all that surrounds them, and callbacks that watch and meddle."""

import numpy as np

from xdfn import DFN, SGD, BatchNorm, Callback, Dropout, FullyConnected, LayerBase, Residual


def everything(optimizer="adam(lr='cosine(0.02, 6, warmup=1)')", **more):
    """A network with a part of every kind."""
    layers = [
        "gaussian_noise(0.05)",
        "embedding({-1: 3}, dim=2)",
        FullyConnected(12, "relu", "he_uniform", regularizer="l2(1e-3)", constraint="max_norm(2)"),
        BatchNorm(),
        Dropout(0.2),
        Residual([FullyConnected(12, "tanh", "glorot_uniform"), "layer_norm", "dropout(0.1)"]),
        "maxout(6, n_pieces=3)",
        "prelu",
        FullyConnected(2, "affine", "glorot_uniform", regularizer="l1(1e-4)"),
    ]
    return DFN(layers=layers, optimizer=optimizer, seed=4, clip_norm=2.0, clip_value=1.0, ema=0.9, **more)


FIT = {"batch_size": 32, "verbose": None, "validation_fraction": 0.2, "metrics": ["accuracy", "f1"]}


def of_everything(X, y, **more):
    weight = 0.5 + (X[:, 2] > 0)
    return {**FIT, "class_weight": "balanced", "sample_weight": weight, **more}


def two_layers(**more):
    given = {"optimizer": SGD(lr=0.1), "init_w": "he_normal", "seed": 0, **more}
    return DFN(8, 2, **given)


def rates_seen(model, X, y, n_epochs, batch_size=50):
    seen = []

    class Rates(Callback):
        def on_batch_end(self, model, batch, n_batches, loss):
            seen.append(model.learning_rate)

    model.fit(X, y, n_epochs, batch_size, None, callbacks=[Rates()])
    return seen


class Told(Callback):
    def __init__(self):
        self.calls = []

    def on_fit_begin(self, model, plan):
        self.calls.append(("fit begins", plan.n_epochs, plan.n_batches, plan.values))

    def on_epoch_begin(self, model):
        self.calls.append("epoch begins")

    def on_batch_end(self, model, batch, n_batches, loss):
        self.calls.append((batch, n_batches))

    def on_epoch_end(self, model, values):
        self.calls.append(sorted(values))

    def on_fit_end(self, model, complete):
        self.calls.append(("fit ends", complete))


class Do(Callback):
    """Calls a function at one of the moments."""

    def __init__(self, function, moment="on_epoch_end"):
        self.function, self.moment = function, moment

    def on_fit_begin(self, model, plan):
        self.call("on_fit_begin", model)

    def on_epoch_begin(self, model):
        self.call("on_epoch_begin", model)

    def on_epoch_end(self, model, values):
        self.call("on_epoch_end", model)

    def call(self, moment, model):
        if moment == self.moment:
            self.function(model)


def classifier(seed=0, **more):
    layers = [FullyConnected(16, "relu", "he_uniform"), FullyConnected(3, "affine", "glorot_uniform")]
    return DFN(layers=layers, optimizer="adam(lr=0.01)", seed=seed, **more)


def with_dropout(spec="adam(lr=0.01)"):
    return DFN(
        layers=[FullyConnected(7, "tanh", "glorot_uniform"), Dropout(0.3), FullyConnected(4, "affine", "he_normal")],
        optimizer=spec,
        seed=5,
    )


def tanh_network(optimizer="sgd(lr=0.1)", hidden=None, **more):
    hidden = hidden or {}
    layers = [FullyConnected(6, "tanh", "glorot_uniform", **hidden), FullyConnected(3, "affine", "glorot_uniform")]
    return DFN(layers=layers, optimizer=optimizer, seed=2, **more)


def weights(backend, model):
    return {(n, k): backend.numpy(v) for n, layer in model.layers.items() for k, v in layer.params.items()}


def alike(backend, a, b, rtol=1e-12):
    for name, value in weights(backend, a).items():
        np.testing.assert_allclose(value, weights(backend, b)[name], rtol=rtol, atol=1e-12, err_msg=str(name))


class NotebookLinear(LayerBase):
    """As the notebook would write it: it makes and keeps its parameters itself."""

    def __init__(self, n_out):
        super().__init__("sgd(lr=0.1)")
        self.n_out = n_out

    def forward(self, X):
        if not self.is_initialized:
            self.params = {"W": np.full((X.shape[1], self.n_out), 0.1)}
            self.gradients = {"W": np.zeros_like(self.params["W"])}
            self.is_initialized = True
        self.X.append(X)
        return X @ self.params["W"]

    def backward(self, dLda):
        self.gradients["W"] = self.gradients["W"] + self.X[-1].T @ dLda
        return dLda @ self.params["W"].T
