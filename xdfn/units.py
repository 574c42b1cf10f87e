"""More of what a network can be made of: units that learn their own activation, noise, and blocks of layers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xdfn import random
from xdfn._backend import Array, arange, namespace, ones_row
from xdfn._spec import Field, integer, number_field
from xdfn.initializers import initializers
from xdfn.layers import Buffers, Context, Gradients, LayerBase, Params, initializer, layers, named
from xdfn.regularizers import ConstraintBase, RegularizerBase, constraints, optional, regularizers


@layers.register()
class PReLU(LayerBase):
    """y = max(0, x) + alpha min(0, x) with a learned alpha (1, n) for each feature (He et al. 2015, arXiv:1502.01852).

    dx = dy where x > 0, else alpha dy; dalpha = sum over rows of dy min(0, x).

    Parameters
    ----------
    alpha : float
        Where each alpha starts.
    optimizer : str or OptimizerBase, optional
    """

    alpha = number_field()

    def __init__(self, alpha: float = 0.25, optimizer: Any = None) -> None:
        super().__init__(optimizer)
        self.alpha = alpha

    def init(self, rng: Any, n_in: int) -> tuple[Params, Buffers, int]:
        return {"alpha": np.full((1, n_in), self.alpha)}, {}, n_in

    def apply(
        self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None
    ) -> tuple[Array, Any, Buffers]:
        xp = namespace(x)
        below = xp.minimum(x, 0.0)
        return xp.maximum(x, 0.0) + params["alpha"] * below, (x, below), buffers

    def pullback(
        self, params: Params, cache: Any, dy: Array, input_grad: bool = True
    ) -> tuple[Array | None, Gradients]:
        x, below = cache
        gradients = {"alpha": (ones_row(dy), dy * below)}
        return namespace(dy).where(x > 0, dy, params["alpha"] * dy) if input_grad else None, gradients


@layers.register()
class Maxout(LayerBase):
    """y = max_k (x W_k + b_k) over `n_pieces` affine functions a unit (Goodfellow et al. 2013, arXiv:1302.4389).

    The W_k stand side by side in one matrix W (n_in, n_pieces n_out), and so do the b_k in b. The gradient goes to the
    piece that was largest, the first of several.

    Parameters
    ----------
    n_out, n_pieces : int
    init_w, init_b : str or InitializerBase
        Of each piece.
    optimizer : str or OptimizerBase, optional
    regularizer, constraint : as for FullyConnected
    """

    _shown = ("n_pieces",)
    n_out: int = Field(integer)  # type: ignore[assignment]
    n_pieces: int = Field(integer)  # type: ignore[assignment]
    init_w = Field(initializer)
    init_b = Field(initializer)
    regularizer: RegularizerBase | None = optional(regularizers)  # type: ignore[assignment]
    constraint: ConstraintBase | None = optional(constraints)  # type: ignore[assignment]

    def __init__(
        self,
        n_out: int,
        n_pieces: int = 2,
        init_w: Any = "glorot_uniform",
        optimizer: Any = None,
        init_b: Any = "zeros",
        regularizer: Any = None,
        constraint: Any = None,
    ) -> None:
        super().__init__(optimizer)
        self.n_out, self.n_pieces = n_out, n_pieces
        self.init_w, self.init_b = init_w, init_b
        self.regularizer, self.constraint = regularizer, constraint

    def fields(self) -> dict[str, Any]:
        resolved = {name: initializers.resolve(vars(self)[name]) for name in ("init_w", "init_b")}
        return {**super().fields(), **resolved}

    def init(self, rng: Any, n_in: int) -> tuple[Params, Buffers, int]:
        draw_w, draw_b = initializers.resolve(self.init_w), initializers.resolve(self.init_b)
        W = [draw_w((n_in, self.n_out), rng) for _ in range(self.n_pieces)]
        b = [draw_b((1, self.n_out), rng) for _ in range(self.n_pieces)]
        return {"W": np.concatenate(W, axis=1), "b": np.concatenate(b, axis=1)}, {}, self.n_out

    def apply(
        self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None
    ) -> tuple[Array, Any, Buffers]:
        xp = namespace(x)
        z = x @ params["W"]
        z += params["b"]
        z = xp.reshape(z, (-1, self.n_pieces, self.n_out))
        return xp.max(z, axis=-2), (x, z), buffers

    def pullback(
        self, params: Params, cache: Any, dy: Array, input_grad: bool = True
    ) -> tuple[Array | None, Gradients]:
        x, z = cache
        xp = namespace(dy)
        largest = xp.astype(xp.argmax(z, axis=-2, keepdims=True), xp.int32)
        pieces = xp.reshape(arange(self.n_pieces, "int32", dy), (-1, 1))
        dz = xp.astype(largest == pieces, dy.dtype) * xp.reshape(dy, (-1, 1, self.n_out))
        dz = xp.reshape(dz, (-1, self.n_pieces * self.n_out))
        gradients = {"W": (x.mT, dz), "b": (ones_row(dz), dz)}
        return dz @ params["W"].mT if input_grad else None, gradients


@layers.register()
class GaussianNoise(LayerBase):
    """y = x + std e with e from the standard normal distribution; at inference y = x. dx = dy.

    At the input it acts like an L2 penalty on how the network answers to it (Bishop 1995,
    doi:10.1162/neco.1995.7.1.108).
    The noise depends on the seed, the layer, the step and the place of the element within its batch alone.
    """

    draws = True
    _shown = ("std",)
    std = number_field(0)

    def __init__(self, std: float = 0.1) -> None:
        super().__init__()
        self.std = std

    def apply(
        self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None
    ) -> tuple[Array, Any, Buffers]:
        if ctx is None or self.std == 0:
            return x, None, buffers
        return x + self.std * random.normal(ctx.key, x.shape, x), None, buffers

    def pullback(
        self, params: Params, cache: Any, dy: Array, input_grad: bool = True
    ) -> tuple[Array | None, Gradients]:
        return dy, {}


@layers.register()
class Residual(LayerBase):
    """y = x + f(x), where f is a row of layers with as many outputs as inputs (He et al. 2016, arXiv:1512.03385).

    dx = dy + the gradient that comes down through f. The parameters are those of the layers, under names such as
    ``"FC1.W"``.

    Parameters
    ----------
    layers : sequence of str or LayerBase
        They are copied, and drawn anew; they have no optimizers of their own.
    optimizer : str or OptimizerBase, optional

    Examples
    --------
    >>> from xdfn import FullyConnected
    >>> block = Residual([FullyConnected(8, "relu", "he_uniform"), FullyConnected(2, "affine", "zeros")])
    >>> block.forward(np.ones((3, 2))).tolist()
    [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    >>> list(block.params)
    ['FC1.W', 'FC1.b', 'FC2.W', 'FC2.b']
    """

    def __init__(self, layers: Sequence[Any], optimizer: Any = None) -> None:
        super().__init__(optimizer)
        self._names, self.inner = [], ()
        for name, layer in named(layers).items():
            if layer.by_hand:
                raise ValueError(f"Residual: {name} must have a pure face, apply and pullback, to be in a block")
            if not layer.inherits:
                raise ValueError(f"Residual: {name} has an optimizer of its own; give the optimizer to Residual")
            self._names.append(name)
            self.inner += (layer.clone(bare=True),)
        self.draws = any(layer.draws for layer in self.inner)
        self.least_rows = max(layer.least_rows for layer in self.inner)

    def fields(self) -> dict[str, Any]:
        return {"layers": list(self.inner), **super().fields()}

    def shown_fields(self) -> dict[str, Any]:
        return {**super().shown_fields(), "layers": [layer.spec(omit=("optimizer",)) for layer in self.inner]}

    def keys(self, seed: int, *where: int) -> random.Keys:
        return tuple(layer.keys(seed, *where, i, 0) if layer.draws else (1, 0) for i, layer in enumerate(self.inner))

    def rules(self, name: str) -> tuple[RegularizerBase | None, ConstraintBase | None]:
        layer, _, of_layer = name.partition(".")
        return self.inner[self._names.index(layer)].rules(of_layer)

    def init(self, rng: Any, n_in: int) -> tuple[Params, Buffers, int]:
        params, buffers, n_out = [], [], n_in
        for layer in self.inner:
            p, s, n_out = layer.init(rng, n_out)
            params.append(p)
            buffers.append(s)
        if n_out != n_in:
            raise ValueError(f"Residual: its layers make {n_out} outputs of {n_in} inputs; the last must have {n_in}")
        return self._joined(params), self._joined(buffers), n_in

    def apply(
        self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None
    ) -> tuple[Array, Any, Buffers]:
        y, caches, after = x, [], []
        for i, (layer, p, s) in enumerate(zip(self.inner, self._split(params), self._split(buffers), strict=True)):
            y, cache, s = layer.apply(p, s, y, ctx and ctx._replace(key=ctx.key[i] if self.draws else ctx.key))
            caches.append(cache)
            after.append(s)
        return x + y, caches, self._joined(after)

    def pullback(
        self, params: Params, cache: Any, dy: Array, input_grad: bool = True
    ) -> tuple[Array | None, Gradients]:
        dx: Any = dy
        gradients: list[Gradients] = []
        for i, p in reversed(list(enumerate(self._split(params)))):
            dx, of_layer = self.inner[i].pullback(p, cache[i], dx, input_grad or i > 0)
            gradients.insert(0, of_layer)
        return dy + dx if input_grad else None, self._joined(gradients)

    def _joined(self, trees: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The arrays of the layers under the names of the block."""
        pairs = zip(self._names, trees, strict=True)
        return {f"{layer}.{name}": value for layer, tree in pairs for name, value in tree.items()}

    def _split(self, tree: dict[str, Any]) -> list[dict[str, Any]]:
        """The reverse."""
        trees: dict[str, dict[str, Any]] = {layer: {} for layer in self._names}
        for name, value in tree.items():
            layer, _, of_layer = name.partition(".")
            trees[layer][of_layer] = value
        return list(trees.values())
