"""
MNIST on several processes
==========================

Started by ``OPENBLAS_NUM_THREADS=1 mpiexec -n 2 python -m mpi4py examples/distributed_mnist.py``.

Every rank sees all rows and takes its share of each batch; rank 0 prints. ``--own`` gives each rank rows of its own.
"""

import argparse
import time

import xdfn
from xdfn import DFN, load_mnist


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--batch-size", type=int, default=512, help="of the whole batch")
    parser.add_argument("--own", action="store_true", help="each rank brings rows of its own")
    given = parser.parse_args(arguments)
    comm = xdfn.distributed.mpi()
    (X, y), test = load_mnist()
    X, y = X[: given.rows], y[: given.rows]
    if given.own:
        X, y = X[comm.rank :: comm.size], y[comm.rank :: comm.size]
    model = DFN(layers=[512, "dropout(0.2)", 512, "dropout(0.2)", 10], optimizer="adam(lr=2e-3)", seed=0)
    start = time.perf_counter()
    rows = "own" if given.own else "all"
    model.fit(X, y, given.epochs, given.batch_size, 2, comm=comm, rows=rows, validation_data=test, metrics="accuracy")
    if comm.rank == 0:
        seconds, accuracy = time.perf_counter() - start, model.history["val_accuracy"][-1]
        print(f"test accuracy {accuracy:.4f} after {given.epochs} epochs, {seconds:.1f} s on {comm.size} processes")


if __name__ == "__main__":
    main()
