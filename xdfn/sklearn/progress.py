"""What happens after each epoch: scikit-learn's rules for the learning rate, for stopping, and for what is kept."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

from xdfn.backend import Array
from xdfn.sklearn.step import BatchScalars, MeanStep
from xdfn.sklearn.watching import Watch
from xdfn.train.loop import Run
from xdfn.train.memory import Memory
from xdfn.train.plan import ModelConfig, Plan, make_step
from xdfn.train.session import FittedModel, Session
from xdfn.train.state import TrainState
from xdfn.train.step import TrainStep

__all__: list[str] = []

_SMALLEST_RATE = 1e-6  # below it an adaptive rate ends the fit


class Rules(NamedTuple):
    """What decides whether there is another epoch; see `MLPClassifier`.

    Attributes
    ----------
    rate : the rule's rate as a function of the samples seen, for ``"invscaling"``
    score : what is measured on the rows that are kept from training, if there are any
    watch : tells scikit-learn's callbacks, if there are any
    """

    tol: float
    n_iter_no_change: float
    adaptive: bool
    rate: Callable[[int], float] | None
    score: Callable[[MeanStep, TrainState], float] | None
    incremental: bool
    verbose: bool
    watch: Watch | None = None


@dataclass
class Record:
    """What a fit leaves in an estimator, of this fit and of those that it goes on from.

    Attributes
    ----------
    learning_rate : the rate at which the next epoch trains
    loss_curve : the loss of each epoch
    samples : rows seen
    no_improvement : epochs since the last that was better by more than the tolerance
    best_loss, best_score : of an epoch; one of the two is None
    validation_scores : the score of each epoch, if it was measured
    stopped : whether the rules have ended the fit
    """

    learning_rate: float
    loss_curve: list[float] = field(default_factory=list)
    samples: int = 0
    no_improvement: int = 0
    best_loss: float | None = None
    best_score: float | None = None
    validation_scores: list[float] | None = None
    stopped: bool = False

    def add(self, loss: float, score: float | None, tol: float) -> bool:
        """The values of an epoch; whether its score is the best one."""
        self.loss_curve.append(loss)
        if score is None:
            best = math.inf if self.best_loss is None else self.best_loss
            self.no_improvement = self.no_improvement + 1 if loss > best - tol else 0
            self.best_loss = loss if loss < best else best
            return False
        best = -math.inf if self.best_score is None else self.best_score
        self.validation_scores = [*(self.validation_scores or []), score]
        self.no_improvement = self.no_improvement + 1 if score < best + tol else 0
        self.best_score = score if score > best else best
        return score > best


@runtime_checkable
class Answerer(Protocol):
    """What `Network` has beside a `DFN`."""

    coefs: list[Array]
    intercepts: list[Array]


class Progress(Session):
    """A fit that follows the rules of scikit-learn, beside the callbacks.

    Parameters
    ----------
    model, memory, plan : see `Session`
    rules : Rules
    record : Record
        Goes on.
    """

    def __init__(self, model: FittedModel, memory: Memory, plan: Plan, rules: Rules, record: Record) -> None:
        super().__init__(model, memory, plan)
        self.rules, self.record = rules, record
        self.best: TrainState | None = None

    def wants_epoch(self) -> bool:
        wanted = super().wants_epoch() and not self.record.stopped
        if wanted and self.rules.watch is not None:
            self.rules.watch.begin()
        return wanted

    def on_epoch(self, state: TrainState, values: dict[str, float]) -> Run | None:
        rules, record, step = self.rules, self.record, self.run.step
        assert isinstance(step, MeanStep)
        record.samples += self.run.rows.n
        if rules.verbose:
            print(f"Iteration {self.epochs_done + 1}, loss = {values['loss']:.8f}")
        score = None if rules.score is None else rules.score(step, state)
        if score is not None and rules.verbose:
            print(f"Validation score: {score:f}")
        if record.add(values["loss"], score, rules.tol):
            self.best = state.copied(None)
        if rules.rate is not None:
            self.set_rate(rules.rate(record.samples))
        if record.no_improvement > rules.n_iter_no_change:
            self._exhausted()
        record.stopped = record.stopped or rules.incremental
        if rules.watch is not None:
            self._unpublished = state
            record.stopped = rules.watch.end(self._attributes) or record.stopped
            self._unpublished = None
        return super().on_epoch(state, values)

    def _attributes(self) -> dict[str, object]:
        """What an estimator answers with that has come as far as this one: a network of its own."""
        model = copy.copy(self.model)
        assert isinstance(model, Answerer)
        return {"model_": model, "coefs_": model.coefs, "intercepts_": model.intercepts}

    def _exhausted(self) -> None:
        """The loss or the score has not improved for long: stop, or go on with a fifth of the rate."""
        rules, record = self.rules, self.record
        what = "Training loss" if rules.score is None else "Validation score"
        message = f"{what} did not improve more than tol={rules.tol:f} for {rules.n_iter_no_change} consecutive epochs."
        if rules.adaptive and record.learning_rate > _SMALLEST_RATE:
            self.set_rate(record.learning_rate / 5.0)
            record.no_improvement = 0
            then = f"Setting learning rate to {record.learning_rate:f}"
        else:
            record.stopped = True
            then = "Learning rate too small. Stopping." if rules.adaptive else "Stopping."
        if rules.verbose:
            print(f"{message} {then}")

    def set_rate(self, rate: float) -> None:
        self.record.learning_rate = rate
        apply_rate(self.run.step, rate)

    def finish(self) -> None:
        if self.best is not None:
            self.last_good = self.best
        super().finish()

    def make_step(self, config: ModelConfig) -> tuple[TrainStep, TrainState]:
        before, (step, state) = self.run.step, make_step(config, self.memory, self.plan.like, MeanStep)
        assert isinstance(before, MeanStep)
        assert isinstance(before.scalars, BatchScalars)
        scalars = before.scalars
        assert isinstance(step, MeanStep)
        step.loss_scale = before.loss_scale
        step.scalars = BatchScalars(step.scalars, scalars.batch_weight, scalars.first, scalars.n_batches)
        return step, state


def apply_rate(step: TrainStep, rate: float) -> None:
    """Have the rules of a step go on at a rate; it reaches them as a number of each step, so nothing is compiled."""
    for segment in step.segments:
        segment.optimizer.lr = rate
