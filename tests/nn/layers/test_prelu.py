import numpy as np
import pytest

from xdfn import PReLU
from xdfn.backend import product


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def test_prelu_is_pytorchs(torch, rng):
    x, dy, alpha = rng.normal(size=(7, 4)), rng.normal(size=(7, 4)), rng.normal(size=(1, 4))
    there = [torch.tensor(v, requires_grad=True) for v in (x, alpha[0])]
    expected = torch.nn.functional.prelu(*there)
    expected.backward(torch.tensor(dy))
    layer = PReLU()
    assert (layer.init(None, 4)[0]["alpha"] == 0.25).all()
    y, cache, _ = layer.apply({"alpha": alpha}, {}, x)
    dx, gradients = layer.pullback({"alpha": alpha}, cache, dy)
    np.testing.assert_allclose(y, expected.detach(), rtol=1e-15)
    np.testing.assert_allclose(dx, there[0].grad, rtol=1e-15)
    np.testing.assert_allclose(product(gradients["alpha"])[0], there[1].grad, rtol=1e-12)
