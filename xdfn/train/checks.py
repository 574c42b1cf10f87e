"""Arrays are looked at before they enter a network: their shapes and dtypes, and in one read of the device all that
depends on their values.
"""

import contextlib
import math
from collections.abc import Callable, Mapping
from typing import cast

import numpy as np

from xdfn.backend import (
    Array,
    ArrayLike,
    Host,
    Namespace,
    Place,
    as_array,
    computing,
    function_name,
    namespace,
    place,
    require_array,
    require_place,
    require_shape,
    to_numpy,
)
from xdfn.nn.layers.base import LayerBase
from xdfn.nn.losses import ObjectiveBase
from xdfn.nn.targets import Limits

_PIECE = 2**18  # elements that are looked at together: such a piece fits the cache


_LARGEST32 = 3.4028235e38  # of float32


def spans(n: int, size: int) -> list[tuple[int, int]]:
    """(start, stop) of consecutive pieces of at most `size` rows."""
    return [(start, min(start + size, n)) for start in range(0, n, size)]


def check_inputs(X: Array, n_in: int | None = None, name: str = "X") -> None:
    """Raise ValueError unless X is a real array (n, n_in) with at least one row."""
    require_array(name, X, 2)
    if X.shape[0] == 0 or X.shape[1] == 0:
        raise ValueError(f"{name} must have at least one row and one column, got shape {tuple(X.shape)}")
    if n_in is not None and X.shape[1] != n_in:
        raise ValueError(f"{name} must have the {n_in} columns that the network was made for, got {X.shape[1]}")
    check_real(X, name)


def check_real(x: Array, name: str) -> None:
    """Raise ValueError unless x holds real numbers."""
    xp = namespace(x)
    try:
        real = bool(xp.isdtype(x.dtype, ("bool", "integral", "real floating")))
    except TypeError:  # NumPy's answer for objects and strings
        real = False
    if not real or getattr(x.dtype, "hasobject", False):
        raise ValueError(f"{name} must hold real numbers, got dtype {x.dtype}{_advice(name, x)}")


def _advice(name: str, x: Array) -> str:
    """How to make numbers of what is none."""
    kind = getattr(x.dtype, "kind", "c")  # NumPy's letter; other libraries have complex numbers alone
    if kind == "c":
        return f"; take {name}.real, or its absolute value"
    if kind in "mM":
        return f"; numpy.asarray({name}).astype('int64') makes numbers of times"
    with contextlib.suppress(ValueError, TypeError):
        to_numpy(x).astype("float64")
        return f"; numpy.asarray({name}, dtype=float) makes numbers of them"
    if x.ndim == 1:
        return f"; labels, {name} = numpy.unique({name}, return_inverse=True) makes class numbers of labels"
    return "; numpy.unique(column, return_inverse=True)[1] makes numbers of a column of words, for the layer Embedding"


def check_targets(y: Array, X: Array, loss: ObjectiveBase, n_out: int) -> None:
    """Raise ValueError unless y has the place, the rows and the shape of targets for X and `n_out` outputs."""
    require_array("y", y, 1 if getattr(y, "ndim", 2) == 1 else 2)
    require_place(place(X), "X and y must be on one device of one library", y=y)
    if y.shape[0] != X.shape[0]:
        raise ValueError(f"X and y must have the same number of rows, got {X.shape[0]} and {y.shape[0]}")
    check_real(y, "y")
    loss.check_shape(y, n_out)


def check_values(
    X: Array,
    y: Array,
    loss: ObjectiveBase,
    n_out: int,
    categories: Mapping[int, int] | None = None,
    dtype: str = "float64",
) -> None:
    """Raise ValueError where X or y holds NaN or infinity, y a value that is no target of the loss, or a column of X
    no category number, of those that `categories` has (see `LayerBase.categories`), or X a number too large for the
    dtype of the network.

    One read of the device.
    """
    columns = {f"X[:, {j}]": (X[:, j], k) for j, k in (categories or {}).items()}
    with computing(X):
        _check_values(X, y, loss.limits(y, n_out), loss, columns, dtype)


def _check_values(
    X: Array, y: Array, limits: Limits, loss: ObjectiveBase, columns: Mapping[str, tuple[Array, int]], dtype: str
) -> None:
    xp = namespace(X)
    tests: list[tuple[str, Array]] = []
    for name, x in (("X", X), ("y", y)):
        if xp.isdtype(x.dtype, "real floating"):
            tests.append((name, _all(xp, x, xp.isfinite)))
            if dtype == "float32" and x.dtype == getattr(xp, "float64", None):
                tests.append((f"{name} in float32", _all(xp, x, lambda v: (v < _LARGEST32) & (v > -_LARGEST32))))
    tests += [("", flag) for flag in _within(xp, y, limits)]
    if loss.unit_rows and y.ndim == 2:
        tests.append(("rows", _all(xp, y, lambda v: _sum_to_one(xp, v))))
    for name, (x, k) in columns.items():
        tests += [(name, flag) for flag in _within(xp, x, (-1, k - 1))]
        if xp.isdtype(x.dtype, "real floating"):
            tests.append((name, _all(xp, x, lambda v: xp.equal(v, xp.round(v)))))
    if not tests:
        return
    passed = to_numpy(xp.stack([flag for _, flag in tests])).tolist()
    for (name, _), fine in zip(tests, passed, strict=True):
        if not fine:
            raise ValueError(
                _complaint_of(name, *columns[name]) if name in columns else _complaint(name, xp, y, limits, loss)
            )


def _within(xp: Namespace, x: Array, limits: Limits) -> list[Array]:
    """Whether no element is below the first limit, and whether none is above the second, where there may be such."""
    if xp.isdtype(x.dtype, "bool"):
        return []
    (low, high), (least, most), flags = limits, _range_of_integers(xp, x), []
    # a bound beyond the range of the dtype always holds, and not all libraries can compare with it
    if low is not None and (least is None or low > least):
        flags.append(_all(xp, x, lambda v: v >= low))
    if high is not None and (most is None or high < most):
        flags.append(_all(xp, x, lambda v: v <= high))
    return flags


def _range_of_integers(xp: Namespace, y: Array) -> tuple[int | None, int | None]:
    """The smallest and the largest value of an integer dtype; None for others."""
    if not xp.isdtype(y.dtype, "integral"):
        return None, None
    info = cast("np.iinfo[np.int64]", xp.iinfo(y.dtype))
    return info.min, info.max


def _complaint_of(name: str, x: Array, k: int) -> str:
    """What is wrong with a column that is to hold the numbers of k categories."""
    xp = namespace(x)
    least, most = (float(to_numpy(f(x))) for f in (xp.min, xp.max))
    mend = ", not all of them integers" if least >= -1 and most < k else ""
    if most >= k:
        mend = f"; make them {int(most) + 1} categories, or code the unknown ones as -1"
    return (
        f"{name} must hold category numbers, integers from 0 to {k - 1}, or -1 for an unknown category, got values "
        f"from {least:.8g} to {most:.8g}{mend}"
    )


def _complaint(name: str, xp: Namespace, y: Array, limits: Limits, loss: ObjectiveBase) -> str:
    if name == "rows":
        return (
            "the rows of y must each sum to 1, as one-hot rows and probabilities do, and some do not; for several "
            "classes at once: loss='binary_cross_entropy', for numbers: loss='squared_error'"
        )
    if name.endswith(" in float32"):
        return f"{name} is infinite, for some numbers are beyond 3.4e38, and the network is in float32: scale them"
    if name:
        return f"{name} holds NaN or infinity; clean it; fit alone takes it all the same, with check_input=False"
    low, high = ("..." if limit is None else f"{limit:g}" for limit in limits)
    least, most = (float(to_numpy(f(y))) for f in (xp.min, xp.max))
    advice = _numbering(y, int(most) + 1, loss) if loss.classifies else ""
    return f"y must lie in [{low}, {high}], got values from {least:g} to {most:g}{advice}"


def _sum_to_one(xp: Namespace, y: Array) -> Array:
    sums = xp.sum(xp.astype(y, xp.float32), axis=-1)
    return xp.abs(sums - 1.0) < 1e-3  # probabilities are rounded


def _all(xp: Namespace, x: Array, test: Callable[[Array], Array]) -> Array:
    """Whether all elements pass, as a 0-d array."""
    rows = max(1, _PIECE // max(1, math.prod(x.shape[1:])))
    checks = [xp.all(test(x[start:stop, ...])) for start, stop in spans(x.shape[0], rows)]
    return checks[0] if len(checks) == 1 else xp.all(xp.stack(checks))


def check_weights(name: str, weight: ArrayLike, n: int) -> Host:
    """Weights (n,) as float64 on the host, checked to be finite and not negative. Reads the device."""
    given = as_array(name, weight)
    require_array(name, given, 1)
    if given.shape[0] != n:
        raise ValueError(f"{name} must have one weight for each of the {n} rows, got {given.shape[0]}")
    check_real(given, name)
    host = to_numpy(given).astype("float64")
    if not (np.isfinite(host) & (host >= 0)).all():
        raise ValueError(f"{name} must hold finite numbers of at least 0, got values from {host.min()} to {host.max()}")
    if not host.any():
        raise ValueError(f"{name} must not be 0 for all rows")
    return host


def check_params(layers: Mapping[str, LayerBase], like: Array, dtype_name: str) -> list[dict[str, Array]]:
    """The parameters by layer in the model's dtype, checked, for users may assign what they like.

    Array-likes that were assigned become arrays in the layers too.

    Raises
    ------
    ValueError
        Parameters that are missing, have another shape, or are not where `like` is.
    """
    xp, where, kind = namespace(like), place(like), type(like)
    tree: list[dict[str, Array]] = []
    dtype = getattr(xp, dtype_name)
    for name, layer in layers.items():
        if layer.params.keys() != layer.shapes.keys():
            expected, got = sorted(layer.shapes), sorted(layer.params)
            raise ValueError(f"layers[{name!r}].params must hold {expected}, got {got}")
        tree.append({})
        for parameter, value in layer.params.items():
            shape = layer.shapes[parameter]
            if type(value) is not kind or tuple(value.shape) != shape or place(value) != where:
                given, value = value, _checked(f"layers[{name!r}].params[{parameter!r}]", value, where, shape)
                if value is not given:  # a list or a frame
                    layer.params[parameter] = value
            tree[-1][parameter] = value if value.dtype == dtype else xp.astype(value, dtype)
    if not any(tree):
        raise ValueError("the network has no parameters: expected at least one layer such as FullyConnected")
    return tree


def _checked(what: str, given: ArrayLike, where: Place, shape: tuple[int, ...]) -> Array:
    """A parameter that a user assigned, as an array on `where` of that shape."""
    value = as_array(what, given, lambda: where)
    if place(value) != where:
        raise ValueError(
            f"the input is on {where}, expected {place(value)}, where {what} is: "
            "convert the input, or move the model with model.to(X)"
        )
    require_shape(what, value, shape)
    return value


def _numbering(y: Array, n_classes: int, loss: ObjectiveBase) -> str:
    """How to bring class labels into the range of the class numbers."""
    if y.ndim == 2 and y.shape[1] > 1:
        return "; for numbers: loss='squared_error'"
    numbered = f"; labels, y = {function_name(y, 'unique')}(y, return_inverse=True) makes class numbers from 0 on"
    labels = np.unique(to_numpy(y))
    if not loss.unit_rows:  # yes or no
        return numbered if len(labels) <= 2 else "; for several classes: loss='cross_entropy', with an output for each"
    if len(labels) == n_classes and labels[0] == 0:  # 0 to m - 1 then
        return f"; the last layer needs {n_classes} outputs, one for each class"
    return f"{numbered}, and the last layer needs an output for each"
