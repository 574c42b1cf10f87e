"""The weights of a layer as images."""

import math

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from xdfn.backend import Host, to_numpy
from xdfn.core.fields import integer
from xdfn.model import DFN
from xdfn.nn.layers.base import LayerBase

__all__ = ["weights"]


def weights(
    model: DFN, layer: str | None = None, shape: tuple[int, int] | None = None, n: int = 64, ax: Axes | None = None
) -> Axes:
    r"""The weights into each unit of a layer as a small image: red for positive ones, blue for negative ones.

    Images are framed, apart from each other, and run row by row from the top. Each has a scale of its own, from minus
    its largest weight to plus that.

    Parameters
    ----------
    model : DFN
    layer : str, optional
        Its name; without one the first layer that has a matrix W (n_in, n_out). The columns of W are the images.
    shape : (int, int), optional
        Rows and columns of an image, n_in pixels in all; without it the image is a square.
    n : int
        How many units to show at most: the first ones.
    ax : matplotlib axes, optional

    Raises
    ------
    ValueError
        The model has no parameters yet, the layer no matrix W, or n_in is no square and there is no shape that fits.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> ax = weights(DFN(3, 2, seed=0).initialize(np.zeros((1, 16))))
    >>> ax.get_title(), ax.get_images()[0].get_array().shape
    ('FC1: all 3 units\n4 × 4 weights into each', (9, 9))
    """
    model.config().require_initialized()
    matrices = {name: part.params["W"] for name, part in model.layers.items() if _has_matrix(part)}
    if not matrices or (layer is not None and layer not in matrices):
        asked = "" if layer is None else f": {layer!r}"
        raise ValueError(f"no matrix W{asked}; layers that have one: {', '.join(matrices) or 'none'}")
    layer = next(iter(matrices)) if layer is None else layer
    W = to_numpy(matrices[layer])
    n_in, units = W.shape
    side = math.isqrt(n_in)
    if shape is None and side * side != n_in:
        raise ValueError(f"{layer} has {n_in} inputs, which make no square: give shape=(rows, columns)")
    if shape is not None and not (isinstance(shape, (tuple, list)) and len(shape) == 2):
        raise ValueError(f"shape must be (rows, columns), got {shape!r:.80}")
    rows, columns = (integer("shape", size) for size in shape or (side, side))
    if rows * columns != n_in:
        raise ValueError(f"shape must have {n_in} pixels, one for each input of {layer}, got {rows} times {columns}")
    count = min(integer("n", n), units)
    ax = ax or plt.figure(figsize=(5.4, 5), layout="constrained").subplots()
    _draw(ax, W[:, :count].T.reshape(count, rows, columns))
    which = f"all {units} units" if count == units else f"the first {count} of {units} units"
    ax.set_title(f"{layer}: {which}\n{rows} × {columns} weights into each", fontsize="medium")
    ax.axis("off")
    return ax


def _has_matrix(layer: LayerBase) -> bool:
    return "W" in layer.params and layer.params["W"].ndim == 2


def _draw(ax: Axes, images: Host) -> None:
    """Images (count, rows, columns) side by side and below each other, all of it about a square."""
    count, rows, columns = images.shape
    gap = max(1, round(max(rows, columns) / 14))  # so that it can be seen beside large images too
    across = min(count, math.ceil(math.sqrt(count * rows / columns)))
    down = math.ceil(count / across)
    tiles = np.full((down * (rows + gap) - gap, across * (columns + gap) - gap), np.nan)
    for j, image in enumerate(images):
        top, left = (j // across) * (rows + gap), (j % across) * (columns + gap)
        tiles[top : top + rows, left : left + columns] = image / max(float(np.abs(image).max()), 1e-30)
        frame = Rectangle(
            (left - 0.5, top - 0.5), columns, rows, fill=False, edgecolor="0.5", linewidth=0.5, clip_on=False
        )
        ax.add_patch(frame)
    drawn = ax.imshow(tiles, cmap="RdBu_r", vmin=-1, vmax=1)
    bar = ax.figure.colorbar(drawn, ax=ax, shrink=0.5, ticks=[-1, 0, 1])
    bar.ax.set_yticklabels(["-max", "0", "max"])
