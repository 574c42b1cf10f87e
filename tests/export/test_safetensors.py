"""The parameters by their names, in a file that others read."""

import numpy as np
import pytest
from exported import Doubled, make, networks
from hypothesis import HealthCheck, given, settings

from xdfn import DFN
from xdfn.export import export_safetensors, import_safetensors

of_numpy = pytest.importorskip("safetensors.numpy")


def test_names_and_values(tmp_path):
    model, _ = make("everything", "float32")
    model.ema = None
    export_safetensors(model, tmp_path / "net.safetensors")
    arrays = of_numpy.load_file(tmp_path / "net.safetensors")
    assert {"Embedding1.W4", "FC1.W", "FC1.b", "BatchNorm1.mean", "Residual1.FC1.W", "PReLU1.alpha"} <= set(arrays)
    for name, layer in model.layers.items():
        for key, x in (*layer.params.items(), *layer.buffers.items()):
            np.testing.assert_array_equal(arrays.pop(f"{name}.{key}"), x)
    assert not arrays


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(networks())
def test_random_networks_there_and_back(tmp_path, given):
    model, X = given
    expected = model.predict_proba(X)
    export_safetensors(model, tmp_path / "net.safetensors")
    other = DFN(layers=[str(layer) for layer in model.layers.values()], loss=model.loss, seed=9).initialize(X)
    assert import_safetensors(tmp_path / "net.safetensors", other) is other
    np.testing.assert_array_equal(other.predict_proba(X), expected)


def test_the_moving_averages_are_what_answers(tmp_path):
    model, X = make("everything")
    export_safetensors(model, tmp_path / "net.safetensors")
    other = DFN(layers=[str(layer) for layer in model.layers.values()], seed=9).initialize(X)
    np.testing.assert_array_equal(
        import_safetensors(tmp_path / "net.safetensors", other).predict_proba(X), model.predict_proba(X)
    )


def test_the_model_keeps_its_place_and_its_dtype(tmp_path, backend):
    source = DFN(layers=[4, 2], loss="squared_error", seed=0).initialize(np.eye(3))
    export_safetensors(source, tmp_path / "net.safetensors")
    X = backend.array(np.eye(3), "float32")
    model = DFN(layers=[4, 2], loss="squared_error", seed=1).initialize(X)
    import_safetensors(tmp_path / "net.safetensors", model)
    answer = model.predict(X)
    assert answer.dtype == X.dtype
    np.testing.assert_allclose(backend.numpy(answer), source.predict(np.eye(3)), atol=1e-6)


def test_other_names_and_shapes_are_refused(tmp_path):
    model, X = make("CrossEntropy")
    export_safetensors(model, tmp_path / "net.safetensors")
    for layers, name in ([5, 4], "FC1.W"), ([6], "FC2.W"), (["batch_norm", 6, 4], "BatchNorm1.beta"):
        other = DFN(layers=layers, seed=0).initialize(X)
        before = other.predict_proba(X)
        with pytest.raises(ValueError, match=f"{name} has the shape .* in the file and .* in the model"):
            import_safetensors(tmp_path / "net.safetensors", other)
        np.testing.assert_array_equal(other.predict_proba(X), before)
    with pytest.raises(ValueError, match="no parameters yet"):
        import_safetensors(tmp_path / "net.safetensors", DFN(layers=[6, 4]))


def test_a_file_of_something_else_is_refused(tmp_path):
    model, _ = make("CrossEntropy")
    (tmp_path / "net.safetensors").write_bytes(b"not at all")
    with pytest.raises(ValueError, match="is no safetensors file"):
        import_safetensors(tmp_path / "net.safetensors", model)


def test_a_users_layer_has_names_too(tmp_path):
    model = DFN(layers=[Doubled(), 2], seed=0).initialize(np.eye(3))
    export_safetensors(model, tmp_path / "net.safetensors")
    assert sorted(of_numpy.load_file(tmp_path / "net.safetensors")) == ["FC1.W", "FC1.b"]


def test_a_whole_model_is_told_from_parameters(tmp_path):
    model = DFN(layers=[3, 2], seed=0).initialize(np.eye(4))
    model.save(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"is a whole model, as DFN.save writes it: DFN.load reads it"):
        import_safetensors(tmp_path / "model.safetensors", model)
