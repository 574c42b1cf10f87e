"""Before training begins: the rows to train on and to measure on, the step, the state. All that can be wrong with the
arrays is found here, while the fit can still be taken back whole.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self, cast

from xdfn.backend import (
    HOST,
    Array,
    ArrayLike,
    Communicator,
    Host,
    Place,
    as_array,
    computing,
    namespace,
    place,
    put,
    random,
    real_dtype,
    real_name,
    require_place,
    to_numpy,
    with_rows_together,
)
from xdfn.nn.layers.base import LayerBase
from xdfn.nn.losses import ObjectiveBase
from xdfn.notebook import let_make_params, makes_own_params
from xdfn.optim.base import OptimizerBase
from xdfn.optim.schedules import ScheduleBase
from xdfn.train.callbacks.base import FitInfo
from xdfn.train.checks import check_inputs, check_params, check_targets, check_values, check_weights
from xdfn.train.data import Resident, Rows, Streamed, row_weights, split
from xdfn.train.evaluation import Evaluation
from xdfn.train.loop import Run
from xdfn.train.memory import Layers, Memory
from xdfn.train.metrics import sign
from xdfn.train.metrics.base import MeanLoss, MetricBase
from xdfn.train.metrics.function import FunctionMetric
from xdfn.train.options import FitOptions, NamedCallbacks
from xdfn.train.ranks import SharedRows
from xdfn.train.state import TrainState
from xdfn.train.step import StepOptions, TrainStep

Measured = tuple[Array, Array, Array | None]  # X, y and the weights of the rows


class ModelConfig(NamedTuple):
    """What a model is, as training sees it."""

    layers: dict[str, LayerBase]
    loss: ObjectiveBase
    step_options: StepOptions
    history: Mapping[str, Sequence[float]]

    @property
    def place(self) -> Place:
        """Where the network is; the host before it has parameters."""
        arrays = (value for layer in self.layers.values() for value in layer.params.values())
        first = next(arrays, None)
        return HOST if first is None else place(as_array("a parameter", first))

    def as_array(self, name: str, x: ArrayLike) -> Array:
        """x as an array: where the network is, if x is of no array library."""
        return as_array(name, x, lambda: self.place)

    def joined(self, comm: Communicator) -> "ModelConfig":
        """The same for a step that ranks make together."""
        return self._replace(step_options=self.step_options._replace(comm=comm))

    @property
    def n_in(self) -> int | None:
        first = next(iter(self.layers.values()), None)
        return None if first is None else first.n_in

    @property
    def n_out(self) -> int:
        n_out = next(reversed(self.layers.values())).n_out
        assert n_out is not None
        return n_out

    @property
    def is_initialized(self) -> bool:
        return bool(self.layers) and all(layer.is_initialized for layer in self.layers.values())

    @property
    def is_assigned(self) -> bool:
        """Whether it is a new model, and the user has assigned parameters to every layer that has some."""
        drawing = [layer for layer in self.layers.values() if type(layer).init is not LayerBase.init]
        return not self.is_initialized and bool(drawing) and all(layer.params for layer in drawing)

    def require_initialized(self) -> None:
        if not self.is_initialized:
            raise ValueError("the model has no parameters yet: call fit or initialize(X) first, or load a saved model")


class Configured:
    """What the parts of `DFN` in other modules may use of it."""

    _memory: Memory

    def config(self) -> ModelConfig:
        """What the model is, as training sees it."""
        raise NotImplementedError

    def _config(self) -> ModelConfig:
        """The same for inference, which needs no optimizers."""
        raise NotImplementedError

    def initialize(self, X: ArrayLike) -> Self:
        """Make the parameters that are still missing, for inputs like X (n, n_in)."""
        raise NotImplementedError


class Plan(NamedTuple):
    """A fit that is about to begin.

    Attributes
    ----------
    run : what the loop works on
    like : an array where the network is
    info : what callbacks are told
    callbacks : by the names under which they are remembered
    """

    run: Run
    like: Array
    info: FitInfo
    callbacks: NamedCallbacks


def make_params(config: ModelConfig, memory: Memory, rule: OptimizerBase, X: Array) -> None:
    """Make the parameters that are still missing, for inputs like X; `rule` is for layers without one of their own."""
    memory.seed = random.new_seed() if memory.seed is None else memory.seed
    memory.dtype = memory.dtype or real_name(real_dtype(X))
    n_in, where, dtype = X.shape[1], place(X), getattr(namespace(X), memory.dtype)
    for i, (name, layer) in enumerate(config.layers.items()):
        if not layer.is_initialized:
            memory.slots.pop(name, None)  # of a layer that stood in its place
            if layer.inherits and layer._followed is not rule:
                layer.inherit(rule)
            with computing(X):
                if makes_own_params(layer):
                    let_make_params(layer, n_in, where, dtype)
                else:
                    layer.initialize(n_in, where, dtype, random.generator(memory.seed, random.WEIGHTS, i))
        elif layer.n_in != n_in or layer.sizes != (layer.n_in, layer.n_out):
            made = "{} inputs and {} outputs".format(*layer.sizes)
            raise ValueError(f"{name}, {layer}, was made for {made} and gets {n_in} inputs; put a new layer there")
        assert layer.n_out is not None
        n_in = layer.n_out
    check_params(config.layers, X, memory.dtype)


def read_rows(config: ModelConfig, X: ArrayLike, y: ArrayLike, options: FitOptions) -> tuple[Array, Array]:
    """X and y as arrays; what is of no array library goes to where the network is, or is streamed to its device."""
    rows = as_array("X_train", X) if options.where is not None else config.as_array("X_train", X)
    check_inputs(rows, config.n_in, "X_train")
    return rows, as_array("y", y, lambda: place(rows))


def make_plan(config: ModelConfig, memory: Memory, X: Array, y: Array, like: Array, options: FitOptions) -> Plan:
    """The plan of a fit of an initialised model.

    Raises
    ------
    ValueError
        Arrays that do not fit the model, its loss, or each other.
    """
    check_targets(y, X, config.loss, config.n_out)
    memory.flat_targets = y.ndim == 1
    if options.check_input:
        first = next(iter(config.layers.values()))
        check_values(X, y, config.loss, config.n_out, first.input_categories(X.shape[1]), memory.dtype)
    for metric in options.metrics.values():
        metric.check(config.loss, config.n_out)
    rows, measured = make_rows(config, memory, X, y, like, options)
    metrics, ranks = metrics_by_name(options), options.ranks
    evaluation = None if measured is None else Evaluation(*measured, config.loss, metrics, ranks)
    batch_size = min(options.batch_size, rows.n)
    for name, layer in config.layers.items():
        if batch_size < layer.least_rows:
            raise ValueError(f"{name}, {layer}, needs batches of at least {layer.least_rows} rows, got {batch_size}")
    if memory.batch and memory.epoch_of != (rows.n, batch_size):
        n, size = memory.epoch_of
        raise ValueError(
            f"the model was saved in the middle of an epoch of {n} rows in batches of {size}, and cannot go on with "
            f"{rows.n} rows in batches of {batch_size}; model.put_back(model.snapshot()) forgets what that epoch began"
        )
    info = fit_info(options.n_epochs, math.ceil(rows.n / batch_size), metrics, options.callbacks)
    if ranks is not None:
        config = config.joined(ranks.comm)
    step, state = make_step(config, memory, like)
    check_schedules(step, state, options.n_epochs, info)
    return Plan(Run(step, state, rows, batch_size, evaluation, ranks), like, info, options.callbacks)


def make_step(
    config: ModelConfig, memory: Memory, like: Array, kind: type[TrainStep] = TrainStep
) -> tuple[TrainStep, TrainState]:
    """The step of the model as it is now, and the state from which it goes on."""
    assert memory.seed is not None
    layers = config.layers
    params = check_params(layers, like, memory.dtype)
    provenance = [
        {name: memory.provenance_of(layers, layer, name) for name in of_layer.params}
        for layer, of_layer in layers.items()
    ]
    step = kind(
        list(layers.values()), config.loss, memory.seed, place(like), provenance, config.step_options, config.history
    )
    averages = None if config.step_options.ema is None else averaged(params, memory, layers)
    return step, memory.pack(step, layers, params, averages)


def averaged(params: list[dict[str, Array]], memory: Memory, layers: Layers) -> list[dict[str, Array]]:
    """The moving averages where they are valid, and the parameters elsewhere."""
    valid = memory.valid_averages(layers)
    return [{**of_layer, **valid[name]} for name, of_layer in zip(layers, params, strict=True)]


def metrics_by_name(options: FitOptions) -> dict[str, MetricBase]:
    """What an epoch ends with, by its names in the history: bare ones where the rows are those that are trained on."""
    if not options.validates:
        return dict(options.metrics)
    return {"val_loss": MeanLoss(), **{f"val_{name}": metric for name, metric in options.metrics.items()}}


def make_rows(
    config: ModelConfig, memory: Memory, X: Array, y: Array, like: Array, options: FitOptions
) -> tuple[Rows, Measured | None]:
    """The rows to train on, with their weights, and those to measure on: a validation's or, for metrics, the same."""
    n, where = X.shape[0], place(X)
    if where == HOST:
        X = with_rows_together(cast(Host, X))
    labels = class_numbers(config, y, options)
    sample_weight, subset, measured = None, None, None
    if options.sample_weight is not None:
        sample_weight = check_weights("sample_weight", options.sample_weight, n)
    if options.validation_data is not None:
        measured = given_validation(config, memory, options, X)
    elif options.validation_fraction is not None:
        assert memory.seed is not None
        subset, held_out = split(n, options.validation_fraction, labels, memory.seed)
        at, xp = put(held_out, where), namespace(X)
        weight = None if sample_weight is None else put(sample_weight[held_out].astype(memory.dtype), where)
        measured = xp.take(X, at, axis=0), xp.take(y, at, axis=0), weight
    elif options.metrics:
        measured = X, y, None if sample_weight is None else put(sample_weight.astype(memory.dtype), where)
    if measured is not None and measured[2] is not None:
        refuse_function_metrics(options.metrics)
    ranks, n_classes = options.ranks, max(2, config.n_out)
    total = ranks.total if ranks is not None and ranks.own else lambda sums: sums
    weights = row_weights(n, sample_weight, options.class_weight, labels, n_classes, subset, total)
    there = None if weights is None else put(weights.astype(memory.dtype), where)
    rows: Resident | Streamed = Resident(X, y, there, subset)
    if place(like) != where:
        host_X, host_y, host_weight = cast(tuple[Host, Host, Host | None], (X, y, there))
        rows = Streamed(host_X, host_y, host_weight, place(like), subset)
    return rows if ranks is None else SharedRows(rows, ranks, ranks.count(rows.n)), measured


def class_numbers(config: ModelConfig, y: Array, options: FitOptions) -> Host | None:
    """The class of each row (n,) on the host, if classes are weighted or held out alike."""
    loss, n_out = config.loss, config.n_out
    has_labels = type(loss).labels is not ObjectiveBase.labels and (n_out == 1 or loss.unit_rows)
    stratified = options.validation_fraction is not None and has_labels
    if options.class_weight is None and not stratified:
        return None
    try:
        return to_numpy(loss.labels(y, n_out)).astype("int64")
    except ValueError as error:
        raise ValueError(f"class_weight: {error}") from None


def given_validation(config: ModelConfig, memory: Memory, options: FitOptions, X_train: Array) -> Measured:
    given = options.validation_data
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        count = f" of {len(given)}" if isinstance(given, (tuple, list)) else ""
        raise ValueError(
            f"validation_data must be (X, y) or (X, y, sample_weight), got a {type(given).__name__}{count}"
        )
    X = as_array("validation_data: X", given[0], lambda: place(X_train))
    y, more = as_array("validation_data: y", given[1], lambda: place(X)), given[2:]
    check_inputs(X, config.n_in, "validation_data: X")
    require_place(place(X_train), "the rows of the validation must be where those of the training are", X=X)
    try:
        check_targets(y, X, config.loss, config.n_out)
        if options.check_input:
            check_values(X, y, config.loss, config.n_out, dtype=memory.dtype)
    except ValueError as error:
        raise ValueError(f"validation_data: {error}") from None
    if not more or more[0] is None:
        return X, y, None
    weight = check_weights("validation_data: sample_weight", more[0], X.shape[0])
    return X, y, put(weight.astype(memory.dtype), place(X))


def refuse_function_metrics(metrics: Mapping[str, MetricBase]) -> None:
    """Raise ValueError for a metric that takes no weights."""
    for name, metric in metrics.items():
        if isinstance(metric, FunctionMetric):
            raise ValueError(
                f"the metric {name} is a function of y_true and y_pred and takes no weights, and the rows that it is "
                "measured on have some: give validation_data=(X, y) without, or write a MetricBase"
            )


def fit_info(n_epochs: int, n_batches: int, metrics: Mapping[str, MetricBase], callbacks: NamedCallbacks) -> FitInfo:
    names = ("loss", *metrics, *(name for _, callback in callbacks for name in callback.names))
    if len(set(names)) < len(names):
        raise ValueError(f"callbacks measure what has a name already: {', '.join(names)}")
    return FitInfo(n_epochs, n_batches, names, metrics)


def check_schedules(step: TrainStep, state: TrainState, n_epochs: int, info: FitInfo) -> None:
    """Raise ValueError if a schedule will give a bad rate, or monitors what no epoch has."""
    for segment in step.segments:
        check_direction(segment.schedule, info.metrics)
    step.scalars.look_ahead(state.step, state.epoch, n_epochs, info.n_batches, info.values)


def check_direction(schedule: ScheduleBase | None, metrics: Mapping[str, MetricBase]) -> None:
    """Raise ValueError if a schedule waits for a metric to fall that ought to rise, or the other way round."""
    monitor, mode = getattr(schedule, "monitor", None), getattr(schedule, "mode", None)
    if monitor is None or mode is None:
        return
    metric = metrics.get(monitor)
    if monitor == "loss" or (metric is not None and metric.higher_is_better is not None):
        better = "max" if sign(monitor, metrics) > 0 else "min"
        if mode != better:
            raise ValueError(
                f"lr: {schedule} waits for {monitor} with mode={mode!r}; it is better the other way: {better!r}"
            )
