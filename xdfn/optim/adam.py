"""Adam and its variants: averages of the gradients, divided by the root of averages of their squares."""

import math
from functools import cache
from typing import ClassVar

from xdfn.backend import Array, axpby, namespace
from xdfn.core.fields import number_field
from xdfn.optim.base import LearningRate, OptimizerBase, Rates, Slots, optimizers

__all__ = ["Adam", "AdamEpsilonHat", "AdamW", "Nadam", "RAdam"]


@optimizers.register()
class Adam(OptimizerBase, traceable=True):
    """m <- decay1 m + (1 - decay1) g, v <- decay2 v + (1 - decay2) g^2, p <- p - lr m^ / (sqrt(v^) + eps).

    m^ = m / (1 - decay1^t) and v^ = v / (1 - decay2^t) correct the bias of averages that start at zero (Kingma and Ba
    2015, arXiv:1412.6980).

    Notes
    -----
    eps is 1e-7 here and in Keras, 1e-8 in the paper and in PyTorch.
    """

    slots = ("m", "v")
    _shown: ClassVar[tuple[str, ...]] = ("lr", "decay1", "decay2", "eps")

    decay1 = number_field(0, 1, open_high=True)
    decay2 = number_field(0, 1, open_high=True)
    eps = number_field(0)

    def __init__(self, lr: LearningRate = 0.001, decay1: float = 0.9, decay2: float = 0.999, eps: float = 1e-7) -> None:
        self.lr = lr
        self.decay1 = decay1
        self.decay2 = decay2
        self.eps = eps

    def rates(self, t: int) -> Rates:
        # both corrections are factored out of the quotient, which spares two passes over the arrays:
        # -lr m^ / (sqrt(v^) + eps) = step_t m / (sqrt(v) + eps_t); step_t is negative, for p descends
        scale = math.sqrt(1 - self.decay2**t)
        return -self.lr * scale / (1 - self.decay1**t), self.eps * scale

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        (m, v), (step_t, eps_t) = slots, rates
        m = axpby(1 - self.decay1, g, self.decay1, m)
        g *= g
        v = axpby(1 - self.decay2, g, self.decay2, v)
        root = namespace(v).sqrt(v)
        root += eps_t
        direction = m / root
        p = axpby(step_t, direction, 1.0, p)  # p <- p + step_t direction in one pass, where step_t < 0
        return p, (m, v)


@optimizers.register()
class AdamEpsilonHat(Adam, traceable=True):
    """p <- p - lr sqrt(1 - decay2^t) / (1 - decay1^t) m / (sqrt(v) + eps): Adam with eps beside the uncorrected root.

    The form with "epsilon hat" at the end of section 2 of Kingma and Ba 2015, which TensorFlow and scikit-learn have.
    It differs from `Adam` in the first steps, where eps is not small beside sqrt(v).
    """

    def rates(self, t: int) -> Rates:
        step_t, _ = super().rates(t)
        return step_t, self.eps


@optimizers.register()
class AdamW(Adam, traceable=True):
    """Adam after p <- (1 - lr weight_decay) p: decay that the adaptive steps do not rescale.

    Loshchilov and Hutter 2019, arXiv:1711.05101. Biases do not decay.
    """

    per_member = ("weight_decay",)  # which is in the rates
    _shown: ClassVar[tuple[str, ...]] = ("lr", "decay1", "decay2", "eps", "weight_decay")

    weight_decay = number_field(0)

    def __init__(
        self,
        lr: LearningRate = 0.001,
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
        *adam_rates, shrink = rates
        if self.weight_decay:
            p *= shrink
        return super().apply(p, g, slots, tuple(adam_rates))


@optimizers.register()
class Nadam(Adam, traceable=True):
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
    """The products mu_1 ... mu_t for t = 0, 1, ... until 1 minus the product is 1 as a double: some hundred steps."""
    products = [1.0]
    while products[-1] > 1e-17:
        products.append(products[-1] * _nadam_mu(decay1, len(products)))
    return products


def _nadam_product(decay1: float, t: int) -> float:
    products = _nadam_products(decay1)
    return products[min(t, len(products) - 1)]


@optimizers.register()
class RAdam(Adam, traceable=True):
    """Adam that adapts its steps once the variance of their scale can be estimated (Liu et al. 2020, arXiv:1908.03265).

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
        (m, v), (fixed, adaptive) = slots, rates
        m *= self.decay1
        m += (1 - self.decay1) * g
        v *= self.decay2
        v += (1 - self.decay2) * g * g
        p -= m * (fixed + adaptive / (namespace(v).sqrt(v) + self.eps))
        return p, (m, v)
