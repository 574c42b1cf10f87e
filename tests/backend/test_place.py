"""Where arrays live, and what is said of a place that is not there."""

import numpy as np
import pytest

from xdfn import backend as door
from xdfn.backend import (
    HOST,
    Traits,
    eps,
    has_float64,
    largest,
    namespace,
    place,
    real_dtype,
    real_name,
    require_array,
    require_place,
    resolve_place,
    tiny,
    traits,
)


def test_an_array_knows_its_place(backend):
    x = backend.array([[1.0, 2.0]], "float32")
    where = place(x)
    assert where.library == backend.module.split(".")[0]
    assert str(where) == f"{where.library} ({where.device})"
    assert where.xp is namespace(x)
    assert where.traits == traits(x)
    assert resolve_place(x) == resolve_place(where) == where
    again = namespace(x).zeros(2, dtype=x.dtype, device=where.device)
    assert place(again) == where
    assert (where == HOST) == backend.value.startswith("numpy")


def test_what_a_library_can_do():
    assert traits(np.zeros(1)) == HOST.traits
    assert HOST.traits == Traits(writes=True, records=True)
    assert HOST.traits.packs
    strict = pytest.importorskip("array_api_strict")
    assert traits(strict.zeros(1)) == Traits()  # nothing beyond the standard
    jax = pytest.importorskip("jax")
    assert traits(jax.numpy.zeros(1)).compiles
    assert not traits(jax.numpy.zeros(1)).packs
    torch = pytest.importorskip("torch")
    assert traits(torch.zeros(1)) == Traits(writes=True, tapes=True)


def test_a_place_by_name():
    assert resolve_place("numpy") == HOST
    strict = pytest.importorskip("array_api_strict")
    device = strict.Device("device1")
    assert resolve_place("array_api_strict:device1").device == device
    assert resolve_place(device) == resolve_place("array_api_strict:device1")


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("nympy", "unknown library 'nympy' in 'nympy': known are numpy, cupy, torch, jax, array_api_strict"),
        ("gpu:1", "unknown library 'gpu' in 'gpu:1'"),
        ("numpy:7", "cannot use 'numpy:7': "),
        ("", "unknown library ''"),
        (3, "expected an array, a device, or a string such as 'cupy:1', got int: 3"),
        (None, "expected an array, a device, or a string"),
        ([1.0], "expected an array, a device, or a string"),
    ],
)
def test_a_place_that_is_not_there(target, says):
    with pytest.raises(ValueError, match=says):
        resolve_place(target)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        ([1.0], r"expected an array \(NumPy, CuPy, PyTorch, JAX, ...\), got list; numpy.asarray\(...\) makes one"),
        (1.0, "expected an array .* got float"),
        (None, "expected an array .* got NoneType"),
        (np.ma.zeros(2), "expected a plain array, got a MaskedArray"),
    ],
)
def test_what_is_no_array(x, says):
    with pytest.raises(ValueError, match=f"^{says}"):
        namespace(x)
    with pytest.raises(ValueError, match=f"^y: {says}"):
        require_array("y", x, 1)


def test_what_is_required_is_named(backend):
    x = backend.array([[1.0, 2.0]])
    require_array("X", x, 2)
    with pytest.raises(ValueError, match=r"^X must be 1-d, got shape \(1, 2\); .*reshape\(X, \(-1,\)\) makes it so$"):
        require_array("X", x, 1)
    require_place(place(x), "", a=x, b=None)
    other = pytest.importorskip("array_api_strict").zeros(1) if backend.value.startswith("numpy") else np.zeros(1)
    with pytest.raises(ValueError, match=r"^b is on .*, expected .*: move it$"):
        require_place(place(x), "move it", a=x, b=other)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "bool"])
def test_the_dtype_in_which_a_network_trains(backend, dtype):
    x = backend.array([0, 1], dtype)
    expected = "float64" if dtype == "float64" and has_float64(namespace(x)) else "float32"
    assert real_name(real_dtype(x)) == expected
    assert namespace(x).zeros(1, dtype=real_dtype(x)).dtype == real_dtype(x)
    for other in (">f8", "longdouble"):
        assert real_dtype(np.zeros(1, other)) == np.float64
    assert real_dtype(np.zeros(1, ">f4")) == np.float32


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_range_of_a_dtype(backend, dtype):
    x, info = backend.array([1.0], dtype), np.finfo(dtype)
    assert namespace(x).isdtype(x.dtype, "real floating")
    assert (tiny(x), largest(x), eps(x)) == (info.smallest_normal, info.max, info.eps)
    assert {type(f(x)) for f in (tiny, largest, eps)} == {float}


def test_computing_warns_of_nothing(backend):
    x = backend.array([1e30, 0.0], "float32")
    with door.computing(x):
        y = x * x / x
    assert not np.isfinite(backend.numpy(y)).any()
