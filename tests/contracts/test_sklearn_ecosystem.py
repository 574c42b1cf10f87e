"""The estimators among scikit-learn's tools."""

import functools
import io
import pickle

import joblib
import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier, StackingRegressor, VotingClassifier
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score, learning_curve
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import estimator_html_repr

from xdfn.sklearn import MLPClassifier, MLPRegressor

pd = pytest.importorskip("pandas")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, y = load_iris(return_X_y=True)
ARGS = {"max_iter": 60, "learning_rate_init": 0.02, "random_state": 0}
Classifier, Regressor = functools.partial(MLPClassifier, **ARGS), functools.partial(MLPRegressor, **ARGS)


def frame():
    rng = np.random.default_rng(0)
    color = np.asarray(["red", "green", "blue"])[rng.integers(0, 3, 200)]
    table = pd.DataFrame({"size": rng.normal(size=200), "weight": rng.normal(size=200), "color": color})
    return table, np.where(table["size"] + (color == "red") > 0.5, "yes", "no")


def test_a_pipeline_of_a_frame_with_numbers_and_categories():
    table, answers = frame()
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), ["size", "weight"]), ("one", OneHotEncoder(), ["color"])]
    )
    for output in ("default", "pandas"):
        chosen = columns if output == "default" else ColumnTransformer(
            [("numbers", StandardScaler(), ["size", "weight"]), ("one", OneHotEncoder(sparse_output=False), ["color"])]
        ).set_output(transform="pandas")  # fmt: skip
        model = make_pipeline(clone(chosen), Classifier()).fit(table, answers)
        assert model.score(table, answers) > 0.95
    assert "color" in model[-1].feature_names_in_[-1]


def test_a_search_on_two_processes():
    search = GridSearchCV(Classifier(), {"alpha": [1e-4, 1e-2], "hidden_layer_sizes": [(5,), (20,)]}, cv=3, n_jobs=2)
    search.fit(X, y)
    assert search.best_score_ > 0.9
    assert set(search.best_params_) == {"alpha", "hidden_layer_sizes"}


def test_cross_validation():
    assert cross_val_score(make_pipeline(StandardScaler(), Classifier()), X, y, cv=3, n_jobs=2).mean() > 0.9
    assert cross_val_predict(Classifier(), X, y, cv=3, method="predict_proba").shape == (150, 3)
    sizes, train, _ = learning_curve(Classifier(), X, y, cv=3, train_sizes=[0.5, 1.0], shuffle=True, random_state=0)
    assert train.shape == (len(sizes), 3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: CalibratedClassifierCV(Classifier(), cv=3),
        lambda: VotingClassifier([("net", Classifier()), ("line", LogisticRegression(max_iter=500))], voting="soft"),
        lambda: BaggingClassifier(Classifier(), n_estimators=3, random_state=0),
    ],
    ids=["calibrated", "voting", "bagging"],
)
def test_among_other_classifiers(make):
    assert make().fit(X, y).score(X, y) > 0.9


def test_among_other_regressors():
    target = X[:, 3]
    stacked = StackingRegressor([("net", Regressor()), ("line", Ridge())], cv=3).fit(X[:, :3], target)
    assert stacked.score(X[:, :3], target) > 0.8
    scaled = TransformedTargetRegressor(Regressor(), transformer=StandardScaler()).fit(X[:, :3], target)
    assert scaled.score(X[:, :3], target) > 0.8


def test_one_classifier_for_each_output():
    several = np.stack([y == 0, y == 1], axis=1).astype(int)
    assert MultiOutputClassifier(Classifier()).fit(X, several).predict(X).shape == (150, 2)


def test_copies_and_files(tmp_path):
    fitted = Classifier().fit(X, y)
    joblib.dump(fitted, tmp_path / "model.joblib")
    for other in (joblib.load(tmp_path / "model.joblib"), pickle.load(io.BytesIO(pickle.dumps(fitted)))):
        np.testing.assert_array_equal(other.predict_proba(X), fitted.predict_proba(X))
    assert clone(fitted).get_params() == fitted.get_params()
    assert "MLPClassifier" in estimator_html_repr(fitted)
    assert repr(fitted) == "MLPClassifier(learning_rate_init=0.02, max_iter=60, random_state=0)"


def test_weights_are_routed():
    weight = np.where(y == 2, 0.0, 1.0)
    with config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=True)
        model = make_pipeline(scaler, Classifier().set_fit_request(sample_weight=True))
        fitted = model.fit(X, y, sample_weight=weight)
    assert not (fitted.predict(X) == 2).any()


def test_validation_rows_are_routed():
    with config_context(enable_metadata_routing=True):
        net = Classifier().set_fit_request(X_val=True, y_val=True)
        fitted = make_pipeline(StandardScaler(), net).fit(X, y, X_val=X[::5], y_val=y[::5])
    assert len(fitted[-1].validation_loss_curve_) == fitted[-1].n_iter_


def test_what_matters_to_it():
    fitted = Classifier().fit(X, y)
    found = permutation_importance(fitted, X, y, n_repeats=3, random_state=0)
    assert found.importances_mean[2:].max() > 0.1
    assert partial_dependence(fitted, X, [2])["average"].shape[0] == 3
