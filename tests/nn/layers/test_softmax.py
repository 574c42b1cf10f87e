import numpy as np
import pytest

from xdfn import Softmax


def test_softmax_backward_is_the_jacobian_product(rng):
    layer, x, dy = Softmax(), rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    y = layer.forward(x)
    jacobians = [np.diag(row) - np.outer(row, row) for row in y]
    np.testing.assert_allclose(layer.backward(dy), [J @ d for J, d in zip(jacobians, dy, strict=True)], rtol=1e-12)


def test_only_the_features_can_be_normalised():
    softmax = Softmax()
    for make in (lambda: Softmax(0), lambda: setattr(softmax, "dim", 0)):
        with pytest.raises(ValueError, match=r"dim must be -1 or 1, .* got 0"):
            make()
    softmax.dim = 1
    assert softmax == Softmax(1)
