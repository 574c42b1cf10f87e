"""
A frame in a pipeline
=====================

A frame with numbers and categories, a pipeline of scikit-learn, and a search: the import of the network is new.
"""

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from xdfn.sklearn import MLPClassifier


def make_frame(n=600, seed=0):
    """Houses that are sold within a month, or not."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "area": rng.normal(100.0, 30.0, n),
            "age": rng.uniform(0.0, 80.0, n),
            "town": rng.choice(["north", "south", "harbour"], n),
        }
    )
    wanted = (table["area"] - 100) / 30 - (table["age"] - 40) / 40 + 1.5 * (table["town"] == "harbour")
    return table, np.where(wanted + rng.normal(0, 0.3, n) > 0.5, "sold", "waits")


def main():
    table, answer = make_frame()
    train, test, answer_train, answer_test = train_test_split(table, answer, random_state=0)
    columns = make_column_transformer((StandardScaler(), ["area", "age"]), (OneHotEncoder(), ["town"]))
    network = MLPClassifier((30,), early_stopping=True, learning_rate_init=0.01, random_state=0)
    search = GridSearchCV(make_pipeline(columns, network), {"mlpclassifier__dropout": [0.0, 0.2]}, cv=3)
    search.fit(train, answer_train)
    best = search.best_estimator_[-1]
    print(f"dropout {best.dropout}: {search.score(test, answer_test):.3f} right, after {best.n_iter_} epochs")
    print(best.model_.summary())


if __name__ == "__main__":
    main()
