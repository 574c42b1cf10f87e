"""Draws the pictures of the front page and of mathematics.md into docs/figures: python docs/figures.py"""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from xdfn import DFN, FullyConnected, plotting

FIGURES = Path(__file__).resolve().parent / "figures"


def spirals():
    rng = np.random.default_rng(0)
    y = np.arange(1_000) % 2
    t = 3 * np.pi * np.sqrt(rng.uniform(0.02, 1, 1_000))
    turn = t + np.pi * y
    X = np.stack([t * np.cos(turn), t * np.sin(turn)], axis=1) / 3
    return X + rng.normal(0, 0.07, X.shape), y


def front():
    X, y = spirals()
    model = DFN(layers=[64, 64, 2], optimizer="adam(lr=0.01)", seed=0)
    model.fit(X, y, n_epochs=50, verbose=0)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    plotting.decision_surface(model, X, y, left)
    left.set_title("what it has learned")
    plotting.history(model, right)
    right.set(title="how it learned", yscale="log")
    return figure


def xor():
    X, y = np.asarray([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.asarray([0.0, 1.0, 1.0, 0.0])
    layers = [FullyConnected(4, "tanh", "std_normal(gain=1.0)"), FullyConnected(1, "affine", "glorot_uniform")]
    model = DFN(layers=layers, loss="squared_error", optimizer="adam(lr=0.05)", seed=0)
    return model.fit(X, y, n_epochs=400, batch_size=4, verbose=0), X, y


def network():
    """Figure 1: a network with its weights."""
    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    plotting.network(xor()[0], axes)
    return figure


def surface():
    """Figure 2: what it computes."""
    figure, axes = plt.subplots(figsize=(5, 3.8), layout="constrained")
    plotting.decision_surface(*xor(), axes)
    return figure


def neuron():
    """Figure 3: a unit, in symbols."""
    return plotting.neuron().figure


def backward():
    """Figure 4: a unit of that network, forward and backward, with its numbers for a row before training ended."""
    model, X, y = xor()
    model.reset().fit(X, y, n_epochs=20, batch_size=4, verbose=0)
    scores, inputs = model.forward(X)
    _, dscores = model.loss.value_and_grad(y[:, None], scores, 1.0)
    _, gradients = model.backward(dscores)
    figure = plotting.neuron(model.layers["FC1"], 0, inputs["FC1"][1], gradients["FC1"][1, 0]).figure
    model.flush_gradients()
    return figure


def main():
    FIGURES.mkdir(exist_ok=True)
    for draw in (front, network, surface, neuron, backward):
        figure = draw()
        figure.savefig(FIGURES / f"{draw.__name__}.png", dpi=110)
        plt.close(figure)


if __name__ == "__main__":
    main()
