"""What a file must say to be believed: a file from elsewhere, or a damaged one, is refused before anything is made of
it. Each check says what it expected and what came.
"""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from xdfn.backend import Host
from xdfn.core.fields import is_own
from xdfn.core.tree import Tree
from xdfn.nn.layers.base import LayerBase
from xdfn.nn.network import all_layers
from xdfn.optim.base import OptimizerBase

MOST_STEPS = 2**53  # more than any run takes; beyond it floats skip numbers
Shape = tuple[int, ...]


class Described(Protocol):
    """What is known of an array before it is read."""

    @property
    def dtype(self) -> "np.dtype[np.generic]": ...
    @property
    def shape(self) -> Shape: ...


class DamagedError(Exception):
    """The file does not say what xdfn writes."""


class Wanted(NamedTuple):
    """An array that the layers need."""

    name: str
    shape: Shape
    needed: bool


def expect(holds: bool, where: str, expected: str, got: object) -> None:
    if not holds:
        raise DamagedError(f"{where}: expected {expected}, got {_shown(got)}")


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**30 else "an integer of many digits"
    return text if len(text) <= 100 else f"{text[:100]}..."


def is_count(value: object, most: int = MOST_STEPS) -> bool:
    return type(value) is int and 0 <= value <= most


def is_number(value: object) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) <= MOST_STEPS)


def check_meta(meta: Tree) -> None:
    """The parts of the text, each of its kind; what they say together is checked later."""
    expect(isinstance(meta, dict), "the text", "an object", meta)
    kinds = {
        "given": dict,
        "layers": dict,
        "inherits": dict,
        "loss": str,
        "sizes": dict,
        "state": dict,
        "history": dict,
    }
    for name, kind in kinds.items():
        expect(isinstance(meta.get(name), kind), name, f"a {kind.__name__}", meta.get(name))
    dtype = meta["state"].get("_real")
    expect(dtype in ("", "float32", "float64"), "dtype", "float32 or float64", dtype)
    layers = meta["layers"]
    expect(bool(layers) and all(isinstance(spec, str) for spec in layers.values()), "layers", "specs by name", layers)
    for name in layers:
        expect(name != "" and "/" not in name and len(name) < 1000, "layers", "names without '/'", name)
    inherits = meta["inherits"]
    flags = all(isinstance(flag, bool) for flag in inherits.values())
    expect(inherits.keys() == layers.keys() and flags, "inherits", "true or false for each layer", inherits)
    frozen = meta.get("frozen", [])
    expect(isinstance(frozen, list) and all(map(is_count, frozen)), "frozen", "numbers of layers", frozen)
    _check_given(meta["given"])
    check_history(meta["history"])
    callbacks = meta.get("callbacks", [])
    pairs = isinstance(callbacks, list) and all(isinstance(c, list) and len(c) == 2 for c in callbacks)
    named = pairs and all(isinstance(c[0], str) and isinstance(c[1], dict) for c in callbacks)
    expect(named, "callbacks", "a list of names and what they remember", callbacks)


def _check_given(given: Mapping[str, Tree]) -> None:
    expected = {"hidden_dims_1", "hidden_dims_2", "optimizer", "init_w", "seed", "clip_value", "clip_norm", "ema"}
    expect(given.keys() == expected, "given", f"{sorted(expected)}", sorted(given))
    for name in ("hidden_dims_1", "hidden_dims_2", "seed"):
        expect(given[name] is None or is_count(given[name], 2**64), f"given: {name}", "a count or null", given[name])
    for name in ("clip_value", "clip_norm", "ema"):
        expect(given[name] is None or is_number(given[name]), f"given: {name}", "a number or null", given[name])
    for name in ("optimizer", "init_w"):
        none = name == "optimizer" and given[name] is None
        expect(none or isinstance(given[name], str), f"given: {name}", "a spec", given[name])


def check_history(history: Mapping[str, Tree]) -> None:
    expect("loss" in history, "history", "a loss", sorted(history))
    for name, values in history.items():
        numbers = isinstance(values, list) and all(map(is_number, values))
        expect(numbers, f"history: {name}", "a list of numbers", values)
    lengths = {len(values) for values in history.values()}
    expect(len(lengths) == 1, "history", "as many values under each name", sorted(lengths))


def check_state(state: Mapping[str, Tree], layers: Mapping[str, LayerBase]) -> None:
    """The counters, and since when which rule moves which parameter."""
    expect(state["seed"] is None or is_count(state["seed"], 2**64), "seed", "a count or null", state["seed"])
    for name in ("step", "epoch"):
        expect(is_count(state[name]), name, "a count", state[name])
    for name in ("flat_targets", "stopped"):
        expect(isinstance(state.get(name, False), bool), name, "true or false", state.get(name))
    batch, epoch_of = state.get("batch", 0), state.get("epoch_of", [])
    listed = isinstance(epoch_of, list) and len(epoch_of) == (2 if batch else 0) and all(map(is_count, epoch_of))
    expect(is_count(batch), "batch", "a count", batch)
    expect(listed and all(n > 0 for n in epoch_of), "epoch_of", "the rows and the batch size of the epoch", epoch_of)
    most = -(-epoch_of[0] // epoch_of[1]) if batch else 0
    expect(batch <= most, "batch", f"at most {most}", batch)
    provenance = state["provenance"]
    expect(isinstance(provenance, dict) and provenance.keys() <= layers.keys(), "since", "layers", provenance)
    for layer, of_layer in provenance.items():
        expect(isinstance(of_layer, dict) and of_layer.keys() <= layers[layer].params.keys(), f"since: {layer}",
               "its parameters", of_layer)  # fmt: skip
        for name, since in of_layer.items():
            listed = isinstance(since, (list, tuple)) and len(since) == 5
            right = listed and isinstance(since[0], str) and isinstance(since[2], str)
            counts = right and all(is_count(since[i], state["step"]) for i in (1, 3)) and is_count(since[4])
            expect(counts, f"since: {layer}, {name}", "a rule, a schedule and counts of the past", since)


def check_size(layer: LayerBase, most: int) -> None:
    """Raise if a layer of xdfn names a size that the file does not fill."""
    for part in all_layers([layer]):
        if not is_own(type(part)):
            continue  # a user's own constructor has been called already
        for name in ("n_out", "n_pieces", "columns", "dim"):
            value = vars(part).get(name)
            for n in value.values() if isinstance(value, dict) else [value]:
                expect(not isinstance(n, int) or n <= most, f"{type(part).__name__}: {name}", f"at most {most}", n)


def check_chain(layers: Mapping[str, LayerBase], sizes: Mapping[str, Tree], most: int) -> None:
    """The numbers of inputs and outputs of all layers, or of none, each with those of the layer before."""
    expect(sizes.keys() in (set(), layers.keys()), "sizes", "all layers or none", sorted(sizes))
    before: int | None = None
    for name in layers if sizes else ():
        pair = sizes[name]
        counts = isinstance(pair, list) and len(pair) == 2 and all(is_count(n, max(most, 1)) and n > 0 for n in pair)
        expect(counts, f"sizes: {name}", "two counts that the arrays bear out", pair)
        expect(before in (None, pair[0]), f"sizes: {name}", f"{before} inputs", pair)
        before = pair[1]


def wanted(
    layers: Mapping[str, LayerBase], shapes: Mapping[str, tuple[dict[str, Shape], dict[str, Shape]]]
) -> Iterator[Wanted]:
    """The arrays of layers whose parameters and buffers have these shapes."""
    for name, (params, buffers) in shapes.items():
        rule: OptimizerBase = layers[name].optimizer
        for param, shape in params.items():
            yield Wanted(f"params/{name}/{param}", shape, True)
            yield Wanted(f"averages/{name}/{param}", shape, False)
            for slot in rule.slots:
                yield Wanted(f"slots/{name}/{param}/{slot}", shape, False)
        for buffer, shape in buffers.items():
            yield Wanted(f"buffers/{name}/{buffer}", shape, True)


def check_entry(name: str, entry: Described | None, shape: Shape, dtype: str) -> None:
    expect(entry is not None, "the arrays", f"one named {name!r}", "none")
    assert entry is not None
    expect(tuple(entry.shape) == shape, name, f"shape {shape}", tuple(entry.shape))
    expect(str(entry.dtype) == dtype, name, dtype, str(entry.dtype))


def check_finite(name: str, values: Host) -> None:
    with np.errstate(all="ignore"):
        total = float(values.sum())  # one pass; a sum that overflows is looked at again
    expect(math.isfinite(total) or bool(np.isfinite(values).all()), name, "finite numbers", "NaN or infinity")
