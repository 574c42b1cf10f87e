"""Which learning rate? A sweep from small to large, on a copy of the model, shows where the loss falls fastest."""

import contextlib
import copy
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Self

from xdfn.backend import ArrayLike, as_array
from xdfn.core.fields import integer, number
from xdfn.ensemble import Ensemble
from xdfn.model import DFN
from xdfn.optim.schedules import ScheduleBase
from xdfn.train.callbacks.base import Callback, Model

__all__ = ["find_learning_rate"]


class RateSearch(NamedTuple):
    """What `find_learning_rate` found.

    Attributes
    ----------
    rates, losses : list of float
        The rate of each step, and the loss of its batch, smoothed.
    suggestion : float
        A tenth of the rate at which the loss was least, the first tenth of the steps left out; `low` if no rate was
        of use.

    Examples
    --------
    >>> RateSearch([0.01, 0.1, 1.0], [0.7, 0.4, 0.9], 0.01)
    RateSearch(3 steps, rates from 0.01 to 1, suggestion 0.01)
    """

    rates: list[float]
    losses: list[float]
    suggestion: float

    def __repr__(self) -> str:
        doubt = "" if _falls(self.losses) else "; in doubt: the loss hardly falls by more than its noise"
        return (
            f"RateSearch({len(self.rates)} steps, rates from {self.rates[0]:.3g} to {self.rates[-1]:.3g}, "
            f"suggestion {self.suggestion:.3g}{doubt})"
        )


def _falls(losses: Sequence[float]) -> bool:
    """Whether losses fall by more than three times their noise: the spread of the first third around a line.

    True where there are too few to tell.
    """
    from statistics import linear_regression, stdev  # only now, since `import xdfn` should be quick

    first = losses[: len(losses) // 3]
    if len(first) < 6:
        return True
    slope, start = linear_regression(range(len(first)), first)
    end = start + slope * (len(first) - 1)
    noise = stdev(loss - start - slope * i for i, loss in enumerate(first))
    return max(start, end) - min(losses[len(first) :]) > 3 * noise


class _Sweep(ScheduleBase):
    """Rates from low to high, by the same factor in each of `length` steps."""

    by = "step"

    def __init__(self, low: float, high: float, length: int) -> None:
        self.low, self.high, self.length = low, high, length

    def __call__(self, t: float, history: Mapping[str, Sequence[float]] | None = None) -> float:
        return float(self.low * (self.high / self.low) ** min(t / (self.length - 1), 1.0))


class _SweepEnd(Exception):  # noqa: N818  no error
    """The sweep is over."""


class _Losses(Callback):
    """The losses of the batches, smoothed, until they explode; of several starts their means."""

    may_change_model = False
    mean = 0.0
    losses: tuple[float, ...] = ()
    of_batch: tuple[float, ...] = ()  # those of a batch that the starts have told

    def __init__(self, length: int, smoothing: float, n_starts: int) -> None:
        self.length, self.smoothing, self.n_starts = length, smoothing, n_starts

    def __deepcopy__(self, memo: object) -> Self:
        return self  # all members of an ensemble tell one and the same

    def on_batch_end(self, model: Model, batch: int, n_batches: int, loss: Callable[[], float]) -> None:
        self.of_batch += (loss(),)
        if len(self.of_batch) == self.n_starts:
            self._add(sum(self.of_batch) / self.n_starts)
            self.of_batch = ()

    def _add(self, loss: float) -> None:
        self.mean = self.smoothing * self.mean + (1 - self.smoothing) * loss
        value = self.mean / (1 - self.smoothing ** (len(self.losses) + 1))
        if not math.isfinite(value) or (self.losses and value > 4 * abs(min(self.losses)) + 1):
            raise _SweepEnd
        self.losses += (value,)
        if len(self.losses) == self.length:
            raise _SweepEnd


def find_learning_rate(
    model: DFN,
    X: ArrayLike,
    y: ArrayLike,
    *,
    low: float = 1e-6,
    high: float = 10.0,
    n_steps: int = 100,
    batch_size: int = 64,
    smoothing: float = 0.9,
    n_starts: int = 1,
) -> RateSearch:
    """Train a copy of the model with a rate that grows from step to step until the loss explodes.

    Smith 2017, arXiv:1506.01186. `plotting.learning_rates` draws the result. The model is left as it is. It should be
    a new one: the losses of a trained model have no fall to look for, and their least, on which the suggestion rests,
    is chance. The result says so where it sees it.

    Parameters
    ----------
    model : DFN
    X, y : array (n, n_in), array (n,) or (n, n_out)
    low, high : float
        Between which the rates lie.
    n_steps, batch_size : int
    smoothing : float in [0, 1)
        Of the losses, as a moving average.
    n_starts : int
        With more than one, that many copies which have learned nothing, with seeds of their own, are trained at once
        (`Ensemble`) and the losses are their means. Chance then has less part in the suggestion: on digits, breast
        cancer and diabetes the standard deviation of its logarithm to base 10 is .09 to .26 from one start, .06 to .12
        from four, and up to .11 from eight.

    Raises
    ------
    ValueError
        Bounds that do not fit, no optimizer with a learning rate, or a loss that exploded in the first steps.

    Examples
    --------
    >>> import numpy as np
    >>> from xdfn import DFN
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> search = find_learning_rate(DFN(8, 2, optimizer="adam", init_w="he_normal", seed=0), X, (X[:, 0] > 0) * 1)
    >>> 1e-3 < search.suggestion < 1
    True
    """
    number("low", low, 0, open_low=True)
    number("high", high, low, open_low=True)
    number("smoothing", smoothing, 0, 1, open_high=True)
    n_steps, rows = integer("n_steps", n_steps, 2), as_array("X", X)
    seen = _Losses(n_steps, smoothing, integer("n_starts", n_starts))
    probe = copy.copy(model).initialize(rows)
    _sweep_rates(probe, _Sweep(low, high, n_steps))
    fit = Ensemble(probe, n_starts).fit if seen.n_starts > 1 else functools.partial(probe.fit, verbose=None)
    n_epochs = math.ceil(n_steps * batch_size / rows.shape[0]) + 1
    with contextlib.suppress(_SweepEnd, FloatingPointError):
        fit(rows, y, n_epochs, batch_size, callbacks=[seen])
    if len(seen.losses) < 2:
        raise ValueError(f"the loss exploded at once, at a rate of low={low:g}: choose a smaller low")
    sweep = _Sweep(low, high, n_steps)
    rates = [sweep(t) for t in range(len(seen.losses))]
    first = min(n_steps // 10, len(rates) - 1)  # chance makes the first means of a few batches small
    best = min(range(first, len(rates)), key=seen.losses.__getitem__)
    return RateSearch(rates, list(seen.losses), max(low, rates[best] / 10))


def _sweep_rates(model: DFN, sweep: ScheduleBase) -> None:
    """Give the optimizers of all parameters that move this rate.

    Raises
    ------
    ValueError
        No optimizer has a rate, or one that overrides `update` has its own.
    """
    rules = [layer.optimizer for layer in model.layers.values() if layer.params and layer.trainable]
    if any(rule.overrides_update for rule in rules):
        raise ValueError("find_learning_rate needs optimizers with `apply`; one that defines update has its own rate")
    rated = [rule for rule in rules if isinstance(getattr(rule, "lr", None), (int, float, ScheduleBase))]
    if not rated:
        raise ValueError(f"find_learning_rate needs an optimizer with a rate lr, such as 'sgd', got {rules}")
    for rule in rated:
        rule.lr = sweep
