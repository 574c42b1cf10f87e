"""The arguments of a fit: what does not fit is said before anything happens."""

import numpy as np
import pytest

from xdfn import DFN, BatchNorm, FullyConnected

N, M = 12, 3
WRONG = [
    ({"sample_weight": np.ones(5)}, "sample_weight must have one weight for each of the 12 rows, got 5"),
    ({"sample_weight": -np.ones(N)}, "sample_weight must hold finite numbers of at least 0"),
    ({"sample_weight": np.full(N, np.nan)}, "sample_weight must hold finite numbers"),
    ({"sample_weight": np.zeros(N)}, "sample_weight must not be 0 for all rows"),
    ({"sample_weight": np.ones((N, 1))}, "sample_weight must be 1-d"),
    ({"sample_weight": "balanced"}, "sample_weight must be an array, a frame or a list"),
    ({"class_weight": "even"}, "class_weight must be 'balanced' or a dict"),
    ({"class_weight": {7: 1.0}}, "class_weight: there is no class 7, the classes are 0 to 2"),
    ({"class_weight": {0: -1.0}}, r"class_weight\[0\] must be a number in \[0, inf\), got -1.0"),
    ({"class_weight": {0: 0, 1: 0, 2: 0}}, "leave no row to train on"),
    ({"validation_fraction": 1.5}, r"validation_fraction must be a number in \(0, 1\), got 1.5"),
    ({"validation_fraction": 0.2, "validation_data": 1}, "either validation_data or validation_fraction"),
    ({"validation_data": np.ones((3, 4))}, r"validation_data must be \(X, y\)"),
    ({"validation_data": (np.ones((3, 5)), np.ones(3, int))}, "validation_data: X must have the 4 columns"),
    ({"validation_data": (np.ones((3, 4)), np.ones(4, int))}, "validation_data: X and y must have the same number"),
    ({"validation_data": (np.ones((3, 4)), np.full(3, 9))}, r"validation_data: y must lie in \[0, 2\]"),
    ({"validation_data": (np.ones((3, 4)), np.ones(3, int), np.ones(4))}, "validation_data: sample_weight must have"),
    ({"metrics": np.mean, "sample_weight": np.ones(N)}, "mean is a function of y_true and y_pred and takes no weights"),
    ({"validation_fraction": 0.3, "metrics": "accurate"}, "unknown metric 'accurate': did you mean 'Accuracy'"),
    ({"validation_fraction": 0.3, "metrics": "mse"}, "MeanSquaredError fits losses for numbers"),
    ({"callbacks": "early_stopping"}, "callbacks must be a list"),
    ({"callbacks": ["early_stoping"]}, "unknown callback 'early_stoping': did you mean 'EarlyStopping'"),
    ({"callbacks": ["early_stopping"]}, "EarlyStopping: monitor must be one of loss, got 'val_loss'; those of a valid"),
    ({"callbacks": ["checkpoint('/nowhere/m.npz')"]}, "Checkpoint: the folder of path '/nowhere/m.npz' does not exist"),
    ({"callbacks": ["csv_log('/nowhere/m.csv')"]}, "CSVLog: the folder of path"),
]


def network(loss, **more):
    hidden = FullyConnected(5, "tanh", "glorot_uniform")
    layers = [hidden, BatchNorm(), FullyConnected(M, "affine", "glorot_uniform")]
    return DFN(layers=layers, loss=loss, optimizer="adam(lr=0.05)", seed=1, **more)


@pytest.mark.parametrize(("wrong", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_what_does_not_fit_is_said_before_anything_happens(wrong, message, rng, capsys):
    X, y = rng.normal(size=(N, 4)), rng.integers(0, M, N)
    model = network("cross_entropy").fit(X, y, 1, 5, verbose=None)
    before = {name: {k: v.copy() for k, v in layer.params.items()} for name, layer in model.layers.items()}
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, 2, 5, **wrong)
    assert capsys.readouterr().out == ""
    assert len(model.history["loss"]) == 1
    for name, layer in model.layers.items():
        for key, value in layer.params.items():
            assert (value == before[name][key]).all()
    fresh = network("cross_entropy")
    with pytest.raises(ValueError, match=message):
        fresh.fit(X, y, 2, 5, **wrong)
    assert not fresh.is_initialized
