import sys

import pytest

from xdfn.core.optional import need


def test_a_missing_package_is_named_with_what_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "nowhere", None)
    advice = r'it needs nowhere: pip install "nowhere>=2", or pip install "xdfn\[there\]" \('
    with pytest.raises(ModuleNotFoundError, match=advice) as caught:
        need("it", "nowhere.inside", "there", "nowhere>=2")
    assert caught.value.name == "nowhere"


def test_what_is_there_is_given():
    assert need("it", "json", "there", "json>=1") is sys.modules["json"]
