"""Gradient descent, with momentum or without: every parameter has the same learning rate."""

from typing import ClassVar

from xdfn.backend import Array
from xdfn.core.fields import Field, flag, number_field
from xdfn.optim.base import LearningRate, OptimizerBase, Rates, Slots, optimizers

__all__ = ["SGD", "SGDW", "Momentum"]


@optimizers.register()
class SGD(OptimizerBase, traceable=True):
    """Stochastic gradient descent: p <- p - lr g; with momentum v <- momentum v + g, p <- p - lr v.

    Parameters
    ----------
    lr : float or schedule
    momentum : float in [0, 1]
    nesterov : bool
        p <- p - lr (g + momentum v) (Nesterov 1983, in the form of Sutskever et al. 2013); has no effect with
        momentum 0.
    weight_decay : float
        An L2 penalty: weight_decay p is added to the gradient of weights, not to that of biases.

    Notes
    -----
    As in PyTorch, lr stands outside v; in `Momentum` it stands inside, which differs when lr changes.
    """

    momentum = number_field(0, 1)
    nesterov = Field(flag)
    weight_decay = number_field(0)

    def __init__(
        self, lr: LearningRate = 0.01, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
    ) -> None:
        self.lr = lr
        self.momentum = momentum
        self.nesterov = nesterov
        self.weight_decay = weight_decay

    @property
    def slots(self) -> tuple[str, ...]:  # type: ignore[override]  # depends on the fields
        return ("v",) if self.momentum else ()

    @property
    def is_plain_sgd(self) -> bool:
        return type(self) is SGD and not self.momentum and not self.weight_decay

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        (lr,) = rates
        if self.weight_decay:
            g += self.weight_decay * p
        return self._descend(p, g, slots, lr)

    def _descend(self, p: Array, g: Array, slots: Slots, lr: float) -> tuple[Array, Slots]:
        if self.momentum:
            (v,) = slots
            v *= self.momentum
            v += g
            slots = (v,)
            # 1.0 * v copies v: g is scaled in place below, and v is kept for the next step
            g = g + self.momentum * v if self.nesterov else 1.0 * v
        g *= lr
        p -= g
        return p, slots


@optimizers.register()
class SGDW(SGD, traceable=True):
    """SGD after p <- (1 - lr weight_decay) p: decay that does not pass through the momentum.

    Loshchilov and Hutter 2019, arXiv:1711.05101. Biases do not decay. With momentum 0 it is SGD with weight_decay.
    """

    per_member = ("weight_decay",)  # which is in the rates
    _shown: ClassVar[tuple[str, ...]] = ("lr", "weight_decay")

    def __init__(
        self, lr: LearningRate = 0.01, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.01
    ) -> None:
        super().__init__(lr, momentum, nesterov, weight_decay)

    def rates(self, t: int) -> Rates:
        return self.lr, 1 - self.lr * self.weight_decay

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        lr, shrink = rates
        if self.weight_decay:
            p *= shrink
        return self._descend(p, g, slots, lr)


@optimizers.register()
class Momentum(OptimizerBase, traceable=True):
    """v <- momentum v - lr g, p <- p + v (Polyak 1964).

    With `nesterov` p <- p + momentum v - lr g (Nesterov 1983, in the form of Sutskever et al. 2013).

    Notes
    -----
    lr stands inside v, as in Keras; PyTorch multiplies v by it, which differs when lr changes.
    """

    slots = ("v",)
    _shown: ClassVar[tuple[str, ...]] = ("lr", "momentum")

    momentum = number_field(0, 1)
    nesterov = Field(flag)

    def __init__(self, lr: LearningRate = 0.001, momentum: float = 0.0, nesterov: bool = False) -> None:
        self.lr = lr
        self.momentum = momentum
        self.nesterov = nesterov

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        (v,), (lr,) = slots, rates
        v *= self.momentum
        g *= lr
        v -= g
        if self.nesterov:
            p += self.momentum * v
            p -= g
        else:
            p += v
        return p, (v,)
