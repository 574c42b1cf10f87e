import numpy as np

from xdfn import DFN
from xdfn.sklearn.network import Architecture, Network, draw_parameters, loss_of


def test_the_layers_of_all_arguments():
    made = Architecture((8, 6), ("relu", "tanh"), 3, 0.1, "he_normal", 0.5, True, 2.0).layers()
    assert [type(layer).__name__ for layer in made] == [
        "FullyConnected", "BatchNorm", "Dropout", "FullyConnected", "BatchNorm", "Dropout", "FullyConnected",
    ]  # fmt: skip
    assert [str(layer.acti_fn) for layer in made[::3]] == ["ReLU", "Tanh", "Affine(slope=1, intercept=0)"]
    assert {str(layer.regularizer) for layer in made[::3]} == {"L2(strength=0.1)"}
    assert {str(layer.constraint) for layer in made[::3]} == {"MaxNorm(limit=2.0)"}
    plain = Architecture((8,), ("relu",), 3, 0.0).layers()
    assert [layer.regularizer for layer in plain] == [None, None]
    assert len(Architecture((), (), 3, 0.0).layers()) == 1


def test_weights_are_drawn_as_scikit_learn_draws_them(backend):
    like = backend.array(np.zeros((1, 4), "f4"))
    coefs, intercepts = draw_parameters((4, 5, 2), 6.0, np.random.RandomState(0).uniform, like, "float32")
    rng = np.random.RandomState(0)
    for n_in, n_out, W, b in zip((4, 5), (5, 2), coefs, intercepts, strict=True):
        bound = np.sqrt(6 / (n_in + n_out))
        np.testing.assert_array_equal(backend.numpy(W), rng.uniform(-bound, bound, (n_in, n_out)).astype("f4"))
        np.testing.assert_array_equal(backend.numpy(b), rng.uniform(-bound, bound, n_out).astype("f4"))


def test_losses_by_name():
    assert loss_of("logistic", 0.0) == "binary_cross_entropy"
    assert loss_of("softmax", 0.1).smoothing == 0.1
    assert loss_of("huber", 0.0) == "huber"
    assert str(loss_of("poisson", 0.0)) == "Poisson(deviance=True)"


def test_parameters_are_assigned_and_read():
    model = Network(layers=[4, "batch_norm", 2], seed=0)
    W, b = [np.ones((3, 4)), np.ones((4, 2))], [np.ones(4), np.zeros(2)]
    model.assign(W, b)
    model.initialize(np.zeros((1, 3)))
    np.testing.assert_array_equal(model.coefs[0], W[0])
    assert [x.shape for x in model.intercepts] == [(4,), (2,)]
    assert isinstance(model, DFN)
