"""Models as version 0.1.0, commit 4f95606, saved them, and what it answered from each file: tests/data/golden.

They are never to be made anew, or they would say no more than that a version agrees with itself; only models are added,
by a line in MODELS. So this writes no file that is there already: python tests/data/make_golden.py

NAME.npz is what `DFN.save` wrote. NAME.expected.npz holds the rows `X` and `y`; `history/...` and `prediction` as they
were after loading, the latter by `predict_proba`; and the same under `after/`, with all parameters and buffers as one
vector `after/arrays`, after one more fit. Its arguments are the JSON in `fit` and, where it is there, `sample_weight`.
"""

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from xdfn import DFN, Callback, FullyConnected, Residual

GOLDEN = Path(__file__).resolve().parent / "golden"
FIT = {"n_epochs": 2, "batch_size": 8, "verbose": None}
ROWS = 20  # two full batches and a short one


def numbers(rng, m):
    return rng.normal(size=(ROWS, m))


def classes(rng, m):
    return np.arange(ROWS) % m


def one_hot(rng, m):
    return np.eye(m)[rng.integers(0, m, ROWS)]


def yes_or_no(rng, m):
    return rng.integers(0, 2, (ROWS, m))


def flat_yes_or_no(rng, m):
    return rng.integers(0, 2, ROWS)


def counts(rng, m):
    return rng.poisson(2.0, (ROWS, m))


def fc(n_out, activation="tanh", init="glorot_uniform", *args, **more):
    return FullyConnected(n_out, activation, init, *args, **more)


def activations(*specs):
    return lambda: DFN(
        layers=[*(fc(3, spec, "glorot_uniform(gain=2.0)") for spec in specs), fc(3, "affine")],
        optimizer="sgd(lr=0.1)",
        seed=1,
    )


def loss(spec):
    return lambda: DFN(layers=[fc(2, "affine", "he_normal")], loss=spec, optimizer="sgd(lr=0.1)", seed=2)


def rules(*specs, optimizer="sgd(lr=0.1)"):
    """A layer for each optimizer, and one that takes the model's."""
    return lambda: DFN(
        layers=[*(fc(2, "tanh", "glorot_uniform(gain=2.0)", spec) for spec in specs), fc(3)],
        optimizer=optimizer,
        seed=3,
    )


def initialisers(*specs):
    """A block for each, since one without weights would leave nothing to the next."""
    blocks = [Residual([fc(3, "tanh", spec, init_b="random_normal(std=0.2)")]) for spec in specs]
    return lambda: DFN(layers=[*blocks, fc(3, "affine", "he_uniform", init_b="constant(value=0.1)")], seed=4)


def layers():
    return DFN(
        layers=[
            "gaussian_noise(0.05)",
            fc(4, "relu", "he_uniform"),
            "batch_norm(momentum=0.5, eps=0.01)",
            "dropout(0.2)",
            Residual(["layer_norm", fc(3), "dropout(0.1)", "batch_norm", fc(4, "affine", "he_normal")]),
            "maxout(3, n_pieces=2)",
            "prelu",
            "layer_norm",
            fc(3, "affine"),
            "softmax",
        ],
        optimizer="momentum(lr=0.05, momentum=0.9)",
        seed=5,
    )


def penalties():
    return DFN(
        layers=[
            fc(3, regularizer="l1(0.03)", constraint="max_norm(0.7)"),
            fc(3, regularizer="l2(0.02)"),
            fc(3, "affine", "he_normal", "momentum(0.05, 0.9)", regularizer="l1l2(0.03, 0.02)"),
        ],
        optimizer="sgd(lr=0.1)",
        seed=6,
    )


def averages():
    return DFN(
        layers=[fc(4), fc(3, "affine")], optimizer="adam(lr=0.05)", ema=0.9, clip_norm=0.5, clip_value=0.1, seed=7
    )


def plain(optimizer="sgd(lr=0.2)", loss="cross_entropy", n_out=3):
    return lambda: DFN(layers=[fc(4), fc(n_out, "affine")], optimizer=optimizer, loss=loss, seed=8)


def notebook():
    np.random.seed(9)  # which a model without a seed takes its own from
    return DFN(6, 3)


def flat():
    return DFN(layers=[fc(4), fc(1, "sigmoid")], loss="binary_cross_entropy", optimizer="rmsprop(lr=0.05)", seed=10)


CLASSES = {"Accuracy": "accuracy", "Top": "top_k(k=2)", "BalancedAccuracy": "balanced_accuracy"}
CLASSES |= {"TopKAccuracy": "top_k(k=1)", "Precision": "precision", "Recall": "recall", "F1": "f1"}
NUMBERS = {"MeanSquaredError": "mse", "RootMeanSquaredError": "rmse", "MeanAbsoluteError": "mae", "R2": "r2"}
STOP = "EarlyStopping(monitor='val_loss', patience=4)"
HALF = "Checkpoint(path='model.npz', every='2 batches')"  # the last of these in the middle of an epoch
KEEP = "Checkpoint(path='model.npz', best='val_loss')"
HELD_OUT = {"validation_fraction": 0.3}

# name: (model, targets, number of outputs, arguments of both fits beside FIT, epochs before the file; None: no fit)
MODELS = {
    "activations_1": (
        activations(
            "relu", "leaky_relu(alpha=0.3)", "sigmoid", "hard_sigmoid", "tanh", "affine(slope=-2, intercept=0.5)"
        ),
        classes,
        3,
        {},
        2,
    ),
    "activations_2": (activations("exponential", "soft_plus", "elu(alpha=0.5)", "selu", "softsign"), classes, 3, {}, 2),
    "activations_3": (activations("silu", "mish", "gelu", "elu", "leaky_relu"), classes, 3, {}, 2),
    "layers": (layers, classes, 3, {}, 2),
    "layers_float32": (layers, classes, 3, {}, 2),
    "initialisers": (
        initialisers(
            "zeros",
            "constant(value=0.1)",
            "std_normal(gain=0.3)",
            "random_uniform(b=0.5)",
            "random_normal(std=0.2)",
            "he_uniform",
            "he_normal",
            "glorot_uniform(gain=2.0)",
            "glorot_normal",
            "lecun_uniform",
            "lecun_normal",
            "orthogonal(gain=0.5)",
        ),
        classes,
        3,
        {},
        None,
    ),
    "optimizers_1": (
        rules(
            "sgd(lr=0.1, momentum=0.9, nesterov=True)",
            "sgd(lr=0.1, weight_decay=0.1)",
            "sgdw(lr=0.1, momentum=0.9, weight_decay=0.1)",
            "momentum(lr=0.1, momentum=0.9)",
            "adagrad(lr=0.1)",
        ),
        classes,
        3,
        {},
        2,
    ),
    "optimizers_2": (
        rules("rmsprop(lr=0.05)", "adadelta(lr=1.0)", "adam(lr=0.05)", optimizer="adamw(lr=0.05, weight_decay=0.1)"),
        classes,
        3,
        {},
        2,
    ),
    "optimizers_3": (rules("nadam(lr=0.05)", optimizer="radam(lr=0.05)"), classes, 3, {}, 3),
    "schedules": (
        rules(
            "sgd(lr='constant(0.3)')",
            "sgd(lr='step(0.8, length=1.5, factor=0.5)')",
            "sgd(lr='exponential(0.8, length=2, factor=0.25)')",
            "sgd(lr='inverse_time(0.6, length=4)')",
            "momentum(lr='linear(0.4, length=8, end=0.2)')",
            "sgd(lr='cosine(0.4, length=8, warmup=2, end=0.1)')",
            "sgd(lr='one_cycle(0.5, length=12, by=\"step\")')",
            optimizer="adam(lr='reduce_on_plateau(0.05, factor=0.5, patience=1, min_delta=0.5)')",
        ),
        classes,
        3,
        {"callbacks": ["learning_rate_log"]},
        3,
    ),
    "squared_error": (loss("squared_error"), numbers, 2, {}, 2),
    "absolute_error": (loss("absolute_error"), numbers, 2, {}, 2),
    "huber": (loss("huber(delta=0.3)"), numbers, 2, {}, 2),
    "poisson": (loss("poisson"), counts, 2, {}, 2),
    "cross_entropy": (loss("cross_entropy(smoothing=0.1)"), one_hot, 2, {}, 2),
    "binary_cross_entropy": (loss("binary_cross_entropy"), yes_or_no, 2, {}, 2),
    "binary_flat": (flat, flat_yes_or_no, 1, {}, 2),
    "squared_error_float32": (loss("squared_error"), numbers, 2, {}, 2),
    "penalties": (penalties, classes, 3, {}, 2),
    "averages": (averages, classes, 3, HELD_OUT, 2),
    "averages_float32": (averages, classes, 3, {}, 2),
    "weights": (plain(), classes, 3, {"sample_weight": True, "class_weight": "balanced", **HELD_OUT}, 2),
    "metrics": (plain(), classes, 3, {"metrics": CLASSES, **HELD_OUT}, 2),
    "metrics_numbers": (plain(loss="huber", n_out=2), numbers, 2, {"metrics": NUMBERS, **HELD_OUT}, 2),
    "early_stopping": (plain("momentum(0.3, 0.9)"), classes, 3, {"callbacks": [STOP], "n_epochs": 9, **HELD_OUT}, 0),
    "checkpoint": (plain("momentum(0.3, 0.9)"), classes, 3, {"callbacks": [STOP, KEEP], "n_epochs": 9, **HELD_OUT}, 0),
    "half_epoch": (plain("adam(0.05)"), classes, 3, {"callbacks": [STOP, HALF], "n_epochs": 9, **HELD_OUT}, 0),
    "notebook": (notebook, one_hot, 3, {}, 2),
    "unfitted": (lambda: DFN(4, 3, optimizer="adam", init_w="he_normal", seed=11), classes, 3, {}, None),
}


class Interrupt(Callback):
    """Ends a fit as Ctrl-C does, in the middle of the patience of an early stopping."""

    def on_epoch_end(self, model, values):
        best = np.argmin(model.history["val_loss"]) + 1
        if len(model.history["loss"]) == best + 2:
            raise KeyboardInterrupt


def train(model, X, y, weight, more, n_epochs):
    """Before the file: n_epochs, or a fit that is interrupted; it leaves the file itself if it has a Checkpoint."""
    if n_epochs is None:
        return
    more = {**FIT, **more, "n_epochs": n_epochs or 50, **weight}
    if n_epochs:
        model.fit(X, y, **more)
        return
    with contextlib.suppress(KeyboardInterrupt):
        model.fit(X, y, **{**more, "callbacks": [*more["callbacks"], Interrupt()]})


def answers(model, X):
    """What a model says, by the names of the companion file."""
    prediction = {}
    if model.is_initialized:
        prediction = {"prediction": model.predict_proba(X)}
    return {**{f"history/{name}": np.asarray(values) for name, values in model.history.items()}, **prediction}


def arrays(model):
    """All parameters and buffers as one vector, which is smaller than a file of many: by layer, and there by name."""
    trees = [{**layer.params, **layer.buffers} for layer in model.layers.values()]
    return {"arrays": np.concatenate([np.ravel(tree[name]) for tree in trees for name in sorted(tree)])}


def make(name):
    model, targets, m, more, n_epochs = MODELS[name]
    rng = np.random.default_rng(sum(name.encode()))
    X, y, weights = rng.normal(size=(ROWS, 3)), targets(rng, m), rng.integers(0, 4, ROWS).astype(float)
    if name.endswith("float32"):
        X, y = X.astype("f4"), y.astype("f4") if y.dtype == "f8" else y
    more = dict(more)
    weight = {"sample_weight": weights} if more.pop("sample_weight", False) else {}
    model = model()
    train(model, X, y, weight, more, n_epochs)
    if not os.path.exists("model.npz"):
        model.save("model.npz")
    shutil.move("model.npz", GOLDEN / f"{name}.npz")
    loaded, fit = DFN.load(GOLDEN / f"{name}.npz"), {**FIT, **more}
    before = answers(loaded, X)
    loaded.fit(X, y, **fit, **weight)
    after = {f"after/{key}": value for key, value in {**answers(loaded, X), **arrays(loaded)}.items()}
    given = {"X": X, "y": y, **weight, "fit": np.frombuffer(json.dumps(fit).encode(), np.uint8)}
    np.savez_compressed(GOLDEN / f"{name}.expected.npz", **given, **before, **after)


if __name__ == "__main__":
    for name in MODELS:
        if not (GOLDEN / f"{name}.npz").exists():
            with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # where a Checkpoint writes
                make(name)
