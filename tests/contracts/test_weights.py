"""A row of weight k is k rows, and a row of weight 0 is none: exactly, for every loss, everywhere."""

import numpy as np
import pytest
from parts import LOSSES

from xdfn import DFN, Accuracy, BatchNorm, FullyConnected, MetricBase, ObjectiveBase
from xdfn.nn.losses import losses
from xdfn.train.data import row_weights, split

N, M = 12, 3
COUNTS = np.asarray([1, 0, 2, 1, 3, 1, 0, 1, 1, 2, 1, 4])
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


def test_balanced_is_scikit_learns(rng):
    utils = pytest.importorskip("sklearn.utils.class_weight")
    labels = rng.choice(4, 200, p=[0.5, 0.3, 0.15, 0.05])
    for m in (4, 6):  # two classes more, that do not occur
        ours = row_weights(200, None, "balanced", labels, m, None)
        theirs = utils.compute_sample_weight("balanced", labels)
        np.testing.assert_allclose(ours, theirs / theirs.mean(), rtol=1e-12)
    by_class = {0: 2.0, 3: 0.5}
    ours = row_weights(200, None, by_class, labels, 4, None)
    theirs = utils.compute_sample_weight({0: 2.0, 1: 1.0, 2: 1.0, 3: 0.5}, labels)
    np.testing.assert_allclose(ours, theirs / theirs.mean(), rtol=1e-12)


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


def test_class_weights_of_a_binary_question(rng):
    X, y = rng.normal(size=(40, 2)), (rng.random(40) < 0.2).astype(int)
    layers = [FullyConnected(1, "affine", "glorot_uniform")]
    model = DFN(layers=layers, loss="bce", optimizer="sgd(lr=0.1)", seed=0)
    other = DFN(layers=layers, loss="bce", optimizer="sgd(lr=0.1)", seed=0)
    model.fit(X, y, 5, 40, verbose=None, class_weight="balanced")
    other.fit(X, y, 5, 40, verbose=None, sample_weight=np.where(y == 1, 20 / y.sum(), 20 / (40 - y.sum())))
    assert model.history["loss"] == pytest.approx(other.history["loss"], rel=1e-12)


def test_weights_in_a_validation_and_in_evaluate(backend, rng):
    X, y = rng.normal(size=(N, 4)), rng.integers(0, M, N)
    there = [backend.array(a) for a in (X, y, COUNTS)]
    repeated = [backend.array(a) for a in (X[AGAIN], y[AGAIN])]
    fit = {"n_epochs": 2, "batch_size": 5, "verbose": None, "metrics": ["accuracy", "f1", "balanced_accuracy"]}
    a = network("cross_entropy").fit(there[0], there[1], validation_data=there, **fit)
    b = network("cross_entropy").fit(there[0], there[1], validation_data=repeated, **fit)
    assert a.history.keys() == {"loss", "val_loss", "val_accuracy", "val_f1", "val_balanced_accuracy"}
    for name in a.history:
        np.testing.assert_allclose(a.history[name], b.history[name], rtol=1e-12)
    for metric in (None, "loss", "f1"):
        weighted = a.evaluate(there[0], there[1], metric=metric, sample_weight=there[2])
        assert weighted == pytest.approx(a.evaluate(*repeated, metric=metric), rel=1e-12)


def test_weights_reach_streamed_rows(backend, rng):
    X, y = rng.normal(size=(N, 4)), rng.integers(0, M, N)
    resident, streamed = network("cross_entropy"), network("cross_entropy")
    fit = {"n_epochs": 3, "batch_size": 5, "verbose": None, "class_weight": "balanced", "validation_fraction": 0.3}
    resident.fit(backend.array(X), backend.array(y), sample_weight=backend.array(COUNTS), **fit)
    streamed.fit(X, y, sample_weight=COUNTS, device=backend.array(X), **fit)
    assert resident.history == streamed.history


def test_a_split_is_by_class_and_by_seed(rng):
    labels = rng.choice(3, 1000, p=[0.8, 0.15, 0.05])
    train, val = split(1000, 0.2, labels, 7)
    assert sorted([*train, *val]) == list(range(1000))
    for c in range(3):
        assert abs((labels[val] == c).sum() - 0.2 * (labels == c).sum()) <= 1
    assert split(1000, 0.2, labels, 7)[1].tolist() == val.tolist()
    assert split(1000, 0.2, labels, 8)[1].tolist() != val.tolist()
    assert len(split(10, 0.25, None, 0)[1]) in (2, 3)
    for n, fraction in ((1, 0.5), (3, 0.01), (3, 0.99)):
        with pytest.raises(ValueError, match=f"validation_fraction={fraction} of {n} rows leaves none"):
            split(n, fraction, None, 0)


def test_rows_kept_for_validation_teach_nothing(rng):
    """Their targets may be anything: the weights are the same."""
    X, y = rng.normal(size=(60, 4)), rng.normal(size=(60, M))
    one = network("squared_error").fit(X, y, 2, 8, verbose=None, validation_fraction=0.25)
    _, kept = split(60, 0.25, None, 1)
    y[kept] += 100
    other = network("squared_error").fit(X, y, 2, 8, verbose=None, validation_fraction=0.25)
    assert one.history["loss"] == other.history["loss"]
    assert other.history["val_loss"][0] > 100 * one.history["val_loss"][0]
    assert one.evaluate(X[kept], y[kept] - 100) == pytest.approx(one.history["val_loss"][-1], rel=1e-12)


WRONG = [
    ({"sample_weight": np.ones(5)}, "sample_weight must have one weight for each of the 12 rows, got 5"),
    ({"sample_weight": -np.ones(N)}, "sample_weight must hold finite numbers of at least 0"),
    ({"sample_weight": np.full(N, np.nan)}, "sample_weight must hold finite numbers"),
    ({"sample_weight": np.zeros(N)}, "sample_weight must not be 0 for all rows"),
    ({"sample_weight": np.ones((N, 1))}, "sample_weight must be 1-d"),
    ({"sample_weight": "balanced"}, "sample_weight: expected an array"),
    ({"class_weight": "even"}, "class_weight must be 'balanced' or a dict"),
    ({"class_weight": {7: 1.0}}, "class_weight: there is no class 7, the classes are 0 to 2"),
    ({"class_weight": {0: -1.0}}, r"class_weight\[0\] must be a number in \[0, inf\), got -1.0"),
    ({"class_weight": {0: 0, 1: 0, 2: 0}}, "leave no row to train on"),
    ({"validation_fraction": 1.5}, r"validation_fraction must be a number in \(0, 1\), got 1.5"),
    ({"validation_fraction": 0.2, "validation_data": 1}, "either validation_data or validation_fraction"),
    ({"validation_data": np.ones((3, 4))}, r"validation_data must be \(X, y\)"),
    ({"validation_data": (np.ones((3, 5)), np.ones(3, int))}, "validation_data: X must have the 4 columns"),
    ({"validation_data": (np.ones((3, 4)), np.ones(4, int))}, "validation_data: X and y must have the same number"),
    ({"validation_data": (np.ones((3, 4)), np.full(3, 9))}, r"validation_data: y must lie in \[0, 2\]"),
    ({"validation_data": (np.ones((3, 4)), np.ones(3, int), np.ones(4))}, "validation_data: sample_weight must have"),
    ({"metrics": "accuracy"}, "metrics are measured on other rows: give validation_data"),
    ({"validation_fraction": 0.3, "metrics": "accurate"}, "unknown metric 'accurate': did you mean 'Accuracy'"),
    ({"validation_fraction": 0.3, "metrics": "mse"}, "MeanSquaredError fits losses for numbers"),
    ({"callbacks": "early_stopping"}, "callbacks must be a list"),
    ({"callbacks": ["early_stoping"]}, "unknown callback 'early_stoping': did you mean 'EarlyStopping'"),
    ({"callbacks": ["early_stopping"]}, "EarlyStopping: monitor must be one of loss, got 'val_loss'; those of a valid"),
    ({"callbacks": ["checkpoint('/nowhere/m.npz')"]}, "Checkpoint: the folder of path '/nowhere/m.npz' does not exist"),
    ({"callbacks": ["csv_log('/nowhere/m.csv')"]}, "CSVLog: the folder of path"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_what_does_not_fit_is_said_before_anything_happens(wrong, message, rng, capsys):
    X, y = rng.normal(size=(N, 4)), rng.integers(0, M, N)
    model = network("cross_entropy").fit(X, y, 1, 5, verbose=None)
    before = {name: {k: v.copy() for k, v in layer.params.items()} for name, layer in model.layers.items()}
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, 2, 5, **wrong)
    assert capsys.readouterr().out == ""
    assert len(model.history["loss"]) == 1
    for name, layer in model.layers.items():
        for key, value in layer.params.items():
            assert (value == before[name][key]).all()
    fresh = network("cross_entropy")
    with pytest.raises(ValueError, match=message):
        fresh.fit(X, y, 2, 5, **wrong)
    assert not fresh.is_initialized


def test_classes_are_asked_of_losses_that_have_them(rng):
    with pytest.raises(ValueError, match="SquaredError with 3 outputs has none"):
        network("squared_error").fit(rng.normal(size=(N, 4)), rng.normal(size=(N, M)), class_weight="balanced")


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
        labels = xp.astype(xp.argmax(y_pred, axis=-1), y_true.dtype)
        return xp.mean(xp.astype(labels == y_true, y_pred.dtype))

    X, y = rng.normal(size=(3000, 4)), rng.integers(0, M, 3000)  # three pieces
    model = network("cross_entropy")
    data = backend.array(X), backend.array(y)
    model.fit(*data, 1, 500, None, validation_data=data, metrics=[Share(), right, Accuracy()])
    said = backend.numpy(model.predict(data[0]))
    assert model.history["val_share"] == [pytest.approx(np.mean(said == 0))]
    assert model.history["val_right"] == [pytest.approx(np.mean(said == y))]
    assert model.history["val_accuracy"] == [pytest.approx(np.mean(said == y))]
    assert model.evaluate(*data, metric=right) == pytest.approx(np.mean(said == y))


def test_a_classifier_of_ones_own_without_labels_is_split_at_random(rng):
    class Hinge(type(losses.resolve("bce"))):
        labels = ObjectiveBase.labels

    X, y = rng.normal(size=(40, 2)), (rng.random(40) < 0.5).astype(int)
    model = DFN(layers=[FullyConnected(1, "affine", "glorot_uniform")], loss=Hinge(), seed=0)
    model.fit(X, y, 1, 10, None, validation_fraction=0.25)
    assert len(model.history["val_loss"]) == 1
    with pytest.raises(ValueError, match="class_weight: classes were asked for, and Hinge"):
        model.fit(X, y, 1, 10, None, class_weight="balanced")
