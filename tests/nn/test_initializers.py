import numpy as np
import pytest
from parts import INITIALIZERS

from xdfn import he_uniform
from xdfn.backend import random
from xdfn.nn.initializers import initializers


@pytest.mark.parametrize("spec", INITIALIZERS)
def test_moments(spec):
    W = initializers.resolve(spec)((600, 300), random.generator(7, random.WEIGHTS))
    assert W.shape == (600, 300)
    assert W.dtype == np.float64
    # the standard error of a standard deviation from 180,000 draws is 0.2 %
    assert W.std() == pytest.approx(INITIALIZERS[spec], rel=0.01, abs=1e-12)


def test_bounds():
    rng = random.generator(1, random.WEIGHTS)
    assert np.abs(he_uniform()((24, 5000), rng)).max() == pytest.approx(0.5, rel=1e-3)
    assert np.abs(initializers.resolve("random_normal(std=1)")((100, 1000), rng)).max() < 2
    assert (initializers.resolve("constant(value=0.1)")((3, 2), rng) == 0.1).all()


@pytest.mark.parametrize("shape", [(30, 20), (20, 30), (5, 5), (1, 4)])
def test_orthogonal_is_orthogonal(shape):
    Q = initializers.resolve("orthogonal")(shape, random.generator(3, random.WEIGHTS))
    gram = Q.T @ Q if shape[0] >= shape[1] else Q @ Q.T
    np.testing.assert_allclose(gram, np.eye(min(shape)), atol=1e-13)
