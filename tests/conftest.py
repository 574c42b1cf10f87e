"""The array libraries at hand. `backend` runs a test on each; XDFN_BACKENDS=numpy,cupy narrows them, and makes a
library that is named and missing an error instead of a skip.
"""

import contextlib
import enum
import importlib
import os

import numpy as np
import pytest

from xdfn.backend import to_numpy


class Backend(enum.Enum):
    NUMPY = "numpy"
    NUMPY_READONLY = "numpy-readonly"  # inputs that raise when written to
    STRICT = "array-api-strict"  # on device1, where a silent step through NumPy raises
    STRICTEST = "array-api-strictest"  # nor boolean indexing, data-dependent shapes or extensions
    TORCH = "torch"
    JAX = "jax"
    JAX_JIT = "jax-jit"  # kernels called through jax.jit
    CUPY = "cupy"

    @property
    def module(self):
        variants = {"numpy-readonly": "numpy", "array-api-strictest": "array-api-strict", "jax-jit": "jax"}
        library = variants.get(self.value, self.value).replace("-", "_")
        return "jax.numpy" if library == "jax" else library

    def missing(self):
        """Why the library cannot be used here; None if it can."""
        try:
            module = importlib.import_module(self.module)
            if self is Backend.CUPY and not module.cuda.is_available():
                return "CuPy finds no GPU"
        except ImportError as error:
            return f"{self.module} is not installed ({error})"
        return None

    def array(self, values, dtype=None):
        """A host array as one of this library's, away from its default device where it has several."""
        host = np.array(values, dtype=dtype)
        if self is Backend.NUMPY:
            return host
        if self is Backend.NUMPY_READONLY:
            host.flags.writeable = False
            return host
        module = importlib.import_module(self.module)
        if self in (Backend.STRICT, Backend.STRICTEST):
            return module.asarray(host, device=module.Device("device1"))
        return module.asarray(host)

    def call(self, function, *arrays):
        """function(*arrays), compiled where that is what the backend stands for."""
        if self is Backend.JAX_JIT:
            return importlib.import_module("jax").jit(function)(*arrays)
        return function(*arrays)

    @contextlib.contextmanager
    def active(self):
        if self is Backend.STRICTEST:
            strict = importlib.import_module("array_api_strict")
            with strict.ArrayAPIStrictFlags(boolean_indexing=False, data_dependent_shapes=False, enabled_extensions=()):
                yield
        else:
            yield

    numpy = staticmethod(to_numpy)


with contextlib.suppress(ImportError):
    import jax

    jax.config.update("jax_enable_x64", True)  # else float64 is float32 there

NAMED = [Backend(name) for name in os.environ.get("XDFN_BACKENDS", "").replace(" ", "").split(",") if name]
ALL = [b for b in Backend if not NAMED or b in NAMED]


@pytest.fixture(params=ALL, ids=lambda b: b.value)
def backend(request):
    reason = request.param.missing()
    if reason and NAMED:
        pytest.fail(f"XDFN_BACKENDS names {request.param.value}: {reason}")
    if reason:
        pytest.skip(reason)
    with request.param.active():
        yield request.param


@pytest.fixture
def rng():
    return np.random.default_rng(20261122)


@pytest.fixture
def blobs(rng):
    """Three classes of points around corners."""
    y = rng.integers(0, 3, 300)
    return rng.normal(size=(300, 4)) + 3 * np.eye(3, 4)[y], y
