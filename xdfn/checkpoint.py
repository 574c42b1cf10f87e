"""A trained network outlives its process: one `.npz` file holds its arrays under readable names and, as JSON, all that
is not an array. No pickle, so that a file from elsewhere can do no harm.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from xdfn._backend import Place, move, to_numpy
from xdfn._spec import as_given, key
from xdfn.initializers import initializers
from xdfn.layers import specs_of
from xdfn.losses import losses
from xdfn.optimizers import OptimizerInitializer

FORMAT = 1
_META = "xdfn.json"
EXTRAS = ("clip_value", "clip_norm", "ema")  # arguments of DFN that are numbers or None
_STATE = ("_seed", "_step", "_epoch", "_since", "_real", "_flat_targets")  # what a run changes beside the arrays

Model = TypeVar("Model")


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Write all that makes a `DFN` go on where it stands."""
    specs, layers = specs_of(model.layers), model.layers.items()
    if losses.resolve(str(model.loss)) != model.loss:
        raise ValueError(
            f"cannot save the loss: {model.loss} does not make an equal one; its constructor must keep its "
            "arguments, numbers or lists of them, in attributes of the same names"
        )
    remembered = [(name, *parted(state)) for name, state in model.remembered().items()]
    tree = {
        "params": {name: layer.params for name, layer in layers},
        "buffers": {name: layer.buffers for name, layer in layers},
        "slots": model._slots,
        "averages": model.averages(),
        "callbacks": {str(i): arrays for i, (_, arrays, _) in enumerate(remembered)},
    }
    meta = {
        "given": {
            "hidden_dims_1": model.hidden_dims_1,
            "hidden_dims_2": model.hidden_dims_2,
            "optimizer": as_given(model.optimizer, OptimizerInitializer(model.optimizer)()),
            "init_w": as_given(model.init_w, initializers.resolve(model.init_w)),
            "seed": model.seed,
            **{name: getattr(model, name) for name in EXTRAS},
        },
        "layers": specs,
        "inherits": {name: layer.inherits for name, layer in layers},
        "loss": str(model.loss),
        "sizes": {name: [layer.n_in, layer.n_out] for name, layer in layers if layer.is_initialized},
        "state": {name: getattr(model, name) for name in _STATE},
        "history": {name: [float(value) for value in values] for name, values in model.history.items()},
        "callbacks": [[name, rest] for name, _, rest in remembered],
    }
    write(path, {name: to_numpy(x) for name, x in flatten(tree)}, meta)


def load(cls: Callable[..., Model], path: str | os.PathLike[str], where: Place) -> Model:
    """The `DFN` that `save` wrote, with its arrays at that place."""
    arrays, meta = read(path)
    with damage(path):
        model: Model = _rebuilt(cls, nest({name: move(value, where) for name, value in arrays.items()}), meta)
        return model


def _rebuilt(cls: Callable[..., Any], tree: dict[str, Any], meta: dict[str, Any]) -> Any:
    given = meta["given"]
    extras = {name: given.get(name) for name in EXTRAS}
    model = cls(layers=list(meta["layers"].values()), loss=meta["loss"], seed=given["seed"], **extras)
    model.layers = dict(zip(meta["layers"], model.layers.values(), strict=True))
    vars(model).update({name: given[name] for name in ("hidden_dims_1", "hidden_dims_2", "init_w")})
    model._optimizer, model._rule_key = given["optimizer"], key(OptimizerInitializer(given["optimizer"])())
    for name in _STATE:
        setattr(model, name, meta["state"][name])
    model.history = meta["history"]
    for name, layer in model.layers.items():
        layer._inherited = layer.optimizer if meta["inherits"][name] else None
    for name, (n_in, n_out) in meta["sizes"].items():
        layer = model.layers[name]
        layer.params, layer.buffers = tree["params"].get(name, {}), tree["buffers"].get(name, {})
        layer.adopt(n_in, n_out)
    model._slots, model._averages = tree["slots"], tree["averages"]
    for i, (name, rest) in enumerate(meta.get("callbacks", [])):
        model._remembered[name] = joined(tree["callbacks"].get(str(i), {}), rest)
    model._settle()
    return model


def write(path: str | os.PathLike[str], arrays: dict[str, "np.ndarray[Any, Any]"], meta: dict[str, Any]) -> None:
    """Write the file in one move: a failure half-way leaves an earlier file of that name as it was."""
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


def read(path: str | os.PathLike[str]) -> tuple[dict[str, "np.ndarray[Any, Any]"], dict[str, Any]]:
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


def flatten(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """The leaves of nested dicts under names like ``params/FC1/W``."""
    pairs: list[tuple[str, Any]] = []
    for name, value in tree.items():
        if "/" in name:
            raise ValueError(f"cannot save what is named {name!r}: names of layers, parameters and buffers hold no '/'")
        pairs += flatten(value, f"{prefix}{name}/") if isinstance(value, dict) else [(prefix + name, value)]
    return pairs


def nest(leaves: dict[str, Any]) -> dict[str, Any]:
    """The reverse of `flatten`; what a model has is there even if empty."""
    tree: dict[str, Any] = {"params": {}, "buffers": {}, "slots": {}, "averages": {}, "callbacks": {}}
    for path, value in leaves.items():
        *folders, name = path.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[name] = value
    return tree


def parted(tree: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A tree of dicts as two: that of its arrays, and that of all else, which must be what JSON can hold."""
    arrays: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            arrays[name], rest[name] = parted(value)
        elif hasattr(value, "shape") and hasattr(value, "dtype"):
            arrays[name] = value
        else:
            rest[name] = value
    return arrays, rest


def joined(arrays: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    """The reverse of `parted`."""
    tree = dict(rest)
    for name, value in arrays.items():
        tree[name] = joined(value, rest.get(name, {})) if isinstance(value, dict) else value
    return tree
