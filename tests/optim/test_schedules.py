import itertools
import math

import numpy as np
import pytest

from xdfn.core.part import Part
from xdfn.optim.plateau import ReduceOnPlateau
from xdfn.optim.schedules import (
    ConstantRate,
    CosineDecay,
    ExponentialDecay,
    InverseTimeDecay,
    LinearDecay,
    OneCycle,
    ScheduleBase,
    StepDecay,
    lr_field,
    schedules,
)

# spec: the rate at times, worked out by hand
BY_HAND = {
    "ConstantRate(lr=0.3)": {0: 0.3, 0.5: 0.3, 1e6: 0.3},
    "StepDecay(lr=0.8, length=3, factor=0.5)": {0: 0.8, 2.99: 0.8, 3: 0.4, 5.5: 0.4, 6: 0.2, 9: 0.1},
    "StepDecay(lr=0.8, length=0.5, factor=0.1)": {0: 0.8, 0.25: 0.8, 0.5: 0.08, 1: 0.008, 1000: 0.0},
    "ExponentialDecay(lr=0.8, length=2, factor=0.25)": {0: 0.8, 1: 0.4, 2: 0.2, 3: 0.1, 6: 0.0125, 1e6: 0.0},
    "ExponentialDecay(lr=0.8, length=2, factor=0.1)": {1: 0.8 / 10**0.5, 2: 0.08},
    "InverseTimeDecay(lr=0.6, length=4)": {0: 0.6, 2: 0.4, 4: 0.3, 8: 0.2, 20: 0.1},
    "LinearDecay(lr=0.4, length=8)": {0: 0.4, 2: 0.3, 4: 0.2, 7: 0.05, 8: 0.0, 80: 0.0},
    "LinearDecay(lr=0.4, length=8, end=0.2)": {0: 0.4, 2: 0.35, 4: 0.3, 8: 0.2, 80: 0.2},
    "LinearDecay(lr=0.1, length=2, end=0.2)": {0: 0.1, 1: 0.15, 2: 0.2, 3: 0.2},
    "CosineDecay(lr=0.4, length=6)": {0: 0.4, 2: 0.3, 3: 0.2, 4: 0.1, 6: 0.0, 7: 0.0},
    "CosineDecay(lr=0.4, length=8, warmup=2, end=0.1)": {0: 0.0, 0.5: 0.1, 1: 0.2, 2: 0.4}
    | {4: 0.1 + 0.75 * 0.3, 5: 0.25, 6: 0.1 + 0.25 * 0.3, 8: 0.1, 9: 0.1},
    "OneCycle(lr=0.5, length=12, warmup=0.25, start=5.0, end=10.0)": {0: 0.1, 1: 0.2, 1.5: 0.3, 2: 0.4, 3: 0.5}
    | {6: 0.01 + 0.75 * 0.49, 7.5: 0.01 + 0.5 * 0.49, 9: 0.01 + 0.25 * 0.49, 12: 0.01, 13: 0.01},
    "OneCycle(lr=0.5, length=12)": {0: 0.02, 3.6: 0.5, 12: 2e-6},
    "OneCycle(lr=0.5, length=4, warmup=0.0, start=5.0, end=10.0)": {0: 0.5, 2: 0.255, 4: 0.01},
    "ReduceOnPlateau(lr=0.3, factor=0.1, patience=10, monitor='loss')": {0: 0.3, 100: 0.3},
}


@pytest.mark.parametrize("spec", BY_HAND)
def test_values_by_hand(spec):
    schedule = schedules.resolve(spec)
    for t, rate in BY_HAND[spec].items():
        assert schedule(t) == pytest.approx(rate, rel=1e-14, abs=0), t
    assert str(schedule) == spec
    assert schedules.resolve(str(schedule)) == schedule


def test_every_class_has_values_by_hand_and_its_other_name():
    own = {cls for cls in schedules.classes if cls.__module__.startswith("xdfn.")}
    assert {type(schedules.resolve(spec)) for spec in BY_HAND} == own
    for spec, schedule in {
        "constant(0.1)": ConstantRate(0.1),
        "step(0.1, 5)": StepDecay(0.1, 5, 0.1),
        "exponential(0.1, 5)": ExponentialDecay(0.1, 5, 0.1),
        "inverse_time(0.1, 5)": InverseTimeDecay(0.1, 5),
        "linear(0.1, 5, by='step')": LinearDecay(0.1, 5, 0.0, "step"),
        "cosine(1e-3, 10, warmup=1)": CosineDecay(0.001, 10, 1),
        "one_cycle(1e-3, 10)": OneCycle(0.001, 10, 0.3, 25.0, 1e4, "epoch"),
        "plateau(1e-3, mode='max')": ReduceOnPlateau(1e-3, 0.1, 10, 1e-4, 0, 0.0, "loss", "max"),
    }.items():
        assert schedules.resolve(spec) == schedule


def test_what_differs_from_a_default_is_in_the_string():
    for schedule, string in [
        (
            CosineDecay(1e-3, 500, 50, 1e-5, "step"),
            "CosineDecay(lr=0.001, length=500, warmup=50, end=1e-05, by='step')",
        ),
        (
            ReduceOnPlateau(0.1, 0.5, 3, 0.0, 2, 0.01, "val_loss", "max"),
            "ReduceOnPlateau(lr=0.1, factor=0.5, patience=3, min_delta=0.0, cooldown=2, min_lr=0.01, "
            "monitor='val_loss', mode='max')",
        ),
    ]:
        assert str(schedule) == string
        assert schedules.resolve(string) == schedule


SMOOTH = [ExponentialDecay, InverseTimeDecay, LinearDecay, CosineDecay, OneCycle]


@pytest.mark.parametrize("cls", SMOOTH)
def test_there_is_no_jump_and_no_way_back_up_after_the_top(cls):
    schedule = cls(0.7, 10)
    top = 3 if cls is OneCycle else 0
    times = [i / 1000 for i in range(12001)]
    rates = [schedule(t) for t in times]
    # the steepest, OneCycle on its way up, climbs pi / 2 times the mean slope 0.7 / 3 at most
    assert max(abs(b - a) for a, b in itertools.pairwise(rates)) < math.pi / 2 * 0.7 / 3 / 1000
    assert all(b <= a for t, (a, b) in zip(times, itertools.pairwise(rates), strict=False) if t >= top)
    assert all(b >= a for t, (a, b) in zip(times, itertools.pairwise(rates), strict=False) if t < top - 1e-3)
    assert rates[1000 * top] == 0.7


def test_the_warmup_joins_the_cosine_and_the_end_stays_exactly():
    schedule = CosineDecay(0.7, 10, warmup=3, end=0.1)
    assert schedule(3) == 0.7
    assert schedule(3 - 1e-9) == pytest.approx(0.7, rel=1e-9)
    assert [schedule(t) for t in (10, math.nextafter(10, 11), 11, 1e9)] == [0.1] * 4
    assert schedule(10 - 1e-6) == pytest.approx(0.1, rel=1e-9)
    assert [LinearDecay(0.7, 10, 0.1)(t) for t in (10, 11, 1e9)] == [0.1] * 3
    last = 0.7 / 25 / 1e4
    assert [OneCycle(0.7, 10)(t) for t in (10, 11, 1e9)] == [last] * 3
    assert OneCycle(0.7, 10)(10 - 1e-6) == pytest.approx(last, rel=1e-9)


def test_a_rate_is_a_float_whatever_the_numbers_are():
    """A compiled step would be traced again for an int."""
    one = np.float32(1)
    made = [
        *(cls(one, np.int64(4)) for cls in (*SMOOTH, StepDecay)),
        *(ConstantRate(1), StepDecay(1, 1, 1), ExponentialDecay(1, 1, 1), LinearDecay(1, 1, 0)),
        *(CosineDecay(1, 2, 1, 0), OneCycle(1, 2, 0, 1, 1), ReduceOnPlateau(1), ReduceOnPlateau(2, 0.1, 0, 0, 0, 1)),
    ]
    for schedule, t in itertools.product(made, (0, 1, 2, 7, 0.5)):
        assert type(schedule(t, {"loss": [1, 2, 3]})) is float
        assert type(schedule.lr) in (int, float)


def test_only_the_unit_of_time_is_by():
    assert [CosineDecay(0.1, 10, by=by)(3) for by in ("epoch", "step")] == [CosineDecay(0.1, 10)(3)] * 2
    assert CosineDecay(0.1, 10).by == ConstantRate(0.1).by == ReduceOnPlateau(0.1).by == "epoch"
    assert CosineDecay(0.1, 10, by="step").by == "step"
    assert CosineDecay(0.1, 10, by="step") != CosineDecay(0.1, 10)
    assert CosineDecay(0.1, 10).monitor is None
    assert ReduceOnPlateau(0.1, monitor="val_loss").monitor == "val_loss"


def rates_of_torch(make, steps):
    """The rates of a scheduler's first steps, beginning at 0.5."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler, rates = make(torch.optim.lr_scheduler, optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("schedule", "theirs", "steps"),
    [
        (StepDecay(0.5, 7, 0.3), lambda s, opt: s.StepLR(opt, 7, 0.3), 40),
        (ExponentialDecay(0.5, 7, 0.3), lambda s, opt: s.ExponentialLR(opt, 0.3 ** (1 / 7)), 40),
        (InverseTimeDecay(0.5, 7), lambda s, opt: s.LambdaLR(opt, lambda t: 7 / (7 + t)), 40),
        (LinearDecay(0.5, 25, 0.1), lambda s, opt: s.LinearLR(opt, 1.0, 0.1 / 0.5, 25), 40),
        (CosineDecay(0.5, 25, end=0.1), lambda s, opt: s.CosineAnnealingLR(opt, 25, 0.1), 26),  # then theirs rises
        (
            CosineDecay(0.5, 25, warmup=5, end=0.1),
            lambda s, opt: s.SequentialLR(
                opt, [s.LambdaLR(opt, lambda t: t / 5), s.CosineAnnealingLR(opt, 20, 0.1)], [5]
            ),
            26,
        ),
        # the peak of theirs is at 0.3 * 40 - 1 = 11 of 39 steps
        (
            OneCycle(0.5, 39, warmup=11 / 39, start=20, end=50),
            lambda s, opt: s.OneCycleLR(
                opt, 0.5, 40, pct_start=0.3, div_factor=20, final_div_factor=50, cycle_momentum=False
            ),
            39,
        ),
        (
            OneCycle(0.5, 39, warmup=11 / 39),
            lambda s, opt: s.OneCycleLR(opt, 0.5, 40, cycle_momentum=False),
            39,
        ),
    ],
    ids=lambda x: str(x) if isinstance(x, ScheduleBase) else "",
)
def test_rates_of_torch(schedule, theirs, steps):
    expected = rates_of_torch(theirs, steps)
    # theirs multiply from step to step, which adds up some roundings
    np.testing.assert_allclose([schedule(t) for t in range(steps)], expected, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("constant(-1)", r"lr must be a number in \[0, inf\), got -1"),
        ("constant(True)", "lr must be a number"),
        ("constant('cosine(1, 2)')", "lr must be a number"),
        ("constant(1, by='batch')", "by must be 'epoch' or 'step', got 'batch'"),
        ("constant(1, by=['epoch'])", "by must be 'epoch' or 'step'"),
        ("constant", "missing a required argument: 'lr'"),
        ("cosine(1e-3)", "missing a required argument: 'length'"),
        *(
            (f"{name}(1, {length})", r"length must be a number in \(0, inf\)")
            for name in ("step", "exponential", "inverse_time", "linear", "cosine", "one_cycle")
            for length in ("0", "-1", "'10'", "1e999")
        ),
        *((f"{name}(1, 2, by='epochs')", "by must be") for name in ("step", "exponential", "inverse_time", "linear")),
        *((f"{name}(1, 2, by='Step')", "by must be") for name in ("cosine", "one_cycle")),
        *((f"{name}(1, 2, {factor})", r"factor must be a number in \(0, 1\]")
          for name in ("step", "exponential") for factor in (0, 1.1, -0.5)),
        ("linear(1, 2, end=-1)", "end must be"),
        ("cosine(1, 2, end=-1)", "end must be"),
        ("cosine(1, 2, warmup=-1)", r"warmup must be a number in \[0, inf\)"),
        ("cosine(1, 2, warmup=2)", "warmup must be shorter than length, got warmup=2 and length=2"),
        ("cosine(1, 2, warmup=3)", "warmup must be shorter than length, got warmup=3 and length=2"),
        ("cosine(1, warmup=3, length=2)", "warmup must be shorter"),
        ("one_cycle(1, 2, warmup=1)", r"warmup must be a number in \[0, 1\)"),
        ("one_cycle(1, 2, warmup=-0.1)", "warmup must be"),
        ("one_cycle(1, 2, start=0.5)", r"start must be a number in \[1, inf\)"),
        ("one_cycle(1, 2, end=0)", r"end must be a number in \[1, inf\)"),
        ("plateau(-0.1)", "lr must be"),
        ("plateau(1, factor=0)", r"factor must be a number in \(0, 1\)"),
        ("plateau(1, factor=1)", r"factor must be a number in \(0, 1\)"),
        ("plateau(1, patience=-1)", "patience must be an integer of at least 0, got -1"),
        ("plateau(1, patience=1.5)", "patience must be an integer"),
        ("plateau(1, min_delta=-1e-4)", "min_delta must be"),
        ("plateau(1, cooldown=-1)", "cooldown must be"),
        ("plateau(1, min_lr=-1)", "min_lr must be"),
        ("plateau(1, monitor='')", "monitor must be the name of a value in the history"),
        ("plateau(1, monitor=None)", "monitor must be the name"),
        ("plateau(1, mode='auto')", "mode must be 'min' or 'max', got 'auto'"),
        ("plateau(1, by='step')", "has no argument 'by'"),
        ("cosin(1, 2)", "did you mean 'CosineDecay'"),
    ],
)  # fmt: skip
def test_a_bad_argument_is_named(spec, says):
    with pytest.raises(ValueError, match=says):
        schedules.resolve(spec)


def test_an_assignment_is_checked_and_leaves_what_was():
    schedule = CosineDecay(0.1, 10, warmup=4)
    for name, value in {"length": 4, "warmup": 10, "lr": -1, "end": -1, "by": "day"}.items():
        with pytest.raises(ValueError, match=name):
            setattr(schedule, name, value)
    assert schedule == CosineDecay(0.1, 10, warmup=4)
    schedule.warmup = 2
    schedule.length = 4
    assert schedule(3) == pytest.approx(0.05)
    plateau = ReduceOnPlateau(0.1)
    for name, value in {"factor": 1, "mode": "most", "by": "step", "patience": -1}.items():
        with pytest.raises(ValueError, match=name):
            setattr(plateau, name, value)
    assert plateau == ReduceOnPlateau(0.1)


def test_the_order_of_assignment_makes_no_difference():
    class Reversed(CosineDecay):
        def __init__(self, lr, length, warmup):
            self.warmup = warmup
            self.length = length
            self.lr, self.end, self.by = lr, 0.0, "epoch"

    assert Reversed(0.1, 10, 2)(1) == CosineDecay(0.1, 10, 2)(1)
    with pytest.raises(ValueError, match="warmup must be shorter than length"):
        Reversed(0.1, 10, 12)


def test_ones_own_schedule():
    @schedules.register("stairs")
    class Stairs(ScheduleBase):
        by = "step"

        def __init__(self, lr):
            self.lr = lr

        def __call__(self, t, history={}):  # noqa: B006
            return self.lr / (1 + int(t))

    assert schedules.resolve("stairs(0.1)")(1) == 0.05
    with pytest.raises(ValueError, match="lr must be a number"):
        Stairs(-1)

    class Nothing(ScheduleBase):
        pass

    assert Nothing().by == "epoch"
    with pytest.raises(NotImplementedError, match="Nothing must define __call__"):
        Nothing()(0)


class Rule(Part):
    lr = lr_field()
    rate = lr_field(1)

    def __init__(self, lr, rate=2.0):
        self.lr = lr
        self.rate = rate


def test_a_rate_is_a_number_or_a_schedule():
    assert Rule(0.1).lr == 0.1
    assert type(Rule(np.float32(0.5)).lr) is float
    schedule = CosineDecay(1e-3, 10)
    assert Rule(schedule).lr is schedule
    assert Rule("cosine(1e-3, 10)").lr == schedule
    rule = Rule(0.1)
    rule.lr = "cosine(1e-3, 10)"
    assert rule == Rule(schedule)
    assert str(rule) == "Rule(lr='CosineDecay(lr=0.001, length=10)')"

    @schedules.register()
    class Fixed(ScheduleBase):
        def __call__(self, t, history={}):  # noqa: B006
            return 0.25

    assert Rule(Fixed).lr(3) == Rule("fixed").lr(3) == 0.25


@pytest.mark.parametrize(
    ("lr", "says"),
    [
        (-1, r"^lr must be a number in \[0, inf\), got -1$"),
        (math.nan, r"^lr must be a number in \[0, inf\), got nan$"),
        (math.inf, r"^lr must be a number in \[0, inf\), got inf$"),
        (True, r"^lr must be a number in \[0, inf\), got bool: True; lr may also be a schedule such as 'cosine\("),
        (None, r"^lr must be a number in \[0, inf\), got NoneType: None; lr may also be a schedule such as 'cosine\("),
        ([0.1], r"^lr must be a number in \[0, inf\), got list: \[0\.1\]; lr may also be a schedule"),
        (float, r"^lr must be a number in \[0, inf\), got type: <class 'float'>; lr may also be a schedule"),
        (Rule(1), r"^lr must be a number in \[0, inf\), got Rule.*; lr may also be a schedule"),
        ("fast", r"^lr must be a number in \[0, inf\) or a schedule such as 'cosine\(1e-3, 10\)': unknown schedule"),
        ("cosine(1e-3)", r"^lr must be .* or a schedule .*missing a required argument: 'length'"),
        ("cosine(1e-3, 0)", r"^lr must be .* or a schedule .*: length must be a number"),
        (CosineDecay, r"^lr must be .* or a schedule .*missing a required argument: 'lr'"),
    ],
)  # fmt: skip
def test_any_other_rate_is_refused(lr, says):
    with pytest.raises(ValueError, match=says):
        Rule(lr)


def test_the_lowest_number_is_the_fields():
    with pytest.raises(ValueError, match=r"^rate must be a number in \[1, inf\), got 0\.5$"):
        Rule(0.1, 0.5)
    assert Rule(0.1, 1).rate == 1
