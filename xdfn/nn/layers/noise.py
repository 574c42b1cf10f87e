"""Layers that add noise in training: dropout, and Gaussian noise."""

from xdfn.backend import Array, namespace, random
from xdfn.core.fields import Field, number, number_field
from xdfn.nn.layers.base import LayerBase, layers
from xdfn.nn.layers.context import Applied, Buffers, Cache, Context, Params, Pulled

__all__ = ["Dropout", "GaussianNoise"]


class _Rate(Field[float]):
    """The rate of Dropout, and with it the threshold of its random integers."""

    def __init__(self) -> None:
        super().__init__(lambda name, value: number(name, value, 0, 1, open_high=True))

    def __set__(self, instance: object, value: object) -> None:
        super().__set__(instance, value)
        rate: float = vars(instance)[self.name]
        vars(instance)["_kept_from"] = min(round(rate * 2**32) - 2**31, 2**31 - 1)


@layers.register()
class Dropout(LayerBase, traceable=True):
    """y = m x / (1 - rate), where each element of m is 0 with probability `rate` and else 1; at inference y = x
    (Srivastava et al. 2014, JMLR 15). dx = m dy / (1 - rate).

    The mask depends on the seed, the layer, the step and the place of the element within its batch alone: it is the
    same on every library.
    """

    draws = True
    per_member = ("rate", "_kept_from")
    _shown = ("rate",)
    rate = _Rate()
    _kept_from: int  # the least of the random integers whose element is kept

    def __init__(self, rate: float = 0.5) -> None:
        super().__init__()
        self.rate = rate

    def apply(self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None) -> Applied:
        if ctx is None or (isinstance(self.rate, (int, float)) and self.rate == 0):
            return x, None, buffers
        bits = random.uniform_bits(ctx.key, x.shape, x, ctx.first_row * x.shape[-1])
        mask = namespace(x).astype(bits >= self._kept_from, x.dtype)
        mask *= 1 / (1 - self.rate)
        return x * mask, mask, buffers

    def pullback(self, params: Params, cache: Cache, dy: Array, input_grad: bool = True) -> Pulled:
        mask = cache
        return dy if mask is None else dy * mask, {}


@layers.register()
class GaussianNoise(LayerBase, traceable=True):
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

    def apply(self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None) -> Applied:
        if ctx is None or self.std == 0:
            return x, None, buffers
        first, n = ctx.rows or (0, None)
        return x + self.std * random.normal(ctx.key, x.shape, x, first, n), None, buffers

    def pullback(self, params: Params, cache: Cache, dy: Array, input_grad: bool = True) -> Pulled:
        return dy, {}
