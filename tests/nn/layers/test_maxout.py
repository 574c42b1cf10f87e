import numpy as np

from xdfn import Maxout
from xdfn.backend import product, random


def test_maxout_by_hand(rng):
    layer, x = Maxout(2, 3, "he_normal", init_b="random_normal"), rng.normal(size=(4, 5))
    params, _, n_out = layer.init(random.generator(0, random.WEIGHTS), 5)
    assert (params["W"].shape, params["b"].shape, n_out) == ((5, 6), (1, 6), 2)
    y, cache, _ = layer.apply(params, {}, x)
    pieces = [x @ params["W"][:, 2 * k : 2 * k + 2] + params["b"][:, 2 * k : 2 * k + 2] for k in range(3)]
    np.testing.assert_allclose(y, np.max(pieces, axis=0), rtol=1e-12)
    ties = np.zeros((1, 5)), {"W": np.zeros((5, 6)), "b": np.zeros((1, 6))}
    _, cache, _ = layer.apply(ties[1], {}, ties[0])
    assert product(layer.pullback(ties[1], cache, np.ones((1, 2)))[1]["b"]).tolist() == [[1, 1, 0, 0, 0, 0]]
