"""The residual block: layers that learn what to add to their input."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

from xdfn.backend import Array, random
from xdfn.core.registry import Spec
from xdfn.nn.layers.base import LayerBase, layers, named
from xdfn.nn.layers.context import NO_KEY, Applied, Buffers, Cache, Context, Drawn, Gradients, Params, Pulled
from xdfn.nn.regularizers import ConstraintBase, RegularizerBase
from xdfn.optim.base import OptimizerBase

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = ["Residual"]

V = TypeVar("V")

DEEPEST = 6  # the string of a block quotes those of its layers, and becomes twice as long with each level


@layers.register()
class Residual(LayerBase, traceable=True):
    """y = x + f(x), where f is several layers in a row (He et al. 2016, arXiv:1512.03385). It has as many outputs
    as inputs.

    dx = dy + the gradient through f. The parameters are those of the layers, under names such as ``"FC1.W"``.

    Parameters
    ----------
    layers : sequence of str or LayerBase
        They are copied, and their parameters are drawn anew. They have no optimizers of their own.
    optimizer : str or OptimizerBase, optional

    Examples
    --------
    >>> import numpy as np
    >>> from xdfn import FullyConnected, Residual
    >>> block = Residual([FullyConnected(8, "relu", "he_uniform"), FullyConnected(2, "affine", "zeros")])
    >>> block.forward(np.ones((3, 2))).tolist()
    [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    >>> list(block.params)
    ['FC1.W', 'FC1.b', 'FC2.W', 'FC2.b']
    """

    def __init__(self, layers: Sequence[Spec[LayerBase]], optimizer: Spec[OptimizerBase] | None = None) -> None:
        super().__init__(optimizer)
        self._names, self.inner = [], ()
        for name, layer in named(layers).items():
            if layer.overrides_forward:
                raise ValueError(f"Residual: {name} must define apply and pullback to be in a block")
            if not layer.inherits:
                raise ValueError(f"Residual: {name} has an optimizer of its own; give the optimizer to Residual")
            self._names.append(name)
            self.inner += (layer.clone(bare=True),)
        if depth_of(self) > DEEPEST:
            raise ValueError(f"Residual: a block within blocks can be {DEEPEST} deep; put blocks one after another")
        self.draws = any(layer.draws for layer in self.inner)
        self.least_rows = max(layer.least_rows for layer in self.inner)

    def init(self, rng: "Generator", n_in: int) -> Drawn:
        params, buffers, n_out = [], [], n_in
        for layer in self.inner:
            p, s, n_out = layer.init(rng, n_out)
            params.append(p)
            buffers.append(s)
        if n_out != n_in:
            raise ValueError(f"Residual: its layers make {n_out} outputs of {n_in} inputs; the last must have {n_in}")
        return self._join(params), self._join(buffers), n_in

    def apply(self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None) -> Applied:
        y, caches, after = x, [], []
        trees = zip(self.inner, self._split(params), self._split(buffers), self._contexts(ctx), strict=True)
        for layer, p, s, of_layer in trees:
            y, cache, moved = layer.apply(p, s, y, of_layer)
            caches.append(cache)
            after.append(moved if layer.trainable else s)
        return x + y, caches, self._join(after)

    def pullback(self, params: Params, cache: Cache, dy: Array, input_grad: bool = True) -> Pulled:
        dx = dy
        gradients: list[Gradients] = []
        for i, p in reversed(list(enumerate(self._split(params)))):
            below, of_layer = self.inner[i].pullback(p, cache[i], dx, input_grad or i > 0)
            dx = cast(Array, below)
            gradients.insert(0, of_layer)
        return dy + dx if input_grad else None, self._join(gradients)

    # -- the layers' arrays, keys and penalties, under the names of the block --

    def parts(self, params: Params, buffers: Buffers) -> list[tuple[str, LayerBase, Params, Buffers]]:
        """The layers inside by their names, each with its own of the block's arrays."""
        return list(zip(self._names, self.inner, self._split(params), self._split(buffers), strict=True))

    def _join(self, trees: Sequence[Mapping[str, V]]) -> dict[str, V]:
        """The arrays of the layers under the names of the block."""
        pairs = zip(self._names, trees, strict=True)
        return {f"{layer}.{name}": value for layer, tree in pairs for name, value in tree.items()}

    def _split(self, tree: Mapping[str, V]) -> list[dict[str, V]]:
        """The reverse of `_join`."""
        trees: dict[str, dict[str, V]] = {layer: {} for layer in self._names}
        for name, value in tree.items():
            layer, _, of_layer = name.partition(".")
            trees[layer][of_layer] = value
        return list(trees.values())

    def random_key(self, seed: int, *where: int) -> random.Key:
        """In place of a key, a tuple of one for each inner layer."""
        keys = [layer.random_key(seed, *where, i, 0) if layer.draws else NO_KEY for i, layer in enumerate(self.inner)]
        return cast(random.Key, tuple(keys))

    def _contexts(self, ctx: Context | None) -> list[Context | None]:
        """The context of each inner layer."""
        if ctx is None:
            return [None] * len(self.inner)
        keys = cast(tuple[random.Key, ...], ctx.key) if self.draws else [ctx.key] * len(self.inner)
        return [
            ctx._replace(key=key, training=ctx.training and layer.trainable)
            for key, layer in zip(keys, self.inner, strict=True)
        ]

    def moves(self, name: str) -> bool:
        layer, _, of_layer = name.partition(".")
        return self.trainable and self.inner[self._names.index(layer)].moves(of_layer)

    def penalties(self, name: str) -> tuple[RegularizerBase | None, ConstraintBase | None]:
        layer, _, of_layer = name.partition(".")
        return self.inner[self._names.index(layer)].penalties(of_layer)

    def fields(self) -> dict[str, object]:
        return {"layers": list(self.inner), **super().fields()}

    def shown_fields(self) -> dict[str, object]:
        return {**super().shown_fields(), "layers": [layer.spec(omit=("optimizer",)) for layer in self.inner]}


def depth_of(layer: LayerBase) -> int:
    """How many blocks lie in one another: 0 for a layer that is none."""
    return 1 + max(map(depth_of, layer.inner)) if layer.inner else 0
