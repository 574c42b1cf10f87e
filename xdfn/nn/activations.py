"""What makes a network more than one matrix product is its activation g, applied to each score z. An activation knows
its value a = g(z), its derivative g'(z), and how a gradient passes through it, dz = g'(z) da.
"""

import math
from collections.abc import Callable
from typing import ClassVar

from xdfn.backend import Array, ArrayLike, as_real, divide, largest, namespace, positive
from xdfn.backend import sigmoid as _sigmoid
from xdfn.core.fields import number_field
from xdfn.core.part import Part, closest_override
from xdfn.core.registry import Registry

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "ActivationBase",
    "Affine",
    "Exponential",
    "HardSigmoid",
    "LeakyReLU",
    "Mish",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "SoftPlus",
    "Softsign",
    "Tanh",
    "sigmoid",
    "softmax",
]


class ActivationBase(Part):
    """Base of the activations. Write `forward` and `grad`; write `pullback` too if the gradient has a shorter way.

    Calling an activation with a 1-d array treats it as one sample: (m,) becomes (1, m).

    Attributes
    ----------
    fusable : bool
        Whether `forward` and `pullback` may be one kernel each on CuPy: where the class is traceable.
    function : callable, or None
        The function of this module that `forward` is, if a loss may compute it as its own link. A subclass that
        overrides one of the methods must state it again.
    initializer : str
        The initialiser of the weights in front of it, where a layer is not given another.
    """

    _numerics = ("forward", "grad", "pullback")

    initializer: ClassVar[str] = "glorot_uniform"
    fusable: bool = False
    function: Callable[[Array], Array] | None = None

    def __init_subclass__(cls, traceable: bool = False) -> None:
        super().__init_subclass__(traceable=traceable)
        if cls.overrides(*cls._numerics):
            cls.fusable = vars(cls).get("fusable", traceable)
            cls.function = vars(cls).get("function")
        if closest_override(cls, ("pullback",), ("forward", "grad")) == 1:
            # forward or grad was overridden, so the inherited pullback no longer matches
            cls.pullback = ActivationBase.pullback  # type: ignore[method-assign]

    def forward(self, z: Array) -> Array:
        """a = g(z), of the shape and dtype of z."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(z)")

    def grad(self, z: Array) -> Array:
        """g'(z), of the shape and dtype of z."""
        raise NotImplementedError(f"{type(self).__name__} must define grad(z)")

    def pullback(self, z: Array, a: Array, da: Array) -> Array:
        """dz = g'(z) da, where a = g(z) is given."""
        return da * self.grad(z)

    def __call__(self, z: ArrayLike | float) -> Array:
        x = as_real(z)
        return self.forward(namespace(x).reshape(x, (1, -1)) if x.ndim == 1 else x)


activations: Registry[ActivationBase] = Registry("activation", ActivationBase)


def sigmoid(x: ArrayLike | float) -> Array:
    """1 / (1 + e^-x), without overflow.

    >>> import numpy as np
    >>> sigmoid(np.asarray([-1000.0, 0.0, 1000.0])).round(9).tolist()
    [0.0, 0.5, 1.0]
    """
    return _sigmoid(as_real(x))


def softmax(x: ArrayLike | float) -> Array:
    """e^x / sum e^x over the last axis, shifted by the maximum so that nothing overflows.

    >>> import numpy as np
    >>> softmax(np.asarray([0.0, 1000.0]))
    array([0., 1.])
    """
    x = as_real(x)
    xp = namespace(x)
    e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    return divide(e, xp.sum(e, axis=-1, keepdims=True))


def exponential(z: Array) -> Array:
    """e^z, held at e to the power of `exp_limit`: e^88 in float32."""
    xp = namespace(z)
    return xp.exp(xp.minimum(z, exp_limit(z)))


def exp_limit(z: Array) -> float:
    """The largest whole number whose exponential is finite in the dtype of z: 88 for float32, 709 for float64."""
    return _whole_log(largest(z))


def _whole_log(x: float) -> float:
    return float(int(math.log(x)))


@activations.register()
class ReLU(ActivationBase, traceable=True):
    """g(z) = max(0, z), with g'(0) = 0 (Nair and Hinton 2010)."""

    initializer = "he_uniform"

    def forward(self, z: Array) -> Array:
        return namespace(z).maximum(z, 0.0)

    def grad(self, z: Array) -> Array:
        return positive(z)

    def pullback(self, z: Array, a: Array, da: Array) -> Array:
        return da * self.grad(a)


@activations.register()
class LeakyReLU(ActivationBase, traceable=True):
    """g(z) = z for z > 0, else alpha z (Maas et al. 2013).

    Notes
    -----
    alpha is 0.3 here and in Keras, 0.01 in PyTorch.
    """

    initializer = "he_uniform"

    _shown = ("alpha",)

    alpha = number_field()

    def __init__(self, alpha: float = 0.3) -> None:
        self.alpha = alpha

    def forward(self, z: Array) -> Array:
        return namespace(z).where(z > 0, z, self.alpha * z)

    def grad(self, z: Array) -> Array:
        return positive(z) * (1 - self.alpha) + self.alpha


@activations.register("logistic")
class Sigmoid(ActivationBase, traceable=True):
    """g(z) = 1 / (1 + e^-z), g' = a (1 - a)."""

    function = staticmethod(sigmoid)

    def forward(self, z: Array) -> Array:
        return _sigmoid(z)

    def grad(self, z: Array) -> Array:
        a = _sigmoid(z)
        return a * (1.0 - a)

    def pullback(self, z: Array, a: Array, da: Array) -> Array:
        dz = 1.0 - a
        dz *= a
        dz *= da
        return dz


@activations.register()
class HardSigmoid(ActivationBase, traceable=True):
    """g(z) = 0.2 z + 0.5 cut to [0, 1].

    Notes
    -----
    The form of Theano and of Keras up to version 2; PyTorch and later versions of Keras have slope 1/6, and the paper
    that is often cited (Courbariaux et al. 2015, arXiv:1511.00363) 1/2.
    """

    def forward(self, z: Array) -> Array:
        xp = namespace(z)
        return xp.minimum(xp.maximum(0.2 * z + 0.5, 0.0), 1.0)

    def grad(self, z: Array) -> Array:
        xp = namespace(z)
        return 0.2 * xp.astype(xp.abs(z) < 2.5, z.dtype)


@activations.register()
class Tanh(ActivationBase, traceable=True):
    """g(z) = tanh z, g' = 1 - a^2."""

    def forward(self, z: Array) -> Array:
        return namespace(z).tanh(z)

    def grad(self, z: Array) -> Array:
        a = namespace(z).tanh(z)
        return 1.0 - a * a

    def pullback(self, z: Array, a: Array, da: Array) -> Array:
        dz = a * a
        dz -= 1.0
        dz *= -da
        return dz


@activations.register("linear", "identity")
class Affine(ActivationBase, traceable=True):
    """g(z) = slope z + intercept."""

    _shown = ("slope", "intercept")

    fusable = False  # z + b and then nothing more is no kernel

    slope = number_field()
    intercept = number_field()

    def __init__(self, slope: float = 1, intercept: float = 0) -> None:
        self.slope = slope
        self.intercept = intercept

    def forward(self, z: Array) -> Array:
        return z if self.slope == 1 and self.intercept == 0 else self.slope * z + self.intercept

    def grad(self, z: Array) -> Array:
        return namespace(z).full_like(z, self.slope)

    def pullback(self, z: Array, a: Array, da: Array) -> Array:
        return da if self.slope == 1 else self.slope * da


@activations.register()
class Exponential(ActivationBase, traceable=True):
    """g(z) = e^z, held at the largest whole power of e that the dtype can show (e^88 in float32).

    Its derivative is held there too instead of falling to 0, so that a unit which went that far finds back.
    """

    function = staticmethod(exponential)

    def forward(self, z: Array) -> Array:
        return exponential(z)

    def grad(self, z: Array) -> Array:
        return self.forward(z)

    def pullback(self, z: Array, a: Array, da: Array) -> Array:
        return da * a


@activations.register()
class SoftPlus(ActivationBase, traceable=True):
    """g(z) = log(1 + e^z), g' = sigmoid(z); computed as max(z, 0) + log(1 + e^-|z|)."""

    def forward(self, z: Array) -> Array:
        xp = namespace(z)
        above = xp.maximum(z, 0.0)
        return above + xp.log1p(xp.exp(xp.minimum(z, 0.0) - above))  # libraries differ in the derivative of |z| at 0

    def grad(self, z: Array) -> Array:
        return _sigmoid(z)


@activations.register()
class Softsign(ActivationBase, traceable=True):
    """g(z) = z / (1 + |z|), g' = 1 / (1 + |z|)^2 (Bergstra et al. 2009)."""

    def forward(self, z: Array) -> Array:
        return z / (1.0 + namespace(z).abs(z))

    def grad(self, z: Array) -> Array:
        d = 1.0 + namespace(z).abs(z)
        return 1.0 / (d * d)


@activations.register("swish")
class SiLU(ActivationBase, traceable=True):
    """g(z) = z s with s = sigmoid(z), g' = s (1 + z (1 - s)) (Elfwing et al. 2018, arXiv:1702.03118)."""

    initializer = "he_uniform"

    def forward(self, z: Array) -> Array:
        return z * _sigmoid(z)

    def grad(self, z: Array) -> Array:
        s = _sigmoid(z)
        return s * (1.0 + z * (1.0 - s))


@activations.register()
class Mish(ActivationBase, traceable=True):
    """g(z) = z t with t = tanh(log(1 + e^z)), g' = t + z (1 - t^2) sigmoid(z) (Misra 2019, arXiv:1908.08681)."""

    initializer = "he_uniform"

    _softplus: ClassVar[SoftPlus] = SoftPlus()

    def forward(self, z: Array) -> Array:
        return z * namespace(z).tanh(self._softplus.forward(z))

    def grad(self, z: Array) -> Array:
        t = namespace(z).tanh(self._softplus.forward(z))
        return t + z * (1.0 - t * t) * _sigmoid(z)


@activations.register()
class GELU(ActivationBase, traceable=True):
    """g(z) = z s with s = sigmoid(2 u), u = sqrt(2/pi) (z + 0.044715 z^3).

    g' = s + 2 z s (1 - s) du/dz. It is z/2 (1 + tanh u), without the cancellation (Hendrycks and Gimpel 2016,
    arXiv:1606.08415).

    Notes
    -----
    Within 5e-4 of the exact form z Phi(z), PyTorch's default: the array standard has no erf.
    """

    initializer = "he_uniform"

    C: ClassVar[float] = 2 * math.sqrt(2 / math.pi)
    K: ClassVar[float] = 0.044715

    def forward(self, z: Array) -> Array:
        return z * _sigmoid(self.C * (z + self.K * z * z * z))

    def grad(self, z: Array) -> Array:
        s = _sigmoid(self.C * (z + self.K * z * z * z))
        return s + z * s * (1.0 - s) * self.C * (1.0 + 3 * self.K * z * z)


@activations.register()
class ELU(ActivationBase, traceable=True):
    """g(z) = z for z > 0, else alpha (e^z - 1) (Clevert et al. 2016, arXiv:1511.07289)."""

    initializer = "he_uniform"

    _shown = ("alpha",)

    alpha = number_field()

    def __init__(self, alpha: float = 1) -> None:
        self.alpha = alpha

    def forward(self, z: Array) -> Array:
        xp = namespace(z)
        return xp.maximum(z, 0.0) + self.alpha * xp.expm1(xp.minimum(z, 0.0))

    def grad(self, z: Array) -> Array:
        xp = namespace(z)
        return xp.where(z > 0, xp.ones_like(z), self.alpha * xp.exp(xp.minimum(z, 0.0)))


@activations.register()
class SELU(ActivationBase, traceable=True):
    """g(z) = scale ELU(z; alpha), with the constants that keep mean 0 and variance 1.

    Klambauer et al. 2017, arXiv:1706.02515.
    """

    initializer = "lecun_normal"

    ALPHA: ClassVar[float] = 1.6732632423543772
    SCALE: ClassVar[float] = 1.0507009873554805
    _elu: ClassVar[ELU] = ELU(ALPHA)

    def forward(self, z: Array) -> Array:
        return self.SCALE * self._elu.forward(z)

    def grad(self, z: Array) -> Array:
        return self.SCALE * self._elu.grad(z)
