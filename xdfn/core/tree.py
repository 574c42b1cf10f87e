"""Arrays come in trees: nested tuples, NamedTuples, lists and dicts. Here is the one way to walk them."""

from collections.abc import Callable, Iterator
from typing import Any

Tree = Any  # the one type that no type checker can name: a tree of any shape


def tree_map(function: Callable[..., Tree], tree: Tree, *others: Tree) -> Tree:
    """Apply `function` to the leaves of one or several trees of the same structure."""
    if isinstance(tree, dict):
        return {name: tree_map(function, value, *(o[name] for o in others)) for name, value in tree.items()}
    if isinstance(tree, (tuple, list)):
        values = [tree_map(function, *leaves) for leaves in zip(tree, *others, strict=True)]
        return type(tree)(*values) if hasattr(tree, "_fields") else type(tree)(values)
    return function(tree, *others)


def leaves(tree: Tree) -> list[Tree]:
    """The leaves of a tree, in order."""
    if isinstance(tree, dict):
        tree = tuple(tree.values())
    return [leaf for branch in tree for leaf in leaves(branch)] if isinstance(tree, (tuple, list)) else [tree]


def is_array(leaf: object) -> bool:
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")


def map_arrays(function: Callable[..., Tree], tree: Tree) -> Tree:
    """Apply `function` to the arrays of nested dicts, and leave all else as it is."""
    if isinstance(tree, dict):
        return {name: map_arrays(function, value) for name, value in tree.items()}
    return function(tree) if is_array(tree) else tree


def flatten(tree: dict[str, Tree], prefix: str = "") -> Iterator[tuple[str, Tree]]:
    """The leaves of nested dicts under paths such as ``params/FC1/W``."""
    for name, value in tree.items():
        if "/" in name:
            raise ValueError(f"cannot save what is named {name!r}: names of layers, parameters and buffers hold no '/'")
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value


def unflatten(paths: dict[str, Tree]) -> dict[str, Tree]:
    """The reverse of `flatten`."""
    tree: dict[str, Tree] = {}
    for path, value in paths.items():
        *folders, name = path.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[name] = value
    return tree


def split_arrays(tree: dict[str, Tree]) -> tuple[dict[str, Tree], dict[str, Tree]]:
    """Nested dicts as two trees: one of the arrays, one of all else."""
    arrays: dict[str, Tree] = {}
    others: dict[str, Tree] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            arrays[name], others[name] = split_arrays(value)
        else:
            (arrays if is_array(value) else others)[name] = value
    return arrays, others


def merge_arrays(arrays: dict[str, Tree], others: dict[str, Tree]) -> dict[str, Tree]:
    """The reverse of `split_arrays`."""
    tree = dict(others)
    for name, value in arrays.items():
        tree[name] = merge_arrays(value, others.get(name, {})) if isinstance(value, dict) else value
    return tree
