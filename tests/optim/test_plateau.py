"""The schedule that depends on the results of training."""

import itertools
import math

import numpy as np
import pytest

from xdfn.optim.plateau import ReduceOnPlateau
from xdfn.optim.schedules import schedules


@pytest.mark.parametrize("mode", ["min", "max"])
def test_plateaus_of_torch(mode, rng):
    torch = pytest.importorskip("torch")
    reductions = 0
    for patience, cooldown, min_lr, min_delta, drift in itertools.product(
        (0, 1, 4), (0, 1, 3), (0.0, 0.01), (0.0, 0.3), (0.0, 0.05)
    ):
        history = list(rng.normal(size=60) + (drift if mode == "max" else -drift) * np.arange(60))
        ours = ReduceOnPlateau(0.5, 0.3, patience, min_delta, cooldown, min_lr, "x", mode)
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode, 0.3, patience, min_delta, "abs", cooldown, min_lr, eps=0.0
        )
        for epoch, value in enumerate(history, 1):
            theirs.step(value)
            assert ours(epoch, {"x": history[:epoch]}) == optimizer.param_groups[0]["lr"]
        reductions += ours(60, {"x": history}) < 0.5
    assert reductions > 60  # of 72


def test_a_plateau_by_hand():
    schedule = ReduceOnPlateau(1.0, factor=0.5, patience=1, min_delta=0.1)
    values = [3.0, 2.0, 1.95, 1.9, 1.85, 1.7, 1.75, 1.7, 1.7, 1.7]
    # best, best, bad, bad since 1.9 is not below 2 - 0.1, best, best, bad, bad, bad, bad
    expected = [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert [schedule(n, {"loss": values[:n]}) for n in range(1, 11)] == expected
    risen = [-value for value in values]
    schedule.mode = "max"
    assert [schedule(n, {"loss": risen[:n]}) for n in range(1, 11)] == expected


def test_a_plateaus_cooldown_and_lowest_rate():
    flat = [1.0] * 13
    rates = [ReduceOnPlateau(1.0, 0.5, patience=1)(n, {"loss": flat[:n]}) for n in range(1, 8)]
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.125]
    cooled = ReduceOnPlateau(1.0, 0.5, patience=1, cooldown=2, min_lr=0.2)
    rates = [cooled(n, {"loss": flat[:n]}) for n in range(1, 14)]
    assert rates == [*[1.0] * 2, *[0.5] * 4, *[0.25] * 4, *[0.2] * 3]
    assert ReduceOnPlateau(0.1, 0.5, patience=0, min_lr=0.2)(13, {"loss": flat}) == 0.1  # never raised


def test_a_plateau_leaves_out_epochs_without_a_value(rng):
    schedule, nan = ReduceOnPlateau(0.5, 0.3, 2, monitor="val_loss"), math.nan
    values = [2.0, 2.0, 2.0, 2.0]
    assert schedule(4, {"val_loss": values}) == 0.15
    assert schedule(9, {"val_loss": [nan, 2.0, nan, nan, 2.0, nan, 2.0, nan, 2.0]}) == 0.15
    assert schedule(9, {"val_loss": [nan, 2.0, nan, nan, 2.0, nan, 2.0, nan, nan]}) == 0.5
    assert schedule(3, {"val_loss": [nan] * 20}) == 0.5
    history = list(rng.normal(size=40))
    gaps = [value for pair in zip(history, [nan] * 40, strict=True) for value in pair]
    for n in range(41):
        assert schedule(0, {"val_loss": gaps[: 2 * n]}) == schedule(0, {"val_loss": history[:n]})


def test_a_plateau_without_a_history_is_at_its_rate():
    schedule = ReduceOnPlateau(0.5, patience=0)
    for history in ({}, {"loss": []}, {"val_loss": [1.0] * 9}):
        assert schedule(9, history) == 0.5
    assert schedule(9) == 0.5


def test_a_plateau_remembers_nothing():
    schedule, history = ReduceOnPlateau(0.5, 0.1, 0), {"loss": [1.0, 1.0, 1.0]}
    before = dict(vars(schedule))
    first = schedule(3, history)
    schedule(0, {"loss": [9.0] * 50})
    assert schedule(3, history) == schedules.resolve(str(schedule))(3, history) == first < 0.5
    assert vars(schedule) == before
    assert history == {"loss": [1.0, 1.0, 1.0]}
