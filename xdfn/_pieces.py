"""What NumPy's functions ask of memory. An optimizer makes a dozen passes over its vectors; made one after the other
over megabytes, each waits for memory, made piece by piece, all but the first find the piece in the cache. And the
arrays that a step makes and drops should come from pages that the process has already.
"""

import functools
from collections.abc import Callable

import numpy as np

IN_CACHE = 2**16  # elements of each array in a piece


def in_pieces(work: Callable[[slice], None], n: int) -> None:
    """Call `work` for each piece of a range of n."""
    for start in range(0, n, IN_CACHE):
        work(slice(start, start + IN_CACHE))


@functools.cache
def keep_pages() -> None:
    """Let the C library keep memory that is freed, up to some 64 MB, instead of handing it back in every step.

    glibc takes arrays above a threshold straight from the kernel, page by page, and returns the free end of its heap;
    it raises both limits when a large array is freed, which is all that is done here, once. Without it the first
    epochs of a network with layers of 256 units spend a third of their time in page faults.
    """
    np.empty(31 * 2**20, np.uint8)
