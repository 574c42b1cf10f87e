"""From gradients to parameters: penalties, clipping, rules."""

import numpy as np
import pytest
from fits import alike, tanh_network, weights
from steps import network

from xdfn import DFN, L2, Adam, FullyConnected, MaxNorm, OptimizerBase
from xdfn import backend as door
from xdfn.backend import _numpy
from xdfn.optim.base import optimizers
from xdfn.train.update import DirectUpdate, RuleUpdate, apply_rule


@pytest.mark.parametrize("spec", [str(cls(lr=0.01)) for cls in optimizers.classes])
def test_an_optimizer_in_numpy_is_the_whole(spec, rng, monkeypatch):
    rule = optimizers.resolve(spec)
    p, g = (rng.normal(size=1000).astype("f4") for _ in range(2))
    whole, slots = rule.apply(p.copy(), g.copy(), rule.init_slots(p), rule.rates(1))
    monkeypatch.setattr(_numpy, "IN_CACHE", 64)
    q, memory = p.copy(), rule.init_slots(p)
    moved, after = apply_rule(rule, q, g.copy(), memory, rule.rates(1), None)
    assert moved is q
    assert all(a is b for a, b in zip(after, memory, strict=True))
    assert np.array_equal(moved, whole)
    assert all(np.array_equal(a, b) for a, b in zip(after, slots, strict=True))


def test_an_optimizer_that_makes_new_arrays_and_keeps_the_gradient(backend, rng):
    class Delayed(OptimizerBase):
        slots = ("g",)

        def __init__(self, lr=0.1):
            self.lr = lr

        def apply(self, p, g, slots, rates):
            return p - rates[0] * slots[0], (g,)

    p, g = backend.array(np.ones(5), "f4"), door.fresh_copy(backend.array(np.full(5, 2.0), "f4"))
    rule = Delayed()
    q, slots = apply_rule(rule, door.fresh_copy(p), g, rule.init_slots(p), (0.1,), None)
    assert backend.numpy(q).tolist() == [1.0] * 5
    if door.traits(g).writes:
        g *= 7  # the next step's gradient
    q, slots = apply_rule(rule, q, g, slots, (0.1,), None)
    np.testing.assert_allclose(backend.numpy(q), 0.8, rtol=1e-6)


def test_own_rules_get_the_whole_vector(rng, monkeypatch):
    class Normed(OptimizerBase):
        def __init__(self, lr=0.1):
            self.lr = lr

        def apply(self, p, g, slots, rates):
            return p - rates[0] * g / np.sqrt((g * g).sum()), slots

    monkeypatch.setattr(_numpy, "IN_CACHE", 4)
    p, g = np.zeros(10), np.ones(10)
    np.testing.assert_allclose(apply_rule(Normed(), p, g, (), (0.1,), None)[0], -0.1 / np.sqrt(10))
    assert Adam().elementwise


@pytest.fixture
def data(rng):
    return rng.normal(size=(20, 4)), rng.integers(0, 3, 20)


def test_penalty_constraint_and_clipping_in_one_step_by_hand(backend, data):
    """One full batch of plain SGD: gradient + penalty, cut, scaled, a step, projected."""
    X, y = data
    rules = {"regularizer": L2(0.7), "constraint": MaxNorm(0.9)}
    start = weights(backend, tanh_network().initialize(X))
    plain = tanh_network("sgd(lr=1.0)").fit(X, y, 1, 20, verbose=None)
    gradients = {name: start[name] - value for name, value in weights(backend, plain).items()}
    gradients["FC1", "W"] = gradients["FC1", "W"] + 0.7 * start["FC1", "W"]
    gradients = {name: np.clip(g, -0.1, 0.1) for name, g in gradients.items()}
    norm = np.sqrt(sum(np.sum(g * g) for g in gradients.values()))
    assert norm > 0.2
    expected = {name: start[name] - 0.5 * g * 0.2 / norm for name, g in gradients.items()}
    expected["FC1", "W"] = MaxNorm(0.9).project(expected["FC1", "W"])
    model = tanh_network("sgd(lr=0.5)", rules, clip_value=0.1, clip_norm=0.2)
    model.fit(backend.array(X), backend.array(y), 1, 20, verbose=None)
    for name, value in weights(backend, model).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-10, atol=1e-12)


def test_clipping_is_pytorchs(data):
    torch = pytest.importorskip("torch")
    X, y = data
    for clip, function in (("clip_norm", "clip_grad_norm_"), ("clip_value", "clip_grad_value_")):
        start = tanh_network().initialize(X)
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
        model = tanh_network("sgd(lr=1.0)", **{clip: 0.05}).fit(X, y, 3, 20, verbose=None)
        # PyTorch adds 1e-6 to the norm that it divides by, which is 0.05 and more here
        np.testing.assert_allclose(model.layers["FC1"].params["W"], net[0].weight.detach().numpy().T, rtol=2e-4)
        np.testing.assert_allclose(model.layers["FC2"].params["W"], net[2].weight.detach().numpy().T, rtol=2e-4)
        free = tanh_network("sgd(lr=1.0)").fit(X, y, 3, 20, verbose=None)
        assert not np.allclose(free.layers["FC1"].params["W"], model.layers["FC1"].params["W"], rtol=1e-2)


def test_small_gradients_are_not_clipped(data):
    X, y = data
    a = tanh_network("adam").fit(X, y, 2, 8, verbose=None)
    b = tanh_network("adam", clip_norm=1e6, clip_value=1e6).fit(X, y, 2, 8, verbose=None)
    assert a.history == b.history


@pytest.mark.parametrize(
    ("width", "more", "kind"),
    [
        (200, {}, DirectUpdate),
        (6, {}, RuleUpdate),  # few parameters are moved faster together
        (200, {"clip_norm": 1.0}, RuleUpdate),
        (200, {"clip_value": 1.0}, RuleUpdate),
        (200, {"optimizer": "sgd(lr=0.1, momentum=0.9)"}, RuleUpdate),
        (200, {"optimizer": "adam"}, RuleUpdate),
        (200, {"regularizer": "l2(0.1)"}, RuleUpdate),
    ],
)
def test_plain_sgd_goes_straight_into_the_parameters(rng, width, more, kind):
    x = rng.normal(size=(4, 100))
    hidden = FullyConnected(width, "relu", "he_normal", regularizer=more.pop("regularizer", None))
    model = DFN(layers=[hidden, "fc(3, 'affine', 'he_normal')"], seed=0, **more)
    assert type(network(model, x)[0].move_parameters) is kind


def test_both_ways_are_the_same(backend, rng, monkeypatch):
    X, y = backend.array(rng.normal(size=(20, 4))), backend.array(rng.integers(0, 3, 20))
    models = []
    for least in (0, 10**9):
        monkeypatch.setattr("xdfn.train.update.MIN_DIRECT_PARAMS", least)
        models.append(tanh_network().fit(X, y, 3, 8, None))
    np.testing.assert_allclose(models[0].history["loss"], models[1].history["loss"], rtol=1e-12)
    alike(backend, *models)
