"""`predict` and `predict_proba`: a trained network's answers, block by block, when they are asked for."""

import copy
from typing import Any, Literal
from uuid import uuid4

import dask
import numpy as np

from xdfn.backend import HOST, Array, Host, as_array, namespace, place, to_numpy
from xdfn.dask.blocks import require_collection
from xdfn.model import DFN

Answer = Literal["predict", "predict_proba"]


def predict(model: DFN, X: Any) -> Any:
    """What the network predicts for rows of Dask: class numbers, or numbers.

    Nothing is computed until it is asked for. Any of Dask's schedulers will do; there need be no cluster.

    Parameters
    ----------
    model : DFN
        A trained one. It goes along with the blocks, as a copy.
    X : array (n, n_in) or frame of Dask

    Returns
    -------
    array (n,) or (n, n_out) of Dask, in the blocks of X
        Or of a frame a series or a frame, with its index.

    Raises
    ------
    ValueError
        X is nothing of Dask's, or has another number of columns.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from xdfn import DFN
    >>> model = DFN(3, 2, seed=0).fit(np.eye(3), np.asarray([0, 1, 0]), 1, verbose=None)
    >>> predict(model, da.zeros((100, 3), chunks=(25, 3))).chunks
    ((25, 25, 25, 25),)
    """
    return _lazily(model, X, "predict")


def predict_proba(model: DFN, X: Any) -> Any:
    """The probabilities of the classes for rows of Dask: see `predict`.

    Returns
    -------
    array (n, n_classes) of Dask, or of a frame a frame with its index
    """
    return _lazily(model, X, "predict_proba")


def _lazily(model: DFN, X: Any, method: Answer) -> Any:
    require_collection("X", X)
    model = copy.copy(model).to_numpy()
    example = to_numpy(getattr(model, method)(np.zeros((1, X.shape[1]))))
    once = dask.delayed(model, name=f"xdfn-{uuid4().hex}", traverse=False)  # one node of the graph, whatever the blocks
    if hasattr(X, "map_partitions"):
        return X.map_partitions(answer_frame, once, method, meta=_framed(example[:0], None))
    width = {"drop_axis": 1} if example.ndim == 1 else {"chunks": (X.chunks[0], (example.shape[1],))}
    return X.rechunk({1: -1}).map_blocks(answer, model=once, method=method, meta=example[:0], **width)


def answer(block: Array, model: DFN, method: Answer) -> Array:
    """A block's predictions, where it is; a block may have no rows."""
    if place(block) != HOST:
        model = copy.copy(model).to(block)
    n = block.shape[0]
    given: Array = getattr(model, method)(block if n else namespace(block).ones((1, block.shape[1])))
    return given[:n, ...]


def answer_frame(block: Any, model: DFN, method: Answer) -> Any:
    """A partition's predictions, with its index."""
    return _framed(to_numpy(answer(as_array("X", block), model, method)), block.index)


def _framed(values: Host, index: Any) -> Any:
    import pandas as pd  # frames of Dask bring it

    return pd.Series(values, index=index) if values.ndim == 1 else pd.DataFrame(values, index=index)
