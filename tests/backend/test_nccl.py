"""The calls of NCCL, through a stand-in: there is no machine with several GPUs to test on."""

import contextlib
import importlib
import sys
import warnings
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from xdfn.backend import NCCLCommunicator, new_id


class GPUArray:
    """What the communicator uses of an array of CuPy."""

    def __init__(self, values):
        self.values = np.array(values)
        self.dtype, self.size = self.values.dtype, self.values.size
        self.data = SimpleNamespace(ptr=id(self))

    def get(self):
        return self.values


@pytest.fixture(name="calls")
def stand_in(monkeypatch):
    calls, arrays = [], {}

    class Communicator:
        def __init__(self, size, unique_id, rank):
            calls.append(("init", size, unique_id, rank, tuple(devices)))

        def allReduce(self, source, target, count, kind, operation, stream):  # noqa: N802
            calls.append(("allReduce", source == target, count, kind, operation, stream))
            arrays[target].values += 1  # as if the others had ones

        def abort(self):
            calls.append(("abort",))

    devices = []

    class Device(contextlib.AbstractContextManager):
        def __init__(self, number):
            self.number = number

        def __enter__(self):
            devices.append(self.number)

        def __exit__(self, *error):
            devices.pop()

    def asarray(x):
        made = GPUArray(x)
        arrays[made.data.ptr] = made
        return made

    nccl = ModuleType("cupy.cuda.nccl")
    nccl.NCCL_FLOAT32, nccl.NCCL_FLOAT64, nccl.NCCL_SUM = 7, 8, 0
    nccl.NcclCommunicator, nccl.get_unique_id = Communicator, lambda: (1, 2, 3)

    class Stream(contextlib.AbstractContextManager):
        def __init__(self, ptr=43, non_blocking=False):
            self.ptr = ptr

        def __enter__(self):
            streams.append(self)

        def __exit__(self, *error):
            streams.pop()

        def record(self):
            return f"event of {self.ptr}"

        def wait_event(self, event):
            calls.append((self.ptr, "waits for", event))

    streams = [Stream(42)]
    cuda = SimpleNamespace(Device=Device, Stream=Stream, get_current_stream=lambda: streams[-1], nccl=nccl)
    cupy = ModuleType("cupy")
    cupy.asarray, cupy.cuda = asarray, cuda
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupy.cuda", cuda)
    monkeypatch.setitem(sys.modules, "cupy.cuda.nccl", nccl)
    return SimpleNamespace(made=calls, asarray=asarray)


def test_sums_go_to_nccl_in_place_on_the_current_stream(calls):
    comm = NCCLCommunicator(1, 4, new_id(), 3)
    assert comm.device == "cupy:3"
    assert calls.made == [("init", 4, (1, 2, 3), 1, (3,))]  # on its own GPU
    for dtype, kind in (("f4", 7), ("f8", 8)):
        x = calls.asarray(np.ones((2, 5), dtype))
        comm.sum(x)
        assert calls.made[-1] == ("allReduce", True, 10, kind, 0, 42)
        assert (x.values == 2).all()


def test_sums_beside_the_backward_pass_wait_for_what_they_sum_and_are_waited_for(calls):
    comm, x = NCCLCommunicator(1, 4, new_id(), 3), calls.asarray(np.ones(5, "f4"))
    comm.start(x)
    comm.finish(x)
    assert calls.made[1:] == [
        (43, "waits for", "event of 42"),
        ("allReduce", True, 5, 7, 0, 43),
        (42, "waits for", "event of 43"),
    ]


def test_arrays_of_the_host_go_there_and_back(calls):
    comm, x = NCCLCommunicator(0, 2, new_id(), 0), np.arange(3.0)
    comm.sum(x)
    assert x.tolist() == [1.0, 2.0, 3.0]


def test_abort(calls):
    NCCLCommunicator(0, 2, new_id(), 0).abort("an error")
    assert calls.made[-1] == ("abort",)


def test_one_gpu_is_a_rank_cupy():
    """For real, where there is a GPU and NCCL."""
    cupy = pytest.importorskip("cupy")
    with warnings.catch_warnings():  # CuPy tells of a missing NCCL
        warnings.simplefilter("ignore")
        nccl = importlib.import_module("cupy.cuda.nccl")
    if not nccl.available:
        pytest.skip("NCCL is not installed: pip install nvidia-nccl-cu12 or -cu13")
    comm, x = NCCLCommunicator(0, 1, new_id(), 0), cupy.arange(5, dtype="f4")
    comm.sum(x)
    comm.start(x[1:])
    comm.finish(x)
    assert x.get().tolist() == [0, 1, 2, 3, 4]
    assert comm.broadcast("a word") == "a word"
