"""Everything that training changes, as one value."""

import numpy as np
from fits import everything
from steps import network

from xdfn.backend import to_numpy, traits
from xdfn.core.tree import leaves


def state_of(backend, rng):
    return network(everything(), backend.array(rng.normal(size=(20, 4))))[1]


def values(state):
    return [to_numpy(x).copy() for x in leaves(state.arrays)]


def test_a_copy_has_the_values_and_none_of_the_arrays(backend, rng):
    state = state_of(backend, rng)._replace(step=5, epoch=2, batch=1)
    copied = state.copied(None)
    assert (copied.step, copied.epoch, copied.batch) == (5, 2, 1)
    for a, b, x, y in zip(values(state), values(copied), leaves(state.arrays), leaves(copied.arrays), strict=True):
        assert (a == b).all()
        assert x is not y
    if traits(state.params[0]).writes:
        kept = values(copied)
        for x in state.large_arrays():
            x[...] = 7.0
        assert all((a == b).all() for a, b in zip(kept, values(copied), strict=True))


def test_a_copy_into_the_arrays_of_another(backend, rng):
    """Of the large ones, where the library writes: a fit makes them once."""
    state = state_of(backend, rng)
    other = state.copied(None)
    changed = state._replace(params=tuple(2.0 * p for p in state.params), step=3)
    copied = changed.copied(other)
    assert copied.step == 3
    assert all((a == b).all() for a, b in zip(values(copied), values(changed), strict=True))
    same = [x is y for x, y in zip(copied.large_arrays(), other.large_arrays(), strict=True)]
    assert all(same) == any(same) == traits(state.params[0]).writes
    assert all(x is not y for x, y in zip(copied.large_arrays(), changed.large_arrays(), strict=True))


def test_steps_are_counted(backend, rng):
    state = state_of(backend, rng)
    n = len(list(state.large_arrays()))
    assert n == len(state.params) + sum(map(len, state.slots)) + len(state.averages)
    later = state.advanced(state.arrays, 4).advanced(state.arrays, 2)
    assert (later.step, later.epoch, later.batch) == (6, 0, 6)
    assert np.all(to_numpy(later.sums["loss"]) == 0)
    sums = {"loss": state.sums["loss"] + 1.0}
    for ours, expected in zip(later.with_sums(sums), later._replace(sums=sums), strict=True):
        assert ours is expected
