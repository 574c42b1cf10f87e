"""Training moves each parameter p against its gradient g; an optimizer is the rule of the move. The rule is written
once for an array of any shape, element by element, so that it serves one matrix or a vector of all parameters alike.
"""

import math
from typing import Any, ClassVar

from xdfn._backend import Array, copy, namespace
from xdfn._spec import Part, Registry, number

Slots = tuple[Array, ...]
Rates = tuple[float, ...]


class OptimizerBase(Part):
    """Base of the optimizers. Write `apply`, name its memory in `slots`, and give its numbers of the step in `rates`.

    `apply` consumes its arrays: `p -= g` writes in place where the library can, and makes a new array where it can't.

    Called as in the notebook, ``opt(param, param_grad, param_name)`` returns the new parameter, leaves its arguments
    as they are and keeps the memory of each name in itself.
    """

    slots: ClassVar[tuple[str, ...]] = ()
    per_step: ClassVar[tuple[str, ...]] = ("lr",)  # fields that reach `apply` only through `rates`
    _shown: ClassVar[tuple[str, ...]] = ("lr",)

    lr: float

    def rates(self, t: int) -> Rates:
        """The numbers that `apply` needs in step t = 1, 2, ...: Python arithmetic on the host."""
        return (self.lr,)

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        """The parameters and the memory after a step with the gradient `g`; every array has the shape of p."""
        raise NotImplementedError(f"{type(self).__name__} must define apply(p, g, slots, rates)")

    def init_slots(self, p: Array) -> Slots:
        """The memory before the first step: zeros."""
        return tuple(namespace(p).zeros_like(p) for _ in self.slots)

    def update(self, param: Array, param_grad: Array, param_name: str) -> Array:
        memory = self.__dict__.setdefault("_memory", {})
        t, slots = memory.get(param_name) or (0, self.init_slots(param))
        p, slots = self.apply(copy(param), copy(param_grad), slots, self.rates(t + 1))
        memory[param_name] = t + 1, slots
        return p

    def __call__(self, param: Array, param_grad: Array, param_name: str) -> Array:
        return self.update(param, param_grad, param_name)

    @property
    def hyperparams(self) -> dict[str, Any]:
        return {"op": type(self).__name__, **self.shown_fields()}


optimizers: Registry[OptimizerBase] = Registry("optimizer", OptimizerBase)


class OptimizerInitializer:
    """The notebook's way to make an optimizer from its name; None means ``"sgd"``.

    Examples
    --------
    >>> OptimizerInitializer("adam(lr=1e-3, decay1=0.95)")()
    Adam(lr=0.001, decay1=0.95, decay2=0.999, eps=1e-07)
    """

    def __init__(self, opti_name: Any = "sgd") -> None:
        self.opti_name = opti_name

    def __call__(self) -> OptimizerBase:
        return optimizers.resolve("sgd" if self.opti_name is None else self.opti_name)


@optimizers.register()
class SGD(OptimizerBase):
    """Stochastic gradient descent: p <- p - lr g."""

    def __init__(self, lr: float = 0.01) -> None:
        self.lr = number("lr", lr, 0)

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        (lr,) = rates
        g *= lr
        p -= g
        return p, ()


@optimizers.register()
class Momentum(OptimizerBase):
    """v <- momentum v - lr g, p <- p + v (Polyak 1964).

    Notes
    -----
    lr stands inside v, as in Keras; PyTorch multiplies v by it, which differs when lr changes.
    """

    slots = ("v",)
    _shown = ("lr", "momentum")

    def __init__(self, lr: float = 0.001, momentum: float = 0.0) -> None:
        self.lr = number("lr", lr, 0)
        self.momentum = number("momentum", momentum, 0, 1)

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        (v,), (lr,) = slots, rates
        v *= self.momentum
        g *= lr
        v -= g
        p += v
        return p, (v,)


@optimizers.register()
class AdaGrad(OptimizerBase):
    """r <- r + g^2, p <- p - lr g / (sqrt(r) + eps) (Duchi et al. 2011)."""

    slots = ("r",)
    _shown = ("lr", "eps")

    def __init__(self, lr: float = 0.001, eps: float = 1e-7) -> None:
        self.lr = number("lr", lr, 0)
        self.eps = number("eps", eps, 0)

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        (r,), (lr,) = slots, rates
        r += g * g
        p -= lr * g / (namespace(r).sqrt(r) + self.eps)
        return p, (r,)


@optimizers.register()
class RMSProp(OptimizerBase):
    """r <- decay r + (1 - decay) g^2, p <- p - lr g / (sqrt(r) + eps) (Tieleman and Hinton 2012)."""

    slots = ("r",)
    _shown = ("lr", "eps", "decay")

    def __init__(self, lr: float = 0.001, decay: float = 0.9, eps: float = 1e-7) -> None:
        self.lr = number("lr", lr, 0)
        self.decay = number("decay", decay, 0, 1)
        self.eps = number("eps", eps, 0)

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        (r,), (lr,) = slots, rates
        r *= self.decay
        r += (1 - self.decay) * g * g
        p -= lr * g / (namespace(r).sqrt(r) + self.eps)
        return p, (r,)


@optimizers.register()
class AdaDelta(OptimizerBase):
    """r <- decay r + (1 - decay) g^2, u = g sqrt(d + eps) / sqrt(r + eps), d <- decay d + (1 - decay) u^2, p <- p - u.

    Zeiler 2012, arXiv:1212.5701.

    Notes
    -----
    The method has no learning rate: `lr` is in the notebook's signature and without effect, here as there. PyTorch
    and Keras multiply u by theirs.
    """

    slots = ("r", "d")
    _shown = ("lr", "eps", "decay")

    def __init__(self, lr: float = 0.001, decay: float = 0.95, eps: float = 1e-7) -> None:
        self.lr = number("lr", lr, 0)
        self.decay = number("decay", decay, 0, 1)
        self.eps = number("eps", eps, 0)

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


@optimizers.register()
class Adam(OptimizerBase):
    """m <- decay1 m + (1 - decay1) g, v <- decay2 v + (1 - decay2) g^2, p <- p - lr m^ / (sqrt(v^) + eps).

    m^ = m / (1 - decay1^t) and v^ = v / (1 - decay2^t) make up for the start at zero (Kingma and Ba 2015,
    arXiv:1412.6980).

    Notes
    -----
    eps is 1e-7 here and in Keras, 1e-8 in the paper and in PyTorch.
    """

    slots = ("m", "v")
    _shown = ("lr", "decay1", "decay2", "eps")

    def __init__(self, lr: float = 0.001, decay1: float = 0.9, decay2: float = 0.999, eps: float = 1e-7) -> None:
        self.lr = number("lr", lr, 0)
        self.decay1 = number("decay1", decay1, 0, 1, open_high=True)
        self.decay2 = number("decay2", decay2, 0, 1, open_high=True)
        self.eps = number("eps", eps, 0)

    def rates(self, t: int) -> Rates:
        return self.lr / (1 - self.decay1**t), 1 / math.sqrt(1 - self.decay2**t)

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        (m, v), (lr_t, scale_t) = slots, rates
        m *= self.decay1
        m += (1 - self.decay1) * g
        v *= self.decay2
        v += (1 - self.decay2) * g * g
        p -= lr_t * m / (scale_t * namespace(v).sqrt(v) + self.eps)
        return p, (m, v)
