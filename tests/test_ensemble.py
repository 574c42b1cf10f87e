"""Many networks at once, as a user meets them."""

import copy
import pickle
import signal
import threading

import numpy as np
import pytest
from members import assert_same, fc

from xdfn import DFN, Callback, Ensemble, FullyConnected, Residual


@pytest.fixture
def rows(rng):
    X = rng.normal(size=(50, 5))
    return X, rng.integers(0, 3, 50)


def of_everything(i, **more):
    """A network with nearly every part; those of an ensemble differ in all in which they may."""
    hidden = FullyConnected(8, "relu", regularizer=f"l2({1e-3 * (i + 1)})", constraint="max_norm(2)")
    block = Residual(["layer_norm", fc(6), "dropout(0.2)"])
    layers = [
        f"dropout({0.1 + 0.05 * i})",
        "gaussian_noise",
        hidden,
        "batch_norm",
        "maxout(6)",
        "prelu",
        block,
        fc(3, "affine"),
    ]
    rule = f"adamw(lr='cosine({0.01 * (i + 1)}, 10)', weight_decay={0.1 * (i + 1)})"
    return DFN(layers=layers, optimizer=rule, seed=i, clip_norm=1.0, clip_value=0.5, ema=0.9, **more)


FIT = {"validation_fraction": 0.2, "metrics": ["accuracy", "f1"], "callbacks": ["early_stopping(patience=2)"]}


def test_each_member_is_the_network_that_its_own_fit_makes(backend, rows):
    X, y = (backend.array(x) for x in rows)
    ensemble = Ensemble([of_everything(i) for i in range(2)]).fit(X, y, 6, 16, **FIT)
    alone = [of_everything(i).fit(X, y, 6, 16, None, **FIT) for i in range(2)]
    assert_same(ensemble, alone, backend)
    for member, model in zip(ensemble, alone, strict=True):
        np.testing.assert_allclose(
            backend.numpy(member.predict_proba(X)), backend.numpy(model.predict_proba(X)), atol=1e-10
        )
        member.fit(X, y, 2, 16, None)  # the optimizer's memory, the averages and the counters too
        model.fit(X, y, 2, 16, None)
    assert_same(ensemble, alone, backend)


FITS = {
    "sample weights": {"sample_weight": np.linspace(0.1, 2.0, 50)},
    "class weights": {"class_weight": "balanced", "metrics": ["accuracy"]},
    "validation data": {"validation_data": (np.ones((4, 5)), np.asarray([0, 1, 2, 0]))},
    "one batch": {"batch_size": 50},
    "a batch a row": {"batch_size": 1, "n_epochs": 1},
    "metrics of the training rows": {"metrics": ["accuracy"]},
}


@pytest.mark.parametrize("what", FITS)
def test_fits_of_all_kinds(backend, rows, what):
    X, y = (backend.array(x) for x in rows)
    more = {"n_epochs": 3, "batch_size": 16, **FITS[what]}
    if "validation_data" in more:
        more["validation_data"] = tuple(map(backend.array, more["validation_data"]))

    def some():
        return [DFN(layers=[fc(6), fc(3, "affine")], optimizer="momentum(lr=0.1)", seed=i) for i in range(3)]

    ensemble = Ensemble(some()).fit(X, y, **more)
    assert_same(ensemble, [model.fit(X, y, verbose=None, **more) for model in some()], backend)


@pytest.mark.parametrize("n_out", [1, 3])
def test_targets_of_numbers(backend, rng, n_out):
    X = backend.array(rng.normal(size=(30, 4)))
    y = backend.array(rng.normal(size=30 if n_out == 1 else (30, n_out)))

    def some():
        layers = [fc(6), fc(n_out, "affine")]
        return [DFN(layers=layers, loss="squared_error", optimizer="adam", seed=i) for i in range(3)]

    ensemble = Ensemble(some()).fit(X, y, 3, 8)
    assert_same(ensemble, [model.fit(X, y, 3, 8, None) for model in some()], backend)
    mean, spread = ensemble.predict(X)
    assert mean.shape == spread.shape == y.shape


def test_rows_that_stay_on_the_host(rows):
    """array-api-strict's second device stands for a GPU: the rows go there by a few batches at a time."""
    strict = pytest.importorskip("array_api_strict")
    X, y = rows
    there = strict.Device("device1")

    def some():
        return [DFN(layers=[fc(6), fc(3, "affine")], optimizer="adam", seed=i) for i in range(2)]

    ensemble = Ensemble(some()).fit(X, y, 2, 16, device=there, validation_fraction=0.2)
    alone = [model.fit(X, y, 2, 16, None, device=there, validation_fraction=0.2) for model in some()]
    for member, model in zip(ensemble, alone, strict=True):
        assert member.history == model.history
        assert member.layers["FC1"].params["W"].device == there


# -- members --


def test_k_copies_have_the_seeds_from_0_on_and_learned_nothing(rows):
    X, y = rows
    model = DFN(layers=[fc(6), fc(3, "affine")], seed=7).fit(X, y, 2, 16, None)
    ensemble = Ensemble(model, k=4)
    assert [member.seed for member in ensemble] == [0, 1, 2, 3]
    assert len(ensemble) == 4
    assert all(member.history == {"loss": []} and not member.is_initialized for member in ensemble)
    assert len(model.history["loss"]) == 2  # which stays as it was
    ensemble.fit(X, y, 2, 16)
    new = DFN(layers=[fc(6), fc(3, "affine")], seed=2).fit(X, y, 2, 16, None)
    assert ensemble.members[2].history == new.history


def test_what_is_no_ensemble_is_told():
    model = DFN(4, 2)
    for given, k, text in (
        (model, 0, "k must be an integer of at least 1, got 0"),
        ([model], 3, "expects k with one model"),
        ([], None, "expects a DFN and k, or a list of at least one DFN"),
        ("dfn", 3, "expects a DFN and k"),
        ([model, model], None, r"expects different models; copy.copy\(model\) makes another"),
    ):
        with pytest.raises(ValueError, match=text):
            Ensemble(given, k)


def test_an_ensemble_shows_itself():
    assert repr(Ensemble(DFN(4, 2), 3)).startswith("Ensemble of 3: DFN(4, 2, ")


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_copies_go_on_by_themselves(rows, copied):
    X, y = rows
    ensemble = Ensemble(DFN(4, 3), 2).fit(X, y, 1, 16)
    other = copied(ensemble).fit(X, y, 1, 16)
    assert [len(m.history["loss"]) for m in ensemble] == [1, 1]
    assert [len(m.history["loss"]) for m in other] == [2, 2]


# -- answers --


def test_mean_and_spread_are_those_of_the_members(backend, rows):
    X, y = (backend.array(x) for x in rows)
    ensemble = Ensemble(DFN(layers=[fc(6), fc(3, "affine")], optimizer="adam"), 5).fit(X, y, 2, 16)
    mean, spread = (backend.numpy(x) for x in ensemble.predict(X))
    answers = np.stack([backend.numpy(member.predict_proba(X)) for member in ensemble])
    np.testing.assert_allclose(mean, answers.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(spread, answers.std(axis=0), atol=1e-12)
    np.testing.assert_allclose(mean.sum(axis=1), 1.0, atol=1e-12)


def test_the_best_member(rows):
    X, y = rows
    ensemble = Ensemble(DFN(layers=[fc(6), fc(3, "affine")], optimizer="adam(lr=0.05)"), 5)
    with pytest.raises(ValueError, match="val_loss"):
        ensemble.best("val_loss")
    ensemble.fit(X, y, 5, 16, validation_fraction=0.3, metrics=["accuracy"])
    least = min(ensemble, key=lambda m: min(m.history["val_loss"]))
    assert ensemble.best() is ensemble.best("val_loss") is least
    most = max(max(m.history["val_accuracy"]) for m in ensemble)
    assert max(ensemble.best("val_accuracy").history["val_accuracy"]) == most
    assert ensemble.best("val_accuracy", mode="min") is min(ensemble, key=lambda m: min(m.history["val_accuracy"]))
    with pytest.raises(ValueError, match="'nothing'"):
        ensemble.best("nothing", mode="min")


# -- what goes wrong --


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"callbacks": ["checkpoint('x.npz')"]}, "Checkpoint.* cannot be told of the members of an Ensemble"),
        ({"callbacks": ["progress_bar"]}, "cannot be told of the members"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"class_weight": "balanced", "validation_fraction": 0.2}, "takes no sample_weight and no class_weight"),
    ],
    ids=str,
)
def test_a_refused_fit_changes_nothing(rows, given, text):
    X, y = rows
    ensemble = Ensemble(DFN(4, 3), 2)
    with pytest.raises(ValueError, match=text):
        ensemble.fit(X, y, **{"n_epochs": 1, **given})
    assert all(member.history == {"loss": []} and not member.is_initialized for member in ensemble)
    ensemble.fit(X, y, 1)


def test_misspelt_arguments_are_told(rows):
    with pytest.raises(TypeError, match="it is called n_epochs here"):
        Ensemble(DFN(4, 3), 2).fit(*rows, epochs=3)


def test_targets_that_do_not_fit_change_nothing(rows):
    X, y = rows
    ensemble = Ensemble(DFN(4, 3), 2)
    with pytest.raises(ValueError, match=r"y must lie in \[0, 2\]"):
        ensemble.fit(X, y + 5, 1)
    assert not any(member.is_initialized for member in ensemble)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_leaves_all_members_at_the_same_epoch(rows):
    X, y = rows
    ensemble = Ensemble(DFN(layers=[fc(6), fc(3, "affine")]), 3)
    timer = threading.Timer(0.5, signal.raise_signal, (signal.SIGINT,))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        ensemble.fit(X, y, 10**6, 16)
    timer.join()
    (n,) = {len(member.history["loss"]) for member in ensemble}
    assert n >= 1
    alone = DFN(layers=[fc(6), fc(3, "affine")], seed=1).fit(X, y, n, 16, None)
    assert ensemble.members[1].history == alone.history


def test_a_member_that_is_being_fitted_is_refused(rows):
    X, y = rows
    ensemble = Ensemble(DFN(4, 3), 2)
    member = ensemble.members[1]
    with member._alone(), pytest.raises(ValueError, match="while another fit of the same model goes on"):
        ensemble.fit(X, y, 1)
    ensemble.fit(X, y, 1)


class Stop(Callback):
    def on_batch_end(self, model, batch, n_batches, loss):
        if batch == 3:
            raise RuntimeError("stop")


def test_a_member_that_was_saved_within_an_epoch_is_refused(rows, tmp_path):
    X, y = rows
    path = str(tmp_path / "m.npz")
    model = DFN(layers=[fc(6), fc(3, "affine")], seed=0)
    with pytest.raises(RuntimeError, match="stop"):
        model.fit(X, y, 2, 16, None, callbacks=[f"checkpoint({path!r}, every='2 batches')", Stop()])
    members = [DFN(layers=[fc(6), fc(3, "affine")], seed=0), DFN.load(path)]
    with pytest.raises(ValueError, match="member 1 of the Ensemble was saved within an epoch"):
        Ensemble(members).fit(X, y, 1, 16)
    members[1].fit(X, y, 1, 16, None)
    Ensemble(members).fit(X, y, 1, 16)
