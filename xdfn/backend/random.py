"""The source of every random number. The array standard has no generator and each library's own draws other
numbers, so a draw here is a pure function of (seed, purpose, counter): one seed is one network on every library.

Initial weights and orders come from NumPy's Philox generator on the host. Dropout masks are a hash of the position,
computed on the device in int32 arithmetic, which wraps alike everywhere.
"""

import functools
import math
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from xdfn.backend.array import Array, Host
from xdfn.backend.ops import arange, counted, elementwise
from xdfn.backend.place import namespace

if TYPE_CHECKING:
    from numpy.random import Generator

# Purposes. A number once given is never reused: saved models depend on it.
WEIGHTS, ORDER, MASK, SPLIT = 0, 1, 2, 3


def new_seed() -> int:
    """A seed from NumPy's global generator, so that `numpy.random.seed` steers code that names no seed."""
    return int(np.random.randint(2**31 - 1))


def generator(seed: int, purpose: int, counter: int = 0) -> "Generator":
    """NumPy's Philox generator (Salmon et al. 2011, doi:10.1145/2063384.2063405) at the start of a stream of its own.

    >>> float(generator(0, WEIGHTS).random()) == float(generator(0, WEIGHTS).random())
    True
    >>> float(generator(0, WEIGHTS).random()) == float(generator(0, WEIGHTS, 1).random())
    False
    """
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(purpose, counter))))


@functools.lru_cache(maxsize=8)
def _shuffler(seed: int, thread: int) -> Callable[[int, Host], None]:
    """What `permutation` does with rows in place; of one thread, since threads may not share a generator.

    Setting the state of a generator takes a fifth of the time of making one.
    """
    rng = generator(seed, ORDER)
    state = rng.bit_generator.state
    counter: Host = state["state"]["counter"]
    bits, shuffle = rng.bit_generator, rng.shuffle
    counter[:] = 0

    def shuffle_rows(epoch: int, rows: Host) -> None:
        counter[3] = epoch
        bits.state = state
        shuffle(rows)

    return shuffle_rows


def shuffler(seed: int) -> Callable[[int, Host], None]:
    """A function of an epoch and rows 0, ..., n - 1, which it puts in the order of `permutation`: for this thread."""
    return _shuffler(seed, threading.get_ident())


def permutation(seed: int, epoch: int, n: int) -> Host:
    """The order of `n` rows in an epoch: int32 (n,), on the host.

    Philox is a function of key and counter: the key is the seed's, and the counter of an epoch begins at epoch 2^192,
    so that each has a stream of its own.
    """
    order = np.arange(n, dtype=np.int32)
    shuffler(seed)(epoch, order)
    return order


_MASK64 = 2**64 - 1


def hash_ints(*values: int) -> int:
    """64 bits that depend on all of the non-negative `values`.

    The finaliser of splitmix64 (Steele et al. 2014, doi:10.1145/2660193.2660195), chained.
    """
    h = len(values) * 0x9E3779B97F4A7C15
    for value in values:
        while True:
            h = (h + 0x9E3779B97F4A7C15 + (value & _MASK64)) & _MASK64
            h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
            h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) & _MASK64
            h ^= h >> 31
            value >>= 64
            if not value:
                break
    return h


Key = tuple[int, int]  # of an ensemble: two columns int32 (k, 1), a key for each member


def mask_key(seed: int, layer: int, step: int, *again: int) -> Key:
    """The two int32 numbers from which `uniform_bits` makes the mask of one layer in one step. The first is odd.

    `again` tells apart several passes in the same step.
    """
    h = hash_ints(seed, MASK, layer, step, *again)
    return _signed(h | 1), _signed(h >> 32)


def _signed(value: int) -> int:
    return (value & 0xFFFFFFFF) - 2**32 if value & 0x80000000 else value & 0xFFFFFFFF


def uniform_bits(key: Key, shape: tuple[int, ...], like: Array, start: int = 0) -> Array:
    """int32 numbers, uniform over all 2**32 values, of `shape` on the device of `like`.

    Element i is mix(stride (start + i) + offset) with (stride, offset) = `key`; mix is the 32-bit finaliser "lowbias32"
    of C. Wellons' hash-prospector. Signed arithmetic wraps like unsigned; only the shifts need their sign bits cut off.
    The lanes stay 1-d because NumPy warns when 0-d integers overflow.

    With keys of k members `shape` is (k, ...), and those of a member are as they would be for its key alone.
    """
    xp, lanes = namespace(like), counted(math.prod(shape), like, start)
    if getattr(key[0], "ndim", 0):  # each member counts its own elements from `start` on
        n = math.prod(shape[1:])
        lanes = xp.reshape(lanes, (shape[0], n))
        lanes -= xp.reshape(arange(shape[0], like), (-1, 1)) * n
    (x,) = elementwise(("mix",), _mix, lanes, numbers=key)
    return xp.reshape(x, shape)


def normal(key: Key, shape: tuple[int, ...], like: Array, first: int = 0, n_rows: int | None = None) -> Array:
    """Numbers of the standard normal distribution, of `shape`, dtype and device of `like`.

    sqrt(-2 log u) cos(2 pi v) with u and v from `uniform_bits` (Box and Muller 1958, doi:10.1214/aoms/1177706645).

    `first` is the first of these rows among the `n_rows` for which the numbers are drawn: all rows, unless it is given.
    """
    xp = namespace(like)
    if getattr(key[0], "ndim", 0):
        bits = uniform_bits(key, (shape[0], 2, *shape[1:]), like)
        halves = [bits[:, 0, ...], bits[:, 1, ...]]
    elif n_rows is None:
        bits = uniform_bits(key, (2, *shape), like)
        halves = [bits[0, ...], bits[1, ...]]
    else:
        width = math.prod(shape[1:])
        halves = [uniform_bits(key, shape, like, start * width) for start in (first, n_rows + first)]
    u, v = (xp.astype(half, like.dtype) * 2.0**-32 for half in halves)
    u = xp.maximum(u + (0.5 + 2.0**-33), 2.0**-33)  # in float32 the sum may be 0
    return xp.sqrt(-2.0 * xp.log(u)) * xp.cos(2.0 * math.pi * v)


def _mix(x: Array, stride: int, offset: int) -> tuple[Array]:
    x *= stride
    x += offset
    x ^= (x >> 16) & 0xFFFF
    x *= 0x21F0AAAD
    x ^= (x >> 15) & 0x1FFFF
    x *= -0x2CA5D269  # 0xD35A2D97 as a signed number
    x ^= (x >> 15) & 0x1FFFF
    return (x,)
