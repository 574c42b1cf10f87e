import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from xdfn import DFN, Callback, MLflowLog, TensorBoardLog

ROOT = Path(__file__).resolve().parents[3]


class FailError(Exception):
    pass


class Fails(Callback):
    def on_epoch_end(self, model, values):
        raise FailError


@pytest.fixture
def network():
    return DFN(8, 2, optimizer="adam", seed=0)


@pytest.mark.parametrize("callback", [TensorBoardLog(), MLflowLog()], ids=str)
def test_a_missing_package_names_its_extra(callback, network, data, monkeypatch):
    package = {"TensorBoardLog": "tensorboard", "MLflowLog": "mlflow"}[type(callback).__name__]
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    with pytest.raises(ModuleNotFoundError, match=f"{type(callback).__name__} needs {package}") as caught:
        network.fit(*data, 1, verbose=0, callbacks=[callback])
    assert f'pip install "{extras[package][0]}", or pip install "xdfn[{package}]"' in str(caught.value)
    assert network.history["loss"] == []


class TestTensorBoard:
    @pytest.fixture(autouse=True)
    def package(self):
        pytest.importorskip("tensorboard")

    def read(self, folder):
        """What TensorBoard reads: the values of each name, by step."""
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.util.tensor_util import make_ndarray

        events = EventAccumulator(str(folder)).Reload()
        return {
            name: {event.step: float(make_ndarray(event.tensor_proto)) for event in events.Tensors(name)}
            for name in events.Tags()["tensors"]
        }

    def test_the_values_are_read_back(self, network, data, tmp_path):
        log = TensorBoardLog(tmp_path / "runs")
        more = {"verbose": 0, "validation_data": data, "metrics": "accuracy", "callbacks": ["learning_rate_log", log]}
        network.fit(*data, 3, **more)
        network.fit(*data, 2, **more)
        training, validation = (self.read(tmp_path / "runs" / name) for name in ("training", "validation"))
        assert sorted(training) == ["loss", "lr"]
        assert sorted(validation) == ["accuracy", "loss"]
        for read, name, values in [
            (training, "loss", network.history["loss"]),
            (training, "lr", network.history["lr"]),
            (validation, "loss", network.history["val_loss"]),
            (validation, "accuracy", network.history["val_accuracy"]),
        ]:
            assert list(read[name]) == [1, 2, 3, 4, 5]
            assert list(read[name].values()) == np.asarray(values, np.float32).tolist()

    def test_a_fit_that_fails_keeps_its_epochs(self, network, data, tmp_path):
        network.fit(*data, 2, verbose=0, callbacks=[TensorBoardLog(tmp_path)])
        with pytest.raises(FailError):
            network.fit(*data, 2, verbose=0, callbacks=[TensorBoardLog(tmp_path), Fails()])
        assert list(self.read(tmp_path / "training")["loss"]) == [1, 2, 3]

    def test_a_file_is_no_folder(self, network, data, tmp_path):
        (tmp_path / "runs").write_text("")
        with pytest.raises(ValueError, match=r"TensorBoardLog: path .*runs' is a file; give the name of a folder"):
            network.fit(*data, 1, verbose=0, callbacks=[TensorBoardLog(tmp_path / "runs")])
        assert network.history["loss"] == []


# what a local store warns of while it makes its tables, and leaves open
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
class TestMLflow:
    @pytest.fixture(autouse=True)
    def mlflow(self, tmp_path, monkeypatch):
        mlflow = pytest.importorskip("mlflow")
        monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri((tmp_path / "store").as_uri())
        mlflow.set_experiment("trials")
        yield mlflow
        while mlflow.active_run():
            mlflow.end_run()
        mlflow.set_tracking_uri(before)

    def runs(self, mlflow):
        client = mlflow.MlflowClient()
        return client, client.search_runs([client.get_experiment_by_name("trials").experiment_id])

    def test_a_run_of_its_own(self, mlflow, network, data, tmp_path):
        network.fit(*data, 3, 16, verbose=0, validation_data=data, callbacks=[MLflowLog(save_model=True)])
        assert mlflow.active_run() is None
        client, (run,) = self.runs(mlflow)
        assert run.info.status == "FINISHED"
        assert run.data.params == {"model": repr(network), "n_epochs": "3", "batch_size": "16"}
        for name in ("loss", "val_loss"):
            read = client.get_metric_history(run.info.run_id, name)
            assert [(metric.step, metric.value) for metric in read] == list(enumerate(network.history[name], 1))
        path = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="model.npz", dst_path=tmp_path)
        assert (DFN.load(path).predict(data[0]) == network.predict(data[0])).all()

    def test_the_active_run_is_used_and_left_open(self, mlflow, network, data):
        with mlflow.start_run() as active:
            network.fit(*data, 2, verbose=0, callbacks=["mlflow"])
            network.fit(*data, 1, verbose=0, callbacks=["mlflow"])  # other epochs: the first parameters stay
            assert mlflow.active_run().info.run_id == active.info.run_id
        client, (run,) = self.runs(mlflow)
        assert run.data.params["n_epochs"] == "2"
        assert [metric.step for metric in client.get_metric_history(run.info.run_id, "loss")] == [1, 2, 3]

    def test_a_fit_that_fails(self, mlflow, network, data):
        with pytest.raises(FailError):
            network.fit(*data, 2, verbose=0, callbacks=[MLflowLog(), Fails()])
        assert mlflow.active_run() is None
        _, (run,) = self.runs(mlflow)
        assert run.info.status == "FAILED"
        assert run.data.metrics["loss"] == pytest.approx(0.69, abs=0.05)
