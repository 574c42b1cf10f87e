import numpy as np
import pytest

from xdfn import DFN, Dropout, FullyConnected, LayerBase

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plotting = pytest.importorskip("xdfn.plotting")
plt = plotting.plt


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def ink(ax):
    """The share of the picture that is not white."""
    ax.figure.canvas.draw()
    return np.mean(np.asarray(ax.figure.canvas.buffer_rgba())[..., :3].min(axis=2) < 250)


def test_a_small_network_shows_neurons_and_weights(backend):
    layers = [FullyConnected(3, "tanh", "he_normal"), Dropout(0.5), FullyConnected(2, "affine", "he_normal")]
    model = DFN(layers=layers, seed=0).initialize(backend.array(np.zeros((1, 2)), "float32"))
    ax = plotting.network(model)
    assert [text.get_text() for text in ax.texts] == ["input\n2", "FC1\n3 Tanh", "Dropout1\n3 Dropout", "FC2\n2 Affine"]
    lines = [c for c in ax.collections if isinstance(c, plotting.LineCollection)]
    assert [len(c.get_segments()) for c in lines] == [6, 9, 6]
    W = backend.numpy(model.layers["FC1"].params["W"]).ravel()
    widest = int(np.argmax(lines[0].get_linewidths()))
    assert widest == np.argmax(np.abs(W))
    assert ink(ax) > 0.01


def test_a_wide_network_shows_blocks():
    model = DFN(200, 10, seed=0).initialize(np.zeros((1, 784)))
    ax = plotting.network(model)
    heights = [patch.get_height() for patch in ax.patches if isinstance(patch, plotting.Rectangle)]
    assert heights[0] > heights[1] > heights[2]
    assert ink(ax) > 0.01
    with pytest.raises(ValueError, match="no parameters yet"):
        plotting.network(DFN(2, 2))


def test_history_draws_every_curve():
    model = DFN(3, 2, seed=0).fit(np.eye(4), np.asarray([0, 1, 0, 1]), 7, verbose=None)
    ax = plotting.history(model)
    (line,) = ax.get_lines()
    assert line.get_ydata().tolist() == model.history["loss"]
    assert line.get_xdata().tolist() == list(range(1, 8))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_decision_surface_is_the_prediction(backend, classes, rng):
    X = rng.normal(size=(40, 2))
    y = (X[:, 0] > 0).astype(int) + (classes == 3) * (X[:, 1] > 0)
    model = DFN(8, classes, optimizer="adam(lr=0.05)", init_w="he_normal", seed=0)
    model.fit(backend.array(X, "float32"), backend.array(y), 5, 8, verbose=None)
    ax = plotting.decision_surface(model, backend.array(X, "float32"), backend.array(y))
    assert ink(ax) > 0.3
    with pytest.raises(ValueError, match="needs two inputs"):
        plotting.decision_surface(model, backend.array(np.zeros((2, 3))), backend.array([0, 1]))


def test_the_line_of_a_decision_is_where_the_probability_is_a_half(rng):
    X = rng.uniform(-1, 1, (60, 2))
    y = (X.sum(axis=1) > 0).astype(int)
    model = DFN(layers=["fc(1, 'affine', 'he_normal')"], loss="bce", optimizer="adam(lr=0.1)", seed=0)
    model.fit(X, y, 20, 60, verbose=None)
    ax = plotting.decision_surface(model, X, y)
    (line,) = [c for c in ax.collections if np.asarray(c.get_array()).size == 1]  # one level
    points = np.concatenate([path.vertices for path in line.get_paths()])
    np.testing.assert_allclose(model.predict_proba(points), 0.5, atol=0.01)


def test_surfaces_that_cannot_be_drawn_say_so(rng):
    X = rng.uniform(-1, 1, (20, 2))
    model = DFN(4, 2, loss="squared_error", seed=0).fit(X, X, 1, verbose=None)
    with pytest.raises(ValueError, match="the model has 2 outputs"):
        plotting.decision_surface(model, X, X[:, 0])
    with pytest.raises(ValueError, match="same number of rows"):
        plotting.decision_surface(model, X, X[:5, 0])
    with pytest.raises(ValueError, match="X: expected an array"):
        plotting.decision_surface(model, X.tolist(), X[:, 0])


def test_an_own_layer_without_a_matrix_is_drawn():
    class Pairs(LayerBase):
        def init(self, rng, n_in):
            return {"W": np.ones(n_in // 2)}, {}, n_in // 2

        def apply(self, params, buffers, x, ctx=None):
            return x[:, ::2] * params["W"], x, buffers

    model = DFN(layers=[Pairs(), FullyConnected(2, "affine", "he_normal")], seed=0).initialize(np.zeros((1, 4)))
    lines = [c for c in plotting.network(model).collections if isinstance(c, plotting.LineCollection)]
    assert [len(c.get_segments()) for c in lines] == [8, 4]
