"""A run of everything, killed again and again by signal 9 at random moments, and started again by the same line.
``python tests/kills.py 1000 [SEED]`` does it a thousand times; tests/test_fitting.py a hundred.
"""

import copy
import os
import random as dice
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

from xdfn import (
    DFN,
    BatchNorm,
    Checkpoint,
    CSVLog,
    Dropout,
    EarlyStopping,
    Embedding,
    FullyConnected,
    GaussianNoise,
    LayerNorm,
    Maxout,
    PReLU,
    Residual,
)

N = 70


def data(backend=None):
    rng = np.random.default_rng(3)
    X = np.concatenate([rng.normal(size=(N, 4)), rng.integers(0, 3, (N, 1))], axis=1)
    y = rng.integers(0, 3, N)
    return (X, y) if backend is None else (backend.array(X, "float32"), backend.array(y))


def everything(seed=0):
    layers = [
        Embedding({4: 3}, 2), GaussianNoise(0.1), FullyConnected(8, "tanh", regularizer="l2(0.01)"), BatchNorm(),
        Residual([FullyConnected(8, "silu"), Dropout(0.3), LayerNorm()]), Maxout(6, 2), PReLU(), Dropout(0.2),
        FullyConnected(3, "affine", "he_normal", "sgd('cosine(0.1, 40)')", constraint="max_norm(2)"),
    ]  # fmt: skip
    return DFN(layers=layers, optimizer="adam(lr='one_cycle(0.02, 40)')", ema=0.9, clip_norm=1.0, seed=seed)


def bits(model, backend=None):
    """All that a model is, as bytes."""
    numpy = np.asarray if backend is None else backend.numpy
    memory = model._memory
    arrays = {
        f"{name}/{key}": numpy(x).tobytes()
        for name, layer in model.layers.items()
        for key, x in {**layer.params, **layer.buffers}.items()
    }
    for tree in (memory.slots, memory.averages):
        for name, of_layer in tree.items():
            for key, x in of_layer.items():
                for slot, value in x.items() if isinstance(x, dict) else [("", x)]:
                    arrays[f"memory/{name}/{key}/{slot}"] = numpy(value).tobytes()
    return arrays, copy.deepcopy(model.history), memory.step, memory.epoch, memory.batch


def text_of(path):
    with open(path) as file:
        return file.read()


FIT = {"batch_size": 16, "verbose": None, "validation_fraction": 0.2, "class_weight": "balanced"}


def start(path, log, shown):
    """A run of a few hundred batches, as a process of its own; its number."""
    child = os.fork()
    if child:
        return child
    failed = True
    try:
        X, y = data()
        callbacks = [CSVLog(log), EarlyStopping("val_loss", patience=4), Checkpoint(path, every="2 batches")]
        model = everything().fit(X, y, 12, **FIT, callbacks=callbacks, resume=path)
        model.save(shown)
        failed = False
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(failed)


def wait(child):
    """The end of a run, which was killed or went well."""
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0


def kill(folder, kills, seed):
    path, log, shown = (str(folder / name) for name in ("m.npz", "log.csv", "shown.npz"))
    begin = time.perf_counter()
    wait(start(path, log, shown))
    length = time.perf_counter() - begin
    whole, lines = bits(DFN.load(shown)), text_of(log)
    assert lines.count("\n") == 1 + len(whole[1]["loss"])
    rng, done, trials = dice.Random(seed), 0, 0
    while done < kills:
        for name in (path, log, shown):
            if os.path.exists(name):
                os.remove(name)
        trials += 1
        while not os.path.exists(shown):
            child = start(path, log, shown)
            time.sleep(rng.uniform(0, 0.5 * length))
            if done < kills and not os.path.exists(shown):
                os.kill(child, signal.SIGKILL)
                done += 1
            wait(child)
            if os.path.exists(path):
                DFN.load(path)  # whole, whenever it was killed
        assert bits(DFN.load(shown)) == whole, f"seed {seed}, trial {trials}"
        assert text_of(log) == lines, f"seed {seed}, trial {trials}"
    return trials


if __name__ == "__main__":
    count, chance = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory() as folder:
        trials = kill(Path(folder), count, chance)
        print(f"{count} kills in {trials} runs: all ended with the bits of the one that was let alone")
