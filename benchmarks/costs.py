"""What else is promised: memory, growth with the data, the time of an import, and that to a good network."""

import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from importlib import metadata
from pathlib import Path

from cases import CASES, Case, params_of

import xdfn
from xdfn import DFN, Dropout, FullyConnected, load_mnist


def memory():
    """The peak of a fit beyond its data, against parameters, slots and batches; in arrays' bytes, as NumPy reports."""
    rows = []
    for case in (CASES[0], CASES[3]):
        X, y = case.data()
        model = case.model(X)
        parameters = sum(a.nbytes for p in params_of(model) for a in p.values())
        slots = 2 if case.optimizer == "adam" else 0
        tracemalloc.start()
        model.fit(X, y, 2, case.batch, verbose=None)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        batches = 4 * 4 * case.batch * sum(case.sizes)
        allowed = (4 + 2 * slots) * parameters + batches + 4 * case.rows
        rows.append((case.name, peak, allowed))
    return "\n".join(
        f"memory, {name}: peak {peak / 1e6:.1f} MB beyond data and model, allowed {allowed / 1e6:.1f} MB"
        for name, peak, allowed in rows
    )


def growth(rounds=3):
    """Seconds of an epoch over 10,000, 100,000 and 1,000,000 rows, and of the check of the input, once a fit."""
    lines = []
    for rows in (10_000, 100_000, 1_000_000):
        case = Case("growth", (32, 64, 10), "relu", 64, rows)
        X, y = case.data()
        model, times = case.model(X), []
        model.fit(X[:640], y[:640], 1, 64, verbose=None)
        for _ in range(rounds):
            start = time.perf_counter()
            model.fit(X, y, 1, 64, verbose=None, check_input=False)
            times.append(time.perf_counter() - start)
        check = time.perf_counter()
        model.fit(X, y, 0, 64, verbose=None)
        check = time.perf_counter() - check
        lines.append(
            f"{rows:>9,} rows of 32-64-10: {min(times) / rows * 1e6:.2f} us a row; "
            f"the check of the input {check / rows * 1e6:.4f} us a row"
        )
    return "\n".join(lines)


def start_up():
    code = "import time; import numpy; t = time.perf_counter(); import xdfn; print(time.perf_counter() - t)"
    with (
        tempfile.TemporaryDirectory() as cache
    ):  # Python's own, which an environment may forbid, as an installation has it
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        run = functools.partial(
            subprocess.run,
            [sys.executable, "-c", code],
            env={**env, "PYTHONPYCACHEPREFIX": cache},
            capture_output=True,
            text=True,
            check=True,
        )
        seconds = [float(run().stdout) for _ in range(8)][1:]  # the first compiles
    size = sum(f.stat().st_size for f in Path(xdfn.__file__).parent.rglob("*.py"))
    compat = sum(f.locate().stat().st_size for f in metadata.files("array-api-compat") if f.suffix == ".py")
    return (
        f"import xdfn: {statistics.median(seconds) * 1e3:.0f} ms beyond import numpy; "
        f"installed: {size / 1e3:.0f} kB, array-api-compat {compat / 1e3:.0f} kB, and NumPy"
    )


MNIST = Case("mnist", (784, 512, 256, 10), "relu", 128, 60_000, "adam", 1e-3, dropout=(0.0, 0.3, 0.2))


def to_98(rounds=2):
    """Seconds to 98 % test accuracy on MNIST by the default recipe of examples/train_mnist.py, and by PyTorch's."""
    from contestants import torch_eager

    train, test = load_mnist()
    seconds = {"xdfn, NumPy": [], "PyTorch eager": []}
    for seed in range(rounds):
        layers = [
            FullyConnected(512, "relu", "he_uniform"),
            Dropout(0.3),
            FullyConnected(256, "relu", "he_uniform"),
            Dropout(0.2),
            FullyConnected(10, "affine", "glorot_uniform"),
        ]
        model = DFN(layers=layers, optimizer="adam(lr=1e-3)", seed=seed).initialize(train[0])
        net, optimizer = torch_eager.net_of(MNIST, params_of(model))
        seconds["xdfn, NumPy"].append(xdfn_to_98(model, train, test))
        seconds["PyTorch eager"].append(torch_eager.to_98(net, optimizer, MNIST.batch, train, test))
    return "\n".join(
        f"98 % on MNIST, {name}: {', '.join(f'{s:.0f}' for s in of)} s (seeds 0-{rounds - 1})"
        for name, of in seconds.items()
    )


def xdfn_to_98(model, train, test):
    start = time.perf_counter()
    for _ in range(10):
        model.fit(*train, 1, MNIST.batch, verbose=None)
        for layer in model.layers.values():
            layer.optimizer.lr *= 0.8
        if model.evaluate(*test) >= 0.98:
            break
    return time.perf_counter() - start
