"""Metrics of rows that come in pieces, and rows that try them."""

import numpy as np

from xdfn.train.metrics import metrics

N = 60
CUTS = (20, 40)


def measure(spec, y, z, loss, *, weight=None, cuts=(), backend=None, dtype="float64"):
    """The metric of rows given in pieces, each of which is computed where the backend says."""
    metric = metrics.resolve(spec)
    array = backend.array if backend else np.asarray
    parts = []
    for start, stop in zip((0, *cuts), (*cuts, len(z)), strict=True):
        rows = [array(x[start:stop], dtype) for x in (y, z, *([] if weight is None else [weight]))]

        def part(y, z, w=None):
            return metric.part(y, z, w, loss)

        part = backend.call(part, *rows) if backend else part(*rows)
        assert len(part.shape) == 1
        if backend:
            assert part.dtype == rows[1].dtype
            part = backend.numpy(part)
        parts.append(part)
    value = metric.value(np.stack(parts))
    assert type(value) is float
    return value


def classes(rng):
    """Of six classes 3 is never said, 4 is never true, and 5 is neither."""
    true = rng.integers(0, 4, N)
    z = rng.normal(size=(N, 6)) + 1.5 * np.eye(6)[true]
    z[:, 3] -= 9
    z[:, 5] -= 9
    z[:3, 4] += 9
    return np.eye(6)[true], z


def yes_or_no(m):
    def draw(rng):
        """The third output is never yes and never said to be."""
        y, z = (rng.random((N, m)) < 0.3).astype(float), rng.normal(size=(N, m))
        z += y
        y[:, 2:3], z[:, 2:3] = 0, -1
        return y, z

    return draw
