import importlib.util
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("library", ["numpy", "torch", "jax", "cupy"])
@pytest.mark.parametrize("recipe", ["default", "notebook", "best"])
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
    assert accuracy > {"default": 0.85, "best": 0.7, "notebook": 0.1}[recipe]
    assert f"test accuracy {accuracy:.4f} after 2 epochs" in out.out
    assert out.err == ""  # the progress bar is quiet when there is no terminal
    from matplotlib import image

    picture = image.imread(tmp_path / "m.png")
    assert picture.shape[:2] == (504, 1320)
    assert np.std(picture[..., :3]) > 0.05


@pytest.mark.slow
def test_the_notebooks_losses():
    """Three of its twenty epochs, which take 2 s: within 0.03 of what it printed."""
    module = load("train_mnist")
    model, _, _ = module.train("notebook", epochs=3)
    np.testing.assert_allclose(model.history["loss"], module.NOTEBOOK_LOSSES[:3], atol=0.03)


@pytest.mark.slow
def test_xor(tmp_path, capsys):
    """The reliable recipe from all of its 40 starts; 8 starts of the notebook's."""
    module = load("xor")
    assert module.final_losses(module.reliable_recipe()).max() < module.SOLVED
    lucky, solved = module.main(["--starts", "8", "--steps", "2000", "--out", str(tmp_path / "xor.png")])
    assert solved == 8
    assert f"{lucky} of 8 starts solve XOR" in capsys.readouterr().out
    assert (tmp_path / "xor.png").stat().st_size > 20_000


def test_xor_all_at_once_is_xor_one_by_one():
    """A start of the ensemble against the same start by the notebook's object interface."""
    from xdfn import DFN, FullyConnected

    module = load("xor")
    losses = module.final_losses(module.notebook_recipe(starts=3, steps=201))
    units = [FullyConnected(n, g, "std_normal(gain=1.0)", "sgd(lr=1.0)") for n, g in ((2, "relu"), (1, "affine"))]
    layers = list(DFN(layers=units, loss="squared_error", seed=2).initialize(module.X).layers.values())
    for _ in range(200):
        out = module.X
        for layer in layers:
            out = layer.forward(out)
        gradient = (out - module.Y) / 4
        for layer in reversed(layers):
            gradient = layer.backward(gradient)
        for layer in layers:
            layer.update()
            layer.flush_gradients()
    out = layers[1].forward(layers[0].forward(module.X))
    assert losses[2] == pytest.approx(0.5 * np.sum((out - module.Y) ** 2) / 4, rel=1e-9)


def test_approximation(tmp_path):
    """The error stays below the bound that the text derives, give or take the flanks, and comes near it: rate 1/n."""
    errors = load("approximation").main(["--out", str(tmp_path / "a.png")])
    for n, (error, bound) in errors.items():
        assert error < 1.02 * bound
        assert n < 20 or error > 0.95 * bound
    assert errors[100][0] / errors[50][0] == pytest.approx(0.5, rel=0.02)
    assert (tmp_path / "a.png").stat().st_size > 20_000


@pytest.mark.slow
def test_training(tmp_path, capsys):
    module = load("training")
    model = module.main(["--rows", "1500", "--epochs", "6", "--out", str(tmp_path / "t.png")])
    out = capsys.readouterr().out
    accuracy = float(re.search(r"test accuracy ([\d.]+) after 6 epochs", out)[1])
    assert 0.85 < accuracy < 1
    assert model.history["val_accuracy"][-1] == pytest.approx(accuracy, abs=0.07)  # of 150 rows
    right, wrong = map(float, re.search(r"probability: ([\d.]+) right, ([\d.]+) wrong", out).groups())
    assert wrong > 1.5 * right
    assert (tmp_path / "t.png").stat().st_size > 50_000


@pytest.mark.slow
def test_regularisation(tmp_path, capsys):
    """All methods on a few rows: weights are as small as they should be, and all is written down."""
    module = load("regularisation")
    out = tmp_path / "r.png"
    arguments = ["--rows", "1000", "--scale", "0.05", "--epochs", "3", "--seeds", "0", "1", "--out", str(out)]
    results = module.main(arguments)
    written = json.loads(out.with_suffix(".json").read_text())
    assert written["widths"] == [51, 51, 102]
    assert list(written["results"]) == list(results) == list(module.METHODS)
    lines = capsys.readouterr().out.splitlines()
    for method, runs in results.items():
        assert [run["seed"] for run in runs] == [0, 1]
        last = [run["errors"][-1] for run in runs]
        assert all(0 < error < 90 for error in last)
        (line,) = [line for line in lines if line.startswith(f"{method:20} ")]
        assert f"{np.mean(last):.2f}" in line
    assert lines[-2].startswith("from best to worst: ")
    assert out.stat().st_size > 20_000
    drop = [type(layer).__name__ for layer in module.network("dropout + L2", 0, 3, [1024, 1024, 2048]).layers.values()]
    assert drop.count("Dropout") == 4


def test_sklearn_pipeline(capsys):
    pytest.importorskip("pandas")
    load("sklearn_pipeline").main()
    right = float(re.search(r"([\d.]+) right", capsys.readouterr().out)[1])
    assert right > 0.85
