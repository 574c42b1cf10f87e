"""Array-likes: what becomes an array, where it goes, and what cannot become one."""

import numpy as np
import pytest

from xdfn import DFN
from xdfn.backend import HOST, as_array, namespace, place, put, to_numpy

NUMBERS = [[1.0, 2.0], [3.0, 4.0]]


def pandas():
    return pytest.importorskip("pandas")


def polars():
    return pytest.importorskip("polars")


class OnlyDLPack:
    """An array on the host of a library that nobody knows."""

    def __init__(self, values, device=(1, 0)):
        self.values, self.device = np.asarray(values), device

    def __dlpack__(self, **kwargs):
        return self.values.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.device


class OnlyArray:
    def __init__(self, values):
        self.values = np.asarray(values)

    def __array__(self, dtype=None, copy=None):
        return self.values


ALIKE = {
    "list": lambda: NUMBERS,
    "tuple of tuples": lambda: tuple(map(tuple, NUMBERS)),
    "list of arrays": lambda: [np.asarray(row) for row in NUMBERS],
    "__array__": lambda: OnlyArray(NUMBERS),
    "__dlpack__": lambda: OnlyDLPack(NUMBERS),
    "pandas": lambda: pandas().DataFrame(NUMBERS, columns=["a", "b"]),
    "pandas, ints and floats": lambda: pandas().DataFrame({"a": [1, 3], "b": [2.0, 4.0]}),
    "pandas, nullable": lambda: pandas().DataFrame({"a": [1, 3], "b": [2, 4]}).astype({"a": "Int64", "b": "Float32"}),
    "polars": lambda: polars().DataFrame({"a": [1, 3], "b": [2.0, 4.0]}),
}


@pytest.mark.parametrize("kind", ALIKE)
def test_an_array_like_is_an_array_of_numpy_and_goes_where_it_is_to(kind, backend):
    x = ALIKE[kind]()
    array = as_array("X", x)
    assert type(array) is np.ndarray
    assert array.tolist() == NUMBERS
    there = place(backend.array([0.0]))
    moved = as_array("X", x, lambda: there)
    assert place(moved) == there
    assert backend.numpy(moved).tolist() == NUMBERS


def test_an_array_stays_as_it_is(backend):
    x = backend.array(NUMBERS)
    assert as_array("X", x, lambda: pytest.fail("an array has its place")) is x


def test_memory_is_shared_where_it_can_be():
    values = np.asarray(NUMBERS)
    for x in (OnlyArray(values), OnlyDLPack(values)):
        assert np.shares_memory(as_array("X", x), values)
    frame = pandas().DataFrame(values)
    assert np.shares_memory(as_array("X", frame), frame.to_numpy())
    assert np.shares_memory(as_array("y", frame[0]), frame.to_numpy())


def test_gaps_are_nan_and_bools_are_numbers():
    pd = pandas()
    gaps = pd.DataFrame({"a": pd.array([1, None], "Int64"), "b": [True, False], "c": [0.5, 1.5]})
    assert np.isnan(as_array("X", gaps)[1, 0])
    assert as_array("X", gaps)[0].tolist() == [1.0, 1.0, 0.5]
    assert np.isnan(as_array("y", gaps["a"])[1])
    pl = polars()
    frame = pl.DataFrame({"a": [1, None], "b": [True, False]})
    assert np.isnan(as_array("X", frame)[1, 0])
    assert as_array("y", frame["b"]).tolist() == [True, False]


class OnAGPU:
    """What a frame on a GPU offers; a stand-in, since cuDF needs one."""

    def __init__(self, array):
        self.array = array

    def to_cupy(self):
        return self.array

    def __array__(self, dtype=None, copy=None):
        raise TypeError("implicit conversion to a host array is not allowed")


def test_a_frame_on_a_gpu_stays_there(backend):
    x = backend.array(NUMBERS)
    assert as_array("X", OnAGPU(x)) is x


def test_what_lies_on_a_gpu_goes_to_cupy(monkeypatch):
    """By DLPack or by CUDA's array interface, on the device that it is on."""
    import sys
    from types import SimpleNamespace

    array = type("ndarray", (), {})
    cupy = SimpleNamespace(ndarray=array, from_dlpack=lambda x: ("from_dlpack", x), asarray=lambda x: ("asarray", x))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    for kind in (2, 13):
        x = OnlyDLPack(NUMBERS, (kind, 1))
        assert as_array("X", x) == ("from_dlpack", x)
    x = SimpleNamespace(__cuda_array_interface__={})
    assert as_array("X", x) == ("asarray", x)
    with pytest.raises(ValueError, match="X is on a device of DLPack's kind 8, expected a CPU or a CUDA device"):
        as_array("X", OnlyDLPack(NUMBERS, (8, 0)))


@pytest.mark.parametrize("x", ["nonsense", b"bytes", {"a": [1.0]}, 3.5, None, True, object(), len, iter(NUMBERS)])
def test_what_is_no_array_like(x):
    with pytest.raises(ValueError, match=rf"^X must be an array, a frame or a list of numbers, got {type(x).__name__}"):
        as_array("X", x)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_ragged_rows_and_hidden_values():
    with pytest.raises(ValueError, match=r"^no array can be made of X \(ValueError: .*inhomogeneous"):
        as_array("X", [[1.0], [2.0, 3.0]])
    with pytest.raises(ValueError, match=r"^X is a masked array, .*: X.filled\(0\)"):
        as_array("X", np.ma.array(NUMBERS))
    with pytest.raises(ValueError, match=r"^X is a numpy.matrix, expected an array: numpy.asarray\(X\) makes one"):
        as_array("X", np.matrix(NUMBERS))


def test_blocks_of_dask_are_told_where_to_go():
    da = pytest.importorskip("dask.array")
    model, X = DFN(layers=[3, 2], seed=0), np.eye(4)
    model.initialize(X)
    for call in (lambda dX: model.fit(dX, [0, 1, 0, 1], 1), model.predict, lambda dX: model.evaluate(dX, [0, 1, 0, 1])):
        with pytest.raises(
            ValueError, match=r"X\w* lies in the blocks of Dask: xdfn.dask.fit and xdfn.dask.predict take"
        ):
            call(da.from_array(X, chunks=(2, 4)))


def test_a_sparse_matrix_is_told_how_to_become_dense():
    sparse = pytest.importorskip("scipy.sparse")
    for kind in (sparse.csr_array, sparse.csc_matrix, sparse.coo_array):
        with pytest.raises(ValueError, match=rf"^X is a sparse {kind.__name__}, .*: X.toarray\(\) makes one"):
            as_array("X", kind(np.eye(2)))


@pytest.mark.parametrize("library", [pandas, polars])
def test_columns_without_numbers_are_named(library):
    frame = library().DataFrame({"size": [1.0, 2.0], "city": ["Bern", "Rome"], "kind": ["a", "b"]})
    with pytest.raises(ValueError, match=r"^X must hold numbers, and the columns 'city', 'kind' do not: "):
        as_array("X", frame)


def test_the_host_is_the_default():
    assert place(as_array("X", NUMBERS)) == HOST
    assert to_numpy(put(as_array("X", NUMBERS), HOST)).tolist() == NUMBERS
    assert namespace(as_array("X", range(3))) is HOST.xp
