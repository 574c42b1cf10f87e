"""The best value so far."""

import math

import pytest

from xdfn import Callback
from xdfn.train.callbacks.base import FitInfo
from xdfn.train.callbacks.monitor import BestValue, mode_field
from xdfn.train.metrics import resolve_metrics
from xdfn.train.metrics.base import MeanLoss


def best(monitor="val_loss", mode=None):
    names = ("loss", "val_loss", "val_accuracy", "val_mse")
    metrics = resolve_metrics({"val_loss": MeanLoss(), "val_accuracy": "accuracy", "val_mse": "mse"})
    return BestValue(Callback(), monitor, mode, FitInfo(9, 1, names, metrics))


def test_a_value_improves_by_more_than_min_delta():
    value = best()
    given = [(3.0, 0, True), (3.0, 0, False), (2.5, 0.5, False), (2.4, 0.5, True)]
    given += [(math.nan, 0, False), (9.0, 0, False)]
    assert [value.improves(x, delta) for x, delta, _ in given] == [expected for *_, expected in given]
    assert value.best == 2.4
    assert not best().improves(math.nan)  # not even as the first


@pytest.mark.parametrize(
    ("monitor", "mode", "sign"),
    [("loss", None, -1), ("val_accuracy", None, 1), ("val_mse", None, -1), ("val_accuracy", "min", -1)],
)
def test_the_direction_follows_from_the_metric_unless_it_is_said(monitor, mode, sign):
    value = best(monitor, mode)
    assert value.improves(1.0)
    assert value.improves(1.0 + sign)
    assert not value.improves(1.0)


def test_a_value_that_a_fit_has_not():
    with pytest.raises(ValueError, match=r"^Callback: monitor must be one of loss, val_loss, .*, got 'accuracy'; fit"):
        best("accuracy")
    with pytest.raises(ValueError, match=r"got 'val_loss'; those of a validation need validation_data or"):
        BestValue(Callback(), "val_loss", None, FitInfo(1, 1, ("loss",), {}))


def test_a_mode_is_min_max_or_none():
    class Owner:
        mode = mode_field()

    owner = Owner()
    for mode in ("min", "max", None):
        owner.mode = mode
        assert owner.mode is mode
    for wrong in ("auto", 1, ["min"]):
        with pytest.raises(ValueError, match=r"^mode must be 'min', 'max' or None"):
            owner.mode = wrong
