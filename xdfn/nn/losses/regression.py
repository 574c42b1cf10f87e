"""Losses for numbers: for their mean, their median and other quantiles, their mean and spread, and for counts.

All of them sum over the outputs. PyTorch and Keras take the mean over them.
"""

from collections.abc import Sequence

from xdfn.backend import Array, constants, kernel, namespace, sign
from xdfn.core.fields import Field, flag, number, number_field
from xdfn.nn.activations import ActivationBase, exp_limit, exponential
from xdfn.nn.losses.base import ObjectiveBase, Weight, at_least_tiny, column, losses, total, weighted, weighted_sum
from xdfn.nn.targets import aligned

__all__ = ["AbsoluteError", "Gaussian", "Huber", "Poisson", "Quantile", "SquaredError"]


@losses.register("mse", "mse_loss", "mean_squared_error")
class SquaredError(ObjectiveBase, traceable=True):
    """l = 1/2 sum_j (p_j - y_j)^2 with the link p = z; dz = w (z - y).

    Notes
    -----
    PyTorch's and Keras's mean squared error has no 1/2 and divides by the number of outputs as well.
    """

    def value_and_grad(self, y: Array, z: Array, weight: Weight) -> tuple[Array, Array]:
        difference = z - aligned(y, z)
        return weighted_sum(0.5 * difference * difference, weight), weighted(difference, weight)

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


@losses.register("mae", "l1_loss", "mean_absolute_error")
class AbsoluteError(ObjectiveBase, traceable=True):
    """l = sum_j |p_j - y_j| with the link p = z; dz = w sign(z - y): the median instead of the mean."""

    def value_and_grad(self, y: Array, z: Array, weight: Weight) -> tuple[Array, Array]:
        difference = z - aligned(y, z)
        return weighted_sum(namespace(z).abs(difference), weight), weighted(sign(difference), weight)


@losses.register("huber_loss", "smooth_l1", "smooth_l1_loss")
class Huber(ObjectiveBase, traceable=True):
    """l = sum_j c (d - c/2) with d = z - y and c = d cut to [-delta, delta]; the link is p = z, and dz = w c.

    That is d^2/2 for small d and delta (|d| - delta/2) for large ones (Huber 1964, doi:10.1214/aoms/1177703732).

    Notes
    -----
    PyTorch's smooth_l1_loss is the same for beta = delta = 1, and for another beta Huber(beta) / beta.
    """

    _shown = ("delta",)

    delta = number_field(0, open_low=True)

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = delta

    def value_and_grad(self, y: Array, z: Array, weight: Weight) -> tuple[Array, Array]:
        xp = namespace(z)
        d = z - aligned(y, z)
        c = xp.minimum(xp.maximum(d, -self.delta), self.delta)
        return weighted_sum(c * (d - 0.5 * c), weight), weighted(c, weight)


@losses.register("poisson_nll", "poisson_nll_loss")
class Poisson(ObjectiveBase, traceable=True):
    """l = sum_j [p_j - y_j log p_j] with the link p = e^z; dz = w (p - y): for counts y >= 0.

    The constant log y! is left out. Beyond half of the exponents that the dtype can show (z > 44 in float32) the loss
    takes the tangent of the exponential in its place, so that value and gradient stay finite.

    Parameters
    ----------
    deviance : bool
        Add the constant y_j log y_j - y_j, with which the loss is half of the Poisson deviance, 0 where p = y
        (McCullagh and Nelder 1989, section 2.3). The gradient is the same.

    Notes
    -----
    scikit-learn's Poisson losses are the deviance, its `mean_poisson_deviance` twice that.
    """

    deviance = Field(flag)

    link_function = staticmethod(exponential)
    domain = (0, None)

    def __init__(self, deviance: bool = False) -> None:
        self.deviance = deviance

    def link(self, z: Array) -> Array:
        return exponential(z)

    def value_and_grad(self, y: Array, z: Array, weight: Weight) -> tuple[Array, Array]:
        xp, y = namespace(z), aligned(y, z)
        half = exp_limit(z) // 2
        p = xp.exp(xp.minimum(z, half))
        beyond = xp.maximum(z - half, 0.0)
        return weighted_sum(self._with_constant(p * (1.0 + beyond) - y * z, y), weight), weighted(p - y, weight)

    def _with_constant(self, values: Array, y: Array) -> Array:
        return values + (y * namespace(y).log(at_least_tiny(y)) - y) if self.deviance else values

    def loss(self, y_true: Array, y_pred: Array) -> Array:
        xp, y = namespace(y_pred), aligned(y_true, y_pred)
        return xp.sum(self._with_constant(y_pred - y * xp.log(at_least_tiny(y_pred)), y)) / y_pred.shape[0]

    @staticmethod
    def grad(y_true: Array, y_pred: Array) -> Array:
        """The gradient with respect to the scores z, where y_pred = e^z."""
        return (y_pred - aligned(y_true, y_pred)) / y_pred.shape[0]


def _levels(name: str, value: object) -> float | tuple[float, ...]:
    """A number in (0, 1), or a tuple of such numbers."""
    given = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(given, (list, tuple)):
        return number(name, given, 0, 1, open_low=True, open_high=True)
    if not given:
        raise ValueError(f"{name} must be a number in (0, 1) or a list of such numbers, got an empty one")
    return tuple(number(f"{name}[{i}]", q, 0, 1, open_low=True, open_high=True) for i, q in enumerate(given))


@losses.register("pinball", "pinball_loss", "quantile_loss")
class Quantile(ObjectiveBase, traceable=True):
    """l = sum_j max(q d, (q - 1) d) with d = y - z, the pinball loss; the link is p = z, and dz = w ([z > y] - q).

    Of all constants the q-quantile of y has the smallest mean loss (Koenker and Bassett 1978, doi:10.2307/1913643). At
    z = y, where the loss has a kink, dz = 0. With q = 0.5 it is half of AbsoluteError.

    Parameters
    ----------
    q : number in (0, 1), or a list of k such numbers
        For k quantiles of m targets the network has k m outputs: first q[0] of all targets, then q[1] of all targets,
        and so on. `predict` gives all of them, (n, k m). They are k answers beside each other: nothing keeps a larger
        quantile above a smaller one.

    Examples
    --------
    The ends of an interval that holds 8 of 10 targets:

    >>> import numpy as np
    >>> from xdfn import DFN
    >>> model = DFN(layers=[8, 2], loss="quantile([0.1, 0.9])", seed=0)
    >>> model.fit(np.eye(5), np.arange(5.0), n_epochs=1, verbose=0).predict(np.eye(5)).shape
    (5, 2)
    """

    _shown = ("q",)

    q = Field(_levels)

    def __init__(self, q: float | Sequence[float] = 0.5) -> None:
        self.q = q

    @property
    def outputs_per_target(self) -> int:
        return len(self.q) if isinstance(self.q, tuple) else 1

    @property
    def predictions_per_target(self) -> int:
        return self.outputs_per_target

    def value_and_grad(self, y: Array, z: Array, weight: Weight) -> tuple[Array, Array]:
        xp, m = namespace(z), self.n_targets(z.shape[-1])
        d = xp.reshape(z, (*z.shape[:-1], -1, m)) - aligned(y, z, m)[..., None, :]
        q = self.q if isinstance(self.q, float) else xp.reshape(constants(self.q, z), (-1, 1))
        slope = (1.0 - q) * xp.astype(d > 0, z.dtype) - q * xp.astype(d < 0, z.dtype)
        values, dz = (xp.reshape(x, z.shape) for x in (slope * d, slope))
        return weighted_sum(values, weight), weighted(dz, weight)


@losses.register("gaussian_nll", "gaussian_nll_loss")
class Gaussian(ObjectiveBase, traceable=True):
    """l = sum_j 1/2 [s_j + (y_j - mu_j)^2 e^-s_j]: a mean and a variance e^s for each target.

    It is the negative logarithm of the normal density, without the constant 1/2 log 2 pi (Nix and Weigend 1994,
    doi:10.1109/ICNN.1994.374138). The network has 2 m outputs for m targets: first the means mu, then the logarithms s
    of the variances; ``layers=[64, 2]`` is for one target. The link is the mean alone, so `predict` and metrics see the
    mean; ``predict(X, spread=True)`` gives the standard deviation e^(s/2) too.

    The gradient is w (mu - y) e^-s at mu and w/2 [1 - (y - mu)^2 e^-s] at s. Below minus half of the exponents that the
    dtype can show (s < -44 in float32) the loss takes the tangent of e^-s in its place, so that value and gradient stay
    finite.

    Examples
    --------
    >>> import numpy as np
    >>> from xdfn import DFN
    >>> model = DFN(layers=[8, 2], loss="gaussian", seed=0).fit(np.eye(5), np.arange(5.0), n_epochs=1, verbose=0)
    >>> mean, sd = model.predict(np.eye(5), spread=True)
    >>> mean.shape, sd.shape, bool((sd > 0).all())
    ((5,), (5,), True)
    """

    @property
    def outputs_per_target(self) -> int:
        return 2

    def link(self, z: Array) -> Array:
        return z[:, : self.n_targets(z.shape[-1])]

    def spread(self, z: Array) -> Array:
        return exponential(0.5 * z[:, self.n_targets(z.shape[-1]) :])

    def value_and_grad(self, y: Array, z: Array, weight: Weight) -> tuple[Array, Array]:
        xp, m = namespace(z), self.n_targets(z.shape[-1])
        half = exp_limit(z) // 2
        values, *dz = _normal(z[..., :m] - aligned(y, z, m), z[..., m:], column(weight), half)
        return total(values, z), xp.concat(dz, axis=-1)


@kernel
def _normal(d: Array, s: Array, w: Weight, half: float) -> tuple[Array, Array, Array]:
    """w l, and its derivatives at mu and s, for d = mu - y."""
    xp = namespace(d)
    falling = xp.exp(-xp.maximum(s, -half))  # minus the derivative of the precision
    precision = falling * (1.0 + xp.maximum(-half - s, 0.0))
    squares = d * d
    values = 0.5 * (s + squares * precision) * w
    return values, d * precision * w, 0.5 * (1.0 - squares * falling) * w
