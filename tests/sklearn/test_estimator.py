"""The same answers as scikit-learn, whose initial weights and batch order are drawn."""

import warnings

import numpy as np
import pytest
import sklearn.neural_network as theirs
from scipy.sparse import csr_array, csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn_checks import VERSION

import xdfn.sklearn as ours
from xdfn import DFN, Callback

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ATTRIBUTES = [
    "n_iter_",
    "t_",
    "n_layers_",
    "n_outputs_",
    "out_activation_",
    "n_features_in_",
    "loss_",
    "loss_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
]
SETTINGS = {
    "adam": {},
    "sgd": {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.05},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.05},
    "nesterov": {"solver": "sgd", "learning_rate_init": 0.05},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5, "power_t": 0.3},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 1},
    "early_stopping": {"early_stopping": True, "learning_rate_init": 0.01},
    "logistic": {"activation": "logistic", "hidden_layer_sizes": (9, 6)},
    "identity, no penalty": {"activation": "identity", "alpha": 0.0},
    "in order": {"shuffle": False, "batch_size": 7},
    "large penalty": {"alpha": 3.0, "activation": "tanh", "batch_size": 64},
}


def labels(rng, kind, n):
    if kind == "binary":
        return np.asarray(["no", "yes"])[rng.integers(0, 2, n)]
    if kind == "multiclass":
        return np.asarray(["a", "b", "c"])[rng.integers(0, 3, n)]
    return rng.integers(0, 2, (n, 4))


def numbers(rng, kind, n):
    if kind == "poisson":
        return rng.poisson(2.0, n).astype(float)
    return rng.normal(size=(n, 3) if kind == "several" else n)


def assert_alike(a, b, tol=1e-9):
    for x, y in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        assert x.shape == y.shape
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=0, atol=tol)
    for name in ATTRIBUTES:
        x, y = getattr(a, name), getattr(b, name)
        if x is None or isinstance(x, str):
            assert x == y, name
        else:
            np.testing.assert_allclose(x, y, atol=tol, err_msg=name)


@pytest.fixture(name="X")
def features(rng):
    return rng.normal(size=(150, 6))


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("more", SETTINGS.values(), ids=SETTINGS)
def test_classifiers_have_the_same_coefficients(X, rng, kind, more):
    y = labels(rng, kind, 150)
    if VERSION < (1, 9) and "early_stopping" in more and y.dtype.kind == "U":
        pytest.skip("scikit-learn before 1.9 cannot stop early on classes that are strings")
    args = {"hidden_layer_sizes": (8,), "max_iter": 5, "batch_size": 32, "random_state": 1, **more}
    a, b = (module.MLPClassifier(**args).fit(X, y) for module in (theirs, ours))
    assert_alike(a, b)
    np.testing.assert_array_equal(a.classes_, b.classes_)
    np.testing.assert_array_equal(a.predict(X), b.predict(X))
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X))
    np.testing.assert_allclose(a.predict_log_proba(X), b.predict_log_proba(X), rtol=1e-6)


@pytest.mark.parametrize("kind", ["one", "several", "poisson"])
@pytest.mark.parametrize("more", SETTINGS.values(), ids=SETTINGS)
def test_regressors_have_the_same_coefficients(X, rng, kind, more):
    y = numbers(rng, kind, 150)
    args = {"hidden_layer_sizes": (8,), "max_iter": 5, "batch_size": 32, "random_state": 1, **more}
    if kind == "poisson":
        if VERSION < (1, 7):
            pytest.skip("scikit-learn before 1.7 has no Poisson loss")
        args["loss"] = "poisson"
        args["learning_rate_init"] = 0.01
    a, b = (module.MLPRegressor(**args).fit(X, y) for module in (theirs, ours))
    assert_alike(a, b)
    np.testing.assert_allclose(a.predict(X), b.predict(X))


@pytest.mark.parametrize("more", [SETTINGS[name] for name in ("adam", "nesterov", "early_stopping")])
def test_weighted_rows(X, rng, more):
    if VERSION < (1, 7):
        pytest.skip("scikit-learn before 1.7 takes no weights of rows")
    y, weight = rng.integers(0, 3, 150), rng.uniform(0, 3, 150)
    args = {"hidden_layer_sizes": (8,), "max_iter": 5, "batch_size": 32, "random_state": 1, "alpha": 0.1, **more}
    a, b = (module.MLPClassifier(**args).fit(X, y, sample_weight=weight) for module in (theirs, ours))
    assert_alike(a, b)


@pytest.mark.parametrize("container", [csr_array, csr_matrix])
def test_sparse_rows(X, rng, container):
    y = labels(rng, "multiclass", 150)
    sparse = container(np.where(X > 0.5, X, 0.0))
    args = {"hidden_layer_sizes": (8,), "max_iter": 5, "batch_size": 32, "random_state": 1}
    a, b = (module.MLPClassifier(**args).fit(sparse, y) for module in (theirs, ours))
    assert_alike(a, b)
    np.testing.assert_allclose(a.predict_proba(sparse), b.predict_proba(sparse))


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_partial_fit_and_warm_start_go_on(X, rng, solver):
    y = labels(rng, "multiclass", 150)
    args = {"hidden_layer_sizes": (8,), "max_iter": 3, "batch_size": 32, "random_state": 1, "solver": solver}
    pair = [module.MLPClassifier(**args) for module in (theirs, ours)]
    for _ in range(3):
        for model in pair:
            model.partial_fit(X, y, classes=["a", "b", "c"])
        assert_alike(*pair)
    pair = [module.MLPClassifier(warm_start=True, **args) for module in (theirs, ours)]
    for _ in range(3):
        for model in pair:
            model.fit(X, y)
        assert_alike(*pair)
    for model in pair:
        model.partial_fit(X, y)
    assert_alike(*pair)


def test_float32_stays_float32(X, rng):
    y = labels(rng, "multiclass", 150)
    args = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 1}
    a, b = (module.MLPClassifier(**args).fit(X.astype("f4"), y) for module in (theirs, ours))
    assert_alike(a, b, 1e-5)
    assert b.predict_proba(X.astype("f4")).dtype == np.float32


def test_the_arguments_and_their_defaults_are_scikit_learns():
    for name in ("MLPClassifier", "MLPRegressor"):
        a, b = (getattr(module, name)().get_params() for module in (theirs, ours))
        assert a.items() <= b.items()
        with pytest.raises(ValueError, match="'alpha' parameter"):
            getattr(ours, name)(alpha=-1).fit([[0.0], [1.0]], [0, 1])


def test_the_model_underneath_is_a_dfn(X, rng):
    y = labels(rng, "multiclass", 150)
    b = ours.MLPClassifier((8,), max_iter=5, random_state=0).fit(X, y)
    assert isinstance(b.model_, DFN)
    np.testing.assert_array_equal(b.classes_[b.model_.predict(X)], b.predict(X))
    assert len(b.model_.history["loss"]) == 5


def test_coefficients_that_are_assigned_are_used(X, rng):
    b = ours.MLPRegressor(hidden_layer_sizes=(8,), max_iter=5, random_state=0).fit(X, numbers(rng, "one", 150))
    b.coefs_ = [np.zeros_like(W) for W in b.coefs_]
    np.testing.assert_allclose(b.predict(X), b.intercepts_[-1][0] + 0 * X[:, 0])


def test_an_interrupt_keeps_the_epochs_so_far(X, rng):
    class Impatient(Callback):
        def on_epoch_end(self, model, values):
            if len(model.history["loss"]) == 3:
                raise KeyboardInterrupt

    b = ours.MLPRegressor(hidden_layer_sizes=(8,), random_state=0, callbacks=[Impatient()])
    y = numbers(rng, "one", 150)
    with pytest.warns(UserWarning, match="interrupted"):
        b.fit(X, y)
    assert b.n_iter_ == 3
    assert_alike(theirs.MLPRegressor(hidden_layer_sizes=(8,), random_state=0, max_iter=3).fit(X, y), b)


def test_it_says_when_it_has_not_converged(X, rng):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning, match="Maximum iterations"):
            ours.MLPRegressor(hidden_layer_sizes=(8,), max_iter=2).fit(X, numbers(rng, "one", 150))


def test_arguments_that_change_between_fits_hold_from_then_on(X, rng):
    y = labels(rng, "multiclass", 150)
    args = {"hidden_layer_sizes": (8,), "max_iter": 3, "batch_size": 32, "random_state": 1, "warm_start": True}
    pair = [module.MLPClassifier(**args) for module in (theirs, ours)]
    for more in (
        {},
        {"alpha": 5.0, "learning_rate_init": 0.1},
        {"solver": "sgd", "activation": "tanh"},
        {"alpha": 0.0},
    ):
        for model in pair:
            model.set_params(**more).fit(X, y)
        assert_alike(*pair)


@pytest.mark.parametrize("activation", ["relu", "logistic"])
def test_without_hidden_layers(X, rng, activation):
    y, args = rng.integers(0, 3, 150), {"activation": activation, "max_iter": 3, "random_state": 0}
    a, b = (module.MLPClassifier((), **args).fit(X, y) for module in (theirs, ours))
    assert_alike(a, b)


def test_a_warm_start_takes_what_the_arguments_say_now(X, rng):
    y = rng.integers(0, 3, 150)
    model = ours.MLPClassifier((8,), max_iter=2, warm_start=True, random_state=0).fit(X, y)
    before = model.coefs_[0]
    model.set_params(dropout=0.3, batch_norm=True, max_norm=2.0, label_smoothing=0.1, max_iter=1).fit(X, y)
    kinds = [type(layer).__name__ for layer in model.model_.layers.values()]
    assert kinds == ["FullyConnected", "BatchNorm", "Dropout", "FullyConnected"]
    assert str(model.model_.layers["FC1"].constraint) == "MaxNorm(limit=2.0)"
    assert model.model_.loss.smoothing == 0.1
    assert abs(model.coefs_[0] - before).max() < 0.01  # it went on from there
    made = model.model_
    assert model.set_params(alpha=0.1).fit(X, y).model_ is made
    with pytest.raises(ValueError, match=r"hidden_layer_sizes=\[9\] differs from that of the fit before, \[8\]"):
        model.set_params(hidden_layer_sizes=(9,)).fit(X, y)


@pytest.mark.parametrize(
    ("arguments", "fit", "message"),
    [
        ({"solver": "lbfgs"}, "both", "solver='lbfgs' has no epochs"),
        ({"solver": "lbfgs", "callbacks": ["log"]}, "", "solver='lbfgs' has no epochs"),
        ({}, "y", "X_val and y_val together, got y_val alone"),
        ({}, "X", "X_val and y_val together, got X_val alone"),
        ({"callbacks": "log"}, "", "callbacks must be a list"),
    ],
)
def test_arguments_that_would_do_nothing_are_refused(X, rng, arguments, fit, message):
    y = rng.integers(0, 3, 150)
    given = {"": {}, "both": {"X_val": X, "y_val": y}, "X": {"X_val": X}, "y": {"y_val": y}}[fit]
    with pytest.raises(ValueError, match=message):
        ours.MLPClassifier(**arguments).fit(X, y, **given)


def test_a_validation_curve_is_of_its_fit(X, rng):
    y = rng.integers(0, 3, 150)
    model = ours.MLPClassifier(max_iter=3, random_state=0).fit(X, y, X_val=X, y_val=y)
    assert len(model.validation_loss_curve_) == 3
    assert np.isfinite(model.partial_fit(X, y).validation_loss_curve_).all()
    assert not hasattr(model.fit(X, y), "validation_loss_curve_")
