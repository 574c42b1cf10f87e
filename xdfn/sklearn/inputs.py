"""X and y of any kind: what NumPy, frames, lists and sparse matrices hold goes through scikit-learn's own checks, and
arrays of other libraries stay where they are.
"""

from numbers import Real
from typing import cast

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.utils.validation import column_or_1d, validate_data

from xdfn.backend import (
    HOST,
    Array,
    Host,
    Place,
    computing,
    namespace,
    place,
    put,
    real_dtype,
    to_numpy,
    to_place,
    with_rows_together,
)  # fmt: skip
from xdfn.sklearn.rows import HostRows
from xdfn.train.checks import check_inputs, check_weights

__all__: list[str] = []


def is_foreign(X: object) -> bool:
    """Whether X is an array that does not lie on the host as one of NumPy."""
    if hasattr(X, "tocsr"):
        return False
    try:
        return place(cast(Array, X)) != HOST
    except ValueError:
        return False


def read_both(
    estimator: BaseEstimator, X: object, y: object, *, reset: bool, numeric: bool
) -> tuple[Array | HostRows, Host | Array]:
    """X and y, checked, in floating point; y on the host unless it is numbers where X is.

    Parameters
    ----------
    reset : bool
        Whether the number of features and their names are those of this X from now on.
    numeric : bool
        Whether y are numbers; labels otherwise.

    Raises
    ------
    ValueError
        One of the two is no data, or they do not fit each other or the estimator.
    """
    if not is_foreign(X):
        y = to_numpy(cast(Array, y)) if is_foreign(y) else y
        more = {"y_numeric": True} if numeric else {}
        table, column = validate_data(
            estimator, X, y, accept_sparse=["csr", "csc"], multi_output=True, dtype=(np.float64, np.float32),
            reset=reset, **more,
        )  # fmt: skip
        if column.ndim == 2 and column.shape[1] == 1:
            column = column_or_1d(column, warn=True)
        if numeric and column.dtype.kind not in "biuf":
            raise ValueError(f"y must hold numbers, got values of dtype {column.dtype}")
        return (table.tocsr() if hasattr(table, "tocsr") else with_rows_together(table)), column
    x = read_foreign(estimator, cast(Array, X), reset=reset)
    if numeric and is_foreign(y):
        numbers = cast(Array, y)
        if numbers.shape[0] != x.shape[0]:
            raise ValueError(f"X and y must have the same number of rows, got {x.shape[0]} and {numbers.shape[0]}")
        targets = namespace(x).astype(to_place(numbers, place(x)), real_dtype(x), copy=False)
        with computing(x):
            if not bool(namespace(x).all(namespace(x).isfinite(targets))):
                raise ValueError("Input y contains NaN or infinity")
        return x, targets
    host = to_numpy(cast(Array, y)) if is_foreign(y) else np.asarray(y)
    if host.shape[0] != x.shape[0]:
        raise ValueError(f"X and y must have the same number of rows, got {x.shape[0]} and {host.shape[0]}")
    return x, host


def read_foreign(estimator: BaseEstimator, X: Array, *, reset: bool) -> Array:
    """An array of another library, checked, where it is, in floating point."""
    check_inputs(X)
    validate_data(estimator, X, skip_check_array=True, reset=reset)
    xp = namespace(X)
    with computing(X):
        x = xp.astype(X, real_dtype(X), copy=False)
        if not bool(xp.all(xp.isfinite(x))):
            raise ValueError(f"Input X contains NaN or infinity: {type(estimator).__name__} takes finite numbers alone")
    return x


def read_inputs(estimator: BaseEstimator, X: object, fitted: Place, method: str) -> Array | HostRows:
    """X of an estimator whose network is at that place, checked.

    What is on the host may go there, and what is elsewhere may come to a network on the host, unless scikit-learn is
    told to keep arrays where they are.
    """
    where = place(cast(Array, X)) if is_foreign(X) else HOST
    to_device = where == HOST and estimator.device is not None
    stays = HOST not in (where, fitted) or (get_config()["array_api_dispatch"] and not to_device)
    if where != fitted and stays:
        raise ValueError(
            f"Inputs passed to {type(estimator).__name__}.{method}() must use the same namespace and the same device "
            f"as those passed to fit(): expected arrays on {fitted}, got {where}"
        )
    if where != HOST and where == fitted:
        return read_foreign(estimator, cast(Array, X), reset=False)
    host = X if where == HOST else to_numpy(cast(Array, X))
    table = validate_data(estimator, host, accept_sparse=["csr", "csc"], reset=False)
    return cast(HostRows, table.tocsr() if hasattr(table, "tocsr") else table)


def read_weights(given: object, n: int) -> Host | None:
    """The weights (n,) of the rows on the host; a number stands for that weight of each."""
    if given is None:
        return None
    if isinstance(given, Real):
        return np.full(n, float(given))
    if not np.any(np.asarray(given) if not is_foreign(given) else to_numpy(cast(Array, given))):
        raise ValueError("all sample weights are zero: expected at least one row with a weight")
    return check_weights("sample_weight", given, n)  # type: ignore[arg-type]


def targets_there(y: Host | Array, like: Array) -> Array:
    """Targets where the network is."""
    return put(np.ascontiguousarray(y), place(like)) if isinstance(y, np.ndarray) else y
