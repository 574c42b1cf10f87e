"""
MNIST on a Dask cluster
=======================

The workers of a Dask cluster train one network. Here they are processes of this machine; ``--scheduler tcp://...``
takes another cluster.

The rows lie on the workers, in blocks; each worker takes its share of every batch. ``--many`` fits four networks at
once instead, one a worker, which needs no sums.
"""

import argparse
import time

import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster

import xdfn.dask
from xdfn import DFN, load_mnist


def network(seed=0, rate=2e-3):
    return DFN(layers=[512, "dropout(0.2)", 10], optimizer=f"adam(lr={rate})", seed=seed)


def on_workers(client, x, n_blocks):
    """An array of Dask, whose blocks lie on the workers; one reads files there instead, as `da.from_zarr` does."""
    blocks = np.array_split(x, n_blocks)
    futures = client.scatter(blocks)
    return da.concatenate([da.from_delayed(f, b.shape, b.dtype) for f, b in zip(futures, blocks, strict=True)])


def fitted(rate, X, y, X_val, y_val, n_epochs):
    """A network of its own, and its accuracy: what one of many tasks does."""
    model = network(rate=rate).fit(X, y, n_epochs, 512, verbose=None)
    return model, float((model.predict(X_val) == y_val).mean())


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scheduler", help="address of a cluster's scheduler")
    parser.add_argument("--many", action="store_true", help="fit networks of four learning rates at once")
    given = parser.parse_args(arguments)
    (X, y), (X_test, y_test) = load_mnist()
    X, y = X[: given.rows], y[: given.rows]
    cluster = given.scheduler or LocalCluster(given.workers, threads_per_worker=1, dashboard_address=":0")
    with Client(cluster) as client:
        start = time.perf_counter()
        if given.many:
            data = client.scatter([X, y, X_test, y_test], broadcast=True)
            rates = [5e-4, 1e-3, 2e-3, 4e-3]
            tasks = [client.submit(fitted, rate, *data, given.epochs) for rate in rates]
            accuracy, rate = max(
                (accuracy, rate) for rate, (_, accuracy) in zip(rates, client.gather(tasks), strict=True)
            )
            print(f"best of {len(rates)}: rate {rate}, ", end="")
        else:
            n = 4 * given.workers
            dX, dy = on_workers(client, X, n), on_workers(client, y, n)
            model = xdfn.dask.fit(network(), dX, dy, given.epochs, 512, client=client)
            hits = xdfn.dask.predict(model, on_workers(client, X_test, n)) == on_workers(client, y_test, n)
            accuracy = float(hits.mean().compute())
        print(f"test accuracy {accuracy:.4f} after {given.epochs} epochs, {time.perf_counter() - start:.1f} s")
    if given.scheduler is None:
        cluster.close()


if __name__ == "__main__":
    main()
