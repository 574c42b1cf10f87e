"""
Five ways to regularise
=======================

What keeps a network from learning its training rows by heart? The ablation of Srivastava et al. 2014 (JMLR 15,
Table 9) on MNIST: a plain network of three hidden layers against L2, max-norm, and dropout with each of them.

::

    python examples/regularisation.py           # layers of 384, 384 and 768 units, half an hour on two cores
    python examples/regularisation.py --full    # the paper's 1024, 1024 and 2048: hours on a CPU
    python examples/regularisation.py --full --backend cupy    # or minutes on a GPU
"""

import argparse
import importlib
import json
import time
from pathlib import Path

import numpy as np

from xdfn import DFN, Dropout, FullyConnected, load_mnist

PAPER = {"L2": 1.62, "max-norm": 1.35, "dropout + L2": 1.25, "dropout + max-norm": 1.05}  # test error in %, Table 9
METHODS = {  # what is done to the weights, and whether units are dropped
    "plain": ({}, False),
    "L2": ({"regularizer": "l2(1e-4)"}, False),
    "max-norm": ({"constraint": "max_norm(2)"}, False),
    "dropout + L2": ({"regularizer": "l2(1e-5)"}, True),
    "dropout + max-norm": ({"constraint": "max_norm(2)"}, True),
}


def network(method, seed, epochs, widths):
    """ReLU layers of these widths; as in the paper a fifth of the inputs and half of the hidden units are dropped, and
    half as many where there are fewer than half as many units."""
    rules, drop = METHODS[method]
    share = 1.0 if widths[0] >= 512 else 0.5
    layers = [Dropout(0.2 * share)] if drop else []
    for width in widths:
        layers += [FullyConnected(width, "relu", "he_uniform", **rules), *([Dropout(0.5 * share)] if drop else [])]
    layers.append(FullyConnected(10, "affine", "glorot_uniform", **rules))
    return DFN(layers=layers, optimizer=f"adam(lr='cosine(1e-3, {epochs})')", seed=seed)


def draw(results, path):
    """The test errors over the epochs, and the last ones as bars: the mean of the seeds, and each of them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(11, 4.4), layout="constrained")
    curves, bars = figure.subplots(1, 2)
    for i, (method, runs) in enumerate(results.items()):
        errors = np.asarray([run["errors"] for run in runs])
        curves.plot(range(1, errors.shape[1] + 1), errors.mean(axis=0), color=f"C{i}", label=method)
        bars.barh(i, errors[:, -1].mean(), color=f"C{i}", alpha=0.6)
        bars.plot(errors[:, -1], [i] * len(runs), "k.", markersize=5)
        bars.text(errors[:, -1].mean() / 2, i, f"{errors[:, -1].mean():.2f} %", ha="center", va="center")
    last = [run["errors"][-1] for runs in results.values() for run in runs]
    curves.set(xlabel="epoch", ylabel="test error, %", ylim=(0.9 * min(last), 2.2 * max(last)))
    curves.legend()
    bars.set(yticks=range(len(results)), yticklabels=list(results), xlabel="test error after the last epoch, %")
    bars.invert_yaxis()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the paper's network, for 100 epochs")
    parser.add_argument("--scale", type=float, help="of the paper's widths (default: 0.375)")
    parser.add_argument("--epochs", type=int, help="default: 30, with --full 100")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--rows", type=int, help="train on the first ROWS rows (default: all 60,000)")
    parser.add_argument("--backend", choices=("numpy", "cupy", "torch", "jax"), default="numpy")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "output" / "regularisation.png")
    options = parser.parse_args(argv)
    scale, epochs = options.scale or (1.0 if options.full else 0.375), options.epochs or (100 if options.full else 30)
    widths = [round(scale * width) for width in (1024, 1024, 2048)]

    asarray = importlib.import_module({"jax": "jax.numpy"}.get(options.backend, options.backend)).asarray
    (X, y), (X_test, y_test) = load_mnist()
    X, y, X_test, y_test = (asarray(a) for a in (X[: options.rows], y[: options.rows], X_test, y_test))
    start, results = time.perf_counter(), {}
    print(f"784-{'-'.join(map(str, widths))}-10, {epochs} epochs, test error in %")
    for method in METHODS:
        runs = results[method] = []
        for seed in options.seeds:
            model = network(method, seed, epochs, widths)
            test = {"validation_data": (X_test, y_test), "metrics": "accuracy"}  # looked at, never chosen by
            model.fit(X, y, epochs, 128, verbose=None, **test)
            errors = [100 * (1 - accuracy) for accuracy in model.history["val_accuracy"]]
            runs.append({"seed": seed, "loss": model.history["loss"][-1], "errors": errors})
        last = [run["errors"][-1] for run in runs]
        each = ", ".join(f"{error:.2f}" for error in last)
        paper = f"   the paper, full scale: {PAPER[method]:.2f}" if method in PAPER else ""
        print(f"{method:20} {np.mean(last):.2f}   seeds: {each}{paper}", flush=True)
    minutes = (time.perf_counter() - start) / 60
    order = sorted(results, key=lambda method: np.mean([run["errors"][-1] for run in results[method]]))
    print(f"from best to worst: {', '.join(order)}; {minutes:.1f} minutes")
    draw(results, options.out)
    options.out.with_suffix(".json").write_text(json.dumps({"widths": widths, "epochs": epochs, "results": results}))
    print(f"picture: {options.out}")
    return results


if __name__ == "__main__":
    main()
