"""We start with what makes a network more than one matrix product: the activation g, applied to each score z.
An activation knows its value a = g(z) and its derivative g'(z), and how a gradient passes through it, dz = g'(z) da.
"""

import math
from typing import Any, ClassVar

from xdfn._backend import Array, as_real, fused, namespace, overflow_is_fine
from xdfn._spec import Part, Registry, key, nearest, number_field


class ActivationBase(Part):
    """Base of the activations. Write `forward` and `grad`; `pullback` is for those with a shorter way.

    Calling an activation with a 1-d array treats it as one sample: (m,) becomes (1, m).
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # another function than that of an inherited short way
        if nearest(cls, ("pullback",), ("forward", "grad")) == 1:
            cls.pullback = ActivationBase.pullback  # type: ignore[method-assign]

    def forward(self, z: Array) -> Array:
        """a = g(z), of the shape and dtype of z."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(z)")

    def grad(self, z: Array) -> Array:
        """g'(z), of the shape and dtype of z."""
        raise NotImplementedError(f"{type(self).__name__} must define grad(z)")

    def pullback(self, z: Array, a: Array, da: Array) -> Array:
        """dz = g'(z) da, where a = g(z) is at hand."""
        return da * self.grad(z)

    def after_bias(self, z: Array, b: Array) -> tuple[Array, Array]:
        """z + b and g(z + b), for a z that may be written over."""
        z += b
        return z, self.forward(z)

    def __call__(self, z: Any) -> Array:
        z = as_real(z)
        return self.forward(namespace(z).reshape(z, (1, -1)) if z.ndim == 1 else z)


class Fused(ActivationBase):
    """An activation whose forward and backward are a kernel each, on a library that makes kernels of functions."""

    def __init__(self, g: ActivationBase, like: Array) -> None:
        self.g = g

        def after_bias(z: Array, b: Array) -> tuple[Array, Array]:
            z = z + b
            return z, g.forward(z)

        self.kernels = (
            fused(("after_bias", key(g)), after_bias, like),
            fused(("pullback", key(g)), lambda z, a, da: g.pullback(z, a, da), like),
        )

    def forward(self, z: Array) -> Array:
        return self.g.forward(z)

    def after_bias(self, z: Array, b: Array) -> tuple[Array, Array]:
        zs: tuple[Array, Array] = self.kernels[0](z, b)
        return zs

    def pullback(self, z: Array, a: Array, da: Array) -> Array:
        return self.kernels[1](z, a, da)


activations: Registry[ActivationBase] = Registry("activation", ActivationBase)


class ActivationInitializer:
    """The notebook's way to make an activation from its name.

    Examples
    --------
    >>> ActivationInitializer("affine(slope=2, intercept=1)")()
    Affine(slope=2, intercept=1)
    """

    def __init__(self, acti_name: Any = "sigmoid") -> None:
        self.acti_name = acti_name

    def __call__(self) -> ActivationBase:
        return activations.resolve(self.acti_name)


def sigmoid(x: Any) -> Array:
    """1 / (1 + e^-x), without overflow.

    >>> import numpy as np
    >>> sigmoid(np.asarray([-1000.0, 0.0, 1000.0])).round(9).tolist()
    [0.0, 0.5, 1.0]
    """
    return _sigmoid(as_real(x))


@overflow_is_fine
def _sigmoid(z: Array) -> Array:
    e = namespace(z).exp(-z)  # infinite for z < -88 in float32, whose reciprocal is the right 0
    e += 1.0
    return 1.0 / e


def softmax(x: Any) -> Array:
    """e^x / sum e^x over the last axis, shifted by the maximum so that nothing overflows.

    >>> import numpy as np
    >>> softmax(np.asarray([0.0, 1000.0]))
    array([0., 1.])
    """
    x = as_real(x)
    xp = namespace(x)
    e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    e /= xp.sum(e, axis=-1, keepdims=True)
    return e


_LIMITS: dict[Any, float] = {}


def exp_limit(z: Array) -> float:
    """The largest whole number whose exponential is finite in the dtype of z: 88 for float32, 709 for float64."""
    xp = namespace(z)
    kind = (xp.__name__, z.dtype)
    if kind not in _LIMITS:
        _LIMITS[kind] = float(int(math.log(xp.finfo(z.dtype).max)))
    return _LIMITS[kind]


@activations.register()
class ReLU(ActivationBase):
    """g(z) = max(0, z), with g'(0) = 0 (Nair and Hinton 2010)."""

    def forward(self, z: Array) -> Array:
        return namespace(z).maximum(z, 0.0)

    def grad(self, z: Array) -> Array:
        return namespace(z).astype(z > 0, z.dtype)

    def pullback(self, z: Array, a: Array, da: Array) -> Array:
        return da * self.grad(a)


@activations.register()
class LeakyReLU(ActivationBase):
    """g(z) = z for z > 0, else alpha z (Maas et al. 2013).

    Notes
    -----
    alpha is 0.3 here and in Keras, 0.01 in PyTorch.
    """

    _shown = ("alpha",)

    alpha = number_field()

    def __init__(self, alpha: float = 0.3) -> None:
        self.alpha = alpha

    def forward(self, z: Array) -> Array:
        return namespace(z).where(z > 0, z, self.alpha * z)

    def grad(self, z: Array) -> Array:
        return namespace(z).astype(z > 0, z.dtype) * (1 - self.alpha) + self.alpha


@activations.register("logistic")
class Sigmoid(ActivationBase):
    """g(z) = 1 / (1 + e^-z), g' = a (1 - a)."""

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
class HardSigmoid(ActivationBase):
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
class Tanh(ActivationBase):
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
class Affine(ActivationBase):
    """g(z) = slope z + intercept."""

    _shown = ("slope", "intercept")

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
class Exponential(ActivationBase):
    """g(z) = e^z, held at the largest whole power of e that the dtype can show (e^88 in float32).

    Its derivative is held there too, and not 0, so that a unit which went that far finds back.
    """

    def forward(self, z: Array) -> Array:
        xp = namespace(z)
        return xp.exp(xp.minimum(z, exp_limit(z)))

    def grad(self, z: Array) -> Array:
        return self.forward(z)

    def pullback(self, z: Array, a: Array, da: Array) -> Array:
        return da * a


@activations.register()
class SoftPlus(ActivationBase):
    """g(z) = log(1 + e^z), g' = sigmoid(z); computed as max(z, 0) + log(1 + e^-|z|)."""

    def forward(self, z: Array) -> Array:
        xp = namespace(z)
        return xp.maximum(z, 0.0) + xp.log1p(xp.exp(-xp.abs(z)))

    def grad(self, z: Array) -> Array:
        return _sigmoid(z)


@activations.register()
class Softsign(ActivationBase):
    """g(z) = z / (1 + |z|), g' = 1 / (1 + |z|)^2 (Bergstra et al. 2009)."""

    def forward(self, z: Array) -> Array:
        return z / (1.0 + namespace(z).abs(z))

    def grad(self, z: Array) -> Array:
        d = 1.0 + namespace(z).abs(z)
        return 1.0 / (d * d)


@activations.register("swish")
class SiLU(ActivationBase):
    """g(z) = z s with s = sigmoid(z), g' = s (1 + z (1 - s)) (Elfwing et al. 2018, arXiv:1702.03118)."""

    def forward(self, z: Array) -> Array:
        return z * _sigmoid(z)

    def grad(self, z: Array) -> Array:
        s = _sigmoid(z)
        return s * (1.0 + z * (1.0 - s))


@activations.register()
class Mish(ActivationBase):
    """g(z) = z t with t = tanh(log(1 + e^z)), g' = t + z (1 - t^2) sigmoid(z) (Misra 2019, arXiv:1908.08681)."""

    _softplus: ClassVar[SoftPlus] = SoftPlus()

    def forward(self, z: Array) -> Array:
        return z * namespace(z).tanh(self._softplus.forward(z))

    def grad(self, z: Array) -> Array:
        t = namespace(z).tanh(self._softplus.forward(z))
        return t + z * (1.0 - t * t) * _sigmoid(z)


@activations.register()
class GELU(ActivationBase):
    """g(z) = z s with s = sigmoid(2 u), u = sqrt(2/pi) (z + 0.044715 z^3).

    g' = s + 2 z s (1 - s) du/dz. It is z/2 (1 + tanh u), without the cancellation (Hendrycks and Gimpel 2016,
    arXiv:1606.08415).

    Notes
    -----
    Within 5e-4 of z Phi(z), the exact form and PyTorch's default: the array standard has no erf.
    """

    C: ClassVar[float] = 2 * math.sqrt(2 / math.pi)
    K: ClassVar[float] = 0.044715

    def forward(self, z: Array) -> Array:
        return z * _sigmoid(self.C * (z + self.K * z * z * z))

    def grad(self, z: Array) -> Array:
        s = _sigmoid(self.C * (z + self.K * z * z * z))
        return s + z * s * (1.0 - s) * self.C * (1.0 + 3 * self.K * z * z)


@activations.register()
class ELU(ActivationBase):
    """g(z) = z for z > 0, else alpha (e^z - 1) (Clevert et al. 2016, arXiv:1511.07289)."""

    _shown = ("alpha",)

    alpha = number_field()

    def __init__(self, alpha: float = 1) -> None:
        self.alpha = alpha

    def forward(self, z: Array) -> Array:
        xp = namespace(z)
        return xp.where(z > 0, z, self.alpha * xp.expm1(xp.minimum(z, 0.0)))

    def grad(self, z: Array) -> Array:
        xp = namespace(z)
        return xp.where(z > 0, xp.ones_like(z), self.alpha * xp.exp(xp.minimum(z, 0.0)))


@activations.register()
class SELU(ActivationBase):
    """g(z) = scale ELU(z; alpha), with the constants that keep mean 0 and variance 1.

    Klambauer et al. 2017, arXiv:1706.02515.
    """

    ALPHA: ClassVar[float] = 1.6732632423543772
    SCALE: ClassVar[float] = 1.0507009873554805
    _elu: ClassVar[ELU] = ELU(ALPHA)

    def forward(self, z: Array) -> Array:
        return self.SCALE * self._elu.forward(z)

    def grad(self, z: Array) -> Array:
        return self.SCALE * self._elu.grad(z)
