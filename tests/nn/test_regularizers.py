"""Penalties, constraints, clipping and averages: by difference quotients, by hand and against PyTorch."""

import numpy as np
import pytest
from parts import CONSTRAINTS, REGULARIZERS

from xdfn import DFN, L2, SGD, SGDW, FullyConnected, MaxNorm
from xdfn.nn.regularizers import constraints, regularizers


@pytest.mark.parametrize("spec", REGULARIZERS)
def test_gradients_are_difference_quotients(backend, spec, rng):
    part, W, h = regularizers.resolve(spec), rng.normal(size=(5, 4)), 1e-6
    gradient = backend.numpy(backend.call(part.grad, backend.array(W)))
    for r in rng.normal(size=(3, 5, 4)):
        quotient = (part.value(W + h * r) - part.value(W - h * r)) / (2 * h)
        assert np.sum(gradient * r) == pytest.approx(quotient, rel=1e-7)
        assert backend.numpy(part.value(backend.array(r))) == pytest.approx(part.value(r), rel=1e-12)


def test_penalties_by_hand():
    W = np.asarray([[3.0, -4.0], [0.0, 0.5]])
    assert regularizers.resolve("l1(0.5)").value(W) == 0.5 * 7.5
    assert regularizers.resolve("l2(0.5)").value(W) == 0.25 * 25.25
    assert regularizers.resolve("elastic_net(l1=0.5, l2=0.5)").value(W) == 0.5 * 7.5 + 0.25 * 25.25
    assert regularizers.resolve("l1(0.5)").grad(W).tolist() == [[0.5, -0.5], [0.0, 0.5]]


@pytest.mark.parametrize("spec", CONSTRAINTS)
def test_a_projection_is_allowed_and_stays(backend, spec, rng):
    part, W = constraints.resolve(spec), rng.normal(size=(5, 4)) * [0.0, 0.1, 1.0, 10.0]
    once = backend.numpy(backend.call(part.project, backend.array(W)))
    lengths = np.linalg.norm(once, axis=0)
    np.testing.assert_allclose(lengths, np.minimum(np.linalg.norm(W, axis=0), 0.7), rtol=1e-12)
    np.testing.assert_allclose(once * np.linalg.norm(W, axis=0), W * lengths, rtol=1e-12)  # the direction stays
    np.testing.assert_allclose(part.project(once), once, rtol=1e-12)


def network(optimizer="sgd(lr=0.1)", hidden=None, **more):
    hidden = hidden or {}
    layers = [FullyConnected(6, "tanh", "glorot_uniform", **hidden), FullyConnected(3, "affine", "glorot_uniform")]
    return DFN(layers=layers, optimizer=optimizer, seed=2, **more)


@pytest.fixture
def data(rng):
    return rng.normal(size=(20, 4)), rng.integers(0, 3, 20)


def weights(backend, model):
    return {(n, k): backend.numpy(v) for n, layer in model.layers.items() for k, v in layer.params.items()}


def alike(backend, a, b, rtol=1e-12):
    for name, value in weights(backend, a).items():
        np.testing.assert_allclose(value, weights(backend, b)[name], rtol=rtol, atol=1e-12, err_msg=str(name))


def test_l2_with_plain_sgd_is_its_weight_decay(backend, data):
    X, y = map(backend.array, data)
    rule = {"regularizer": L2(0.05)}
    layers = [
        FullyConnected(6, "tanh", "glorot_uniform", **rule),
        FullyConnected(3, "affine", "glorot_uniform", **rule),
    ]
    a = DFN(layers=layers, optimizer="sgd(lr=0.1)", seed=2).fit(X, y, 4, 8, verbose=None)
    b = network(SGD(0.1, weight_decay=0.05)).fit(X, y, 4, 8, verbose=None)
    alike(backend, a, b)
    np.testing.assert_allclose(a.history["loss"], b.history["loss"], rtol=1e-12)  # penalties are not in the loss


def test_decoupled_decay_shrinks_before_the_step(data):
    torch = pytest.importorskip("torch")
    p = torch.tensor([1.0, -2.0], dtype=torch.float64)
    rule = SGDW(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.5)
    theirs = torch.nn.Parameter(p.clone())
    optimizer = torch.optim.SGD([theirs], lr=0.1, momentum=0.9, nesterov=True)
    ours = p.numpy().copy()
    for g in ([0.5, 1.0], [-0.25, 0.5], [0.1, 0.1]):
        ours = rule(ours, np.asarray(g), "W")
        with torch.no_grad():
            theirs *= 1 - 0.1 * 0.5
        theirs.grad = torch.tensor(g, dtype=torch.float64)
        optimizer.step()
    np.testing.assert_allclose(ours, theirs.detach(), rtol=1e-12)
    X, y = data
    a = network("sgd(lr=0.1, weight_decay=0.3)").fit(X, y, 3, 8, verbose=None)
    b = network("sgdw(lr=0.1, weight_decay=0.3)").fit(X, y, 3, 8, verbose=None)
    alike(type("", (), {"numpy": staticmethod(np.asarray)}), a, b)  # without momentum they are one


@pytest.mark.parametrize("optimizer", ["sgd(lr=3.0)", "adam(lr=0.5)"])
def test_columns_stay_within_the_limit(backend, optimizer, data):
    X, y = map(backend.array, data)
    model = network(optimizer, {"constraint": MaxNorm(1.2)}).fit(X, y, 5, 8, verbose=None)
    lengths = np.linalg.norm(backend.numpy(model.layers["FC1"].params["W"]), axis=0)
    assert lengths.max() <= 1.2 * (1 + 1e-12)
    assert np.isclose(lengths, 1.2).any()
    free = network(optimizer).fit(X, y, 5, 8, verbose=None)
    assert np.linalg.norm(backend.numpy(free.layers["FC1"].params["W"]), axis=0).max() > 1.5


def test_penalty_constraint_and_clipping_in_one_step_by_hand(backend, data):
    """One full batch of plain SGD: gradient + penalty, cut, scaled, a step, projected."""
    X, y = data
    rules = {"regularizer": L2(0.7), "constraint": MaxNorm(0.9)}
    start = weights(backend, network().initialize(X))
    plain = network("sgd(lr=1.0)").fit(X, y, 1, 20, verbose=None)
    gradients = {name: start[name] - value for name, value in weights(backend, plain).items()}
    gradients["FC1", "W"] = gradients["FC1", "W"] + 0.7 * start["FC1", "W"]
    gradients = {name: np.clip(g, -0.1, 0.1) for name, g in gradients.items()}
    norm = np.sqrt(sum(np.sum(g * g) for g in gradients.values()))
    assert norm > 0.2
    expected = {name: start[name] - 0.5 * g * 0.2 / norm for name, g in gradients.items()}
    expected["FC1", "W"] = MaxNorm(0.9).project(expected["FC1", "W"])
    model = network("sgd(lr=0.5)", rules, clip_value=0.1, clip_norm=0.2)
    model.fit(backend.array(X), backend.array(y), 1, 20, verbose=None)
    for name, value in weights(backend, model).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-10, atol=1e-12)


def test_clipping_is_pytorchs(data):
    torch = pytest.importorskip("torch")
    X, y = data
    for clip, function in (("clip_norm", "clip_grad_norm_"), ("clip_value", "clip_grad_value_")):
        start = network().initialize(X)
        net = torch.nn.Sequential(
            torch.nn.Linear(4, 6, dtype=torch.float64), torch.nn.Tanh(), torch.nn.Linear(6, 3, dtype=torch.float64)
        )
        with torch.no_grad():
            for linear, layer in zip((net[0], net[2]), start.layers.values(), strict=True):
                linear.weight.copy_(torch.tensor(layer.params["W"].T))
                linear.bias.copy_(torch.tensor(layer.params["b"][0]))
        optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
        for _ in range(3):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(torch.tensor(X)), torch.tensor(y)).backward()
            getattr(torch.nn.utils, function)(net.parameters(), 0.05)
            optimizer.step()
        model = network("sgd(lr=1.0)", **{clip: 0.05}).fit(X, y, 3, 20, verbose=None)
        # PyTorch adds 1e-6 to the norm that it divides by, which is 0.05 and more here
        np.testing.assert_allclose(model.layers["FC1"].params["W"], net[0].weight.detach().numpy().T, rtol=2e-4)
        np.testing.assert_allclose(model.layers["FC2"].params["W"], net[2].weight.detach().numpy().T, rtol=2e-4)
        free = network("sgd(lr=1.0)").fit(X, y, 3, 20, verbose=None)
        assert not np.allclose(free.layers["FC1"].params["W"], model.layers["FC1"].params["W"], rtol=1e-2)


def test_small_gradients_are_not_clipped(data):
    X, y = data
    a = network("adam").fit(X, y, 2, 8, verbose=None)
    b = network("adam", clip_norm=1e6, clip_value=1e6).fit(X, y, 2, 8, verbose=None)
    assert a.history == b.history


@pytest.mark.parametrize("optimizer", ["sgd(lr=0.1)", "adam(lr=0.05)"])
def test_averages_by_hand(backend, optimizer, data):
    """Weights after every step from a model trained step by step; the average as the docstring says."""
    X, y = data
    there = backend.array(X), backend.array(y)
    stepwise, averaged = network(optimizer), network(optimizer, ema=0.6)
    expected = weights(backend, network().initialize(X))
    for t in range(12):
        stepwise.fit(*there, 1, 20, verbose=None)
        d = min(0.6, (1 + t) / (10 + t))
        expected = {n: d * a + (1 - d) * weights(backend, stepwise)[n] for n, a in expected.items()}
    averaged.fit(*there, 5, 20, verbose=None).fit(*there, 7, 20, verbose=None)
    alike(backend, averaged, stepwise)  # the parameters themselves
    hidden = np.tanh(X @ expected["FC1", "W"] + expected["FC1", "b"])
    z = hidden @ expected["FC2", "W"] + expected["FC2", "b"]
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(backend.numpy(averaged.predict_proba(there[0])), p, rtol=1e-9)
    assert averaged.evaluate(*there, metric="loss") == pytest.approx(-np.log(p[np.arange(20), y]).mean(), rel=1e-9)
    np.testing.assert_allclose(backend.numpy(averaged.activations(there[0])["FC1"]), hidden, rtol=1e-9)


def test_averages_are_saved_moved_and_left_behind_by_assignment(backend, data, tmp_path):
    X, y = map(backend.array, data)
    model = network("adam(lr=0.05)", ema=0.9).fit(X, y, 3, 8, verbose=None)
    p = backend.numpy(model.predict_proba(X))
    model.save(tmp_path / "m.npz")
    loaded = DFN.load(tmp_path / "m.npz", X)
    assert loaded.ema == 0.9
    assert (backend.numpy(loaded.predict_proba(X)) == p).all()
    assert loaded.fit(X, y, 2, 8, verbose=None).history == model.fit(X, y, 2, 8, verbose=None).history
    assert (backend.numpy(loaded.predict_proba(X)) == backend.numpy(model.predict_proba(X))).all()
    served = DFN.load(tmp_path / "m.npz").predict_proba(data[0])
    np.testing.assert_allclose(served, p, rtol=1e-12)
    for name, layer in loaded.layers.items():
        layer.params = {key: value + 0.0 for key, value in loaded.layers[name].params.items()}
    raw = network("adam(lr=0.05)").fit(X, y, 5, 8, verbose=None)
    np.testing.assert_allclose(backend.numpy(loaded.predict_proba(X)), backend.numpy(raw.predict_proba(X)), rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "value"), [("ema", 1.0), ("ema", -0.1), ("clip_norm", 0), ("clip_value", -1), ("clip_norm", "x")]
)
def test_bad_values_are_said(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a number"):
        network(**{name: value})
    with pytest.raises(ValueError, match=f"{name} must be a number"):
        setattr(network(), name, value)
