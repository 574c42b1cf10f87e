"""Who is faster: contestants of a case take turns in one process."""

import statistics
import time

import numpy as np
from cases import Orders, params_of, prediction_case
from contestants import build, floor

# before a turn, in s, while the threads of the one before fall asleep: each library brings its own, and they wait for
# work in a loop, on the cores that the next one wants
PAUSE = 0.1


def race(runs, case, rounds, seed=0):
    """The seconds of each contestant in each round, and its loss after a first one of one epoch, which warms up."""
    names, of_epochs = list(runs), Orders(seed, case.rows)
    times = {name: [] for name in names}
    losses = {}
    for round_ in range(rounds + 1):
        orders = of_epochs.next(case.epochs if round_ else 1)
        turn = names[round_ % len(names) :] + names[: round_ % len(names)]  # nobody always comes after the same
        for name in turn:
            time.sleep(PAUSE)
            start = time.perf_counter()
            loss = runs[name](orders)
            seconds = time.perf_counter() - start
            if round_:
                times[name].append(seconds)
            else:  # rounding grows from step to step, so the losses are compared early
                losses[name] = loss
    return times, losses


def ratio(times, name, other):
    """Median, least and largest ratio within a round."""
    ratios = [a / b for a, b in zip(times[name], times[other], strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def same_training(case, losses, ours="xdfn, NumPy"):
    """Who did not reach xdfn's loss: to rounding without dropout, else as other masks allow."""
    ours, tolerance = losses[ours], 0.1 if case.dropout else 5e-3
    return [name for name, loss in losses.items() if loss is not None and not abs(loss - ours) <= tolerance * abs(ours)]


def training(case, names, rounds):
    """The seconds of each contestant in each round, and the number of steps in one."""
    X, y = case.data()
    params = [{name: np.array(a) for name, a in p.items()} for p in params_of(case.model(X))]
    runs = {name: build(name, case, params, X, y) for name in names}
    times, losses = race({name: run for name, run in runs.items() if run}, case, rounds)
    if wrong := same_training(case, losses):
        raise SystemExit(f"{case.name}: {wrong} did not reach the same loss: {losses}")
    return times, case.steps


def prediction(rounds):
    """200,000 rows through the notebook's network, against the products alone, of as many rows at a time."""
    model, X = prediction_case()
    runs = {"floor": floor.predict(params_of(model), X), "xdfn, NumPy": lambda: model.predict(X)}
    times = {name: [] for name in runs}
    for round_ in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if round_:
                times[name].append(time.perf_counter() - start)
    return times, 1
