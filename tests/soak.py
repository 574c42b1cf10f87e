"""A long life: fits, saves and loads without end. ``python tests/soak.py 10000`` runs so many of each, and says how the
memory and the open files of the process have grown since the first tenth.
"""

import gc
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from xdfn import DFN, BatchNorm, Dropout, FullyConnected

MOST = 2.0  # megabytes


def used():
    """Megabytes of memory that are resident, and the number of open files."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, len(os.listdir("/proc/self/fd"))


def once(i, path, X, y):
    """One of what a long-running process does: a new model, other shapes, a fit that fails, a file, a load."""
    n_out = 8 + i % 5
    layers = [FullyConnected(n_out, "tanh", "he_normal"), BatchNorm(), Dropout(0.2), 3]
    model = DFN(layers=layers, optimizer="adam(0.01)", ema=0.9, seed=i)
    model.fit(X, y, 1, 16, verbose=None, callbacks=["early_stopping('loss')"])
    model.save(path)
    again = DFN.load(path).fit(X, y, 1, 16, verbose=None)
    again.predict(X)
    try:
        again.fit(np.where(X > 2, np.nan, X), y, 1, 16, verbose=None)
    except ValueError:
        return
    raise AssertionError


def main(n):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(64, 5)), rng.integers(0, 3, 64)
    X[0, 0] = 3.0
    with tempfile.TemporaryDirectory() as folder:
        for i in range(n):
            once(i, Path(folder) / "m.npz", X, y)
            if i == max(n // 10, 50):
                gc.collect()
                memory, files = used()
        gc.collect()
    grown, opened = used()[0] - memory, used()[1] - files
    print(f"{n} fits, saves and loads: {grown:+.1f} MB, {opened:+d} open files; at the end {used()[0]:.1f} MB")
    return grown < MOST and opened <= 0


if __name__ == "__main__":
    sys.exit(0 if main(int(sys.argv[1])) else "memory or open files have grown")
