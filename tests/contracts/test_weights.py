"""A row of weight k is k rows, and a row of weight 0 is none: exactly, for every loss, everywhere."""

import numpy as np
import pytest
from parts import LOSSES

from xdfn import DFN, Accuracy, BatchNorm, FullyConnected, MetricBase
from xdfn.nn.losses import losses

COUNTS = np.asarray([1, 0, 2, 1, 3, 1, 0, 1, 1, 2, 1, 4])
N, M = 12, 4
AGAIN = np.repeat(np.arange(N), COUNTS)


def network(loss, **more):
    hidden = FullyConnected(5, "tanh", "glorot_uniform")
    layers = [hidden, BatchNorm(), FullyConnected(M, "affine", "glorot_uniform")]
    return DFN(layers=layers, loss=loss, optimizer="adam(lr=0.05)", seed=1, **more)


def same(backend, a, b):
    """Two models after two full-batch steps: losses and all arrays."""
    np.testing.assert_allclose(a.history["loss"], b.history["loss"], rtol=1e-12)
    for name, layer in a.layers.items():
        other = b.layers[name]
        for ours, theirs in ((layer.params, other.params), (layer.buffers, other.buffers)):
            for key in ours:
                np.testing.assert_allclose(
                    backend.numpy(ours[key]),
                    backend.numpy(theirs[key]),
                    rtol=1e-12,
                    atol=1e-12,
                    err_msg=f"{name} {key}",
                )


@pytest.mark.parametrize("spec", LOSSES)
def test_weight_k_is_k_rows_and_weight_0_is_none(backend, spec, rng):
    X, y = rng.normal(size=(N, 4)), LOSSES[spec](rng, N, M)
    weighted, repeated = network(spec), network(spec)
    kwargs = {"n_epochs": 2, "batch_size": 64, "verbose": None}
    weighted.fit(backend.array(X), backend.array(y), sample_weight=backend.array(COUNTS), **kwargs)
    repeated.fit(backend.array(X[AGAIN]), backend.array(y[AGAIN]), **kwargs)
    same(backend, weighted, repeated)


@pytest.mark.parametrize("scale", [1.0, 0.37, 1e4])
def test_only_the_proportions_of_weights_matter(scale, rng):
    X, y = rng.normal(size=(N, 4)), rng.integers(0, M, N)
    a = network("cross_entropy").fit(X, y, 3, 5, verbose=None, sample_weight=COUNTS.astype(float))
    b = network("cross_entropy").fit(X, y, 3, 5, verbose=None, sample_weight=scale * COUNTS)
    np.testing.assert_allclose(a.history["loss"], b.history["loss"], rtol=1e-12)
    ones = network("cross_entropy").fit(X, y, 3, 5, verbose=None, sample_weight=np.full(N, scale))
    none = network("cross_entropy").fit(X, y, 3, 5, verbose=None)
    np.testing.assert_allclose(ones.history["loss"], none.history["loss"], rtol=1e-12)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 3.0, 2: 0.25}])
@pytest.mark.parametrize("one_hot", [True, False])
def test_class_weights_with_sample_weights_are_those_of_repeated_rows(backend, class_weight, one_hot, rng):
    X, y = rng.normal(size=(N, 4)), rng.integers(0, M, N)
    y = np.eye(M)[y] if one_hot else y
    kwargs = {"n_epochs": 2, "batch_size": 64, "verbose": None, "class_weight": class_weight}
    weighted, repeated = network("cross_entropy"), network("cross_entropy")
    weighted.fit(backend.array(X), backend.array(y), sample_weight=backend.array(COUNTS), **kwargs)
    repeated.fit(backend.array(X[AGAIN]), backend.array(y[AGAIN]), **kwargs)
    same(backend, weighted, repeated)


@pytest.mark.parametrize("dtype", ["float64", "int32", "bool"])
def test_class_weights_of_a_binary_question_in_any_dtype(backend, dtype, rng):
    X, y = rng.normal(size=(40, 3)), rng.integers(0, 2, 40)
    more = {"class_weight": "balanced", "validation_fraction": 0.25, "verbose": 0}
    model = DFN(layers=[4, 1], loss="binary_cross_entropy", seed=0)
    model.fit(backend.array(X), backend.array(y.astype(dtype)), 2, 10, **more)
    numpys = DFN(layers=[4, 1], loss="binary_cross_entropy", seed=0).fit(X, y, 2, 10, **more)
    np.testing.assert_allclose(model.history["loss"], numpys.history["loss"], rtol=1e-10)


def test_class_weights_of_a_binary_question(rng):
    X, y = rng.normal(size=(40, 2)), (rng.random(40) < 0.2).astype(int)
    layers = [FullyConnected(1, "affine", "glorot_uniform")]
    model = DFN(layers=layers, loss="bce", optimizer="sgd(lr=0.1)", seed=0)
    other = DFN(layers=layers, loss="bce", optimizer="sgd(lr=0.1)", seed=0)
    model.fit(X, y, 5, 40, verbose=None, class_weight="balanced")
    other.fit(X, y, 5, 40, verbose=None, sample_weight=np.where(y == 1, 20 / y.sum(), 20 / (40 - y.sum())))
    assert model.history["loss"] == pytest.approx(other.history["loss"], rel=1e-12)


def test_weights_reach_streamed_rows(backend, rng):
    X, y = rng.normal(size=(N, 4)), rng.integers(0, M, N)
    resident, streamed = network("cross_entropy"), network("cross_entropy")
    fit = {"n_epochs": 3, "batch_size": 5, "verbose": None, "class_weight": "balanced", "validation_fraction": 0.3}
    resident.fit(backend.array(X), backend.array(y), sample_weight=backend.array(COUNTS), **fit)
    streamed.fit(X, y, sample_weight=COUNTS, device=backend.array(X), **fit)
    assert resident.history == streamed.history


def test_losses_in_the_notebooks_style_validate_and_take_no_weights(rng):
    class Half(type(losses.resolve("squared_error"))):
        def loss(self, y_true, y_pred):
            return 0.5 * np.mean(np.sum((y_true - y_pred) ** 2, axis=1))

        def grad(self, y_true, y_pred):
            return (y_pred - y_true) / len(y_true)

    X, y = rng.normal(size=(N, 4)), rng.normal(size=(N, M))
    model = network(Half()).fit(X, y, 2, 5, verbose=None, validation_data=(X, y))
    expected = network("squared_error").fit(X, y, 2, 5, verbose=None, validation_data=(X, y))
    np.testing.assert_allclose(model.history["val_loss"], expected.history["val_loss"], rtol=1e-12)
    with pytest.raises(ValueError, match="takes no sample weights"):
        model.fit(X, y, 1, 5, verbose=None, sample_weight=COUNTS)


def test_a_metric_of_ones_own(backend, rng):
    class Share(MetricBase):
        """The share of rows that are said to be of class 0."""

        def part(self, y, z, weight, loss):
            w = backend_ones(z) if weight is None else weight
            xp = namespace(z)
            said = xp.astype(loss.decide(z) == 0, z.dtype)
            return xp.stack([xp.sum(w * said), xp.sum(w)])

    from xdfn.backend import namespace

    def backend_ones(z):
        return namespace(z).ones_like(z[:, 0])

    def right(y_true, y_pred):
        xp = namespace(y_pred)
        return xp.mean(xp.astype(xp.astype(y_pred, y_true.dtype) == y_true, xp.float64))

    X, y = rng.normal(size=(3000, 4)), rng.integers(0, M, 3000)  # three pieces
    model = network("cross_entropy")
    data = backend.array(X), backend.array(y)
    model.fit(*data, 1, 500, None, validation_data=data, metrics=[Share(), right, Accuracy()])
    said = backend.numpy(model.predict(data[0]))
    assert model.history["val_share"] == [pytest.approx(np.mean(said == 0))]
    assert model.history["val_right"] == [pytest.approx(np.mean(said == y))]
    assert model.history["val_accuracy"] == [pytest.approx(np.mean(said == y))]
    assert model.evaluate(*data, metric=right) == pytest.approx(np.mean(said == y))
