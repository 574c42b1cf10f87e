import numpy as np
import pytest

from xdfn import Context, Dropout, GaussianNoise
from xdfn.backend import random


def test_dropout(backend):
    layer = Dropout(0.25)
    x = backend.array(np.ones((200, 500)), "float32")
    y = backend.numpy(layer.forward(x))
    values, counts = np.unique(y, return_counts=True)
    np.testing.assert_allclose(values, [0, 1 / 0.75], rtol=1e-6)
    assert counts[0] / y.size == pytest.approx(0.25, abs=5 * (0.25 * 0.75 / y.size) ** 0.5)  # 5 standard errors
    dx = backend.numpy(layer.backward(backend.array(np.full((200, 500), 3.0), "float32")))
    np.testing.assert_allclose(dx, 3 * y, rtol=1e-6)
    assert layer.forward(x, retain_derived=False) is x
    assert (backend.numpy(layer.forward(x)) != y).any()
    assert (backend.numpy(Dropout(1 - 1e-12).forward(x)) == 0).all()


def test_gaussian_noise(backend):
    layer, x = GaussianNoise(0.5), np.full((300, 400), 2.0)
    key = random.mask_key(3, 1, 7)
    y = layer.apply({}, {}, backend.array(x), Context(key))[0]
    noise = (backend.numpy(y) - x) / 0.5
    np.testing.assert_allclose(noise, (layer.apply({}, {}, x, Context(key))[0] - x) / 0.5, rtol=1e-9, atol=1e-12)
    n = noise.size  # within five standard errors of a normal distribution's moments 0, 1, 0, 3
    for power, moment, error in ((1, 0, 1), (2, 1, 2**0.5), (3, 0, 15**0.5), (4, 3, 96**0.5)):
        assert np.mean(noise**power) == pytest.approx(moment, abs=5 * error / n**0.5)
    assert np.mean(noise[:, 1:] * noise[:, :-1]) == pytest.approx(0, abs=5 / n**0.5)
    assert layer.forward(x, retain_derived=False) is x


# offsets of keys whose first number is these bits: the ends, where u rounds to 0 and to 1, and the middle
OFFSETS = {
    -(2**31): 1252019204,
    -(2**31) + 1: 1502392200,
    -(2**31) + 63: 279214480,
    -(2**31) + 64: -1486231529,
    -1: -992696130,
    0: 0,
    2**31 - 64: 1242267733,
    2**31 - 1: 1425650792,
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bits", OFFSETS)
def test_noise_is_finite_whatever_the_bits(backend, bits, dtype):
    key, x = (1, OFFSETS[bits]), backend.array([[0.0]], dtype)
    first, second = backend.numpy(random.uniform_bits(key, (2,), x)).tolist()
    assert first == bits
    y = backend.numpy(backend.call(lambda x: GaussianNoise(1.0).apply({}, {}, x, Context(key))[0], x))
    assert y.dtype == dtype
    u, v = np.asarray([first, second], dtype).astype("float64") * 2.0**-32
    u = min(u + 0.5 + 2.0**-33, 1.0)  # in float32 the largest bits are rounded up to 2^31
    expected = np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v)
    assert y[0, 0] == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_noise_in_float32_is_not_infinite():
    x = np.zeros((1, 1), "float32")
    y = GaussianNoise(1.0).apply({}, {}, x, Context((1, 45231310)))[0]
    assert y[0, 0] == pytest.approx(2.461, abs=1e-3)
