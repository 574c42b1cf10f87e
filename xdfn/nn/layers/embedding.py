"""The embedding: for each category of a column a vector that is learned."""

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from xdfn.backend import Array, RowSums, namespace, row_numbers, take
from xdfn.core.fields import SetOnce, integer
from xdfn.core.registry import Spec
from xdfn.nn.initializers import InitializerBase, InitializerField
from xdfn.nn.layers.base import LayerBase, layers
from xdfn.nn.layers.context import Applied, Buffers, Cache, Context, Drawn, Gradients, Params, Pulled
from xdfn.nn.regularizers import ConstraintBase, RegularizerBase, constraints, regularizers
from xdfn.optim.base import OptimizerBase

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = ["Embedding"]

MOST_CATEGORIES = 2**24  # beyond, float32 does not hold every integer
WIDEST = 50  # outputs for a column, unless more are asked for


def _by_column(name: str, given: object, what: str) -> dict[int, int]:
    """The dict of column positions and numbers, in the order of its keys."""
    if not isinstance(given, Mapping) or not given:
        raise ValueError(f"{name} must be a dict of column positions and {what}, as in {{3: 12}}, got {given!r:.80}")
    for j in given:
        if isinstance(j, (bool, str, float)) or not hasattr(j, "__index__"):
            raise ValueError(
                f"{name} must name columns by their positions, as in {{3: 12}}, got {j!r:.80}; that of a column of a "
                "data frame is df.columns.get_loc(name)"
            )
    return {int(j): integer(f"{name}[{j}]", given[j]) for j in sorted(given)}


def _columns(name: str, given: object) -> dict[int, int]:
    columns = _by_column(name, given, "numbers of categories")
    for j, k in columns.items():
        if k > MOST_CATEGORIES:
            raise ValueError(f"{name}[{j}] must be at most 2^24, up to which float32 holds every integer, got {k}")
    return columns


def _dim(name: str, given: object) -> int | dict[int, int] | None:
    if isinstance(given, Mapping):
        return _by_column(name, given, "numbers of outputs")
    return None if given is None else integer(name, given)


@layers.register()
class Embedding(LayerBase, traceable=True):
    """y = [columns of x that stay | E_i | E_j | ...]: in the place of column j of x, row c of a matrix W_j (k_j, d_j),
    where c is the category number that stands in the column (Guo and Berkhahn 2016, arXiv:1604.06737).

    A number stands for the integer nearest to it. If that is none of 0 to k_j - 1, as with NaN, the category is unknown
    and its E is the zero vector. If the layer is the first, `fit` refuses all but these integers and -1, unless it is
    told not to look (`check_input`).

    Backward: row c of dW_j is the sum of the rows of dE_j whose category is c; dx is dy in the columns that stay and 0
    in the embedded ones. One-hot columns through FullyConnected without a bias would give the same. They cost n k_j d_j
    multiplications each way; taking rows costs n d_j, but for the gradient on CuPy, which is a product of n times the
    smaller of n and k_j times d_j.

    Parameters
    ----------
    columns : dict of int by int
        The numbers of categories k_j of the columns that are embedded, by position; -1 is the last column.
    dim : int or dict of int by int, optional
        The numbers d_j: one for all columns, or one for each by its position. Without it 1.6 k_j^0.56, rounded, the
        rule of thumb of fastai (Howard and Gugger 2020, arXiv:2002.04688), but at most 50 where fastai has 600.
    init_w : str or InitializerBase
        The initialiser of each W_j. The default, as in Keras, is so small that a category that training never had is
        nearly an unknown one.
    optimizer : str or OptimizerBase, optional
        An optimizer of its own for this layer.
    regularizer, constraint : as for FullyConnected, of each W_j

    Notes
    -----
    The parameters are ``"W3"`` (k_3, d_3) for column 3, and so on, counted from 0 also where -1 was given. There are
    at most 2^24 categories, since float32 holds every integer up to there. Optimizers with a memory, penalties and
    weight decay move every row of W_j in every step, plain SGD those of the batch alone.

    Examples
    --------
    >>> import numpy as np
    >>> layer = Embedding({0: 3}, dim=2)
    >>> layer.params = {"W0": np.asarray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])}
    >>> layer.forward(np.asarray([[2.0, 0.5], [0.0, 0.25], [-1.0, 0.125]])).tolist()
    [[0.5, 5.0, 6.0], [0.25, 1.0, 2.0], [0.125, 0.0, 0.0]]
    """

    stacks = False
    _shown = ("columns",)
    columns = SetOnce(_columns)
    dim = SetOnce(_dim)
    init_w = InitializerField()
    regularizer = regularizers.optional_field()
    constraint = constraints.optional_field()

    def __init__(
        self,
        columns: Mapping[int, int],
        dim: int | Mapping[int, int] | None = None,
        init_w: Spec[InitializerBase] = "random_uniform(b=0.05)",
        optimizer: Spec[OptimizerBase] | None = None,
        regularizer: Spec[RegularizerBase] | None = None,
        constraint: Spec[ConstraintBase] | None = None,
    ) -> None:
        super().__init__(optimizer)
        self.columns, self.dim, self.init_w = columns, dim, init_w
        self.regularizer, self.constraint = regularizer, constraint
        if isinstance(self.dim, dict) and self.dim.keys() != self.columns.keys():
            raise ValueError(f"dim must have the columns {list(self.columns)}, got {list(self.dim)}")

    def _embedded(self, n_in: int) -> dict[int, tuple[int, int]]:
        """(k, d) of the columns that are embedded, by their positions from 0 on, in that order."""
        found = {}
        for j, k in self.columns.items():
            d = self.dim.get(j) if isinstance(self.dim, dict) else self.dim
            found[j % n_in] = k, min(WIDEST, round(1.6 * k**0.56)) if d is None else d
        return dict(sorted(found.items()))

    def init(self, rng: "Generator", n_in: int) -> Drawn:
        embedded = self._embedded(n_in)
        if min(self.columns) < -n_in or max(self.columns) >= n_in or len(embedded) < len(self.columns):
            raise ValueError(f"columns must be different ones of the {n_in} columns of the input, got {self.columns}")
        params = {f"W{j}": self.init_w((k, d), rng) for j, (k, d) in embedded.items()}
        return params, {}, n_in - len(embedded) + sum(d for _, d in embedded.values())

    def apply(self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None) -> Applied:
        embedded = self._embedded(x.shape[-1])
        pieces, codes = [x[:, start:stop] for start, stop in _between(embedded, x.shape[-1])], []
        for j, (k, _) in embedded.items():
            rows, known = row_numbers(x[:, j], 1.0 * k)
            known = known[:, None]
            pieces.append(take(params[f"W{j}"], rows) * known)
            codes.append((rows, known))
        return namespace(x).concat(pieces, axis=-1), (x, codes), buffers

    def pullback(self, params: Params, cache: Cache, dy: Array, input_grad: bool = True) -> Pulled:
        x, codes = cache
        n_in, xp = x.shape[-1], namespace(dy)
        embedded = self._embedded(n_in)
        gradients: Gradients = {}
        first = n_in - len(embedded)  # of the outputs, those of the columns that stay come first
        for (j, (k, d)), (rows, known) in zip(embedded.items(), codes, strict=True):
            gradients[f"W{j}"] = RowSums(rows, dy[:, first : first + d] * known, k)
            first += d
        if not input_grad:
            return None, gradients
        pieces, first = dict.fromkeys(embedded, xp.zeros_like(x[:, :1])), 0
        for start, stop in _between(embedded, n_in):
            pieces[start] = dy[:, first : first + stop - start]
            first += stop - start
        return xp.concat([pieces[start] for start in sorted(pieces)], axis=-1), gradients

    def input_categories(self, n_in: int) -> dict[int, int]:
        return {j: k for j, (k, _) in self._embedded(n_in).items()}


def _between(embedded: Mapping[int, object], n_in: int) -> list[tuple[int, int]]:
    """(start, stop) of the columns that stay, in runs."""
    return [(a + 1, b) for a, b in pairwise([-1, *embedded, n_in]) if a + 1 < b]
