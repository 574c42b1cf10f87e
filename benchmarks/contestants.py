"""What xdfn is compared with: the same training, from the same weights, on the same batches, as a user would write it
elsewhere. Each builder takes a `Case`, the initial parameters and the data, and gives a function that trains for the
epochs whose orders it is given and returns the mean loss of the last.
"""

import contextlib
import math
import warnings
from dataclasses import dataclass

import numpy as np

from xdfn import DFN, Dropout, FullyConnected


@dataclass(frozen=True)
class Case:
    """A network and how it is trained.

    `sizes` are the numbers of features from input to output; `activation` is that of the hidden layers, the last layer
    is affine before cross-entropy; `dropout` are the rates after the input and after each hidden layer.
    """

    name: str
    sizes: tuple
    activation: str
    batch: int
    rows: int
    optimizer: str = "sgd"
    lr: float = 0.01
    dropout: tuple = ()
    epochs: int = 1  # in one round

    @property
    def steps(self):
        return self.epochs * (self.rows // self.batch)

    def layers(self):
        layers = []
        rates = self.dropout or (0,) * (len(self.sizes) - 1)
        for rate, n_out in zip(rates, self.sizes[1:], strict=True):
            if rate:
                layers.append(Dropout(rate))
            layers.append(FullyConnected(n_out, self.activation, "glorot_uniform"))
        layers[-1] = FullyConnected(self.sizes[-1], "affine", "glorot_uniform")
        return layers

    def model(self, X):
        return DFN(layers=self.layers(), optimizer=f"{self.optimizer}(lr={self.lr})", seed=0).initialize(X)

    def data(self):
        """Gaussian rows (rows, n_in), float32, and as labels (rows,) the largest of n_out projections."""
        rng = np.random.default_rng(0)
        X = rng.standard_normal((self.rows, self.sizes[0]), dtype=np.float32)
        y = (X @ rng.standard_normal((self.sizes[0], self.sizes[-1]), dtype=np.float32)).argmax(axis=1)
        return X, y.astype(np.int32)


def params_of(model):
    return [layer.params for layer in model.layers.values() if layer.params]


# ---- the floor: nothing but the matrix products --------------------------------------------------------------------


def floor(case, params, X, y):
    """The products of a step, into preallocated outputs, with inputs that stay in the cache."""
    n, sizes = case.batch, case.sizes
    Ws = [np.array(p["W"]) for p in params]
    activations = [np.ones((n, size), np.float32) for size in sizes]
    gradients = [np.ones((n, size), np.float32) for size in sizes]
    outputs = [np.empty((n, size), np.float32) for size in sizes]
    dWs = [np.empty_like(W) for W in Ws]

    def run(orders):
        for _ in range(sum(len(order) // n for order in orders)):
            for i, W in enumerate(Ws):
                np.matmul(activations[i], W, out=outputs[i + 1])
            for i in range(len(Ws) - 1, -1, -1):
                np.matmul(activations[i].T, gradients[i + 1], out=dWs[i])
                if i:
                    np.matmul(gradients[i + 1], Ws[i].T, out=outputs[i])

    return run


# ---- NumPy by hand -------------------------------------------------------------------------------------------------


def hand(case, params, X, y):
    """A competent loop: float32, in place on its own temporaries, each quantity computed once."""
    Ws, bs = ([np.array(p[name]) for p in params] for name in ("W", "b"))
    arrays = Ws + bs
    last, b, lr = len(Ws) - 1, case.batch, case.lr
    relu, adam = case.activation == "relu", case.optimizer == "adam"
    ms, vs = ([np.zeros_like(a) for a in arrays] for _ in range(2))
    rates = case.dropout or (0,) * len(Ws)
    rng = np.random.default_rng(0)
    t = 0
    rows_of_batch = np.arange(b)

    def run(orders):
        nonlocal t
        for order in orders:
            rng.permutation(case.rows)  # which a loop by hand would draw, and xdfn does
            total = 0.0
            for start in range(0, len(order), b):
                rows = order[start : start + b]
                a, labels = X[rows], y[rows]
                inputs, masks = [], []
                for i, (W, bias) in enumerate(zip(Ws, bs, strict=True)):
                    mask = None
                    if rates[i]:
                        mask = (rng.random(a.shape, dtype=np.float32) >= rates[i]).astype(np.float32)
                        mask *= np.float32(1 / (1 - rates[i]))
                        a = a * mask
                    inputs.append(a)
                    masks.append(mask)
                    z = a @ W
                    z += bias
                    if i < last:
                        if relu:
                            a = np.maximum(z, 0, out=z)
                        else:
                            np.negative(z, out=z)
                            np.exp(z, out=z)
                            z += 1
                            a = np.reciprocal(z, out=z)
                z -= z.max(axis=1, keepdims=True)
                p = np.exp(z)
                sums = p.sum(axis=1, keepdims=True)
                total += float((np.log(sums[:, 0]) - z[rows_of_batch, labels]).sum())
                p /= sums
                p[rows_of_batch, labels] -= 1
                p *= np.float32(1 / b)
                dz, dWs, dbs = p, [None] * len(Ws), [None] * len(Ws)
                for i in range(last, -1, -1):
                    dWs[i], dbs[i] = inputs[i].T @ dz, dz.sum(axis=0, keepdims=True)
                    if i:
                        da = dz @ Ws[i].T
                        if masks[i] is not None:
                            da *= masks[i]
                        a = inputs[i]
                        if relu:
                            da *= a > 0
                        else:
                            da *= a
                            da *= 1 - a
                        dz = da
                t += 1
                for j, (param, gradient) in enumerate(zip(arrays, dWs + dbs, strict=True)):
                    if adam:
                        m, v = ms[j], vs[j]
                        m *= 0.9
                        m += 0.1 * gradient
                        v *= 0.999
                        gradient *= gradient
                        gradient *= 0.001
                        v += gradient
                        step = np.sqrt(v)
                        step *= 1 / math.sqrt(1 - 0.999**t)
                        step += 1e-7
                        np.divide(m, step, out=step)
                        step *= lr / (1 - 0.9**t)
                        param -= step
                    else:
                        gradient *= lr
                        param -= gradient
        return total / case.rows

    return run


def notebook(case, params, X, y):
    """The notebook's way: float64, one-hot rows, z and the sigmoid anew in backward, the first layer's dX."""
    Ws, bs = ([p[name].astype(np.float64) for p in params] for name in ("W", "b"))
    X, Y = X.astype(np.float64), np.eye(case.sizes[-1])[y]

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    def run(orders):
        for order in orders:
            total = 0.0
            for start in range(0, len(order), case.batch):
                rows = order[start : start + case.batch]
                out, t, inputs = X[rows], Y[rows], []
                for i, (W, bias) in enumerate(zip(Ws, bs, strict=True)):
                    inputs.append(out)
                    z = out @ W + bias
                    out = sigmoid(z) if i < len(Ws) - 1 else 1 * z + 0
                e = np.exp(out - out.max(axis=-1, keepdims=True))
                p = e / e.sum(axis=-1, keepdims=True)
                total -= np.sum(t * np.log(p + np.finfo(float).eps))
                grad = (p - t) / len(rows)
                gradients = [None] * len(Ws)
                for i in range(len(Ws) - 1, -1, -1):
                    z = inputs[i] @ Ws[i] + bs[i]
                    dz = grad * (sigmoid(z) * (1 - sigmoid(z)) if i < len(Ws) - 1 else np.ones_like(z))
                    gradients[i] = np.zeros_like(Ws[i]) + inputs[i].T @ dz, dz.sum(axis=0, keepdims=True)
                    grad = dz @ Ws[i].T
                for i, (dW, db) in enumerate(gradients):
                    Ws[i], bs[i] = Ws[i] - case.lr * dW, bs[i] - case.lr * db
        return total / case.rows

    return run


# ---- other libraries -----------------------------------------------------------------------------------------------


def torch_net(case, params):
    import torch

    layers = []
    rates = case.dropout or (0,) * (len(case.sizes) - 1)
    for i, (p, rate) in enumerate(zip(params, rates, strict=True)):
        linear = torch.nn.Linear(*p["W"].shape)
        with torch.no_grad():
            linear.weight.copy_(torch.asarray(np.array(p["W"].T)))
            linear.bias.copy_(torch.asarray(np.array(p["b"][0])))
        if rate:
            layers.append(torch.nn.Dropout(rate))
        layers.append(linear)
        if i < len(params) - 1:
            layers.append(torch.nn.ReLU() if case.activation == "relu" else torch.nn.Sigmoid())
    net = torch.nn.Sequential(*layers)
    if case.optimizer == "adam":
        return net, torch.optim.Adam(net.parameters(), lr=case.lr, eps=1e-7, fused=True)
    return net, torch.optim.SGD(net.parameters(), lr=case.lr)


def torch_eager(case, params, X, y):
    import torch

    net, optimizer = torch_net(case, params)
    loss_of = torch.nn.CrossEntropyLoss()
    X, y = torch.asarray(X), torch.asarray(y.astype(np.int64))

    def run(orders):
        for order in orders:
            torch.randperm(case.rows)  # as above
            order, total = torch.asarray(order), torch.zeros(())
            for start in range(0, len(order), case.batch):
                rows = order[start : start + case.batch]
                optimizer.zero_grad()
                loss = loss_of(net(X[rows]), y[rows])
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(rows)
            total = float(total)
        return total / case.rows

    return run


def jax_scan(case, params, X, y):
    import jax
    import jax.numpy as jnp

    X, y = jnp.asarray(X), jnp.asarray(y)
    state = [[{name: jnp.asarray(a) for name, a in p.items()} for p in params]]
    zeros = jax.tree.map(jnp.zeros_like, state[0])
    state += [zeros, jax.tree.map(jnp.zeros_like, zeros), 0]
    rates = case.dropout or (0,) * (len(case.sizes) - 1)
    act = jax.nn.relu if case.activation == "relu" else jax.nn.sigmoid
    b, lr = case.batch, case.lr

    def loss_of(params, x, labels, key):
        for i, (p, rate) in enumerate(zip(params, rates, strict=True)):
            if rate:
                key, sub = jax.random.split(key)
                x = jnp.where(jax.random.bernoulli(sub, 1 - rate, x.shape), x / (1 - rate), 0)
            z = x @ p["W"] + p["b"]
            x = act(z) if i < len(params) - 1 else z
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x), labels[:, None], axis=1))

    def step(carry, rows):
        params, m, v, t = carry
        key = jax.random.fold_in(jax.random.key(0), t)
        loss, g = jax.value_and_grad(loss_of)(params, X[rows], y[rows], key)
        t = t + 1
        if case.optimizer == "adam":
            m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
            v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
            lr_t, scale = lr / (1 - 0.9**t), 1 / jnp.sqrt(1 - 0.999**t)
            params = jax.tree.map(lambda p, m, v: p - lr_t * m / (scale * jnp.sqrt(v) + 1e-7), params, m, v)
        else:
            params = jax.tree.map(lambda p, g: p - lr * g, params, g)
        return (params, m, v, t), loss

    @jax.jit
    def epoch(carry, order):
        carry, losses = jax.lax.scan(step, carry, order.reshape(-1, b))
        return carry, jnp.mean(losses)

    def run(orders):
        nonlocal state
        for order in orders:
            state, loss = epoch(tuple(state), jnp.asarray(order))
            loss = float(loss)
        return loss

    return run


def sklearn_mlp(case, params, X, y):
    from sklearn.neural_network import MLPClassifier

    if any(case.dropout):
        return None
    mlp = MLPClassifier(
        case.sizes[1:-1],
        activation={"sigmoid": "logistic"}.get(case.activation, case.activation),
        solver=case.optimizer,
        alpha=0.0,
        batch_size=case.batch,
        learning_rate_init=case.lr,
        momentum=0.0,
        nesterovs_momentum=False,
        epsilon=1e-7,
        shuffle=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlp.partial_fit(X[: case.batch], y[: case.batch], classes=np.arange(case.sizes[-1]))
    if case.sizes[-1] == 2:  # one logistic output there
        return None
    del mlp._optimizer  # and with it the memory of that batch
    for i, p in enumerate(params):
        mlp.coefs_[i][...], mlp.intercepts_[i][...] = p["W"], p["b"][0]

    def run(orders):
        for order in orders:
            mlp.partial_fit(X[order], y[order])
        return mlp.loss_

    return run


# ---- xdfn ----------------------------------------------------------------------------------------------------------


def xdfn_on(library):
    def build(case, params, X, y):
        if library == "torch":
            import torch

            X, y = torch.asarray(X), torch.asarray(y)
        elif library == "jax":
            import jax.numpy as jnp

            X, y = jnp.asarray(X), jnp.asarray(y)
        model = case.model(X)

        def run(orders):
            model.fit(X, y, n_epochs=len(orders), batch_size=case.batch, verbose=None, check_input=False)
            return model.history["loss"][-1]

        return run

    return build


CONTESTANTS = {
    "floor": floor,
    "hand-written NumPy": hand,
    "xdfn, NumPy": xdfn_on("numpy"),
    "xdfn, PyTorch": xdfn_on("torch"),
    "xdfn, JAX": xdfn_on("jax"),
    "PyTorch eager": torch_eager,
    "JAX jit + scan": jax_scan,
    "scikit-learn": sklearn_mlp,
    "notebook's way": notebook,
}


def build(name, case, params, X, y):
    """The contestant's function, or None where it cannot take part."""
    with contextlib.suppress(ImportError):
        return CONTESTANTS[name](case, params, X, y)
    return None
