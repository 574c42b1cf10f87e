"""Parts by name: the grammar of the strings, and what they say when they are wrong."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parts import (
    ACTIVATIONS,
    CALLBACKS,
    CONSTRAINTS,
    INITIALIZERS,
    LAYERS,
    LOSSES,
    METRICS,
    OPTIMIZERS,
    REGULARIZERS,
    SCHEDULES,
)

from xdfn import DFN, ReLU, register
from xdfn.core.registry import parse
from xdfn.nn.activations import ActivationBase, activations
from xdfn.nn.initializers import initializers
from xdfn.nn.layers.base import layers
from xdfn.nn.losses import losses
from xdfn.nn.regularizers import constraints, regularizers
from xdfn.optim.base import optimizers
from xdfn.optim.schedules import schedules
from xdfn.train.callbacks.base import callbacks
from xdfn.train.metrics import metrics

TABLES = [
    (activations, ACTIVATIONS),
    (initializers, INITIALIZERS),
    (losses, LOSSES),
    (optimizers, OPTIMIZERS),
    (layers, LAYERS),
    (regularizers, REGULARIZERS),
    (constraints, CONSTRAINTS),
    (schedules, SCHEDULES),
    (metrics, METRICS),
    (callbacks, CALLBACKS),
]


@pytest.mark.parametrize(("registry", "table"), TABLES, ids=lambda x: getattr(x, "kind", ""))
def test_every_registered_part_is_in_its_table(registry, table):
    own = {cls for cls in registry.classes if cls.__module__.startswith("xdfn.")}
    assert {type(registry.resolve(spec)) for spec in table} == own


ROWS = [(registry, spec) for registry, table in TABLES for spec in table]


@pytest.mark.parametrize(("registry", "spec"), ROWS, ids=lambda x: x if isinstance(x, str) else x.kind)
def test_a_spec_makes_a_round_trip(registry, spec):
    part = registry.resolve(spec)
    assert registry.resolve(str(part)) == part
    assert repr(part) == str(part)


@pytest.mark.parametrize(
    "spelling", ["he_uniform", "HeUniform", "he-uniform", "HE UNIFORM", "he_uniform()", " he_uniform ( ) "]
)
def test_a_name_is_found_in_any_spelling(spelling):
    assert str(initializers.resolve(spelling)) == "he_uniform"


def test_numbers_keep_their_sign_and_exponent():
    assert optimizers.resolve("sgd(lr=1e-3)").lr == 1e-3
    assert activations.resolve("affine(-2, intercept=-1e-3)") == activations.resolve(
        "affine(slope=-2, intercept=-0.001)"
    )


@pytest.mark.parametrize(
    ("registry", "spec", "says"),
    [
        (activations, "rellu", "did you mean 'ReLU'"),
        (activations, "relu(slope=2)", "slope"),
        (optimizers, "sgd(lr='fast')", "lr must be a number"),
        (optimizers, "sgd(lr=-1)", "lr must be a number in \\[0"),
        (optimizers, "sgd(lr=True)", "lr must be a number"),
        (optimizers, "adam(decay1=1.0)", "decay1"),
        (optimizers, "sgd(lr=__import__('os').getpid())", "plain numbers"),
        (optimizers, "__import__('os')", "expected a name"),
        (optimizers, "sgd(**{'lr': 1})", "plain numbers"),
        (optimizers, "sgd(lr=1)(2)", "plain numbers"),
        (optimizers, "sgd(lr=1", "expected a name"),
        (optimizers, "", "expected a name"),
        (optimizers, 3, "expected the name of an optimizer"),
        (layers, "dropout(rate=1.0)", "rate must be a number in \\[0, 1\\)"),
        (layers, "fullyconnected(0, 'relu', 'zeros')", "n_out must be an integer of at least 1"),
        (layers, "fullyconnected(2.5, 'relu', 'zeros')", "n_out must be an integer"),
        (layers, "fullyconnected()", "n_out"),
        (layers, "fullyconnected(3, 'nope', 'zeros')", "unknown activation 'nope'"),
        (layers, "softmax(dim=0)", "dim must be -1 or 1"),
    ],
)
def test_a_bad_spec_says_what_is_wrong(registry, spec, says):
    with pytest.raises(ValueError, match=says):
        registry.resolve(spec)


@given(st.text(max_size=60) | st.from_regex(r"[a-z]{1,8}\([^)]{0,30}\)", fullmatch=True))
def test_any_string_is_a_spec_or_a_value_error(text):
    for registry, _ in TABLES:
        with contextlib.suppress(ValueError):
            assert isinstance(registry.resolve(text), registry.base)


def test_a_deeply_nested_spec_does_no_harm():
    with pytest.raises(ValueError, match="plain numbers"):
        parse("sgd(" + "[" * 4000 + "]" * 4000 + ")")


def test_own_parts_by_name():
    @register
    class Squareplus(ActivationBase):
        def __init__(self, b=4.0):
            self.b = b

    assert activations.resolve("squareplus(b=1.0)").b == 1.0
    assert str(activations.resolve("square_plus")) == "Squareplus"
    with pytest.raises(ValueError, match="belongs to"):
        activations.register("relu")(Squareplus)
    assert type(activations.resolve("relu")) is ReLU
    with pytest.raises(ValueError, match="expects a subclass"):
        register(int)


def test_an_argument_given_twice():
    with pytest.raises(ValueError, match="given twice"):
        DFN(2, 2, optimizer="sgd(lr=1, lr=2)")
