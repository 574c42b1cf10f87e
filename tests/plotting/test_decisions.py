import math

import numpy as np
import pytest
from matplotlib.contour import ContourSet
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from pictures import ink

from xdfn import DFN, plotting


def passing(n_out, loss, n_in=None):
    """A model whose scores are its inputs."""
    n_in = n_in or n_out
    model = DFN(layers=[f"fc({n_out}, 'affine', 'zeros')"], loss=loss, seed=0).initialize(np.zeros((1, n_in)))
    model.layers["FC1"].params["W"] = np.eye(n_in, n_out)
    return model


# -- the surface of decisions --


def lines_of(ax):
    return [c for c in ax.collections if isinstance(c, ContourSet) and not c.filled]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("one_hot", [False, True])
def test_a_decision_surface_shows_the_classes(backend, classes, one_hot, rng):
    X = rng.normal(size=(40, 2))
    y = (X[:, 0] > 0).astype(int) + (classes == 3) * (X[:, 1] > 0)
    model = DFN(8, classes, optimizer="adam(lr=0.05)", init_w="he_normal", seed=0)
    X, targets = backend.array(X, "float32"), backend.array(np.eye(classes)[y] if one_hot else y)
    model.fit(X, targets, 5, 8, verbose=None)
    ax = plotting.decision_surface(model, X, targets)
    legend = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [str(k) for k in range(classes)]
    assert ax.figure.axes == [ax]  # no bar
    strong = np.asarray([line.get_color() for line in legend.findobj(Line2D)])
    pale = np.asarray([patch.get_facecolor()[:3] for patch in legend.findobj(Rectangle)])
    assert (pale.mean(axis=1) > strong.mean(axis=1) + 0.1).all()
    points = ax.collections[-1]
    np.testing.assert_allclose(points.get_facecolor()[:, :3], strong[y])
    # each place has the colour of its class, mixed with white by how sure the model is
    (image,) = ax.get_images()
    (left, right, bottom, top), shown = image.get_extent(), np.asarray(image.get_array())
    rows, columns = rng.integers(0, len(shown), (2, 50))
    places = np.stack(
        [left + (right - left) * columns / (len(shown) - 1), bottom + (top - bottom) * rows / (len(shown) - 1)], axis=1
    )
    p = backend.numpy(model.predict_proba(backend.array(places, "float32")))
    sure = (p.max(axis=1) - 1 / classes) / (1 - 1 / classes)
    strength = (1 - shown[rows, columns]).sum(axis=1) / (1 - strong[p.argmax(axis=1)]).sum(axis=1)
    np.testing.assert_allclose(strength, 0.12 + 0.28 * sure, atol=1e-5)
    mixed = 1 - strength[:, np.newaxis] * (1 - strong[p.argmax(axis=1)])
    np.testing.assert_allclose(shown[rows, columns], mixed, atol=1e-5)
    with pytest.raises(ValueError, match="needs two inputs"):
        plotting.decision_surface(model, backend.array(np.zeros((2, 3))), backend.array([0, 1]))


def lab(rgb):
    """CIE L*a*b* of linear sRGB, D65."""
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    f = np.cbrt(np.maximum(rgb @ np.transpose(to_xyz) / [0.95047, 1, 1.08883], 0.008856))
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


@pytest.mark.parametrize(
    "sight",
    [
        np.eye(3),
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    ],
    ids=["normal", "protanopia", "deuteranopia"],
)
def test_ten_classes_can_be_told_apart(sight):
    """Also by the colour-blind, by the simulation of Machado et al. 2009: a difference of 2.3 can just be seen."""
    model = passing(10, "cross_entropy", n_in=2)
    ax = plotting.decision_surface(model, np.eye(2), np.asarray([0, 1]))
    colours = np.asarray([line.get_color() for line in ax.get_legend().findobj(Line2D)])
    seen = lab(
        np.clip(
            np.where(colours < 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4) @ np.transpose(sight), 0, 1
        )
    )
    distances = np.linalg.norm(seen[:, np.newaxis] - seen, axis=-1) + 1e9 * np.eye(10)
    assert distances.min() > 15
    assert np.ptp(colours, axis=1).min() > 0.2  # no grey


def test_more_classes_than_colours_have_colours_all_the_same():
    ax = plotting.decision_surface(passing(23, "cross_entropy", n_in=2), np.eye(2), np.asarray([0, 22]))
    colours = {tuple(line.get_color()) for line in ax.get_legend().findobj(Line2D)}
    assert len(colours) == 23
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().y0 >= 0  # it fits


@pytest.mark.parametrize("n", [4, 600, 20_000])
def test_points_do_not_hide_the_surface(n, rng):
    X = rng.normal(size=(n, 2))
    ax = plotting.decision_surface(passing(2, "cross_entropy"), X, (X[:, 1] > X[:, 0]) * 1)
    ax.figure.canvas.draw()
    area = ax.get_window_extent().width * ax.get_window_extent().height / (ax.figure.dpi / 72) ** 2
    assert ax.collections[-1].get_sizes()[0] >= 4  # each can be seen
    assert n > 600 or n * np.pi / 4 * ax.collections[-1].get_sizes()[0] < 0.15 * area


def test_the_line_of_a_decision_is_where_the_probability_is_a_half(rng):
    X = rng.uniform(-1, 1, (60, 2))
    y = (X.sum(axis=1) > 0).astype(int)
    model = DFN(layers=["fc(1, 'affine', 'he_normal')"], loss="bce", optimizer="adam(lr=0.1)", seed=0)
    model.fit(X, y, 20, 60, verbose=None)
    ax = plotting.decision_surface(model, X, y)
    (line,) = lines_of(ax)
    points = np.concatenate([path.vertices for path in line.get_paths()])
    np.testing.assert_allclose(model.predict_proba(points), 0.5, atol=0.01)
    _, bar = ax.figure.axes
    assert bar.get_ylabel() == "probability of class 1"
    assert bar.get_ylim() == (0, 1)
    zero, one = (ax.collections[-1].get_facecolor()[y == k] for k in (0, 1))
    assert len(np.unique(zero, axis=0)) == len(np.unique(one, axis=0)) == 1
    assert (zero[0] != one[0]).any()
    assert ink(ax) > 0.3


def test_the_line_between_two_classes_is_the_same():
    ax = plotting.decision_surface(passing(2, "cross_entropy"), np.eye(2), np.asarray([0, 1]))
    (line,) = lines_of(ax)
    points = np.concatenate([path.vertices for path in line.get_paths()])
    np.testing.assert_allclose(points[:, 0], points[:, 1], atol=1e-9)


def test_numbers_have_one_scale_for_points_and_surface(rng):
    X = rng.uniform(-1, 1, (50, 2))
    y = 3 * X[:, 0]
    y[0] = 7.0  # beyond what the model predicts
    ax = plotting.decision_surface(passing(1, "mse", n_in=2), X, y)
    _, bar = ax.figure.axes
    low, high = bar.get_ylim()
    points, surface = ax.collections[-1], ax.collections[0]
    assert low <= y.min() < 7 <= high
    assert points.get_clim() == (low, high)
    assert surface.get_clim() == (low, high)
    assert bar.get_ylabel() == "prediction"
    assert ax.get_legend() is None


def test_a_flat_surface_is_drawn():
    model = DFN(layers=["fc(1, 'affine', 'zeros')"], loss="mse").initialize(np.zeros((1, 2)))
    assert ink(plotting.decision_surface(model, np.eye(2), np.zeros(2))) > 0.3


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
    with pytest.raises(ValueError, match="X must be an array, a frame or a list of numbers, got str"):
        plotting.decision_surface(model, "points", X[:, 0])
    with pytest.raises(ValueError, match=r"y must lie in \[0, 1\], got values from 0 to 2"):
        plotting.decision_surface(passing(2, "cross_entropy"), np.eye(2), np.asarray([0, 2]))
    with pytest.raises(ValueError, match="no parameters yet"):
        plotting.decision_surface(DFN(2, 2), np.eye(2), np.asarray([0, 1]))


# -- what is taken for what --


def counts(ax):
    n = math.isqrt(len(ax.texts))
    table = np.full((n, n), -1)
    for text in ax.texts:
        column, row = text.get_position()
        table[int(row), int(column)] = int(text.get_text())
    return table.tolist()


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
