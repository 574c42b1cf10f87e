import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle
from pictures import ink, overlapping, texts

from xdfn import DFN, Dropout, FullyConnected, LayerBase, Residual, plotting


def lines_of(ax):
    """The weights between the columns, from left to right."""
    return [c for c in ax.collections if isinstance(c, LineCollection)]


def skips_of(ax):
    """(from, to) of the ways over the blocks, along the columns."""
    return [tuple(np.round(line.get_xdata()[[0, -1]], 0)) for line in ax.get_lines()]


def test_a_small_network_shows_neurons_and_weights(backend):
    layers = [FullyConnected(3, "tanh", "he_normal"), Dropout(0.5), FullyConnected(2, "affine", "he_normal")]
    model = DFN(layers=layers, seed=0).initialize(backend.array(np.zeros((1, 2)), "float32"))
    ax = plotting.network(model)
    assert texts(ax) == ["input\n2", "FC1\n3 Tanh", "Dropout1\n3", "FC2\n2 Affine"]
    lines = lines_of(ax)
    assert [len(c.get_segments()) for c in lines] == [6, 9, 6]
    W = backend.numpy(model.layers["FC1"].params["W"]).ravel()
    widest = int(np.argmax(lines[0].get_linewidths()))
    assert widest == np.argmax(np.abs(W))
    assert ink(ax) > 0.01


def test_a_wide_network_shows_blocks():
    model = DFN(200, 10, seed=0).initialize(np.zeros((1, 784)))
    ax = plotting.network(model)
    heights = [patch.get_height() for patch in ax.patches if isinstance(patch, Rectangle)]
    assert heights[0] > heights[1] > heights[2]
    assert overlapping(ax) == []
    assert ink(ax) > 0.01
    with pytest.raises(ValueError, match="no parameters yet"):
        plotting.network(DFN(2, 2))


def test_an_own_layer_without_a_matrix_is_drawn():
    class Pairs(LayerBase):
        def init(self, rng, n_in):
            return {"W": np.ones(n_in // 2)}, {}, n_in // 2

        def apply(self, params, buffers, x, ctx=None):
            return x[:, ::2] * params["W"], x, buffers

    model = DFN(layers=[Pairs(), FullyConnected(2, "affine", "he_normal")], seed=0).initialize(np.zeros((1, 4)))
    lines = lines_of(plotting.network(model))
    assert [len(c.get_segments()) for c in lines] == [8, 4]


def test_network_draws_layers_of_every_kind():
    """Without a matrix of their own: neuron to neuron where sizes agree, else all to all."""
    model = DFN(layers=["fc(3, 'tanh', 'he_normal')", "batch_norm", "maxout(2)"], seed=0)
    ax = plotting.network(model.initialize(np.zeros((1, 2))))
    lines = lines_of(ax)
    assert [len(c.get_segments()) for c in lines] == [6, 9, 6]
    assert [sum(width > 1 for width in c.get_linewidths()) for c in lines[1:]] == [3, 6]
    assert texts(ax)[1:] == ["FC1\n3 Tanh", "BatchNorm1\n3", "Maxout1\n2"]


def test_a_residual_block_shows_its_layers_and_the_way_over_them(backend):
    block = Residual(["fc(5, 'relu')", "layer_norm", "fc(3, 'affine')"])
    model = DFN(layers=["fc(3, 'tanh')", block, "fc(2, 'affine')"], seed=0)
    ax = plotting.network(model.initialize(backend.array(np.zeros((1, 2)), "float32")))
    labels = ["input\n2", "FC1\n3 Tanh", "FC1\n5 ReLU", "LayerNorm1\n5", "FC2\n3 Affine", "Residual1\n3, x + f(x)"]
    assert [text for text in texts(ax) if text] == ["f", *labels, "FC2\n2 Affine"]
    lines = lines_of(ax)
    # f's own weights between its columns, and neuron to neuron from f(x) to the sum
    assert [len(c.get_segments()) for c in lines] == [6, 15, 25, 15, 3, 6]
    W = backend.numpy(model.layers["Residual1"].params["FC2.W"]).ravel()
    assert np.argmax(lines[3].get_linewidths()) == np.argmax(np.abs(W))
    assert skips_of(ax) == [(1, 5)]  # from x to the sum
    (ground,) = ax.patches
    assert 1 < ground.get_x() < 2
    assert 4 < ground.get_x() + ground.get_width() < 5
    assert overlapping(ax) == []


@pytest.mark.parametrize("width", [4, 40])
def test_blocks_in_a_row_and_in_each_other(width):
    inner = Residual([f"fc({width}, 'relu')"])
    outer = Residual([f"fc({width}, 'relu')", inner, "dropout(0.5)"])
    ax = plotting.network(DFN(layers=[outer, inner, 1], seed=0).initialize(np.zeros((1, width))))
    labels = ["input", "FC1", "FC1", "Residual1", "Dropout1", "Residual1", "FC1", "Residual2", "FC1"]
    assert [text.split("\n")[0] for text in texts(ax) if text and text != "f"] == labels
    assert skips_of(ax) == [(0, 5), (1, 3), (5, 7)]
    tops = [max(line.get_ydata()) for line in ax.get_lines()]
    assert tops[0] > tops[1] == tops[2]  # none hides another
    assert max(tops) < ax.get_ylim()[1]
    assert overlapping(ax) == []


def test_a_layer_in_a_block_that_says_its_size_by_init_alone():
    class Halves(LayerBase):
        def init(self, rng, n_in):
            return {}, {}, n_in // 2

        def apply(self, params, buffers, x, ctx=None):
            return x[:, ::2], x, buffers

    model = DFN(layers=[Residual([Halves(), "fc(4, 'affine')"])], seed=0).initialize(np.zeros((1, 4)))
    assert "Halves1\n2" in texts(plotting.network(model))
