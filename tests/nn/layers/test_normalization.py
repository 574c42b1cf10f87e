"""Normalisation, noise, learned activations and blocks, against PyTorch and by hand."""

import numpy as np
import pytest

from xdfn import (
    DFN,
    BatchNorm,
    Context,
    Dropout,
    FullyConnected,
    GaussianNoise,
    LayerNorm,
    Maxout,
    PReLU,
    Residual,
    random,
)
from xdfn.backend import place, product


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def filled(layer, rng, n_in):
    """The layer's arrays away from ones and zeros."""
    params, buffers, _ = layer.init(random.generator(1, random.WEIGHTS), n_in)
    params = {name: rng.normal(size=p.shape) for name, p in params.items()}
    return params, {name: rng.uniform(0.5, 2, size=s.shape) for name, s in buffers.items()}


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_is_pytorchs(torch, rng, training):
    x, dy = rng.normal(2, 3, size=(7, 4)), rng.normal(size=(7, 4))
    layer = BatchNorm(momentum=0.8, eps=1e-3)
    params, buffers = filled(layer, rng, 4)
    theirs = torch.nn.BatchNorm1d(4, eps=1e-3, momentum=0.2, dtype=torch.float64).train(training)
    with torch.no_grad():
        for ours, name in (("gamma", "weight"), ("beta", "bias")):
            getattr(theirs, name).copy_(torch.tensor(params[ours][0]))
        theirs.running_mean.copy_(torch.tensor(buffers["mean"][0]))
        theirs.running_var.copy_(torch.tensor(buffers["var"][0]))
    there = torch.tensor(x, requires_grad=True)
    expected = theirs(there)
    expected.backward(torch.tensor(dy))
    y, cache, after = layer.apply(params, buffers, x, Context((1, 0), 1 / 7) if training else None)
    dx, gradients = layer.pullback(params, cache, dy)
    close = {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(y, expected.detach(), **close)
    np.testing.assert_allclose(dx, there.grad, **close)
    np.testing.assert_allclose(product(gradients["gamma"])[0], theirs.weight.grad, **close)
    np.testing.assert_allclose(product(gradients["beta"])[0], theirs.bias.grad, **close)
    np.testing.assert_allclose(after["mean"][0], theirs.running_mean, **close)
    if training:  # PyTorch's running variance is that of the batch times n / (n - 1)
        np.testing.assert_allclose(after["var"][0], 0.8 * buffers["var"][0] + 0.2 * x.var(axis=0), **close)
    else:
        assert after is buffers


def test_batch_norm_with_weights_is_that_of_repeated_rows(backend, rng):
    x, dy, counts = rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), np.asarray([2, 0, 1, 3, 1])
    layer = BatchNorm()
    params, buffers = filled(layer, rng, 3)
    again = np.repeat(np.arange(5), counts)
    y, cache, after = layer.apply(params, buffers, x[again], Context((1, 0), 1 / 7))
    dx, gradients = layer.pullback(params, cache, dy[again])
    there = lambda tree: {name: backend.array(value) for name, value in tree.items()}  # noqa: E731
    ctx = Context((1, 0), backend.array(counts / 7))
    ours, cache, ours_after = layer.apply(there(params), there(buffers), backend.array(x), ctx)
    ours_dx, ours_gradients = layer.pullback(there(params), cache, backend.array(dy * counts[:, None]))
    kept = counts > 0
    first = np.searchsorted(again, np.flatnonzero(kept))
    np.testing.assert_allclose(backend.numpy(ours)[kept], y[first], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(backend.numpy(ours_dx)[kept], (dx[first].T * counts[kept]).T, rtol=1e-10, atol=1e-12)
    assert (backend.numpy(ours_dx)[~kept] == 0).all()
    for name in gradients:
        np.testing.assert_allclose(
            backend.numpy(product(ours_gradients[name])), product(gradients[name]), rtol=1e-12, atol=1e-12
        )
    for name in buffers:
        np.testing.assert_allclose(backend.numpy(ours_after[name]), after[name], rtol=1e-12)


def test_batch_norm_where_all_rows_have_weight_0(backend, rng):
    layer = BatchNorm()
    params, buffers, _ = layer.init(None, 3)
    params, buffers = ({name: backend.array(value) for name, value in tree.items()} for tree in (params, buffers))
    ctx = Context((1, 0), backend.array(np.zeros(4)))
    y, cache, after = layer.apply(params, buffers, backend.array(rng.normal(size=(4, 3))), ctx)
    dx, _ = layer.pullback(params, cache, backend.array(np.zeros((4, 3))))
    assert np.isfinite(backend.numpy(y)).all()
    assert (backend.numpy(dx) == 0).all()
    for name in buffers:
        assert (backend.numpy(after[name]) == backend.numpy(buffers[name])).all()


def test_a_short_last_batch_counts_for_its_rows(rng):
    """Two batches of 4 and one of 2: the running mean by hand, in the order in which fit takes the rows."""
    X, y = rng.normal(size=(10, 2)), rng.normal(size=(10, 1))
    model = DFN(
        layers=[BatchNorm(momentum=0.6), FullyConnected(1, "affine", "he_normal")], loss="squared_error", seed=3
    )
    model.fit(X, y, 2, 4, verbose=None)
    mean, var = np.zeros(2), np.ones(2)
    for epoch in range(2):
        order = random.permutation(3, epoch, 10)
        for rows in (order[:4], order[4:8], order[8:]):
            k = 0.6 ** (len(rows) / 4)
            mean = k * mean + (1 - k) * X[rows].mean(axis=0)
            var = k * var + (1 - k) * X[rows].var(axis=0)
    np.testing.assert_allclose(model.layers["BatchNorm1"].buffers["mean"][0], mean, rtol=1e-12)
    np.testing.assert_allclose(model.layers["BatchNorm1"].buffers["var"][0], var, rtol=1e-12)
    hidden = (X - mean) / np.sqrt(var + 1e-5) * model.layers["BatchNorm1"].params["gamma"]
    hidden = hidden + model.layers["BatchNorm1"].params["beta"]
    np.testing.assert_allclose(model.activations(X)["BatchNorm1"], hidden, rtol=1e-12)  # inference by these
    with pytest.raises(ValueError, match=r"BatchNorm1.*at least 2 rows, got 1"):
        model.fit(X, y, 1, 1)


def test_layer_norm_is_pytorchs(torch, rng):
    x, dy = rng.normal(2, 3, size=(7, 4)), rng.normal(size=(7, 4))
    layer = LayerNorm(eps=1e-3)
    params, _ = filled(layer, rng, 4)
    there = [torch.tensor(v, requires_grad=True) for v in (x, params["gamma"][0], params["beta"][0])]
    expected = torch.nn.functional.layer_norm(there[0], (4,), there[1], there[2], 1e-3)
    expected.backward(torch.tensor(dy))
    y, cache, _ = layer.apply(params, {}, x)
    dx, gradients = layer.pullback(params, cache, dy)
    np.testing.assert_allclose(y, expected.detach(), rtol=1e-12, atol=1e-12)
    for ours, theirs in zip((dx, *(product(gradients[n])[0] for n in ("gamma", "beta"))), there, strict=True):
        np.testing.assert_allclose(ours, theirs.grad, rtol=1e-12, atol=1e-12)


def test_prelu_is_pytorchs(torch, rng):
    x, dy, alpha = rng.normal(size=(7, 4)), rng.normal(size=(7, 4)), rng.normal(size=(1, 4))
    there = [torch.tensor(v, requires_grad=True) for v in (x, alpha[0])]
    expected = torch.nn.functional.prelu(*there)
    expected.backward(torch.tensor(dy))
    layer = PReLU()
    assert (layer.init(None, 4)[0]["alpha"] == 0.25).all()
    y, cache, _ = layer.apply({"alpha": alpha}, {}, x)
    dx, gradients = layer.pullback({"alpha": alpha}, cache, dy)
    np.testing.assert_allclose(y, expected.detach(), rtol=1e-15)
    np.testing.assert_allclose(dx, there[0].grad, rtol=1e-15)
    np.testing.assert_allclose(product(gradients["alpha"])[0], there[1].grad, rtol=1e-12)


def test_maxout_by_hand(rng):
    layer, x = Maxout(2, 3, "he_normal", init_b="random_normal"), rng.normal(size=(4, 5))
    params, _, n_out = layer.init(random.generator(0, random.WEIGHTS), 5)
    assert (params["W"].shape, params["b"].shape, n_out) == ((5, 6), (1, 6), 2)
    y, cache, _ = layer.apply(params, {}, x)
    pieces = [x @ params["W"][:, 2 * k : 2 * k + 2] + params["b"][:, 2 * k : 2 * k + 2] for k in range(3)]
    np.testing.assert_allclose(y, np.max(pieces, axis=0), rtol=1e-12)
    ties = np.zeros((1, 5)), {"W": np.zeros((5, 6)), "b": np.zeros((1, 6))}
    _, cache, _ = layer.apply(ties[1], {}, ties[0])
    assert product(layer.pullback(ties[1], cache, np.ones((1, 2)))[1]["b"]).tolist() == [[1, 1, 0, 0, 0, 0]]


def test_gaussian_noise(backend):
    layer, x = GaussianNoise(0.5), np.full((300, 400), 2.0)
    key = random.mask_key(3, 1, 7)
    y = layer.apply({}, {}, backend.array(x), Context(key))[0]
    noise = (backend.numpy(y) - x) / 0.5
    np.testing.assert_allclose(noise, (layer.apply({}, {}, x, Context(key))[0] - x) / 0.5, rtol=1e-9, atol=1e-12)
    n = noise.size  # within five standard errors of a normal distribution's moments 0, 1, 0, 3
    for power, moment, error in ((1, 0, 1), (2, 1, 2**0.5), (3, 0, 15**0.5), (4, 3, 96**0.5)):
        assert np.mean(noise**power) == pytest.approx(moment, abs=5 * error / n**0.5)
    assert np.mean(noise[:, 1:] * noise[:, :-1]) == pytest.approx(0, abs=5 / n**0.5)
    assert layer.forward(x, retain_derived=False) is x


def test_a_residual_block_is_its_input_plus_its_layers(rng):
    inner = [FullyConnected(6, "tanh", "he_normal"), Dropout(0.5), FullyConnected(4, "affine", "he_normal")]
    block, x = Residual(inner), rng.normal(size=(5, 4))
    block.initialize(4, place(x), x.dtype, np.random.default_rng(0))
    p = block.params
    expected = x + np.tanh(x @ p["FC1.W"] + p["FC1.b"]) @ p["FC2.W"] + p["FC2.b"]
    np.testing.assert_allclose(block.forward(x, retain_derived=False), expected, rtol=1e-12)
    assert (block.forward(x) != expected).any()
    assert str(block).count("optimizer") == 1
    with pytest.raises(ValueError, match="its layers make 3 outputs of 4 inputs"):
        DFN(layers=[Residual([FullyConnected(3, "relu", "he_normal")])]).initialize(x)
    with pytest.raises(ValueError, match="FC1 has an optimizer of its own"):
        Residual([FullyConnected(3, "relu", "he_normal", "adam")])


def test_blocks_in_blocks_train_save_and_load(backend, tmp_path, rng):
    """Each inner dropout has masks of its own, and decay, regulariser and constraint find their way to the weights."""
    X, y = rng.normal(size=(64, 4)), rng.integers(0, 3, 64)
    hidden = FullyConnected(4, "relu", "he_normal", regularizer="l2(0.01)", constraint="max_norm(0.5)")
    block = Residual([hidden, Dropout(0.3), Residual([BatchNorm(), hidden, Dropout(0.3)])])
    layers = [block, FullyConnected(3, "affine", "he_normal")]
    model = DFN(layers=layers, optimizer="adamw(weight_decay=0.1)", seed=0)
    model.fit(backend.array(X), backend.array(y), 3, 16, verbose=None)
    norms = np.linalg.norm(backend.numpy(model.layers["Residual1"].params["Residual1.FC1.W"]), axis=0)
    assert (norms < 0.5 + 1e-9).all()
    assert norms.max() > 0.45  # of columns that began with lengths of some 1.4
    keys = np.asarray([k for k in _flat(model.layers["Residual1"].keys(0, 0, 0)) if k != (1, 0)])
    assert len({tuple(k) for k in keys}) == 2
    model.save(tmp_path / "m.npz")
    loaded = DFN.load(tmp_path / "m.npz", backend.array(X))
    assert (backend.numpy(loaded.predict(backend.array(X))) == backend.numpy(model.predict(backend.array(X)))).all()
    again = loaded.fit(backend.array(X), backend.array(y), 1, 16, verbose=None).history
    assert again == model.fit(backend.array(X), backend.array(y), 1, 16, verbose=None).history


def _flat(keys):
    return [keys] if isinstance(keys[0], int) else [key for part in keys for key in _flat(part)]
