import copy
import json
import os
import re
import tracemalloc

import numpy as np
import pytest
from parts import OPTIMIZERS

from xdfn import DFN, SGD, ActivationBase, Adam, Dropout, FullyConnected, Maxout, Residual, register
from xdfn.backend import place
from xdfn.nn.initializers import initializers


@pytest.fixture
def data(rng):
    return rng.normal(size=(50, 4)), rng.integers(0, 3, 50)


def model(optimizer="adam(lr=0.01)"):
    layers = [
        FullyConnected(8, "tanh", "glorot_uniform"),
        Dropout(0.2),
        FullyConnected(3, "affine", "he_normal", "momentum(0.1, 0.9)"),
    ]
    return DFN(layers=layers, optimizer=optimizer, seed=1)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_four_epochs_and_two_after_a_load_are_six(backend, data, tmp_path, optimizer):
    X, y = backend.array(data[0], "float32"), backend.array(data[1])
    whole = model(optimizer).fit(X, y, 6, 16, verbose=None)
    model(optimizer).fit(X, y, 4, 16, verbose=None).save(tmp_path / "m.npz")
    resumed = DFN.load(tmp_path / "m.npz", like=X).fit(X, y, 2, 16, verbose=None)
    assert resumed.history == whole.history
    for name, layer in whole.layers.items():
        for key, value in layer.params.items():
            assert place(resumed.layers[name].params[key]) == place(X)
            assert (backend.numpy(resumed.layers[name].params[key]) == backend.numpy(value)).all()


def test_a_learning_rate_changed_between_fits_is_kept(data, tmp_path):
    m = model().fit(*data, 1, 16, verbose=None)
    m.layers["FC1"].optimizer.lr = 0.125
    m.save(tmp_path / "m.npz")
    assert DFN.load(tmp_path / "m.npz").layers["FC1"].optimizer.lr == 0.125


def test_train_there_and_serve_here(backend, data, tmp_path):
    X, y = backend.array(data[0]), backend.array(data[1])
    m = model().fit(X, y, 2, 16, verbose=None)
    m.save(tmp_path / "m.npz")
    here = DFN.load(tmp_path / "m.npz")
    np.testing.assert_allclose(here.predict_proba(data[0]), backend.numpy(m.predict_proba(X)), rtol=1e-12)
    m.to_numpy().fit(*data, 1, 16, verbose=None)
    here.fit(*data, 1, 16, verbose=None)
    assert here.history == m.history


@pytest.mark.parametrize("loss", ["gaussian", "quantile([0.1, 0.9])"])
def test_losses_of_several_outputs_for_a_target_come_back(data, tmp_path, loss):
    X, y = data[0], data[0][:, 0] ** 2
    m = DFN(layers=[8, 2], loss=loss, seed=1).fit(X, y, 2, 16, verbose=0)
    m.save(tmp_path / "m.npz")
    again = DFN.load(tmp_path / "m.npz")
    assert again.loss == m.loss
    assert (again.predict(X) == m.predict(X)).all()
    assert again.predict(X).shape == ((50,) if loss == "gaussian" else (50, 2))
    assert again.fit(X, y, 2, 16, verbose=0).history == m.fit(X, y, 2, 16, verbose=0).history


def test_the_short_form_and_what_was_given_come_back(data, tmp_path):
    m = DFN(5, 3, optimizer="sgd(lr=0.5)", init_w="he_normal", seed=2).fit(*data, 1, 16, verbose=None)
    m.save(tmp_path / "m.npz")
    again = DFN.load(tmp_path / "m.npz")
    assert repr(again) == repr(m)
    assert again.summary() == m.summary()
    assert again.hyperparams.keys() == m.hyperparams.keys()


def test_the_file_is_readable_without_xdfn_and_without_pickle(data, tmp_path):
    model().fit(*data, 1, 16, verbose=None).save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz", allow_pickle=False) as file:
        assert {"params/FC1/W", "params/FC2/b", "slots/FC1/W/m", "slots/FC2/W/v"} <= set(file.files)
        meta = json.loads(file["xdfn.json"].tobytes())
    assert meta["layers"]["Dropout1"] == "Dropout(rate=0.2)"
    assert [path.name for path in tmp_path.iterdir()] == ["m.npz"]


def test_an_untrained_model_can_be_saved(tmp_path):
    model().save(tmp_path / "m.npz")
    again = DFN.load(tmp_path / "m.npz")
    assert not again.is_initialized
    assert repr(again) == repr(model())


def test_bad_files_say_what_they_are(data, tmp_path):
    (tmp_path / "text.npz").write_text("no")
    np.savez(tmp_path / "other.npz", a=np.zeros(1))
    np.savez(tmp_path / "objects.npz", **{"xdfn.json": np.asarray([object()])})
    np.savez(tmp_path / "later.npz", **{"xdfn.json": np.frombuffer(b'{"format": 99}', np.uint8)})
    for name in ("text", "other", "objects"):
        with pytest.raises(ValueError, match="is not a model saved by xdfn"):
            DFN.load(tmp_path / f"{name}.npz")
    with pytest.raises(ValueError, match="has format 99"):
        DFN.load(tmp_path / "later.npz")
    with pytest.raises(FileNotFoundError):
        DFN.load(tmp_path / "none.npz")


def test_an_unregistered_part_is_refused_and_the_old_file_stays(data, tmp_path):
    class Cube(ActivationBase):
        def forward(self, z):
            return z * z * z

        def grad(self, z):
            return 3 * z * z

    path = tmp_path / "m.npz"
    model().save(path)
    before = path.read_bytes()
    m = DFN(layers=[FullyConnected(3, Cube(), "he_normal")], seed=0).fit(*data, 1, 16, verbose=None)
    with pytest.raises(ValueError, match=r"unknown activation 'Cube'.*register"):
        m.save(path)
    assert path.read_bytes() == before
    register(Cube)
    m.save(path)
    assert (DFN.load(path).predict(data[0]) == m.predict(data[0])).all()


@pytest.fixture
def rows(rng):
    return rng.normal(size=(64, 4)), rng.integers(0, 3, 64)


@pytest.mark.parametrize("given", [None, Adam, Adam(0.5), "adam(lr=0.5)"])
def test_whatever_was_given_as_optimizer_is_saved(rows, tmp_path, given):
    m = DFN(8, 3, optimizer=given, init_w="he_normal", seed=0).fit(*rows, 1, 32, verbose=None)
    m.save(tmp_path / "m.npz")
    again = DFN.load(tmp_path / "m.npz")
    assert repr(again) == repr(m)
    again.optimizer = "sgd(lr=0.125)"  # its layers still have none of their own
    assert again.layers["FC1"].optimizer == SGD(0.125)


def plain(optimizer="adam(lr=0.01)", seed=0):
    layers = [FullyConnected(8, "tanh", "he_normal"), Dropout(0.2), FullyConnected(3, "affine", "he_normal")]
    return DFN(layers=layers, optimizer=optimizer, seed=seed)


def test_saving_where_one_cannot(rows, tmp_path):
    m = plain().fit(*rows, 1, 32, verbose=None)
    with pytest.raises(FileNotFoundError, match=r"folder of '.*none/m.npz' does not exist"):
        m.save(str(tmp_path / "none" / "m.npz"))
    with pytest.raises(IsADirectoryError, match="is a folder"):
        m.save(tmp_path)


def test_a_file_that_was_changed_is_refused(rows, tmp_path):
    import json

    m = plain().fit(*rows, 1, 32, verbose=None)
    m.save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as file:
        good = dict(file)
    meta = json.loads(good["xdfn.json"].tobytes())

    def attempt(change_meta=None, **arrays):
        changed = {k: v for k, v in copy.deepcopy(meta).items() if k not in ("sha256", "arrays")}  # as files of before
        (change_meta or (lambda _: None))(changed)
        kept = {k: v for k, v in {**good, **arrays}.items() if v is not None}
        kept["xdfn.json"] = np.frombuffer(json.dumps(changed).encode(), np.uint8)
        np.savez(tmp_path / "bad.npz", **kept)
        return DFN.load(tmp_path / "bad.npz")

    assert attempt(lambda d: d["state"].update(predict="x")).predict(rows[0]).shape == (64,)
    for change in (
        lambda: attempt(lambda d: d.pop("given")),
        lambda: attempt(lambda d: d["layers"].update(FC1="__import__('os')")),
        lambda: attempt(lambda d: d["sizes"].update(FC9=[1, 2])),
        lambda: attempt(lambda d: d["state"].pop("_step")),
        lambda: attempt(**{"params/FC1/W": None}),
        lambda: attempt(**{"params/FC1/W": np.ones((1, 8))}),
    ):
        with pytest.raises(ValueError, match=r"bad\.npz' was changed since xdfn wrote it, or is damaged"):
            change()


# -- loading draws nothing, and takes no more than the file holds --


@pytest.mark.parametrize("init_w", ["orthogonal", "he_normal"])
def test_loading_draws_nothing(rows, tmp_path, monkeypatch, init_w):
    layers = [FullyConnected(8, "tanh", init_w), Maxout(6, 2, init_w), Residual([FullyConnected(6, "relu", init_w)])]
    m = DFN(layers=[*layers, FullyConnected(3, "affine", init_w)], seed=0).fit(*rows, 1, 32, verbose=None)
    m.save(tmp_path / "m.npz")

    def draw(self, rng, shape):
        raise AssertionError

    for cls in initializers.classes:
        monkeypatch.setattr(cls, "draw", draw)
    np.testing.assert_array_equal(DFN.load(tmp_path / "m.npz").predict_proba(rows[0]), m.predict_proba(rows[0]))


def changed(path, change):
    """The file with its text changed, as one would who knows how."""
    with np.load(path) as file:
        arrays = dict(file)
    meta = json.loads(arrays.pop("xdfn.json").tobytes())
    del meta["sha256"], meta["arrays"]
    change(meta, arrays)
    np.savez(path, **{"xdfn.json": np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays})


def enlarge(meta, arrays):
    meta["layers"]["FC1"] = "FullyConnected(n_out=20000, acti_fn='Tanh', init_w='orthogonal')"
    meta["sizes"]["FC1"] = [20000, 20000]


def pieces(meta, arrays):
    meta["layers"]["FC1"] = "Maxout(n_out=6, n_pieces=1000000000)"


def chain(meta, arrays):
    arrays["params/FC2/W"] = np.ones((5, 3))
    meta["sizes"]["FC2"] = [5, 3]


def infinite(meta, arrays):
    arrays["averages/FC1/W"] = np.full((4, 8), np.inf)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (enlarge, "FullyConnected: n_out: expected at most"),
        (pieces, "Maxout: n_pieces: expected at most"),
        (chain, "sizes: FC2: expected 8 inputs, got"),
        (infinite, "averages/FC1/W: expected finite numbers, got 'NaN or infinity'"),
        (lambda meta, arrays: meta["state"].update(_real="float16"), "dtype: expected float32"),
        (lambda meta, arrays: meta["state"].update(_real="float32"), "expected float32, got 'float64'"),
        (lambda meta, arrays: meta["state"].update(_step=-1), "step: expected a count, got -1"),
        (lambda meta, arrays: meta["state"].update(_epoch=2**70), "epoch: expected a count, got"),
        (lambda meta, arrays: meta["state"].update(_since=None), "since: expected layers, got None"),
        (lambda meta, arrays: meta.update(history={"loss": "abc"}), "history: loss: expected a list of numbers"),
        (lambda meta, arrays: meta.update(history={}), "history: expected a loss"),
        (lambda meta, arrays: meta.update(history={"loss": [1.0], "a": []}), "history: expected as many values"),
        (lambda meta, arrays: meta["sizes"].pop("FC1"), "sizes: expected all layers or none"),
        (lambda meta, arrays: meta["sizes"].update(FC1=[0, 8]), "sizes: FC1: expected two counts"),
        (lambda meta, arrays: meta["sizes"].update(FC1=[10**12, 8]), "sizes: FC1: expected two counts"),
        (lambda meta, arrays: meta["given"].update(hidden_dims_1=10**400), "hidden_dims_1: expected a count"),
        (lambda meta, arrays: meta.update(frozen=[99]), "frozen: expected numbers below"),
        (lambda meta, arrays: arrays.update({"slots/FC1/W/m": np.ones((8, 4))}), "slots/FC1/W/m: expected shape"),
        (lambda meta, arrays: arrays.update({"params/FC1/W": np.ones((4, 8), int)}), "params/FC1/W: expected float64"),
        (lambda meta, arrays: arrays.pop("params/FC2/b"), "expected one named 'params/FC2/b'"),
    ],
)  # fmt: skip
def test_a_hostile_file_is_refused_before_anything_is_made_of_it(data, tmp_path, change, said):
    m = DFN(layers=list(model().layers.values()), optimizer="adam(lr=0.01)", ema=0.9, seed=1)
    m.fit(*data, 1, 16, verbose=None).save(tmp_path / "m.npz")
    changed(tmp_path / "m.npz", change)
    tracemalloc.start()
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        DFN.load(tmp_path / "m.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "m.npz' was changed since xdfn wrote it, or is damaged" in str(error.value)
    assert peak < 3 * (tmp_path / "m.npz").stat().st_size + 20_000_000


def test_a_changed_text_is_told_by_its_checksum(data, tmp_path):
    model().fit(*data, 1, 16, verbose=None).save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as file:
        arrays = dict(file)
    meta = json.loads(arrays.pop("xdfn.json").tobytes())
    meta["state"]["_seed"] += 1
    np.savez(tmp_path / "m.npz", **{"xdfn.json": np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays})
    with pytest.raises(ValueError, match="the text: expected the one that its checksum is of"):
        DFN.load(tmp_path / "m.npz")


def test_arrays_that_are_not_needed_are_refused(data, tmp_path):
    """They are all listed in the text."""
    model().fit(*data, 1, 16, verbose=None).save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as file:
        np.savez(tmp_path / "n.npz", **file, more=np.zeros(10))
    with pytest.raises(ValueError, match="array 'more': expected None"):
        DFN.load(tmp_path / "n.npz")


def test_errors_of_the_operating_system_stay_so(tmp_path):
    with pytest.raises(IsADirectoryError):
        DFN.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        DFN.load(tmp_path / "none.safetensors")


def test_paths_of_bytes(data, tmp_path):
    m = model().fit(*data, 1, 16, verbose=None)
    path = os.fsencode(tmp_path / "m.npz")
    m.save(path)
    assert DFN.load(path).history == m.history
