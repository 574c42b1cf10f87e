"""The DFN underneath an estimator: how it is made of scikit-learn's arguments, and trained on rows in a given order."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from xdfn.backend import Array, Host, computing, namespace, place, put
from xdfn.core.registry import Spec
from xdfn.model import DFN
from xdfn.nn.activations import ActivationBase
from xdfn.nn.initializers import InitializerBase
from xdfn.nn.layers.base import LayerBase
from xdfn.nn.layers.dense import FullyConnected
from xdfn.nn.layers.noise import Dropout
from xdfn.nn.layers.normalization import BatchNorm
from xdfn.nn.losses import CrossEntropy, ObjectiveBase, Poisson, losses
from xdfn.nn.regularizers import L2, MaxNorm
from xdfn.sklearn.progress import Progress, Record, Rules, apply_rate
from xdfn.sklearn.rows import OrderedRows
from xdfn.sklearn.step import BatchScalars, MeanStep
from xdfn.train.evaluation import Evaluation
from xdfn.train.loop import Run, train
from xdfn.train.metrics.base import MeanLoss
from xdfn.train.options import NamedCallbacks
from xdfn.train.plan import Plan, check_schedules, fit_info, make_step
from xdfn.train.state import TrainState

__all__: list[str] = []


class Architecture(NamedTuple):
    """What the layers are made of; see `MLPClassifier`."""

    hidden: tuple[int, ...]
    activations: tuple[Spec[ActivationBase], ...]
    n_out: int
    alpha: float
    initializer: Spec[InitializerBase] | None = None
    dropout: float = 0.0
    batch_norm: bool = False
    max_norm: float | None = None

    def layers(self) -> list[LayerBase]:
        """Hidden layers, each with its normalisation and its dropout, and an affine one at the end."""
        made: list[LayerBase] = []
        for n, activation in zip((*self.hidden, self.n_out), (*self.activations, "affine"), strict=True):
            regularizer = L2(self.alpha) if self.alpha else None
            constraint = None if self.max_norm is None else MaxNorm(self.max_norm)
            given = {"regularizer": regularizer, "constraint": constraint}
            made.append(FullyConnected(n, activation, self.initializer, **given))  # type: ignore[arg-type]
            if len([layer for layer in made if isinstance(layer, FullyConnected)]) <= len(self.hidden):
                made += [BatchNorm()] if self.batch_norm else []
                made += [Dropout(self.dropout)] if self.dropout else []
        return made


class Fitting(NamedTuple):
    """What `Network.learn` is to do beside the rows.

    Attributes
    ----------
    n_epochs : at most
    callbacks : by name
    validation : rows whose loss is measured after each epoch, if any
    loss_scale : what the mean loss of the rows is multiplied by
    sets_rate : whether the record's rate is the optimizer's; it has a schedule of its own otherwise
    """

    n_epochs: int
    callbacks: NamedCallbacks
    validation: tuple[Array, Array] | None
    loss_scale: float
    sets_rate: bool


class Network(DFN):
    """A DFN that is trained as scikit-learn trains, on rows in an order from outside."""

    def dense_layers(self) -> list[FullyConnected]:
        """The layers that have coefficients."""
        return [layer for layer in self.layers.values() if isinstance(layer, FullyConnected)]

    @property
    def coefs(self) -> list[Array]:
        """Their weights (n_in, n_out)."""
        return [layer.params["W"] for layer in self.dense_layers()]

    @property
    def intercepts(self) -> list[Array]:
        """Their biases (n_out,)."""
        return [namespace(b := layer.params["b"]).reshape(b, (-1,)) for layer in self.dense_layers()]

    def assign(self, coefs: Sequence[Array], intercepts: Sequence[Array]) -> None:
        """Give the layers these parameters, where they have others."""
        for layer, W, b in zip(self.dense_layers(), coefs, intercepts, strict=True):
            if layer.params.get("W") is not W:
                layer.params["W"] = W
            layer.params["b"] = namespace(b).reshape(b, (1, -1))

    def is_made_of(self, made: Architecture, loss: object) -> bool:
        """Whether a new network would have the same layers and loss, but for what `take` changes."""
        new = made.layers()
        kinds = [(type(layer), getattr(layer, "rate", None)) for layer in self.layers.values()]
        dense = zip(self.dense_layers(), (layer for layer in new if isinstance(layer, FullyConnected)), strict=False)
        return (
            kinds == [(type(layer), getattr(layer, "rate", None)) for layer in new]
            and all(a.constraint == b.constraint for a, b in dense)
            and self.loss == losses.resolve(loss)
        )

    def take(self, made: Architecture) -> None:
        """Have these penalties and activations from now on."""
        for layer, activation in zip(self.dense_layers(), (*made.activations, "affine"), strict=True):
            layer.regularizer = L2(made.alpha) if made.alpha else None
            layer.acti_fn = activation

    def forget_optimizer(self) -> None:
        """Let the optimizer begin without memory, as a new one."""
        self._memory.slots, self._memory.provenance = {}, {}

    def learn(self, like: Array, rows: OrderedRows, fitting: Fitting, rules: Rules, record: Record) -> None:
        """Train on these rows until the rules, or the callbacks, end it.

        Parameters
        ----------
        like : array (n, n_in), where the network is
        rows : OrderedRows
        fitting : Fitting
        rules : Rules
        record : Record
            Goes on.

        Raises
        ------
        FloatingPointError
            The loss or a parameter became NaN or infinite. The network is as after the last good epoch.
        """
        with self._alone():
            before, complete = self._state, False
            self._memory = self._memory.copy()
            with computing(like):
                try:
                    self.initialize(like)
                    self._memory.flat_targets = False
                    plan = self._plan(like, rows, fitting, record)
                    self._session = Progress(self, self._memory, plan, rules, record)
                    train(self._session.begin(), self._session)
                    complete = True
                finally:
                    self._report(before, complete)

    def _plan(self, like: Array, rows: OrderedRows, fitting: Fitting, record: Record) -> Plan:
        step, state = make_step(self.config(), self._memory, like, MeanStep)
        n_batches = math.ceil(rows.n / rows.batch_size)
        assert isinstance(step, MeanStep)
        step.loss_scale = fitting.loss_scale
        step.scalars = BatchScalars(step.scalars, rows.batch_weight, state.step, n_batches)
        if fitting.sets_rate:
            apply_rate(step, record.learning_rate)
        metrics = {} if fitting.validation is None else {"val_loss": MeanLoss()}
        evaluation = None
        if fitting.validation is not None:
            evaluation = Evaluation(*fitting.validation, None, self.loss, metrics)
        info = fit_info(fitting.n_epochs, n_batches, metrics, fitting.callbacks)
        check_schedules(step, state, fitting.n_epochs, info)
        return Plan(Run(step, state, rows, rows.batch_size, evaluation), like, info, fitting.callbacks)

    def predictions(self, X: Iterable[Array]) -> list[Array]:
        """The link of the scores (n, n_out) of each of these arrays of rows."""
        return [self.predict_proba(x) for x in X]


def predictions_of(step: MeanStep, state: TrainState, pieces: Iterable[Array]) -> list[Array]:
    """The link of the scores in a run that goes on, for each of these arrays of rows."""
    params = step.segments.unpack(state.answering)
    return [step.loss.link(step.network.infer(params, state.buffers, step.as_input(x, state))) for x in pieces]


def draw_parameters(
    sizes: Sequence[int], bound_factor: float, uniform: Callable[..., Host], like: Array, dtype: str
) -> tuple[list[Array], list[Array]]:
    """Weights and biases as scikit-learn draws them: uniform within +-sqrt(factor / (n_in + n_out)).

    The factor is 2 for the logistic function and 6 for all others (Glorot and Bengio 2010).
    """
    coefs, intercepts, where = [], [], place(like)
    for n_in, n_out in itertools.pairwise(sizes):
        bound = math.sqrt(bound_factor / (n_in + n_out))
        coefs.append(put(uniform(-bound, bound, (n_in, n_out)).astype(dtype), where))
        intercepts.append(put(uniform(-bound, bound, n_out).astype(dtype), where))
    return coefs, intercepts


def loss_of(kind: str, smoothing: float) -> Spec[ObjectiveBase]:
    """The loss of an estimator by scikit-learn's name, or any that is registered."""
    if kind == "softmax":
        return CrossEntropy(smoothing=smoothing)
    if kind == "poisson":
        return Poisson(deviance=True)
    return "binary_cross_entropy" if kind == "logistic" else kind
