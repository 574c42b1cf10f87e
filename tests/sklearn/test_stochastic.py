import numpy as np
import pytest

from xdfn import RMSProp, SquaredError
from xdfn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(name="data")
def rows(rng):
    X = rng.normal(size=(120, 4))
    return X, X[:, 0] * 2 + X[:, 1]


@pytest.mark.parametrize(
    "more",
    [
        {"optimizer": "rmsprop(lr='cosine(0.01, 300)')"},
        {"optimizer": RMSProp(0.01)},
        {"batch_norm": True},
        {"dropout": 0.1},
        {"max_norm": 3.0},
        {"activation": ["selu", "mish"]},
        {"initializer": "he_normal"},
        {"loss": "huber(delta=1.0)"},
        {"loss": SquaredError()},
        {"callbacks": ["early_stopping('loss')"]},
    ],
    ids=str,
)
def test_what_scikit_learn_has_not(data, more):
    X, y = data
    args = {"hidden_layer_sizes": (30, 20), "max_iter": 60, "batch_size": 20, "learning_rate_init": 0.01}
    fitted = MLPRegressor(random_state=0, **args, **more).fit(X, y)
    assert fitted.score(X, y) > 0.9
    again = MLPRegressor(random_state=0, **args, **more).fit(X, y)
    np.testing.assert_array_equal(fitted.predict(X), again.predict(X))
    fitted.partial_fit(X, y)


def test_a_validation_of_ones_own(data):
    X, y = data
    fitted = MLPRegressor(max_iter=4, random_state=0).fit(X[:80], y[:80], X_val=X[80:], y_val=y[80:])
    assert len(fitted.validation_loss_curve_) == 4
    expected = 0.5 * np.mean((fitted.predict(X[80:]) - y[80:]) ** 2)
    assert fitted.validation_loss_curve_[-1] == pytest.approx(expected)
    stopped = MLPRegressor(max_iter=400, random_state=0, callbacks=["early_stopping('val_loss', patience=2)"])
    stopped.fit(X[:80], np.random.default_rng(0).normal(size=80), X_val=X[80:], y_val=y[80:])
    assert stopped.n_iter_ < 400
    labels = np.where(y > 0, "yes", "no")
    fitted = MLPClassifier(max_iter=4).fit(X[:80], labels[:80], X_val=X[80:], y_val=labels[80:])
    assert len(fitted.validation_loss_curve_) == 4
    with pytest.raises(ValueError, match="X_val and y_val"):
        fitted.fit(X, labels, X_val=X)
    with pytest.raises(ValueError, match="early_stopping=True"):
        MLPRegressor(early_stopping=True).fit(X, y, X_val=X, y_val=y)


def test_computing_elsewhere(data):
    pytest.importorskip("torch")
    X, y = data
    here = MLPRegressor(max_iter=3, random_state=0).fit(X, y)
    there = MLPRegressor(max_iter=3, random_state=0, device="torch").fit(X, y)
    assert type(there.coefs_[0]).__module__ == "torch"
    answer = there.predict(X)
    assert isinstance(answer, np.ndarray)
    np.testing.assert_allclose(answer, here.predict(X))


def test_a_divergence_without_a_good_epoch_is_an_error(data):
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        MLPRegressor(solver="sgd", learning_rate_init=1e3, activation="identity").fit(*data)


def test_a_batch_is_at_most_all_rows(data):
    with pytest.warns(UserWarning, match="clipped"):
        fitted = MLPRegressor(batch_size=500, max_iter=2, random_state=0).fit(*data)
    assert fitted.t_ == 240
