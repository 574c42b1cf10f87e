"""A trained network outlives its process: one `.npz` file holds its arrays under readable names and, as JSON, all that
is not an array. No pickle, so that a file from elsewhere can do no harm.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xdfn.backend import HOST, Host, Place, put, to_numpy, to_place
from xdfn.core.tree import Tree, flatten, merge_arrays, split_arrays, unflatten
from xdfn.nn.layers.base import LayerBase, layers, named
from xdfn.nn.losses import ObjectiveBase, losses
from xdfn.nn.network import all_layers
from xdfn.notebook import accept_params, makes_own_params
from xdfn.train.memory import Memory, TrainedParams

FORMAT = 1
_META = "xdfn.json"
_TREES = ("params", "buffers", "slots", "averages", "callbacks")
_STATE = {  # the names that format 1 has for the fields of Memory
    "_seed": "seed",
    "_step": "step",
    "_epoch": "epoch",
    "_since": "provenance",
    "_real": "dtype",
    "_flat_targets": "flat_targets",
}


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


def save(path: str | os.PathLike[str], model: Saved) -> None:
    """Write all that makes a model go on where it stands.

    Raises
    ------
    ValueError
        A part that no string makes again.
    """
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
    }
    meta = {
        "given": model.given,
        "layers": specs,
        "inherits": {name: layer.inherits for name, layer in of_layers},
        "frozen": [i for i, layer in enumerate(all_layers(list(model.layers.values()))) if not layer.trainable],
        "loss": str(model.loss),
        "sizes": {name: [layer.n_in, layer.n_out] for name, layer in of_layers if layer.is_initialized},
        "state": {in_file: state[name] for in_file, name in _STATE.items()},
        "history": {name: [float(value) for value in values] for name, values in model.history.items()},
        "callbacks": [[name, others] for name, _, others in callbacks],
    }
    write(path, {name: to_numpy(x) for name, x in flatten(tree)}, meta)


def load(path: str | os.PathLike[str], where: Place) -> Saved:
    """What `save` wrote, with its arrays at that place."""
    arrays, meta = read(path)
    with damage(path):
        found = unflatten({name: to_place(put(value, HOST), where) for name, value in arrays.items()})
        tree = {name: found.get(name, {}) for name in _TREES}
        return Saved(
            meta["given"],
            _load_layers(tree, meta),
            losses.resolve(meta["loss"]),
            _load_memory(tree, meta),
            meta["history"],
        )


def _load_layers(tree: dict[str, Tree], meta: dict[str, Tree]) -> dict[str, LayerBase]:
    loaded = dict(zip(meta["layers"], named(list(meta["layers"].values())).values(), strict=True))
    for name, layer in loaded.items():
        if meta["inherits"][name]:
            layer.inherit(layer.optimizer)
    everyone = all_layers(list(loaded.values()))
    for i in meta.get("frozen", []):
        everyone[i].trainable = False
    for name, (n_in, n_out) in meta["sizes"].items():
        layer = loaded[name]
        layer.params = TrainedParams(tree["params"].get(name, {}), Memory().revision)
        layer.buffers = tree["buffers"].get(name, {})
        accept = accept_params if makes_own_params(layer) else type(layer).load_params
        accept(layer, n_in, n_out)
    return loaded


def _load_memory(tree: dict[str, Tree], meta: dict[str, Tree]) -> Memory:
    callbacks = {
        name: merge_arrays(tree["callbacks"].get(str(i), {}), others)
        for i, (name, others) in enumerate(meta.get("callbacks", []))
    }
    state = {name: meta["state"][in_file] for in_file, name in _STATE.items()}
    trees = {"slots": tree["slots"], "averages": tree["averages"], "callbacks": callbacks}
    return Memory.from_state_dict({**state, **trees})


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


def write(path: str | os.PathLike[str], arrays: dict[str, Host], meta: dict[str, Tree]) -> None:
    """Write the file by one rename: a failure half-way leaves an earlier file of that name as it was."""
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder of {os.fspath(path)!r} does not exist; make it first")
    if target.is_dir():
        raise IsADirectoryError(f"{os.fspath(path)!r} is a folder; give the name of a file in it")
    text = json.dumps({"format": FORMAT, **meta})
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, **{_META: np.frombuffer(text.encode(), np.uint8), **arrays})  # type: ignore[arg-type]
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Host], dict[str, Tree]]:
    """The arrays and the rest.

    Raises
    ------
    ValueError
        The file is not one that `write` made, or was made by a later version.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(arrays.pop(_META).tobytes())
        version = meta["format"]
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(
            f"{os.fspath(path)!r} is not a model saved by xdfn ({type(error).__name__}: {error})"
        ) from None
    if version != FORMAT:
        raise ValueError(
            f"{os.fspath(path)!r} has format {version}, this version of xdfn reads format {FORMAT}; upgrade xdfn"
        )
    return arrays, meta


@contextlib.contextmanager
def damage(path: str | os.PathLike[str]) -> Iterator[None]:
    """Errors in what the file says become ValueErrors that name it."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        what = f"{type(error).__name__}: {error}"
        raise ValueError(f"{os.fspath(path)!r} was changed since xdfn wrote it, or is damaged ({what})") from None
