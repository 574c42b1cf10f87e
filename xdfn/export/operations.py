"""What a program is made of: a few operations on rows, one after the other."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from xdfn.backend import Host
from xdfn.export.symbols import Symbol

__all__: list[str] = []


class Operation(Protocol):
    """Something that makes rows (n, n_out) of rows (n, n_in)."""

    def n_out(self, n_in: int) -> int: ...


class _SameWidth:
    def n_out(self, n_in: int) -> int:
        return n_in


class Product(NamedTuple):
    """x W + b, with W (n_in, n_out), b (1, n_out)."""

    W: Host
    b: Host

    def n_out(self, n_in: int) -> int:
        n_out: int = self.W.shape[1]
        return n_out


class Elementwise(_SameWidth):
    """A function of each number by itself, and of its feature's parameters."""

    def __init__(self, symbol: Symbol) -> None:
        self.symbol = symbol


class Normalization(_SameWidth):
    """gamma (x - m) / sqrt(v + eps) + beta, with m and v over the features of each row."""

    def __init__(self, gamma: Host, beta: Host, eps: float) -> None:
        self.gamma, self.beta, self.eps = gamma, beta, eps


class RowSoftmax(_SameWidth):
    """e^x / sum e^x over each row."""


class LargestPiece(NamedTuple):
    """The largest of each unit's `n_pieces` inputs: that of input j is x[j], x[j + n_out], x[j + 2 n_out], ..."""

    n_pieces: int

    def n_out(self, n_in: int) -> int:
        return n_in // self.n_pieces


class Lookup(NamedTuple):
    """The columns that stay, then for each column j of `tables` the row W_j[c] of its category c, or zeros."""

    stay: tuple[int, ...]
    tables: dict[int, Host]

    def n_out(self, n_in: int) -> int:
        return len(self.stay) + sum(int(W.shape[1]) for W in self.tables.values())


class FirstColumns(NamedTuple):
    """The first m columns of x."""

    m: int

    def n_out(self, n_in: int) -> int:
        return self.m


class BothSides:
    """[1 - x | x] of one column x: the probabilities of no and yes."""

    def n_out(self, n_in: int) -> int:
        return 2


class Block(_SameWidth):
    """x + f(x), where f is these steps."""

    def __init__(self, steps: "tuple[Step, ...]") -> None:
        self.steps = steps


class Step(NamedTuple):
    """An operation, with the name of the layer that it is from, or of the loss."""

    name: str
    operation: Operation
    n_in: int

    @property
    def n_out(self) -> int:
        return self.operation.n_out(self.n_in)


class Program(NamedTuple):
    """How a model answers.

    Attributes
    ----------
    parts : the strings of its layers and its loss, by their names
    n_in : int
    dtype : "float32" or "float64", in which it computes
    scores, link : the steps to the scores (n, n_scores), and from there to the prediction (n, n_out)
    decision : "largest" if a class is chosen by the largest of the scores, "positive" if each score above 0 is a yes;
        empty for numbers
    classes : the labels of the classes, (m,) of numbers or strings, if there are some beside 0, 1, ...
    flat : whether predictions of one column are (n,)
    """

    parts: dict[str, str]
    n_in: int
    dtype: str
    scores: tuple[Step, ...]
    link: tuple[Step, ...]
    decision: str
    classes: Host | None
    flat: bool

    @property
    def n_scores(self) -> int:
        return width(self.scores, self.n_in)

    @property
    def n_out(self) -> int:
        return width(self.link, self.n_scores)

    @property
    def labels_are_flat(self) -> bool:
        """Whether the labels are (n,)."""
        return self.decision == "largest" or (self.n_scores == 1 and (self.flat or self.classes is not None))


def width(steps: Sequence[Step], n_in: int) -> int:
    """The width behind these steps."""
    return steps[-1].n_out if steps else n_in
