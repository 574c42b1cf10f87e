import numpy as np
import pytest
from crew import together

from xdfn.backend import broadcast_by_sum, gather_texts, record, summed


def test_the_sum_over_ranks(backend):
    x = np.arange(6.0).reshape(2, 3)
    if "jax" in backend.value:
        pytest.skip("arrays of JAX are never written in place; fit refuses them")
    for total in together(3, lambda comm: summed(backend.array(x * (comm.rank + 1)) * 1.0, comm)):
        np.testing.assert_array_equal(backend.numpy(total), 6 * x)


def test_a_recorded_sum_is_made_again():
    def run(comm):
        x, total = np.ones(3) * (comm.rank + 1), np.zeros(3)

        def body(carry, given, numbers):
            return carry + summed(given * 2.0, comm), ()

        replay = record(body, total, x, (), [])
        x[...] = 10.0
        replay(())
        return total

    first, second = together(2, run)
    np.testing.assert_array_equal(first, np.full(3, 2 * (1 + 2) + 2 * (10 + 10)))
    np.testing.assert_array_equal(first, second)


def test_texts_of_all_ranks():
    texts = ["", "zwölf", "x" * 300]
    assert together(3, lambda comm: gather_texts(comm, texts[comm.rank])) == [texts] * 3


@pytest.mark.parametrize("value", [7, 2**62, 0.1, "a name", True])
def test_a_value_by_sums_alone(value):
    assert together(2, lambda comm: broadcast_by_sum(comm, value if comm.rank == 0 else None)) == [value] * 2
