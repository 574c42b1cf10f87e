"""Every part can also be written as a string: `sgd(lr=0.01)` and `SGD(lr=0.01)` are the same thing. This module holds
the one grammar of these strings and the one kind of registry that knows their names.

Nothing is ever evaluated: a spec is a name and Python literals, read with `ast.literal_eval`.
"""

import ast
import functools
import inspect
import re
from collections.abc import Callable
from typing import Generic, TypeAlias, TypeVar, cast

from xdfn.core.fields import Field
from xdfn.core.keywords import complaint, takes
from xdfn.core.part import Part

P = TypeVar("P", bound=Part)
Spec: TypeAlias = str | P | type[P]  # a way to name a part: a string, an object, or a class with defaults

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9\s_-]*")  # one quantifier alone: two that match the same are slow to disagree
_LONGEST = 10_000  # characters; a spec is a line that a person wrote
_PLACES = {  # where a part of each kind is given
    "activation": "layers take it, as in FullyConnected(64, '{}')",
    "initialiser": "layers take it, as in FullyConnected(64, init_w='{}')",
    "regularizer": "layers take it, as in FullyConnected(64, regularizer='{}')",
    "constraint": "layers take it, as in FullyConnected(64, constraint='{}')",
    "layer": "DFN takes it in layers=[...]",
    "loss": "DFN takes it as loss='{}'",
    "optimizer": "DFN takes it as optimizer='{}'",
    "schedule": "optimizers take it in the place of the rate, as in \"adam(lr='cosine(0.01, 20)')\"",
    "metric": "fit takes it in metrics, evaluate as metric",
    "callback": "fit takes it in callbacks=[...]",
}

_SOFTMAX = (
    "softmax needs all scores of a row, and so is a layer, Softmax(); the loss CrossEntropy has it already, and the "
    "last layer before that is FullyConnected(n_out, 'affine')"
)
_NESTEROV = "Nesterov's method is 'sgd(lr=0.01, momentum=0.9, nesterov=True)'"
_MEASURED = "the model's own loss is measured anyway: val_loss of fit, and evaluate(X, y, metric='loss')"
_AUC = (
    "for two classes it is {'auc': FunctionMetric(lambda y, p: roc_auc_score(y, p[:, 1]), proba=True)}, "
    "for binary_cross_entropy FunctionMetric(roc_auc_score, proba=True), with scikit-learn's function"
)
_ADVICE: dict[str, dict[str, str]] = {  # what to say of names that are no parts of a kind, or that are losses, say
    "activation": {"softmax": _SOFTMAX, "logsoftmax": _SOFTMAX},
    "initialiser": {"ones": "ones are 'constant(1)'"},
    "optimizer": {"nag": _NESTEROV, "nesterov": _NESTEROV},
    "metric": {
        **dict.fromkeys(("loss", "logloss", "nllloss"), _MEASURED),
        **dict.fromkeys(("auc", "rocauc", "rocaucscore"), _AUC),
    },
    "callback": {
        "learningratescheduler": f"a schedule is none; {_PLACES['schedule']}",
        "lrscheduler": f"a schedule is none; {_PLACES['schedule']}",
        "terminateonnan": "fit raises FloatingPointError by itself; the model is as after the last good epoch then",
    },
}


class Registry(Generic[P]):
    """The parts of one kind, by name."""

    def __init__(self, kind: str, base: type[P]) -> None:
        self.kind, self.base = kind, base
        self._classes: dict[str, type[P]] = {}
        REGISTRIES.append(cast("Registry[Part]", self))

    def register(self, *aliases: str) -> Callable[[type[P]], type[P]]:
        """Class decorator: enter the class under its own name, and under `aliases`."""

        def enter(cls: type[P]) -> type[P]:
            for name in (cls.__name__, *aliases):
                known = self._classes.setdefault(_canonical(name), cls)
                if known is not cls and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
                    raise ValueError(
                        f"{self.kind} name {name!r} belongs to {known.__module__}.{known.__qualname__}; choose another"
                    )
                self._classes[_canonical(name)] = cls  # the same class again, as when a notebook cell is run twice
            return cls

        return enter

    @property
    def classes(self) -> list[type[P]]:
        """Each class once, in the order of registration."""
        return list(dict.fromkeys(self._classes.values()))

    def resolve(self, spec: object) -> P:
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
                f"expected the name of {_with_article(self.kind)} or an object of {self.base.__name__}, "
                f"got {type(spec).__name__}: {spec!r:.80}{self._place_of(spec)}"
            )
        name, args, kwargs = parse(spec, self.kind)
        cls = self._classes.get(_canonical(name))
        if cls is None:
            known = ", ".join(cls.__name__ for cls in self.classes)
            hint = self._hint(_canonical(name))
            raise ValueError(f"unknown {self.kind} {name!r}: {hint}known are {known}; register(cls) adds your own")
        return self._build(cls, args, kwargs, spec)

    def resolve_optional(self, spec: object) -> P | None:
        """The object for a spec, or None for None."""
        return None if spec is None else self.resolve(spec)

    def field(self) -> Field[P]:
        """A `Field` of a part of this kind: a spec assigned to it becomes the object."""
        return Field(lambda name, spec: self.resolve(spec))

    def optional_field(self) -> Field[P | None]:
        """A `Field` of a part of this kind, or None."""
        return Field(lambda name, spec: self.resolve_optional(spec))

    def _place_of(self, part: object) -> str:
        """Where a part of another kind belongs."""
        for other in REGISTRIES:
            if isinstance(part, other.base):
                return f"; {_with_article(other.kind)}: {_PLACES[other.kind].format(part)}"
        return ""

    def _hint(self, name: str) -> str:
        """What the unknown name may be meant for."""
        advice = _ADVICE.get(self.kind, {})
        if name in advice:
            return f"{advice[name]}; "
        for other in REGISTRIES:
            if name in other._classes:
                cls = other._classes[name].__name__
                place = advice.get(other.kind) or _PLACES[other.kind].format(cls)
                return f"{cls} is {_with_article(other.kind)}; {place}; "
        import difflib  # only now, since `import xdfn` should be quick

        near = difflib.get_close_matches(name, self._classes, 1, 0.6)
        return f"did you mean {self._classes[near[0]].__name__!r}? " if near else ""

    def _build(self, cls: type[P], args: tuple[object, ...], kwargs: dict[str, object], spec: str) -> P:
        signature = _signature(cls)  # type: ignore[arg-type]  # a class has a hash, though its objects have none
        problem = complaint(cls.__name__, signature, kwargs)
        if problem is None:
            try:
                signature.bind(*args, **kwargs)
            except TypeError as error:
                problem = f"{error}; {takes(cls.__name__, signature)}"
        if problem is not None:
            raise ValueError(f"{self.kind} {spec!r:.200}: {problem}")
        return cls(*args, **kwargs)


@functools.lru_cache(maxsize=256)  # it takes longer than the constructor itself
def _signature(cls: Callable[..., object]) -> inspect.Signature:
    return inspect.signature(cls)


REGISTRIES: list[Registry[Part]] = []


def register(cls: type[P], *aliases: str) -> type[P]:
    """Enter a part of your own, such as an activation, a loss or a layer, under the name of its class.

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
    for registry in REGISTRIES:
        if isinstance(cls, type) and issubclass(cls, registry.base):
            registry.register(*aliases)(cls)
            return cls
    bases = ", ".join(registry.base.__name__ for registry in REGISTRIES)
    raise ValueError(f"register expects a subclass of one of {bases}, got {cls!r:.80}")


def parse(spec: str, kind: str = "part") -> tuple[str, tuple[object, ...], dict[str, object]]:
    """Split ``"name(1, b=2)"`` into name, positional and keyword arguments. Arguments are Python literals.

    >>> parse("Affine(2, intercept=1e-3)")
    ('Affine', (2,), {'intercept': 0.001})
    """
    what = f"{kind} {spec!r:.200}"
    name, opened, inside = spec.strip().partition("(")
    closed = inside.endswith(")") or not opened
    if len(spec) > _LONGEST or not closed or _NAME.fullmatch(name) is None:
        raise ValueError(f"{what}: expected a name, or a name with arguments such as 'name(a=1, b=2)'")
    name = name.rstrip()
    if not opened:
        return name, (), {}
    try:
        call = ast.parse(f"f({inside}", mode="eval").body
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
            f"{what}: the arguments must be plain numbers, strings, lists, True, False, None, as in 'name(a=1, b=2)'; "
            "a part inside is a string, as in \"adam(lr='cosine(0.1, 20)')\""
        ) from None
    if len(kwargs) < len(call.keywords):
        raise ValueError(f"{what}: an argument is given twice")
    return name, args, kwargs


def _canonical(name: str) -> str:
    """The form of a name by which it is looked up: without case, spaces, `_` and `-`."""
    return re.sub(r"[\s_-]", "", name).lower()


def _with_article(word: str) -> str:
    return f"an {word}" if word[0] in "aeio" else f"a {word}"
