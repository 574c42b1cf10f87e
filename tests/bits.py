"""Trains small networks with every part on every library, and writes down each bit of what comes out, so that two
versions can be held against each other: ci/same-bits.

    python -P tests/bits.py run OUT.json [LIBRARY...]
    python tests/bits.py compare OLD.json NEW.json

Only what is public is used, since the script runs with versions before and after a change of the inside. What is named
in it must therefore be there in both.
"""

import contextlib
import hashlib
import importlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

ROWS, COLUMNS, BATCH = 203, 6, 8  # 25 full batches, so that NumPy's steps are recorded, and a short one
EPOCHS = 3

ACTIVATIONS = [
    "relu",
    "leaky_relu(alpha=0.3)",
    "sigmoid",
    "hard_sigmoid",
    "tanh",
    "affine(slope=-2, intercept=0.5)",
    "exponential",
    "soft_plus",
    "elu(alpha=0.5)",
    "selu",
    "softsign",
    "silu",
    "mish",
    "gelu",
    "affine",
]
OPTIMIZERS = [
    "sgd(lr=0.1)",
    "sgd(lr=0.05, momentum=0.9)",
    "sgd(lr=0.05, momentum=0.9, nesterov=True)",
    "sgd(lr=0.1, weight_decay=0.01)",
    "sgdw(lr=0.05, momentum=0.9, weight_decay=0.01)",
    "momentum(lr=0.05, momentum=0.9)",
    "adagrad(lr=0.05)",
    "rmsprop(lr=0.01)",
    "adadelta(lr=1.0)",
    "adam(lr=0.01)",
    "adamw(lr=0.01, weight_decay=0.1)",
    "nadam(lr=0.01)",
    "radam(lr=0.01)",
]
SCHEDULES = [
    "constant(0.1)",
    "step(0.2, length=1.5, factor=0.5)",
    "exponential(0.2, length=2, factor=0.25)",
    "inverse_time(0.1, length=4)",
    "linear(0.1, length=4, end=0.05)",
    "cosine(0.1, length=50, warmup=5, end=0.01, by='step')",
    "one_cycle(0.1, length=4)",
    "reduce_on_plateau(0.1, factor=0.5, patience=1, min_delta=0.5)",
]
INITIALISERS = [
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
]
LOSSES = [
    "squared_error",
    "absolute_error",
    "huber(delta=0.3)",
    "poisson",
    "cross_entropy(smoothing=0.1)",
    "cross_entropy",
    "binary_cross_entropy",
]
METRICS = {
    "classes": ["accuracy", "top_k(k=2)", "balanced_accuracy", "precision", "recall", "f1"],
    "numbers": ["mse", "rmse", "mae", "r2"],
}
LIBRARIES = {  # module, dtype of the rows, and what makes an array of a host array
    "numpy-float32": ("numpy", "float32", lambda module, x: x),
    "numpy-float64": ("numpy", "float64", lambda module, x: x),
    "torch-float32": ("torch", "float32", lambda module, x: module.asarray(x.copy())),
    "jax-float32": ("jax.numpy", "float32", lambda module, x: module.asarray(x)),
    "jax-float64": ("jax.numpy", "float64", lambda module, x: module.asarray(x)),
    "array-api-strict-float64": (
        "array_api_strict",
        "float64",
        lambda module, x: module.asarray(x, device=module.Device("device1")),
    ),
}


class Data:
    """The same rows for every case, on one library."""

    def __init__(self, library):
        module, self.dtype, make = LIBRARIES[library]
        self.module = importlib.import_module(module)
        self.array = lambda x: make(self.module, x)
        self.real = lambda x: self.array(x.astype(self.dtype))
        rng = np.random.default_rng(7)
        self.host = rng.normal(size=(ROWS, COLUMNS)).astype(self.dtype)
        self.labels = rng.integers(0, 3, ROWS)
        self.X, self.y = self.array(self.host), self.array(self.labels)
        self.numbers = rng.normal(size=(ROWS, 3))
        self.weights = rng.integers(0, 4, ROWS).astype(self.dtype)
        self.rng = rng


def hidden(n_out=5, activation="tanh", init="glorot_uniform", *more, **named):
    from xdfn import FullyConnected

    return FullyConnected(n_out, activation, init, *more, **named)


def network(*layers, n_out=3, optimizer="adam(lr=0.01)", seed=1, **more):
    from xdfn import DFN

    return DFN(layers=[*layers, hidden(n_out, "affine")], optimizer=optimizer, seed=seed, **more)


def train(model, data, *, X=None, y=None, n_epochs=EPOCHS, **more):
    X, y = data.X if X is None else X, data.y if y is None else y
    return model.fit(X, y, n_epochs, BATCH, verbose=None, **more)


def every_layer(**more):
    from xdfn import Residual

    layers = [
        "gaussian_noise(0.05)",
        hidden(8, "relu", "he_uniform", regularizer="l1l2(0.001, 0.002)", constraint="max_norm(1)"),
        "batch_norm(momentum=0.5)",
        "dropout(0.2)",
        Residual(["layer_norm", hidden(7), "dropout(0.1)", "batch_norm", hidden(8, "affine")]),
        "maxout(6, n_pieces=3)",
        "prelu",
        hidden(6, "tanh", regularizer="l1(0.001)"),
        hidden(6, "tanh", "he_normal", "momentum(0.05, 0.9)", regularizer="l2(0.01)", constraint="max_norm(0.5)"),
    ]
    return network(*layers, **more)


# -- parts of a user's own, in both styles --


def own_parts():
    """Registered, so that models with them can be saved."""
    from array_api_compat import array_namespace

    from xdfn import ActivationBase, LayerBase, ObjectiveBase, OptimizerBase, register

    @register
    class BitsCube(ActivationBase):
        def forward(self, z):
            return z * z * z

        def grad(self, z):
            return 3 * z * z

    @register
    class BitsScale(LayerBase):
        def init(self, rng, n_in):
            return {"s": np.ones((1, n_in))}, {"count": np.zeros((1, 1))}, n_in

        def apply(self, params, buffers, x, ctx=None):
            return x * params["s"], x, buffers if ctx is None else {"count": buffers["count"] + 1}

        def pullback(self, params, cache, dy, input_grad=True):
            return dy * params["s"], {"s": array_namespace(dy).sum(dy * cache, axis=0, keepdims=True)}

    @register
    class BitsLogCosh(ObjectiveBase):
        def value_and_grad(self, y, z, weight):
            d, xp = z - y, array_namespace(z)
            return xp.sum(xp.log(xp.cosh(d))) * weight, xp.tanh(d) * weight

    @register
    class BitsMemory(OptimizerBase):
        slots = ("v",)

        def __init__(self, lr=0.01):
            self.lr = lr

        def apply(self, p, g, slots, rates):
            v = 0.9 * slots[0] + g
            return p - rates[0] * v, (v,)

    @register
    class BitsByHand(LayerBase):  # as the notebook writes a layer: a state of its own
        def __init__(self, n_out=4):
            super().__init__("sgd(lr=0.1)")
            self.n_out = n_out

        def forward(self, X):
            xp = array_namespace(X)
            if not self.is_initialized:
                W = np.linspace(-1, 1, X.shape[1] * self.n_out).reshape(X.shape[1], self.n_out)
                self.params = {"W": X[:1, :1] * 0 + xp.asarray(W.tolist(), dtype=X.dtype, device=X.device)}
                self.gradients = {"W": xp.zeros_like(self.params["W"])}
                self.is_initialized = True
            self.X.append(X)
            return X @ self.params["W"]

        def backward(self, dLda):
            self.gradients["W"] = self.gradients["W"] + self.X[-1].T @ dLda
            return dLda @ self.params["W"].T

    @register
    class BitsRule(OptimizerBase):
        def __init__(self, lr=0.05):
            self.lr, self.before = lr, {}

        def update(self, param, param_grad, param_name):
            before = self.before.get(param_name, 0 * param_grad)
            self.before[param_name] = param_grad
            return param - self.lr * (param_grad + 0.5 * before)

    @register
    class BitsLoss(ObjectiveBase):
        @staticmethod
        def loss(y_true, y_pred):
            d = y_pred - y_true
            return array_namespace(d).sum(d * d) / d.shape[0]

        @staticmethod
        def grad(y_true, y_pred):
            return 2 * (y_pred - y_true) / y_true.shape[0]


# -- the cases: a function of the rows that gives models, arrays and numbers --


def activations(data):
    """A block for each, in which it stands between weights: what one saturates is not lost to the others."""
    from xdfn import Residual

    blocks = [Residual(["layer_norm", hidden(5, spec), hidden(COLUMNS, "affine")]) for spec in ACTIVATIONS]
    return train(network(*blocks, optimizer="sgd(lr=0.02)"), data)


def initialisers(data):
    from xdfn import Residual

    blocks = [Residual([hidden(COLUMNS, "tanh", spec, init_b="random_normal(std=0.2)")]) for spec in INITIALISERS]
    return train(network(*blocks, optimizer="sgd(lr=0.02)"), data)


def layers(data):
    return train(every_layer(), data)


def layers_all_at_once(data):
    model = every_layer(
        clip_norm=2.0, clip_value=0.2, ema=0.9, optimizer="adamw(lr='cosine(1e-2, 10)', weight_decay=0.1)"
    )
    more = {"sample_weight": data.array(data.weights), "class_weight": "balanced", "validation_fraction": 0.2}
    return [train(model, data, **more), model.predict_proba(data.X)]


def softmax_layer(data):
    return train(network(hidden(), hidden(3, "affine"), "softmax", optimizer="momentum(0.05, 0.9)"), data)


def optimizers(data):
    return train(network(*(hidden(5, "tanh", "glorot_uniform", spec) for spec in OPTIMIZERS)), data)


def one_optimizer_each(data):
    return [train(network(hidden(7), optimizer=spec), data) for spec in ("sgd(lr=0.1)", "radam(lr=0.01)")]


def schedules(data):
    layers = [hidden(5, "tanh", "glorot_uniform", f'sgd(lr="{spec}")') for spec in SCHEDULES]
    return train(network(*layers, optimizer="adam(lr='cosine(0.01, 4)')"), data, callbacks=["learning_rate_log"])


def targets(data, spec):
    if spec.startswith("cross"):
        return np.eye(3)[data.labels] if "smoothing" in spec else data.labels
    if spec.startswith("binary"):
        return (data.numbers > 0).astype(float)
    return np.abs(np.round(data.numbers)) if spec == "poisson" else data.numbers.astype(data.dtype)


def losses(data):
    def fitted(spec):
        return train(network(loss=spec, seed=3), data, y=data.array(targets(data, spec)), n_epochs=2)

    return [fitted(spec) for spec in LOSSES]


def flat_targets(data):
    y = data.real(data.labels % 2)
    last = network(hidden(), "batch_norm", n_out=1, loss="binary_cross_entropy")
    model = train(last, data, y=y, validation_fraction=0.2, metrics=["accuracy", "f1"], class_weight="balanced")
    return [model, model.predict(data.X), model.predict_proba(data.X)]


def weights_and_validation(data):
    held_out = (data.X[:50, ...], data.y[:50], data.array(data.weights[:50] + 1))
    more = {"sample_weight": data.array(data.weights), "class_weight": {0: 1.0, 1: 2.0, 2: 0.5}}
    return train(network(hidden(), "batch_norm"), data, **more, validation_data=held_out, metrics=METRICS["classes"])


def validation_of_numbers(data):
    y = data.real(data.numbers)
    return train(network(hidden(), loss="huber"), data, y=y, validation_fraction=0.25, metrics=METRICS["numbers"])


def early_stopping(data):
    callbacks = ["early_stopping('val_loss', patience=2)", "learning_rate_log"]
    model = network(hidden(20), optimizer="adam(lr=0.3)", ema=0.5)
    return train(model, data, n_epochs=12, validation_fraction=0.3, callbacks=callbacks)


def a_second_fit(data):
    model = train(network(hidden(), "dropout(0.2)"), data, n_epochs=2)
    model.layers["FC1"].optimizer.lr *= 0.5
    train(model, data, n_epochs=2)
    model.optimizer = "momentum(lr='linear(0.05, 4)', momentum=0.9)"
    model.layers["FC2"].params["b"] = model.layers["FC2"].params["b"] + 0.5
    return train(model, data, n_epochs=2, callbacks=["learning_rate_log"])


def a_resumed_fit(data):
    from xdfn import DFN

    with tempfile.TemporaryDirectory() as folder:
        train(every_layer(ema=0.9), data, n_epochs=2).save(Path(folder) / "model.npz")
        return train(DFN.load(Path(folder) / "model.npz", like=data.X), data, n_epochs=2)


def callbacks(data):
    """Told of batches; weights and a rate changed between epochs."""
    from xdfn import Callback

    seen = []

    class Change(Callback):
        def on_batch_end(self, model, batch, n_batches, loss):
            if batch in (1, n_batches):
                seen.append(loss())

        def on_epoch_end(self, model, values):
            model.layers["FC1"].optimizer.lr *= 0.5
            model.layers["FC1"].params["W"] = 0.9 * model.layers["FC1"].params["W"]
            seen.append(float(np.asarray(model.evaluate(data.X, data.y))))

    return [train(network(hidden(), "dropout(0.2)", ema=0.9), data, callbacks=[Change()]), np.asarray(seen)]


def a_fit_that_diverges(data):
    model = train(
        network(hidden(5, "relu"), loss="squared_error", optimizer="sgd(lr=0.01)"), data, y=data.real(data.numbers)
    )
    model.layers["FC1"].optimizer.lr = model.layers["FC2"].optimizer.lr = 1e6
    with np.errstate(all="ignore"), contextlib.suppress(FloatingPointError):
        train(model, data, y=data.real(data.numbers))
    return model


def own(data):
    layers = ["bits_scale", hidden(6, "bits_cube"), "bits_scale"]
    y = data.real(data.numbers)
    return train(network(*layers, loss="bits_log_cosh", optimizer="bits_memory(lr=0.001)"), data, y=y)


def own_activation_in_the_midst(data):
    return train(network(hidden(6, "bits_cube"), "batch_norm", "dropout(0.2)"), data)


def own_by_hand(data):
    y = data.real(data.numbers)
    layers = ["bits_by_hand(4)", hidden(5, "tanh", "glorot_uniform", "bits_rule(lr=0.05)")]
    return train(network(*layers, loss="bits_loss", optimizer="sgd(lr=0.02)"), data, y=y, n_epochs=2)


def a_loop_by_hand(data):
    from array_api_compat import array_namespace

    take = array_namespace(data.X).take
    model, losses = network(hidden(), "dropout(0.2)", "batch_norm", ema=0.9, clip_norm=1.0), []
    for step in range(10):
        rows = data.array(np.arange(29 * step, 29 * (step + 1)) % ROWS)
        scores, _ = model.forward(take(data.X, rows, axis=0))
        loss, grad = model.loss.value_and_grad(take(data.y, rows, axis=0), scores, 1 / 29)
        model.backward(grad)
        model.update()
        losses.append(loss)
    return [model, *losses]


def layers_alone(data):
    from xdfn import FullyConnected

    np.random.seed(5)
    layer = FullyConnected(n_out=4, acti_fn="gelu", init_w="he_uniform", optimizer="adam")
    found = []
    for _ in range(3):
        a = layer.forward(data.X)
        found += [a, layer.backward(0.1 * a)]
        layer.update()
        layer.flush_gradients()
    return [*found, *layer.params.values()]


def the_notebooks_network(data):
    from xdfn import DFN

    np.random.seed(6)
    return train(DFN(20, 3), data, y=data.array(np.eye(3)[data.labels]))


def inference(data):
    model = train(network(hidden(8), "dropout(0.3)", "gaussian_noise(0.1)", "batch_norm"), data, n_epochs=1)
    scores = [model.evaluate(data.X, data.y, metric=spec) for spec in METRICS["classes"]]
    gradients = [model.input_gradients(data.X, data.y), model.input_gradients(data.X, output=1)]
    several = [*model.predict(data.X, samples=5), *model.activations(data.X).values(), model.predict(data.X)]
    return [*several, model.predict_proba(data.X), *gradients, np.asarray(scores)]


def looks(data):
    from xdfn import check_gradients, find_learning_rate

    X, y = data.array(data.host[:20]), data.array(data.labels[:20])
    found = find_learning_rate(network(hidden(), seed=2), data.X, data.y, n_steps=20)
    exact = data.dtype == "float64"  # which quotients of differences need
    off = check_gradients(network(hidden(), "batch_norm"), X, y) if exact else 0.0
    return [np.asarray(off), np.asarray(found.losses), np.asarray(found.suggestion)]


def whole_numbers(data):
    X = data.array(data.rng.integers(0, 255, (ROWS, COLUMNS)).astype("uint8"))
    return train(network("batch_norm", hidden()), data, X=X)


def from_the_host(data):
    """Rows that stay on the host go to the network by a few batches at a time."""
    return train(network(hidden(), "dropout(0.2)"), data, X=data.host, y=data.labels, device=data.X)


def large(data):
    rng = np.random.default_rng(8)
    X, y = data.real(rng.normal(size=(64 * 12, 300))), data.array(rng.integers(0, 10, 64 * 12))
    layers = [hidden(300, "relu", "he_uniform"), "dropout(0.2)", hidden(300, "gelu", "he_uniform")]
    return network(*layers, n_out=10, optimizer="adam(lr=1e-3)").fit(X, y, 2, 64, verbose=None)


def large_sgd(data):
    rng = np.random.default_rng(9)
    X, y = data.real(rng.normal(size=(64 * 12 + 7, 300))), data.array(rng.integers(0, 10, 64 * 12 + 7))
    return network(hidden(300, "sigmoid"), n_out=10, optimizer="sgd(lr=0.1)").fit(X, y, 2, 64, verbose=None)


CASES = [
    activations,
    initialisers,
    layers,
    layers_all_at_once,
    softmax_layer,
    optimizers,
    one_optimizer_each,
    schedules,
    losses,
    flat_targets,
    weights_and_validation,
    validation_of_numbers,
    early_stopping,
    a_second_fit,
    a_resumed_fit,
    callbacks,
    a_fit_that_diverges,
    own,
    own_activation_in_the_midst,
    own_by_hand,
    a_loop_by_hand,
    layers_alone,
    the_notebooks_network,
    inference,
    looks,
    whole_numbers,
    from_the_host,
    large,
    large_sgd,
]
SLOW = [layers, one_optimizer_each, own_activation_in_the_midst, large_sgd]  # where each is compiled
FEW = {"jax-float32": [optimizers, large], "jax-float64": [case for case in CASES if case not in SLOW]}

# -- what comes out of them --


def pieces(result, name=""):
    """(name, NumPy array) of all that a case gives: of a model its history and what its file holds."""
    if isinstance(result, (list, tuple)):
        for i, value in enumerate(result):
            yield from pieces(value, f"{name}{i}/")
    elif hasattr(result, "history"):
        for key, values in result.history.items():
            yield f"{name}history/{key}", np.asarray(values, dtype=float)
        with tempfile.TemporaryDirectory() as folder:
            result.save(Path(folder) / "model.npz")
            with np.load(Path(folder) / "model.npz") as file:
                yield from ((name + key, file[key]) for key in file.files if key != "xdfn.json")
    else:
        if hasattr(result, "to_device") and "strict" in type(result).__module__:
            result = result.to_device(importlib.import_module("array_api_strict").Device("CPU_DEVICE"))
        yield name.rstrip("/"), np.asarray(result)


def digest(x):
    return hashlib.sha256(f"{x.dtype} {x.shape}".encode() + np.ascontiguousarray(x).tobytes()).hexdigest()[:16]


def run(out, names):
    import xdfn

    print(xdfn.__file__, file=sys.stderr)
    with contextlib.suppress(ImportError):
        importlib.import_module("jax").config.update("jax_enable_x64", True)
    own_parts()
    found = {}
    for library in names or LIBRARIES:
        try:
            data = Data(library)
        except ImportError as error:
            print(f"{library}: SKIPPED: {error}", file=sys.stderr)
            continue
        for case in FEW.get(library, CASES):
            found[f"{library} {case.__name__}"] = {name: digest(x) for name, x in pieces(case(data))}
    Path(out).write_text(json.dumps(found))


def compare(old, new):
    """A line for each case; whether all are the same."""
    old, new = (json.loads(Path(path).read_text()) for path in (old, new))
    same = old.keys() == new.keys()
    for case in [*old, *(case for case in new if case not in old)]:
        ours, theirs = new.get(case, {}), old.get(case, {})
        other = [name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]
        digests = [hashlib.sha256(json.dumps(x, sort_keys=True).encode()).hexdigest()[:16] for x in (theirs, ours)]
        print(f"{case:60} {digests[0]} " + (f"DIFFERS {digests[1]}: {', '.join(other)}" if other else "same"))
        same = same and not other
    return same


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what == "run":
        run(arguments[0], arguments[1:])
    else:
        sys.exit(not compare(*arguments))
