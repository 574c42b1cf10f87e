"""Steps as one compiled loop, which nothing but another step makes JAX compile again."""

import numpy as np
import pytest
from fits import everything, with_dropout

from xdfn.backend import scan


def test_jax_compiles_twice_however_many_epochs_fits_and_learning_rates(rng):
    pytest.importorskip("jax")
    import jax

    from xdfn.backend._jax import _compiled

    model = with_dropout("adam(lr=0.02)")
    x, y = jax.numpy.asarray(rng.normal(size=(20, 5))), jax.numpy.asarray(rng.integers(0, 4, 20))
    before = _compiled()._cache_size()
    for _ in range(3):
        model.fit(x, y, 2, 8, verbose=None)
        for layer in model.layers.values():
            layer.optimizer.lr *= 0.5
    assert _compiled()._cache_size() == before + 2  # the full batches, and the short last one


@pytest.fixture
def data(rng):
    X = rng.normal(size=(150, 4))
    return X, (X[:, 0] * X[:, 1] > 0).astype(int)


def test_jax_compiles_a_step_twice_whatever_is_asked(data):
    jax = pytest.importorskip("jax")
    from xdfn.backend import _jax

    X, y = (jax.numpy.asarray(a) for a in data)
    _jax._compiled.cache_clear()
    model = everything("sgd(lr='cosine(0.1, 4)', momentum=0.9)")
    for _ in range(3):
        model.fit(X, y, 2, 32, None, validation_data=(X, y), metrics="accuracy", callbacks=["learning_rate_log"])
    model.optimizer = "sgd(lr=0.003, momentum=0.9)"
    model.fit(X, y, 2, 32, None)
    assert _jax._compiled()._cache_size() == 2  # full batches, and the short last one


def test_a_scan_is_the_loop(rng):
    """With the carry and the numbers in trees, the batches by their rows, and the result of the last step."""
    jnp = pytest.importorskip("jax.numpy")
    X, rows, rates = rng.normal(size=(6, 2)), np.asarray([[0, 5], [3, 1], [2, 4]], "int32"), [0.5, 0.25, 0.125]

    def body(carry, constants, rows, numbers):
        x = constants["X"][rows, :]
        carry = {"p": carry["p"] - numbers["lr"] * x.sum(axis=0), "n": carry["n"] + 1}
        return carry, (x.max(), numbers["t"])

    carry, constants = {"p": np.ones(2), "n": np.zeros(())}, {"X": X}
    numbers = [{"lr": lr, "t": t} for t, lr in enumerate(rates)]
    expected = carry
    for batch, given in zip(rows, numbers, strict=True):
        expected, out = body(expected, constants, batch, given)
    there = {name: jnp.asarray(x) for name, x in carry.items()}
    ours, ours_out = scan(body, "of the test", there, {"X": jnp.asarray(X)}, jnp.asarray(rows), numbers)
    np.testing.assert_allclose(ours["p"], expected["p"], rtol=1e-12)
    assert float(ours["n"]) == 3
    assert (float(ours_out[0]), int(ours_out[1])) == (out[0], 2)


def test_another_number_compiles_nothing_and_another_key_does():
    jnp = pytest.importorskip("jax.numpy")
    from xdfn.backend._jax import _compiled

    traced = []

    def run(key, lr):
        def body(carry, constants, rows, numbers):
            traced.append(key)
            return carry - numbers, carry

        rows = jnp.zeros((2, 1), dtype=jnp.int32)
        carry, _ = scan(body, ("of this test", key), jnp.ones(1), (), rows, [lr, 2 * lr])
        return float(carry[0])

    before = _compiled()._cache_size()
    assert run("one", 0.125) == 0.625
    assert run("one", 0.25) == 0.25
    assert _compiled()._cache_size() == before + 1
    assert run("two", 0.125) == 0.625
    assert _compiled()._cache_size() == before + 2
    assert set(traced) == {"one", "two"}
