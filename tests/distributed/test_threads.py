import os
import warnings

import pytest

from xdfn.distributed.threads import cores_here, threads_here, warn_of_threads


@pytest.mark.parametrize(
    ("threads", "cores", "said"),
    [
        ([2, 2], [{0, 1}, {0, 1}], "2 ranks share 2 cores, and compute with 4 threads.*OPENBLAS_NUM_THREADS=1 "),
        ([8, 8], [range(8), range(8)], "2 ranks share 8 cores, and compute with 16 threads.*OPENBLAS_NUM_THREADS=4 "),
    ],
)
def test_too_many_threads_are_told(threads, cores, said):
    with pytest.warns(UserWarning, match=said):
        warn_of_threads(threads, cores)


@pytest.mark.parametrize(
    ("threads", "cores"),
    [
        ([1, 1], [{0, 1}, {0, 1}]),
        ([4, 4], [range(4), range(4, 8)]),  # each has cores of its own
        ([1, 1, 1], [{0, 1}] * 3),  # more ranks than cores: fewer threads there cannot be
    ],
)
def test_as_many_threads_as_cores_are_right(threads, cores):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_threads(threads, cores)


def test_what_is_here():
    assert cores_here() == frozenset(os.sched_getaffinity(0))
    from threadpoolctl import threadpool_limits  # scikit-learn brings it

    with threadpool_limits(1):
        assert threads_here() == 1
