"""Files that were changed at random are refused, or go on as the original. ``tests/mutations.py 10000`` tries more."""

import pytest
from mutations import run


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_changed_files(suffix, tmp_path, monkeypatch):
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    monkeypatch.chdir(tmp_path)
    results = run(tmp_path, suffix, 200, seed=0)
    assert results["refused"] > 100
    assert results["loads, and goes on as the original"] > 10
    assert not list(tmp_path.glob("hacked*"))
