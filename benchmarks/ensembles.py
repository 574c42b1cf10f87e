"""Many networks at once beside one, and beside all of them one after the other, by turns in one process.

ci/bench --ensemble                  the medians of the ratios within a round
python benchmarks/ensembles.py --rounds 9
"""

import argparse
import statistics
import time

import numpy as np
import report

from xdfn import DFN, Ensemble

XOR = np.asarray([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.asarray([0, 1, 1, 0])
# at most: k networks of XOR over one of them; others over the sum of k fits. Beyond twice that CI fails
WANTED = {"XOR": 4.0, "sum": 0.6}


def cases():
    """(name, layers, optimizer, k, epochs, batch, X, y, what it is beside: one network or all of them)"""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((6400, 784), dtype=np.float32), rng.integers(0, 10, 6400).astype(np.int32)
    for rule in ("sgd(lr=0.5)", "adam(lr=0.05)"):
        yield "2-16-2", ["fc(16, 'tanh')", 2], rule, 32, 1500, 4, *XOR, "XOR"
    for rule in ("sgd(lr=0.1)", "adam(lr=0.001)"):
        yield "784-64-10", [64, 10], rule, 16, 2, 64, X, y, "sum"


def seconds(call):
    time.sleep(0.1)  # while the threads of the turn before fall asleep
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(layers, rule, k, epochs, batch, X, y, beside, rounds):
    """The seconds of the ensemble, and of what it is beside, in each round."""
    model = DFN(layers=layers, optimizer=rule, seed=0)

    def alone():
        for seed in range(1 if beside == "XOR" else k):
            DFN(layers=layers, optimizer=rule, seed=seed).fit(X, y, epochs, batch, None)

    def together():
        Ensemble(model, k).fit(X, y, epochs, batch)

    alone(), together()
    turns = []
    for i in range(rounds):
        first, second = (alone, together) if i % 2 else (together, alone)
        both = {first: seconds(first), second: seconds(second)}
        turns.append((both[together], both[alone]))
    return turns


def quick(rounds=3):
    """For CI: the cases beyond twice what is wanted."""
    slow = []
    for name, layers, rule, k, epochs, batch, X, y, beside in cases():
        turns = measure(layers, rule, k, epochs, batch, X, y, beside, rounds)
        middle = statistics.median(a / b for a, b in turns)
        print(f"{k} of {name}, {rule}: {middle:.2f} x {'one' if beside == 'XOR' else 'all one by one'}")
        slow += [f"{k} of {name}, {rule}"] if middle > 2 * WANTED[beside] else []
    return slow


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print(f"Machine: {report.machine()}. Rounds: {rounds}.\n")
    print("| networks | optimizer | batch | together, s | over one | over all, one by one | wanted |")
    print("|---|---|---|---|---|---|---|")
    for name, layers, rule, k, epochs, batch, X, y, beside in cases():
        turns = measure(layers, rule, k, epochs, batch, X, y, beside, rounds)
        over = statistics.median(a / b for a, b in turns)
        one, every = (over, over / k) if beside == "XOR" else (over * k, over)
        together = statistics.median(a for a, _ in turns)
        cells = [f"{k} of {name}", rule, batch, f"{together:.3f}", f"{one:.1f}", f"{every:.2f}", WANTED[beside]]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
