"""Training moves each parameter p against its gradient g; an optimizer is the rule of the move. The rule is written
once for an array of any shape, element by element, so that it serves one matrix or a vector of all parameters alike.
"""

import copy
import math
from functools import cache
from typing import Any, ClassVar, Self

from xdfn._backend import Array, axpby, namespace
from xdfn._backend import copy as fresh
from xdfn._spec import Field, Part, Registry, flag, nearest, number_field
from xdfn.regularizers import is_weight
from xdfn.schedules import ScheduleBase, lr_field

Slots = tuple[Array, ...]
Rates = tuple[float, ...]


class OptimizerBase(Part):
    """Base of the optimizers. Write `apply`, name its memory in `slots`, and give its numbers of the step in `rates`.

    `apply` consumes its arrays: `p -= g` writes in place where the library can, and makes a new array where it can't.
    It gets several parameters at once where a library is served best so, and therefore works element by element; what
    lasts from step to step goes into the slots, for `self` is a passing copy.

    Called as in the notebook, ``opt(param, param_grad, param_name)`` returns the new parameter, leaves its arguments
    as they are and keeps the memory of each name in itself. An optimizer in the notebook's style, which defines just
    that as `update`, works as well; what it remembers is then its own affair and is neither saved nor taken back.
    """

    slots: tuple[str, ...] = ()
    _shown: ClassVar[tuple[str, ...]] = ("lr",)

    lr: float = lr_field()  # type: ignore[assignment]  # or a schedule, of which `rates` sees the number of the step
    weight_decay: float = 0.0

    @property
    def schedule(self) -> ScheduleBase | None:
        """What the learning rate follows, if it is no number."""
        lr: Any = vars(self).get("lr")
        return lr if isinstance(lr, ScheduleBase) else None

    def rates(self, t: int) -> Rates:
        """The numbers that `apply` needs in step t = 1, 2, ...: Python arithmetic on the host."""
        return (self.lr,) if "lr" in vars(self) else ()

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        """The parameters and the memory after a step with the gradient `g`; every array has the shape of p."""
        raise NotImplementedError(f"{type(self).__name__} must define apply(p, g, slots, rates), or update")

    def without_memory(self) -> Self:
        """A copy of the rule that has no memory of its own yet."""
        rule = copy.copy(self)
        vars(rule).pop("_memory", None)
        return copy.deepcopy(rule)

    def init_slots(self, p: Array) -> Slots:
        """The memory before the first step: zeros."""
        return tuple(namespace(p).zeros_like(p) for _ in self.slots)

    def for_parameter(self, name: str) -> Self:
        """This rule for a parameter of that name: without weight decay unless it is a matrix of weights, `W...`."""
        if not self.weight_decay or is_weight(name):
            return self
        rule = copy.copy(self)
        rule.weight_decay = 0.0
        return rule

    @property
    def per_step(self) -> tuple[str, ...]:
        """Fields that reach `apply` only through `rates`: a compiled step serves all their values."""
        return ("lr",) if type(self).apply.__module__ == __name__ else ()  # one's own apply may read self.lr

    @property
    def elementwise(self) -> bool:
        """Whether `apply` to pieces of an array gives the pieces of what it gives for the whole."""
        return type(self).apply.__module__ == __name__

    @property
    def linear(self) -> bool:
        """Whether a step is p <- p - lr g and nothing else: lr may then be multiplied in anywhere on the way to g."""
        return False

    @property
    def by_hand(self) -> bool:
        """Whether this is a rule in the notebook's style: `update`, defined nearer to its class than `apply`."""
        return nearest(type(self), ("apply",), ("update", "__call__")) == 1

    def update(self, param: Array, param_grad: Array, param_name: str) -> Array:
        memory = self.__dict__.setdefault("_memory", {})
        t, slots = memory.get(param_name) or (0, self.init_slots(param))
        rule = self.for_parameter(param_name)
        if rule.schedule is not None:
            if rule.schedule.by == "epoch":
                raise ValueError(f"{rule.schedule} counts epochs, of which only fit knows; give by='step'")
            rule = copy.copy(rule)
            rule.lr = self.schedule(t)  # type: ignore[misc]
        p, slots = rule.apply(fresh(param), fresh(param_grad), slots, rule.rates(t + 1))
        memory[param_name] = t + 1, slots
        return p

    def __call__(self, param: Array, param_grad: Array, param_name: str) -> Array:
        return self.update(param, param_grad, param_name)

    @property
    def hyperparams(self) -> dict[str, Any]:
        return {"op": type(self).__name__, **self.shown_fields()}


class ByHand(OptimizerBase):
    """A rule in the notebook's style, for the one parameter of that name."""

    elementwise = False

    def __init__(self, rule: OptimizerBase, name: str) -> None:
        if rule.schedule is not None:
            raise ValueError(f"{type(rule).__name__} defines update and so takes a number as lr, not a schedule")
        self.rule, self.name = rule, name

    def rates(self, t: int) -> Rates:
        return ()

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        return self.rule(fresh(p), fresh(g), self.name), ()  # which it may keep


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
    """Stochastic gradient descent: p <- p - lr g; with momentum v <- momentum v + g, p <- p - lr v.

    Parameters
    ----------
    lr : float
    momentum : float in [0, 1]
    nesterov : bool
        p <- p - lr (g + momentum v) (Nesterov 1983, in the form of Sutskever et al. 2013); plain with momentum 0.
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
        self, lr: float = 0.01, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
    ) -> None:
        self.lr = lr
        self.momentum = momentum
        self.nesterov = nesterov
        self.weight_decay = weight_decay

    @property
    def slots(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("v",) if self.momentum else ()

    @property
    def linear(self) -> bool:
        return type(self) is SGD and not self.momentum and not self.weight_decay

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        (lr,) = rates
        if self.weight_decay:
            g += self.weight_decay * p
        return self._move(p, g, slots, lr)

    def _move(self, p: Array, g: Array, slots: Slots, lr: float) -> tuple[Array, Slots]:
        if self.momentum:
            (v,) = slots
            v *= self.momentum
            v += g
            slots = (v,)
            g = g + self.momentum * v if self.nesterov else 1.0 * v  # not v itself, which is kept
        g *= lr
        p -= g
        return p, slots


@optimizers.register()
class SGDW(SGD):
    """SGD after p <- (1 - lr weight_decay) p: decay that does not pass through the momentum.

    Loshchilov and Hutter 2019, arXiv:1711.05101. Biases do not decay. With momentum 0 it is SGD with weight_decay.
    """

    _shown = ("lr", "weight_decay")

    def __init__(
        self, lr: float = 0.01, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.01
    ) -> None:
        super().__init__(lr, momentum, nesterov, weight_decay)

    def rates(self, t: int) -> Rates:
        return self.lr, 1 - self.lr * self.weight_decay

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        lr, shrink = rates
        if self.weight_decay:
            p *= shrink
        return self._move(p, g, slots, lr)


@optimizers.register()
class Momentum(OptimizerBase):
    """v <- momentum v - lr g, p <- p + v (Polyak 1964).

    Notes
    -----
    lr stands inside v, as in Keras; PyTorch multiplies v by it, which differs when lr changes.
    """

    slots = ("v",)
    _shown = ("lr", "momentum")

    momentum = number_field(0, 1)

    def __init__(self, lr: float = 0.001, momentum: float = 0.0) -> None:
        self.lr = lr
        self.momentum = momentum

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

    eps = number_field(0)

    def __init__(self, lr: float = 0.001, eps: float = 1e-7) -> None:
        self.lr = lr
        self.eps = eps

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

    decay = number_field(0, 1)
    eps = number_field(0)

    def __init__(self, lr: float = 0.001, decay: float = 0.9, eps: float = 1e-7) -> None:
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

    decay = number_field(0, 1)
    eps = number_field(0)

    def __init__(self, lr: float = 0.001, decay: float = 0.95, eps: float = 1e-7) -> None:
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
    _shown: ClassVar[tuple[str, ...]] = ("lr", "decay1", "decay2", "eps")

    decay1 = number_field(0, 1, open_high=True)
    decay2 = number_field(0, 1, open_high=True)
    eps = number_field(0)

    def __init__(self, lr: float = 0.001, decay1: float = 0.9, decay2: float = 0.999, eps: float = 1e-7) -> None:
        self.lr = lr
        self.decay1 = decay1
        self.decay2 = decay2
        self.eps = eps

    def rates(self, t: int) -> Rates:
        # with both corrections drawn out of the quotient: -lr m^ / (sqrt(v^) + eps) = step_t m / (sqrt(v) + eps_t)
        scale = math.sqrt(1 - self.decay2**t)
        return -self.lr * scale / (1 - self.decay1**t), self.eps * scale

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        (m, v), (step_t, eps_t) = slots, rates
        m = axpby(1 - self.decay1, g, self.decay1, m)
        g *= g
        v = axpby(1 - self.decay2, g, self.decay2, v)
        root = namespace(v).sqrt(v)
        root += eps_t
        m_hat = m / root
        p = axpby(step_t, m_hat, 1.0, p)
        return p, (m, v)


@optimizers.register()
class AdamW(Adam):
    """Adam after p <- (1 - lr weight_decay) p: decay that the adaptive steps do not rescale.

    Loshchilov and Hutter 2019, arXiv:1711.05101. Biases do not decay.
    """

    _shown = ("lr", "decay1", "decay2", "eps", "weight_decay")

    weight_decay = number_field(0)

    def __init__(
        self,
        lr: float = 0.001,
        decay1: float = 0.9,
        decay2: float = 0.999,
        eps: float = 1e-7,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(lr, decay1, decay2, eps)
        self.weight_decay = weight_decay

    def rates(self, t: int) -> Rates:
        return (*super().rates(t), 1 - self.lr * self.weight_decay)

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        *of_adam, shrink = rates
        if self.weight_decay:
            p *= shrink
        return super().apply(p, g, slots, tuple(of_adam))


@optimizers.register()
class Nadam(Adam):
    """Adam with Nesterov's momentum: p <- p - [lr_g g + lr_m m] / (sqrt(v^) + eps) (Dozat 2016).

    lr_g = lr (1 - mu_t) / (1 - mu_1 ... mu_t), lr_m = lr mu_t+1 / (1 - mu_1 ... mu_t+1), with the momentum schedule
    mu_t = decay1 (1 - 0.96^(0.004 t) / 2).
    """

    def rates(self, t: int) -> Rates:
        mu, after = _nadam_mu(self.decay1, t), _nadam_mu(self.decay1, t + 1)
        product = _nadam_product(self.decay1, t)
        lr_g, lr_m = self.lr * (1 - mu) / (1 - product), self.lr * after / (1 - product * after)
        return lr_g, lr_m, 1 / math.sqrt(1 - self.decay2**t)

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        (m, v), (lr_g, lr_m, scale_t) = slots, rates
        m *= self.decay1
        m += (1 - self.decay1) * g
        v *= self.decay2
        v += (1 - self.decay2) * g * g
        p -= (lr_g * g + lr_m * m) / (scale_t * namespace(v).sqrt(v) + self.eps)
        return p, (m, v)


def _nadam_mu(decay1: float, t: int) -> float:
    return float(decay1 * (1 - 0.5 * 0.96 ** (0.004 * t)))


@cache
def _nadam_products(decay1: float) -> list[float]:
    """mu_1 ... mu_t for t = 0, 1, ... until 1 - mu_1 ... mu_t is 1 as a double, some hundred steps."""
    products = [1.0]
    while products[-1] > 1e-17:
        products.append(products[-1] * _nadam_mu(decay1, len(products)))
    return products


def _nadam_product(decay1: float, t: int) -> float:
    products = _nadam_products(decay1)
    return products[min(t, len(products) - 1)]


@optimizers.register()
class RAdam(Adam):
    """Adam whose step waits until the variance of its scale is known (Liu et al. 2020, arXiv:1908.03265).

    p <- p - lr m^ while rho_t = rho - 2 t decay2^t / (1 - decay2^t) is at most 5, rho = 2 / (1 - decay2) - 1, and then
    p <- p - lr m^ r_t sqrt(1 - decay2^t) / (sqrt(v) + eps), with r_t^2 = [(rho_t - 4)(rho_t - 2) rho] /
    [(rho - 4)(rho - 2) rho_t].
    """

    def rates(self, t: int) -> Rates:
        rho, power = 2 / (1 - self.decay2) - 1, self.decay2**t
        rho_t = rho - 2 * t * power / (1 - power)
        lr_t = self.lr / (1 - self.decay1**t)
        if rho_t <= 5:
            return lr_t, 0.0
        r = math.sqrt((rho_t - 4) * (rho_t - 2) * rho / ((rho - 4) * (rho - 2) * rho_t))
        return 0.0, lr_t * r * math.sqrt(1 - power)

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        (m, v), (plain, adaptive) = slots, rates
        m *= self.decay1
        m += (1 - self.decay1) * g
        v *= self.decay2
        v += (1 - self.decay2) * g * g
        p -= m * (plain + adaptive / (namespace(v).sqrt(v) + self.eps))
        return p, (m, v)
