"""The scores and times of `xdfn.sklearn` beside scikit-learn's, at equal settings, as a table of Markdown for the docs:
the mean and the standard deviation of the scores of 5 folds, and the seconds that the fits took together.

    python benchmarks/sklearn_scores.py
"""

import time
import warnings

import numpy as np
import sklearn.neural_network
from sklearn import datasets
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler

import xdfn.sklearn

SETTINGS = {"adam": {}, "sgd": {"solver": "sgd", "learning_rate_init": 0.01}, "lbfgs": {"solver": "lbfgs"}}
LIBRARIES = {"scikit-learn": sklearn.neural_network, "xdfn": xdfn.sklearn}


def load():
    """(name, X, y, whether y are classes) of each set of data."""
    for name in ("digits", "breast_cancer", "wine", "iris", "diabetes"):
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        yield name, X, y, name != "diabetes"
    X, y = datasets.make_friedman1(1000, random_state=0)
    yield "friedman1", X, y, False


def measure(library, X, y, classes, settings):
    """The scores of the folds, and the seconds of their fits."""
    splits = (StratifiedKFold if classes else KFold)(5, shuffle=True, random_state=0)
    kind = library.MLPClassifier if classes else library.MLPRegressor
    scores, seconds = [], 0.0
    for train, test in splits.split(X, y):
        scaler = StandardScaler().fit(X[train])
        target = y if classes else (y - y[train].mean()) / y[train].std()
        model, rows = kind(random_state=0, **settings), scaler.transform(X[train])
        start = time.perf_counter()
        model.fit(rows, target[train])
        seconds += time.perf_counter() - start
        scores.append(model.score(scaler.transform(X[test]), target[test]))
    return np.asarray(scores), seconds


def main():
    warnings.simplefilter("ignore")
    print("| data | solver | scikit-learn | xdfn | seconds, scikit-learn | seconds, xdfn |")
    print("|---|---|---|---|---|---|")
    for name, X, y, classes in load():
        for solver, settings in SETTINGS.items():
            found = [measure(library, X, y, classes, settings) for library in LIBRARIES.values()]
            scores = " | ".join(f"{s.mean():.4f} ± {s.std():.4f}" for s, _ in found)
            seconds = " | ".join(f"{t:.2f}" for _, t in found)
            print(f"| {name} | {solver} | {scores} | {seconds} |", flush=True)


if __name__ == "__main__":
    main()
