"""A fit is training with all that one wants around it: rows that count for more than others, rows to validate with, and
callbacks that watch and steer. What it works on is a `DFN`, the model of the next module.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

from xdfn._backend import (
    Array,
    move,
    namespace,
    place,
    put,
    real_dtype,
    real_name,
    require_place,
    resolve_place,
    same_place,
    to_numpy,
)
from xdfn._spec import number
from xdfn.callbacks import BatchReport, Callback, Plan, Report, callbacks
from xdfn.data import Resident, Streamed, check_inputs, check_weights, row_weights, split
from xdfn.losses import ObjectiveBase
from xdfn.metrics import FunctionMetric, MetricBase, resolve_metrics, sign
from xdfn.network import Network, TrainState
from xdfn.schedules import ScheduleBase
from xdfn.training import MeanLoss, Measure, epochs

Told = list[tuple[str, Callback]]  # callbacks with the names by which what they remember is kept


class Weights(NamedTuple):
    """As they were given to `DFN.fit`."""

    sample_weight: Any = None
    class_weight: Any = None


class Validation(NamedTuple):
    """As it was given to `DFN.fit`."""

    data: Any = None
    fraction: Any = None
    metrics: Any = None
    check: bool = True  # for NaN, infinity and targets out of range


def told_of(given: Sequence[Any], verbose: bool | None) -> Told:
    """The callbacks that were given, and the one that prints."""
    if verbose not in (True, False, None):
        raise ValueError(f"verbose must be True (batches and epochs), False (epochs) or None, got {verbose!r:.80}")
    if isinstance(given, (str, Callback)) or not isinstance(given, Sequence):
        raise ValueError(f"callbacks must be a list of callbacks, got {given!r:.80}")
    told: Told = []
    for callback in map(callbacks.resolve, given):
        again = sum(str(other) == str(callback) for _, other in told)
        told.append((f"{callback}{again or ''}", callback))
    if verbose is not None:
        told.append(("report", (BatchReport if verbose else Report)()))
    return sorted(told, key=lambda pair: pair[1].late)


def like_of(X: Array, device: Any) -> Array:
    """An array like X where the network is to be."""
    where = place(X) if device is None else resolve_place(device)
    if same_place(where, place(X)):
        return X
    if place(X).library != "numpy":
        raise ValueError(f"X_train is on {place(X)}, expected NumPy arrays, which go to {where} by batches")
    row = to_numpy(X[:1])  # of a memory-mapped file too
    return move(row.astype(real_name(real_dtype(X))), where)


def rows_of(
    model: Any, X: Array, y: Array, like: Array, weights: Weights, validation: Validation
) -> tuple[Resident | Streamed, Measure | None]:
    """The rows to train on, and what is measured on others.

    Raises
    ------
    ValueError
        Weights, rows or metrics that do not fit.
    """
    n, loss, n_out, where = X.shape[0], model.loss, model._n_out, place(X)
    metrics = resolve_metrics(validation.metrics)
    if validation.data is not None and validation.fraction is not None:
        raise ValueError("fit expects either validation_data or validation_fraction, got both")
    if metrics and validation.data is None and validation.fraction is None:
        raise ValueError("metrics are measured on other rows: give validation_data=(X, y) or validation_fraction")
    for metric in metrics.values():
        metric.check(loss, n_out)
    has_labels = type(loss).labels is not ObjectiveBase.labels and (n_out == 1 or loss.unit_rows)
    stratified = validation.fraction is not None and has_labels
    labels, which, held_out, sample_weight = None, None, None, None
    if weights.class_weight is not None or stratified:
        try:
            labels = to_numpy(loss.labels(y, n_out)).astype("int64")
        except ValueError as error:
            raise ValueError(f"class_weight: {error}") from None
    if weights.sample_weight is not None:
        sample_weight = check_weights("sample_weight", weights.sample_weight, n)
    if validation.data is not None:
        held_out = _validation_data(model, validation.data, X, validation.check)
    elif validation.fraction is not None:
        number("validation_fraction", validation.fraction, 0, 1, open_low=True, open_high=True)
        which, others = split(n, validation.fraction, labels, model._seed)
        at, xp = put(others, where), namespace(X)
        held_out = (
            xp.take(X, at, axis=0),
            xp.take(y, at, axis=0),
            None if sample_weight is None else put(sample_weight[others].astype(model._real), where),
        )
    if held_out is not None and held_out[2] is not None:
        for name, metric in metrics.items():
            if isinstance(metric, FunctionMetric):
                raise ValueError(
                    f"the metric {name} is a function of y_true and y_pred and takes no weights, and the rows of the "
                    "validation have some: give validation_data=(X, y), or write a MetricBase"
                )
    measure = None if held_out is None else Measure(*held_out, loss, {"loss": MeanLoss(), **metrics})
    weight = row_weights(n, sample_weight, weights.class_weight, labels, max(2, n_out), which)
    there = None if weight is None else put(weight.astype(model._real), where)
    if same_place(place(like), where):
        return Resident(X, y, there, which), measure
    return Streamed(X, y, there, place(like), which), measure


def _validation_data(model: Any, given: Any, like: Array, check: bool) -> tuple[Array, Array, Array | None]:
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        count = f" of {len(given)}" if isinstance(given, (tuple, list)) else ""
        raise ValueError(
            f"validation_data must be (X, y) or (X, y, sample_weight), got a {type(given).__name__}{count}"
        )
    X, y, *more = given
    check_inputs(X, model._first.n_in, "validation_data: X")
    require_place(place(like), "the rows of the validation must be where those of the training are", X=X)
    try:
        model.check_targets(y, X)
        if check:
            model._check_values(X, y)
    except ValueError as error:
        raise ValueError(f"validation_data: {error}") from None
    if not more or more[0] is None:
        return X, y, None
    weight = check_weights("validation_data: sample_weight", more[0], X.shape[0])
    return X, y, put(weight.astype(model._real), place(X))


class Fit:
    """One call of `DFN.fit`: its epochs, and the callbacks that are told of them."""

    def __init__(
        self,
        model: Any,
        rows: Resident | Streamed,
        like: Array,
        n_epochs: int,
        batch_size: int,
        measure: Measure | None,
        told: Told,
    ) -> None:
        self.model, self.rows, self.like, self.measure, self.told = model, rows, like, measure, told
        self.batch_size, self.left = min(batch_size, rows.n), n_epochs
        for name, layer in model.layers.items():
            if self.batch_size < layer.least_rows:
                raise ValueError(
                    f"{name}, {layer}, needs batches of at least {layer.least_rows} rows, got {self.batch_size}"
                )
        metrics = {} if measure is None else measure.metrics
        measured = ("loss", *(f"val_{name}" for name in metrics))
        names = (*measured, *(name for _, c in told for name in c.names))
        if len(set(names)) < len(names):
            raise ValueError(f"callbacks measure what has a name already: {', '.join(names)}")
        self.plan = Plan(n_epochs, math.ceil(rows.n / self.batch_size), names, metrics)
        # a callback of one's own may change anything at any time, those that are here change what they say
        self._watched = any(not type(callback).__module__.startswith("xdfn.") for _, callback in told)
        self._layers = dict(model.layers)
        self._to_show: TrainState | None = None
        self._begun: Told = []
        self._renew()

    def _renew(self) -> None:
        """Take the model as it is now; if it cannot be taken, nothing has changed here."""
        model, plan = self.model, self.plan
        net: Network = model._network(self.like)
        good: TrainState = model._pack(net, self.like)
        for segment in net.segments:
            _check_direction(segment.schedule, plan.metrics)
        net.look_ahead(good.step, good.epoch, self.left, plan.n_batches, plan.values)
        self.net, self.good = net, good

    def begin(self) -> None:
        self.model.stop_training = False
        for name, callback in self.told:
            callback.on_fit_begin(self.model, self.plan)
            self._begun.append((name, callback))
            if name in self.model._remembered:
                callback.restore(self.model._remembered[name])
        if self.left:
            self._epoch_begin()

    def epochs(self) -> Iterator[tuple[TrainState, dict[str, float]]]:
        """The state after each epoch, which stays good until the next, and the epoch's values."""
        while self.left and not self.model.stop_training:  # once, unless a callback changes the model
            net = self.net
            trained = epochs(net, self.good, self.rows, self.left, self.batch_size, self._on_batch(), self.measure)
            for state, values in trained:
                self._to_show = state if self.told else None
                more = self._measured() if self.told else {}
                self.good, self.left = state, self.left - 1
                yield state, {**values, **more}
                if self.net is not net or self.model.stop_training or not self.left:
                    break

    def _measured(self) -> dict[str, float]:
        """What the callbacks measure."""
        values: dict[str, float] = {}
        for _, callback in self.told:
            if callback.names:
                given = callback.measure(self.model)
                if set(given) != set(callback.names) or not all(isinstance(v, Real) for v in given.values()):
                    raise ValueError(
                        f"{type(callback).__name__}.measure must give a number for each of {callback.names}, got "
                        f"{given!r:.200}"
                    )
                values |= given
        return values

    def _epoch_begin(self) -> None:
        for _, callback in self.told:
            callback.on_epoch_begin(self.model)
        self._take_changes()

    def after_epoch(self, state: TrainState, values: dict[str, float]) -> None:
        """Tell the callbacks, and go on with what they made of the model."""
        if not self.told:
            return
        if self._watched:
            _ = self.model.layers  # which a callback may have got hold of earlier
        for _, callback in self.told:
            callback.on_epoch_end(self.model, dict(values))
        if self.left and not self.model.stop_training:
            self._epoch_begin()
        else:
            self._take_changes()

    def _take_changes(self) -> None:
        looked, self._to_show = self._to_show is None, None
        if self._watched and looked:
            now = self.model.layers
            if now.keys() != self._layers.keys() or any(now[name] is not self._layers[name] for name in now):
                self.model.layers = self._layers
                raise ValueError("layers cannot be replaced within a fit; change their parameters and hyper-parameters")
            self.model._rule()
            if self.net.flat or self.model._differs_from(self.net):  # arrays, but for JAX's, may be changed in place
                self._renew()

    def _on_batch(self) -> Any:
        """What is to be done after a batch, if anything."""
        told = [callback for _, callback in self.told if callback.by_batch]
        if not told:
            return None

        def on_batch(state: TrainState, batch: int, n_batches: int, loss: Array) -> None:
            self._to_show = state
            for callback in told:
                callback.on_batch_end(self.model, batch, n_batches, _reader(loss))
            self._to_show = None

        return on_batch

    def shown(self) -> tuple[Network, TrainState] | None:
        """Where training is, if it is further than the model shows."""
        state, self._to_show = self._to_show, None
        return None if state is None else (self.net, state)

    def states(self) -> dict[str, dict[str, Any]]:
        """What the callbacks remember."""
        return {name: state for name, callback in self._begun if (state := callback.state())}

    def end(self, complete: bool) -> None:
        """Tell the callbacks that it is over."""
        with contextlib.ExitStack() as stack:  # all of them, even if one fails
            for _, callback in reversed(self._begun):
                stack.callback(callback.on_fit_end, self.model, complete)


def _check_direction(schedule: ScheduleBase | None, metrics: Mapping[str, MetricBase]) -> None:
    """Raise ValueError if a schedule waits for a metric to fall that ought to rise, or the other way round."""
    monitor, mode = getattr(schedule, "monitor", None), getattr(schedule, "mode", None)
    known = monitor in ("loss", "val_loss") or (
        monitor is not None and getattr(metrics.get(monitor.removeprefix("val_")), "higher_is_better", None) is not None
    )
    if monitor is not None and mode is not None and known:
        better = "max" if sign(monitor, metrics) > 0 else "min"
        if mode != better:
            raise ValueError(
                f"lr: {schedule} waits for {monitor} with mode={mode!r}; it is better the other way: {better!r}"
            )


def _reader(loss: Array) -> Callable[[], float]:
    return lambda: float(to_numpy(loss))
