"""Training descends in steps, and the learning rate is their length: long at first, short where training should
settle. A schedule is the rate as a function of time.

It is a pure function of Python numbers on the host and remembers no call, so that training that is stopped and resumed
goes on with the rates that it would have had.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from xdfn.core.fields import Field, choice_field, number, number_field
from xdfn.core.part import Part
from xdfn.core.registry import Registry

__all__ = [
    "ConstantRate",
    "CosineDecay",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LinearDecay",
    "OneCycle",
    "ScheduleBase",
    "StepDecay",
]

History = Mapping[str, Sequence[float]]  # one value an epoch, by name, as in `DFN.history`

NO_HISTORY: History = MappingProxyType({})


class ScheduleBase(Part):
    """Base of the schedules. Write `__call__`, and set `by` if t is to count steps instead of epochs.

    Attributes
    ----------
    by : "epoch" or "step"
        The unit of t and of all lengths of time, such as `length` and `warmup`. Counted in epochs, t has a fraction
        within an epoch.
    monitor : str or None
        For a schedule that depends on the results of training: the key of the history that it reads.

    Examples
    --------
    >>> class Halving(ScheduleBase):
    ...     def __call__(self, t, history={}):
    ...         return 0.1 * 0.5 ** int(t)
    >>> [Halving()(t) for t in (0, 1, 1.5, 2)]
    [0.1, 0.05, 0.05, 0.025]
    """

    by: str = "epoch"
    monitor: str | None = None

    lr = number_field(0)

    def __call__(self, t: float, history: History = NO_HISTORY) -> float:
        """The learning rate at the time t >= 0, the time that has passed before the step: 0 in the first one.

        `history` holds one value for each finished epoch.
        """
        raise NotImplementedError(f"{type(self).__name__} must define __call__(t, history)")


schedules: Registry[ScheduleBase] = Registry("schedule", ScheduleBase)


def lr_field(low: float = 0.0) -> Field[float | ScheduleBase]:
    """A `Field` of a learning rate: a number of at least `low`, or a schedule or its spec.

    >>> class Rule(Part):
    ...     lr = lr_field()
    ...     def __init__(self, lr):
    ...         self.lr = lr
    >>> Rule(0.1), Rule("cosine(1e-3, 10)")
    (Rule(lr=0.1), Rule(lr='CosineDecay(lr=0.001, length=10)'))
    """

    def check(name: str, value: object) -> float | ScheduleBase:
        if isinstance(value, ScheduleBase):
            return value
        example = "a schedule such as 'cosine(1e-3, 10)'"
        if isinstance(value, str) or (isinstance(value, type) and issubclass(value, ScheduleBase)):
            try:
                return schedules.resolve(value)
            except ValueError as error:
                raise ValueError(f"{name} must be a number in [{low:g}, inf) or {example}: {error}") from None
        try:
            return number(name, value, low)
        except ValueError as error:
            if type(value) in (int, float):
                raise
            raise ValueError(f"{error}; {name} may also be {example}") from None

    return Field(check)


def history_key(name: str, value: object) -> str:
    """`value`, checked to be a name of a value in the history; raises ValueError naming the argument."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be the name of a value in the history, such as 'loss', got {value!r:.80}")
    return value


class _Span(Field[float]):
    """`length`, or the `warmup`, which must be shorter: whichever is assigned is compared with the other."""

    def __set__(self, instance: object, value: object) -> None:
        spans = {**vars(instance), self.name: self.check(self.name, value)}
        warmup, length = spans.get("warmup", 0), spans.get("length", math.inf)
        if warmup >= length:
            raise ValueError(
                f"warmup must be shorter than length, got warmup={warmup} and length={length}; "
                "length is that of the whole schedule, with the warm-up"
            )
        vars(instance)[self.name] = spans[self.name]


def _positive(name: str, value: object) -> float:
    return number(name, value, 0, open_low=True)


def _line(start: float, end: float, share: float) -> float:
    """From `start` to `end` on a line, exact at both: share = 0 ... 1."""
    return (1.0 - share) * start + share * end


def _half_cosine(start: float, end: float, share: float) -> float:
    """From `start` to `end` on half a cosine, level and exact at both: share = 0 ... 1."""
    return _line(start, end, (1.0 - math.cos(math.pi * share)) / 2.0)


@schedules.register("constant")
class ConstantRate(ScheduleBase):
    """lr at all times.

    Examples
    --------
    >>> ConstantRate(0.1)(7)
    0.1
    """

    by = choice_field("epoch", "step")

    def __init__(self, lr: float, by: str = "epoch") -> None:
        self.lr = lr
        self.by = by

    def __call__(self, t: float, history: History = NO_HISTORY) -> float:
        return 1.0 * self.lr


@schedules.register("step", "step_lr")
class StepDecay(ScheduleBase):
    """lr factor^floor(t / length): stairs; the first ends at t = length.

    Parameters
    ----------
    lr : float
    length : float > 0
        The length of one stair.
    factor : float in (0, 1]
    by : "epoch" or "step", see `ScheduleBase`

    Examples
    --------
    >>> schedule = StepDecay(0.1, 10, factor=0.5)
    >>> [schedule(t) for t in (0, 9.9, 10, 20)]
    [0.1, 0.1, 0.05, 0.025]
    """

    _shown = ("factor",)  # arguments without a default are always shown

    length = number_field(0, open_low=True)
    factor = number_field(0, 1, open_low=True)
    by = choice_field("epoch", "step")

    def __init__(self, lr: float, length: float, factor: float = 0.1, by: str = "epoch") -> None:
        self.lr = lr
        self.length = length
        self.factor = factor
        self.by = by

    def __call__(self, t: float, history: History = NO_HISTORY) -> float:
        return self.lr * math.pow(self.factor, math.floor(t / self.length))


@schedules.register("exponential")
class ExponentialDecay(StepDecay):
    """lr factor^(t / length): a smooth curve through the corners of `StepDecay`.

    Parameters
    ----------
    lr : float
    length : float > 0
        The time in which the rate falls by `factor`.
    factor : float in (0, 1]
    by : "epoch" or "step", see `ScheduleBase`

    Examples
    --------
    >>> schedule = ExponentialDecay(0.1, 10, factor=0.25)
    >>> [schedule(t) for t in (0, 5, 10)]
    [0.1, 0.05, 0.025]
    """

    def __call__(self, t: float, history: History = NO_HISTORY) -> float:
        return self.lr * math.pow(self.factor, t / self.length)


@schedules.register("inverse_time")
class InverseTimeDecay(ScheduleBase):
    """lr / (1 + t / length): a half after `length`, a third after twice that.

    It falls fast enough for the noise of the batches to average out, and slowly enough to reach a minimum from
    anywhere: the sum of the rates diverges, the sum of their squares converges (Robbins and Monro 1951).

    Parameters
    ----------
    lr : float
    length : float > 0
    by : "epoch" or "step", see `ScheduleBase`

    Examples
    --------
    >>> schedule = InverseTimeDecay(0.1, 10)
    >>> [schedule(t) for t in (0, 10, 30)]
    [0.1, 0.05, 0.025]
    """

    length = number_field(0, open_low=True)
    by = choice_field("epoch", "step")

    def __init__(self, lr: float, length: float, by: str = "epoch") -> None:
        self.lr = lr
        self.length = length
        self.by = by

    def __call__(self, t: float, history: History = NO_HISTORY) -> float:
        return self.lr / (1.0 + t / self.length)


@schedules.register("linear")
class LinearDecay(ScheduleBase):
    """lr + (end - lr) t / length up to t = length, `end` from there on.

    Parameters
    ----------
    lr : float
    length : float > 0
    end : float
        0 or more; above lr, the line rises.
    by : "epoch" or "step", see `ScheduleBase`

    Examples
    --------
    >>> schedule = LinearDecay(0.1, 10)
    >>> [schedule(t) for t in (0, 5, 10, 11)]
    [0.1, 0.05, 0.0, 0.0]
    """

    length = number_field(0, open_low=True)
    end = number_field(0)
    by = choice_field("epoch", "step")

    def __init__(self, lr: float, length: float, end: float = 0.0, by: str = "epoch") -> None:
        self.lr = lr
        self.length = length
        self.end = end
        self.by = by

    def __call__(self, t: float, history: History = NO_HISTORY) -> float:
        return _line(self.lr, self.end, min(t / self.length, 1.0))


@schedules.register("cosine", "cosine_annealing", "cosine_annealing_lr")
class CosineDecay(ScheduleBase):
    """Half a cosine from lr to `end`: end + (lr - end) (1 + cos(pi s)) / 2 with s = (t - warmup) / (length - warmup).

    Before the cosine, lr t / warmup up to t = warmup; after it, `end` from t = length on. The cosine is from Loshchilov
    and Hutter 2017, arXiv:1608.03983, without restarts; the warm-up, for large batches, from Goyal et al. 2017,
    arXiv:1706.02677.

    Parameters
    ----------
    lr : float
        The highest rate.
    length : float > 0
        The length of the whole schedule, warm-up included.
    warmup : float in [0, length)
    end : float
        0 or more.
    by : "epoch" or "step", see `ScheduleBase`

    Notes
    -----
    The warm-up begins at 0, as in Optax: the first step of training leaves the parameters as they are, and only starts
    Adam's averages.

    Examples
    --------
    >>> schedule = CosineDecay(0.1, 10, warmup=2)
    >>> [round(schedule(t), 3) for t in (0, 1, 2, 6, 10, 11)]
    [0.0, 0.05, 0.1, 0.05, 0.0, 0.0]
    """

    length = _Span(_positive)
    warmup = _Span(lambda name, value: number(name, value, 0))
    end = number_field(0)
    by = choice_field("epoch", "step")

    def __init__(self, lr: float, length: float, warmup: float = 0.0, end: float = 0.0, by: str = "epoch") -> None:
        self.lr = lr
        self.length = length
        self.warmup = warmup
        self.end = end
        self.by = by

    def __call__(self, t: float, history: History = NO_HISTORY) -> float:
        if t < self.warmup:
            return _line(0.0, self.lr, t / self.warmup)
        return _half_cosine(self.lr, self.end, min((t - self.warmup) / (self.length - self.warmup), 1.0))


@schedules.register("one_cycle", "one_cycle_lr")
class OneCycle(ScheduleBase):
    """Half a cosine up from lr / start to lr at t = warmup length, then another down to lr / start / end.

    Smith and Topin 2018, arXiv:1708.07120, in the form of PyTorch's `OneCycleLR`. The rate stays where it is after
    t = length.

    Parameters
    ----------
    lr : float
        The highest rate.
    length : float > 0
    warmup : float in [0, 1)
        The share of length in which the rate rises.
    start : float of at least 1
        The first rate is lr / start.
    end : float of at least 1
        The last rate is lr / start / end.
    by : "epoch" or "step", see `ScheduleBase`

    Notes
    -----
    PyTorch counts steps from 0, so its cycle of n steps has length n - 1 here. It puts the peak at step warmup n - 1;
    here the peak is at warmup (n - 1).

    Examples
    --------
    >>> schedule = OneCycle(0.1, 10, warmup=0.5, start=10, end=100)
    >>> [round(schedule(t), 4) for t in (0, 2.5, 5, 10, 11)]
    [0.01, 0.055, 0.1, 0.0001, 0.0001]
    """

    length = number_field(0, open_low=True)
    warmup = number_field(0, 1, open_high=True)
    start = number_field(1)
    end = number_field(1)
    by = choice_field("epoch", "step")

    def __init__(
        self,
        lr: float,
        length: float,
        warmup: float = 0.3,
        start: float = 25.0,
        end: float = 1e4,
        by: str = "epoch",
    ) -> None:
        self.lr = lr
        self.length = length
        self.warmup = warmup
        self.start = start
        self.end = end
        self.by = by

    def __call__(self, t: float, history: History = NO_HISTORY) -> float:
        first = self.lr / self.start
        share = min(t / self.length, 1.0)
        if share < self.warmup:
            return _half_cosine(first, self.lr, share / self.warmup)
        return _half_cosine(self.lr, first / self.end, (share - self.warmup) / (1.0 - self.warmup))
