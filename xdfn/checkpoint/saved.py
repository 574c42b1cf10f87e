"""What a model's file holds: its arrays under readable names and, as JSON, all that is not an array. No pickle, and no
word of the file is believed unchecked, so that a file from elsewhere can do no harm.
"""

import contextlib
import hashlib
import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from xdfn.backend import HOST, Host, Place, put, random, to_numpy, to_place
from xdfn.checkpoint import checks, safetensors
from xdfn.checkpoint.checks import DamagedError, Shape, expect
from xdfn.checkpoint.npz import NpzFile, write_npz
from xdfn.core.tree import Tree, flatten, merge_arrays, split_arrays, unflatten
from xdfn.core.writer import write_whole
from xdfn.nn.initializers import shapes_only
from xdfn.nn.layers.base import LayerBase, layers, named
from xdfn.nn.losses import ObjectiveBase, losses
from xdfn.nn.network import all_layers
from xdfn.notebook import accept_params, makes_own_params
from xdfn.train.memory import Memory, TrainedParams

FORMAT = 1
_STATE = {  # the names that format 1 has for the fields of Memory
    "_seed": "seed",
    "_step": "step",
    "_epoch": "epoch",
    "_since": "provenance",
    "_real": "dtype",
    "_flat_targets": "flat_targets",
}
_LATER = {"_stopped": "stopped", "_batch": "batch", "_epoch_of": "epoch_of"}  # files of before have none of these
_DIGEST = "sha256"
_RENAMED = re.compile(r"^(Checkpoint\(.*)monitor=")  # in files of 0.1.0


class Saved(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    given : arguments of the model beside its layers and its loss
    layers : by name, with their parameters
    loss : ObjectiveBase
    memory : Memory
    history : dict of lists
    """

    given: dict[str, Tree]
    layers: dict[str, LayerBase]
    loss: ObjectiveBase
    memory: Memory
    history: dict[str, list[float]]


class Contents(NamedTuple):
    """A file as it is written: arrays by name, and a text."""

    arrays: dict[str, Host]
    text: str


def save(path: str | bytes | os.PathLike[str], model: Saved) -> None:
    """Write all that makes a model go on where it stands; as `.safetensors` if the name ends so.

    Raises
    ------
    ValueError
        A part that no string makes again.
    """
    contents = contents_of(model)
    if is_safetensors(path):
        write_whole(path, lambda file: safetensors.write(file, contents.arrays, contents.text))
    else:
        write_whole(path, lambda file: write_npz(file, contents.arrays, contents.text))


def is_safetensors(path: str | bytes | os.PathLike[str]) -> bool:
    return os.fsdecode(path).endswith(".safetensors")


def contents_of(model: Saved) -> Contents:
    specs, of_layers = specs_of(model.layers), model.layers.items()
    if losses.resolve(str(model.loss)) != model.loss:
        raise ValueError(
            f"cannot save the loss: {model.loss} does not make an equal one; its constructor must keep its "
            "arguments, numbers or lists of them, in attributes of the same names"
        )
    state = model.memory.state_dict()
    callbacks = [(name, *split_arrays(remembered)) for name, remembered in state["callbacks"].items()]
    tree = {
        "params": {name: dict(layer.params) for name, layer in of_layers},
        "buffers": {name: layer.buffers for name, layer in of_layers},
        "slots": state["slots"],
        "averages": state["averages"],
        "callbacks": {str(i): arrays for i, (_, arrays, _) in enumerate(callbacks)},
        "sums": state["sums"],
    }
    arrays = {name: to_numpy(x) for name, x in flatten(tree)}
    meta = {
        "format": FORMAT,
        "given": model.given,
        "layers": specs,
        "inherits": {name: layer.inherits for name, layer in of_layers},
        "frozen": [i for i, layer in enumerate(all_layers(list(model.layers.values()))) if not layer.trainable],
        "loss": str(model.loss),
        "sizes": {name: [layer.n_in, layer.n_out] for name, layer in of_layers if layer.is_initialized},
        "state": {in_file: state[name] for in_file, name in (_STATE | _LATER).items()},
        "history": {name: [float(value) for value in values] for name, values in model.history.items()},
        "callbacks": [[name, others] for name, _, others in callbacks],
        "arrays": {name: [str(x.dtype), *x.shape] for name, x in arrays.items()},
    }
    text = json.dumps(meta)
    return Contents(arrays, json.dumps({_DIGEST: _digest(text), **meta}))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def load(path: str | bytes | os.PathLike[str], where: Place) -> Saved:
    """What `save` wrote, with its arrays at that place.

    Raises
    ------
    ValueError
        The file is not one that `save` made, was made by a later version, or is damaged.
    OSError
        It cannot be read.
    """
    name = os.fsdecode(path)
    with _refusing(name):
        file = safetensors.SafetensorsFile(name) if is_safetensors(name) else NpzFile(name)
    with file:
        with _refusing(name):
            meta = json.loads(file.text)
            version = meta["format"]
        if version != FORMAT:
            raise ValueError(f"{name!r} has format {version!r:.20}, this version of xdfn reads {FORMAT}; upgrade xdfn")
        with damage(name):
            return _Loading(file, meta, where).saved()


class _Loading:
    """Makes a model of a file, piece by piece, each checked before it is made."""

    def __init__(self, file: "NpzFile | safetensors.SafetensorsFile", meta: Tree, where: Place) -> None:
        self.file, self.meta, self.where = file, meta, where
        digest = meta.pop(_DIGEST, None)
        self.listed = meta.get("arrays")  # None in files of before
        if self.listed is not None or digest is not None:
            expect(digest == _digest(json.dumps(meta)), "the text", "the one that its checksum is of", "another")
        checks.check_meta(meta)
        self.entries = file.entries
        self.n_numbers = sum(_product(entry.shape) for entry in self.entries.values())
        if self.listed is not None:
            listed = {name: [str(entry.dtype), *entry.shape] for name, entry in self.entries.items()}
            apart = sorted(
                name for name in listed.keys() | self.listed.keys() if listed.get(name) != self.listed.get(name)
            )
            where_apart = apart[0] if apart else ""
            expect(not apart, f"array {where_apart!r}", f"{self.listed.get(where_apart)}", listed.get(where_apart))

    def saved(self) -> Saved:
        loaded, meta = self._layers(), self.meta
        return Saved(
            meta["given"], loaded, losses.resolve(meta["loss"]), self._memory(loaded), meta["history"],
        )  # fmt: skip

    def _layers(self) -> dict[str, LayerBase]:
        meta = self.meta
        made = {name: layers.resolve(spec) for name, spec in meta["layers"].items()}
        for layer in made.values() if meta["sizes"] else ():
            checks.check_size(layer, self.n_numbers)
        loaded = dict(zip(made, named(list(made.values())).values(), strict=True))
        for name, layer in loaded.items():
            if meta["inherits"][name]:
                layer.inherit(layer.optimizer)
        everyone = all_layers(list(loaded.values()))
        for i in meta.get("frozen", []):
            expect(i < len(everyone), "frozen", f"numbers below {len(everyone)}", i)
            everyone[i].trainable = False
        checks.check_chain(loaded, meta["sizes"], max(self.n_numbers, self._widest()))
        self._read(loaded)
        for name, (n_in, n_out) in meta["sizes"].items():
            layer = loaded[name]
            layer.params = TrainedParams(self.tree["params"].get(name, {}), Memory().revision)
            layer.buffers = self.tree["buffers"].get(name, {})
            accept = accept_params if makes_own_params(layer) else type(layer).load_params
            accept(layer, n_in, n_out)
        return loaded

    def _widest(self) -> int:
        """The largest extent of an array: layers without parameters have sizes too."""
        return max((n for entry in self.entries.values() for n in entry.shape), default=0)

    def _read(self, loaded: dict[str, LayerBase]) -> None:
        """Read the arrays that the layers need, and those that callbacks remember, as a tree."""
        dtype = self.meta["state"].get("_real")
        shapes = {name: self._shapes_of(name, loaded[name], n_in) for name, (n_in, _) in self.meta["sizes"].items()}
        found: dict[str, Host] = {}
        for array in checks.wanted(loaded, shapes):
            entry = self.entries.get(array.name)
            if entry is None and not array.needed:
                continue
            checks.check_entry(array.name, entry, array.shape, dtype)
            found[array.name] = self.file.read(array.name)
            if self.listed is not None or not array.name.startswith("slots/"):  # files of before may have infinite ones
                checks.check_finite(array.name, found[array.name])
        for name in self.entries.keys() & {"sums/loss", "sums/before"}:
            checks.check_entry(name, self.entries[name], (), dtype)
            found[name] = self.file.read(name)
            checks.check_finite(name, found[name])
        for name, entry in self.entries.items():
            if name.startswith("callbacks/"):
                expect(entry.dtype.kind in "biuf" and name.count("/") < 20, name, "numbers", str(entry.dtype))
                found[name] = self.file.read(name)
        tree = unflatten({name: to_place(put(value, HOST), self.where) for name, value in found.items()})
        self.tree = {
            name: tree.get(name, {}) for name in ("params", "buffers", "slots", "averages", "callbacks", "sums")
        }

    def _shapes_of(self, name: str, layer: LayerBase, n_in: int) -> tuple[dict[str, Shape], dict[str, Shape]]:
        """The shapes of a layer's parameters and of its buffers."""
        if makes_own_params(layer):  # nobody knows them but the file
            params, buffers = (
                {
                    key.split("/")[2]: entry.shape
                    for key, entry in self.entries.items()
                    if key.startswith(f"{kind}/{name}/")
                }
                for kind in ("params", "buffers")
            )
            return params, buffers
        with shapes_only():
            drawn, kept, _ = layer.init(random.generator(0, random.WEIGHTS), n_in)
        return {key: x.shape for key, x in drawn.items()}, {key: x.shape for key, x in kept.items()}

    def _memory(self, loaded: Mapping[str, LayerBase]) -> Memory:
        tree, meta = self.tree, self.meta
        callbacks = {
            _RENAMED.sub(r"\1best=", name): merge_arrays(tree["callbacks"].get(str(i), {}), others)
            for i, (name, others) in enumerate(meta.get("callbacks", []))
        }
        state = {name: meta["state"][in_file] for in_file, name in _STATE.items()}
        state |= {name: meta["state"][in_file] for in_file, name in _LATER.items() if in_file in meta["state"]}
        checks.check_state(state, loaded)
        begun = bool(state.get("batch"))
        expect(("loss" in tree["sums"]) == begun, "sums", "those of an epoch that has begun", sorted(tree["sums"]))
        trees = {"slots": tree["slots"], "averages": tree["averages"], "callbacks": callbacks, "sums": tree["sums"]}
        return Memory.from_state_dict({**state, **trees})


def _product(shape: tuple[int, ...]) -> int:
    n = 1
    for extent in shape:
        n *= extent
    return n


def specs_of(of_layers: Mapping[str, LayerBase]) -> dict[str, str]:
    """The specs that make equal layers again.

    Raises
    ------
    ValueError
        There is none: a part is not registered, or does not keep the arguments of its constructor.
    """
    specs = {}
    for name, layer in of_layers.items():
        specs[name] = str(layer)
        try:
            same = layers.resolve(specs[name]) == layer
        except ValueError as error:
            raise ValueError(f"cannot save {name}: {error}") from None
        if not same:
            raise ValueError(
                f"cannot save {name}: {specs[name]} does not make an equal layer; "
                "its constructor must keep its arguments in attributes of the same names"
            )
    return specs


@contextlib.contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Errors in what a file is become ValueErrors that name it; that it cannot be read stays an OSError."""
    try:
        yield
    except OSError:
        raise
    except (ValueError, KeyError, TypeError, SyntaxError, RecursionError, MemoryError, EOFError, AttributeError,
            IndexError, OverflowError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:  # fmt: skip
        raise ValueError(f"{name!r} is not a model saved by xdfn ({type(error).__name__}: {error!s:.300})") from None


@contextlib.contextmanager
def damage(name: str) -> Iterator[None]:
    """Errors in what the file says become ValueErrors that name it."""
    try:
        yield
    except OSError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError, MemoryError,
            DamagedError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:  # fmt: skip
        kind = "" if isinstance(error, (DamagedError, ValueError)) else f"{type(error).__name__}: "
        raise ValueError(f"{name!r} was changed since xdfn wrote it, or is damaged ({kind}{error!s:.300})") from None
