"""For the tests and the doctests alike."""

from importlib import metadata
from pathlib import Path

import pytest
from _pytest.doctest import DoctestItem

from xdfn.core.registry import REGISTRIES


def is_installed(package):
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False


# what cannot be imported without its packages; folders of tests have their names, so that `import` is no way to ask
collect_ignore_glob = []
if not all(map(is_installed, ("dask", "distributed", "xgboost-cpu"))):
    collect_ignore_glob += ["xdfn/dask", "tests/dask"]


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
