"""scikit-learn's MLPClassifier, which has no dropout."""

import warnings

import numpy as np
from sklearn.neural_network import MLPClassifier


def train(case, params, X, y):
    if any(case.dropout):
        return None
    mlp = MLPClassifier(
        case.sizes[1:-1],
        activation={"sigmoid": "logistic"}.get(case.activation, case.activation),
        solver=case.optimizer,
        alpha=0.0,
        batch_size=case.batch,
        learning_rate_init=case.lr,
        momentum=0.0,
        nesterovs_momentum=False,
        epsilon=1e-7,
        shuffle=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlp.partial_fit(X[: case.batch], y[: case.batch], classes=np.arange(case.sizes[-1]))
    if case.sizes[-1] == 2:  # one logistic output there
        return None
    del mlp._optimizer  # and with it the memory of that batch
    for i, p in enumerate(params):
        mlp.coefs_[i][...], mlp.intercepts_[i][...] = p["W"], p["b"][0]

    def run(orders):
        for order in orders:
            mlp.partial_fit(X[order], y[order])
        return mlp.loss_

    return run
