"""PyTorch's namespace is array_api_compat's, with three functions changed. There the number of `maximum(x, 0.0)` comes
from the host, and its dtype is asked for in a way that torch.compile cannot follow. Here it is made where x is.
"""

import functools
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import cast

from xdfn.backend.array import Array, Foreign, Namespace


@functools.cache
def namespace() -> Namespace:
    """The namespace, the same one each time."""
    compat = importlib.import_module("array_api_compat.torch")
    xp = ModuleType(compat.__name__)
    vars(xp).update(vars(compat))
    vars(xp).update(take=_take(compat))
    vars(xp).update(maximum=_takes_number(compat, "maximum"), minimum=_takes_number(compat, "minimum"))
    return cast(Namespace, xp)


def _take(xp: Foreign) -> Callable[..., Array]:
    """By PyTorch's own name; array_api_compat's `take` launches three more kernels."""

    def take(x: Foreign, rows: Foreign, *, axis: int) -> Array:
        rows_of: Array = xp.index_select(x, axis, rows)
        return rows_of

    return take


def _takes_number(xp: Foreign, name: str) -> Callable[[Foreign, Foreign], Array]:
    """A function of two tensors as one that takes a number as the second."""
    function: Callable[[Foreign, Foreign], Array] = getattr(xp, name)

    def call(x: Foreign, y: Foreign) -> Array:
        if type(y) is float and x.dtype.is_floating_point:
            y = xp.full((), y, dtype=x.dtype, device=x.device)
        return function(x, y)

    return call


def add_scaled(a: object, x: Foreign, b: object, y: Foreign) -> bool:
    """Compute y <- a x + b y in place, without a temporary for a x; False, nothing done, unless a, b are floats."""
    if type(a) is not float or type(b) is not float or not hasattr(y, "add_"):
        return False
    if b != 1.0:
        y.mul_(b)
    y.add_(x, alpha=a)
    return True


def positive(x: Foreign) -> Array | None:
    """x > 0 straight into floats, a sixth of the time of a conversion; None where a tape may run, or for symbols."""
    if getattr(x, "requires_grad", True):
        return None
    torch = importlib.import_module("torch")
    return cast(Array, torch.gt(x, 0, out=torch.empty_like(x)))
