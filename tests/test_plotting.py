import math
from typing import NamedTuple

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


def test_the_surface_of_means_and_variances_is_that_of_the_means(rng):
    X = rng.uniform(-1, 1, (20, 2))
    models = [DFN(layers=["fc(1, 'affine', 'zeros')"], loss="mse").initialize(X)]
    models.append(DFN(layers=["fc(2, 'affine', 'zeros')"], loss="gaussian").initialize(X))
    models[0].layers["FC1"].params["W"] = np.asarray([[1.0], [2.0]])
    models[1].layers["FC1"].params["W"] = np.asarray([[1.0, 7.0], [2.0, -3.0]])
    mean, both = ([c.get_paths() for c in plotting.decision_surface(m, X, X[:, 0]).collections] for m in models)
    assert all(
        np.array_equal(p.vertices, q.vertices)
        for a, b in zip(mean, both, strict=True)
        for p, q in zip(a, b, strict=True)
    )


def test_surfaces_that_cannot_be_drawn_say_so(rng):
    X = rng.uniform(-1, 1, (20, 2))
    with pytest.raises(ValueError, match="the model has 3 outputs"):
        plotting.decision_surface(DFN(4, 3, loss="quantile([0.1, 0.5, 0.9])").initialize(X), X, X[:, 0])
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


def test_network_draws_layers_of_every_kind():
    """Without a matrix of their own: neuron to neuron where sizes agree, else all to all."""
    residual = "residual(layers=['fc(3, \\'relu\\', \\'he_normal\\')'])"
    model = DFN(layers=["fc(3, 'tanh', 'he_normal')", "batch_norm", residual, "maxout(2)"], seed=0)
    ax = plotting.network(model.initialize(np.zeros((1, 2))))
    lines = [c for c in ax.collections if isinstance(c, plotting.LineCollection)]
    assert [len(c.get_segments()) for c in lines] == [6, 9, 9, 6]
    assert [sum(width > 1 for width in c.get_linewidths()) for c in lines[1:]] == [3, 3, 6]
    kinds = [text.get_text().split()[-1] for text in ax.texts[1:]]
    assert kinds == ["Tanh", "BatchNorm", "Residual", "Maxout"]


# -- weights --


def test_a_tile_is_a_column_of_the_matrix(backend):
    model = DFN(7, 2, init_w="he_normal", seed=0).initialize(backend.array(np.zeros((1, 12)), "float32"))
    W = np.arange(1.0, 85).reshape(12, 7) * np.where(np.arange(7) == 4, -1, 1)
    model.layers["FC1"].params["W"] = backend.array(W, "float32")
    ax = plotting.weights(model, shape=(3, 4), n=5)
    tiles = np.ma.filled(ax.get_images()[0].get_array(), np.nan)
    assert tiles.shape == (11, 9)  # three rows of two images of 3 x 4, and a line of one pixel between them
    for j in range(5):
        top, left, expected = 4 * (j // 2), 5 * (j % 2), W[:, j] / np.abs(W[:, j]).max()
        np.testing.assert_allclose(tile := tiles[top : top + 3, left : left + 4], expected.reshape(3, 4), rtol=1e-6)
        assert np.abs(tile).max() == 1
    assert tiles[2, 3] == 1
    assert tiles[10, 3] == -1
    assert np.isnan(tiles[3, :]).all()
    assert np.isnan(tiles[:, 4]).all()
    assert np.isnan(tiles[8:, 5:]).all()  # where a sixth unit would be
    assert ax.get_images()[0].get_clim() == (-1, 1)
    assert ax.get_title().startswith("FC1: the first 5 of 7 units")
    red, _, blue, _ = ax.get_images()[0].cmap(1.0)
    assert red > blue
    assert ink(ax) > 0.1


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


# -- history --


class Recorded:
    """What `history` looks at."""

    loss = DFN(2, 2).loss

    def __init__(self, **history):
        self.history = history


def test_history_draws_the_validation_with_its_gaps_and_its_best_epoch():
    val_loss = [math.nan, 1.5, 0.75, math.nan, 0.8, 0.9]
    ax = plotting.history(Recorded(loss=[3.0, 2.0, 1.0, 0.9, 0.8, 0.7], val_loss=val_loss, lr=[0.1] * 6))
    training, validation, best = ax.get_lines()
    assert training.get_ydata().tolist() == [3.0, 2.0, 1.0, 0.9, 0.8, 0.7]
    np.testing.assert_array_equal(validation.get_ydata(), val_loss)
    assert list(best.get_xdata()) == [3, 3]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["training", "validation", "best epoch: 3"]
    assert ax.figure.axes == [ax]  # no metrics, no axes for them; lr is not drawn
    assert ink(ax) > 0.01


def test_history_draws_metrics_on_the_right():
    accuracy = [0.5, math.nan, 0.75]
    recorded = Recorded(
        loss=[3.0, 2.0, 1.0], val_loss=[3.0, math.nan, 4.0], val_accuracy=accuracy, val_r2=[0.1, 0.2, 0.3], lr=[9.0] * 3
    )
    ax = plotting.history(recorded)
    left, right = ax.figure.axes
    assert left is ax
    np.testing.assert_array_equal(right.get_lines()[0].get_ydata(), accuracy)
    assert right.get_lines()[1].get_ydata().tolist() == [0.1, 0.2, 0.3]
    assert {line.get_linestyle() for line in right.get_lines()} == {"--"}
    assert len({line.get_color() for axes in (left, right) for line in axes.get_lines()}) == 5
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["training", "validation", "best epoch: 1", "validation accuracy", "validation r2"]
    assert right.get_legend() is None
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().y0 >= ax.get_window_extent().y1  # it hides no curve


def test_history_shows_values_that_stand_alone():
    """A line between NaN has no length, so such curves have points however many epochs there are."""
    every_fifth = [1.0 if i % 5 == 4 else math.nan for i in range(100)]
    training, validation, _ = plotting.history(Recorded(loss=[1.0] * 100, val_loss=every_fifth)).get_lines()
    assert (training.get_marker(), validation.get_marker()) == ("", "o")


def test_history_without_a_measured_validation_is_that_of_the_training():
    recorded = Recorded(loss=[2.0, 1.0], val_loss=[math.nan] * 2, val_accuracy=[math.nan] * 2)
    ax = plotting.history(recorded)
    assert [line.get_label() for line in ax.get_lines()] == ["training"]
    assert ax.figure.axes == [ax]
    assert plotting.history(DFN(2, 2)).get_lines()[0].get_ydata().size == 0


def test_history_of_a_fit_with_a_validation(backend, rng):
    X, y = backend.array(rng.normal(size=(30, 3)), "float32"), backend.array(rng.integers(0, 2, 30))
    model = DFN(4, 2, seed=0).fit(X, y, 4, 10, verbose=None, validation_data=(X, y), metrics=["accuracy"])
    ax = plotting.history(model)
    assert ax.get_lines()[1].get_ydata().tolist() == model.history["val_loss"]
    assert ax.figure.axes[1].get_lines()[0].get_ydata().tolist() == model.history["val_accuracy"]
    assert ax.get_lines()[2].get_xdata()[0] == 1 + int(np.argmin(model.history["val_loss"]))


# -- the search for a learning rate --


class Search(NamedTuple):
    rates: list[float]
    losses: list[float]
    suggestion: float


def test_a_search_is_drawn_without_its_explosion():
    rates = np.geomspace(1e-5, 10, 25)
    losses = np.concatenate([np.linspace(2.4, 2.2, 5), np.linspace(2.2, 0.5, 15), 10.0 ** np.arange(5)])
    ax = plotting.learning_rates(Search(rates.tolist(), losses.tolist(), 0.02345))
    curve, line = ax.get_lines()
    assert curve.get_xdata().tolist() == rates.tolist()
    assert curve.get_ydata().tolist() == losses.tolist()
    assert list(line.get_xdata()) == [0.02345] * 2
    assert ax.get_xscale() == "log"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["suggestion 0.0234"]
    low, high = ax.get_ylim()
    assert 0 < low < 0.5
    assert 2.4 < high < 3
    assert ink(ax) > 0.01


@pytest.mark.parametrize("losses", [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [2.0, math.nan, math.inf]])
def test_a_search_without_a_fall_has_limits_all_the_same(losses):
    ax = plotting.learning_rates(Search([0.1, 1.0, 10.0], losses, 1.0))
    low, high = ax.get_ylim()
    assert low < losses[0] < high


# -- what is taken for what --


def counts(ax):
    n = math.isqrt(len(ax.texts))
    table = np.full((n, n), -1)
    for text in ax.texts:
        column, row = text.get_position()
        table[int(row), int(column)] = int(text.get_text())
    return table.tolist()


def passing(n_out, loss):
    """A model whose scores are its inputs."""
    model = DFN(layers=[f"fc({n_out}, 'affine', 'zeros')"], loss=loss, seed=0).initialize(np.zeros((1, n_out)))
    model.layers["FC1"].params["W"] = np.eye(n_out)
    return model


@pytest.mark.parametrize("one_hot", [False, True])
def test_a_confusion_matrix_counts_true_classes_in_rows(backend, one_hot):
    predicted, true = [0, 0, 1, 2, 2, 2, 1], [0, 0, 0, 2, 2, 1, 2]
    X = backend.array(np.eye(3)[predicted])
    y = backend.array(np.eye(3)[true]) if one_hot else backend.array(true)
    ax = plotting.confusion_matrix(passing(3, "cross_entropy").to(X), X, y, labels=["ant", "bee", "cat"])
    assert counts(ax) == [[2, 1, 0], [0, 0, 1], [0, 1, 2]]
    shares = np.asarray(ax.get_images()[0].get_array())
    np.testing.assert_allclose(shares, [[2 / 3, 1 / 3, 0], [0, 0, 1], [0, 1 / 3, 2 / 3]], rtol=1e-12)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["ant", "bee", "cat"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["ant", "bee", "cat"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    assert ink(ax) > 0.1


@pytest.mark.parametrize("flat", [False, True])
def test_a_confusion_matrix_of_yes_or_no(backend, flat):
    X = backend.array([[-1.0], [-1.0], [2.0], [2.0], [2.0], [-3.0]])
    y = np.asarray([0.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    ax = plotting.confusion_matrix(passing(1, "bce").to(X), X, backend.array(y if flat else y[:, None]))
    assert counts(ax) == [[2, 1], [1, 2]]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["0", "1"]


def test_a_class_that_does_not_occur_has_an_empty_row():
    ax = plotting.confusion_matrix(passing(3, "cross_entropy"), np.eye(3)[[0, 1]], np.asarray([0, 0]))
    assert counts(ax) == [[1, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert np.isfinite(ax.get_images()[0].get_array()).all()


def test_a_confusion_matrix_agrees_with_scikit_learn(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    X, y = rng.normal(size=(300, 12)), rng.integers(0, 12, 300)
    model = passing(12, "cross_entropy")
    assert counts(plotting.confusion_matrix(model, X, y)) == metrics.confusion_matrix(y, model.predict(X)).tolist()


def test_many_classes_are_colours_alone(rng):
    ax = plotting.confusion_matrix(passing(21, "cross_entropy"), np.eye(21), np.arange(21))
    assert len(ax.texts) == 0
    assert (np.asarray(ax.get_images()[0].get_array()) == np.eye(21)).all()


def test_confusion_matrices_that_cannot_be_drawn_say_so():
    X, y = np.eye(3), np.asarray([0, 1, 2])
    model = passing(3, "cross_entropy")
    with pytest.raises(ValueError, match="needs a loss that classifies"):
        plotting.confusion_matrix(passing(3, "mse"), X, X)
    with pytest.raises(ValueError, match="BinaryCrossEntropy with 3 outputs has none"):
        plotting.confusion_matrix(passing(3, "bce"), X, X)
    with pytest.raises(ValueError, match="no parameters yet"):
        plotting.confusion_matrix(DFN(3, 3), X, y)
    with pytest.raises(ValueError, match=r"y must lie in \[0, 2\], got values from 1 to 3"):
        plotting.confusion_matrix(model, X, y + 1)
    with pytest.raises(ValueError, match="same number of rows"):
        plotting.confusion_matrix(model, X, y[:2])
    with pytest.raises(ValueError, match="labels must have 3 names, one for each class, got 2"):
        plotting.confusion_matrix(model, X, y, labels=["a", "b"])
