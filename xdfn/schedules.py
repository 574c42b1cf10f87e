"""From those weights training goes downhill in steps, and the learning rate is their length: long while there is far
to go, short where the walk should settle. A schedule is the rate as a function of time.

It is a function and nothing else, of Python's numbers on the host: it remembers no call, so that training that is
stopped and resumed goes on with the rates that it would have had.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from xdfn._spec import Field, Part, Registry, integer, number, number_field

History = Mapping[str, Sequence[float]]

_NO_HISTORY: History = MappingProxyType({})


class ScheduleBase(Part):
    """Base of the schedules. Write `__call__`, and set `by` if t is to count steps instead of epochs.

    A schedule that looks at what training has reached names the history's key in `monitor`.

    Examples
    --------
    >>> class Halving(ScheduleBase):
    ...     def __call__(self, t, history={}):
    ...         return 0.1 * 0.5 ** int(t)
    >>> [Halving()(t) for t in (0, 1, 1.5, 2)]
    [0.1, 0.05, 0.05, 0.025]
    """

    by: str = "epoch"  # the unit of t: "epoch" or "step"
    monitor: str | None = None

    lr = number_field(0)

    def __call__(self, t: float, history: History = _NO_HISTORY) -> float:
        """The learning rate at the time t >= 0, which is what has passed before the step: 0 in the first one.

        Counted in epochs, t has a fraction within an epoch. `history` holds one value for each finished epoch.
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

    def check(name: str, value: Any) -> float | ScheduleBase:
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


def _choice(*words: str) -> Field[str]:
    """A `Field` of one of the words."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"{name} must be {' or '.join(map(repr, words))}, got {value!r:.80}")
        return value

    return Field(check)


def _key(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be the name of a value in the history, such as 'loss', got {value!r:.80}")
    return value


class _Span(Field[float]):
    """`length`, or the `warmup` that must be shorter: whichever is assigned is held against the other."""

    def __set__(self, part: Any, value: Any) -> None:
        spans = {**vars(part), self.name: self.check(self.name, value)}
        warmup, length = spans.get("warmup", 0), spans.get("length", math.inf)
        if warmup >= length:
            raise ValueError(
                f"warmup must be shorter than length, got warmup={warmup} and length={length}; "
                "length is that of the whole schedule, with the warm-up"
            )
        vars(part)[self.name] = spans[self.name]


def _positive(name: str, value: Any) -> float:
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

    by = _choice("epoch", "step")

    def __init__(self, lr: float, by: str = "epoch") -> None:
        self.lr = lr
        self.by = by

    def __call__(self, t: float, history: History = _NO_HISTORY) -> float:
        return 1.0 * self.lr


@schedules.register("step")
class StepDecay(ScheduleBase):
    """lr factor^floor(t / length): stairs, the first of which ends at t = length.

    Parameters
    ----------
    lr : float
    length : float > 0
        That of one stair.
    factor : float in (0, 1]
    by : "epoch" or "step"
        What t and length count.

    Examples
    --------
    >>> schedule = StepDecay(0.1, 10, factor=0.5)
    >>> [schedule(t) for t in (0, 9.9, 10, 20)]
    [0.1, 0.1, 0.05, 0.025]
    """

    _shown = ("factor",)  # as in every class, arguments without a default are shown anyway

    length = number_field(0, open_low=True)
    factor = number_field(0, 1, open_low=True)
    by = _choice("epoch", "step")

    def __init__(self, lr: float, length: float, factor: float = 0.1, by: str = "epoch") -> None:
        self.lr = lr
        self.length = length
        self.factor = factor
        self.by = by

    def __call__(self, t: float, history: History = _NO_HISTORY) -> float:
        return self.lr * math.pow(self.factor, math.floor(t / self.length))


@schedules.register("exponential")
class ExponentialDecay(StepDecay):
    """lr factor^(t / length): a smooth curve through the corners of `StepDecay`.

    Parameters
    ----------
    lr : float
    length : float > 0
        In which the rate falls by `factor`, again and again.
    factor : float in (0, 1]
    by : "epoch" or "step"
        What t and length count.

    Examples
    --------
    >>> schedule = ExponentialDecay(0.1, 10, factor=0.25)
    >>> [schedule(t) for t in (0, 5, 10)]
    [0.1, 0.05, 0.025]
    """

    def __call__(self, t: float, history: History = _NO_HISTORY) -> float:
        return self.lr * math.pow(self.factor, t / self.length)


@schedules.register("inverse_time")
class InverseTimeDecay(ScheduleBase):
    """lr / (1 + t / length): a half after `length`, a third after twice that.

    It falls fast enough for the noise of the batches to die out and slowly enough to get anywhere: the sum of the
    rates grows without bound, that of their squares does not (Robbins and Monro 1951).

    Parameters
    ----------
    lr : float
    length : float > 0
    by : "epoch" or "step"
        What t and length count.

    Examples
    --------
    >>> schedule = InverseTimeDecay(0.1, 10)
    >>> [schedule(t) for t in (0, 10, 30)]
    [0.1, 0.05, 0.025]
    """

    length = number_field(0, open_low=True)
    by = _choice("epoch", "step")

    def __init__(self, lr: float, length: float, by: str = "epoch") -> None:
        self.lr = lr
        self.length = length
        self.by = by

    def __call__(self, t: float, history: History = _NO_HISTORY) -> float:
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
    by : "epoch" or "step"
        What t and length count.

    Examples
    --------
    >>> schedule = LinearDecay(0.1, 10)
    >>> [schedule(t) for t in (0, 5, 10, 11)]
    [0.1, 0.05, 0.0, 0.0]
    """

    length = number_field(0, open_low=True)
    end = number_field(0)
    by = _choice("epoch", "step")

    def __init__(self, lr: float, length: float, end: float = 0.0, by: str = "epoch") -> None:
        self.lr = lr
        self.length = length
        self.end = end
        self.by = by

    def __call__(self, t: float, history: History = _NO_HISTORY) -> float:
        return _line(self.lr, self.end, min(t / self.length, 1.0))


@schedules.register("cosine")
class CosineDecay(ScheduleBase):
    """Half a cosine from lr to `end`: end + (lr - end) (1 + cos(pi s)) / 2 with s = (t - warmup) / (length - warmup).

    Before it lr t / warmup up to t = warmup, after it `end` from t = length on. The cosine is that of Loshchilov and
    Hutter 2017, arXiv:1608.03983, without restarts; the warm-up, for large batches, that of Goyal et al. 2017,
    arXiv:1706.02677.

    Parameters
    ----------
    lr : float
        The highest rate.
    length : float > 0
        That of the whole, with the warm-up.
    warmup : float in [0, length)
    end : float
        0 or more.
    by : "epoch" or "step"
        What t, length and warmup count.

    Notes
    -----
    The warm-up begins at 0, as in Optax: the very first step of training leaves the parameters where they are, and
    Adam only begins its averages with it.

    Examples
    --------
    >>> schedule = CosineDecay(0.1, 10, warmup=2)
    >>> [round(schedule(t), 3) for t in (0, 1, 2, 6, 10, 11)]
    [0.0, 0.05, 0.1, 0.05, 0.0, 0.0]
    """

    length = _Span(_positive)
    warmup = _Span(lambda name, value: number(name, value, 0))
    end = number_field(0)
    by = _choice("epoch", "step")

    def __init__(self, lr: float, length: float, warmup: float = 0.0, end: float = 0.0, by: str = "epoch") -> None:
        self.lr = lr
        self.length = length
        self.warmup = warmup
        self.end = end
        self.by = by

    def __call__(self, t: float, history: History = _NO_HISTORY) -> float:
        if t < self.warmup:
            return _line(0.0, self.lr, t / self.warmup)
        return _half_cosine(self.lr, self.end, min((t - self.warmup) / (self.length - self.warmup), 1.0))


@schedules.register("one_cycle")
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
        The share of length that goes upwards.
    start : float of at least 1
        What lr is divided by for the first rate.
    end : float of at least 1
        What the first rate is divided by for the last one.
    by : "epoch" or "step"
        What t and length count.

    Notes
    -----
    PyTorch counts steps from 0, so that its cycle of n steps is one of length n - 1, and puts the peak at step
    warmup n - 1, where here it is at warmup (n - 1).

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
    by = _choice("epoch", "step")

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

    def __call__(self, t: float, history: History = _NO_HISTORY) -> float:
        first = self.lr / self.start
        share = min(t / self.length, 1.0)
        if share < self.warmup:
            return _half_cosine(first, self.lr, share / self.warmup)
        return _half_cosine(self.lr, first / self.end, (share - self.warmup) / (1.0 - self.warmup))


@schedules.register("plateau")
class ReduceOnPlateau(ScheduleBase):
    """lr <- max(factor lr, min_lr) whenever history[monitor] has not improved for more than `patience` epochs.

    The first value is an improvement, a later one if it is below the best so far by more than min_delta, or with
    mode "max" above it. Other epochs are counted, and the count starts again with an improvement, with a reduction
    and with each of the `cooldown` epochs after a reduction.

    Parameters
    ----------
    lr : float
        The rate at first.
    factor : float in (0, 1)
    patience : int
    min_delta : float
        Absolute, in the unit of the monitored value.
    cooldown : int
    min_lr : float
        0 or more.
    monitor : str
        A key of the history.
    mode : "min" or "max"
        Whether the monitored value is to fall or to rise.

    Notes
    -----
    As PyTorch's `ReduceLROnPlateau` with threshold_mode="abs" and eps=0, but worked out from the whole history each
    time, whatever t is. Epochs whose value is NaN are left out, where PyTorch counts them as without improvement.
    While the history has no value under `monitor` the rate is lr. In a network the history begins with the schedule:
    one of another lr or patience begins anew.

    Examples
    --------
    >>> schedule = ReduceOnPlateau(0.1, factor=0.5, patience=1)
    >>> [schedule(2, {"loss": [3.0, 2.0]}), schedule(4, {"loss": [3.0, 2.0, 2.5, 2.0]})]
    [0.1, 0.05]
    """

    _shown = ("factor", "patience", "monitor")

    factor = number_field(0, 1, open_low=True, open_high=True)
    patience = Field(lambda name, value: integer(name, value, 0))
    min_delta = number_field(0)
    cooldown = Field(lambda name, value: integer(name, value, 0))
    min_lr = number_field(0)
    monitor = Field(_key)
    mode = _choice("min", "max")
    by = _choice("epoch")  # of which the history has one value each

    def __init__(
        self,
        lr: float,
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        monitor: str = "loss",
        mode: str = "min",
    ) -> None:
        self.lr = lr
        self.factor = factor
        self.patience = patience
        self.min_delta = min_delta
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.monitor = monitor
        self.mode = mode
        self.by = "epoch"

    def __call__(self, t: float, history: History = _NO_HISTORY) -> float:
        lr, best, bad, pause = 1.0 * self.lr, math.inf, 0, 0
        for value in history.get(self.monitor, ()):
            if math.isnan(value):
                continue
            cost = value if self.mode == "min" else -value
            if cost < best - self.min_delta:
                best, bad = cost, 0
            else:
                bad += 1
            if pause > 0:
                pause, bad = pause - 1, 0
            if bad > self.patience:
                lr = min(lr, max(lr * self.factor, 1.0 * self.min_lr))  # min_lr is no reason to raise it
                bad, pause = 0, self.cooldown
        return lr
