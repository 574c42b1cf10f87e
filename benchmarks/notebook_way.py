"""How much faster xdfn computes the notebook's MNIST run than the notebook's way of computing it: float64, every
quantity computed again where it is needed. Both start from the same weights; they alternate in one process.

    python benchmarks/notebook_way.py
    OPENBLAS_NUM_THREADS=1 python benchmarks/notebook_way.py
"""

import statistics
import time

import numpy as np

from xdfn import DFN, load_mnist, softmax


class NotebookLayer:
    """A fully connected layer that keeps its inputs and computes z, and the sigmoid, anew in backward."""

    def __init__(self, W, b, g, dg):
        self.params = {"W": W, "b": b}
        self.g, self.dg = g, dg
        self.flush()

    def flush(self):
        self.X = []
        self.gradients = {name: np.zeros_like(p) for name, p in self.params.items()}

    def forward(self, X):
        self.X.append(X)
        return self.g(X @ self.params["W"] + self.params["b"])

    def backward(self, da):
        (X,) = self.X
        z = X @ self.params["W"] + self.params["b"]
        dz = da * self.dg(z)
        self.gradients["W"] += X.T @ dz
        self.gradients["b"] += dz.sum(axis=0, keepdims=True)
        return dz @ self.params["W"].T  # also for the first layer, where nobody wants it

    def update(self, lr):
        for name, gradient in self.gradients.items():
            self.params[name] = self.params[name] - lr * gradient
        self.flush()


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class NotebookNetwork:
    def __init__(self, params):
        first, second = ({name: value.astype(np.float64) for name, value in p.items()} for p in params)
        self.layers = [
            NotebookLayer(first["W"], first["b"], sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z))),
            NotebookLayer(second["W"], second["b"], lambda z: 1 * z + 0, lambda z: np.ones_like(z)),
        ]

    def epoch(self, X, Y, order, batch_size=64, lr=0.01):
        total = 0.0
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            out, y = X[rows], Y[rows]
            for layer in self.layers:
                out = layer.forward(out)
            p = softmax(out)
            total += -np.sum(y * np.log(p + np.finfo(float).eps))
            grad = (p - y) / len(rows)
            for layer in reversed(self.layers):
                grad = layer.backward(grad)
            for layer in self.layers:
                layer.update(lr)
        return total / len(order)


def main(rounds=3, epochs=20):
    (X, y), _ = load_mnist()
    X, Y = (2 * X[:20_000] - 1), np.eye(10, dtype=np.float32)[y[:20_000]]
    X64, Y64 = X.astype(np.float64), Y.astype(np.float64)
    model = DFN(200, 10, seed=0).initialize(X)
    notebook = NotebookNetwork([layer.params for layer in model.layers.values()])
    ratios, rng = [], np.random.default_rng(0)
    for _ in range(rounds):
        start = time.perf_counter()
        model.fit(X, Y, n_epochs=epochs, batch_size=64, verbose=None)
        middle = time.perf_counter()
        for _ in range(epochs):
            loss = notebook.epoch(X64, Y64, rng.permutation(len(X)))
        ours, theirs = middle - start, time.perf_counter() - middle
        ratios.append(theirs / ours)
        ours_loss = model.history["loss"][-1]
        if abs(loss - ours_loss) > 0.03:  # the same training, another order of the rows
            raise SystemExit(f"the two end at different losses: {ours_loss:.3f} and {loss:.3f}")
        print(f"losses {ours_loss:.3f} {loss:.3f}   xdfn {ours / epochs:.3f} s an epoch   ratio {ratios[-1]:.2f}")
    median = statistics.median(ratios)
    print(f"the notebook's way takes {median:.2f} x the time (median; {min(ratios):.2f}-{max(ratios):.2f})")
    return median


if __name__ == "__main__":
    main()
