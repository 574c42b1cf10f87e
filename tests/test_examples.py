import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("library", ["numpy", "torch", "jax", "cupy"])
@pytest.mark.parametrize("recipe", ["default", "notebook"])
def test_train_mnist(library, recipe, tmp_path, capsys):
    pytest.importorskip(library, reason=f"{library} is not installed")
    arguments = [
        "--recipe",
        recipe,
        "--backend",
        library,
        "--epochs",
        "2",
        "--rows",
        "2000",
        "--out",
        str(tmp_path / "m.png"),
    ]
    accuracy = load("train_mnist").main(arguments)
    out = capsys.readouterr()
    assert accuracy > (0.85 if recipe == "default" else 0.1)
    assert f"test accuracy {accuracy:.4f} after 2 epochs" in out.out
    assert out.err == ""  # the progress bar is quiet when there is no terminal
    from matplotlib import image

    picture = image.imread(tmp_path / "m.png")
    assert picture.shape[:2] == (504, 1320)
    assert np.std(picture[..., :3]) > 0.05


def test_the_notebooks_losses():
    """Three of its twenty epochs, which take 2 s: within 0.03 of what it printed."""
    module = load("train_mnist")
    model, _, _ = module.train("notebook", epochs=3)
    np.testing.assert_allclose(model.history["loss"], module.NOTEBOOK_LOSSES[:3], atol=0.03)
