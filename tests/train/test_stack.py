"""A member of an ensemble is the network that its own fit makes, whatever it consists of."""

import numpy as np
import pytest
from members import assert_same, fc, parameters
from parts import ACTIVATIONS, CONSTRAINTS, LAYERS, LOSSES, OPTIMIZERS, REGULARIZERS, SCHEDULES

from xdfn import DFN, Dropout, Ensemble, LayerBase, MaxNorm, SquaredError
from xdfn.train.stack import require_alike

SEEDS = (3, 11, 4)
N, BATCH = 39, 12  # a short last batch


def check(backend, make, X, y, n_epochs=3, atol=1e-10, **more):
    """The members of an ensemble of make(0), make(1), make(2) against their own fits."""
    X, y = backend.array(X), backend.array(y)
    models = [make(i) for i in range(3)]
    ensemble = Ensemble([make(i) for i in range(3)]).fit(X, y, n_epochs, BATCH, **more)
    for model in models:
        model.fit(X, y, n_epochs, BATCH, None, **more)
    assert_same(ensemble.members, models, backend, atol)
    first, second = (parameters(m, backend) for m in ensemble.members[:2])
    assert any(np.abs(a - b).max() > 1e-6 for a, b in zip(first, second, strict=True))  # they are different networks
    return ensemble


@pytest.fixture
def rows(rng):
    X = rng.normal(size=(N, 5))
    return X, rng.integers(0, 3, N)


def network(layers, i, **more):
    return DFN(layers=layers, seed=SEEDS[i], **{"optimizer": "sgd(lr=0.1)", **more})


# -- each part --


@pytest.mark.parametrize("spec", [spec for spec in LAYERS if not spec.startswith("Embedding")])
def test_layers(eager, rows, spec):
    check(eager, lambda i: network([fc(5), spec, fc(3, "affine")], i), *rows)


@pytest.mark.parametrize("spec", ACTIVATIONS)
def test_activations(eager, rows, spec):
    check(eager, lambda i: network([fc(6, spec), fc(3, "affine")], i, optimizer="sgd(lr=0.01)"), *rows)


@pytest.mark.parametrize("spec", LOSSES)
def test_losses(eager, rng, spec):
    X, y = rng.normal(size=(N, 5)), LOSSES[spec](rng, N, 4)
    check(eager, lambda i: network([fc(6), fc(4, "affine")], i, loss=spec), X, y)


@pytest.mark.parametrize("spec", OPTIMIZERS)
def test_optimizers(eager, rows, spec):
    check(eager, lambda i: network([fc(6), fc(3, "affine")], i, optimizer=spec), *rows)


@pytest.mark.parametrize("spec", SCHEDULES)
def test_schedules(eager, rows, spec):
    rule = f"momentum(lr={spec!r})"
    check(eager, lambda i: network([fc(6), "dropout(0.2)", fc(3, "affine")], i, optimizer=rule), *rows, n_epochs=4)


@pytest.mark.parametrize("spec", REGULARIZERS)
def test_regularizers(eager, rows, spec):
    check(eager, lambda i: network([fc(6, regularizer=spec), fc(3, "affine", regularizer=spec)], i), *rows)


@pytest.mark.parametrize("spec", CONSTRAINTS)
def test_constraints(eager, rows, spec):
    check(eager, lambda i: network([fc(6, constraint=spec), fc(3, "affine")], i, optimizer="sgd(lr=1.0)"), *rows)


@pytest.mark.parametrize("more", [{"clip_norm": 0.2}, {"clip_value": 0.02}, {"ema": 0.9}], ids=str)
def test_options(eager, rows, more):
    check(eager, lambda i: network([fc(6), "batch_norm", fc(3, "affine")], i, optimizer="adam", **more), *rows)


def test_frozen_layers(eager, rows):
    def make(i):
        model = network([fc(6), fc(5), fc(3, "affine")], i, optimizer="adam")
        model.layers["FC1"].trainable = False
        return model

    check(eager, make, *rows)


# -- in what the members may differ --

DIFFERENT = {
    "rates": lambda i: ([fc(6), fc(3, "affine")], f"momentum(lr={0.02 * (i + 1)})", {}),
    "Adam's rates": lambda i: ([fc(6), fc(3, "affine")], f"adam(lr={0.002 * (i + 1)})", {"ema": 0.8}),
    "schedules": lambda i: ([fc(6), fc(3, "affine")], f"sgd(lr='cosine({0.1 * (i + 1)}, {3 + i})')", {}),
    "plateaus": lambda i: (
        [fc(6), fc(3, "affine")],
        f"sgd('reduce_on_plateau({0.5 + i}, patience=1, monitor=\"loss\")')",
        {},
    ),
    "weight decay": lambda i: ([fc(6), fc(3, "affine")], f"adamw(lr=0.01, weight_decay={0.1 * (i + 1)})", {}),
    "weight decay of SGDW": lambda i: ([fc(6), fc(3, "affine")], f"sgdw(lr=0.1, weight_decay={0.1 * (i + 1)})", {}),
    "dropout": lambda i: ([f"dropout({0.1 * i})", fc(6), f"dropout({0.5 - 0.1 * i})", fc(3, "affine")], "adam", {}),
    "penalties": lambda i: (
        [fc(6, regularizer=f"l2({0.1 * (i + 1)})"), fc(3, "affine", regularizer=f"l1({0.01 * (i + 1)})")],
        "sgd(lr=0.1)",
        {},
    ),
    "constraints": lambda i: ([fc(6, constraint=MaxNorm(0.5 + 0.3 * i)), fc(3, "affine")], "sgd(lr=1.0)", {}),
    "initial weights": lambda i: (
        [fc(6, "tanh", ("he_normal", "glorot_uniform", "std_normal")[i]), fc(3, "affine")],
        "sgd(lr=0.1)",
        {},
    ),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_members_that_differ(eager, rows, what):
    def make(i):
        layers, rule, more = DIFFERENT[what](i)
        return network(layers, i, optimizer=rule, **more)

    check(eager, make, *rows, n_epochs=5)


# -- in what not --

REFUSED = {
    "sizes": (lambda i: network([fc(6 + i), fc(3, "affine")], 0), "the same layers, sizes or optimizers"),
    "layers": (lambda i: network([fc(6), ["batch_norm", "layer_norm"][i], fc(3)], 0), "kind of parts|layers, sizes"),
    "activations": (lambda i: network([fc(6, ["relu", "tanh"][i]), fc(3)], 0), "same kind of parts: member 0 has ReLU"),
    "a number": (lambda i: network([f"gaussian_noise(0.{i + 1})", fc(3)], 0), "same std of GaussianNoise"),
    "losses": (lambda i: network([fc(3)], 0, loss=["cross_entropy", "squared_error"][i]), "the same loss: member 0"),
    "clipping": (lambda i: network([fc(3)], 0, clip_norm=1.0 + i), "the same clip_value, clip_norm and ema"),
    "rules": (lambda i: network([fc(3)], 0, optimizer=["adam", "sgd"][i]), "kind of optimizer"),
    "memory": (lambda i: network([fc(3)], 0, optimizer=f"adam(decay1=0.{i + 1})"), "decay1 of the optimizer Adam"),
    "use of a decay": (
        lambda i: network([fc(3)], 0, optimizer=f"adamw(weight_decay=0.{i})"),
        "use of weight_decay, 0 or not,|layers, sizes or optimizers",  # biases are a group of their own
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_members_that_do_not_fit_are_refused_and_nothing_changes(rows, what):
    X, y = rows
    make, text = REFUSED[what]
    members = [make(0), make(1)]
    if what == "losses":
        y = np.eye(3)[y]
    before = [(model.history, model.is_initialized, repr(model)) for model in members]
    with pytest.raises(ValueError, match=text):
        Ensemble(members).fit(X, y, 1, BATCH)
    assert before == [(model.history, model.is_initialized, repr(model)) for model in members]


def test_the_error_names_the_member():
    require_alike("x", [1, 1])
    with pytest.raises(ValueError, match="must have the same x: member 0 has 1, member 2 has 3"):
        require_alike("x", [1, 1, 3])


class Doubled(LayerBase):
    """y = 2 x, in a form that takes stacks."""

    stacks = True

    def apply(self, params, buffers, x, ctx=None):
        return 2.0 * x, None, buffers

    def pullback(self, params, cache, dy, input_grad=True):
        return 2.0 * dy, {}


class Tripled(Doubled):
    """A subclass has to say it again."""


class HalfError(SquaredError):
    """A loss of a user's, of which nobody knows whether it takes stacks."""


def test_parts_of_a_user(backend, rows):
    """One that takes stacks says so; the others are refused, as Embedding is."""
    check(backend, lambda i: network([fc(4), Doubled(), fc(3, "affine")], i), *rows)
    X, y = rows
    for layers, more, name in (
        ([fc(4), Tripled(), fc(3)], {}, "Tripled"),
        (["embedding({0: 3})", fc(3)], {}, "Embedding"),
        ([fc(3)], {"loss": HalfError()}, "HalfError"),
    ):
        models = [DFN(layers=layers, seed=seed, **more) for seed in range(2)]
        targets = np.eye(3)[y] if more else y
        with pytest.raises(ValueError, match=f"{name} cannot be in an Ensemble, for it takes no stacks"):
            Ensemble(models).fit(np.abs(np.floor(X)) % 3, targets, 1, BATCH)


def test_masks_are_those_of_the_member_alone(eager, rows):
    """A wide dropout, whose random bits are counted per member."""
    check(eager, lambda i: network([Dropout(0.5), fc(200), Dropout(0.25), fc(3, "affine")], i), *rows)


def test_in_float32(eager, rng):
    """Within rounding: a product of a stack may be summed in another order than that of one network."""
    X, y = rng.normal(size=(N, 5)).astype("float32"), rng.integers(0, 3, N)
    check(eager, lambda i: network(["dropout(0.2)", fc(6), fc(3, "affine")], i, optimizer="adam"), X, y, atol=1e-5)


class OldStyle(LayerBase):
    """A layer in the style of the teaching notebook."""

    def forward(self, x):
        return 2.0 * x

    def backward(self, dy):
        return 2.0 * dy


def test_parts_in_the_notebooks_style_are_refused(rows):
    models = [DFN(layers=[fc(4), OldStyle(), fc(3, "affine")], seed=seed) for seed in range(2)]
    with pytest.raises(ValueError, match="cannot be in an Ensemble, for it takes no stacks"):
        Ensemble(models).fit(*rows, 1, BATCH)
