"""What is trained: networks, the data they see, and the order in which they see it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from xdfn import DFN, Dropout, FullyConnected, ObjectiveBase


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

    @property
    def rates(self):
        """The rate of dropout before each layer."""
        return self.dropout or (0,) * (len(self.sizes) - 1)

    def layers(self):
        layers = []
        for rate, n_out in zip(self.rates, self.sizes[1:], strict=True):
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


CASES = [
    Case("notebook", (784, 200, 10), "sigmoid", 64, 64 * 150, epochs=4),
    Case("tiny", (2, 8, 2), "sigmoid", 4, 4, epochs=1000),
    Case("deep", (64, *[256] * 8, 10), "relu", 128, 128 * 40, "adam", 1e-3, epochs=4),
    Case("wide", (784, 2048, 2048, 10), "relu", 512, 512 * 6, "adam", 1e-3, epochs=2),
    Case("wide, dropout", (784, 2048, 2048, 10), "relu", 512, 512 * 6, "adam", 1e-3, dropout=(0.2, 0.5, 0.5)),
]


def prediction_case(rows=200_000, sizes=(784, 200, 10)):
    """The notebook's network and 200,000 rows for it to predict: 630 MB, which no cache holds."""
    X = np.random.default_rng(0).standard_normal((rows, sizes[0]), dtype=np.float32)
    return DFN(sizes[1], sizes[2], seed=0).initialize(X), X


def params_of(model):
    return [layer.params for layer in model.layers.values() if layer.params]


class Orders:
    """The orders in which a network with this seed takes `rows` rows, epoch after epoch: int32 (rows,) each.

    They are read off such a network, whose targets are the numbers of the rows.
    """

    def __init__(self, seed, rows):
        self.X, self.y = np.zeros((rows, 1), np.float32), np.arange(rows, dtype=np.float32)
        self.model = DFN(layers=[FullyConnected(1, "affine", "zeros")], loss=_Seen(), seed=seed)

    def next(self, epochs):
        _Seen.orders.clear()
        self.model.fit(self.X, self.y, epochs, len(self.X), verbose=None, check_input=False)
        return list(_Seen.orders)


class _Seen(ObjectiveBase):
    """No loss at all, but a look at the targets of each batch."""

    orders: ClassVar = []  # a network has a copy of its loss, so these are the class's

    def value_and_grad(self, y, z, weight):
        self.orders.append(y.ravel().astype(np.int32))  # float32 holds them exactly up to 2^24
        return 0 * z.sum(), 0 * z
