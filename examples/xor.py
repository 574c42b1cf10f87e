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

from xdfn import DFN, SGD, FullyConnected, WeightInitializer

X = np.asarray([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = np.asarray([[0.0], [1.0], [1.0], [0.0]])
SOLVED = 1e-3  # a start is solved if its mean squared error (with the 1/2) falls below this


def notebook_recipe(starts=40, steps=20_001):
    """The final loss of each start, all trained at once.

    The layers' pure face takes stacks: parameters W (starts, 2, 2) and b (starts, 1, 2) make a layer of `starts`
    networks, which all see the same four rows.
    """
    layers = [FullyConnected(2, "relu", "std_normal"), FullyConnected(1, "affine", "std_normal")]
    stacks = []
    for seed in range(starts):
        np.random.seed(seed)
        draw = WeightInitializer("std_normal(gain=1.0)")
        stacks.append([{"W": draw((2, 2)), "b": np.zeros((1, 2))}, {"W": draw((2, 1)), "b": np.zeros((1, 1))}])
    params = [{name: np.stack([stack[i][name] for stack in stacks]) for name in ("W", "b")} for i in (0, 1)]
    rule = SGD(lr=1.0)
    with np.errstate(all="ignore"):  # a start may diverge
        for _ in range(steps):
            hidden, cache1, _ = layers[0].apply(params[0], {}, X)
            out, cache2, _ = layers[1].apply(params[1], {}, hidden)
            difference = out - Y  # (starts, 4, 1)
            dhidden, gradients2 = layers[1].pullback(params[1], cache2, difference / len(X))
            _, gradients1 = layers[0].pullback(params[0], cache1, dhidden, input_grad=False)
            for i, gradients in enumerate((gradients1, gradients2)):
                for name, (left, right) in gradients.items():  # which come as the factors of a product
                    params[i][name] = rule(params[i][name], left @ right, name)
        return 0.5 * np.sum(difference**2, axis=(1, 2)) / len(X)


def reliable_recipe(seed, epochs=400):
    layers = [FullyConnected(4, "tanh", "std_normal(gain=1.0)"), FullyConnected(1, "affine", "glorot_uniform")]
    model = DFN(layers=layers, loss="squared_error", optimizer="adam(lr=0.05)", seed=seed)
    return model.fit(X, Y, n_epochs=epochs, batch_size=4, verbose=None)


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

    losses = notebook_recipe(options.starts, options.steps)
    lucky = int(np.sum(losses < SOLVED))
    print(f"2 ReLU units, SGD, lr 1, {options.steps} steps: {lucky} of {options.starts} starts solve XOR")
    print(f"   where the others end: {np.unique(np.round(losses[~(losses < SOLVED)], 3)).tolist()}")
    models = [reliable_recipe(seed) for seed in range(options.starts)]
    solved = sum(model.history["loss"][-1] < SOLVED for model in models)
    print(f"4 tanh units, Adam, lr 0.05, {len(models[0].history['loss'])} steps: {solved} of {options.starts}")
    print(f"   predictions of the first: {models[0].predict(X).ravel().round(3).tolist()}")
    draw(models[0], options.out)
    print(f"picture: {options.out}")
    return lucky, solved


if __name__ == "__main__":
    main()
