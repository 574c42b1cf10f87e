"""Normalisation against PyTorch, and by hand."""

import numpy as np
import pytest

from xdfn import DFN, BatchNorm, Context, FullyConnected, LayerNorm
from xdfn.backend import product, random


def filled(layer, rng, n_in):
    """The layer's arrays away from ones and zeros."""
    params, buffers, _ = layer.init(random.generator(1, random.WEIGHTS), n_in)
    params = {name: rng.normal(size=p.shape) for name, p in params.items()}
    return params, {name: rng.uniform(0.5, 2, size=s.shape) for name, s in buffers.items()}


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


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
