"""The array libraries at hand: `backend` runs a test on each. XDFN_BACKENDS=numpy,cupy names them instead; a library
that is named and missing is an error.
"""

import collections
import contextlib
import enum
import importlib
import os
import re
import signal

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
MISSING = {b: b.missing() for b in NAMED or Backend}
AT_HAND = NAMED or [b for b in Backend if not MISSING[b]]


def activated(request):
    if MISSING[request.param]:
        pytest.fail(f"XDFN_BACKENDS names {request.param.value}: {MISSING[request.param]}")
    with request.param.active():
        yield request.param


def each(backends):
    """Parameters of a fixture; the variants of a library are among what `ci/test` leaves to `ci/test --all`."""
    return [pytest.param(b, id=b.value, marks=[pytest.mark.slow] if b in VARIANTS else []) for b in backends]


VARIANTS = () if NAMED else (Backend.NUMPY_READONLY, Backend.STRICT, Backend.JAX_JIT)
backend = pytest.fixture(activated, params=each(AT_HAND), name="backend")
# those that compile nothing: JAX takes seconds for each new network
eager = pytest.fixture(activated, params=each(b for b in AT_HAND if b.module != "jax.numpy"), name="eager")


def pytest_terminal_summary(terminalreporter):
    """Last of all: on which array libraries the tests ran, and what was skipped, a line for each reason."""
    write = terminalreporter.write_line
    passed = collections.Counter(map(library, terminalreporter.stats.get("passed", ())))
    write("")
    for b in Backend if passed.keys() - {"others"} else ():
        told = MISSING.get(b) or (f"{passed[b.value]} passed" if b in AT_HAND else "XDFN_BACKENDS does not name it")
        if b in VARIANTS and not passed[b.value]:
            told = "left to ci/test --all"
        write(f"{b.value:21}{told}")
    write(f"{'no array library':21}{passed['others']} passed")
    reasons = (
        report.longrepr[2].removeprefix("Skipped: ").splitlines()[0]
        for report in terminalreporter.stats.get("skipped", ())
    )
    for reason, n in sorted(collections.Counter(reasons).items()):
        write(f"{'skipped':21}{n}: {reason}")


def library(report):
    """The backend of a test, as its name has it between brackets: the longer of numpy and numpy-readonly."""
    named = (b.value for b in Backend if re.search(rf"[\[-]{b.value}[]-]", report.nodeid))
    return max(named, key=len, default="others")


@pytest.fixture
def interruptible():
    """SIGINT raises KeyboardInterrupt, also where the shell has it ignored, as for jobs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def rng():
    return np.random.default_rng(20261122)


@pytest.fixture
def blobs(rng):
    """Three classes of points around corners."""
    y = rng.integers(0, 3, 300)
    return rng.normal(size=(300, 4)) + 3 * np.eye(3, 4)[y], y
