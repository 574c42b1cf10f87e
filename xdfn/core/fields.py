"""Values are checked where they enter: a field is an attribute that is checked, and brought into form, whenever it is
assigned, in the constructor and later.
"""

import math
import sys
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, ClassVar, Generic, Never, TypeVar, cast

from xdfn.core.keywords import OURS

V = TypeVar("V")

_LARGEST = sys.float_info.max  # an int may be larger


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
    if not inside or not abs(value) <= _LARGEST:  # NaN is not
        raise ValueError(f"{name} must be a number in {bounds}, got {value!r:.80}")
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


class Remembered(Generic[V]):
    """An attribute that a method leaves in its owner's `_remembered`, to be read.

    Parameters
    ----------
    method : str
    advice : str
        What to do instead of an assignment. A class of the user's own may assign all the same.
    """

    def __init__(self, method: str, advice: str) -> None:
        self.method, self.advice = method, advice

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type | None = None) -> V:
        if instance is None:
            return cast(V, self)
        attributes = vars(instance)
        known = attributes if self.name in attributes else attributes.get("_remembered", {})
        if self.name not in known:
            raise AttributeError(f"{self.name} is known after {self.method}")
        return cast(V, known[self.name])

    def __set__(self, instance: object, value: Never) -> None:
        if is_own(type(instance)):
            raise AttributeError(
                f"{self.name} is what the last {self.method} had, and cannot be assigned: {self.advice}"
            )
        vars(instance)[self.name] = value


def is_own(cls: type) -> bool:
    """Whether a class is the library's own, not a user's."""
    return cls.__module__.partition(".")[0] == __name__.partition(".")[0]


class Guarded:
    """Mixin: an object of the library refuses public attributes that it does not know, since nothing would read them.

    A class of the user's own may have attributes of its own.
    """

    _hints: ClassVar[Mapping[str, str]] = {}  # how to do what an assignment of that name is meant to do

    @classmethod
    def attributes(cls) -> Collection[str]:
        """The public attributes that the class's own definition does not show: those that its constructor assigns."""
        return ()

    if not TYPE_CHECKING:  # to a type checker it would say that every attribute may be assigned

        def __setattr__(self, name, value):
            if name not in self.__dict__ and not name.startswith("_"):
                self._look_up(name)
            super().__setattr__(name, value)

    def _look_up(self, name: str) -> None:
        """Raise AttributeError for an attribute that the object does not know."""
        cls = type(self)
        if name not in self._hints and hasattr(cls, name):
            return
        if not is_own(cls) or name in cls.attributes():
            return
        if name in self._hints:
            raise AttributeError(f"{cls.__name__}.{name} cannot be assigned: {self._hints[name]}")
        import difflib  # only now, since `import xdfn` should be quick
        import inspect

        assignable = {known for known in dir(cls) if isinstance(inspect.getattr_static(cls, known), (Field, property))}
        known = {*cls.attributes(), *(known for known in assignable if not known.startswith("_"))}
        near = [ours for ours in OURS.get(name, ()) if ours in known]
        near = near or difflib.get_close_matches(name, known, 1, 0.6)
        raise AttributeError(
            f"{cls.__name__} has no attribute {name!r}, and assigning to it would change nothing"
            + (f"; did you mean {near[0]!r}?" if near else "; a subclass of your own may have such attributes")
        )
