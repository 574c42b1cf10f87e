"""How wrong is a prediction? A network ends in scores z; the loss owns the link that turns them into a prediction, and
gives value and gradient with respect to z together, which makes them stable: for every canonical pair
dz = w (prediction - y).

`weight` already holds the division: 1/n as a Python float, or an array (n,). The loss is sum_i w_i l_i. Scores and
targets may be stacks of k batches, (k, n, m); the losses are (k,) then.
"""

import inspect
from collections.abc import Callable

from xdfn.backend import Array, namespace, tiny
from xdfn.core.part import Part, closest_override
from xdfn.core.registry import Registry
from xdfn.nn.activations import Affine
from xdfn.nn.targets import Targets

__all__ = ["ObjectiveBase"]

Weight = float | Array  # of all rows alike, or of each row (n,)


class ObjectiveBase(Targets, Part):
    """Base of the losses. Write `value_and_grad`, and `link` unless it is the identity.

    The scores z are (n, k m) for targets y (n, m), where k is `outputs_per_target`: 1 unless a loss says otherwise.

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
        """The prediction for the scores z (n, k m): `predictions_per_target` columns for each target, mostly (n, m)."""
        return z

    def spread(self, z: Array) -> Array:
        """The standard deviation of each prediction, (n, m), for a loss whose outputs tell it."""
        telling = ", ".join(cls.__name__ for cls in losses.classes if cls.spread is not ObjectiveBase.spread)
        raise ValueError(
            f"spread=True: the loss {self} tells no spread of its predictions, expected one that does: {telling}; for "
            "the spread of layers that draw, such as Dropout, give samples="
        )

    def value_and_grad(self, y: Array, z: Array, weight: Weight) -> tuple[Array, Array]:
        """sum_i w_i l_i as a 0-d array, and its gradient with respect to z (n, k m). y and z must not be written to."""
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
        """What `predict` answers for the scores z (n, k m)."""
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


def weighted_sum(values: Array, weight: Weight) -> Array:
    """sum_i w_i sum_j v_ij"""
    return total(values, values) * weight if isinstance(weight, float) else total(weighted(values, weight), values)


def total(values: Array, z: Array) -> Array:
    """The sum of all values for the scores z (n, m) of a batch, or the sum for each of a stack of batches (k, n, m)."""
    xp = namespace(values)
    return xp.sum(values) if z.ndim == 2 else xp.sum(values, axis=tuple(range(1, values.ndim)))


def weighted(values: Array, weight: Weight) -> Array:
    return values * column(weight)


def column(weight: Weight) -> Weight:
    """Weights (n,) as (n, 1), to be multiplied with rows."""
    return weight if isinstance(weight, float) else namespace(weight).reshape(weight, (*weight.shape, 1))


def at_least_tiny(p: Array) -> Array:
    return namespace(p).maximum(p, tiny(p))
