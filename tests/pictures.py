"""What the tests of pictures have in common. Without matplotlib they are skipped."""

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402, F401  the backend first; and for those who import it from here


def ink(ax):
    """The share of the picture that is not white."""
    ax.figure.canvas.draw()
    return np.mean(np.asarray(ax.figure.canvas.buffer_rgba())[..., :3].min(axis=2) < 250)


def texts(ax):
    return [text.get_text() for text in ax.texts]


def overlapping(ax):
    """Pairs of texts of a picture that lie over each other."""
    ax.figure.canvas.draw()
    axes = [ax, *ax.child_axes]
    shown = [text for part in axes for text in part.texts if text.get_text() and text.get_visible()]
    boxes = [text.get_window_extent() for text in shown]
    return [
        (a.get_text(), b.get_text())
        for i, a in enumerate(shown)
        for j, b in enumerate(shown[:i])
        if boxes[i].shrunk(0.98, 0.9).overlaps(boxes[j].shrunk(0.98, 0.9))
    ]
