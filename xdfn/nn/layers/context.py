"""Names for the types of a layer's arguments and results."""

from typing import NamedTuple

from xdfn.backend import Array, Communicator, Gradient, Host, random, summed
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
    rows : (int, int), optional
        The first of these rows in their batch, and the rows of the whole batch, where several ranks share it.
    comm : Communicator, optional
        Joins the ranks that share the batch.
    """

    key: random.Key
    weight: float | Array | None = None
    share: float = 1.0
    training: bool = True
    rows: tuple[int, int] | None = None
    comm: Communicator | None = None

    @property
    def first_row(self) -> int:
        """The place of the first of these rows in the whole batch."""
        return 0 if self.rows is None else self.rows[0]

    def total(self, x: Array) -> Array:
        """The sum of x over the ranks that share the batch. Consumes x."""
        return x if self.comm is None else summed(x, self.comm)
