"""How long fits of `xdfn.sklearn` take beside scikit-learn's in the same run, by turns: the ratio of the fastest turns.

ci/bench --sklearn                  fails if a ratio is above what is wanted
python benchmarks/sklearn_times.py --rounds 5
"""

import argparse
import sys
import time
import warnings

import numpy as np
import sklearn.neural_network
from sklearn.datasets import load_diabetes, load_digits, load_iris

import xdfn.sklearn
from xdfn import load_mnist

MARGIN = 1.1  # a difference of less than a tenth is none; see README.md


def cases():
    """(name, what is fitted, its arguments, X, y, the ratio that is wanted at most) of each case."""
    (X, y), _ = load_mnist()
    yield "MNIST, 2 epochs of adam", "MLPClassifier", {"max_iter": 2}, X, y, 0.67
    yield "iris, adam", "MLPClassifier", {}, *load_iris(return_X_y=True), 1.0
    yield "iris, early stopping", "MLPClassifier", {"early_stopping": True}, *load_iris(return_X_y=True), 1.0
    yield "digits, adam", "MLPClassifier", {"max_iter": 30}, *load_digits(return_X_y=True), 1.0
    yield "digits, sgd", "MLPClassifier", {"max_iter": 30, "solver": "sgd"}, *load_digits(return_X_y=True), 1.0
    yield "digits, lbfgs", "MLPClassifier", {"solver": "lbfgs"}, *load_digits(return_X_y=True), 1.0
    # 8 ms a fit, of which making the network takes one
    yield (
        "iris, 20 iterations of lbfgs",
        "MLPClassifier",
        {"solver": "lbfgs", "max_iter": 20},
        *load_iris(return_X_y=True),
        1.25,
    )
    columns_together = np.asfortranarray(np.random.default_rng(0).normal(size=(20_000, 100)))
    yield "columns together, 2 epochs", "MLPClassifier", {"max_iter": 2}, columns_together, np.arange(20_000) % 3, 1.0
    yield "diabetes, adam", "MLPRegressor", {}, *load_diabetes(return_X_y=True), 1.0


def measure(kind, arguments, X, y, rounds):
    """The seconds of each turn of both libraries."""
    seconds = {"scikit-learn": [], "xdfn": []}
    modules = {"scikit-learn": sklearn.neural_network, "xdfn": xdfn.sklearn}
    for i in range(rounds):
        for name in sorted(modules, reverse=bool(i % 2)):
            model = getattr(modules[name], kind)(random_state=0, **arguments)
            time.sleep(0.1)
            start = time.perf_counter()
            model.fit(X, y)
            seconds[name].append(time.perf_counter() - start)
    return {name: np.asarray(turns) for name, turns in seconds.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore")
    slow = []
    print("| case | scikit-learn, s | xdfn, s | ratio | wanted |\n|---|---|---|---|---|")
    for name, kind, arguments, X, y, wanted in cases():
        seconds = measure(kind, arguments, X, y, rounds)
        theirs, ours = seconds["scikit-learn"].min(), seconds["xdfn"].min()
        print(f"| {name} | {theirs:.3f} | {ours:.3f} | {ours / theirs:.2f} | {wanted} |", flush=True)
        if ours / theirs > wanted * MARGIN:
            slow.append(name)
    if slow:
        sys.exit(f"slower than wanted: {', '.join(slow)}")


if __name__ == "__main__":
    main()
