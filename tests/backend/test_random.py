import numpy as np
import pytest

from xdfn.backend import random


def bits(key, shape=(512, 512)):
    return random.uniform_bits(key, shape, np.zeros(1, np.float32))


def test_bits_are_the_same_on_every_library(backend):
    key = random.mask_key(2024, 3, 77)
    there = backend.call(lambda like: random.uniform_bits(key, (37, 11), like), backend.array([0.0], "float32"))
    assert (backend.numpy(there) == bits(key, (37, 11))).all()


def test_bits_are_those_of_unsigned_arithmetic():
    stride, offset = random.mask_key(1, 2, 3)
    i = np.arange(1000, dtype=np.uint64)
    x = (i * (stride % 2**32) + offset % 2**32) % 2**32
    for shift, factor in ((16, 0x21F0AAAD), (15, 0xD35A2D97), (15, 1)):
        x = ((x ^ (x >> np.uint64(shift))) * factor) % 2**32
    assert (bits((stride, offset), (1000,)).astype(np.int64) % 2**32 == x).all()


@pytest.mark.parametrize(
    "key", [random.mask_key(s, layer, t) for s, layer, t in [(0, 0, 0), (0, 0, 1), (1, 0, 0), (0, 2, 10**6)]]
)
def test_bits_look_random(key):
    u = bits(key).ravel() / 2**32 + 0.5
    error = 5 / u.size**0.5  # five standard errors of a correlation coefficient
    assert u.mean() == pytest.approx(0.5, abs=error / 12**0.5)
    for lag in (1, 2, 511, 512, 513):
        assert np.corrcoef(u[:-lag], u[lag:])[0, 1] == pytest.approx(0, abs=error)
    for bit in range(32):
        assert ((bits(key) >> bit) & 1).mean() == pytest.approx(0.5, abs=error / 2)
    counts = np.histogram(u, 256, (0, 1))[0]
    chi2 = ((counts - u.size / 256) ** 2 / (u.size / 256)).sum()
    assert chi2 == pytest.approx(255, abs=5 * 510**0.5)


def test_masks_of_steps_layers_and_seeds_are_unrelated():
    keys = [random.mask_key(s, layer, t) for s in (0, 1) for layer in (0, 1, 2) for t in (0, 1, 2, 1000)]
    u = np.stack([bits(key).ravel() / 2**32 for key in keys])
    correlation = np.corrcoef(u) - np.eye(len(keys))
    assert np.abs(correlation).max() < 5.5 / u.shape[1] ** 0.5  # the largest of 276 pairs


def test_the_hash_of_integers_tells_them_apart():
    values = {random.hash_ints(*v) for v in [(), (0,), (0, 0), (1,), (1, 0), (0, 1), (2**64,), (2**64 + 1,), (2**128,)]}
    assert len(values) == 9
    drawn = [random.hash_ints(0, i) for i in range(20000)]
    assert len(set(drawn)) == 20000
    assert np.mean(
        [bin(random.hash_ints(0, i) ^ random.hash_ints(0, i + 1)).count("1") for i in range(2000)]
    ) == pytest.approx(32, abs=5 * 4 / 2000**0.5)


def test_keys_fit_int32_and_strides_are_odd():
    for t in range(1000):
        stride, offset = random.mask_key(9, 1, t)
        assert -(2**31) <= min(stride, offset) <= max(stride, offset) < 2**31
        assert stride % 2 == 1


def test_a_permutation_is_one():
    order = random.permutation(4, 2, 1000)
    assert order.dtype == np.int32
    assert sorted(order) == list(range(1000))
    assert (order == random.permutation(4, 2, 1000)).all()
    assert (order != random.permutation(4, 3, 1000)).any()


def test_streams_do_not_change_between_versions():
    """Numbers drawn when the streams were defined: a saved model resumes only if they stay."""
    assert random.permutation(0, 0, 8).tolist() == [4, 0, 7, 3, 5, 2, 1, 6]
    assert random.mask_key(0, 1, 2) == (1930874601, 802616782)
    assert bits(random.mask_key(0, 1, 2), (4,)).tolist() == [1110431264, 336037488, -173593393, 1473194255]
    assert random.generator(0, random.WEIGHTS).random(2).tolist() == [0.810243512110891, 0.5461260857686415]
