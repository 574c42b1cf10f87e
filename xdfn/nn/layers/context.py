"""What layers are given and what they give back, in words for the types."""

from typing import Any, NamedTuple

from xdfn.backend import Array, Gradient, Host, random

__all__ = ["Context"]

Params = dict[str, Array]  # what training moves, by name
Buffers = dict[str, Array]  # what training updates without a gradient
Gradients = dict[str, Gradient]  # an array, or a pair (A, B) that stands for the product A B
Cache = Any  # what a layer's `apply` leaves for its `pullback`

Drawn = tuple[dict[str, Host], dict[str, Host], int]  # of `init`: parameters, buffers, number of outputs
Applied = tuple[Array, Cache, Buffers]  # of `apply`: outputs, cache, buffers after the batch
Pulled = tuple[Array | None, Gradients]  # of `pullback`: the gradients at the inputs and at the parameters


class Context(NamedTuple):
    """What a layer is told in training beyond its input. At inference there is no context.

    Attributes
    ----------
    key : (int32, int32)
        Where this layer's random bits of this step come from (`random.uniform_bits`).
    weight : float or array (n,), optional
        The weights of the rows, as the loss gets them; None where all rows are alike.
    share : float
        The rows of this batch as a share of those of a full one.
    training : bool
        False where layers that draw do so at inference (`predict` with samples) and all else is as at inference.
    """

    key: random.Key
    weight: float | Array | None = None
    share: float = 1.0
    training: bool = True
