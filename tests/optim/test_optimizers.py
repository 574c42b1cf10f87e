import numpy as np
import pytest
from parts import OPTIMIZERS

from xdfn import DFN, SGD, AdaDelta, AdaGrad, Adam, AdamW, FullyConnected, Momentum, Nadam, RAdam, RMSProp
from xdfn.optim.base import optimizers


@pytest.mark.parametrize("spec", OPTIMIZERS)
def test_two_steps_by_hand(backend, spec):
    opt = optimizers.resolve(spec)
    p = backend.array([[1.0]])
    for g in (0.5, -0.25):
        p = opt(p, backend.array([[g]]), "W")
    assert float(backend.numpy(p)[0, 0]) == pytest.approx(OPTIMIZERS[spec], rel=1e-14)


@pytest.mark.parametrize("spec", OPTIMIZERS)
def test_a_call_writes_to_no_argument_and_keeps_the_dtype(backend, spec, rng):
    opt = optimizers.resolve(spec)
    values, gradient = rng.normal(size=(3, 2)), rng.normal(size=(3, 2))
    p, g = backend.array(values, "float32"), backend.array(gradient, "float32")
    q = opt(p, g, "W")
    r = opt(q, g, "W")
    kept = backend.numpy(q).copy()
    opt(r, g, "W")
    assert q.dtype == p.dtype
    assert (backend.numpy(p) == values.astype("float32")).all()
    assert (backend.numpy(g) == gradient.astype("float32")).all()
    assert (backend.numpy(q) == kept).all()


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


def test_memory_is_kept_by_name():
    opt = Momentum(0.1, 0.9)
    p = np.zeros(1)
    opt(p, np.ones(1), "W")
    assert opt(p, np.ones(1), "b").item() == pytest.approx(-0.1)
    assert opt(p, np.ones(1), "W").item() == pytest.approx(-0.19)
    assert opt == Momentum(0.1, 0.9)


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
