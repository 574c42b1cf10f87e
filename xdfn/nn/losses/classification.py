"""Losses for classes: one of several, or the answers to yes-or-no questions."""

from xdfn.backend import Array, kernel, namespace
from xdfn.core.fields import number_field
from xdfn.nn.activations import sigmoid, softmax
from xdfn.nn.losses.base import ObjectiveBase, Weight, at_least_tiny, column, losses, total, weighted, weighted_sum
from xdfn.nn.targets import ClassTargets, aligned, one_hot

__all__ = ["BinaryCrossEntropy", "CrossEntropy"]


@losses.register(
    "cross_entropy_loss", "categorical_cross_entropy", "sparse_categorical_cross_entropy", "log_loss", "nll", "nll_loss"
)
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

    @property
    def takes_labels(self) -> bool:
        cls = type(self)
        own = cls.value_and_grad is CrossEntropy.value_and_grad and cls.targets is CrossEntropy.targets
        return own and not self.smoothing

    def value_and_grad(self, y: Array, z: Array, weight: Weight) -> tuple[Array, Array]:
        if not self.takes_labels or y.ndim == z.ndim:
            y = self.targets(y, z)
        if self.smoothing:
            y = (1 - self.smoothing) * y + self.smoothing / z.shape[-1]
        values, dz = softmax_cross_entropy(z, y, weight)
        return total(values, z), dz

    def decide(self, z: Array) -> Array:
        return namespace(z).argmax(z, axis=-1)

    @staticmethod
    def loss(y_true: Array, y_pred: Array) -> Array:
        xp, y = namespace(y_pred), CrossEntropy.targets(y_true, y_pred)
        return -xp.sum(y * xp.log(at_least_tiny(y_pred))) / y_pred.shape[0]

    @staticmethod
    def grad(y_true: Array, y_pred: Array) -> Array:
        """The gradient with respect to the scores z, where y_pred = softmax(z)."""
        return (y_pred - CrossEntropy.targets(y_true, y_pred)) / y_pred.shape[0]


@kernel
def softmax_cross_entropy(z: Array, y: Array, weight: Weight) -> tuple[Array, Array]:
    """Values that sum up to sum_i w_i l_i, and dz = w (p - y) with p = softmax(z). y may be class numbers (n,)."""
    xp = namespace(z)
    if y.ndim < z.ndim:
        y = one_hot(y, z)
    shifted, e = _shifted(z, xp.max(z, axis=-1, keepdims=True))
    values, dz = _cross_entropy(shifted, e, xp.sum(e, axis=-1, keepdims=True), y, column(weight))
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


@losses.register("bernoulli", "bce", "bce_loss", "bce_with_logits", "bce_with_logits_loss")
class BinaryCrossEntropy(ObjectiveBase, traceable=True):
    """l = -sum_j [y_j log p_j + (1 - y_j) log(1 - p_j)] with the link p = sigmoid(z); dz = w (p - y).

    Computed as max(z, 0) - y z + log(1 + e^-|z|). Several outputs are several independent yes-or-no questions.

    Notes
    -----
    PyTorch's and Keras's loss divides by the number of outputs as well.
    """

    link_function = staticmethod(sigmoid)
    classifies = True
    domain = (0, 1)

    def link(self, z: Array) -> Array:
        return sigmoid(z)

    def value_and_grad(self, y: Array, z: Array, weight: Weight) -> tuple[Array, Array]:
        xp, y = namespace(z), aligned(y, z)
        values = xp.maximum(z, 0.0) - y * z + xp.log1p(xp.exp(-xp.abs(z)))
        return weighted_sum(values, weight), weighted(sigmoid(z) - y, weight)

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
        values = y * xp.log(at_least_tiny(y_pred)) + (1.0 - y) * xp.log(at_least_tiny(1.0 - y_pred))
        return -xp.sum(values) / y_pred.shape[0]

    @staticmethod
    def grad(y_true: Array, y_pred: Array) -> Array:
        """The gradient with respect to the scores z, where y_pred = sigmoid(z)."""
        return (y_pred - aligned(y_true, y_pred)) / y_pred.shape[0]
