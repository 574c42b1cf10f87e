"""Fields, equality and the string of a part."""

import numpy as np
import pytest

from xdfn import SGD, FullyConnected, ReLU
from xdfn.core.part import Part, config_key, is_weight


def test_parts_are_equal_by_their_fields():
    assert FullyConnected(3, "relu", "he_uniform") == FullyConnected(3, ReLU(), "HeUniform")
    assert FullyConnected(3, "relu", "he_uniform") != FullyConnected(3, "relu", "he_uniform", "adam")
    assert SGD(0.1) != SGD(0.2)
    assert SGD(0.1) != "SGD(lr=0.1)"
    with pytest.raises(TypeError, match="unhashable"):
        hash(SGD())


class Shape(Part):
    _numerics = ("area", "edge")
    _shown = ("n",)

    def __init__(self, n=3, size=1.0, name="", of=None):
        self.n, self.size, self.name, self.of = n, size, name, of

    def area(self): ...

    def edge(self): ...


def test_a_string_shows_what_differs_from_a_default():
    assert str(Shape()) == repr(Shape()) == "Shape(n=3)"
    assert str(Shape(size=2.0)) == "Shape(n=3, size=2.0)"
    assert str(Shape(name="it's")) == 'Shape(n=3, name="it\'s")'
    assert str(Shape(of=ReLU())) == "Shape(n=3, of='ReLU')"
    assert Shape(4, 2.0).spec(omit=("n",)) == "Shape(size=2.0)"
    assert Shape(4).fields() == {"n": 4, "size": 1.0, "name": "", "of": None}
    assert str(Shape(size=1)) == "Shape(n=3, size=1)"  # an int is not the float that is the default
    shape = Shape()
    shape.size = 5  # as it is now
    assert shape.shown_fields() == {"n": 3, "size": 5}


def test_who_overrides_a_method_must_say_again_that_it_is_traceable():
    class Square(Shape, traceable=True):
        def area(self): ...

    class Named(Square):
        def title(self): ...

    class Tilted(Square):
        def edge(self): ...

    class Again(Tilted, traceable=True):
        def edge(self): ...

    assert [cls.traceable for cls in (Shape, Square, Named, Tilted, Again)] == [False, True, True, False, True]
    assert not type("Below", (Tilted,), {}).traceable
    own = type("Own", (ReLU,), {"forward": lambda self, z: z})
    assert (ReLU.traceable, type("Renamed", (ReLU,), {}).traceable, own.traceable) == (True, True, False)
    assert Tilted.overrides("area", "edge")
    assert not Tilted.overrides("area")


def test_keys_tell_parts_apart():
    same = [(Shape(), Shape(3)), (Shape(of=SGD(0.5)), Shape(of=SGD(0.5))), ([1, {"a": (2,)}], [1, {"a": (2,)}])]
    other = [(Shape(), Shape(4)), (Shape(of=SGD(0.5)), Shape(of=SGD(0.1))), ([1], (1,)), ([1], [1.5]), ({1}, {2})]
    array = np.arange(3.0)
    same += [(array, array.copy()), ({1, 2}, {2, 1})]
    other += [(array, array.astype("f4")), (array, array + 1), (array, array[None])]
    unhashable = type("Bag", (), {"__hash__": None})
    bag = unhashable()
    same.append((bag, bag))
    other.append((bag, unhashable()))
    for a, b in same:
        assert config_key(a) == config_key(b)
        assert hash(config_key(a)) == hash(config_key(b))
    for a, b in other:
        assert config_key(a) != config_key(b)
    assert config_key(Shape(4), ["n"]) == config_key(Shape(), ["n"])
    tagged = Shape()
    tagged.tag = 1
    assert tagged == Shape()
    assert config_key(tagged, with_attributes=True) != config_key(Shape(), with_attributes=True)


def test_weights_are_told_by_their_names():
    assert [is_weight(name) for name in ("W", "W2", "FC1.W", "Residual1.FC2.W")] == [True] * 4
    assert [is_weight(name) for name in ("b", "gamma", "FC1.b", "W.b", "")] == [False] * 5
