"""A model as a program: the few operations, one after the other, by which `predict` comes from inputs to its answer.
ONNX, NumPy and C are printers of programs. Whatever cannot be said by these operations is refused here, by its name.

A layer has a line in `READERS`, a link of a loss one in `_LINKS`; an activation needs none, since it is traced.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from xdfn.backend import Array, Foreign, real_name, to_numpy
from xdfn.core.part import Part
from xdfn.export.formats import refusal
from xdfn.export.models import DECISIONS, answering
from xdfn.export.operations import (
    Block,
    BothSides,
    Elementwise,
    FirstColumns,
    LargestPiece,
    Lookup,
    Normalization,
    Operation,
    Product,
    Program,
    RowSoftmax,
    Step,
    width,
)
from xdfn.export.symbols import Symbol, UntracedError, trace
from xdfn.nn.activations import ActivationBase
from xdfn.nn.layers.base import LayerBase
from xdfn.nn.layers.dense import FullyConnected
from xdfn.nn.layers.embedding import Embedding
from xdfn.nn.layers.maxout import Maxout
from xdfn.nn.layers.noise import Dropout, GaussianNoise
from xdfn.nn.layers.normalization import BatchNorm, LayerNorm
from xdfn.nn.layers.prelu import PReLU
from xdfn.nn.layers.residual import Residual
from xdfn.nn.layers.softmax import Identity, Softmax
from xdfn.nn.losses import CrossEntropy, Gaussian, ObjectiveBase

__all__: list[str] = []


class Given(NamedTuple):
    """A layer that is to be read: its name, and its arrays on the host."""

    name: str
    layer: Foreign  # of the class that its reader is for
    params: dict[str, Foreign]
    buffers: dict[str, Foreign]


class _Reader:
    """Makes steps of layers."""

    def __init__(self, format_name: str, dtype: str) -> None:
        self.format_name, self.dtype = format_name, dtype

    def steps(self, layers: Iterable[Given], n_in: int) -> tuple[Step, ...]:
        made: list[Step] = []
        for given in layers:
            layer = given.layer
            read = READERS.get(type(layer).apply)
            if read is None or layer.overrides_forward:
                raise refusal(self.format_name, given.name, layer)
            n = width(made, n_in)
            for operation in read(self, given, n):
                made.append(Step(given.name, operation, n))
                n = operation.n_out(n)
        return tuple(made)

    def elementwise(self, name: str, part: Part, function: Callable[[Array], Foreign]) -> Iterator[Operation]:
        """What a function of a part, such as an activation's `forward`, computes."""
        try:
            symbol = _traced(part, function, self.dtype)
        except UntracedError as error:
            raise refusal(self.format_name, name, part, str(error)) from None
        if symbol.function:
            yield Elementwise(symbol)


def _traced(part: Part, function: Callable[[Array], Foreign], dtype: str) -> Symbol:
    if not part.traceable:
        raise UntracedError("its class does not say traceable=True")
    return trace(function, dtype)


def _dense(reader: _Reader, given: Given, n_in: int) -> Iterator[Operation]:
    yield Product(given.params["W"], given.params["b"])
    yield from reader.elementwise(given.name, given.layer.acti_fn, given.layer.acti_fn.forward)


def _maxout(reader: _Reader, given: Given, n_in: int) -> Iterator[Operation]:
    yield Product(given.params["W"], given.params["b"])
    yield LargestPiece(given.layer.n_pieces)


def _feature_by_feature(reader: _Reader, given: Given, n_in: int) -> Iterator[Operation]:
    """A layer that treats each number by itself at inference, which its `apply` says."""
    layer, params, buffers = given.layer, given.params, given.buffers
    yield from reader.elementwise(given.name, layer, lambda x: layer.apply(params, buffers, x)[0])


def _layer_norm(reader: _Reader, given: Given, n_in: int) -> Iterator[Operation]:
    yield Normalization(given.params["gamma"], given.params["beta"], given.layer.eps)


def _embedding(reader: _Reader, given: Given, n_in: int) -> Iterator[Operation]:
    embedded = given.layer.input_categories(n_in)
    stay = tuple(j for j in range(n_in) if j not in embedded)
    yield Lookup(stay, {j: given.params[f"W{j}"] for j in embedded})


def _residual(reader: _Reader, given: Given, n_in: int) -> Iterator[Operation]:
    parts = given.layer.parts(given.params, given.buffers)
    yield Block(reader.steps([Given(f"{given.name}.{name}", *rest) for name, *rest in parts], n_in))


# how a layer is read, by the method that says what it computes: a subclass that overrides it is another layer
READERS: dict[Callable[..., object], Callable[[_Reader, Given, int], Iterator[Operation]]] = {
    FullyConnected.apply: _dense,
    Maxout.apply: _maxout,
    Embedding.apply: _embedding,
    Residual.apply: _residual,
    LayerNorm.apply: _layer_norm,
    Softmax.apply: lambda reader, given, n_in: iter([RowSoftmax()]),
    Identity.apply: lambda reader, given, n_in: iter(()),
    **dict.fromkeys((BatchNorm.apply, PReLU.apply, Dropout.apply, GaussianNoise.apply), _feature_by_feature),
}
# a link that is no elementwise function, for a loss and a number of scores
_LINKS: dict[Callable[..., object], Callable[[ObjectiveBase, int], Operation]] = {
    CrossEntropy.link: lambda loss, n: RowSoftmax(),
    Gaussian.link: lambda loss, n: FirstColumns(loss.n_targets(n)),
}


def _link(reader: _Reader, loss: ObjectiveBase, n_scores: int) -> Iterator[Operation]:
    if type(loss).decide not in DECISIONS:
        raise refusal(reader.format_name, "the loss", loss, "it decides in a way of its own")
    if type(loss).link in _LINKS:
        yield _LINKS[type(loss).link](loss, n_scores)
    elif type(loss).link is not ObjectiveBase.link:
        yield from reader.elementwise("the loss", loss, loss.link)


def has_word(part: Part) -> bool:
    """Whether programs have a word for a layer, an activation or a loss."""
    if isinstance(part, LayerBase):
        return (
            type(part).apply in READERS
            and not part.overrides_forward
            and (part.acti_fn is None or has_word(part.acti_fn))
            and all(map(has_word, part.inner))
        )
    if isinstance(part, ObjectiveBase):
        of_rows = type(part).link in _LINKS or type(part).link is ObjectiveBase.link
        return type(part).decide in DECISIONS and (of_rows or _is_elementwise(part, part.link))
    return isinstance(part, ActivationBase) and _is_elementwise(part, part.forward)


def _is_elementwise(part: Part, function: Callable[[Array], Foreign]) -> bool:
    try:
        _traced(part, function, "float64")
    except UntracedError:
        return False
    return True


def read_program(model: object, format_name: str, dtype: str | None = None, classes: object = None) -> Program:
    """The program of a trained model.

    Parameters
    ----------
    model : DFN, or a fitted estimator of `xdfn.sklearn`
    format_name : str, for errors
    dtype : "float32" or "float64", optional
        In which the program computes. Without it the model's own.
    classes : array (m,) of numbers or strings, optional

    Raises
    ------
    ValueError
        A part that programs have no word for, or arguments that do not fit.
    """
    if dtype not in (None, "float32", "float64"):
        raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r:.80}")
    given = answering(model, classes)
    frozen, loss = given.frozen, given.frozen.loss
    for name, layer in frozen.layers.items():
        if layer.overrides_forward:
            raise refusal(format_name, name, layer, "it defines forward in place of apply")
    precision = dtype or real_name(frozen.dtype)
    trees = zip(frozen.layers, frozen.network.layers, frozen.params, frozen.buffers, strict=True)
    layers = [
        Given(name, layer, *({key: to_numpy(x).astype(precision) for key, x in tree.items()} for tree in pair))
        for name, layer, *pair in trees
    ]
    reader, n_in = _Reader(format_name, precision), layers[0].layer.n_in
    scores = reader.steps(layers, n_in)
    n_scores = width(scores, n_in)
    link = [Step("the loss", operation, n_scores) for operation in _link(reader, loss, n_scores)]
    if given.both_sides:
        link.append(Step("the loss", BothSides(), 1))
    parts = {**{name: layer.spec(omit=("optimizer",)) for name, layer in frozen.layers.items()}, "loss": str(loss)}
    decision = DECISIONS[type(loss).decide]
    return Program(parts, n_in, precision, scores, tuple(link), decision, given.classes, given.flat)
