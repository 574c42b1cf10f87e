"""Every part of a network is an object that can also be written as a string: `sgd(lr=0.01)` and `SGD(lr=0.01)` are
the same thing. This module holds the one grammar and the one kind of registry that make it so.

Nothing is ever evaluated: a spec is a name and Python literals, read with `ast.literal_eval`.
"""

import ast
import inspect
import math
import re
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

T = TypeVar("T", bound="Part")
V = TypeVar("V")

_NAME = re.compile(r"\s*([A-Za-z][A-Za-z0-9 _-]*?)\s*(\(.*\))?\s*", re.DOTALL)
_LONGEST = 10_000  # characters; a spec is a line that a person wrote


class Part:
    """Something with hyper-parameters: an activation, an initialiser, a loss, an optimizer, a layer.

    A part keeps each argument of its constructor in an attribute of the same name. From that follow its string, its
    equality and its spec; `_shown` names the fields that the string always gives, the others appear where they
    differ from their default.
    """

    _shown: ClassVar[tuple[str, ...]] = ()
    _memories: ClassVar[frozenset[str]] = frozenset({"_memory", "_caches"})  # attributes that are no part of its rule

    def fields(self) -> dict[str, Any]:
        """The hyper-parameters by name, in the order of the constructor's arguments."""
        return {name: vars(self)[name] for name in parameters(type(self)) if name in vars(self)}

    def shown_fields(self) -> dict[str, Any]:
        """The hyper-parameters that tell this object from a default one, and those in `_shown`."""
        defaults = {name: parameter.default for name, parameter in parameters(type(self)).items()}
        fields = self.fields().items()
        return {name: value for name, value in fields if name in self._shown or not _same(value, defaults[name])}

    def spec(self, omit: tuple[str, ...] = ()) -> str:
        """The string from which `Registry.resolve` makes an equal object."""
        shown = [f"{name}={_literal(value)}" for name, value in self.shown_fields().items() if name not in omit]
        return f"{type(self).__name__}({', '.join(shown)})" if shown else type(self).__name__

    def __str__(self) -> str:
        return self.spec()

    def __repr__(self) -> str:
        return str(self)

    # Hyper-parameters may be assigned, so a part has no hash: equal now is not equal for ever.
    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and key(self) == key(other)

    __hash__ = None  # type: ignore[assignment]


def key(part: Any, without: Collection[str] = (), *, whole: bool = False) -> Any:
    """What tells a part from another of its kind, as a hashable value.

    `without` leaves fields out; `whole` adds the attributes beside the fields. Values of unknown types are told apart
    by their own equality or, where they have no hash, by identity.
    """
    if isinstance(part, Part):
        fields = part.fields()
        if whole or len(fields) < len(parameters(type(part))):  # a constructor that keeps its arguments elsewhere
            fields = {**{name: value for name, value in vars(part).items() if name not in part._memories}, **fields}
        return (type(part), *((name, key(value, whole=whole)) for name, value in fields.items() if name not in without))
    if isinstance(part, dict):
        return (dict, *((name, key(value, whole=whole)) for name, value in part.items()))
    if isinstance(part, (list, tuple)):
        return (type(part), *(key(value, whole=whole) for value in part))
    if isinstance(part, (set, frozenset)):
        return frozenset(part)
    if hasattr(part, "dtype") and hasattr(part, "shape"):
        return (str(part.dtype), tuple(part.shape), repr(part.tolist() if hasattr(part, "tolist") else part))
    try:
        hash(part)
    except TypeError:
        return _Itself(part)
    return part


class _Itself:
    """A value without a hash, equal to itself alone; held, so that no other can take its identity."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def nearest(cls: type, *groups: tuple[str, ...]) -> int:
    """Which group of methods the most derived class defines that defines any of them; the first of several.

    >>> class A:
    ...     def new(self): ...
    ...     def old(self): ...
    >>> class B(A):
    ...     def old(self): ...
    >>> nearest(A, ("new",), ("old",)), nearest(B, ("new",), ("old",))
    (0, 1)
    """
    for ancestor in cls.__mro__:
        for i, names in enumerate(groups):
            if any(name in vars(ancestor) for name in names):
                return i
    return 0


_PARAMETERS: dict[type, dict[str, inspect.Parameter]] = {}


def parameters(cls: type) -> dict[str, inspect.Parameter]:
    """The named arguments of a class's constructor."""
    if cls not in _PARAMETERS:
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        arguments = inspect.signature(cls).parameters.items()
        _PARAMETERS[cls] = {name: argument for name, argument in arguments if argument.kind in named}
    return _PARAMETERS[cls]


def _same(value: Any, default: Any) -> bool:
    if isinstance(value, Part):
        return isinstance(default, str) and str(value).lower() == default.lower()
    return type(value) is type(default) and bool(value == default)


def as_given(spec: Any, part: Part) -> str | None:
    """What was given for `part`, as JSON can hold it."""
    return spec if spec is None or isinstance(spec, str) else str(part)


def _literal(value: Any) -> str:
    return repr(str(value)) if isinstance(value, Part) else repr(value)


def number(
    name: str,
    value: Any,
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
    if type(value) not in (int, float):
        raise ValueError(f"{name} must be a number in {bounds}, got {type(value).__name__}: {value!r:.80}")
    inside = low <= value <= high and not (open_low and value == low) and not (open_high and value == high)
    if not inside or not math.isfinite(value):
        raise ValueError(f"{name} must be a number in {bounds}, got {value!r}")
    return cast(float, value)


class Field(Generic[V]):
    """An attribute that is checked, and brought into form, whenever it is assigned.

    It has no `__get__`, so reading it costs what reading any attribute does.
    """

    def __init__(self, check: Callable[[str, Any], V]) -> None:
        self.check = check

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __set__(self, part: Any, value: Any) -> None:
        vars(part)[self.name] = self.check(self.name, value)

    if TYPE_CHECKING:

        def __get__(self, part: Any, owner: Any = None) -> V: ...


class Fixed:
    """An attribute that is set once."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __set__(self, instance: Any, value: Any) -> None:
        if self.name in vars(instance):
            raise AttributeError(f"{self.name} is fixed when a {type(instance).__name__} is made; make a new one")
        vars(instance)[self.name] = value

    if TYPE_CHECKING:

        def __get__(self, instance: Any, owner: Any = None) -> Any: ...


def number_field(low: float = -math.inf, high: float = math.inf, **bounds: bool) -> Field[float]:
    """A `Field` of a number, with the bounds of `number`."""
    return Field(lambda name, value: number(name, value, low, high, **bounds))


def flag(name: str, value: Any) -> bool:
    """`value`, checked to be True or False; raises ValueError naming the argument."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {value!r:.80}")
    return value


class Registry(Generic[T]):
    """The parts of one kind, by name."""

    def __init__(self, kind: str, base: type[T]) -> None:
        self.kind, self.base = kind, base
        self._classes: dict[str, type[T]] = {}
        _REGISTRIES.append(self)

    def register(self, *aliases: str) -> Callable[[type[T]], type[T]]:
        """Class decorator: enter the class under its own name, and under `aliases`."""

        def enter(cls: type[T]) -> type[T]:
            for name in (cls.__name__, *aliases):
                known = self._classes.setdefault(_plain(name), cls)
                if known is not cls and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
                    raise ValueError(
                        f"{self.kind} name {name!r} belongs to {known.__module__}.{known.__qualname__}; choose another"
                    )
                self._classes[_plain(name)] = cls  # the same class again, as when a notebook cell is run twice
            return cls

        return enter

    @property
    def classes(self) -> list[type[T]]:
        """Each class once, in the order of registration."""
        return list(dict.fromkeys(self._classes.values()))

    def resolve(self, spec: Any) -> T:
        """The object for a spec: a string such as ``"adam(lr=1e-3)"``, a class, or an object, returned as is.

        Raises
        ------
        ValueError
            An unknown name, an unknown, missing or ill-typed argument, or anything but a name with literals.
        """
        if isinstance(spec, self.base):
            return spec
        if isinstance(spec, type) and issubclass(spec, self.base):
            return self._build(spec, (), {}, spec.__name__)
        if not isinstance(spec, str):
            raise ValueError(
                f"expected the name of {_article(self.kind)} or an object of {self.base.__name__}, "
                f"got {type(spec).__name__}: {spec!r:.80}"
            )
        name, args, kwargs = parse(spec, self.kind)
        cls = self._classes.get(_plain(name))
        if cls is None:
            import difflib  # only now, since `import xdfn` should be quick

            near = difflib.get_close_matches(_plain(name), self._classes, 1, 0.5)
            hint = f"did you mean {self._classes[near[0]].__name__!r}? " if near else ""
            known = ", ".join(cls.__name__ for cls in self.classes)
            raise ValueError(f"unknown {self.kind} {name!r}: {hint}known are {known}; register(cls) adds your own")
        return self._build(cls, args, kwargs, spec)

    def field(self) -> Field[T]:
        """A `Field` of a part of this kind: a spec assigned to it becomes the object."""
        return Field(lambda name, spec: self.resolve(spec))

    def _build(self, cls: type[T], args: tuple[Any, ...], kwargs: dict[str, Any], spec: str) -> T:
        try:
            inspect.signature(cls).bind(*args, **kwargs)
        except TypeError as error:
            takes = ", ".join(str(p) for p in parameters(cls).values()) or "no arguments"
            raise ValueError(f"{self.kind} {spec!r:.200}: {error}; {cls.__name__} takes {takes}") from None
        return cls(*args, **kwargs)


_REGISTRIES: list[Registry[Any]] = []


def register(cls: type[T], *aliases: str) -> type[T]:
    """Enter an activation, initialiser, loss, optimizer or layer of your own under the name of its class.

    Specs can name it then, and models that have it can be saved.

    Examples
    --------
    >>> import xdfn
    >>> @xdfn.register
    ... class Cube(xdfn.ActivationBase):
    ...     def forward(self, z):
    ...         return z * z * z
    ...     def grad(self, z):
    ...         return 3 * z * z
    >>> xdfn.ActivationInitializer("cube")()
    Cube
    """
    for registry in _REGISTRIES:
        if isinstance(cls, type) and issubclass(cls, registry.base):
            return cast(type[T], registry.register(*aliases)(cls))
    bases = ", ".join(registry.base.__name__ for registry in _REGISTRIES)
    raise ValueError(f"register expects a subclass of one of {bases}, got {cls!r:.80}")


def parse(spec: str, kind: str = "part") -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """Split ``"name(1, b=2)"`` into name, positional and keyword arguments. Arguments are Python literals.

    >>> parse("Affine(2, intercept=1e-3)")
    ('Affine', (2,), {'intercept': 0.001})
    """
    what = f"{kind} {spec!r:.200}"
    match = _NAME.fullmatch(spec) if len(spec) <= _LONGEST else None
    if match is None:
        raise ValueError(f"{what}: expected a name, or a name with arguments such as 'name(a=1, b=2)'")
    name, arguments = match.groups()
    if arguments is None:
        return name, (), {}
    try:
        call = ast.parse("f" + arguments, mode="eval").body
        if (
            not isinstance(call, ast.Call)
            or not isinstance(call.func, ast.Name)
            or any(k.arg is None for k in call.keywords)
        ):
            raise ValueError
        args = tuple(ast.literal_eval(node) for node in call.args)
        kwargs = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise ValueError(
            f"{what}: the arguments must be plain numbers, strings, lists, True, False or None, as in 'name(a=1, b=2)'"
        ) from None
    if len(kwargs) < len(call.keywords):
        raise ValueError(f"{what}: an argument is given twice")
    return name, args, kwargs


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()


def _article(word: str) -> str:
    return f"an {word}" if word[0] in "aeio" else f"a {word}"


def integer(name: str, value: Any, low: int = 1) -> int:
    """`value` as an int, checked to be at least `low`; raises ValueError naming the argument."""
    try:
        if isinstance(value, (bool, str, float)):
            raise TypeError
        result = value.__index__()
    except (AttributeError, TypeError):
        raise ValueError(
            f"{name} must be an integer of at least {low}, got {type(value).__name__}: {value!r:.80}"
        ) from None
    if result < low:
        raise ValueError(f"{name} must be an integer of at least {low}, got {result}")
    return int(result)
