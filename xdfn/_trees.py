"""Arrays in nested tuples, NamedTuples, lists and dicts."""

from collections.abc import Callable
from typing import Any

Tree = Any


def tree_map(function: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """Apply `function` to the leaves of one or several trees of the same structure."""
    if isinstance(tree, dict):
        return {name: tree_map(function, value, *(o[name] for o in others)) for name, value in tree.items()}
    if isinstance(tree, (tuple, list)):
        values = [tree_map(function, *leaves) for leaves in zip(tree, *others, strict=True)]
        return type(tree)(*values) if hasattr(tree, "_fields") else type(tree)(values)
    return function(tree, *others)


def leaves(tree: Tree) -> list[Any]:
    """The leaves of a tree, in order."""
    if isinstance(tree, dict):
        tree = tuple(tree.values())
    return [leaf for branch in tree for leaf in leaves(branch)] if isinstance(tree, (tuple, list)) else [tree]
