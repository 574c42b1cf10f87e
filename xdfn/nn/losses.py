"""How wrong is a prediction? A network ends in scores z; the loss owns the link that turns them into a prediction, and
gives value and gradient with respect to z together, which makes them stable: for every canonical pair
dz = w (prediction - y).

`weight` already holds the division: 1/n as a Python float, or an array (n,). The loss is sum_i w_i l_i.
"""

import inspect
from collections.abc import Callable

from xdfn.backend import Array, kernel, namespace, sign, tiny
from xdfn.core.fields import number_field
from xdfn.core.part import Part, closest_override
from xdfn.core.registry import Registry
from xdfn.nn.activations import ActivationBase, Affine, exp_limit, exponential, sigmoid, softmax
from xdfn.nn.targets import ClassTargets, Targets, aligned

__all__ = ["AbsoluteError", "BinaryCrossEntropy", "CrossEntropy", "Huber", "ObjectiveBase", "Poisson", "SquaredError"]

Weight = float | Array  # of all rows alike, or of each row (n,)


class ObjectiveBase(Targets, Part):
    """Base of the losses. Write `value_and_grad`, and `link` unless it is the identity.

    A loss may define `loss(y_true, y_pred)` and `grad(y_true, y_pred)` instead, as means over the rows; it takes no
    sample weights then. If it has a link, y_pred is the link of the scores, and the gradient is with respect to the
    scores.

    Attributes
    ----------
    link_function : callable, or None
        The function that `link` is, by which a network knows that its last layer computes the same. A subclass that
        overrides `link` must state it again.
    """

    _numerics = ("link", "value_and_grad", "targets", "loss", "grad")

    link_function: Callable[[Array], Array] | None = None

    def __init_subclass__(cls, traceable: bool = False) -> None:
        super().__init_subclass__(traceable=traceable)
        if cls.overrides("link"):
            cls.link_function = vars(cls).get("link_function")
        if closest_override(cls, ("value_and_grad",), ("loss", "grad")) == 1:
            # loss or grad was overridden, so the inherited value_and_grad no longer matches
            cls.value_and_grad = ObjectiveBase.value_and_grad  # type: ignore[method-assign]

    def link(self, z: Array) -> Array:
        """The prediction for the scores z (n, m), of the same shape."""
        return z

    def value_and_grad(self, y: Array, z: Array, weight: Weight) -> tuple[Array, Array]:
        """sum_i w_i l_i as a 0-d array, and its gradient with respect to z (n, m). y and z must not be written to."""
        if type(self).loss is ObjectiveBase.loss or type(self).grad is ObjectiveBase.grad:  # these would call it again
            raise NotImplementedError(f"{type(self).__name__} must define value_and_grad(y, z, weight)")
        if not isinstance(weight, float):
            raise ValueError(
                f"{type(self).__name__} defines loss and grad as means over the rows and so takes no sample weights; "
                "define value_and_grad(y, z, weight)"
            )
        y, p = self.targets(y, z), self.link(z)
        more = {"z": z, "acti_fn": Affine()} if "acti_fn" in inspect.signature(self.grad).parameters else {}
        scale = z.shape[0] * weight
        return self.loss(y, p) * scale, self.grad(y, p, **more) * scale

    def decide(self, z: Array) -> Array:
        """What `predict` answers for the scores z (n, m)."""
        return self.link(z)

    def loss(self, y_true: Array, y_pred: Array) -> Array:
        """The mean over the rows, as a 0-d array."""
        return self._of_prediction(y_true, y_pred)[0]

    def grad(self, y_true: Array, y_pred: Array) -> Array:
        """The gradient of that mean with respect to the scores."""
        return self._of_prediction(y_true, y_pred)[1]

    def _of_prediction(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        if type(self).link is not ObjectiveBase.link:
            raise NotImplementedError(
                f"{type(self).__name__} has a link: use value_and_grad(y, z, 1 / n) on the scores z"
            )
        return self.value_and_grad(y_true, y_pred, 1.0 / y_pred.shape[0])

    def __call__(self, y_true: Array, y_pred: Array) -> Array:
        return self.loss(y_true, y_pred)


losses: Registry[ObjectiveBase] = Registry("loss", ObjectiveBase)


def _total(values: Array, weight: Weight) -> Array:
    """sum_i w_i sum_j v_ij"""
    xp = namespace(values)
    return xp.sum(values) * weight if isinstance(weight, float) else xp.sum(_weighted(values, weight))


def _weighted(values: Array, weight: Weight) -> Array:
    return values * _column(weight)


def _column(weight: Weight) -> Weight:
    """Weights (n,) as (n, 1), to be multiplied with rows."""
    return weight if isinstance(weight, float) else namespace(weight).reshape(weight, (-1, 1))


def _at_least_tiny(p: Array) -> Array:
    return namespace(p).maximum(p, tiny(p))


@losses.register("mse")
class SquaredError(ObjectiveBase, traceable=True):
    """l = 1/2 sum_j (p_j - y_j)^2 with the link p = z; dz = w (z - y).

    Notes
    -----
    PyTorch's and Keras's mean squared error has no 1/2 and divides by the number of outputs as well.
    """

    def value_and_grad(self, y: Array, z: Array, weight: Weight) -> tuple[Array, Array]:
        difference = z - aligned(y, z)
        return _total(0.5 * difference * difference, weight), _weighted(difference, weight)

    @staticmethod
    def loss(y_true: Array, y_pred: Array) -> Array:
        difference = y_pred - aligned(y_true, y_pred)
        return namespace(y_pred).sum(difference * difference) / (2 * y_pred.shape[0])

    @staticmethod
    def grad(
        y_true: Array,
        y_pred: Array,
        z: Array = None,  # type: ignore[assignment]  # needed with acti_fn alone
        acti_fn: ActivationBase | None = None,
    ) -> Array:
        """The gradient with respect to y_pred or, given a last layer y_pred = g(z), with respect to its scores z."""
        gradient = (y_pred - aligned(y_true, y_pred)) / y_pred.shape[0]
        return gradient if acti_fn is None else gradient * acti_fn.grad(z)


@losses.register("mae")
class AbsoluteError(ObjectiveBase, traceable=True):
    """l = sum_j |p_j - y_j| with the link p = z; dz = w sign(z - y): the median instead of the mean."""

    def value_and_grad(self, y: Array, z: Array, weight: Weight) -> tuple[Array, Array]:
        difference = z - aligned(y, z)
        return _total(namespace(z).abs(difference), weight), _weighted(sign(difference), weight)


@losses.register()
class Huber(ObjectiveBase, traceable=True):
    """l = sum_j c (d - c/2) with d = z - y and c = d cut to [-delta, delta]; the link is p = z, and dz = w c.

    That is d^2/2 for small d and delta (|d| - delta/2) for large ones (Huber 1964, doi:10.1214/aoms/1177703732).
    """

    _shown = ("delta",)

    delta = number_field(0, open_low=True)

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = delta

    def value_and_grad(self, y: Array, z: Array, weight: Weight) -> tuple[Array, Array]:
        xp = namespace(z)
        d = z - aligned(y, z)
        c = xp.minimum(xp.maximum(d, -self.delta), self.delta)
        return _total(c * (d - 0.5 * c), weight), _weighted(c, weight)


@losses.register()
class Poisson(ObjectiveBase, traceable=True):
    """l = sum_j [p_j - y_j log p_j] with the link p = e^z; dz = w (p - y): for counts y >= 0.

    The constant log y! is left out. Beyond half of the exponents that the dtype can show (z > 44 in float32) the loss
    takes the tangent of the exponential in its place, so that value and gradient stay finite.
    """

    link_function = staticmethod(exponential)
    domain = (0, None)

    def link(self, z: Array) -> Array:
        return exponential(z)

    def value_and_grad(self, y: Array, z: Array, weight: Weight) -> tuple[Array, Array]:
        xp, y = namespace(z), aligned(y, z)
        half = exp_limit(z) // 2
        p = xp.exp(xp.minimum(z, half))
        beyond = xp.maximum(z - half, 0.0)
        return _total(p * (1.0 + beyond) - y * z, weight), _weighted(p - y, weight)

    @staticmethod
    def loss(y_true: Array, y_pred: Array) -> Array:
        xp, y = namespace(y_pred), aligned(y_true, y_pred)
        return xp.sum(y_pred - y * xp.log(_at_least_tiny(y_pred))) / y_pred.shape[0]

    @staticmethod
    def grad(y_true: Array, y_pred: Array) -> Array:
        """The gradient with respect to the scores z, where y_pred = e^z."""
        return (y_pred - aligned(y_true, y_pred)) / y_pred.shape[0]


@losses.register("categorical_cross_entropy")
class CrossEntropy(ClassTargets, ObjectiveBase, traceable=True):
    """l = -sum_j y_j log p_j with the link p = softmax(z); dz = w (p - y).

    y is one-hot (n, m), rows of probabilities, or class numbers (n,) of an integer dtype. `loss` and `grad` take
    probabilities p and smooth nothing.

    Parameters
    ----------
    smoothing : float in [0, 1)
        Label smoothing: train towards (1 - smoothing) y + smoothing / m (Szegedy et al. 2016, arXiv:1512.00567).
    """

    smoothing = number_field(0, 1, open_high=True)

    link_function = staticmethod(softmax)

    def __init__(self, smoothing: float = 0.0) -> None:
        self.smoothing = smoothing

    def link(self, z: Array) -> Array:
        return softmax(z)

    def value_and_grad(self, y: Array, z: Array, weight: Weight) -> tuple[Array, Array]:
        y = self.targets(y, z)
        if self.smoothing:
            y = (1 - self.smoothing) * y + self.smoothing / z.shape[-1]
        values, dz = softmax_cross_entropy(z, y, weight)
        return namespace(z).sum(values), dz

    def decide(self, z: Array) -> Array:
        return namespace(z).argmax(z, axis=-1)

    @staticmethod
    def loss(y_true: Array, y_pred: Array) -> Array:
        xp, y = namespace(y_pred), CrossEntropy.targets(y_true, y_pred)
        return -xp.sum(y * xp.log(_at_least_tiny(y_pred))) / y_pred.shape[0]

    @staticmethod
    def grad(y_true: Array, y_pred: Array) -> Array:
        """The gradient with respect to the scores z, where y_pred = softmax(z)."""
        return (y_pred - CrossEntropy.targets(y_true, y_pred)) / y_pred.shape[0]


@kernel
def softmax_cross_entropy(z: Array, y: Array, weight: Weight) -> tuple[Array, Array]:
    """Values that sum up to sum_i w_i l_i, and dz = w (p - y) with p = softmax(z)."""
    xp = namespace(z)
    shifted, e = _shifted(z, xp.max(z, axis=-1, keepdims=True))
    values, dz = _cross_entropy(shifted, e, xp.sum(e, axis=-1, keepdims=True), y, _column(weight))
    return values, dz


@kernel
def _shifted(z: Array, largest: Array) -> tuple[Array, Array]:
    """z - max z, and e to that."""
    shifted = z - largest
    return shifted, namespace(z).exp(shifted)


@kernel
def _cross_entropy(shifted: Array, e: Array, total: Array, y: Array, w: Weight) -> tuple[Array, Array]:
    """-w y log p and w (p - y), with p = e / total and log p = shifted - log total."""
    values = namespace(e).log(total) - shifted
    values *= y
    values *= w
    dz = e / total
    dz -= y
    dz *= w
    return values, dz


@losses.register("bernoulli", "bce")
class BinaryCrossEntropy(ObjectiveBase, traceable=True):
    """l = -sum_j [y_j log p_j + (1 - y_j) log(1 - p_j)] with the link p = sigmoid(z); dz = w (p - y).

    Computed as max(z, 0) - y z + log(1 + e^-|z|). Several outputs are several independent yes-or-no questions.
    """

    link_function = staticmethod(sigmoid)
    classifies = True
    domain = (0, 1)

    def link(self, z: Array) -> Array:
        return sigmoid(z)

    def value_and_grad(self, y: Array, z: Array, weight: Weight) -> tuple[Array, Array]:
        xp, y = namespace(z), aligned(y, z)
        values = xp.maximum(z, 0.0) - y * z + xp.log1p(xp.exp(-xp.abs(z)))
        return _total(values, weight), _weighted(sigmoid(z) - y, weight)

    def decide(self, z: Array) -> Array:
        xp = namespace(z)
        return xp.astype(z > 0, xp.int32)

    def labels(self, y: Array, n_out: int) -> Array:
        xp = namespace(y)
        if n_out > 1:
            return super().labels(y, n_out)
        # as numbers, for the standard compares no integers or bools with 0.5
        return xp.astype(xp.astype(xp.reshape(y, (-1,)), xp.float32) > 0.5, xp.int32)

    @staticmethod
    def loss(y_true: Array, y_pred: Array) -> Array:
        xp, y = namespace(y_pred), aligned(y_true, y_pred)
        values = y * xp.log(_at_least_tiny(y_pred)) + (1.0 - y) * xp.log(_at_least_tiny(1.0 - y_pred))
        return -xp.sum(values) / y_pred.shape[0]

    @staticmethod
    def grad(y_true: Array, y_pred: Array) -> Array:
        """The gradient with respect to the scores z, where y_pred = sigmoid(z)."""
        return (y_pred - aligned(y_true, y_pred)) / y_pred.shape[0]
