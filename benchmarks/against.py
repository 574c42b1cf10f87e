"""Is this version faster than another? Each has a process of its own, and they take turns, round by round."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from timing import PAUSE, same_training

import xdfn

NOW = Path(xdfn.__file__).resolve().parents[1]
ROUNDS = 21
FRESH = 7  # rounds until the processes are started anew: where their memory lies is luck, and worth some percent


class Worker:
    """A process that imports xdfn from `root` and works when told; idle between two turns."""

    def __init__(self, root, contestant, case):
        self.root, self.case = root, case
        path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("worker.py")), contestant, case],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        package = self.answer()
        self.able = package is not None  # to take part: its array library is installed
        if self.able and Path(package).resolve().parents[1] != root:
            raise SystemExit(f"{root} was to be timed, and {package} was imported")

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.case}: the process that times {self.root} ended")
        return json.loads(line)

    def turn(self, times):
        """Seconds and loss, after a pause in which the other's threads fall asleep."""
        time.sleep(PAUSE)
        self.process.stdin.write(f"{times}\n")
        self.process.stdin.flush()
        return self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def versus(before, contestant, name, case, rounds):
    """The seconds of both versions by round, and the number of steps in each; None if they cannot take part.

    `case` is None for the prediction.
    """
    roots, times = {"xdfn": NOW, "xdfn before": before}, {"xdfn": [], "xdfn before": []}
    while len(times["xdfn"]) < rounds:
        with contextlib.ExitStack() as stack:
            workers = {who: stack.enter_context(Worker(root, contestant, name)) for who, root in roots.items()}
            if not all(worker.able for worker in workers.values()):
                return None
            losses = {who: worker.turn(1)[1] for who, worker in workers.items()}
            if case and (wrong := same_training(case, losses, "xdfn before")):
                raise SystemExit(f"{name}: {wrong} did not reach the same loss: {losses}")
            for _ in range(min(FRESH, rounds - len(times["xdfn"]))):
                forth = len(times["xdfn"]) % 2 == 0  # who comes first in a round comes last in the next
                for who in list(workers) if forth else list(workers)[::-1]:
                    times[who].append(workers[who].turn(case.epochs if case else 1)[0])
    return times, case.steps if case else 1


HEAD = """\
| case | now / before | half of the rounds within | of the fastest turns | now | before |
|---|---|---|---|---|---|"""


def line(label, times, steps):
    """A row of the table: the median ratio within a round, that of the fastest turns, and microseconds a step."""
    ratios = np.divide(times["xdfn"], times["xdfn before"])
    low, middle, high = np.percentile(ratios, (25, 50, 75))
    fastest = min(times["xdfn"]) / min(times["xdfn before"])
    now, before = (f"{statistics.median(of) / steps * 1e6:,.0f} us" for of in times.values())
    return f"| {label} | {middle:.3f} | {low:.3f}-{high:.3f} | {fastest:.3f} | {now} | {before} |"


def compare(before, cases, contestants, rounds=None):
    """Print the table, a row as soon as it is known; `cases` are (name, Case or None)."""
    rounds = rounds or ROUNDS
    print(f"now: {NOW}\nbefore: {before}\nrounds: {rounds}\n\n{HEAD}", flush=True)
    for name, case in cases:
        for contestant in contestants:
            if case is None and contestant != "xdfn, NumPy":
                continue
            library = contestant.partition(", ")[2]
            label = name if library == "NumPy" else f"{name}, {library}"
            result = versus(before, contestant, name, case, rounds)
            print(line(label, *result) if result else f"| {label} | cannot take part | | | | |", flush=True)
