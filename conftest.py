"""For the tests and the doctests alike."""

import pytest

from xdfn.core.registry import REGISTRIES


@pytest.fixture(autouse=True)
def registries():
    """What a test registers is gone after it."""
    before = [dict(registry._classes) for registry in REGISTRIES]
    yield
    for registry, classes in zip(REGISTRIES, before, strict=True):
        registry._classes = classes
