"""What holds for every rule, and the rules against PyTorch."""

import numpy as np
import pytest
from fits import alike, tanh_network
from parts import OPTIMIZERS

from xdfn import DFN, SGD, SGDW, AdaDelta, AdaGrad, Adam, AdamW, FullyConnected, Momentum, Nadam, RAdam, RMSProp
from xdfn.optim.base import optimizers


@pytest.mark.parametrize("spec", OPTIMIZERS)
def test_two_steps_by_hand(backend, spec):
    opt = optimizers.resolve(spec)
    p = backend.array([[1.0]])
    for g in (0.5, -0.25):
        p = opt(p, backend.array([[g]]), "W")
    assert float(backend.numpy(p)[0, 0]) == pytest.approx(OPTIMIZERS[spec], rel=1e-14)


@pytest.mark.parametrize("spec", OPTIMIZERS)
def test_the_rule_is_the_same_compiled(spec, rng):
    jax = pytest.importorskip("jax")
    opt = optimizers.resolve(spec)
    p, g = rng.normal(size=(2, 5, 4))
    slots = tuple(rng.random((5, 4)) for _ in opt.slots)
    compiled = jax.jit(opt.apply)(p, g, slots, opt.rates(3))
    plain = opt.apply(p.copy(), g.copy(), tuple(map(np.copy, slots)), opt.rates(3))
    for ours, theirs in zip(jax.tree.leaves(plain), jax.tree.leaves(compiled), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13)


def test_twenty_steps_of_torch(rng):
    torch = pytest.importorskip("torch")
    pairs = [
        (SGD(0.1), lambda p: torch.optim.SGD(p, lr=0.1)),
        (Momentum(0.1, 0.9), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
        (AdaGrad(0.1), lambda p: torch.optim.Adagrad(p, lr=0.1, eps=1e-7)),
        (RMSProp(0.01, 0.9), lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9, eps=1e-7)),
        (AdaDelta(decay=0.9, eps=1e-6), lambda p: torch.optim.Adadelta(p, lr=1.0, rho=0.9, eps=1e-6)),
        (Adam(0.01), lambda p: torch.optim.Adam(p, lr=0.01, eps=1e-7)),
        (SGD(0.1, 0.9, weight_decay=0.1), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1)),
        (SGD(0.1, 0.9, True), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True)),
        (AdamW(0.01, weight_decay=0.1), lambda p: torch.optim.AdamW(p, lr=0.01, eps=1e-7, weight_decay=0.1)),
        (Nadam(0.01), lambda p: torch.optim.NAdam(p, lr=0.01, eps=1e-7)),
        (RAdam(0.01, decay2=0.99), lambda p: torch.optim.RAdam(p, lr=0.01, betas=(0.9, 0.99), eps=1e-7)),
    ]
    start, gradients = rng.normal(size=(4, 3)), rng.normal(size=(20, 4, 3))
    for ours, make in pairs:
        theirs = torch.nn.Parameter(torch.asarray(start.copy()))
        rule, p = make([theirs]), start
        for g in gradients:
            theirs.grad = torch.asarray(g)
            rule.step()
            p = ours(p, g, "W")
        rtol = 1e-7 if isinstance(ours, Nadam) else 1e-12  # torch keeps the product of Nadam's mu in float32
        np.testing.assert_allclose(p, theirs.detach().numpy(), rtol=rtol, err_msg=str(ours))


@pytest.mark.parametrize("spec", ["sgd(0.1, weight_decay=0.5)", "adamw(0.1, weight_decay=0.5)"])
def test_weights_decay_and_biases_do_not(spec, backend):
    rule = optimizers.resolve(spec)
    p = backend.array([[1.0]])
    g = backend.array([[0.0]])
    assert float(backend.numpy(rule(p, g, "W")[0, 0])) == pytest.approx(0.95)
    assert float(backend.numpy(rule(p, g, "b")[0, 0])) == 1
    layers = [FullyConnected(3, "tanh", "he_normal"), FullyConnected(2, "affine", "he_normal", init_b="constant(0.5)")]
    model = DFN(layers=layers, optimizer=rule, loss="squared_error", seed=0)
    x = backend.array(np.zeros((4, 2)))
    model.initialize(x)
    before = {name: backend.numpy(layer.params["W"]).copy() for name, layer in model.layers.items()}
    model.fit(x, backend.array(np.full((4, 2), 0.5)), 1, 4, verbose=None)  # tanh(0) W + b is right: no gradient
    for name, layer in model.layers.items():
        np.testing.assert_allclose(backend.numpy(layer.params["W"]), 0.95 * before[name], rtol=1e-12)
    assert (backend.numpy(model.layers["FC2"].params["b"]) == 0.5).all()


@pytest.fixture
def data(rng):
    return rng.normal(size=(20, 4)), rng.integers(0, 3, 20)


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
    a = tanh_network("sgd(lr=0.1, weight_decay=0.3)").fit(X, y, 3, 8, verbose=None)
    b = tanh_network("sgdw(lr=0.1, weight_decay=0.3)").fit(X, y, 3, 8, verbose=None)
    alike(type("", (), {"numpy": staticmethod(np.asarray)}), a, b)  # without momentum they are one
