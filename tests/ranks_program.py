"""What the processes run that tests/distributed/test_mpi.py starts: ``mpiexec -n 3 python -m mpi4py ranks_program.py
fit numpy model.npz``.
"""

import importlib
import os
import signal
import sys

import numpy as np

import xdfn
from xdfn import DFN, Callback


class Event(Callback):
    """What happens to rank 1 in the third epoch."""

    def __init__(self, comm, event):
        self.comm, self.event = comm, event

    def on_epoch_end(self, model, values):
        if self.comm.rank == 1 and len(model.history["loss"]) == 3:
            if self.event == "callback":
                raise RuntimeError("boom")
            if self.event == "interrupt":
                raise KeyboardInterrupt
            if self.event == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            model.stop_training = self.event == "stop"


class Broken(Event):
    def on_batch_end(self, model, batch, n_batches, loss):
        if self.comm.rank == 1 and self.event == "batch" and len(model.history["loss"]) == 2:
            raise MemoryError("no room")


def main(event, library="numpy", path=None):
    comm = xdfn.distributed.mpi()
    rng = np.random.default_rng(0)
    X, y = map(importlib.import_module(library).asarray, (rng.normal(size=(203, 5)), rng.integers(0, 3, 203)))
    model = DFN(layers=[8, "dropout(0.2)", 3], optimizer="adam(lr=0.01)", seed=0)
    if event == "fit":
        model.fit(X, y, 4, 16, verbose=None, validation_fraction=0.2, metrics="accuracy", comm=comm)
        if comm.rank == 0:
            model.save(path)
        return
    callbacks = [Broken(comm, event) if event == "batch" else Event(comm, event)]
    model.fit(X, y, 100_000, 16, verbose=None, comm=comm, callbacks=callbacks)
    sys.stdout.write(f"{len(model.history['loss'])}\n")  # one write, which other ranks cannot cut


if __name__ == "__main__":
    main(*sys.argv[1:])
