"""Rows, step and state: what is wrong with the arrays is found before training begins."""

import math

import numpy as np
import pytest
from fits import Told, two_layers

from xdfn import DFN, BatchNorm, FullyConnected, ObjectiveBase, ScheduleBase, register
from xdfn.nn.losses import losses
from xdfn.train.data import split


def test_weights_and_functions_are_refused_before_training(data):
    X, y = data

    def right(y_true, y_pred):
        return 1.0

    more = {"validation_fraction": 0.2, "metrics": right, "callbacks": [told := Told()]}
    with pytest.raises(ValueError, match=r"the metric right .* takes no weights"):
        two_layers().fit(X, y, 1, sample_weight=np.ones(150), **more)
    assert told.calls == []
    broken = X.copy()
    broken[0, 0] = np.nan
    with pytest.raises(ValueError, match="validation_data: X holds NaN"):
        two_layers().fit(X, y, 1, verbose=None, validation_data=(broken, y))
    model = two_layers().fit(X, y, 1, verbose=None, validation_data=(broken, y), check_input=False)
    assert math.isnan(model.history["val_loss"][0])


def test_bad_schedules_are_found_before_training(data):
    X, y = data

    @register
    class Broken(ScheduleBase):
        def __call__(self, t, history=None):
            return math.nan if t >= 2 else 0.1

    for optimizer, message in [
        ("sgd(lr='broken')", "lr: Broken gave nan at epoch 2"),
        ("sgd(lr='plateau(0.1, monitor=\"val_loss\")')", "monitors 'val_loss', expected one of loss"),
    ]:
        model = DFN(8, 2, optimizer=optimizer, seed=0)
        with pytest.raises(ValueError, match=message):
            model.fit(X, y, 5, verbose=None)
        assert not model.is_initialized
    with pytest.raises(ValueError, match=r"lr must be a number in .* or a schedule"):
        DFN(8, 2, optimizer="sgd(lr='cosine')")


def test_a_plateau_that_waits_the_wrong_way_is_refused(data):
    X, y = data
    more = {"validation_data": (X, y), "metrics": "accuracy", "verbose": None}
    rule = "sgd(lr='plateau(0.1, monitor=\"val_accuracy\"{})')"
    with pytest.raises(ValueError, match="mode='min'; it is better the other way: 'max'"):
        two_layers(optimizer=rule.format("")).fit(X, y, 1, **more)
    two_layers(optimizer=rule.format(', mode="max"')).fit(X, y, 1, **more)


N, M = 12, 3


def network(loss, **more):
    hidden = FullyConnected(5, "tanh", "glorot_uniform")
    layers = [hidden, BatchNorm(), FullyConnected(M, "affine", "glorot_uniform")]
    return DFN(layers=layers, loss=loss, optimizer="adam(lr=0.05)", seed=1, **more)


def test_rows_kept_for_validation_teach_nothing(rng):
    """Their targets may be anything: the weights are the same."""
    X, y = rng.normal(size=(60, 4)), rng.normal(size=(60, M))
    one = network("squared_error").fit(X, y, 2, 8, verbose=None, validation_fraction=0.25)
    _, kept = split(60, 0.25, None, 1)
    y[kept] += 100
    other = network("squared_error").fit(X, y, 2, 8, verbose=None, validation_fraction=0.25)
    assert one.history["loss"] == other.history["loss"]
    assert other.history["val_loss"][0] > 100 * one.history["val_loss"][0]
    assert one.evaluate(X[kept], y[kept] - 100) == pytest.approx(one.history["val_loss"][-1], rel=1e-12)


def test_classes_are_asked_of_losses_that_have_them(rng):
    with pytest.raises(ValueError, match="SquaredError with 3 outputs has none"):
        network("squared_error").fit(rng.normal(size=(N, 4)), rng.normal(size=(N, M)), class_weight="balanced")


def test_a_classifier_of_ones_own_without_labels_is_split_at_random(rng):
    class Hinge(type(losses.resolve("bce"))):
        labels = ObjectiveBase.labels

    X, y = rng.normal(size=(40, 2)), (rng.random(40) < 0.5).astype(int)
    model = DFN(layers=[FullyConnected(1, "affine", "glorot_uniform")], loss=Hinge(), seed=0)
    model.fit(X, y, 1, 10, None, validation_fraction=0.25)
    assert len(model.history["val_loss"]) == 1
    with pytest.raises(ValueError, match="class_weight: classes were asked for, and Hinge"):
        model.fit(X, y, 1, 10, None, class_weight="balanced")
