"""How long a step takes, beside what a user would write or pick instead.

    ci/bench                    all cases, the table and the picture in benchmarks/results
    ci/bench --quick            the check that CI runs: against the hand-written loop alone
    ci/bench --case notebook    one case; --rounds 9 for more rounds

All contestants of a case train the same network from the same weights on the same batches in float32 (the notebook's
way in float64), and are checked to reach the same loss. They take turns in one process; a figure is the median over
the rounds of the ratio within a round, which a machine whose speed wanders disturbs least.
"""

import argparse
import functools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from importlib import metadata
from pathlib import Path

import numpy as np
from contestants import CONTESTANTS, Case, build, params_of, torch_net

from xdfn import DFN, Dropout, FullyConnected, load_mnist
from xdfn.random import permutation

RESULTS = Path(__file__).parent / "results"

# before a turn, in s, while the threads of the one before fall asleep: each library brings its own, and they wait for
# work in a loop, on the cores that the next one wants
PAUSE = 0.1

CASES = [
    Case("notebook", (784, 200, 10), "sigmoid", 64, 64 * 150, epochs=4),
    Case("tiny", (2, 8, 2), "sigmoid", 4, 4, epochs=1000),
    Case("deep", (64, *[256] * 8, 10), "relu", 128, 128 * 40, "adam", 1e-3, epochs=4),
    Case("wide", (784, 2048, 2048, 10), "relu", 512, 512 * 6, "adam", 1e-3, epochs=2),
    Case("wide, dropout", (784, 2048, 2048, 10), "relu", 512, 512 * 6, "adam", 1e-3, dropout=(0.2, 0.5, 0.5)),
]

# name: (case, xdfn's contestant, the other, the largest ratio that we want)
TARGETS = [
    ("notebook", "xdfn, NumPy", "floor", 1.50),
    ("notebook", "xdfn, NumPy", "hand-written NumPy", 0.95),
    ("notebook", "xdfn, NumPy", "PyTorch eager", 0.42),
    ("notebook", "xdfn, NumPy", "scikit-learn", 0.50),
    ("notebook", "xdfn, NumPy", "JAX jit + scan", 1.05),
    ("notebook", "xdfn, NumPy", "notebook's way", 0.25),
    ("notebook", "xdfn, JAX", "JAX jit + scan", 1.10),
    ("notebook", "xdfn, PyTorch", "PyTorch eager", 0.75),
    ("tiny", "xdfn, NumPy", "hand-written NumPy", 1.50),
    ("tiny", "xdfn, NumPy", "PyTorch eager", 0.25),
    ("deep", "xdfn, NumPy", "floor", 1.50),
    ("deep", "xdfn, NumPy", "PyTorch eager", 0.85),
    ("wide", "xdfn, NumPy", "floor", 1.20),
    ("wide, dropout", "xdfn, NumPy", "PyTorch eager", 1.00),
    ("prediction", "xdfn, NumPy", "floor", 1.15),
]


def race(runs, case, rounds, seed=0):
    """The seconds of each contestant in each round, and its loss after a first one of one epoch, which warms up."""
    names, epoch = list(runs), 0
    times = {name: [] for name in names}
    losses = {}
    for round_ in range(rounds + 1):
        epochs = case.epochs if round_ else 1
        orders = [permutation(seed, epoch + i, case.rows) for i in range(epochs)]
        epoch += epochs
        turn = names[round_ % len(names) :] + names[: round_ % len(names)]  # nobody always comes after the same
        for name in turn:
            time.sleep(PAUSE)
            start = time.perf_counter()
            loss = runs[name](orders)
            seconds = time.perf_counter() - start
            if round_:
                times[name].append(seconds)
            else:  # rounding grows from step to step, so the losses are compared early
                losses[name] = loss
    return times, losses


def ratio(times, name, other):
    """Median, least and largest ratio within a round."""
    ratios = [a / b for a, b in zip(times[name], times[other], strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def same_training(case, losses):
    """Whether all reached xdfn's loss: to rounding without dropout, else as other masks allow."""
    ours = losses["xdfn, NumPy"]
    tolerance = 0.1 if case.dropout else 5e-3
    return [name for name, loss in losses.items() if loss is not None and not abs(loss - ours) <= tolerance * abs(ours)]


def training(case, names, rounds):
    X, y = case.data()
    params = [{name: np.array(a) for name, a in p.items()} for p in params_of(case.model(X))]
    runs = {name: build(name, case, params, X, y) for name in names}
    times, losses = race({name: run for name, run in runs.items() if run}, case, rounds)
    if wrong := same_training(case, losses):
        raise SystemExit(f"{case.name}: {wrong} did not reach the same loss: {losses}")
    return times, case.steps


def prediction(rounds, rows=200_000, sizes=(784, 200, 10)):
    """200,000 rows through the notebook's network, against the products alone, of as many rows at a time. The rows are
    the real ones, as no cache holds 630 MB: to fetch them is part of the floor.
    """
    X = np.random.default_rng(0).standard_normal((rows, sizes[0]), dtype=np.float32)
    model = DFN(sizes[1], sizes[2], seed=0).initialize(X)
    (W, V), piece = (p["W"] for p in params_of(model)), 1024
    h, z = (np.ones((piece, size), np.float32) for size in sizes[1:])

    def products():
        for start in range(0, rows, piece):
            n = min(piece, rows - start)
            np.matmul(X[start : start + n], W, out=h[:n])
            np.matmul(h[:n], V, out=z[:n])

    times = {"floor": [], "xdfn, NumPy": []}
    for round_ in range(rounds + 1):
        for name, run in (("floor", products), ("xdfn, NumPy", lambda: model.predict(X))):
            start = time.perf_counter()
            run()
            if round_:
                times[name].append(time.perf_counter() - start)
    return times, 1


def to_98(rounds=2):
    """Seconds to 98 % test accuracy on MNIST by the default recipe of examples/train_mnist.py, and by PyTorch's."""
    import torch

    (X, y), (X_test, y_test) = load_mnist()
    sizes, rates, batch = (784, 512, 256, 10), (0.0, 0.3, 0.2), 128
    seconds = {"xdfn, NumPy": [], "PyTorch eager": []}
    for seed in range(rounds):
        layers = [
            FullyConnected(512, "relu", "he_uniform"),
            Dropout(rates[1]),
            FullyConnected(256, "relu", "he_uniform"),
        ]
        layers += [Dropout(rates[2]), FullyConnected(10, "affine", "glorot_uniform")]
        model = DFN(layers=layers, optimizer="adam(lr=1e-3)", seed=seed).initialize(X)
        case = Case("mnist", sizes, "relu", batch, len(X), "adam", 1e-3, dropout=rates)
        net, optimizer = torch_net(case, params_of(model))
        start = time.perf_counter()
        for _ in range(10):
            model.fit(X, y, 1, batch, verbose=None)
            for layer in model.layers.values():
                layer.optimizer.lr *= 0.8
            if model.evaluate(X_test, y_test) >= 0.98:
                break
        seconds["xdfn, NumPy"].append(time.perf_counter() - start)
        x, t, x_test, t_test = (torch.asarray(a.astype("i8") if a.ndim == 1 else a) for a in (X, y, X_test, y_test))
        start = time.perf_counter()
        for _ in range(10):
            net.train()
            for rows in torch.randperm(len(x)).split(batch):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(net(x[rows]), t[rows]).backward()
                optimizer.step()
            for group in optimizer.param_groups:
                group["lr"] *= 0.8
            net.eval()
            with torch.no_grad():
                if (net(x_test).argmax(1) == t_test).float().mean() >= 0.98:
                    break
        seconds["PyTorch eager"].append(time.perf_counter() - start)
    return "\n".join(
        f"98 % on MNIST, {name}: {', '.join(f'{s:.0f}' for s in of)} s (seeds 0-{rounds - 1})"
        for name, of in seconds.items()
    )


def table(results):
    names = [name for name in CONTESTANTS if any(name in times for times, _ in results.values())]
    lines = ["| case | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for case, (times, steps) in results.items():
        cells = []
        for name in names:
            if name not in times:
                cells.append("")
                continue
            us = statistics.median(times[name]) / steps * 1e6
            middle, low, high = ratio(times, name, "floor" if "floor" in times else "hand-written NumPy")
            spread = "" if name == "floor" else f" ({low:.2f}-{high:.2f})"
            cells.append(f"{us:,.0f} us, {middle:.2f}{spread}")
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def short(results):
    """The table of README: contestants by cases, each in units of the floor, the tiny case in microseconds."""
    lines = ["| | " + " | ".join(results) + " |", "|---" * (len(results) + 1) + "|"]
    for name in CONTESTANTS:
        cells = []
        for case, (times, steps) in results.items():
            if name not in times:
                cells.append("")
            elif case == "tiny":
                cells.append(f"{statistics.median(times[name]) / steps * 1e6:,.0f} us")
            else:
                cells.append(f"{ratio(times, name, 'floor')[0]:.2f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def verdicts(results):
    lines = ["| case | ratio | wanted | median | spread | |", "|---|---|---|---|---|---|"]
    for case, name, other, wanted in TARGETS:
        if case in results and name in results[case][0] and other in results[case][0]:
            middle, low, high = ratio(results[case][0], name, other)
            verdict = "met" if middle <= wanted else "within 5 %" if middle <= 1.05 * wanted else "missed"
            lines.append(
                f"| {case} | {name} / {other} | {wanted:.2f} | {middle:.2f} | {low:.2f}-{high:.2f} | {verdict} |"
            )
    return "\n".join(lines)


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
    """Seconds of an epoch over 10,000, 100,000 and 1,000,000 rows; of 1, 2 and 4 epochs."""
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
    folder = Path(sys.modules["xdfn"].__file__).parent
    size = sum(f.stat().st_size for f in folder.rglob("*.py"))
    compat = sum(f.locate().stat().st_size for f in metadata.files("array-api-compat") if f.suffix == ".py")
    return (
        f"import xdfn: {statistics.median(seconds) * 1e3:.0f} ms beyond import numpy; "
        f"installed: {size / 1e3:.0f} kB, array-api-compat {compat / 1e3:.0f} kB, and NumPy"
    )


def machine():
    versions = {}
    for name in ("numpy", "torch", "jax", "scikit-learn"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next((line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line), cpu)
    return f"{os.cpu_count()} cores, {cpu}; Python {platform.python_version()}, " + ", ".join(
        f"{name} {version}" for name, version in versions.items()
    )


def picture(results, path):
    from matplotlib import pyplot as plt

    cases = [case for case in results if case != "tiny"]  # which has no floor worth the name
    names = [n for n in CONTESTANTS if n not in ("floor", "notebook's way")]
    figure, ax = plt.subplots(figsize=(9, 4), layout="constrained")
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        bars = [(j, ratio(results[c][0], name, "floor")[0]) for j, c in enumerate(cases) if name in results[c][0]]
        shown = [(j + (i - len(names) / 2 + 0.5) * width, r) for j, r in bars]
        colour = {"xdfn, NumPy": "C3", "xdfn, PyTorch": "C1", "xdfn, JAX": "C8"}.get(name, f"{0.3 + 0.09 * i:.2f}")
        ax.bar([j for j, _ in shown], [r for _, r in shown], width, label=name, color=colour)
    ax.axhline(1, color="black", linewidth=1)
    ax.set_xticks(range(len(cases)), cases)
    ax.set(ylabel="time / time of the matrix products", title="a step of training; 1 is the floor", ylim=(0, 3.5))
    ax.legend(fontsize=8, ncols=4)
    figure.savefig(path, dpi=120)


def quick(rounds=7):
    """For CI: the cases in which xdfn takes twice as long as the hand-written loop; two and a half times for the tiny
    one, which is nothing but overhead and stands at one and a half.
    """
    slow = []
    for case in CASES[:3]:
        times, _ = training(case, ["hand-written NumPy", "xdfn, NumPy"], rounds)
        middle, low, high = ratio(times, "xdfn, NumPy", "hand-written NumPy")
        print(f"{case.name}: {middle:.2f} x the hand-written loop ({low:.2f}-{high:.2f})")
        slow += [case.name] if middle > (2.5 if case.name == "tiny" else 2) else []
    return slow


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=[*(case.name for case in CASES), "prediction"])
    parser.add_argument("--contestants", default=",".join(CONTESTANTS).replace(", ", "_"), help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if args.quick:
        if slow := quick():
            raise SystemExit(f"too slow beside a hand-written loop: {slow}")
        return
    names = [n for n in CONTESTANTS if n.replace(", ", "_") in args.contestants.split(",")]
    results = {}
    for case in CASES:
        if args.case in (None, case.name):
            # the notebook's own network is sigmoid alone, and slow
            of_case = [n for n in names if n != "notebook's way" or case.name == "notebook"]
            results[case.name] = training(case, of_case, args.rounds)
            print(case.name, "done", flush=True, file=sys.stderr)
    if args.case in (None, "prediction"):
        results["prediction"] = prediction(args.rounds)
    text = "\n\n".join(
        [f"Machine: {machine()}. Rounds: {args.rounds}.", short(results), table(results), verdicts(results)]
    )
    if args.case is None:
        text += "\n\n" + "\n".join([memory(), growth(), start_up(), to_98()])
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "cpu.md").write_text(text + "\n")
        raw = {case: {"steps": steps, "seconds": times} for case, (times, steps) in results.items()}
        (RESULTS / "cpu.json").write_text(json.dumps(raw, indent=1) + "\n")
        picture(results, RESULTS / "cpu.png")
    print(text)


if __name__ == "__main__":
    main()
