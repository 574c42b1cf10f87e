"""Weights should stay small, or few, or within bounds: a regulariser adds a penalty to what training minimises, and a
constraint moves the weights back to the allowed ones after every step. Both act on parameters whose names begin with W,
not on biases, shifts and scales.
"""

from xdfn.backend import Array, namespace, sign
from xdfn.core.fields import number_field
from xdfn.core.part import Part
from xdfn.core.registry import Registry

__all__ = ["L1", "L1L2", "L2", "ConstraintBase", "MaxNorm", "RegularizerBase"]


class RegularizerBase(Part):
    """Base of the regularisers. Write `value` and `grad`.

    The penalty is in the gradients that move the weights, not in the losses that `fit` and `evaluate` report, so that
    those of training and validation can be compared.
    """

    _numerics = ("grad",)

    def value(self, W: Array) -> Array:
        """The penalty for W (n_in, n_out), as a 0-d array."""
        raise NotImplementedError(f"{type(self).__name__} must define value(W)")

    def grad(self, W: Array) -> Array:
        """Its gradient (n_in, n_out), as a new array."""
        raise NotImplementedError(f"{type(self).__name__} must define grad(W)")


class ConstraintBase(Part):
    """Base of the constraints. Write `project`."""

    _numerics = ("project",)

    def project(self, W: Array) -> Array:
        """The allowed weights nearest to W (n_in, n_out), as a new array."""
        raise NotImplementedError(f"{type(self).__name__} must define project(W)")


regularizers: Registry[RegularizerBase] = Registry("regularizer", RegularizerBase)
constraints: Registry[ConstraintBase] = Registry("constraint", ConstraintBase)


@regularizers.register()
class L2(RegularizerBase, traceable=True):
    """strength / 2 sum W^2, whose gradient is strength W (Hoerl and Kennard 1970; Krogh and Hertz 1991).

    Notes
    -----
    With plain SGD it is the same as its weight_decay. Keras has no 1/2; scikit-learn divides alpha by the rows.

    Examples
    --------
    >>> import numpy as np
    >>> L2(0.1).grad(np.asarray([[1.0, -2.0]])).tolist()
    [[0.1, -0.2]]
    """

    per_member = ("strength",)
    _shown = ("strength",)
    strength = number_field(0)

    def __init__(self, strength: float = 1e-4) -> None:
        self.strength = strength

    def value(self, W: Array) -> Array:
        return 0.5 * self.strength * namespace(W).sum(W * W)

    def grad(self, W: Array) -> Array:
        return self.strength * W


@regularizers.register()
class L1(RegularizerBase, traceable=True):
    """strength sum |W|, whose gradient is strength sign W: many weights end near zero (Tibshirani 1996)."""

    per_member = ("strength",)
    _shown = ("strength",)
    strength = number_field(0)

    def __init__(self, strength: float = 1e-5) -> None:
        self.strength = strength

    def value(self, W: Array) -> Array:
        xp = namespace(W)
        return self.strength * xp.sum(xp.abs(W))

    def grad(self, W: Array) -> Array:
        gradient = sign(W)
        gradient *= self.strength
        return gradient


@regularizers.register("elastic_net")
class L1L2(RegularizerBase, traceable=True):
    """l1 sum |W| + l2 / 2 sum W^2, the elastic net (Zou and Hastie 2005)."""

    _shown = ("l1", "l2")
    l1, l2 = number_field(0), number_field(0)

    def __init__(self, l1: float = 1e-5, l2: float = 1e-4) -> None:
        self.l1, self.l2 = l1, l2

    def value(self, W: Array) -> Array:
        return L1(self.l1).value(W) + L2(self.l2).value(W)

    def grad(self, W: Array) -> Array:
        return L1(self.l1).grad(W) + L2(self.l2).grad(W)


@constraints.register()
class MaxNorm(ConstraintBase, traceable=True):
    """The weights into a unit, a column w of W, have at most the length `limit`: w <- w min(1, limit / |w|).

    Srebro and Shraibman 2005; with dropout Srivastava et al. 2014 (JMLR 15), who found limits of 3 to 4 to be good.

    Examples
    --------
    >>> import numpy as np
    >>> MaxNorm(1).project(np.asarray([[3.0, 0.3], [4.0, 0.4]])).round(9).tolist()
    [[0.6, 0.3], [0.8, 0.4]]
    """

    per_member = ("limit",)
    _shown = ("limit",)
    limit = number_field(0, open_low=True)

    def __init__(self, limit: float = 3.0) -> None:
        self.limit = limit

    def project(self, W: Array) -> Array:
        xp = namespace(W)
        length = xp.sqrt(xp.sum(W * W, axis=-2, keepdims=True))
        return W * (self.limit / xp.maximum(length, self.limit))
