"""Training by `solver="sgd"`, ``"adam"`` or any optimizer: epoch after epoch, as scikit-learn has it."""

import math
import warnings
from typing import NamedTuple, cast

import numpy as np
from numpy.random import RandomState
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from xdfn.backend import Array, Host, place, real_dtype, real_name, to_numpy
from xdfn.optim.adam import AdamEpsilonHat
from xdfn.optim.base import OptimizerBase
from xdfn.optim.sgd import SGD, Momentum
from xdfn.sklearn.answers import Answering
from xdfn.sklearn.network import Fitting, predictions_of
from xdfn.sklearn.progress import Record, Rules
from xdfn.sklearn.rows import HostRows, OrderedRows, pieces
from xdfn.sklearn.step import MeanStep
from xdfn.sklearn.watching import Watch
from xdfn.train.options import resolve_callbacks
from xdfn.train.state import TrainState

__all__: list[str] = []


class Given(NamedTuple):
    """The rows of a fit.

    Attributes
    ----------
    X : array where the network is, or rows on the host
    y : the targets of the loss, where the network is
    strata : NumPy array (n, 1), by which rows are held out alike, if they are
    weight : NumPy array (n,), if rows have weights
    like : an array where the network is, in the dtype of its parameters
    validation : X and y of the validation that was given, where the network is, if one was
    """

    X: Array | HostRows
    y: Array
    strata: Host | None
    weight: Host | None
    like: Array
    validation: tuple[Array, Array] | None


class Rate:
    """The learning rate at which `partial_fit` goes on."""

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = learning_rate


class Stochastic(Answering):
    """The part of an estimator that trains epoch after epoch."""

    _no_improvement_count: int

    def _rule(self) -> OptimizerBase:
        """The optimizer, as an object."""
        if self.optimizer is not None:
            return cast(OptimizerBase, self.optimizer)
        lr = float(self.learning_rate_init)
        if self.solver == "adam":
            return AdamEpsilonHat(lr, self.beta_1, self.beta_2, self.epsilon)
        if not self.momentum:
            return SGD(lr)
        return Momentum(lr, self.momentum, bool(self.nesterovs_momentum))

    def _fit_stochastic(self, given: Given, rng: RandomState, incremental: bool, watching: Watch | None) -> None:
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        if not incremental or not hasattr(self, "_optimizer"):
            self._optimizer = Rate(float(self.learning_rate_init))
            self.model_.forget_optimizer()
            self.model_.optimizer = self._rule()
        train, held_out = self._split(given, rng)
        size, dtype = self._rows_a_batch(train.shape[0]), real_name(real_dtype(given.like))
        generator = rng if self.shuffle else None
        rows = OrderedRows(given.X, given.y, given.weight, train, generator, size, place(given.like), dtype)
        record, rules = self._record(), self._rules(given, held_out, incremental)._replace(watch=watching)
        callbacks, loss_scale = resolve_callbacks(self.callbacks or (), None), self._loss_scale()
        n_epochs, sets_rate = 1 if incremental else self.max_iter, self.optimizer is None
        before = len(record.loss_curve)
        try:
            fitting = Fitting(n_epochs, callbacks, given.validation, loss_scale, sets_rate)
            self.model_.learn(given.like, rows, fitting, rules, record)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=3)
        except FloatingPointError as error:
            self._diverged(record, error)
        finally:
            self._take(record, before)
        if self.n_iter_ == self.max_iter and not record.stopped:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                "converged yet.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _diverged(self, record: Record, error: FloatingPointError) -> None:
        """Go back to the best epoch, if one is known; there is nothing to go back to otherwise."""
        if not record.validation_scores or record.best_score == -math.inf:
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
                f"preprocessed. ({str(error).partition('. ')[0]})"
            ) from error
        record.loss_curve.append(math.nan)
        record.validation_scores.append(math.nan)
        record.stopped = True
        warnings.warn(f"{str(error).partition('. ')[0]}.", ConvergenceWarning, stacklevel=4)

    def _split(self, given: Given, rng: RandomState) -> tuple[Host, Host | None]:
        """Rows to train on, and those that are kept from it for early stopping."""
        rows = np.arange(given.y.shape[0])
        if not self.early_stopping:
            return rows, None
        if given.validation is not None:
            raise ValueError("early_stopping=True keeps rows for its score; give X_val with early_stopping=False, and "
                             "callbacks=['early_stopping'] to stop by it")  # fmt: skip
        train, held_out = train_test_split(
            rows, random_state=rng, test_size=self.validation_fraction, stratify=given.strata
        )
        if held_out.shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        return train, held_out

    def _rows_a_batch(self, n: int) -> int:
        if isinstance(self.batch_size, str):
            return min(200, n)
        if self.batch_size > n:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=4
            )
        return min(int(self.batch_size), n)

    def _record(self) -> Record:
        return Record(
            self._optimizer.learning_rate, self.loss_curve_, self.t_, self._no_improvement_count, self.best_loss_,
            getattr(self, "best_validation_score_", None), getattr(self, "validation_scores_", None),
        )  # fmt: skip

    def _take(self, record: Record, before: int) -> None:
        """The attributes that a fit leaves, from its record."""
        self._optimizer.learning_rate = record.learning_rate
        self.loss_curve_, self.t_, self._no_improvement_count = record.loss_curve, record.samples, record.no_improvement
        self.n_iter_ = len(record.loss_curve) - before
        if record.loss_curve:
            self.loss_ = record.loss_curve[-1]
        self.best_loss_ = record.best_loss
        self.best_validation_score_, self.validation_scores_ = record.best_score, record.validation_scores
        curve = [value for value in self.model_.history.get("val_loss", ()) if not math.isnan(value)]
        if curve:
            self.validation_loss_curve_ = [value * self._loss_scale() for value in curve]

    def _rules(self, given: Given, held_out: Host | None, incremental: bool) -> Rules:
        sgd = self.optimizer is None and self.solver == "sgd"
        start, power = float(self.learning_rate_init), self.power_t

        def inverse(samples: int) -> float:
            return start / math.pow(samples + 1, power)

        def score(step: MeanStep, state: TrainState) -> float:
            X = pieces(given.X, held_out, place(given.like))
            predictions = np.concatenate([to_numpy(p) for p in predictions_of(step, state, X)])
            if not np.isfinite(predictions).all():
                return math.nan
            return float(self._score_of(targets, predictions, weight))

        if held_out is not None:
            targets = to_numpy(given.y)[held_out]
            weight = None if given.weight is None else given.weight[held_out]
        return Rules(
            self.tol, self.n_iter_no_change, sgd and self.learning_rate == "adaptive",
            inverse if sgd and self.learning_rate == "invscaling" else None, None if held_out is None else score,
            incremental, bool(self.verbose),
        )  # fmt: skip
