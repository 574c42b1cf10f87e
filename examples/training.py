"""
A whole training
================

Training as one does it in earnest: find a learning rate, train with a schedule and early stopping on rows held out,
and look at what came of it. On a sixth of MNIST, in half a minute on two cores.

::

    python examples/training.py
"""

import argparse
from pathlib import Path

import numpy as np

from xdfn import DFN, Dropout, EarlyStopping, FullyConnected, find_learning_rate, load_mnist


def network(lr="0.1", seed=0):
    layers = [
        FullyConnected(256, "relu", "he_uniform", regularizer="l2(2e-3)"),
        "batch_norm",
        Dropout(0.4),
        FullyConnected(128, "relu", "he_uniform"),
        "batch_norm",
        Dropout(0.3),
        FullyConnected(10, "affine", "glorot_uniform"),
    ]
    return DFN(layers=layers, optimizer=f"sgd(lr={lr}, momentum=0.9)", ema=0.99, seed=seed)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "output" / "training.png")
    options = parser.parse_args(argv)

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    from xdfn import plotting

    (X, y), (X_test, y_test) = load_mnist()
    X, y = X[: options.rows], y[: options.rows]
    search = find_learning_rate(network(), X, y, low=1e-4, high=10, n_steps=150, batch_size=128)
    print(f"learning rate: {search.suggestion:.2g}")
    model = network(f"'one_cycle({search.suggestion:.2g}, {options.epochs})'")
    model.fit(
        *(X, y, options.epochs, 128),
        validation_fraction=0.1,
        metrics="accuracy",
        callbacks=[EarlyStopping("val_loss", patience=10)],
    )
    print(f"test accuracy {model.evaluate(X_test, y_test):.4f} after {len(model.history['loss'])} epochs")
    mean, spread = model.predict(X_test, samples=30)  # how sure it is of each digit
    right = model.predict(X_test) == y_test
    doubt = spread[np.arange(len(mean)), mean.argmax(axis=1)]
    print(f"mean spread of the answer's probability: {doubt[right].mean():.3f} right, {doubt[~right].mean():.3f} wrong")

    figure = plt.figure(figsize=(12, 9.5), layout="constrained")
    (first, second), (third, fourth) = figure.subplots(2, 2)
    plotting.learning_rates(search, first)
    plotting.history(model, second)
    plotting.weights(model, n=49, ax=third)
    plotting.confusion_matrix(model, X_test, y_test, fourth)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=90)
    plt.close(figure)
    print(f"picture: {options.out}")
    return model


if __name__ == "__main__":
    main()
