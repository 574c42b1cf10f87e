"""
Universal approximation by hand
===============================

A network with one hidden layer of sigmoids comes as near to a continuous function as one likes (Cybenko 1989,
doi:10.1007/BF02551274). Nothing is trained here; the weights are set.

Two steep sigmoids make a tower: sigmoid(k (x - a)) - sigmoid(k (x - b)) is about 1 between a and b and about 0
elsewhere. n towers side by side over [0, 1], each as high as f at its middle, are a staircase that follows f. Within a
tower f moves away from its value at the middle by at most ``max|f'|`` times half the tower's width, so the largest
error is at most about ``max|f'| / (2 n)``: twice the towers, half the error.

::

    python examples/approximation.py
"""

import argparse
from pathlib import Path

import numpy as np

from xdfn import DFN, FullyConnected

STEEP = 100  # k = STEEP n: the flank of a tower takes some 4 / STEEP of its width
TOWERS = (5, 10, 20, 50, 100)


def f(x):
    return 0.5 + 0.3 * np.sin(2 * np.pi * x) + 0.1 * np.sin(6 * np.pi * x)


def slope(x):
    return 0.6 * np.pi * np.cos(2 * np.pi * x) + 0.6 * np.pi * np.cos(6 * np.pi * x)


def towers(n):
    """A DFN 1-2n-1 whose hidden units are the flanks of n towers."""
    layers = [FullyConnected(2 * n, "sigmoid", "zeros"), FullyConnected(1, "affine", "zeros")]
    model = DFN(layers=layers, loss="squared_error").initialize(np.zeros((1, 1)))
    edges = np.linspace(0, 1, n + 1)
    heights = f((edges[:-1] + edges[1:]) / 2)
    edges[0], edges[-1] = -1, 2  # the outer flanks stand outside, or f(0) and f(1) would be met half-way up
    flanks = np.stack([edges[:-1], edges[1:]], axis=1).ravel()  # left, right, left, right, ...
    k = float(STEEP * n)
    model.layers["FC1"].params = {"W": np.full((1, 2 * n), k), "b": -k * flanks[np.newaxis, :]}
    signs = np.stack([heights, -heights], axis=1).reshape(-1, 1)
    model.layers["FC2"].params = {"W": signs, "b": np.zeros((1, 1))}
    return model


def largest_errors(counts=TOWERS):
    """The largest error on [0, 1] for each number of towers, and the bound max|f'| / (2 n)."""
    x = np.linspace(0, 1, 20_001)
    steepest = np.abs(slope(x)).max()
    return {n: (np.abs(towers(n).predict(x[:, np.newaxis])[:, 0] - f(x)).max(), steepest / (2 * n)) for n in counts}


def draw(errors, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    x = np.linspace(0, 1, 2001)
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    one = towers(5).activations(x[:, np.newaxis])["FC1"]
    for i in range(5):
        axes[0].plot(x, one[:, 2 * i] - one[:, 2 * i + 1])
    axes[0].set(title="five towers, each of two sigmoids", xlabel="x")
    for n, colour in ((5, "C1"), (20, "C2")):
        axes[1].plot(x, towers(n).predict(x[:, np.newaxis])[:, 0], colour, label=f"{n} towers", linewidth=1)
    axes[1].plot(x, f(x), "k--", label="f", linewidth=1)
    axes[1].set(title="their sum, weighted by f at the middles", xlabel="x")
    axes[1].legend()
    axes[2].loglog(list(errors), [error for error, _ in errors.values()], "o-", label="largest error")
    axes[2].loglog(list(errors), [bound for _, bound in errors.values()], "k--", label="max|f'| / (2 n)")
    axes[2].set(title="twice the towers, half the error", xlabel="towers n")
    axes[2].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "output" / "approximation.png")
    options = parser.parse_args(argv)
    errors = largest_errors()
    for n, (error, bound) in errors.items():
        print(f"{n:3d} towers   largest error on [0, 1] {error:.4f}   max|f'| / (2 n) = {bound:.4f}")
    draw(errors, options.out)
    print(f"picture: {options.out}")
    return errors


if __name__ == "__main__":
    main()
