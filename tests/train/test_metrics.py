import functools
import re
import warnings

import numpy as np
import pytest

from xdfn.backend import place
from xdfn.core.registry import register
from xdfn.nn.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    ObjectiveBase,
    Poisson,
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
    sign,
)

N = 60
CUTS = (20, 40)


def measure(spec, y, z, loss, *, weight=None, cuts=(), backend=None, dtype="float64"):
    """The metric of rows given in pieces, each of which is computed where the backend says."""
    metric = metrics.resolve(spec)
    array = backend.array if backend else np.asarray
    parts = []
    for start, stop in zip((0, *cuts), (*cuts, len(z)), strict=True):
        rows = [array(x[start:stop], dtype) for x in (y, z, *([] if weight is None else [weight]))]

        def part(y, z, w=None):
            return metric.part(y, z, w, loss)

        part = backend.call(part, *rows) if backend else part(*rows)
        assert len(part.shape) == 1
        if backend:
            assert part.dtype == rows[1].dtype
            part = backend.numpy(part)
        parts.append(part)
    value = metric.value(np.stack(parts))
    assert type(value) is float
    return value


def classes(rng):
    """Of six classes 3 is never said, 4 is never true, and 5 is neither."""
    true = rng.integers(0, 4, N)
    z = rng.normal(size=(N, 6)) + 1.5 * np.eye(6)[true]
    z[:, 3] -= 9
    z[:, 5] -= 9
    z[:3, 4] += 9
    return np.eye(6)[true], z


def yes_or_no(m):
    def draw(rng):
        """The third output is never yes and never said to be."""
        y, z = (rng.random((N, m)) < 0.3).astype(float), rng.normal(size=(N, m))
        z += y
        y[:, 2:3], z[:, 2:3] = 0, -1
        return y, z

    return draw


def reals(rng):
    y = rng.normal(size=(N, 3)) * [1, 10, 0.1] + [0, 5, -3]
    return y, y + rng.normal(size=(N, 3)) * [0.5, 8, 0.2]


def column(rng):
    y, z = reals(rng)
    return y[:, :1], z[:, :1]


def counts(rng):
    return rng.poisson(3.0, (N, 2)).astype(float), rng.normal(size=(N, 2)) + 1


def labels(score, **options):
    """scikit-learn's score of class numbers, or of indicator columns."""

    def oracle(sk, y, z, p, w):
        return getattr(sk, score)(y.argmax(1), z.argmax(1), sample_weight=w, **options)

    return oracle


def answers(score, **options):
    def oracle(sk, y, z, p, w):
        y, said = (y[:, 0], z[:, 0] > 0) if y.shape[1] == 1 else (y, z > 0)
        return getattr(sk, score)(y.astype(int), said.astype(int), sample_weight=w, **options)

    return oracle


def decisions(sk, y, z, p, w):
    w = None if w is None else np.repeat(w, y.shape[1])
    return sk.accuracy_score(y.ravel() > 0.5, z.ravel() > 0, sample_weight=w)


def top(k):
    def oracle(sk, y, z, p, w):
        return sk.top_k_accuracy_score(y.argmax(1), z, k=k, sample_weight=w, labels=np.arange(z.shape[1]))

    return oracle


def brier(sk, y, z, p, w):
    return sk.brier_score_loss(y[:, 0], p, sample_weight=w)


def numbers(score, root=False):
    def oracle(sk, y, z, p, w):
        return getattr(sk, score)(y, p, sample_weight=w) ** (0.5 if root else 1)

    return oracle


MACRO, BINARY = {"average": "macro", "zero_division": 0}, {"average": "binary", "zero_division": 0}
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
}
every_case = pytest.mark.parametrize(("spec", "of"), CASES)


def test_every_metric_is_in_the_table():
    assert {type(metrics.resolve(spec)) for spec, _ in CASES} == set(metrics.classes)


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


def test_accuracy_counts_what_the_loss_decides(rng):
    y, z = classes(rng)
    right = np.sum(CrossEntropy().decide(z) == y.argmax(1))
    assert Accuracy().part(y, z, None, CrossEntropy()).tolist() == [right, N]
    y, z = yes_or_no(3)(rng)
    right = np.sum(BinaryCrossEntropy().decide(z) == y)
    assert Accuracy().part(y, z, None, BinaryCrossEntropy()).tolist() == [right, 3 * N]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [False, True])
def test_r2_of_targets_with_a_large_mean(backend, dtype, weighted, rng):
    """The textbook's sum y^2 - n mean^2 has no digit left here: eps(float32) 1e12 is 1e5, the variance 1."""
    n = 4000
    y = (1e6 + rng.normal(size=(n, 2))).astype(dtype)
    z = (y + 0.5 * rng.normal(size=(n, 2))).astype(dtype)
    w = rng.random(n).astype(dtype) if weighted else None
    exact, wide = y.astype(np.longdouble), np.ones(n, np.longdouble) if w is None else w.astype(np.longdouble)
    spread = exact - np.average(exact, axis=0, weights=wide)
    errors = exact - z
    expected = np.mean(1 - wide @ errors**2 / (wide @ spread**2))
    for cuts in ((), (1000, 2000, 3000)):
        value = measure("r2", y, z, SquaredError(), weight=w, cuts=cuts, backend=backend, dtype=dtype)
        assert value == pytest.approx(float(expected), abs=2e-6 if dtype == "float32" else 1e-12)


def test_r2_of_targets_that_are_all_the_same(backend, rng):
    y = np.full((9, 2), 0.1)
    off = y + np.asarray([0, 0.25])
    for dtype in ("float32", "float64"):
        for weight in (None, rng.random(9)):
            options = {"weight": weight, "cuts": (1, 4), "backend": backend, "dtype": dtype}
            assert measure("r2", y, y, SquaredError(), **options) == 1
            assert measure("r2", y, off, SquaredError(), **options) == 0.5  # 1 and 0


def test_classes_that_tie_with_the_kth_are_among_the_k():
    y, z = np.eye(4)[[0, 1, 2, 3]], np.zeros((4, 4))
    assert measure("top_k(k=1)", y, z, CrossEntropy()) == 1
    z[:, 0] = 1
    assert measure("top_k(k=1)", y, z, CrossEntropy()) == 1 / 4


def test_a_network_that_answers_nan_is_not_right(backend):
    y, z = np.eye(4)[[1, 2, 3]], np.full((3, 4), np.nan)
    for spec in ("top_k(k=2)", "acc", "f1", "recall"):
        assert measure(spec, y, z, CrossEntropy(), backend=backend) == 0
    for spec in ("mse", "mae", "r2", "rmse"):
        assert np.isnan(measure(spec, y, z, SquaredError(), cuts=(1,), backend=backend))


def test_infinite_sums_are_told(rng):
    y, z = rng.normal(size=(4, 1)).astype("float32"), np.full((4, 1), 1e30, "float32")
    with np.errstate(over="ignore"):
        assert measure("rmse", y, z, SquaredError(), cuts=(2,), dtype="float32") == np.inf
        assert measure("r2", y, z, SquaredError(), cuts=(2,), dtype="float32") == -np.inf
    assert measure("mae", y, z, SquaredError(), dtype="float32") == pytest.approx(1e30)


def test_rows_without_weight_have_no_value(rng):
    for (spec, of), (rows, _) in CASES.items():
        assert np.isnan(measure(spec, *rows(rng), losses.resolve(of), weight=np.zeros(N), cuts=CUTS)), spec


def test_outputs_are_never_broadcast_against_labels():
    for spec in ("mse", "mae", "r2"):
        with pytest.raises(ValueError, match="expected targets of the shape"):
            measure(spec, np.zeros(3), np.zeros((3, 3)), SquaredError())


# ---- what fits what -------------------------------------------------------------------------------------------------

ALL = [(loss, m) for loss in (CrossEntropy(), BinaryCrossEntropy(), SquaredError(), Poisson(), Huber()) for m in (1, 4)]


def choosing(loss, m):
    return isinstance(loss, CrossEntropy)


def choosing_or_one(loss, m):
    return choosing(loss, m) or (isinstance(loss, BinaryCrossEntropy) and m == 1)


def classifying(loss, m):
    return loss.classifies


def not_choosing(loss, m):
    return not isinstance(loss, CrossEntropy)


def regressing(loss, m):
    return not loss.classifies


@pytest.mark.parametrize(
    ("metric", "fits"),
    [
        (Accuracy(), classifying),
        (TopKAccuracy(3), lambda loss, m: choosing(loss, m) and m == 4),
        (BalancedAccuracy(), choosing_or_one),
        (Precision(), classifying),
        (Recall(), classifying),
        (F1(), classifying),
        (MeanSquaredError(), not_choosing),
        (RootMeanSquaredError(), not_choosing),
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
    with pytest.raises(ValueError, match=r"TopKAccuracy\(k=5\) is 1 whatever .* 3 outputs answers: choose k < 3"):
        TopKAccuracy().check(CrossEntropy(), 3)
    with pytest.raises(ValueError, match=r"choose one class, and BinaryCrossEntropy with 2 outputs.*recall or f1"):
        BalancedAccuracy().check(BinaryCrossEntropy(), 2)
    for k in (0, 1.5, "2", True):
        with pytest.raises(ValueError, match="k must be an integer of at least 1"):
            TopKAccuracy(k)


# ---- one's own ------------------------------------------------------------------------------------------------------


class Hinge(ObjectiveBase):
    """A classifier of one's own for class numbers (n,), which stay class numbers."""

    classifies = True

    def decide(self, z):
        return z.argmax(-1)


def test_a_classifying_loss_of_ones_own(rng):
    y, z = classes(rng)
    for spec in ("acc", "recall", "precision", "f1"):
        assert measure(spec, y.argmax(1), z, Hinge()) == measure(spec, y, z, CrossEntropy())


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


RESULTS = {  # what a function may give for the mean of p - y
    "array": lambda xp, x: xp,
    "float": lambda xp, x: x,
    "int": lambda xp, x: int(x),
    "NumPy scalar": lambda xp, x: np.float64(x),
    "NumPy integer": lambda xp, x: np.int32(x),
    "NumPy array": lambda xp, x: np.asarray(x),
}


@pytest.mark.parametrize("kind", RESULTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_function_may_give_any_number(backend, kind, dtype):
    y, z = backend.array([[1.0], [2.0]], dtype), backend.array([[3.0], [4.0]], dtype)

    def bias(y_true, y_pred):
        assert y_true is y
        return RESULTS[kind]((y_pred - y_true)[0, 0], 2.0)

    metric = FunctionMetric(bias)
    part = metric.part(y, z, None, SquaredError())
    assert part.dtype == z.dtype
    assert tuple(part.shape) == (1,)
    assert place(part) == place(z)
    value = metric.value(backend.numpy(part)[None])
    assert type(value) is float
    assert value == 2
    assert (metric.name, metric.whole, metric.higher_is_better) == ("bias", True, None)


def test_a_function_gets_the_link_of_the_scores(rng):
    sk = pytest.importorskip("sklearn.metrics")
    y, z = yes_or_no(1)(rng)
    for function in (sk.roc_auc_score, sk.log_loss):
        assert measure(FunctionMetric(function), y, z, BinaryCrossEntropy()) == function(y, 1 / (1 + np.exp(-z)))


def test_a_function_gets_labels_and_else_targets_in_the_shape_of_the_prediction(backend):
    """An (n,) against an (n, 1) would be an (n, n)."""
    shapes = []

    def shape(y_true, y_pred):
        shapes.append((tuple(y_true.shape), tuple(y_pred.shape), y_true.dtype == y_pred.dtype))
        return 0

    numbers, classes = backend.array([1.0, 2.0, 3.0]), backend.array([0, 1, 1])
    FunctionMetric(shape).part(numbers, backend.array(np.zeros((3, 1)), "float32"), None, SquaredError())
    FunctionMetric(shape).part(classes, backend.array(np.zeros((3, 2)), "float32"), None, CrossEntropy())
    assert shapes == [((3, 1), (3, 1), True), ((3,), (3, 2), False)]


def test_what_is_no_number_is_named(backend):
    y = backend.array([[1.0], [2.0]])
    for result, message in [
        (lambda y, p: y - p, r"got an array of shape \(2, 1\): take the mean"),
        (lambda y, p: (y - p)[0, :], r"got an array of shape \(1,\)"),
        (lambda y, p: None, "got NoneType: None"),
        (lambda y, p: [1.0], "got list"),
        (lambda y, p: 1j, "got complex"),
    ]:
        result.__name__ = "mine"
        with pytest.raises(ValueError, match=f"the metric mine must give a number or a 0-d array, {message}"):
            FunctionMetric(result).part(y, y, None, SquaredError())
    with pytest.raises(ValueError, match="mine is a function of y_true and y_pred and takes no weights"):
        FunctionMetric(result).part(y, y, backend.array([1.0, 1.0]), SquaredError())


def test_what_is_no_function_is_named():
    for wrong in (3, "acc", int):
        with pytest.raises(ValueError, match=r"function must be a function f\(y_true, y_pred\)"):
            FunctionMetric(wrong)


# ---- names ----------------------------------------------------------------------------------------------------------


def mine(y_true, y_pred):
    return 0.0


def test_names_in_a_history():
    every = [cls.__name__ for cls in metrics.classes]
    names = "accuracy top_k_accuracy balanced_accuracy precision recall f1"
    names += " mean_squared_error root_mean_squared_error mean_absolute_error r2"
    assert list(resolve_metrics(every)) == list(resolve_metrics([metrics.resolve(s) for s in every])) == names.split()
    assert list(resolve_metrics(metrics.classes)) == list(resolve_metrics(names.split())) == names.split()
    aliases = ["mse", "acc", "top_k", "rmse", "mae", "r2score", "f1_score"]
    assert list(resolve_metrics(aliases)) == aliases


def test_all_ways_to_give_metrics():
    assert resolve_metrics(None) == resolve_metrics([]) == resolve_metrics({}) == {}
    assert resolve_metrics("mse") == {"mse": MeanSquaredError()}
    assert resolve_metrics("top_k(k=2)") == {"top_k_accuracy": TopKAccuracy(2)}
    assert resolve_metrics(F1) == resolve_metrics(F1()) == resolve_metrics((F1(),)) == {"f1": F1()}
    assert resolve_metrics(mine) == resolve_metrics([FunctionMetric(mine)]) == {"mine": FunctionMetric(mine)}
    by_name = {"a": "acc", "b": R2(), "c": F1, "d": mine, "e": functools.partial(mine), "f": lambda y, p: 1}
    resolved = resolve_metrics(by_name)
    assert [type(metric) for metric in resolved.values()] == [Accuracy, R2, F1, *[FunctionMetric] * 3]
    assert list(resolved) == list(by_name)


def loss(y_true, y_pred):
    return 0.0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["top_k(k=1)", "top_k(k=3)"], "the name 'top_k_accuracy' is there twice; .* by a dict"),
        (["acc", "acc"], "the name 'acc' is there twice"),
        (["accuracy", Accuracy()], "the name 'accuracy' is there twice"),
        ([mine, mine], "the name 'mine' is there twice"),
        ("acuracy", "unknown metric 'acuracy': did you mean 'Accuracy'"),
        ("top_k(n=1)", "TopKAccuracy takes k"),
        ("acc(", "metric 'acc\\(': expected a name"),
        (3, "expected the name of a metric"),
        ([["acc"]], "expected the name of a metric"),
        (int, "expected the name of a metric"),
        ({"loss": "mse"}, "the name 'loss' stands for the loss itself"),
        (loss, "the name 'loss' stands for the loss itself"),
        ({3: "mse"}, "a name must be a string"),
        (lambda y, p: 0.0, "<lambda> has no name; give it one by a dict"),
    ],
)
def test_bad_metrics_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        resolve_metrics(given)


def test_sign():
    known = resolve_metrics(["acc", "mse", "top_k", "r2", "rmse", "mae", "f1", "precision", "recall", mine])
    signs = {name: sign(f"val_{name}", known) for name in known if name != "mine"}
    assert {name for name, value in signs.items() if value == 1} == {"acc", "top_k", "r2", "f1", "precision", "recall"}
    assert {name for name, value in signs.items() if value == -1} == {"mse", "rmse", "mae"}
    assert sign("loss", known) == sign("val_loss", known) == sign("loss", {}) == -1
    assert sign("val_mine", known, "max") == sign("val_loss", known, "max") == 1
    assert sign("val_mine", known, "min") == sign("val_acc", known, "min") == -1
    with pytest.raises(ValueError, match="whether a larger val_mine is better is not known: say mode='max' or"):
        sign("val_mine", known)
    with pytest.raises(ValueError, match=r"monitor must be one of loss, val_loss, val_acc, .*, got 'acc'"):
        sign("acc", known)
    with pytest.raises(ValueError, match="mode must be 'min', 'max' or None, got 'auto'"):
        sign("loss", known, "auto")
