"""NumPy by hand: a competent loop in float32, in place on its own temporaries, each quantity computed once."""

import math

import numpy as np


def train(case, params, X, y):
    loop = Loop(case, params)
    rng = np.random.default_rng(0)

    def run(orders):
        for order in orders:
            rng.permutation(case.rows)  # which a loop by hand would draw, and xdfn does
            total = 0.0
            for start in range(0, len(order), case.batch):
                rows = order[start : start + case.batch]
                total += loop.step(X[rows], y[rows])
        return total / case.rows

    return run


class Loop:
    """The network and the memory of its optimizer."""

    def __init__(self, case, params):
        self.Ws, self.bs = ([np.array(p[name]) for p in params] for name in ("W", "b"))
        self.params = self.Ws + self.bs
        self.ms, self.vs = ([np.zeros_like(a) for a in self.params] for _ in range(2))
        self.last, self.lr, self.t = len(self.Ws) - 1, case.lr, 0
        self.relu, self.update = case.activation == "relu", self.adam if case.optimizer == "adam" else self.sgd
        self.rates, self.rng = case.rates, np.random.default_rng(0)
        self.rows, self.share = np.arange(case.batch), np.float32(1 / case.batch)

    def step(self, x, labels):
        """Train on a batch; the sum of its losses."""
        z, inputs, masks = self.forward(x)
        loss, dz = self.cross_entropy(z, labels)
        self.update(self.backward(dz, inputs, masks))
        return loss

    def forward(self, a):
        inputs, masks = [], []
        for i, (W, bias) in enumerate(zip(self.Ws, self.bs, strict=True)):
            mask, rate = None, self.rates[i]
            if rate:
                mask = (self.rng.random(a.shape, dtype=np.float32) >= rate).astype(np.float32)
                mask *= np.float32(1 / (1 - rate))
                a = a * mask
            inputs.append(a)
            masks.append(mask)
            z = a @ W
            z += bias
            if i < self.last:
                if self.relu:
                    a = np.maximum(z, 0, out=z)
                else:
                    np.negative(z, out=z)
                    np.exp(z, out=z)
                    z += 1
                    a = np.reciprocal(z, out=z)
        return z, inputs, masks

    def cross_entropy(self, z, labels):
        """The sum of the losses, and the gradient of their mean at the scores z."""
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(z)
        sums = p.sum(axis=1, keepdims=True)
        loss = float((np.log(sums[:, 0]) - z[self.rows, labels]).sum())
        p /= sums
        p[self.rows, labels] -= 1
        p *= self.share
        return loss, p

    def backward(self, dz, inputs, masks):
        dWs, dbs = [None] * len(self.Ws), [None] * len(self.Ws)
        for i in range(self.last, -1, -1):
            dWs[i], dbs[i] = inputs[i].T @ dz, dz.sum(axis=0, keepdims=True)
            if i:
                da = dz @ self.Ws[i].T
                if masks[i] is not None:
                    da *= masks[i]
                a = inputs[i]
                if self.relu:
                    da *= a > 0
                else:
                    da *= a
                    da *= 1 - a
                dz = da
        return dWs + dbs

    def sgd(self, gradients):
        for param, gradient in zip(self.params, gradients, strict=True):
            gradient *= self.lr
            param -= gradient

    def adam(self, gradients):
        self.t += 1
        for param, gradient, m, v in zip(self.params, gradients, self.ms, self.vs, strict=True):
            m *= 0.9
            m += 0.1 * gradient
            v *= 0.999
            gradient *= gradient
            gradient *= 0.001
            v += gradient
            step = np.sqrt(v)
            step *= 1 / math.sqrt(1 - 0.999**self.t)
            step += 1e-7
            np.divide(m, step, out=step)
            step *= self.lr / (1 - 0.9**self.t)
            param -= step
