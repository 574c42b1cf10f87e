"""A part of a network is an object with hyper-parameters: an activation, an initialiser, a loss, an optimizer, a layer.
This module says what all of them have in common: their fields, their equality, and the string that makes them again.
"""

import inspect
from collections.abc import Collection, Hashable
from typing import ClassVar

from xdfn.core.fields import Guarded
from xdfn.core.keywords import known_arguments


class Part(Guarded):
    """Something with hyper-parameters.

    A part keeps each argument of its constructor in an attribute of the same name. Its string, its equality and its
    spec follow from that; `_shown` names the fields that the string always gives, the others appear where they differ
    from their default.

    Attributes
    ----------
    traceable : bool
        Whether the methods in `_numerics` make the same array operations in every step: they read no values, draw
        nothing and keep nothing. Such steps can be recorded on NumPy and fused on CuPy. A class says so by
        ``class Mine(Base, traceable=True)``; a subclass that overrides one of these methods must say it again.
    compilable : bool
        Whether JAX can compile a step with this part.
    stacks : bool
        Whether the methods take stacks: arrays (k, n, m) for k networks where they take (n, m) for one, so that a part
        of yours can be in an `Ensemble`. A class says so in its own body; the library's do but for `Embedding`.
    per_member : tuple of str
        The numbers that may be columns (k, 1, 1) then, since the members of an ensemble differ in them.
    """

    traceable: ClassVar[bool] = False
    compilable: ClassVar[bool] = True
    stacks: ClassVar[bool] = False
    per_member: ClassVar[tuple[str, ...]] = ()
    _numerics: ClassVar[tuple[str, ...]] = ()
    _shown: ClassVar[tuple[str, ...]] = ()
    _transient: ClassVar[frozenset[str]] = frozenset(
        {"_memory", "_caches", "_passed", "_followed"}
    )  # attributes that are no hyper-parameters

    def __init_subclass__(cls, traceable: bool = False) -> None:
        super().__init_subclass__()
        if inspect.isfunction(vars(cls).get("__init__")):
            cls.__init__ = known_arguments(cls.__init__)  # type: ignore[method-assign]
        if traceable or cls.overrides(*cls._numerics):
            cls.traceable = traceable

    @classmethod
    def overrides(cls, *names: str) -> bool:
        """Whether the class itself, not one that it inherits from, defines one of these methods."""
        return any(name in vars(cls) for name in names)

    @classmethod
    def attributes(cls) -> Collection[str]:
        return parameters(cls)

    def fields(self) -> dict[str, object]:
        """The hyper-parameters by name, in the order of the constructor's arguments."""
        return {name: vars(self)[name] for name in parameters(type(self)) if name in vars(self)}

    def shown_fields(self) -> dict[str, object]:
        """The hyper-parameters that tell this object from a default one, and those in `_shown`."""
        defaults = {name: parameter.default for name, parameter in parameters(type(self)).items()}
        fields = self.fields().items()
        return {name: value for name, value in fields if name in self._shown or not _equal(value, defaults[name])}

    def spec(self, omit: tuple[str, ...] = ()) -> str:
        """The string from which `Registry.resolve` makes an equal object."""
        shown = [f"{name}={_literal(value)}" for name, value in self.shown_fields().items() if name not in omit]
        return f"{type(self).__name__}({', '.join(shown)})" if shown else type(self).__name__

    def __str__(self) -> str:
        return self.spec()

    def __repr__(self) -> str:
        return str(self)

    # Hyper-parameters may be assigned, so a part has no hash: two parts that are equal now may differ later.
    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and config_key(self) == config_key(other)

    __hash__ = None  # type: ignore[assignment]


def config_key(value: object, omit: Collection[str] = (), *, with_attributes: bool = False) -> Hashable:
    """A hashable value that tells a part from another of its kind.

    Parameters
    ----------
    value : Part, or a value of one of its fields
    omit : names of fields that are left out
    with_attributes : whether attributes besides the fields count too

    Notes
    -----
    Values of unknown types are compared by their own equality or, where they have no hash, by identity.
    """
    if isinstance(value, Part):
        fields = value.fields()
        if with_attributes or len(fields) < len(parameters(type(value))):  # arguments kept under other names
            fields = {**{name: x for name, x in vars(value).items() if name not in value._transient}, **fields}
        pairs = [(name, x) for name, x in fields.items() if name not in omit]
        return (type(value), *((name, config_key(x, with_attributes=with_attributes)) for name, x in pairs))
    if isinstance(value, dict):
        return (dict, *((name, config_key(x, with_attributes=with_attributes)) for name, x in value.items()))
    if isinstance(value, (list, tuple)):
        return (type(value), *(config_key(x, with_attributes=with_attributes) for x in value))
    if isinstance(value, (set, frozenset)):
        return frozenset(value)
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return str(value.dtype), tuple(value.shape), repr(value.tolist() if hasattr(value, "tolist") else value)
    try:
        hash(value)
    except TypeError:
        return _ById(value)
    return value


class _ById:
    """A value without a hash, equal to itself alone; held, so that no other can take its identity."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def closest_override(cls: type, *groups: tuple[str, ...]) -> int:
    """Find the most derived class that defines any of these methods; give the index of its group, the first of several.

    >>> class A:
    ...     def new(self): ...
    ...     def old(self): ...
    >>> class B(A):
    ...     def old(self): ...
    >>> closest_override(A, ("new",), ("old",)), closest_override(B, ("new",), ("old",))
    (0, 1)
    """
    if (cls, groups) not in _CLOSEST:
        defined = ((i, name in vars(c)) for c in cls.__mro__ for i, names in enumerate(groups) for name in names)
        _CLOSEST[cls, groups] = next((i for i, found in defined if found), 0)
    return _CLOSEST[cls, groups]


_CLOSEST: dict[tuple[type, tuple[tuple[str, ...], ...]], int] = {}  # asked for each layer in each prediction


_PARAMETERS: dict[type, dict[str, inspect.Parameter]] = {}


def parameters(cls: type) -> dict[str, inspect.Parameter]:
    """The named arguments of a class's constructor."""
    if cls not in _PARAMETERS:
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        arguments = inspect.signature(cls).parameters.items()
        _PARAMETERS[cls] = {name: argument for name, argument in arguments if argument.kind in named}
    return _PARAMETERS[cls]


def is_weight(name: str) -> bool:
    """Whether a parameter of that name, such as ``"W"`` or in a block ``"FC1.W"``, is a matrix of weights.

    Weight decay, penalties and constraints act on these alone, not on biases, scales and shifts.
    """
    return name.rpartition(".")[2].startswith("W")


def as_given(spec: object, part: Part) -> str | None:
    """The spec that was given for `part`, in a form that JSON can hold."""
    return spec if spec is None or isinstance(spec, str) else str(part)


def _equal(value: object, default: object) -> bool:
    if isinstance(value, Part):
        return isinstance(default, str) and str(value).lower() == default.lower()
    return type(value) is type(default) and bool(value == default)


def _literal(value: object) -> str:
    return repr(str(value)) if isinstance(value, Part) else repr(value)
