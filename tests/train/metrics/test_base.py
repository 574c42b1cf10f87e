"""Every metric against scikit-learn, and what fits what."""

import re
import warnings

import numpy as np
import pytest
from measures import CUTS, N, classes, measure, yes_or_no

from xdfn.core.registry import register
from xdfn.nn.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Gaussian,
    Huber,
    Poisson,
    Quantile,
    SquaredError,
    losses,
)
from xdfn.train.metrics import (
    F1,
    R2,
    Accuracy,
    BalancedAccuracy,
    FunctionMetric,
    MeanAbsoluteError,
    MeanSquaredError,
    MetricBase,
    Precision,
    Recall,
    RootMeanSquaredError,
    TopKAccuracy,
    metrics,
    resolve_metrics,
)

MACRO, BINARY = {"average": "macro", "zero_division": 0}, {"average": "binary", "zero_division": 0}


def answers(score, **options):
    def oracle(sk, y, z, p, w):
        y, said = (y[:, 0], z[:, 0] > 0) if y.shape[1] == 1 else (y, z > 0)
        return getattr(sk, score)(y.astype(int), said.astype(int), sample_weight=w, **options)

    return oracle


def brier(sk, y, z, p, w):
    return sk.brier_score_loss(y[:, 0], p, sample_weight=w)


def reals(rng):
    y = rng.normal(size=(N, 3)) * [1, 10, 0.1] + [0, 5, -3]
    return y, y + rng.normal(size=(N, 3)) * [0.5, 8, 0.2]


def column(rng):
    y, z = reals(rng)
    return y[:, :1], z[:, :1]


def with_variances(rng):
    y, z = reals(rng)
    return y, np.concatenate([z, rng.normal(size=z.shape)], axis=1)


def counts(rng):
    return rng.poisson(3.0, (N, 2)).astype(float), rng.normal(size=(N, 2)) + 1


def decisions(sk, y, z, p, w):
    w = None if w is None else np.repeat(w, y.shape[1])
    return sk.accuracy_score(y.ravel() > 0.5, z.ravel() > 0, sample_weight=w)


def labels(score, **options):
    """scikit-learn's score of class numbers, or of indicator columns."""

    def oracle(sk, y, z, p, w):
        return getattr(sk, score)(y.argmax(1), z.argmax(1), sample_weight=w, **options)

    return oracle


def numbers(score, root=False):
    def oracle(sk, y, z, p, w):
        return getattr(sk, score)(y, p, sample_weight=w) ** (0.5 if root else 1)

    return oracle


def top(k):
    def oracle(sk, y, z, p, w):
        return sk.top_k_accuracy_score(y.argmax(1), z, k=k, sample_weight=w, labels=np.arange(z.shape[1]))

    return oracle


CASES = {  # metric, loss: rows, the same by scikit-learn
    ("Accuracy", "CrossEntropy"): (classes, labels("accuracy_score")),
    ("TopKAccuracy(k=1)", "CrossEntropy"): (classes, top(1)),
    ("TopKAccuracy(k=3)", "CrossEntropy"): (classes, top(3)),
    ("BalancedAccuracy", "CrossEntropy"): (classes, labels("balanced_accuracy_score")),
    ("Precision", "CrossEntropy"): (classes, labels("precision_score", **MACRO)),
    ("Recall", "CrossEntropy"): (classes, labels("recall_score", **MACRO)),
    ("F1", "CrossEntropy"): (classes, labels("f1_score", **MACRO)),
    ("Accuracy", "BinaryCrossEntropy"): (yes_or_no(1), decisions),
    ("BalancedAccuracy", "BinaryCrossEntropy"): (yes_or_no(1), answers("balanced_accuracy_score")),
    ("Precision", "BinaryCrossEntropy"): (yes_or_no(1), answers("precision_score", **BINARY)),
    ("Recall", "BinaryCrossEntropy"): (yes_or_no(1), answers("recall_score", **BINARY)),
    ("F1", "BinaryCrossEntropy"): (yes_or_no(1), answers("f1_score", **BINARY)),
    ("MeanSquaredError", "BinaryCrossEntropy"): (yes_or_no(1), brier),
    ("Accuracy ", "BinaryCrossEntropy"): (yes_or_no(3), decisions),
    ("Precision ", "BinaryCrossEntropy"): (yes_or_no(3), answers("precision_score", **MACRO)),
    ("Recall ", "BinaryCrossEntropy"): (yes_or_no(3), answers("recall_score", **MACRO)),
    ("F1 ", "BinaryCrossEntropy"): (yes_or_no(3), answers("f1_score", **MACRO)),
    ("MeanSquaredError", "SquaredError"): (reals, numbers("mean_squared_error")),
    ("RootMeanSquaredError", "SquaredError"): (reals, numbers("mean_squared_error", root=True)),
    ("MeanAbsoluteError", "SquaredError"): (reals, numbers("mean_absolute_error")),
    ("R2", "SquaredError"): (reals, numbers("r2_score")),
    ("R2", "AbsoluteError"): (column, numbers("r2_score")),
    ("MeanAbsoluteError", "Huber"): (column, numbers("mean_absolute_error")),
    ("MeanSquaredError", "Poisson"): (counts, numbers("mean_squared_error")),
    ("R2", "Poisson"): (counts, numbers("r2_score")),
    ("MeanSquaredError", "Gaussian"): (with_variances, numbers("mean_squared_error")),
    ("MeanAbsoluteError", "Gaussian"): (with_variances, numbers("mean_absolute_error")),
    ("R2", "Gaussian"): (with_variances, numbers("r2_score")),
    ("R2", "Quantile"): (reals, numbers("r2_score")),
}


def test_every_metric_is_in_the_table():
    assert {type(metrics.resolve(spec)) for spec, _ in CASES} == set(metrics.classes)


every_case = pytest.mark.parametrize(("spec", "of"), CASES)


@every_case
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_of_scikit_learn(backend, spec, of, weighted, dtype, rng):
    sk = pytest.importorskip("sklearn.metrics")
    rows, oracle = CASES[spec, of]
    loss = losses.resolve(of)
    y, z = rows(rng)
    z, w = z.astype(dtype), rng.random(N).astype(dtype) if weighted else None
    y64, z64, w64 = y.astype(dtype).astype(float), z.astype(float), None if w is None else w.astype(float)
    with warnings.catch_warnings():  # of classes that are said and never true
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true", UserWarning)
        prediction = loss.link(z64)
        expected = oracle(sk, y64, z64, prediction[:, 0] if prediction.shape[1] == 1 else prediction, w64)
    assert not isinstance(loss, CrossEntropy) or 0.2 < expected < 0.95  # the case says something
    tolerance = 1e-12 if dtype == "float64" else 3e-6  # float32 has 7 digits, sums of 60 rows lose one
    for cuts in ((), CUTS):
        value = measure(spec, y, z, loss, weight=w, cuts=cuts, backend=backend, dtype=dtype)
        assert value == pytest.approx(expected, rel=tolerance)


@every_case
def test_a_row_of_weight_k_is_k_rows(spec, of, rng):
    (rows, _), loss = CASES[spec, of], losses.resolve(of)
    (y, z), times = rows(rng), rng.integers(0, 4, N)
    times[5:9] = 0  # a whole piece without weight; the next is one row
    weighted = measure(spec, y, z, loss, weight=times.astype(float), cuts=(5, 9, 10))
    repeated = measure(spec, np.repeat(y, times, axis=0), np.repeat(z, times, axis=0), loss)
    assert weighted == pytest.approx(repeated, rel=1e-13)
    assert weighted != pytest.approx(measure(spec, y, z, loss), rel=1e-6) or weighted in (0, 1)
    ones = measure(spec, y, z, loss, weight=np.ones(N))
    assert ones == measure(spec, y, z, loss)


def test_rows_without_weight_have_no_value(rng):
    for (spec, of), (rows, _) in CASES.items():
        assert np.isnan(measure(spec, *rows(rng), losses.resolve(of), weight=np.zeros(N), cuts=CUTS)), spec


def test_values_by_hand():
    y = np.eye(3)[[0, 0, 1, 2]]
    z = np.asarray([[3.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 5.0, 1.0], [2.0, 3.0, 1.0]])  # says 0, 1, 1, 1
    loss = CrossEntropy()
    assert measure("acc", y, z, loss) == 2 / 4
    assert measure("top_k(k=2)", y, z, loss) == 3 / 4
    assert measure("balanced_accuracy", y, z, loss) == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert measure("precision", y, z, loss) == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert measure("recall", y, z, loss) == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert measure("f1", y, z, loss) == pytest.approx((2 / 3 + 2 / 4 + 0) / 3)

    y, z = np.asarray([[1.0], [1.0], [0.0], [0.0], [0.0]]), np.asarray([[1.0], [-1.0], [2.0], [-2.0], [-3.0]])
    loss = BinaryCrossEntropy()
    assert measure("acc", y, z, loss) == 3 / 5
    assert measure("balanced_accuracy", y, z, loss) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert [measure(name, y, z, loss) for name in ("precision", "recall", "f1")] == [1 / 2, 1 / 2, 1 / 2]
    assert measure("mse", y[:1], np.zeros((1, 1)), loss) == 1 / 4

    y, z = np.asarray([[1.0, 0.0], [3.0, 1.0]]), np.asarray([[2.0, 0.0], [3.0, 4.0]])
    loss = SquaredError()
    assert measure("mse", y, z, loss) == (1 + 9) / 4
    assert measure("rmse", y, z, loss) == (10 / 4) ** 0.5
    assert measure("mae", y, z, loss) == (1 + 3) / 4
    assert measure("r2", y, z, loss) == ((1 - 1 / 2) + (1 - 9 / 0.5)) / 2


def test_a_network_that_answers_nan_is_not_right(backend):
    y, z = np.eye(4)[[1, 2, 3]], np.full((3, 4), np.nan)
    for spec in ("top_k(k=2)", "acc", "f1", "recall"):
        assert measure(spec, y, z, CrossEntropy(), backend=backend) == 0
    for spec in ("mse", "mae", "r2", "rmse"):
        assert np.isnan(measure(spec, y, z, SquaredError(), cuts=(1,), backend=backend))


def test_outputs_are_never_broadcast_against_labels():
    for spec in ("mse", "mae", "r2"):
        with pytest.raises(ValueError, match="expected targets of the shape"):
            measure(spec, np.zeros(3), np.zeros((3, 3)), SquaredError())


OTHERS = SquaredError(), Poisson(), Huber(), Gaussian(), Quantile(0.9), Quantile([0.1, 0.9])
ALL = [(loss, m) for loss in (CrossEntropy(), BinaryCrossEntropy(), *OTHERS) for m in (1, 4)]


def choosing(loss, m):
    return isinstance(loss, CrossEntropy)


def choosing_or_one(loss, m):
    return choosing(loss, m) or (isinstance(loss, BinaryCrossEntropy) and m == 1)


def classifying(loss, m):
    return loss.classifies


def regressing(loss, m):
    return not loss.classifies and loss != Quantile([0.1, 0.9])


def regressing_or_binary(loss, m):
    return regressing(loss, m) or isinstance(loss, BinaryCrossEntropy)


@pytest.mark.parametrize(
    ("metric", "fits"),
    [
        (Accuracy(), classifying),
        (TopKAccuracy(3), lambda loss, m: choosing(loss, m) and m == 4),
        (BalancedAccuracy(), choosing_or_one),
        (Precision(), classifying),
        (Recall(), classifying),
        (F1(), classifying),
        (MeanSquaredError(), regressing_or_binary),
        (RootMeanSquaredError(), regressing_or_binary),
        (MeanAbsoluteError(), regressing),
        (R2(), regressing),
        (FunctionMetric(max), lambda loss, m: True),
    ],
    ids=lambda x: type(x).__name__,
)
def test_what_does_not_fit_is_said(metric, fits):
    for loss, m in ALL:
        if fits(loss, m):
            metric.check(loss, m)
        else:
            with pytest.raises(
                ValueError, match=rf"^the metric {type(metric).__name__}.*({re.escape(str(loss))}|{m} outputs)"
            ):
                metric.check(loss, m)


def test_what_fits_is_said():
    with pytest.raises(ValueError, match=r"Accuracy fits losses that classify.*the loss is SquaredError; for numbers"):
        Accuracy().check(SquaredError(), 1)
    with pytest.raises(
        ValueError, match=r"R2 fits losses for numbers.*the loss is CrossEntropy; for classes: accuracy"
    ):
        R2().check(CrossEntropy(), 3)
    with pytest.raises(ValueError, match=r"with one prediction, and Quantile\(q=\(0.1, 0.9\)\) makes 2: take the loss"):
        R2().check(Quantile([0.1, 0.9]), 2)
    with pytest.raises(ValueError, match=r"TopKAccuracy\(k=5\) is 1 whatever .* 3 outputs answers: choose k < 3"):
        TopKAccuracy().check(CrossEntropy(), 3)
    with pytest.raises(ValueError, match=r"choose one class, and BinaryCrossEntropy with 2 outputs.*recall or f1"):
        BalancedAccuracy().check(BinaryCrossEntropy(), 2)
    for k in (0, 1.5, "2", True):
        with pytest.raises(ValueError, match="k must be an integer of at least 1"):
            TopKAccuracy(k)


def test_a_metric_of_ones_own():
    @register
    class ShareAbove(MetricBase):
        def __init__(self, limit=0.0):
            self.limit = limit

        def part(self, y, z, weight, loss):
            return np.asarray([np.sum(z > self.limit), z.size], z.dtype)

    y = z = np.asarray([[1.0], [2.0], [3.0]])
    assert list(resolve_metrics("share_above(limit=1.5)")) == ["share_above"]
    assert measure("share_above(limit=1.5)", y, z, SquaredError(), cuts=(1,)) == 2 / 3
    with pytest.raises(NotImplementedError, match=r"must define part\(y, z, weight, loss\)"):
        MetricBase().part(y, z, None, SquaredError())
