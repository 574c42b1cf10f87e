import pytest


@pytest.fixture
def data(rng):
    """Two classes in opposite quadrants."""
    X = rng.normal(size=(150, 4))
    return X, (X[:, 0] * X[:, 1] > 0).astype(int)
