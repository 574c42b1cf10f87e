"""Values are checked where they enter: a field is an attribute that is checked, and brought into form, whenever it is
assigned, in the constructor and later.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

V = TypeVar("V")


def number(
    name: str,
    value: object,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """`value` as a Python number, checked to be real, finite and within the bounds; ValueError names the argument."""
    left, right = "(" if open_low or low == -math.inf else "[", ")" if open_high or high == math.inf else "]"
    bounds = f"{left}{low:g}, {high:g}{right}"
    if type(value) not in (int, float) and hasattr(value, "item"):
        value = value.item()  # NumPy's scalars, kept, would turn float32 arrays into float64
    if type(value) is not int and type(value) is not float:
        raise ValueError(f"{name} must be a number in {bounds}, got {type(value).__name__}: {value!r:.80}")
    inside = low <= value <= high and not (open_low and value == low) and not (open_high and value == high)
    if not inside or not math.isfinite(value):
        raise ValueError(f"{name} must be a number in {bounds}, got {value!r}")
    return value


def integer(name: str, value: object, low: int = 1) -> int:
    """`value` as an int, checked to be at least `low`; raises ValueError naming the argument."""
    if isinstance(value, (bool, str, float)) or not hasattr(value, "__index__"):
        raise _not_an_integer(name, value, low)
    try:
        result: int = value.__index__()
    except TypeError:  # an array's answer
        raise _not_an_integer(name, value, low) from None
    if result < low:
        raise ValueError(f"{name} must be an integer of at least {low}, got {result}")
    return int(result)


def _not_an_integer(name: str, value: object, low: int) -> ValueError:
    return ValueError(f"{name} must be an integer of at least {low}, got {type(value).__name__}: {value!r:.80}")


def flag(name: str, value: object) -> bool:
    """`value`, checked to be True or False; raises ValueError naming the argument."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {value!r:.80}")
    return value


class Field(Generic[V]):
    """An attribute that is checked, and brought into form, whenever it is assigned.

    It has no `__get__`, so reading it costs as little as reading any attribute.
    """

    def __init__(self, check: Callable[[str, object], V]) -> None:
        self.check = check

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __set__(self, instance: object, value: object) -> None:
        vars(instance)[self.name] = self.check(self.name, value)

    if TYPE_CHECKING:

        def __get__(self, instance: object, owner: type | None = None) -> V: ...


class SetOnce(Field[V]):
    """An attribute that is set once, by the constructor."""

    def __set__(self, instance: object, value: object) -> None:
        if self.name in vars(instance):
            raise AttributeError(f"{self.name} is fixed when a {type(instance).__name__} is made; make a new one")
        super().__set__(instance, value)


def number_field(
    low: float = -math.inf, high: float = math.inf, *, open_low: bool = False, open_high: bool = False
) -> Field[float]:
    """A `Field` of a number, with the bounds of `number`."""
    return Field(lambda name, value: number(name, value, low, high, open_low=open_low, open_high=open_high))


def optional_number_field(
    low: float = -math.inf, high: float = math.inf, *, open_low: bool = False, open_high: bool = False
) -> Field[float | None]:
    """A `Field` of a number with these bounds, or None."""

    def check(name: str, value: object) -> float | None:
        return None if value is None else number(name, value, low, high, open_low=open_low, open_high=open_high)

    return Field(check)


def choice_field(*words: str) -> Field[str]:
    """A `Field` of one of the words."""

    def check(name: str, value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"{name} must be {' or '.join(map(repr, words))}, got {value!r:.80}")
        return value

    return Field(check)
