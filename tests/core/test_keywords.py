"""Arguments under the names of other libraries: the decorator changes nothing but the error, and the table is true."""

import contextlib
import copy
import dataclasses
import functools
import inspect
import pickle
import re

import pytest

import xdfn
from xdfn import DFN, SGD, Adam, Callback, Dropout, FullyConnected, Tanh
from xdfn.core.keywords import ELSEWHERE, OURS, complaint, known_arguments
from xdfn.core.part import Part, parameters
from xdfn.core.registry import REGISTRIES


def test_only_an_unknown_keyword_is_looked_at():
    @known_arguments
    def descend(p, g=0.5, /, lr=0.1, *more, eps=1e-7):
        """A step."""
        return p, g, lr, more, eps

    assert descend(1) == (1, 0.5, 0.1, (), 1e-7)
    assert descend(1, 2, 3, 4, eps=5) == (1, 2, 3, (4,), 5)
    assert (descend.__name__, descend.__doc__) == ("descend", "A step.")
    assert str(inspect.signature(descend)) == "(p, g=0.5, /, lr=0.1, *more, eps=1e-07)"
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'p'"):
        descend()
    with pytest.raises(
        TypeError, match=r"^descend\(\) has no argument 'epsilon': it is called eps here; descend takes"
    ):
        descend(1, epsilon=0.1)
    with pytest.raises(TypeError, match=r"no argument 'foo'; no argument 'epss': did you mean eps\?; descend takes p"):
        descend(1, foo=1, epss=1)


def test_what_takes_any_keyword_is_left_alone():
    def anything(lr=0.1, **more): ...

    assert known_arguments(anything) is anything
    assert complaint("anything", inspect.signature(anything), ["learning_rate"]) is None
    once = known_arguments(lambda lr: lr)
    assert known_arguments(once) is once


def test_a_constructor_is_what_it_was():
    assert str(inspect.signature(Dropout)) == "(rate: float = 0.5) -> None"
    assert list(parameters(Adam)) == ["lr", "decay1", "decay2", "eps"]
    assert (Adam.__init__.__qualname__, Adam.__init__.__module__) == ("Adam.__init__", "xdfn.optim.adam")
    assert list(inspect.signature(DFN).parameters)[:2] == ["hidden_dims_1", "hidden_dims_2"]
    for part in (Adam(lr=0.5), FullyConnected(3, "tanh", init_w="zeros")):
        for again in (copy.copy(part), copy.deepcopy(part), *(pickle.loads(pickle.dumps(part, n)) for n in (2, 5))):
            assert again == part


class Free(FullyConnected):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)


class Plain(SGD):
    """Without a constructor of its own."""


class Own(Part):
    def __init__(self, speed, lr=0.1):
        self.speed, self.lr = speed, lr


class Borrowed(Part):
    __init__ = Own.__init__


@dataclasses.dataclass(eq=False, repr=False)
class Data(Part):
    lr: float = 0.1


class Wrapped(Part):
    @functools.wraps(lambda self: None)
    def __init__(self, **kwargs):
        vars(self).update(kwargs)


def test_own_parts_of_all_styles():
    assert Free(3, acti_fn="tanh").acti_fn == Tanh()
    with pytest.raises(TypeError, match=r"^FullyConnected\(\) has no argument 'activation': it is called acti_fn here"):
        Free(3, activation="tanh")
    with pytest.raises(TypeError, match="it is called lr here; Plain takes"):
        Plain(learning_rate=1)
    assert Own(1, lr=2).lr == Borrowed(speed=1, lr=2).lr == Data(lr=2).lr == Wrapped(lr=2).lr == 2
    for cls in (Own, Borrowed):
        says = rf"^{cls.__name__}\(\) has no argument 'learning_rate': it is called lr here; {cls.__name__} takes"
        with pytest.raises(TypeError, match=says):
            cls(1, learning_rate=1)
    assert Borrowed.__init__ is Own.__init__  # wrapped once


def functions():
    """The arguments of all that users call: of the parts, and of the methods of DFN."""
    for registry in REGISTRIES:
        yield from (set(parameters(cls)) for cls in registry.classes if cls.__module__.startswith("xdfn."))
    for method in (DFN, DFN.fit, DFN.predict, DFN.predict_proba, DFN.evaluate):
        yield set(inspect.signature(method).parameters) - {"self"}


FUNCTIONS = list(functions())
ARGUMENTS = set().union(*FUNCTIONS)


def test_every_name_in_the_table_is_an_argument():
    assert {name for names in OURS.values() for name in names} - ARGUMENTS == set()


@pytest.mark.parametrize("names", FUNCTIONS, ids=lambda names: ",".join(sorted(names)) or "none")
def test_a_name_in_the_table_means_one_argument(names):
    """Where two of the candidates are arguments of one function, the first would hide the second."""
    assert [(theirs, ours) for theirs, ours in OURS.items() if len(set(ours) & names) > 1] == []


def is_a_spec(text):
    for registry in REGISTRIES:
        with contextlib.suppress(ValueError):
            return registry.resolve(text) is not None
    return False


def test_what_is_advised_is_there():
    said = " ".join(ELSEWHERE.values())
    specs = re.findall(r"'(\w+\([^']*\))'", said)
    assert len(specs) > 8
    assert [spec for spec in specs if not is_a_spec(spec)] == []
    assert set(re.findall(r"(\w+)=", said)) - ARGUMENTS == {"betas"}
    called = set(re.findall(r"(\w+)\(", said))
    assert {name for name in called if not (hasattr(xdfn, name) or hasattr(DFN, name) or is_a_spec(name))} == {"cosine"}


def test_methods_and_functions_by_their_names():
    with pytest.raises(
        TypeError, match=r"^fit\(\) has no argument 'epochs': it is called n_epochs here; fit takes X_train"
    ):
        DFN(layers=[2]).fit([[1.0]], [1], epochs=3)

    class Mine(Callback):
        def __init__(self, every=1): ...

    with pytest.raises(TypeError, match=r"^Mine\(\) has no argument 'evry': did you mean every\?; Mine takes every=1$"):
        Mine(evry=2)
