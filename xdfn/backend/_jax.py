"""JAX's way to run many steps: one compiled loop over all of them. A jitted step alone costs half as much again as the
same step within a scanned epoch, and twice to three times as much with the batch's rows taken outside.
"""

import functools
import importlib
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from xdfn.backend.array import Array, DType, Host
from xdfn.core.tree import Tree, leaves, tree_map

Body = Callable[[Tree, Tree, Array, Tree], tuple[Tree, Tree]]


def scan(
    body: Body, key: Hashable, carry: Tree, constants: Tree, rows: Array, numbers: Sequence[Tree]
) -> tuple[Tree, Tree]:
    """Fold ``carry, out = body(carry, constants, rows[i], numbers[i])`` over i; give the last carry and the last out.

    Parameters
    ----------
    body : callable
        Traced, so it reads no values. All that it depends on besides its arguments is in `key`: for an equal key
        the compiled loop is used again.
    key : hashable
    carry : tree of arrays
        Consumed.
    constants : tree of arrays
    rows : array (n_steps, batch_size)
    numbers : one tree of Python numbers, or of small arrays of numbers, for each step
        Arguments of the compiled loop, so that another learning rate compiles nothing.
    """
    dtype = leaves(carry)[0].dtype
    stacked = tree_map(lambda *x: _of_steps(x, dtype), *numbers)
    return _compiled()(_Static(body, key), carry, constants, rows, stacked)


def _of_steps(values: Sequence[object], dtype: DType) -> Host:
    """A number of each step, or an array of numbers of each, in one array: integers as int32, others in `dtype`."""
    kind = np.dtype(np.int32) if np.asarray(values[0]).dtype.kind == "i" else dtype
    return np.asarray(values, kind)  # type: ignore[call-overload, no-any-return]


class _Static:
    """A function as a static argument of a compiled one: equal where the compiled code is the same."""

    def __init__(self, body: Body, key: Hashable) -> None:
        self.body, self.key = body, key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Static) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@functools.lru_cache(maxsize=1)
def _compiled() -> Callable[..., tuple[Tree, Tree]]:
    jax = importlib.import_module("jax")

    def run(static: _Static, carry: Tree, constants: Tree, rows: Array, numbers: Tree) -> tuple[Tree, Tree]:
        def body(carry: Tree, row: tuple[Array, Tree]) -> tuple[Tree, Tree]:
            return static.body(carry, constants, *row)

        carry, outs = jax.lax.scan(body, carry, (rows, numbers))
        return carry, tree_map(lambda out: out[-1], outs)

    compiled: Callable[..., tuple[Tree, Tree]] = jax.jit(run, static_argnums=0, donate_argnums=1)
    return compiled
