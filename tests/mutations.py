"""Damaged files: saved models, each changed at random. ``python tests/mutations.py 10000 [SEED]`` tries so many of them
and says what became of them; tests/contracts/test_fuzz_files.py tries some.
"""

import collections
import contextlib
import copy
import hashlib
import io
import json
import sys
import tempfile
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np

from xdfn import DFN, BatchNorm, Callback, Dropout, Embedding, FullyConnected, Maxout, Residual

rng0 = np.random.default_rng(5)
X = np.concatenate([rng0.normal(size=(24, 3)), rng0.integers(0, 4, (24, 1))], axis=1)
Y = rng0.integers(0, 3, 24)
FIT = {"batch_size": 8, "verbose": None}


class Save(Callback):
    """Save after an epoch, so that the file remembers the callbacks."""

    late = True

    def __init__(self, path):
        self.path = path

    def on_epoch_end(self, model, values):
        model.save(self.path)


def originals(folder, suffix):
    """Files of models that differ in what they hold, and what a fit of each comes to."""
    layers = [
        Embedding({3: 4}, 2), FullyConnected(5, "tanh", "he_normal"), BatchNorm(),
        Residual([FullyConnected(5), Dropout(0.2)]), Maxout(4, 2),
        FullyConnected(3, "affine", "he_normal", "sgd('cosine(0.1, 12)')"),
    ]  # fmt: skip
    models = [
        DFN(layers=layers, optimizer="adam(0.01)", ema=0.9, clip_norm=1.0, seed=2),
        DFN(layers=[4, 3], optimizer="momentum(0.1, 0.9)", seed=1),
    ]
    for i, model in enumerate(models):
        path = Path(folder) / f"original{i}{suffix}"
        model.fit(X, Y, 2, callbacks=[callback("loss"), Save(str(path))], **FIT)
        yield path, outcome(DFN.load(path))


def callback(monitor):
    return f"early_stopping({monitor!r}, patience=4)"


def outcome(model):
    """What it answers now and after an epoch more."""
    before = model.predict_proba(X)
    weights = {
        (a, b): np.array(x) for a, layer in model.layers.items() for b, x in {**layer.params, **layer.buffers}.items()
    }
    model.fit(X, Y, 1, callbacks=[callback("loss")], **FIT)
    return before, model.predict_proba(X), {name: list(v) for name, v in model.history.items()}, weights


# -- mutations of the bytes --


def truncate(data, rng):
    return data[: rng.integers(0, len(data))]


def flip(data, rng):
    changed = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        changed[rng.integers(len(changed))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def splice(data, rng):
    a, b, n = rng.integers(0, len(data), 3)
    return data[:a] + data[b : b + n % 200] + data[a:]


# -- mutations of what the file says; the checksum is made anew or not --

STRANGE = [
    None, True, 0, -1, 1.5, 2**70, 10**400, 1e308, float("nan"), float("inf"), "", "abc", "x" * 20_000,
    "a" + " " * 5000 + "!", "adam(lr=1)", "FullyConnected(n_out=1000000000)",
    "Maxout(n_out=6, n_pieces=1000000000)", [], [1], {}, {"a": 1}, [[]] * 3,
    "__import__('os').system('touch hacked')", "float16", "int8", "sum", "complex64", "object",
]  # fmt: skip


def paths_in(tree, prefix=()):
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield (*prefix, name)
            yield from paths_in(value, (*prefix, name))
    elif isinstance(tree, list):
        for i, value in enumerate(tree):
            yield (*prefix, i)
            yield from paths_in(value, (*prefix, i))


def change_field(meta, rng):
    paths = list(paths_in(meta))
    path = paths[rng.integers(len(paths))]
    parent = meta
    for step in path[:-1]:
        parent = parent[step]
    kind = rng.integers(4)
    if kind == 0:
        del parent[path[-1]]
    elif kind == 1 and isinstance(parent, dict):
        parent[f"{path[-1]}2"] = parent.pop(path[-1])
    elif kind == 2 and isinstance(parent[path[-1]], (int, float)) and not isinstance(parent[path[-1]], bool):
        parent[path[-1]] += int(rng.integers(-2, 3))
    else:
        parent[path[-1]] = copy.deepcopy(STRANGE[rng.integers(len(STRANGE))])


def change_arrays(arrays, rng):
    names = sorted(arrays)
    name = names[rng.integers(len(names))]
    x = arrays[name]
    kind = rng.integers(10)
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        arrays[f"{name}{'/a' * int(rng.integers(1, 40))}"] = x
    elif kind == 2:
        arrays[name.replace("1", "2")] = arrays.pop(name)
    elif kind == 3:
        arrays[name] = x.T
    elif kind == 4:
        arrays[name] = x.reshape(-1)
    elif kind == 5:
        arrays[name] = x.astype(["f2", "f4", "i4", "c16", "U8", "?"][rng.integers(6)])
    elif kind == 6:
        arrays[name] = np.where(rng.random(x.shape) < 0.3, [np.nan, np.inf][rng.integers(2)], x)
    elif kind == 7:
        arrays[name] = np.zeros((0, *x.shape))
    elif kind == 8:
        arrays[f"extra/{rng.integers(9)}"] = np.zeros(int(rng.integers(1, 1000)))
    else:
        arrays[name] = x + rng.normal(size=x.shape)


def npz(arrays, meta, rng):
    file, text = io.BytesIO(), json.dumps(meta).encode()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if rng.random() < 0.1 else zipfile.ZIP_STORED) as archive:
        for name, x in {"xdfn.json": np.frombuffer(text, np.uint8), **arrays}.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(x))
            archive.writestr(f"{name}.npy", member.getvalue())
    return file.getvalue()


def safetensors(arrays, meta, rng):
    import zlib

    from safetensors.numpy import save

    tensors = {name: np.ascontiguousarray(x) for name, x in arrays.items() if x.dtype.kind in "fiub"}
    sums = {name: zlib.crc32(x.tobytes()) for name, x in tensors.items()} if rng.random() < 0.8 else {}
    return save(tensors, {"xdfn.json": json.dumps(meta), "crc32": json.dumps(sums)})


def bomb(data, rng):
    """A hundred megabytes of zeros that take little room."""
    file = io.BytesIO(data)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("params/FC9/W.npy", bytes(100_000_000))
    return file.getvalue()


def deep(data, rng):
    file = io.BytesIO(data)
    with zipfile.ZipFile(file, "a") as archive:
        member = io.BytesIO()
        np.lib.format.write_array(member, np.zeros(1))
        archive.writestr(f"callbacks/0{'/a' * 3000}/W.npy", member.getvalue())
    return file.getvalue()


def contents(path):
    if path.suffix == ".npz":
        with np.load(path) as file:
            arrays = dict(file)
        return arrays, json.loads(arrays.pop("xdfn.json").tobytes())
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["xdfn.json"])  # noqa: SIM118


def mutate(path, rng):
    """The bytes of a changed file, and what was done to it."""
    data = path.read_bytes()
    kind = rng.integers(20)
    if kind < 3:
        change = (truncate, flip, splice)[kind]
        return change(data, rng), change.__name__
    if kind == 3 and path.suffix == ".npz" and rng.random() < 0.2:
        change = (bomb, deep)[rng.integers(2)]
        return change(data, rng), change.__name__
    arrays, meta = contents(path)
    done = []
    for _ in range(rng.integers(1, 3)):
        if rng.random() < 0.6:
            change_field(meta, rng)
            done.append("field")
        else:
            change_arrays(arrays, rng)
            done.append("array")
    if rng.random() < 0.7:  # by one who knows how
        meta.pop("sha256", None)
        if isinstance(meta.get("arrays"), dict) and rng.random() < 0.8:
            meta["arrays"] = {name: [str(x.dtype), *x.shape] for name, x in arrays.items()}
        meta = {"sha256": hashlib.sha256(json.dumps(meta).encode()).hexdigest(), **meta}
        done.append("signed")
    elif rng.random() < 0.3:  # as a file of before
        meta.pop("sha256", None)
        meta.pop("arrays", None)
        done.append("unsigned")
    return (npz if path.suffix == ".npz" else safetensors)(arrays, meta, rng), "+".join(done)


def attempt(path, expected):
    """What becomes of a file: "refused", or that it loads, and how it goes on. Anything else is an AssertionError."""
    size = path.stat().st_size
    tracemalloc.start()
    try:
        model = DFN.load(path)
    except (ValueError, OSError) as error:
        assert path.name in str(error), f"the error does not name the file: {error}"
        return "refused"
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= 3 * size + 20_000_000, f"{peak} bytes for a file of {size}"
    try:
        found = outcome(model)
    except (ValueError, FloatingPointError) as error:
        assert str(error)
        return "loads, and says what is wrong when it is used"
    weights = found[3]
    if weights.keys() == expected[3].keys() and all(np.array_equal(weights[k], expected[3][k]) for k in weights):
        same = (
            all(np.array_equal(a, b) for a, b in zip(found[:2], expected[:2], strict=True)) and found[2] == expected[2]
        )
        return (
            "loads, and goes on as the original"
            if same
            else "loads, has the weights of the original, goes on otherwise"
        )
    return "loads with other weights"


def run(folder, suffix, n, seed):
    rng, results = np.random.default_rng(seed), collections.Counter()
    files = list(originals(folder, suffix))
    for i in range(n):
        path, expected = files[i % len(files)]
        data, done = mutate(path, rng)
        changed = Path(folder) / f"changed{suffix}"
        changed.write_bytes(data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = attempt(changed, expected)
        except Exception as error:
            kept = Path(tempfile.gettempdir()) / f"mutation-{seed}-{i}{suffix}"
            kept.write_bytes(data)
            raise AssertionError(f"mutation {i} of seed {seed} ({done}), kept as {kept}: {error!r}") from error
        results[result] += 1
        # but for other numbers in its arrays, and for one who knows how to make another file of it
        if "array" not in done and not done.endswith("signed"):
            assert result in ("refused", "loads, and goes on as the original"), f"mutation {i} of seed {seed}: {done}"
    return results


if __name__ == "__main__":
    count = int(sys.argv[1])
    for kind in (".npz", ".safetensors"):
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            for result, times in sorted(run(folder, kind, count, int(sys.argv[2]) if len(sys.argv) > 2 else 0).items()):
                print(f"{kind:12} {times:6} {result}")
            assert not list(Path(folder).glob("hacked*"))
