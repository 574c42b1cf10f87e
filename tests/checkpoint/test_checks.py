"""The checks by themselves; what they refuse in a file is in test_saved.py."""

import numpy as np
import pytest

from xdfn.checkpoint.checks import DamagedError, check_finite, is_count, is_number


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_finite_numbers_whose_sum_is_not_are_finite(dtype):
    large = np.full(10, 0.9 * np.finfo(dtype).max, dtype)
    check_finite("x", large)
    for bad in (np.nan, np.inf, -np.inf):
        x = large.copy()
        x[3] = bad
        with pytest.raises(DamagedError, match="x: expected finite numbers"):
            check_finite("x", x)


def test_counts_and_numbers():
    assert [is_count(n) for n in (0, 7, 2**53, -1, 2**54, True, 1.0, "1", None)] == [True] * 3 + [False] * 6
    assert [is_number(n) for n in (0, 1.5, float("nan"), 2**54, True, "1", None)] == [True] * 3 + [False] * 4
