"""How values cross between the host and a device, and between libraries."""

import numpy as np
import pytest

from xdfn.backend import HOST, as_real, fresh_copy, namespace, place, put, read, stream_rows, to_numpy, to_place


def test_copies_are_copies(backend):
    tree = {"a": (backend.array([1.0, 2.0]), 7)}
    fresh = fresh_copy(tree)
    again = fresh_copy(fresh)
    assert backend.numpy(again["a"][0]).tolist() == [1, 2]
    assert again["a"][1] == 7
    assert fresh["a"][0] is not tree["a"][0]
    assert place(again["a"][0]) == place(tree["a"][0])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "bool"])
def test_there_and_back(backend, dtype):
    host = np.asarray([[0, 1, 1], [1, 0, 1]], dtype)
    like = backend.array([0.0])
    there = put(host, place(like))
    assert place(there) == place(like)
    assert to_numpy(there).dtype == host.dtype
    assert (to_numpy(there) == host).all()
    real = put(host, place(like), like.dtype)
    assert real.dtype == like.dtype
    assert (to_numpy(real) == host).all()
    host.flags.writeable = False  # which PyTorch would warn of
    assert (to_numpy(put(host, place(like))) == host).all()


def test_from_library_to_library(backend):
    x = backend.array([[1.0, 2.0]], "float32")
    here = to_place(x, HOST)
    assert place(here) == HOST
    assert here.dtype == np.float32
    back = to_place(here, place(x))
    assert place(back) == place(x)
    assert back.dtype == x.dtype
    assert (backend.numpy(back) == [[1, 2]]).all()
    assert to_place(x, place(x)) is x


def test_one_read_brings_numbers_and_vectors(backend):
    numbers = [backend.array(value, "float32") for value in (0.5, -2.0)]
    vectors = [backend.array(values, "float32") for values in ([1.0, 2.0, 3.0], [4.0])]
    assert read(numbers, *vectors) == [[0.5, -2.0], [1.0, 2.0, 3.0], [4.0]]
    assert read(numbers[:1]) == [[0.5]]
    assert {type(x) for values in read(numbers, *vectors) for x in values} == {float}


def test_rows_are_streamed_by_their_numbers(backend, rng):
    X, y = rng.normal(size=(9, 2)).astype("f4"), rng.integers(0, 3, 9).astype("i4")
    order = rng.permutation(9).astype("i4")
    parts = [order[:4], order[4:8], order[8:]]
    like = backend.array([0.0])
    for (x, t), rows in zip(stream_rows([X, y], iter(parts), place(like)), parts, strict=True):
        assert place(x) == place(t) == place(like)
        assert (backend.numpy(x) == X[rows]).all()
        assert (backend.numpy(t) == y[rows]).all()


def test_real_numbers_of_anything(backend):
    assert as_real(3).dtype == as_real([1, 2]).dtype == np.float64
    x = backend.array([1.0], "float32")
    assert as_real(x) is x
    whole = backend.array([1, 2], "int32")
    assert as_real(whole).dtype == namespace(whole).asarray(0.0).dtype
    assert backend.numpy(as_real(whole)).tolist() == [1, 2]
