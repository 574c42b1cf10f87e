"""What several processes bring on one machine: strong and weak scaling beside one process with as many threads.

    python benchmarks/distributed.py [--ranks 2] [--rounds 5] [--out FILE]   starts mpiexec by itself

All ways take turns within each round, so neighbours' load falls on all of them; figures are medians over the rounds.
The ranks that have nothing to do sleep.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

import xdfn
from xdfn import DFN

SIZES = [2**k for k in range(2, 25, 2)]  # bytes of the sums that are timed alone


class Case(NamedTuple):
    """A network and its batch, of one rank."""

    units: tuple
    optimizer: str
    rows: int
    steps: int


CASES = {
    "big, Adam": Case((784, 2048, 2048, 10), "adam", 512, 16),
    "big, SGD": Case((784, 2048, 2048, 10), "sgd", 512, 16),
    "small, Adam": Case((784, 200, 10), "adam", 512, 40),
    "small, 64 rows": Case((784, 200, 10), "adam", 64, 100),
}


class Timed:
    """A communicator that notes the seconds of its sums."""

    def __init__(self, comm):
        self.comm, self.rank, self.size, self.seconds = comm, comm.rank, comm.size, 0.0
        self.broadcast, self.abort = comm.broadcast, comm.abort

    def sum(self, x):
        start = time.perf_counter()
        self.comm.sum(x)
        self.seconds += time.perf_counter() - start


def asleep_until_all_come(comm):
    request = comm.Ibarrier()
    while not request.Test():
        time.sleep(0.005)


def seconds_a_step(case, size, comm=None):
    """Seconds of a step, and those of its sums, by way of fits of one epoch; the first one warms up."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(size * case.steps, case.units[0])).astype("f4")
    y = rng.integers(0, case.units[-1], len(X))
    model = DFN(layers=[*case.units[1:]], optimizer=case.optimizer, seed=0)
    model.fit(X[:size], y[:size], 1, size, None, comm=comm)
    timed = Timed(comm) if comm is not None else None
    start = time.perf_counter()
    model.fit(X, y, 1, size, None, comm=timed, check_input=False)
    return (time.perf_counter() - start) / case.steps, (timed.seconds if timed else 0.0) / case.steps


def measure(case, world, comm):
    """One round of all ways; on rank 0 what each took."""
    from mpi4py import MPI
    from threadpoolctl import threadpool_limits

    found, k, rows = {}, comm.size, case.rows
    ways = {  # threads, rows of the batch, who takes part
        "1 process": (1, rows, "one"),
        f"1 process, {k} x rows": (1, rows * k, "one"),
        f"1 process, {k} threads": (k, rows, "one"),
        f"1 process, {k} threads, {k} x rows": (k, rows * k, "one"),
        f"{k} processes, apart": (1, rows, "apart"),  # each trains a network of its own
        f"{k} processes, strong": (1, rows, "together"),
        f"{k} processes, weak": (1, rows * k, "together"),
    }
    for name, (threads, size, who) in ways.items():
        asleep_until_all_come(world)
        if who != "one" or comm.rank == 0:
            with threadpool_limits(threads):
                step, sums = seconds_a_step(case, size, comm if who == "together" else None)
            if who == "together":  # the rank that comes last does not wait, so the least is the sum's own time
                sums = world.allreduce(sums, MPI.MIN)
            found[name] = step, sums
    return found


def time_sums(comm):
    """Microseconds of a sum by its bytes: the least of the ranks, the median of the trials."""
    from mpi4py import MPI

    table = {}
    for n in SIZES:
        x, trials = np.zeros(n // 4, "f4"), []
        for _ in range(30 if n < 2**22 else 9):
            comm.comm.Barrier()
            start = time.perf_counter()
            comm.sum(x)
            trials.append(comm.comm.allreduce(time.perf_counter() - start, MPI.MIN))
        table[n] = statistics.median(trials) * 1e6
    return table


def work(rounds, out, only):
    from mpi4py import MPI
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        world, comm = MPI.COMM_WORLD, xdfn.distributed.mpi()
    results = {"ranks": comm.size, "cores": len(os.sched_getaffinity(0)), "sum_us": time_sums(comm), "cases": {}}
    for name, case in CASES.items():
        if only not in (None, name):
            continue
        turns = [measure(case, world, comm) for _ in range(rounds)]
        if comm.rank == 0:
            results["cases"][name] = {
                way: [statistics.median(t[way][i] for t in turns) * 1e3 for i in (0, 1)] for way in turns[0]
            }
    if comm.rank == 0:
        report(results)
        if out:
            Path(out).write_text(json.dumps(results, indent=1) + "\n")


def report(results):
    k = results["ranks"]
    print(f"{k} processes, {results['cores']} cores; ms a step, medians\n")
    for name, ways in results["cases"].items():
        one, strong, weak = ways["1 process"][0], ways[f"{k} processes, strong"], ways[f"{k} processes, weak"]
        apart, threads = ways[f"{k} processes, apart"][0], ways[f"1 process, {k} threads"][0]
        case = CASES[name]
        n_params = sum(a * b + b for a, b in zip(case.units[:-1], case.units[1:], strict=True))
        print(f"{name}: {'-'.join(map(str, case.units))}, {case.rows} rows, {4e-6 * n_params:.2f} MB a sum")
        for way, (step, sums) in ways.items():
            print(f"  {way:32}{step:9.2f}" + (f"   of it the sum {sums:6.3f} ({sums / step:.1%})" if sums else ""))
        print(
            f"  strong: {one / strong[0]:.2f} times as fast, threads {one / threads:.2f} times; weak: {k} processes at "
            f"{one / weak[0]:.0%} each, apart {one / apart:.0%}\n"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out")
    parser.add_argument("--case", choices=CASES, help="this one alone")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(given.rounds, given.out, given.case)
        return
    mpiexec = shutil.which("mpiexec", path=f"{sys.prefix}/bin") or shutil.which("mpiexec")
    if mpiexec is None:
        sys.exit("benchmarks/distributed.py needs mpiexec: pip install mpi4py mpich")
    more = [f"--{name}={value}" for name in ("out", "case") if (value := getattr(given, name))]
    command = [mpiexec, "-n", str(given.ranks), sys.executable, "-m", "mpi4py", __file__, "--worker"]
    # not with OPENBLAS_NUM_THREADS=1, which would be the most that threads can be set to
    sys.exit(subprocess.run([*command, "--rounds", str(given.rounds), *more], check=False).returncode)


if __name__ == "__main__":
    main()
