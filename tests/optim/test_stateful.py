"""A rule as an object that is called and keeps its memory by name."""

import numpy as np
import pytest
from parts import OPTIMIZERS

from xdfn import Momentum
from xdfn.optim.base import optimizers


@pytest.mark.parametrize("spec", OPTIMIZERS)
def test_a_call_writes_to_no_argument_and_keeps_the_dtype(backend, spec, rng):
    opt = optimizers.resolve(spec)
    values, gradient = rng.normal(size=(3, 2)), rng.normal(size=(3, 2))
    p, g = backend.array(values, "float32"), backend.array(gradient, "float32")
    q = opt(p, g, "W")
    r = opt(q, g, "W")
    kept = backend.numpy(q).copy()
    opt(r, g, "W")
    assert q.dtype == p.dtype
    assert (backend.numpy(p) == values.astype("float32")).all()
    assert (backend.numpy(g) == gradient.astype("float32")).all()
    assert (backend.numpy(q) == kept).all()


def test_memory_is_kept_by_name():
    opt = Momentum(0.1, 0.9)
    p = np.zeros(1)
    opt(p, np.ones(1), "W")
    assert opt(p, np.ones(1), "b").item() == pytest.approx(-0.1)
    assert opt(p, np.ones(1), "W").item() == pytest.approx(-0.19)
    assert opt == Momentum(0.1, 0.9)
