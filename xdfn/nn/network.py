"""A network is layers in a row and a loss at the end. This is all of its mathematics: forward, backward, and the link
of the loss, which the last layer need not compute a second time.
"""

from collections.abc import Sequence

from xdfn.backend import Array
from xdfn.backend.random import Key
from xdfn.nn.layers.base import LayerBase
from xdfn.nn.layers.context import Cache, Context, Gradients
from xdfn.nn.losses import ObjectiveBase

LayerTree = Sequence[dict[str, Array]]  # for each layer, arrays by name


class Network:
    """Layers and a loss, as a value: it holds no arrays, and its methods change nothing.

    Parameters
    ----------
    layers : sequence of LayerBase
        A last layer, or a last activation, that is the link of the loss is left out: the loss computes it.
    loss : ObjectiveBase
    """

    def __init__(self, layers: Sequence[LayerBase], loss: ObjectiveBase) -> None:
        self.layers, self.loss = fuse_link(layers, loss), loss

    def forward(
        self,
        params: LayerTree,
        buffers: LayerTree,
        x: Array,
        ctx: Context | None = None,
        keys: Sequence[Key] = (),
    ) -> tuple[Array, list[Cache], tuple[dict[str, Array], ...]]:
        """Scores z (n, n_out) for inputs x (n, n_in), what `backward` will need, and the buffers after this batch.

        In training `ctx` is what all layers are told, and `keys` has one key for each layer that draws. Without a
        context this is inference.
        """
        caches, after, next_key = [], [], iter(keys)
        for layer, p, s in zip(self.layers, params, buffers, strict=True):
            own = ctx._replace(key=next(next_key)) if ctx is not None and layer.draws else ctx
            if own is not None and not layer.trainable:
                own = own._replace(training=False)
            x, cache, moved = layer.apply(p, s, x, own)
            caches.append(cache)
            after.append(moved if layer.trainable else s)
        return x, caches, tuple(after)

    def backward(self, params: LayerTree, caches: Sequence[Cache], dz: Array) -> list[Gradients]:
        """The gradients of the parameters, by layer. Below the first layer that training moves nothing is computed."""
        first = next((i for i, p in enumerate(params) if any(map(self.layers[i].moves, p))), len(params))
        gradients: list[Gradients] = [{} for _ in self.layers]
        dx: Array | None = dz
        for i in range(len(self.layers) - 1, first - 1, -1):
            assert dx is not None
            dx, gradients[i] = self.layers[i].pullback(params[i], caches[i], dx, i > first)
        return gradients

    def infer(
        self, params: LayerTree, buffers: LayerTree, x: Array, contexts: Sequence[Context | None] | None = None
    ) -> Array:
        """Scores (n, n_out) at inference. A layer that has a context of its own draws."""
        for layer, p, s, ctx in zip(self.layers, params, buffers, contexts or [None] * len(self.layers), strict=True):
            x, _, _ = layer.apply(p, s, x, ctx)
        return x


def fuse_link(layers: Sequence[LayerBase], loss: ObjectiveBase) -> tuple[LayerBase, ...]:
    """The layers without a last function that the loss computes as its link: softmax, sigmoid or e^z."""
    *rest, last = layers
    if loss.link_function is not None and last.output_function is loss.link_function:
        last = last.without_output_function()
    return (*rest, last)


def all_layers(layers: Sequence[LayerBase]) -> list[LayerBase]:
    """The layers and the layers inside them."""
    return [part for layer in layers for part in (layer, *all_layers(layer.inner))]
