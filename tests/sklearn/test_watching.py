"""scikit-learn's own callbacks."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from xdfn.sklearn import MLPClassifier, MLPRegressor

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 has callbacks")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, y = load_iris(return_X_y=True)
ARGS = {"max_iter": 6, "learning_rate_init": 0.02, "random_state": 0}


class Counter:
    """Counts the calls, and wants to stop after some steps."""

    def __init__(self, stop_after=99):
        self.calls, self.scores, self.stop_after = [], [], stop_after

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(f"{context.task_name} begins")

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.calls.append(f"{context.task_name} ends")
        self.scores.append(fitted_estimator.score(X, y))
        return len(self.scores) >= self.stop_after


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize(("solver", "unit"), [("adam", "epoch"), ("sgd", "epoch"), ("lbfgs", "iteration")])
def test_they_see_each_step_and_may_end_the_fit(kind, solver, unit):
    counter = Counter()
    fitted = kind(solver=solver, **ARGS).set_callbacks(counter).fit(X, y)
    steps = [f"{unit} begins", f"{unit} ends"] * 6
    assert counter.calls == ["setup", "fit begins", *steps, "fit ends", "teardown"]
    assert counter.scores[-1] == counter.scores[-2] == fitted.score(X, y)
    for i in (0, 3):
        np.testing.assert_allclose(
            counter.scores[i], kind(solver=solver, **{**ARGS, "max_iter": i + 1}).fit(X, y).score(X, y)
        )
    plain = kind(solver=solver, **ARGS).fit(X, y)
    np.testing.assert_array_equal(fitted.coefs_[0], plain.coefs_[0])
    assert kind(solver=solver, **ARGS).set_callbacks(Counter(3)).fit(X, y).n_iter_ == 3


def test_an_error_tells_them_the_end():
    counter = Counter()
    with pytest.raises(ValueError, match=r"NaN|non-finite"):
        MLPRegressor(solver="sgd", learning_rate_init=1e200).set_callbacks(counter).fit(X, y)
    assert counter.calls[-1] == "teardown"


def test_a_monitor_within_a_search():
    pytest.importorskip("pandas")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = MLPClassifier(**ARGS).set_callbacks(monitor)
    GridSearchCV(model, {"alpha": [1e-4, 1e-2]}, cv=2).fit(X, y)
    (log,) = monitor.get_logs(select="all")
    assert len(log.data) >= 5 * 6  # two settings in two folds and the best one again, of six epochs each


def test_a_bar_within_a_search(capsys):
    pytest.importorskip("rich")
    bar = callback.ProgressBar()
    GridSearchCV(MLPClassifier(**ARGS), {"alpha": [1e-4]}, cv=2).set_callbacks(bar).fit(X, y)
    assert "MLPClassifier" in capsys.readouterr().out
