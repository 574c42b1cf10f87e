"""For the tests and the doctests alike."""

from pathlib import Path

import pytest
from _pytest.doctest import DoctestItem

from xdfn.core.registry import REGISTRIES


@pytest.fixture(autouse=True)
def registries():
    """What a test registers is gone after it."""
    before = [dict(registry._classes) for registry in REGISTRIES]
    yield
    for registry, classes in zip(REGISTRIES, before, strict=True):
        registry._classes = classes


@pytest.fixture(autouse=True)
def packages(request):
    """The examples of a format need its package, which need not be there."""
    path = Path(request.node.path)
    needed = {"onnx", "safetensors", "sklearn", "torch"}
    if isinstance(request.node, DoctestItem) and path.parent.name == "export" and path.stem.split("_")[0] in needed:
        pytest.importorskip(path.stem.split("_")[0])
