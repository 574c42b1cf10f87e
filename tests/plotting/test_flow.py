import copy
import itertools
import re

import numpy as np
import pytest
from pictures import ink, overlapping

from xdfn import DFN, Residual, plotting

BIASES = {"FC": "b", "LayerNorm": "beta"}


def drawn(ax):
    """The heights of the bars, from the first layer on."""
    (below,) = ax.child_axes
    assert below.get_yscale() == "log"
    return [bar.get_height() for bar in below.patches]


def written(ax):
    (below,) = ax.child_axes
    return [text.get_text().replace("−", "-") for text in below.texts]


def by_differences(model, X, y, h=1e-5):
    """For each layer the mean over the rows of |dL/db|: what is added to b is added to the row's z."""
    model, lengths = copy.copy(model), []
    for name, layer in model.layers.items():
        key = BIASES[re.sub(r"\d", "", name)]
        b = layer.params[key]
        gradient = np.zeros((len(X), b.shape[1]))
        for i, k in np.ndindex(gradient.shape):
            losses = []
            for step in (h, -h):
                layer.params[key] = b + step * (np.arange(b.shape[1]) == k)
                losses.append(model.evaluate(X[i : i + 1], y[i : i + 1], metric="loss"))
            gradient[i, k] = (losses[0] - losses[1]) / (2 * h)
        layer.params[key] = b
        lengths.append(np.linalg.norm(gradient, axis=1).mean())
    return lengths


@pytest.mark.parametrize(
    ("layers", "loss"),
    [
        (["fc(5, 'tanh')", "layer_norm", "fc(4, 'sigmoid')", "fc(3, 'affine')"], "cross_entropy"),
        (["fc(5, 'gelu')", "fc(1, 'sigmoid')"], "binary_cross_entropy"),  # the last sigmoid is that of the loss
        (["fc(5, 'elu')", "fc(2, 'tanh')"], "squared_error"),  # and here the layer's
    ],
)
def test_the_errors_are_those_of_difference_quotients(backend, layers, loss, rng):
    X = rng.normal(size=(6, 3))
    y = {"cross_entropy": rng.integers(0, 3, 6), "squared_error": rng.normal(size=(6, 2))}.get(loss, X[:, :1] > 0) * 1.0
    y = y.astype(int) if loss == "cross_entropy" else y
    model = DFN(layers=layers, loss=loss, seed=0).initialize(X)
    expected = by_differences(model, X, y)
    ax = plotting.error_flow(model.to(backend.array(X)), backend.array(X), backend.array(y))
    np.testing.assert_allclose(drawn(ax), expected, rtol=1e-6)
    np.testing.assert_allclose([float(text) for text in written(ax)], expected, rtol=0.05)  # two digits
    assert ink(ax) > 0.01


def test_the_errors_by_hand():
    """One unit a layer: delta^2 = z - y, and delta^1 = w g'(z^1) delta^2, for two rows."""
    model = DFN(layers=["fc(1, 'relu')", "fc(1, 'affine')"], loss="squared_error")
    for name, w in (("FC1", 2.0), ("FC2", -3.0)):
        model.layers[name].params = {"W": np.asarray([[w]]), "b": np.zeros((1, 1))}
    X, y = np.asarray([[1.0], [-1.0]]), np.asarray([[0.0], [4.0]])
    model.initialize(X)
    # row 1: z^1 = 2, z^2 = -6, delta^2 = -6, delta^1 = 18; row 2: z^1 = -2, z^2 = 0, delta^2 = -4, delta^1 = 0
    assert drawn(plotting.error_flow(model, X, y)) == [9, 5]


def test_a_last_softmax_belongs_to_the_loss(rng):
    X, y = rng.normal(size=(7, 4)), rng.integers(0, 3, 7)
    model = DFN(layers=["fc(3, 'affine')", "softmax"], seed=0).initialize(X)
    expected = np.linalg.norm(model.predict_proba(X) - np.eye(3)[y], axis=1).mean()
    np.testing.assert_allclose(drawn(plotting.error_flow(model, X, y)), [expected] * 2, rtol=1e-12)


def test_errors_go_through_layers_of_every_kind(rng):
    """Their lengths, by the gradients at the biases of rows one by one; where a block adds x, two ways meet."""
    X, y = rng.normal(size=(1, 4)), np.asarray([1])
    block = Residual(["fc(6, 'tanh')", "fc(4, 'affine')"])
    model = DFN(layers=["fc(4, 'affine')", block, "prelu", "fc(3, 'affine')"], seed=0).initialize(X)
    lengths = drawn(plotting.error_flow(model, X, y))
    probe = copy.copy(model)
    out, _ = probe.forward(X)
    _, gradients = probe.backward(probe.loss.value_and_grad(y, out, 1.0)[1])
    np.testing.assert_allclose(lengths, [np.linalg.norm(gradients[name]) for name in model.layers], rtol=1e-12)
    # the block's layers are affine at its end, so what comes to its f is what comes to its sum
    assert np.linalg.norm(probe.layers["Residual1"].gradients["FC2.b"]) == pytest.approx(lengths[1], rel=1e-12)


def test_errors_vanish_in_deep_sigmoids_and_not_in_relus(rng):
    X, y = rng.normal(size=(32, 20)), rng.integers(0, 4, 32)
    sigmoid, relu = (
        drawn(plotting.error_flow(DFN(layers=[f"fc(20, '{g}')"] * 9 + [4], seed=0).initialize(X), X, y))
        for g in ("sigmoid", "relu")
    )
    assert sigmoid[0] < 1e-4 * sigmoid[-1]
    assert all(below < above for below, above in itertools.pairwise(sigmoid))
    assert relu[0] > 0.1 * relu[-1]


def test_small_errors_of_float32_are_no_zeros(rng):
    X, y = rng.normal(size=(8, 10)).astype("f4"), rng.integers(0, 2, 8)
    lengths = drawn(plotting.error_flow(DFN(layers=["fc(10, 'sigmoid')"] * 40 + [2], seed=0).initialize(X), X, y))
    assert 0 < lengths[0] < 1e-20  # whose square float32 cannot show


def test_errors_of_zero_and_beyond_all_numbers():
    X, y = np.ones((2, 3)), np.zeros((2, 1))
    model = DFN(layers=["fc(4, 'relu')", "fc(4, 'relu', 'zeros')", 1], loss="squared_error", seed=0).initialize(X)
    ax = plotting.error_flow(model, X, y)  # the scores are 0, as y is
    assert written(ax) == ["0", "0", "0"]
    model.layers["FC3"].params["b"] = np.ones((1, 1))
    assert written(plotting.error_flow(model, X, y)) == ["0", "0", "1"]
    model.layers["FC3"].params["b"] = np.full((1, 1), 1e308)
    model.layers["FC2"].params = {"W": np.ones((4, 4)), "b": np.ones((1, 4))}
    model.layers["FC3"].params["W"] = np.full((4, 1), 1e10)
    ax = plotting.error_flow(model, X, y)
    assert set(written(ax)[:2]) <= {"inf", "nan"}
    assert ink(ax) > 0.01


def test_the_model_is_left_as_it_is(rng):
    X, y = rng.normal(size=(10, 4)), rng.integers(0, 3, 10)
    model = DFN(layers=["fc(6)", "batch_norm", "dropout(0.5)", 3], seed=0).fit(X, y, 2, 5, verbose=None)
    twin = copy.copy(model)
    model.forward(X)  # in the middle of a step by hand
    before = {name: len(layer.X) for name, layer in model.layers.items()}
    shown = drawn(plotting.error_flow(model, X, y))
    assert shown == drawn(plotting.error_flow(model, X, y))  # with the same masks
    assert {name: len(layer.X) for name, layer in model.layers.items()} == before
    model.flush_gradients()
    twin.forward(X)  # whose batch statistics move the same buffers
    twin.flush_gradients()
    model.fit(X, y, 2, 5, verbose=None)
    twin.fit(X, y, 2, 5, verbose=None)
    assert model.history == twin.history


@pytest.mark.parametrize("depth", [1, 10, 25])
def test_names_and_numbers_have_room(depth, rng):
    X, y = rng.normal(size=(8, 10)), rng.integers(0, 2, 8)
    layers = [*(["fc(10, 'sigmoid')", "batch_norm", "dropout(0.1)"] * depth)[: depth - 1], 2]
    ax = plotting.error_flow(DFN(layers=layers, seed=0).initialize(X), X, y)
    assert overlapping(ax) == []
    boxes = [patch.get_window_extent() for patch in ax.patches]
    names = [text.get_window_extent() for text in ax.texts if re.match(r"[A-Z]\w+\d", text.get_text())]
    assert len(boxes) == len(names) == depth
    assert all(box.x0 <= name.x0 and name.x1 <= box.x1 for box, name in zip(boxes, names, strict=True))
    assert all(box.y0 <= name.y0 and name.y1 <= box.y1 for box, name in zip(boxes, names, strict=True))


def test_flows_that_cannot_be_drawn_say_so():
    X, y = np.eye(3), np.asarray([0, 1, 2])
    model = DFN(4, 3, seed=0)
    with pytest.raises(ValueError, match="no parameters yet"):
        plotting.error_flow(model, X, y)
    model.initialize(X)
    with pytest.raises(ValueError, match="X must have the 3 columns"):
        plotting.error_flow(model, X[:, :2], y)
    with pytest.raises(ValueError, match="same number of rows"):
        plotting.error_flow(model, X, y[:2])
    with pytest.raises(ValueError, match=r"y must lie in \[0, 2\]"):
        plotting.error_flow(model, X, y + 1)
