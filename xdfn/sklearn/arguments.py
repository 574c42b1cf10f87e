"""The arguments of the estimators: what scikit-learn allows for its own, and what is made of the further ones."""

from collections.abc import Mapping, Sequence
from numbers import Integral, Real

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from xdfn.nn.activations import ActivationBase

__all__: list[str] = []

SOLVERS = ("lbfgs", "sgd", "adam")
STOCHASTIC = ("sgd", "adam")

# as scikit-learn's: `BaseEstimator` looks at them
CONSTRAINTS: dict[str, list[object]] = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [str, ActivationBase, "array-like"],
    "solver": [StrOptions(set(SOLVERS))],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "batch_norm": ["boolean"],
    "max_norm": [Interval(Real, 0, None, closed="neither"), None],
}


def keep(estimator: object, given: Mapping[str, object]) -> None:
    """Keep the arguments of a constructor, as they are, in attributes of their names."""
    for name, value in given.items():
        if name not in ("self", "__class__"):
            setattr(estimator, name, value)


def hidden_sizes(given: object) -> tuple[int, ...]:
    """The units of each hidden layer, of one number or several."""
    sizes = tuple(given) if hasattr(given, "__iter__") else (given,)
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {list(sizes)}.")
    return tuple(map(int, sizes))


def activations_of(given: object, n_hidden: int) -> tuple[object, ...]:
    """The activation of each hidden layer, of one for all or of a list."""
    if isinstance(given, (str, ActivationBase)):
        return (given,) * n_hidden
    if not isinstance(given, Sequence) or len(given) != n_hidden:
        raise ValueError(f"activation must be one, or a list of {n_hidden}, one a hidden layer, got {given!r:.80}")
    return tuple(given)
