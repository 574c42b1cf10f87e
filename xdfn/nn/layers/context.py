"""Names for the types of a layer's arguments and results."""

from typing import NamedTuple

from xdfn.backend import Array, Gradient, Host, random
from xdfn.core.tree import Tree

__all__ = ["Context"]

Params = dict[str, Array]  # by name; an optimizer updates them
Buffers = dict[str, Array]  # by name; a layer updates them itself, without a gradient
Gradients = dict[str, Gradient]  # an array, a pair (A, B) that stands for the product A B, or RowSums
Cache = Tree  # of a layer's own shape: its `apply` leaves it for its `pullback`

Drawn = tuple[dict[str, Host], dict[str, Host], int]  # of `init`: parameters, buffers, number of outputs
Applied = tuple[Array, Cache, Buffers]  # of `apply`: outputs, cache, buffers after the batch
Pulled = tuple[Array | None, Gradients]  # of `pullback`: the gradients at the inputs and at the parameters


NO_KEY: random.Key = (1, 0)  # for a layer that draws nothing


class Context(NamedTuple):
    """A layer's knowledge of the training step beyond its input. At inference there is no context.

    Attributes
    ----------
    key : (int32, int32)
        The key of this layer's random bits in this step (`random.uniform_bits`).
    weight : float or array (n,), optional
        The weights of the rows, as the loss gets them; None where all are equal.
    share : float
        The rows of this batch as a share of those of a full one.
    training : bool
        False where layers that draw do so at inference (`predict` with samples) and all else is as at inference.
    """

    key: random.Key
    weight: float | Array | None = None
    share: float = 1.0
    training: bool = True
