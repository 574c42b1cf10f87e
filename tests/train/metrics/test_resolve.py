"""Metrics by name, and which way is better."""

import functools

import pytest

from xdfn.train.metrics import (
    F1,
    R2,
    Accuracy,
    FunctionMetric,
    MeanSquaredError,
    TopKAccuracy,
    metrics,
    resolve_metrics,
    sign,
)
from xdfn.train.metrics.base import MeanLoss


def test_names_in_a_history():
    every = [cls.__name__ for cls in metrics.classes]
    names = "accuracy top_k_accuracy balanced_accuracy precision recall f1"
    names += " mean_squared_error root_mean_squared_error mean_absolute_error r2"
    assert list(resolve_metrics(every)) == list(resolve_metrics([metrics.resolve(s) for s in every])) == names.split()
    assert list(resolve_metrics(metrics.classes)) == list(resolve_metrics(names.split())) == names.split()
    aliases = ["mse", "acc", "top_k", "rmse", "mae", "r2score", "f1_score"]
    assert list(resolve_metrics(aliases)) == aliases


def mine(y_true, y_pred):
    return 0.0


def test_all_ways_to_give_metrics():
    assert resolve_metrics(None) == resolve_metrics([]) == resolve_metrics({}) == {}
    assert resolve_metrics("mse") == {"mse": MeanSquaredError()}
    assert resolve_metrics("top_k(k=2)") == {"top_k_accuracy": TopKAccuracy(2)}
    assert resolve_metrics(F1) == resolve_metrics(F1()) == resolve_metrics((F1(),)) == {"f1": F1()}
    assert resolve_metrics(mine) == resolve_metrics([FunctionMetric(mine)]) == {"mine": FunctionMetric(mine)}
    by_name = {"a": "acc", "b": R2(), "c": F1, "d": mine, "e": functools.partial(mine), "f": lambda y, p: 1}
    resolved = resolve_metrics(by_name)
    assert [type(metric) for metric in resolved.values()] == [Accuracy, R2, F1, *[FunctionMetric] * 3]
    assert list(resolved) == list(by_name)


def loss(y_true, y_pred):
    return 0.0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["top_k(k=1)", "top_k(k=3)"], "the name 'top_k_accuracy' is there twice; .* by a dict"),
        (["acc", "acc"], "the name 'acc' is there twice"),
        (["accuracy", Accuracy()], "the name 'accuracy' is there twice"),
        ([mine, mine], "the name 'mine' is there twice"),
        ("acuracy", "unknown metric 'acuracy': did you mean 'Accuracy'"),
        ("top_k(n=1)", "TopKAccuracy takes k"),
        ("acc(", "metric 'acc\\(': expected a name"),
        (3, "expected the name of a metric"),
        ([["acc"]], "expected the name of a metric"),
        (int, "expected the name of a metric"),
        ({"loss": "mse"}, "the name 'loss' stands for the loss itself"),
        (loss, "the name 'loss' stands for the loss itself"),
        ({3: "mse"}, "a name must be a string"),
        (lambda y, p: 0.0, "<lambda> has no name; give it one by a dict"),
    ],
)
def test_bad_metrics_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        resolve_metrics(given)


def test_sign():
    known = resolve_metrics(["acc", "mse", "top_k", "r2", "rmse", "mae", "f1", "precision", "recall", mine])
    signs = {name: sign(name, known) for name in known if name != "mine"}
    assert {name for name, value in signs.items() if value == 1} == {"acc", "top_k", "r2", "f1", "precision", "recall"}
    assert {name for name, value in signs.items() if value == -1} == {"mse", "rmse", "mae"}
    assert sign("loss", known) == sign("val_loss", {"val_loss": MeanLoss()}) == sign("loss", {}) == -1
    assert sign("mine", known, "max") == sign("loss", known, "max") == 1
    assert sign("mine", known, "min") == sign("acc", known, "min") == -1
    with pytest.raises(ValueError, match="whether a larger mine is better is not known: say mode='max' or"):
        sign("mine", known)
    with pytest.raises(ValueError, match=r"monitor must be one of loss, acc, .*, got 'val_acc'"):
        sign("val_acc", known)
    with pytest.raises(ValueError, match="mode must be 'min', 'max' or None, got 'auto'"):
        sign("loss", known, "auto")
