"""SciPy's L-BFGS-B (Byrd et al. 1995, doi:10.1137/0916069) on the vector of all parameters. Value and gradient are
computed where the network is; the vector alone goes to the host and back.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from xdfn.backend import Array, Host, computing, namespace, place, product, put, read, to_numpy
from xdfn.nn.layers.base import LayerBase
from xdfn.nn.layers.context import NO_KEY, Context
from xdfn.nn.losses import ObjectiveBase
from xdfn.nn.network import LayerTree, Network
from xdfn.sklearn.rows import HostRows, pieces

__all__: list[str] = []


class Objective:
    """The loss of all rows as a function of the vector of all parameters: first all W, then all b.

    Parameters
    ----------
    layers : sequence of LayerBase
        Made already.
    loss : ObjectiveBase
    X : array (n, n_in), where the network is, or rows on the host
    y : array (n,) or (n, m), where the network is
    weight : NumPy array (n,), optional
    loss_scale : float
        What the mean over the rows is multiplied by.
    like : array
        An array where the network is, in its dtype.
    """

    def __init__(
        self,
        layers: Sequence[LayerBase],
        loss: ObjectiveBase,
        X: Array | HostRows,
        y: Array,
        weight: Host | None,
        loss_scale: float,
        like: Array,
    ) -> None:
        self.network = Network(layers, loss)
        self.buffers = [layer.buffers for layer in layers]
        self.X, self.y, self.loss_scale, self.like = X, y, loss_scale, like
        self.place, self.dtype = place(like), str(like.dtype).rpartition(".")[2]
        self.total = float(X.shape[0]) if weight is None else weight.sum().tolist()
        share = None if weight is None else (weight / self.total).astype(self.dtype)
        self.weight = None if share is None else put(share, self.place)
        names = [(i, name) for i, layer in enumerate(layers) for name in layer.params]
        self.entries = sorted(names, key=lambda entry: (entry[1] != "W", entry[0]))
        self.shapes = [tuple(layers[i].params[name].shape) for i, name in self.entries]
        self.stops = list(itertools.accumulate(map(math.prod, self.shapes)))
        penalties = [(k, layers[i].penalties(name)[0]) for k, (i, name) in enumerate(self.entries)]
        self.penalties = [(k, penalty) for k, penalty in penalties if penalty is not None]

    def vector(self, params: LayerTree) -> Host:
        """The parameters as one vector of float64 on the host."""
        return np.concatenate([to_numpy(params[i][name]).ravel().astype("float64") for i, name in self.entries])

    def tree(self, vector: Host) -> list[dict[str, Array]]:
        """The reverse, where the network is."""
        tree: list[dict[str, Array]] = [{} for _ in self.network.layers]
        there = put(vector.astype(self.dtype), self.place)
        for (i, name), shape, start, stop in zip(self.entries, self.shapes, [0, *self.stops], self.stops, strict=False):
            tree[i][name] = self.place.xp.reshape(there[start:stop], shape)
        return tree

    def __call__(self, vector: Host) -> tuple[float, Host]:
        """The value, and its gradient, at a vector; one read of the device for each."""
        params = self.tree(vector)
        with computing(self.like):
            value, gradients = self._of_rows(params)
            value = value if self.loss_scale == 1.0 else value * self.loss_scale
            for k, penalty in self.penalties:
                i, name = self.entries[k]
                value = value + penalty.value(params[i][name]) * (1.0 / self.total)
                gradients[k] = gradients[k] + penalty.grad(params[i][name]) * (1.0 / self.total)
            xp = self.place.xp
            flat = xp.concat([xp.reshape(g, (-1,)) for g in gradients])
            return read([value])[0][0], to_numpy(flat).astype("float64")

    def _of_rows(self, params: LayerTree) -> tuple[Array, list[Array]]:
        """The mean loss and its gradient by parameter, piece by piece of the rows."""
        total: Array | None = None
        sums: list[Array] = []
        start = 0
        for x in pieces(self.X, None, self.place):
            stop = start + x.shape[0]
            x = namespace(x).astype(x, self.like.dtype, copy=False)
            weight = 1.0 / self.total if self.weight is None else self.weight[start:stop]
            z, caches, _ = self.network.forward(params, self.buffers, x, Context(NO_KEY, weight, 1.0))
            loss = self.network.loss
            value, dz = loss.value_and_grad(loss.targets(self.y[start:stop, ...], z), z, weight)
            tree = self.network.backward(params, caches, dz)
            parts = [product(tree[i][name]) for i, name in self.entries]
            total = value if total is None else total + value
            sums = parts if not sums else [a + b for a, b in zip(sums, parts, strict=True)]
            start = stop
        assert total is not None
        return total, sums


class Found(NamedTuple):
    """Where the search ended.

    Attributes
    ----------
    params : for each layer, by name
    value : float
    n_iter : int
    message : str
        Why it ended, if it has not converged; empty otherwise.
    """

    params: list[dict[str, Array]]
    value: float
    n_iter: int
    message: str


def search(
    objective: Objective,
    start: LayerTree,
    max_iter: int,
    max_fun: int,
    tol: float,
    report: Callable[[int, float, Host], bool],
) -> Found:
    """Search the minimum from these parameters on; `report` is told of each iteration, its value and
    vector, and may end it.
    """
    last, count = [0.0], [0]

    def value_and_grad(vector: Host) -> tuple[float, Host]:
        last[0], gradient = objective(vector)
        return last[0], gradient

    def tell(vector: Host) -> None:
        count[0] += 1
        if report(count[0], last[0], vector.copy()):
            raise StopIteration

    options = {"maxfun": max_fun, "maxiter": max_iter, "gtol": tol}
    found = minimize(
        value_and_grad, objective.vector(start), method="L-BFGS-B", jac=True, options=options, callback=tell
    )
    message = "" if found.status in (0, 99) else str(found.message)  # 99: it was told to end
    return Found(objective.tree(found.x), float(found.fun), min(int(found.nit), max_iter), message)
