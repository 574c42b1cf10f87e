"""Values are checked where they enter, and fields whenever they are assigned."""

import math

import numpy as np
import pytest

from xdfn.core.fields import (
    Field,
    Guarded,
    Remembered,
    SetOnce,
    choice_field,
    flag,
    integer,
    is_own,
    number,
    number_field,
    optional_number_field,
)


class Part:
    rate = number_field(0, 1, open_high=True)
    size = Field(integer)
    limit = optional_number_field(0, open_low=True)
    by = choice_field("epoch", "step")
    seed = SetOnce(lambda name, value: integer(name, value, 0))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("rate", -0.1, r"^rate must be a number in \[0, 1\), got -0\.1$"),
        ("rate", 1, r"^rate must be a number in \[0, 1\), got 1$"),
        ("rate", math.nan, r"^rate must be a number in \[0, 1\), got nan$"),
        ("rate", True, r"^rate must be a number in \[0, 1\), got bool: True$"),
        ("rate", "0.5", r"^rate must be a number in \[0, 1\), got str: '0\.5'$"),
        ("rate", None, "^rate must be .* got NoneType: None$"),
        ("size", 0, "^size must be an integer of at least 1, got 0$"),
        ("size", 2.0, r"^size must be an integer of at least 1, got float: 2\.0$"),
        ("size", True, "^size must be .* got bool: True$"),
        ("size", np.ones(2, int), "^size must be .* got ndarray"),
        ("limit", 0, r"^limit must be a number in \(0, inf\), got 0$"),
        ("limit", math.inf, r"^limit must be a number in \(0, inf\), got inf$"),
        ("by", "day", "^by must be 'epoch' or 'step', got 'day'$"),
        ("by", ["step"], r"^by must be 'epoch' or 'step', got \['step'\]$"),
        ("seed", -1, "^seed must be an integer of at least 0, got -1$"),
    ],
)
def test_an_error_names_the_field_and_leaves_what_was(name, value, says):
    part = Part()
    good = {"rate": 0.5, "size": 3, "limit": 2.0, "by": "step"}
    for field, x in good.items():
        setattr(part, field, x)
    with pytest.raises(ValueError, match=says):
        setattr(part, name, value)
    assert vars(part) == good


def test_what_is_kept_is_pythons():
    part = Part()
    part.rate, part.size, part.limit = np.float32(0.5), np.int64(7), np.asarray(3.0)
    assert (type(part.rate), type(part.size), type(part.limit)) == (float, int, float)
    assert (part.rate, part.size, part.limit) == (0.5, 7, 3.0)
    part.rate = 0  # an int stays one
    assert type(part.rate) is int


def test_an_optional_field_may_be_empty_again():
    part = Part()
    for value in (None, 0.25, None):
        part.limit = value
        assert part.limit is value


def test_a_field_that_is_set_once_stays():
    part, other = Part(), Part()
    part.seed = 3
    for value in (4, 3, None):
        with pytest.raises(AttributeError, match=r"^seed is fixed when a Part is made; make a new one$"):
            part.seed = value
    other.seed = 5  # each object has its own
    assert (part.seed, other.seed) == (3, 5)


def test_what_was_never_assigned_is_not_there():
    """A field has no value of its own: `vars` says whether there is one."""
    assert "rate" not in vars(Part())
    assert isinstance(Part().rate, Field)


def test_bounds_and_flags():
    assert number("x", -1e300) == -1e300
    assert number("x", 1, 1, 1) == 1
    for low, high in ((True, False), (False, True)):
        with pytest.raises(ValueError, match="x must be a number in"):
            number("x", 1, 1, 1, open_low=low, open_high=high)
    assert integer("n", -3, -3) == -3
    assert flag("f", False) is False
    for value in (0, 1, None, "yes", np.True_):
        with pytest.raises(ValueError, match=r"^f must be True or False, got"):
            flag("f", value)


# ---- attributes that nobody reads --------------------------------------------------------------------------------


class Ours(Guarded):
    """As a class of the library: the test says so of its module."""

    shown = 1
    size = Field(integer)
    n_epochs = Remembered("fit", "pass it to fit")
    _hints = {"lr": "the optimizer has it"}  # noqa: RUF012

    @classmethod
    def attributes(cls):
        return ("history",)


class Theirs(Ours):
    pass


Ours.__module__ = "xdfn.anywhere"


def test_unknown_attributes_of_the_library_are_refused_with_a_hint():
    ours = Ours()
    ours.shown, ours.size, ours.history, ours._private = 2, 3, [], 4
    for name, says in [
        ("sizes", "Ours has no attribute 'sizes', and assigning to it would change nothing; did you mean 'size'"),
        ("histroy", "did you mean 'history'"),
        ("zzz", "a subclass of your own may have such attributes"),
        ("lr", "Ours.lr cannot be assigned: the optimizer has it"),
        ("n_epochs", "n_epochs is what the last fit had, and cannot be assigned: pass it to fit"),
    ]:
        with pytest.raises(AttributeError, match=says):
            setattr(ours, name, 1)
        assert name not in vars(ours)
    assert (ours.shown, ours.size, ours.history, ours._private) == (2, 3, [], 4)


def test_a_subclass_of_the_users_own_may_have_what_it_likes():
    theirs = Theirs()
    theirs.zzz, theirs.lr, theirs.n_epochs = 1, 2, 3
    assert (theirs.zzz, theirs.lr, theirs.n_epochs) == (1, 2, 3)
    assert (is_own(Ours), is_own(Theirs)) == (True, False)


def test_what_a_method_left_can_be_read():
    ours = Ours()
    with pytest.raises(AttributeError, match="n_epochs is known after fit"):
        ours.n_epochs  # noqa: B018
    ours._remembered = {"n_epochs": 7}
    assert ours.n_epochs == 7
    assert isinstance(Ours.n_epochs, Remembered)
