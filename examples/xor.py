"""
XOR, from 40 starts
===================

XOR is the smallest function that no linear model can learn.

The notebook learns it with two ReLU units, w^T max(0, W^T x + c) + b, squared error and SGD with lr = 1, and shows one
lucky start. Here are 40 starts of that recipe, and a recipe that works from all 40: four tanh units and Adam.

::

    python examples/xor.py
"""

import argparse
from pathlib import Path

import numpy as np

from xdfn import DFN, Ensemble, FullyConnected

X = np.asarray([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = np.asarray([[0.0], [1.0], [1.0], [0.0]])
SOLVED = 1e-3  # a start is solved if its mean squared error (with the 1/2) falls below this


def notebook_recipe(starts=40, steps=20_001):
    """The starts of the notebook's recipe, all trained at once: each seed draws other weights."""
    layers = [FullyConnected(n, unit, "std_normal(gain=1.0)") for n, unit in ((2, "relu"), (1, "affine"))]
    model = DFN(layers=layers, loss="squared_error", optimizer="sgd(lr=1.0)")
    return Ensemble(model, starts).fit(X, Y, n_epochs=steps, batch_size=4)


def reliable_recipe(starts=40, epochs=400):
    layers = [FullyConnected(4, "tanh", "std_normal(gain=1.0)"), FullyConnected(1, "affine", "glorot_uniform")]
    model = DFN(layers=layers, loss="squared_error", optimizer="adam(lr=0.05)")
    return Ensemble(model, starts).fit(X, Y, n_epochs=epochs, batch_size=4)


def final_losses(ensemble):
    return np.asarray([model.history["loss"][-1] for model in ensemble])


def draw(model, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    from xdfn import plotting

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    plotting.network(model, axes[0]).set_title("2-4-1, its weights after training", fontsize=10)
    plotting.decision_surface(model, X, Y, axes[1]).set_title("prediction", fontsize=10)
    plotting.history(model, axes[2]).set(yscale="log")
    axes[2].set_title("training loss", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=40)
    parser.add_argument("--steps", type=int, default=20_001, help="of the notebook's recipe")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "output" / "xor.png")
    options = parser.parse_args(argv)

    losses = final_losses(notebook_recipe(options.starts, options.steps))
    lucky = int(np.sum(losses < SOLVED))
    print(f"2 ReLU units, SGD, lr 1, {options.steps} steps: {lucky} of {options.starts} starts solve XOR")
    print(f"   where the others end: {np.unique(np.round(losses[~(losses < SOLVED)], 3)).tolist()}")
    reliable = reliable_recipe(options.starts)
    solved = int(np.sum(final_losses(reliable) < SOLVED))
    print(f"4 tanh units, Adam, lr 0.05, {reliable.members[0].n_epochs} steps: {solved} of {options.starts}")
    mean, spread = reliable.predict(X)
    print(f"   predictions, mean over the starts: {mean.ravel().round(3) + 0.0}, spread at most {spread.max():.1e}")
    draw(reliable.members[0], options.out)
    print(f"picture: {options.out}")
    return lucky, solved


if __name__ == "__main__":
    main()
