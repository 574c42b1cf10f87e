"""A model as a program, and what is refused on the way."""

import numpy as np
import pytest
from exported import CASES, Cubed, Doubled, OfNotebook, Shifted, Untraceable, make, rows

from xdfn import DFN, FullyConnected, Residual, SquaredError
from xdfn.export.operations import Block, Elementwise, Product
from xdfn.export.program import has_word, read_program


def read(model, **more):
    return read_program(model, "to_format", **more)


@pytest.mark.parametrize("case", CASES)
def test_every_part_of_the_library_has_a_word(case):
    model, X = make(case)
    assert all(map(has_word, (*model.layers.values(), model.loss)))
    program = read(model)
    assert program.n_in == X.shape[1]
    assert program.dtype == "float64"
    assert program.n_scores == model.config().n_out
    assert program.n_out == (model.predict_proba(X).shape[1] if model.predict_proba(X).ndim == 2 else 1)


def test_layers_that_do_nothing_leave_nothing():
    model = DFN(layers=["dropout", "gaussian_noise", 3, "softmax"], seed=0).initialize(rows())
    (step,) = read(model).scores
    assert isinstance(step.operation, Product)


def test_blocks_name_their_layers():
    model = DFN(layers=[Residual(["fc(5, 'tanh')"]), 3], seed=0).initialize(rows())
    block = read(model).scores[0].operation
    assert isinstance(block, Block)
    assert [step.name for step in block.steps] == ["Residual1.FC1", "Residual1.FC1"]
    assert isinstance(block.steps[1].operation, Elementwise)


def test_the_dtype_is_the_models_unless_another_is_given():
    model, _ = make("CrossEntropy", "float32")
    assert read(model).dtype == "float32"
    program = read(model, dtype="float64")
    assert program.scores[0].operation.W.dtype == "float64"
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'float64', got 'float16'"):
        read(model, dtype="float16")


class Blurred(SquaredError, traceable=True):
    """A user's loss that changes the rows together."""

    def link(self, z):
        return z - z.mean(axis=0)


class Squashed(SquaredError, traceable=True):
    """A user's loss with an elementwise link."""

    def link(self, z):
        return z / (1.0 + abs(z))


class Rounded(SquaredError):
    """A user's loss that decides by itself."""

    def decide(self, z):
        return z.round()


@pytest.mark.parametrize(
    ("layers", "loss", "message"),
    [
        ([Doubled(), 2], "cross_entropy", "Doubled1, Doubled; formats that have one: .*export_safetensors, DFN.save"),
        ([Shifted(4), 2], "cross_entropy", r"FC1, Shifted\("),
        ([4, OfNotebook(), 2], "cross_entropy", "OfNotebook1, OfNotebook: .*defines forward"),
        ([Residual([Doubled()]), 2], "cross_entropy", "Residual1.Doubled1, Doubled"),
        ([FullyConnected(4, Untraceable()), 2], "cross_entropy", "FC1, Untraceable: .*traceable=True"),
        ([4, 2], Blurred(), "the loss, Blurred: it is no elementwise function"),
        ([4, 2], Rounded(), "the loss, Rounded: it decides in a way of its own"),
    ],
)
def test_what_has_no_word_is_refused_by_its_name(layers, loss, message):
    model = DFN(layers=layers, loss=loss, seed=0).initialize(rows())
    with pytest.raises(ValueError, match=f"to_format has no word for {message}"):
        read(model)
    assert not all(map(has_word, (*model.layers.values(), model.loss)))


def test_a_users_activation_and_link_are_traced():
    model = DFN(layers=[FullyConnected(4, Cubed()), 2], loss=Squashed(), seed=0).initialize(rows())
    assert all(map(has_word, (*model.layers.values(), model.loss)))
    program = read(model)
    assert [type(step.operation) for step in program.link] == [Elementwise]


def test_parameters_are_read_from_any_library(backend):
    X = backend.array(rows(), "float32")
    model = DFN(layers=["batch_norm", 4, 3], seed=0).initialize(X)
    program = read(model)
    assert program.dtype == "float32"
    W = next(step.operation.W for step in program.scores if isinstance(step.operation, Product))
    assert type(W) is np.ndarray
    np.testing.assert_array_equal(W, backend.numpy(model.layers["FC1"].params["W"]))
