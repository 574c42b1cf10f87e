"""Walks over nested tuples, lists and dicts of arrays."""

from typing import NamedTuple

import numpy as np
import pytest

from xdfn.core.tree import flatten, is_array, leaves, map_arrays, merge_arrays, split_arrays, tree_map, unflatten


class Pair(NamedTuple):
    a: object
    b: object


TREE = {"x": Pair(1, [2, 3]), "y": (), "z": {"deep": (4,)}}


def test_a_map_keeps_the_structure():
    doubled = tree_map(lambda x: 2 * x, TREE)
    assert doubled == {"x": Pair(2, [4, 6]), "y": (), "z": {"deep": (8,)}}
    assert [type(doubled["x"]), type(doubled["x"].b), type(doubled["y"])] == [Pair, list, tuple]
    assert tree_map(lambda x, y, z: x + y * z, TREE, TREE, doubled)["x"] == Pair(3, [10, 21])
    assert tree_map(str, None) == "None"  # a leaf by itself


@pytest.mark.parametrize("other", [{"x": Pair(1, [2]), "y": (), "z": {"deep": (4,)}}, {"x": Pair(1, [2, 3])}])
def test_trees_of_another_structure_are_refused(other):
    with pytest.raises((ValueError, KeyError)):
        tree_map(lambda x, y: x, TREE, other)


def test_leaves_come_in_order():
    assert leaves(TREE) == [1, 2, 3, 4]
    assert leaves({}) == leaves(((), [])) == []
    assert leaves(5) == [5]


def test_arrays_alone_are_mapped():
    tree = {"W": np.ones(2), "n": 3, "deep": {"b": np.zeros(1), "name": "x", "list": [1, 2]}}
    mapped = map_arrays(lambda x: x + 1, tree)
    assert mapped["W"].tolist() == [2, 2]
    assert mapped["deep"]["b"].tolist() == [1]
    assert (mapped["n"], mapped["deep"]["name"], mapped["deep"]["list"]) == (3, "x", [1, 2])
    assert is_array(np.float32(1))
    assert not is_array([1.0])


def test_flatten_and_back():
    tree = {"params": {"FC1": {"W": 1, "b": 2}, "FC2": {"W": 3}}, "step": 4}
    paths = dict(flatten(tree))
    assert paths == {"params/FC1/W": 1, "params/FC1/b": 2, "params/FC2/W": 3, "step": 4}
    assert unflatten(paths) == tree
    assert list(flatten({"a": {"b": {}}})) == []  # an empty dict leaves nothing
    for bad in ({"a/b": 1}, {"a": {"b/c": {}}}):
        with pytest.raises(ValueError, match=r"cannot save what is named '\w/\w'"):
            list(flatten(bad))


def test_arrays_and_all_else_are_split_and_merged():
    W, kept = np.ones((2, 2)), np.zeros(3)
    tree = {"best": 0.5, "kept": {"W": W, "n": 1, "deep": {"b": kept}}, "empty": {}, "names": ["x"]}
    arrays, others = split_arrays(tree)
    assert [path for path, _ in flatten(arrays)] == ["kept/W", "kept/deep/b"]
    assert others == {"best": 0.5, "kept": {"n": 1, "deep": {}}, "empty": {}, "names": ["x"]}
    merged = merge_arrays(arrays, others)
    assert merged["kept"]["W"] is W
    assert merged["kept"]["deep"]["b"] is kept
    assert split_arrays(merged)[1] == others
    # as after a file, in which empty dicts of arrays are not
    assert merge_arrays(unflatten(dict(flatten(arrays))), others)["kept"]["W"] is W
    assert merge_arrays({}, others) == others
