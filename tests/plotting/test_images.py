import numpy as np
import pytest
from pictures import ink, plt

from xdfn import DFN, plotting


@pytest.mark.parametrize(("shape", "gap"), [((3, 4), 1), ((28, 28), 2)])
def test_a_tile_is_a_column_of_the_matrix(backend, shape, gap):
    rows, columns = shape
    n_in = rows * columns
    model = DFN(7, 2, init_w="he_normal", seed=0).initialize(backend.array(np.zeros((1, n_in)), "float32"))
    W = np.arange(1.0, 7 * n_in + 1).reshape(n_in, 7) * np.where(np.arange(7) == 4, -1, 1)
    model.layers["FC1"].params["W"] = backend.array(W, "float32")
    ax = plotting.weights(model, shape=shape, n=5)
    tiles = np.ma.filled(ax.get_images()[0].get_array(), np.nan)
    down, across = (3, 2) if rows == 3 else (2, 3)
    assert tiles.shape == (down * (rows + gap) - gap, across * (columns + gap) - gap)
    frames = [patch.get_bbox().bounds for patch in ax.patches]
    for j in range(5):
        top, left = (rows + gap) * (j // across), (columns + gap) * (j % across)
        expected = (W[:, j] / np.abs(W[:, j]).max()).reshape(shape)
        tile = tiles[top : top + rows, left : left + columns]
        np.testing.assert_allclose(tile, expected, rtol=1e-6)
        assert np.abs(tile).max() == 1
        assert frames[j] == (left - 0.5, top - 0.5, columns, rows)  # around its pixels
    assert len(frames) == 5
    assert np.isnan(tiles).sum() == tiles.size - 5 * n_in  # between them, and where a sixth unit would be
    assert ax.get_images()[0].get_clim() == (-1, 1)
    assert ax.get_title().startswith("FC1: the first 5 of 7 units")
    red, _, blue, _ = ax.get_images()[0].cmap(1.0)
    assert red > blue
    assert ink(ax) > 0.1


def test_64_units_are_apart():
    """Between two images, white as weights of 0 are, there is the frame of each, and white between the frames."""
    model = DFN(layers=["fc(64, 'relu', 'zeros')"]).initialize(np.zeros((1, 784)))
    ax = plotting.weights(model)
    ax.figure.canvas.draw()
    pixels = np.asarray(ax.figure.canvas.buffer_rgba())[..., :3].mean(axis=2)
    (x0, y), (x1, _) = ax.transData.transform([(10, 10), (40, 10)])  # from the first image into the second
    line = pixels[len(pixels) - round(y), round(x0) : round(x1)]
    dark = np.flatnonzero(line < 225)
    assert dark.size >= 2
    assert line[dark[0] : dark[-1]].max() > 225


def test_weights_of_a_square_of_inputs_and_of_a_named_layer():
    model = DFN(100, 9, seed=0).initialize(np.zeros((1, 16)))
    ax = plotting.weights(model)
    assert ax.get_images()[0].get_array().shape == (8 * 5 - 1, 8 * 5 - 1)
    own = plt.figure().subplots()
    assert plotting.weights(model, "FC2", (10, 10), ax=own) is own
    assert own.get_images()[0].get_array().shape == (3 * 11 - 1, 3 * 11 - 1)
    assert own.get_title().startswith("FC2: all 9 units")


def test_weights_take_the_first_layer_with_a_matrix():
    model = DFN(layers=["batch_norm", "dropout", "maxout(2, 3)", "fc(2, 'affine', 'he_normal')"], seed=0)
    ax = plotting.weights(model.initialize(np.zeros((1, 4))))
    assert ax.get_title().startswith("Maxout1: all 6 units")  # each piece of each unit
    first = np.asarray(ax.get_images()[0].get_array())[:2, :2].ravel()
    W = model.layers["Maxout1"].params["W"][:, 0]
    np.testing.assert_allclose(first, W / abs(W).max(), rtol=1e-12)


def test_weights_of_zero_are_white():
    model = DFN(layers=["fc(2, 'affine', 'zeros')"], seed=0).initialize(np.zeros((1, 4)))
    tiles = np.ma.filled(plotting.weights(model).get_images()[0].get_array(), np.nan)
    assert np.nansum(np.abs(tiles)) == 0
    assert np.isnan(tiles).sum() == 2  # the line between the two


def test_weights_that_make_no_image_say_so():
    model = DFN(layers=["batch_norm", "fc(3, 'affine', 'he_normal')"], seed=0)
    with pytest.raises(ValueError, match="no parameters yet"):
        plotting.weights(model)
    model.initialize(np.zeros((1, 12)))
    with pytest.raises(ValueError, match=r"12 inputs, which make no square: give shape=\(rows, columns\)"):
        plotting.weights(model)
    with pytest.raises(ValueError, match=r"shape must have 12 pixels.* got 3 times 5"):
        plotting.weights(model, shape=(3, 5))
    with pytest.raises(ValueError, match="shape must be an integer"):
        plotting.weights(model, shape=(3.0, 4))
    with pytest.raises(ValueError, match=r"shape must be \(rows, columns\), got 12"):
        plotting.weights(model, shape=12)
    with pytest.raises(ValueError, match="n must be an integer of at least 1, got 0"):
        plotting.weights(model, shape=(3, 4), n=0)
    with pytest.raises(ValueError, match=r"no matrix W: 'BatchNorm1'.*: FC1"):
        plotting.weights(model, "BatchNorm1")
    with pytest.raises(ValueError, match=r"no matrix W: 'FC7'.*: FC1"):
        plotting.weights(model, "FC7")
