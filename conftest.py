"""For the tests and the doctests alike."""

import pytest

from xdfn import _spec


@pytest.fixture(autouse=True)
def registries():
    """What a test registers is gone after it."""
    before = [dict(registry._classes) for registry in _spec._REGISTRIES]
    yield
    for registry, classes in zip(_spec._REGISTRIES, before, strict=True):
        registry._classes = classes
