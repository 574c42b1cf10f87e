"""What more ranks would bring, from a few measured figures: step = products + update + sum.

    python benchmarks/scaling.py MEASURED.json [MORE.json]    what benchmarks/distributed.py --out has written

A rank's products take time in proportion to its rows; the optimizer's update is done whole by every rank; the gradients
of all are summed once a step, which of n bytes over k ranks takes

    ring:  2 (k - 1) latency + 2 (k - 1) / k  n / bandwidth      (Patarasuk and Yuan, 2009)
    tree:  2 ceil(log2 k) (latency + n / bandwidth)

whichever is less. Latency and bandwidth are fitted to the sums that were measured; for networks between machines they
are the makers' figures.
"""

import argparse
import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from distributed import CASES


class Link(NamedTuple):
    """What joins the ranks: seconds a message, and bytes a second."""

    latency: float
    bandwidth: float

    def seconds(self, n_bytes, ranks):
        """Of the sum of so many bytes over the ranks."""
        if ranks == 1:
            return 0.0
        ring = 2 * (ranks - 1) * self.latency + 2 * (ranks - 1) / ranks * n_bytes / self.bandwidth
        tree = 2 * math.ceil(math.log2(ranks)) * (self.latency + n_bytes / self.bandwidth)
        return min(ring, tree)


class Machine(NamedTuple):
    """Seconds of the products of one row, and of the update."""

    row: float
    update: float

    def step(self, rows, ranks, n_bytes, link, shared=1.0):
        """Seconds of a step of the whole batch; what the ranks share makes all but the sums so much slower."""
        return shared * (self.row * rows / ranks + self.update) + link.seconds(n_bytes, ranks)


LINKS = {  # seconds, bytes a second: what one gets of the nominal rate is 80 to 95 %
    "10 Gb Ethernet (TCP)": Link(30e-6, 1.1e9),
    "100 Gb InfiniBand": Link(3e-6, 11e9),
    "NVLink 4, H100 (NCCL)": Link(10e-6, 360e9),
}


def n_params(case):
    return sum(a * b + b for a, b in zip(case.units[:-1], case.units[1:], strict=True))


def fitted_link(measured):
    """Latency and bandwidth that fit the measured sums best, in relative error."""
    k = measured["ranks"]
    n, seconds = np.asarray([[float(a), b * 1e-6] for a, b in measured["sum_us"].items()]).T
    table = np.stack([np.full_like(n, 2 * (k - 1)), 2 * (k - 1) / k * n], axis=1) / seconds[:, None]
    (latency, inverse), *_ = np.linalg.lstsq(table, np.ones_like(n))
    return Link(max(latency, 1e-7), 1 / inverse)


def machine_of(measured, name):
    """The figures of a case, from one process alone with two sizes of batches."""
    rows, ways, k = CASES[name].rows, measured["cases"][name], measured["ranks"]
    one, more = ways["1 process"][0] * 1e-3, ways[f"1 process, {k} x rows"][0] * 1e-3
    row = (more - one) / (rows * (k - 1))
    return Machine(row, max(0.0, one - row * rows))


def check(measured, name, machine, link):
    """Predicted and measured ms of the ranks' step, with the same batch and with as much a rank.

    The ranks of one machine share its memory and its cores: how much slower that makes each is measured apart, without
    sums.
    """
    case, ways, k = CASES[name], measured["cases"][name], measured["ranks"]
    shared = ways[f"{k} processes, apart"][0] / ways["1 process"][0]
    for way, rows in (("strong", case.rows), ("weak", case.rows * k)):
        predicted = machine.step(rows, k, 4 * n_params(case), link, shared) * 1e3
        seen = ways[f"{k} processes, {way}"][0]
        print(f"  {name:16}{k} ranks, {way:8}{predicted:9.2f} predicted{seen:9.2f} ms measured{predicted / seen:7.2f}")


def predict(name, machine, links, ranks=(2, 4, 8, 16, 64, 256, 1024)):
    case = CASES[name]
    n_bytes, one = 4 * n_params(case), machine.step(case.rows, 1, 0, Link(0, 1))
    print(f"\n{name}: {case.rows} rows, {n_bytes / 1e6:.2f} MB, 1 rank {one * 1e3:.2f} ms a step")
    print(f"  {'efficiency, ' + str(case.rows) + ' rows a rank':34}" + "".join(f"{k:>8}" for k in ranks))
    for label, link in links.items():
        weak = [one / machine.step(case.rows * k, k, n_bytes, link) for k in ranks]
        print(f"  {label:34}" + "".join(f"{e:>8.0%}" for e in weak))
    print(f"  {'times as fast, the same batch':34}" + "".join(f"{k:>8}" for k in ranks))
    for label, link in links.items():
        strong = [one / machine.step(case.rows, k, n_bytes, link) for k in ranks]
        print(f"  {label:34}" + "".join(f"{s:>8.1f}" for s in strong))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", nargs="+", type=Path)
    measured = [json.loads(path.read_text()) for path in parser.parse_args().measured]
    first = measured[0]
    print("checked against what was measured")
    for each in measured:
        link = fitted_link(each)
        print(f"  {each['ranks']} ranks: {link.latency * 1e6:.1f} us, {link.bandwidth / 1e9:.1f} GB/s between them")
        for name in each["cases"]:
            check(each, name, machine_of(each, name), link)
    for name in first["cases"]:
        predict(name, machine_of(first, name), {"this machine's memory": fitted_link(first), **LINKS})


if __name__ == "__main__":
    main()
