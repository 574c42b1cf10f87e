"""How wrong a prediction is. A network ends in scores z; the loss owns the link that turns them into a prediction and
gives value and gradient with respect to z in one go, which is what makes them stable: for every canonical pair
dz = w (prediction - y).

`weight` already holds the division: 1/n as a Python float, or an array (n,). The loss is sum_i w_i l_i.
"""

import inspect
from typing import Any, ClassVar

from xdfn._backend import Array, arange, cross_entropy, kernel, namespace
from xdfn._spec import Part, Registry, nearest, number_field
from xdfn.activations import Affine, exp_limit, sigmoid, softmax

Weight = Any  # a Python float, or an array (n,)


class ObjectiveBase(Part):
    """Base of the losses. Write `value_and_grad`, and `link` unless it is the identity.

    A loss in the notebook's style, with `loss(y_true, y_pred)` and `grad(y_true, y_pred)` as means over the rows,
    works as well; it takes no sample weights. Where it has a link, y_pred is the link of the scores and the gradient
    is with respect to the scores.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "link" in vars(cls) and "link_ending" not in vars(cls):  # another link than the inherited one
            cls.link_ending = None
        if nearest(cls, ("value_and_grad",), ("loss", "grad")) == 1:  # not what an inherited value_and_grad computes
            cls.value_and_grad = ObjectiveBase.value_and_grad  # type: ignore[method-assign]

    classifies: ClassVar[bool] = False  # whether predict gives classes and evaluate gives accuracy
    link_ending: ClassVar[str | None] = None  # the activation or layer that is the same function as `link`
    domain: ClassVar[tuple[float | None, float | None]] = (None, None)  # the range of targets
    unit_rows: ClassVar[bool] = False  # whether targets (n, m) are distributions, each row of which sums to 1

    def link(self, z: Array) -> Array:
        """The prediction for the scores z (n, m), of the same shape."""
        return z

    def value_and_grad(self, y: Array, z: Array, weight: Weight) -> tuple[Array, Array]:
        """sum_i w_i l_i as a 0-d array, and its gradient with respect to z (n, m); y and z are not to be written to."""
        if type(self).loss is ObjectiveBase.loss or type(self).grad is ObjectiveBase.grad:  # which come back here
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

    @staticmethod
    def targets(y: Array, z: Array) -> Array:
        """The targets as `value_and_grad` gets them in a network: in the dtype of z and, unless labels, its shape."""
        return y if y.ndim == 1 and z.shape[-1] > 1 else aligned(y, z)

    def decide(self, z: Array) -> Array:
        """What `predict` answers for the scores z (n, m)."""
        return self.link(z)

    def labels(self, y: Array, n_out: int) -> Array:
        """For a loss that chooses a class: the class numbers (n,) of the targets y."""
        raise ValueError(
            f"classes were asked for, and {self} with {n_out} outputs has none: they need cross_entropy, or "
            "binary_cross_entropy with one output"
        )

    def check_shape(self, y: Array, n_out: int) -> None:
        """Raise ValueError unless y has the shape and the kind of dtype of targets for `n_out` outputs."""
        if not (y.shape[1:] == (n_out,) or (y.ndim == 1 and n_out == 1)):
            raise ValueError(
                f"{self} with {n_out} outputs expects y of shape (n, {n_out}){' or (n,)' if n_out == 1 else ''}, "
                f"got {tuple(y.shape)}"
            )

    def limits(self, y: Array, n_out: int) -> tuple[float | None, float | None]:
        """The smallest and the largest value that y may hold."""
        return self.domain

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


def aligned(y: Array, z: Array) -> Array:
    """Targets in the shape and dtype of z. (n,) stands for (n, 1); nothing else is broadcast."""
    xp = namespace(z)
    if y.ndim == 1 and z.ndim == 2 and z.shape[-1] == 1:
        y = xp.reshape(y, (-1, 1))
    if y.shape != z.shape:
        raise ValueError(f"expected targets of the shape of the predictions {tuple(z.shape)}, got {tuple(y.shape)}")
    return y if y.dtype == z.dtype else xp.astype(y, z.dtype)


def one_hot(y: Array, like: Array) -> Array:
    """Labels (n,) as rows of a unit matrix, (n, m) in the dtype of `like` (n, m)."""
    xp = namespace(like)
    labels = xp.reshape(y if y.dtype == xp.int32 else xp.astype(y, xp.int32), (-1, 1))
    return xp.astype(labels == arange(like.shape[-1], "int32", like), like.dtype)


def _total(values: Array, weight: Weight) -> Array:
    """sum_i w_i sum_j v_ij"""
    return (
        namespace(values).sum(_weighted(values, weight))
        if not isinstance(weight, float)
        else namespace(values).sum(values) * weight
    )


def _weighted(values: Array, weight: Weight) -> Array:
    return values * (weight if isinstance(weight, float) else namespace(values).reshape(weight, (-1, 1)))


def _at_least_tiny(p: Array) -> Array:
    xp = namespace(p)
    return xp.maximum(p, float(xp.finfo(p.dtype).smallest_normal))


@losses.register("mse")
class SquaredError(ObjectiveBase):
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
    def grad(y_true: Array, y_pred: Array, z: Array = None, acti_fn: Any = None) -> Array:
        """The gradient with respect to y_pred or, given a last layer y_pred = g(z), with respect to its scores z."""
        gradient = (y_pred - aligned(y_true, y_pred)) / y_pred.shape[0]
        return gradient if acti_fn is None else gradient * acti_fn.grad(z)


@losses.register("mae")
class AbsoluteError(ObjectiveBase):
    """l = sum_j |p_j - y_j| with the link p = z; dz = w sign(z - y): the median instead of the mean."""

    def value_and_grad(self, y: Array, z: Array, weight: Weight) -> tuple[Array, Array]:
        xp = namespace(z)
        difference = z - aligned(y, z)
        # xp.sign would do, but reads the device on CuPy
        sign = xp.astype(difference > 0, z.dtype) - xp.astype(difference < 0, z.dtype)
        return _total(xp.abs(difference), weight), _weighted(sign, weight)


@losses.register()
class Huber(ObjectiveBase):
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
class Poisson(ObjectiveBase):
    """l = sum_j [p_j - y_j log p_j] with the link p = e^z; dz = w (p - y): for counts y >= 0.

    The constant log y! is left out. Beyond half of the exponents that the dtype can show (z > 44 in float32) the
    exponential goes on as its tangent, so that value and gradient stay finite.
    """

    link_ending = "Exponential"
    domain = (0, None)

    def link(self, z: Array) -> Array:
        xp = namespace(z)
        return xp.exp(xp.minimum(z, exp_limit(z) // 2))

    def value_and_grad(self, y: Array, z: Array, weight: Weight) -> tuple[Array, Array]:
        xp, y = namespace(z), aligned(y, z)
        p = self.link(z)
        beyond = xp.maximum(z - exp_limit(z) // 2, 0.0)
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
class CrossEntropy(ObjectiveBase):
    """l = -sum_j y_j log p_j with the link p = softmax(z); dz = w (p - y).

    y is one-hot (n, m), rows of probabilities, or class numbers (n,) of an integer dtype. `loss` and `grad`, as in
    the notebook, take probabilities and smooth nothing.

    Parameters
    ----------
    smoothing : float in [0, 1)
        Label smoothing: train towards (1 - smoothing) y + smoothing / m (Szegedy et al. 2016, arXiv:1512.00567).
    """

    smoothing = number_field(0, 1, open_high=True)

    def __init__(self, smoothing: float = 0.0) -> None:
        self.smoothing = smoothing

    classifies = True
    link_ending = "Softmax"
    domain = (0, 1)
    unit_rows = True

    def link(self, z: Array) -> Array:
        return softmax(z)

    def value_and_grad(self, y: Array, z: Array, weight: Weight) -> tuple[Array, Array]:
        xp = namespace(z)
        y = self.targets(y, z)
        if self.smoothing:
            y = (1 - self.smoothing) * y + self.smoothing / z.shape[-1]
        by_kernel = cross_entropy(z, y, weight)
        if by_kernel is not None:
            return xp.sum(by_kernel[0]), by_kernel[1]
        shifted, e = _shifted(z, xp.max(z, axis=-1, keepdims=True))
        w = weight if isinstance(weight, float) else xp.reshape(weight, (-1, 1))
        values, dz = _cross_entropy(shifted, e, xp.sum(e, axis=-1, keepdims=True), y, w)
        return xp.sum(values), dz

    @staticmethod
    def targets(y: Array, z: Array) -> Array:
        return one_hot(y, z) if y.ndim == 1 else aligned(y, z)

    def decide(self, z: Array) -> Array:
        return namespace(z).argmax(z, axis=-1)

    def labels(self, y: Array, n_out: int) -> Array:
        return y if y.ndim == 1 else namespace(y).argmax(y, axis=-1)

    def check_shape(self, y: Array, n_out: int) -> None:
        if n_out < 2:
            raise ValueError(
                "CrossEntropy expects at least 2 outputs, one a class; for one output: binary_cross_entropy"
            )
        if y.ndim == 1:
            if not namespace(y).isdtype(y.dtype, ("integral", "bool")):
                raise ValueError(
                    f"CrossEntropy expects class numbers (n,) of an integer dtype, got {y.dtype}: use astype"
                )
        elif y.shape[1:] != (n_out,):
            raise ValueError(
                f"CrossEntropy with {n_out} outputs expects y one-hot of shape (n, {n_out}) or class numbers (n,), "
                f"got {tuple(y.shape)}{'; y[:, 0] has shape (n,)' if y.shape[1] == 1 else ''}"
            )

    def limits(self, y: Array, n_out: int) -> tuple[float | None, float | None]:
        return (0, n_out - 1) if y.ndim == 1 else self.domain

    @staticmethod
    def loss(y_true: Array, y_pred: Array) -> Array:
        xp = namespace(y_pred)
        return -xp.sum(CrossEntropy.targets(y_true, y_pred) * xp.log(_at_least_tiny(y_pred))) / y_pred.shape[0]

    @staticmethod
    def grad(y_true: Array, y_pred: Array) -> Array:
        """The gradient with respect to the scores z, where y_pred = softmax(z)."""
        return (y_pred - CrossEntropy.targets(y_true, y_pred)) / y_pred.shape[0]


@kernel
def _shifted(z: Array, largest: Array) -> tuple[Array, Array]:
    """z - max z, and e to that."""
    shifted = z - largest
    return shifted, namespace(z).exp(shifted)


@kernel
def _cross_entropy(shifted: Array, e: Array, total: Array, y: Array, w: Any) -> tuple[Array, Array]:
    """-w y log p and w (p - y), with p = e / total and log p = shifted - log total."""
    values = namespace(e).log(total) - shifted
    values *= y
    values *= w
    dz = e / total
    dz -= y
    dz *= w
    return values, dz


@losses.register("bernoulli", "bce")
class BinaryCrossEntropy(ObjectiveBase):
    """l = -sum_j [y_j log p_j + (1 - y_j) log(1 - p_j)] with the link p = sigmoid(z); dz = w (p - y).

    Computed as max(z, 0) - y z + log(1 + e^-|z|). Several outputs are several independent yes-or-no questions.
    """

    classifies = True
    link_ending = "Sigmoid"
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
        return xp.astype(xp.reshape(y, (-1,)) > 0.5, xp.int32) if n_out == 1 else super().labels(y, n_out)

    @staticmethod
    def loss(y_true: Array, y_pred: Array) -> Array:
        xp, y = namespace(y_pred), aligned(y_true, y_pred)
        values = y * xp.log(_at_least_tiny(y_pred)) + (1.0 - y) * xp.log(_at_least_tiny(1.0 - y_pred))
        return -xp.sum(values) / y_pred.shape[0]

    @staticmethod
    def grad(y_true: Array, y_pred: Array) -> Array:
        """The gradient with respect to the scores z, where y_pred = sigmoid(z)."""
        return (y_pred - aligned(y_true, y_pred)) / y_pred.shape[0]
