"""What a GPU makes of xdfn, for whoever has one: see ci/gpu, which runs the tests before this.

    python benchmarks/gpu.py            # some minutes; writes results/gpu.json and results/gpu.md
    python benchmarks/gpu.py --small    # the same on toy sizes, to try the script where there is no GPU

Gradients on CuPy against NumPy in float64; the notebook, deep and wide networks at three batch sizes against PyTorch
eager on the same GPU and against NumPy; what a step allocates and what an epoch copies.
"""

import argparse
import contextlib
import dataclasses
import json
import math
import platform
import statistics
import time
from pathlib import Path

import cupy
import numpy as np
from cases import CASES, Case, params_of

from xdfn import DFN, Dropout, FullyConnected

RESULTS = Path(__file__).parent / "results"
BATCHES = (64, 1_024, 16_384)
SECONDS = 0.5  # of a measurement


def wait():
    cupy.cuda.get_current_stream().synchronize()


def gradients():
    """The largest relative difference of any gradient between CuPy and NumPy in float64, by dtype on the GPU."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(256, 30)), rng.integers(0, 10, 256)
    layers = [FullyConnected(64, "relu", "he_normal"), Dropout(0.3), FullyConnected(32, "gelu", "he_normal")]
    layers += [FullyConnected(10, "affine", "glorot_normal")]
    found = {}
    for dtype in ("float64", "float32"):
        trees = []
        for x in (X, cupy.asarray(X, dtype)):
            model = DFN(layers=layers, optimizer="adam", seed=0)
            z, _ = model.forward(x)
            t = y if isinstance(x, np.ndarray) else cupy.asarray(y)
            model.backward(model.loss.value_and_grad(t, z, 1 / 256)[1])
            trees.append([{k: cupy.asnumpy(g) for k, g in of.gradients.items()} for of in model.layers.values()])
        there, here = trees[1], trees[0]
        found[dtype] = max(
            float(np.abs(a[k] - b[k]).max() / np.abs(b[k]).max()) for a, b in zip(there, here, strict=True) for k in b
        )
    return found


def seconds_a_step(run, steps, wait):
    """Median over three measurements of the time of a step; `run(k)` makes k epochs of `steps` steps."""
    run(1)
    wait()
    start = time.perf_counter()
    run(1)
    wait()
    epochs = max(1, math.ceil(SECONDS / (time.perf_counter() - start)))
    times = []
    for _ in range(3):
        start = time.perf_counter()
        run(epochs)
        wait()
        times.append((time.perf_counter() - start) / epochs / steps)
    return statistics.median(times)


def fit_of(case, X, y):
    model = case.model(X)
    return lambda k: model.fit(X, y, k, case.batch, verbose=None, check_input=False)


def torch_of(case, X, y):
    """PyTorch's run on the same GPU; None where it is not installed or sees none."""
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    from contestants import torch_eager

    net = torch_eager.net_of(case, params_of(case.model(X)))[0].cuda()
    optimizer = torch_eager.optimizer_of(case, net)
    x, t = torch.asarray(X).cuda(), torch.asarray(y.astype(np.int64)).cuda()

    def run(k):
        for _ in range(k):
            for rows in torch.randperm(len(x), device="cuda").split(case.batch):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(net(x[rows]), t[rows]).backward()
                optimizer.step()

    return run


def speed(small):
    """Microseconds a step of each case, batch and contestant."""
    rows = []
    for case in CASES:
        if case.name not in ("notebook", "deep", "wide"):
            continue
        for batch in BATCHES:
            if small:
                case = dataclasses.replace(case, sizes=(8, 16, 10))
                batch = min(batch, 128)
            case = dataclasses.replace(case, batch=batch, rows=batch * (2 if small else 8))
            X, y = case.data()
            there, steps = (cupy.asarray(X), cupy.asarray(y)), case.rows // batch
            row = {"case": case.name, "batch": batch, "xdfn, CuPy": seconds_a_step(fit_of(case, *there), steps, wait)}
            torch_run = torch_of(case, X, y)
            if torch_run:
                import torch

                row["PyTorch eager"] = seconds_a_step(torch_run, steps, torch.cuda.synchronize)
            if batch * math.prod(case.sizes[1:3]) < 2**33:  # else NumPy alone would take the minutes
                row["xdfn, NumPy"] = seconds_a_step(fit_of(case, X, y), steps, lambda: None)
            rows.append({k: v * 1e6 if isinstance(v, float) else v for k, v in row.items()})
            print(rows[-1], flush=True)
    return rows


class Allocations(cupy.cuda.MemoryHook):
    """Counts what is taken from the device, and what from CuPy's pool."""

    name = "xdfn allocations"

    def __init__(self):
        self.device = self.pool = 0

    def alloc_preprocess(self, **_):
        self.device += 1

    def malloc_preprocess(self, **_):
        self.pool += 1


@contextlib.contextmanager
def counted():
    """How often arrays cross: as calls of CuPy's functions that do it, with the values of a host array."""
    calls, asarray, get = {"to the device": 0, "to the host": 0}, cupy.asarray, cupy.ndarray.get

    def counted_asarray(x, *args, **more):
        calls["to the device"] += isinstance(x, np.ndarray)
        return asarray(x, *args, **more)

    def counted_get(x, *args, **more):
        calls["to the host"] += 1
        return get(x, *args, **more)

    cupy.asarray, cupy.ndarray.get = counted_asarray, counted_get
    try:
        yield calls
    finally:
        cupy.asarray, cupy.ndarray.get = asarray, get


def traffic():
    """For a warm epoch: allocations on the device, and how often arrays cross."""
    case = Case("notebook", (784, 200, 10), "sigmoid", 64, 64 * 20)
    X, y = (cupy.asarray(a) for a in case.data())
    run = fit_of(case, X, y)
    run(2)
    with counted() as crossed, Allocations() as hook:
        run(10)
    return {
        "device allocations in 10 epochs of 20 steps": hook.device,
        **{f"{k}, an epoch": v / 10 for k, v in crossed.items()},
    }


def report(found):
    lines = [f"# xdfn on {found['machine']['GPU']}", ""]
    lines += [f"* {name}: {value}" for name, value in found["machine"].items()]
    lines += ["", "Gradients against NumPy float64, largest relative difference: "]
    lines += [f"* {dtype}: {error:.1e}" for dtype, error in found["gradients"].items()]
    lines += ["", "| case | batch | xdfn, CuPy | PyTorch eager | ratio | xdfn, NumPy |", "|---|---|---|---|---|---|"]
    for row in found["speed"]:
        ours, theirs, host = (row.get(name) for name in ("xdfn, CuPy", "PyTorch eager", "xdfn, NumPy"))
        cells = [f"{us:,.0f} us" if us else "" for us in (ours, theirs, host)]
        ratio = f"{ours / theirs:.2f}" if theirs else ""
        lines.append(f"| {row['case']} | {row['batch']:,} | {cells[0]} | {cells[1]} | {ratio} | {cells[2]} |")
    lines += ["", *(f"* {name}: {value}" for name, value in found["traffic"].items())]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    properties = cupy.cuda.runtime.getDeviceProperties(0)
    found = {
        "machine": {
            "GPU": properties["name"].decode(),
            "Python": platform.python_version(),
            "CuPy": cupy.__version__,
            "NumPy": np.__version__,
            "CUDA runtime": cupy.cuda.runtime.runtimeGetVersion(),
        },
        "gradients": gradients(),
        "speed": speed(args.small),
        "traffic": traffic(),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "gpu.json").write_text(json.dumps(found, indent=1) + "\n")
    (args.out / "gpu.md").write_text(report(found))
    print(report(found))
    if found["gradients"]["float64"] > 1e-10 or found["gradients"]["float32"] > 1e-4:
        raise SystemExit("gradients on the GPU are not those of NumPy")


if __name__ == "__main__":
    main()
