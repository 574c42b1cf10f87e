"""Learning rates that adapt to each element: divided by the root of a sum or an average of its squared gradients."""

from typing import ClassVar

from xdfn.backend import Array, namespace
from xdfn.core.fields import number_field
from xdfn.optim.base import LearningRate, OptimizerBase, Rates, Slots, optimizers

__all__ = ["AdaDelta", "AdaGrad", "RMSProp"]


@optimizers.register()
class AdaGrad(OptimizerBase, traceable=True):
    """r <- r + g^2, p <- p - lr g / (sqrt(r) + eps) (Duchi et al. 2011)."""

    slots = ("r",)
    _shown: ClassVar[tuple[str, ...]] = ("lr", "eps")

    eps = number_field(0)

    def __init__(self, lr: LearningRate = 0.001, eps: float = 1e-7) -> None:
        self.lr = lr
        self.eps = eps

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        (r,), (lr,) = slots, rates
        r += g * g
        p -= lr * g / (namespace(r).sqrt(r) + self.eps)
        return p, (r,)


@optimizers.register()
class RMSProp(OptimizerBase, traceable=True):
    """r <- decay r + (1 - decay) g^2, p <- p - lr g / (sqrt(r) + eps) (Tieleman and Hinton 2012)."""

    slots = ("r",)
    _shown: ClassVar[tuple[str, ...]] = ("lr", "eps", "decay")

    decay = number_field(0, 1)
    eps = number_field(0)

    def __init__(self, lr: LearningRate = 0.001, decay: float = 0.9, eps: float = 1e-7) -> None:
        self.lr = lr
        self.decay = decay
        self.eps = eps

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        (r,), (lr,) = slots, rates
        r *= self.decay
        r += (1 - self.decay) * g * g
        p -= lr * g / (namespace(r).sqrt(r) + self.eps)
        return p, (r,)


@optimizers.register()
class AdaDelta(OptimizerBase, traceable=True):
    """r <- decay r + (1 - decay) g^2, u = g sqrt(d + eps) / sqrt(r + eps), d <- decay d + (1 - decay) u^2, p <- p - u.

    Zeiler 2012, arXiv:1212.5701.

    Notes
    -----
    The method has no learning rate: `lr` is accepted as by the other optimizers, and has no effect. PyTorch and Keras
    multiply u by theirs.
    """

    slots = ("r", "d")
    _shown: ClassVar[tuple[str, ...]] = ("lr", "eps", "decay")

    decay = number_field(0, 1)
    eps = number_field(0)

    def __init__(self, lr: LearningRate = 0.001, decay: float = 0.95, eps: float = 1e-7) -> None:
        self.lr = lr
        self.decay = decay
        self.eps = eps

    def rates(self, t: int) -> Rates:
        return ()

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        r, d = slots
        xp = namespace(r)
        r *= self.decay
        r += (1 - self.decay) * g * g
        u = xp.sqrt((d + self.eps) / (r + self.eps)) * g
        d *= self.decay
        d += (1 - self.decay) * u * u
        p -= u
        return p, (r, d)
