"""What the formats have in common that print programs: a walk over the steps, with a method for each operation."""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from xdfn.backend import Foreign, Host
from xdfn.export.operations import (
    Block,
    BothSides,
    Elementwise,
    FirstColumns,
    LargestPiece,
    Lookup,
    Normalization,
    Product,
    RowSoftmax,
    Step,
)
from xdfn.export.symbols import Symbol, uses

__all__: list[str] = []

V = TypeVar("V")  # what stands for a value: its name, or an expression


class Printer(ABC, Generic[V]):
    """Base of the printers. Each method writes an operation on rows x and gives what stands for its result."""

    def steps(self, steps: tuple[Step, ...], x: V) -> V:
        """Write these steps on x."""
        for step in steps:
            x = self.step(step, x)
        return x

    def step(self, step: Step, x: V) -> V:
        match step.operation:
            case Product() as product:
                return self.product(step, product, x)
            case Elementwise() as function:
                return self.elementwise(step, function.symbol, x)
            case Normalization() as normalization:
                return self.normalization(step, normalization, x)
            case RowSoftmax():
                return self.softmax(step, x)
            case LargestPiece() as pieces:
                return self.largest_piece(step, pieces, x)
            case Lookup() as lookup:
                return self.lookup(step, lookup, x)
            case FirstColumns() as columns:
                return self.first_columns(step, columns, x)
            case BothSides():
                return self.both_sides(step, x)
            case Block() as block:
                return self.block(step, block, x)
        raise TypeError(f"{type(self).__name__} prints no {type(step.operation).__name__}")

    @abstractmethod
    def product(self, step: Step, product: Product, x: V) -> V: ...
    @abstractmethod
    def elementwise(self, step: Step, symbol: Symbol, x: V) -> V: ...
    @abstractmethod
    def normalization(self, step: Step, normalization: Normalization, x: V) -> V: ...
    @abstractmethod
    def softmax(self, step: Step, x: V) -> V: ...
    @abstractmethod
    def largest_piece(self, step: Step, pieces: LargestPiece, x: V) -> V: ...
    @abstractmethod
    def lookup(self, step: Step, lookup: Lookup, x: V) -> V: ...
    @abstractmethod
    def first_columns(self, step: Step, columns: FirstColumns, x: V) -> V: ...
    @abstractmethod
    def both_sides(self, step: Step, x: V) -> V: ...
    @abstractmethod
    def block(self, step: Step, block: Block, x: V) -> V: ...

    # -- elementwise functions --

    @abstractmethod
    def call(self, function: str, arguments: list[V], like: Symbol) -> V:
        """A function of `symbols.FUNCTIONS`, or "astype", of such values. `like` is its symbol."""

    @abstractmethod
    def number(self, value: float) -> V: ...
    @abstractmethod
    def row(self, values: Host) -> V: ...

    def keep(self, value: V) -> V:
        """Name a value that is used several times."""
        return value

    def expression(self, symbol: Symbol, x: V) -> V:
        """What stands for a symbol of x."""
        counts, known = uses(symbol), {}

        def value(of: Foreign) -> V:
            if not isinstance(of, Symbol):
                return self.number(of) if isinstance(of, (bool, int, float)) else self.row(of)
            if not of.function:
                return x
            if id(of) not in known:
                made = self.call(of.function, [value(argument) for argument in of.arguments], of)
                known[id(of)] = self.keep(made) if counts.get(id(of), 0) > 1 else made
            return known[id(of)]

        return value(symbol)
