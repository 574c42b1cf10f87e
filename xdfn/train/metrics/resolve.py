"""Metrics by name: what a fit is given as its metrics, and whether larger values of them are better."""

import re
from collections.abc import Mapping, Sequence

from xdfn.core.registry import Spec, parse
from xdfn.train.metrics.base import MeanLoss, MetricBase, metrics
from xdfn.train.metrics.function import FunctionMetric, MetricFunction

__all__: list[str] = []

Metric = Spec[MetricBase] | MetricFunction  # one, as a user names it
Metrics = Metric | Sequence[Metric] | Mapping[str, Metric] | None


def resolve_metrics(given: Metrics, loss: MetricBase | None = None) -> dict[str, MetricBase]:
    """The metrics that `given` means by name, which follows ``"val_"`` in the history of a fit with a validation.

    Parameters
    ----------
    given : None, str, MetricBase, function, a list of these, or a dict of them by name
        A function is f(y_true, y_pred), see `FunctionMetric`.
    loss : MetricBase, optional
        What ``"loss"`` stands for, where it may be asked for.

    Raises
    ------
    ValueError
        An unknown metric, a name that is given twice, or the name ``"loss"``.

    Examples
    --------
    >>> resolve_metrics(["accuracy", "top_k(k=3)"])
    {'accuracy': Accuracy, 'top_k_accuracy': TopKAccuracy(k=3)}
    >>> resolve_metrics({"top_1": "top_k(k=1)", "top_3": "top_k(k=3)"})
    {'top_1': TopKAccuracy(k=1), 'top_3': TopKAccuracy(k=3)}
    >>> resolve_metrics("mse")
    {'mse': MeanSquaredError}
    """
    if given is None:
        return {}
    if isinstance(given, Mapping):
        named = [(name, _resolve(spec, loss)) for name, spec in given.items()]
    else:
        specs = given if isinstance(given, (list, tuple)) else [given]
        named = [(_name(spec, metric), metric) for spec, metric in ((spec, _resolve(spec, loss)) for spec in specs)]
    result: dict[str, MetricBase] = {}
    for name, metric in named:
        if not isinstance(name, str):
            raise ValueError(f"metrics: a name must be a string such as 'accuracy', got {name!r:.80}")
        if name == "loss" and metric is not loss:
            raise ValueError("metrics: the name 'loss' stands for the loss itself; choose another")
        if name in result:
            raise ValueError(
                f"metrics: the name {name!r} is there twice; give names of your own by a dict {{name: metric}}"
            )
        result[name] = metric
    return result


def _resolve(spec: object, loss: MetricBase | None) -> MetricBase:
    if loss is not None and isinstance(spec, str) and spec == "loss":
        return loss
    if callable(spec) and not isinstance(spec, (type, MetricBase)):
        return FunctionMetric(spec)
    return metrics.resolve(spec)


def _name(spec: object, metric: MetricBase) -> str:
    """The name of a metric that was given without one."""
    if isinstance(metric, FunctionMetric):
        if not metric.name.isidentifier():
            raise ValueError(
                f"metrics: the function {metric.name} has no name; give it one by a dict {{name: function}}"
            )
        return metric.name
    if isinstance(metric, MeanLoss):
        return "loss"
    cls = type(metric).__name__
    if isinstance(spec, str):
        name, args, kwargs = parse(spec, metrics.kind)
        if not args and not kwargs and re.sub(r"[\s_-]", "", name).lower() != cls.lower():
            return name  # an alias such as "mse"
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls).lower()


def sign(monitor: str, metrics: Mapping[str, MetricBase], mode: str | None = None) -> int:
    """1 if a larger value of the history's ``monitor`` is better, -1 if a smaller one is.

    Parameters
    ----------
    monitor : str
        ``"loss"``, or the name of a metric there, such as ``"val_loss"``.
    metrics : dict of MetricBase
        By their names in the history.
    mode : {"min", "max"}, optional
        The answer, whatever the monitor is: "max" if a larger value is better.

    Raises
    ------
    ValueError
        The monitor is unknown, or it is a user's function and there is no `mode`.

    Examples
    --------
    >>> sign("loss", {}), sign("acc", resolve_metrics("acc")), sign("acc", resolve_metrics("acc"), "min")
    (-1, 1, -1)
    """
    if mode not in (None, "min", "max"):
        raise ValueError(f"mode must be 'min', 'max' or None, got {mode!r:.80}")
    if mode is not None:
        return 1 if mode == "max" else -1
    if monitor == "loss":
        return -1
    if monitor not in metrics:
        raise ValueError(f"monitor must be one of {', '.join(['loss', *metrics])}, got {monitor!r:.80}")
    higher = metrics[monitor].higher_is_better
    if higher is None:
        raise ValueError(f"whether a larger {monitor} is better is not known: say mode='max' or mode='min'")
    return 1 if higher else -1
