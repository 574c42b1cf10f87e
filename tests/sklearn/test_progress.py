import math

import numpy as np
import pytest

from xdfn import Callback
from xdfn.sklearn import MLPClassifier, MLPRegressor
from xdfn.sklearn.progress import Record

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_a_record_counts_epochs_without_improvement():
    record = Record(0.1)
    for loss, count in ((1.0, 0), (0.5, 0), (0.45, 1), (0.6, 2), (0.1, 0), (math.nan, 0)):
        assert not record.add(loss, None, 0.1)
        assert record.no_improvement == count
    assert record.best_loss == 0.1
    assert record.validation_scores is None


def test_a_record_knows_the_best_score():
    record = Record(0.1)
    bests = [record.add(1.0, score, 0.1) for score in (0.5, 0.55, 0.7, math.nan, 0.6)]
    assert bests == [True, True, True, False, False]
    assert record.best_score == 0.7
    assert record.no_improvement == 1
    assert record.validation_scores[:3] == [0.5, 0.55, 0.7]


def test_the_best_epoch_is_kept(rng):
    X = rng.normal(size=(80, 4))
    y = (X[:, 0] > 0).astype(int)
    fitted = MLPClassifier(early_stopping=True, max_iter=30, tol=0.0, random_state=0, learning_rate_init=0.05).fit(X, y)
    assert fitted.best_validation_score_ == max(fitted.validation_scores_)
    again = MLPClassifier(early_stopping=True, max_iter=int(np.argmax(fitted.validation_scores_)) + 1, tol=0.0,
                          random_state=0, learning_rate_init=0.05).fit(X, y)  # fmt: skip
    np.testing.assert_array_equal(fitted.coefs_[0], again.coefs_[0])


def test_what_is_printed(rng, capsys):
    X, y = rng.normal(size=(40, 2)), rng.normal(size=40)
    args = {"solver": "sgd", "learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 1, "max_iter": 8}
    MLPRegressor(verbose=True, early_stopping=True, random_state=0, **args).fit(X, y)
    printed = capsys.readouterr().out
    assert "Iteration 1, loss = " in printed
    assert "Validation score: " in printed
    assert "Setting learning rate to 0.000200" in printed
    MLPRegressor(random_state=0, **args).fit(X, y)
    assert capsys.readouterr().out == ""


def test_callbacks_change_the_model_and_the_penalties_stay(rng):
    class Halve(Callback):
        may_change_model = True

        def on_epoch_end(self, model, values):
            model.clip_norm = 100.0 if model.clip_norm is None else model.clip_norm / 2

    X, y = rng.normal(size=(40, 2)), rng.normal(size=40)
    args = {"random_state": 0, "max_iter": 4, "alpha": 5.0}
    a, b = MLPRegressor(**args).fit(X, y), MLPRegressor(callbacks=[Halve()], **args).fit(X, y)
    assert b.model_.clip_norm == 12.5
    np.testing.assert_allclose(a.coefs_[0], b.coefs_[0], atol=1e-12)
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_)
