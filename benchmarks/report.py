"""What was measured, as tables, text and a picture."""

import os
import platform
import statistics
from importlib import metadata
from pathlib import Path

from contestants import CONTESTANTS
from timing import ratio

# (case, xdfn's contestant, the other, the largest ratio that we want)
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
    colours = {"xdfn, NumPy": "#d55e00", "xdfn, PyTorch": "#e69f00", "xdfn, JAX": "#f0e442"}
    others = [name for name in names if name not in colours]
    colours |= {name: f"{0.25 + 0.55 * i / len(others):.2f}" for i, name in enumerate(others)}
    left, middles, drawn = 0.0, [], set()  # in widths of a bar
    for case in cases:
        shown = [name for name in names if name in results[case][0]]
        for i, name in enumerate(shown):
            height = ratio(results[case][0], name, "floor")[0]
            label = None if name in drawn else name
            ax.bar(left + i, height, 1, label=label, color=colours[name], edgecolor="white", linewidth=0.5)
        drawn |= set(shown)
        middles.append(left + (len(shown) - 1) / 2)
        left += len(shown) + 1.2
    ax.axhline(1, color="black", linewidth=1)
    ax.set_xticks(middles, cases)
    ax.tick_params(axis="x", length=0)
    ax.set(
        ylabel="time / time of the matrix products",
        title="a step of training, and a prediction; 1 is the floor",
        ylim=(0, 3.6),
    )
    ax.legend(fontsize=8, ncols=4)
    figure.savefig(path, dpi=120)
