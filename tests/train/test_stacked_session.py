"""Members of an ensemble that stop, diverge, are watched or changed by callbacks, beside those that go on."""

import copy

import numpy as np
import pytest
from members import assert_same, fc, parameters

from xdfn import DFN, Callback, Ensemble


@pytest.fixture
def rows(rng):
    X = rng.normal(size=(60, 4))
    return X, (X[:, 0] * X[:, 1] > 0) * 1


def make(seed, lr=0.1, **more):
    return DFN(layers=[fc(8), "dropout(0.1)", fc(2, "affine")], optimizer=f"momentum(lr={lr})", seed=seed, **more)


RATES = (0.01, 0.3, 1.0, 2.5, 0.1)


def members():
    return [make(seed, lr) for seed, lr in enumerate(RATES)]


STOPPING = {"validation_fraction": 0.3, "metrics": ["accuracy"], "callbacks": ["early_stopping(patience=1)"]}


def test_members_that_stop_early_are_frozen(backend, rows):
    """They stop in different epochs, and the stack becomes smaller on the way."""
    X, y = (backend.array(x) for x in rows)
    ensemble = Ensemble(members()).fit(X, y, 30, 16, **STOPPING)
    alone = [model.fit(X, y, 30, 16, None, **STOPPING) for model in members()]
    assert_same(ensemble, alone, backend)
    lengths = [len(model.history["loss"]) for model in ensemble]
    assert len(set(lengths)) > 2
    assert max(lengths) < 30 or sorted(lengths)[-2] < 30


def test_a_second_fit_goes_on(backend, rows):
    X, y = (backend.array(x) for x in rows)
    ensemble = Ensemble(members()).fit(X, y, 2, 16).fit(X, y, 3, 16)
    alone = [model.fit(X, y, 2, 16, None).fit(X, y, 3, 16, None) for model in members()]
    assert_same(ensemble, alone, backend)
    ensemble.members[1].fit(X, y, 2, 16, None)  # a member may go on by itself, and come back
    ensemble.fit(X, y, 1, 16)
    alone = [model.fit(X, y, 1 + 2 * (i == 1), 16, None) for i, model in enumerate(alone)]
    assert_same(ensemble, alone, backend)


@pytest.mark.parametrize("callbacks", [[], ["early_stopping('loss', patience=50)"]], ids=["unwatched", "watched"])
def test_members_that_diverge_are_told_and_stand_at_their_last_good_epoch(backend, rows, callbacks):
    X, y = (backend.array(x) for x in rows)

    def some(**more):
        rates = [0.1, 1e200, 0.2]
        return [
            DFN(layers=[fc(8, "relu"), fc(1, "affine")], loss="squared_error", optimizer=f"sgd({lr})", seed=i)
            for i, lr in enumerate(rates)
        ]

    y = backend.array(rows[1] * 1.0)
    with np.errstate(all="ignore"):
        ensemble = Ensemble(some()).fit(X, y, 4, 16, callbacks=callbacks)
        alone = some()
        for i in (0, 2):
            alone[i].fit(X, y, 4, 16, None, callbacks=callbacks)
        with pytest.raises(FloatingPointError):
            alone[1].fit(X, y, 4, 16, None)
        assert ensemble.diverged == (1,)
        assert_same([ensemble.members[i] for i in (0, 2)], [alone[0], alone[2]], backend)
        assert ensemble.members[1].history == {"loss": []}
        assert all(np.isfinite(p).all() for p in parameters(ensemble.members[1], backend))
        lost = Ensemble([some()[1], copy.copy(some()[1])])
        with pytest.raises(FloatingPointError, match="of all 2 members became NaN or infinite"):
            lost.fit(X, y, 4, 16)
        assert lost.diverged == (0, 1)


class Halving(Callback):
    """Changes the model: its rates after each epoch, and its weights after the second."""

    epoch = 0

    def on_epoch_end(self, model, values):
        self.epoch += 1
        for layer in model.layers.values():
            layer.optimizer.lr = layer.optimizer.lr / 2
        if self.epoch == 2:
            model.layers["FC1"].params["W"] = model.layers["FC1"].params["W"] * 0.5


class Centred(Callback):
    """Changes the weights alone."""

    def on_epoch_end(self, model, values):
        W = model.layers["FC1"].params["W"]
        model.layers["FC1"].params["W"] = W * 0.9


@pytest.mark.parametrize("callback", [Halving, Centred])
def test_callbacks_may_change_the_members(backend, rows, callback):
    X, y = (backend.array(x) for x in rows)
    ensemble = Ensemble(members()[:3]).fit(X, y, 4, 16, callbacks=[callback()])
    assert_same(ensemble, [m.fit(X, y, 4, 16, None, callbacks=[callback()]) for m in members()[:3]], backend)


class Losses(Callback):
    """The losses of the batches, the rates in them, and a sum of weights in the last epoch."""

    may_change_model = False

    def on_fit_begin(self, model, info):
        model.seen = []  # on the model, for each member has a copy of the callback

    def on_batch_end(self, model, batch, n_batches, loss):
        weights = float(np.sum(np.asarray(model.layers["FC1"].params["W"].tolist()))) if batch == n_batches else 0.0
        model.seen.append((batch, n_batches, loss(), model.learning_rate, weights))


class Watched(DFN):
    seen = ()


def test_callbacks_are_told_of_batches(rows):
    X, y = rows

    def some():
        layers = [fc(8), fc(2, "affine")]
        return [Watched(layers=layers, optimizer=f"sgd('cosine({lr}, 9)')", seed=i) for i, lr in enumerate(RATES[:3])]

    ensemble = Ensemble(some()).fit(X, y, 3, 25, callbacks=[Losses()])
    for member, model in zip(ensemble, some(), strict=True):
        model.fit(X, y, 3, 25, None, callbacks=[Losses()])
        assert len(member.seen) == 9
        np.testing.assert_allclose(np.asarray(member.seen), np.asarray(model.seen), rtol=1e-12)


class Failing(Callback):
    may_change_model = False

    def on_epoch_end(self, model, values):
        if model.seed == 1 and len(model.history["loss"]) == 3:
            raise RuntimeError("enough")


class Unmeasured(Callback):
    may_change_model = False
    names = ("x",)

    def measure(self, model):
        if model.seed == 1 and len(model.history["loss"]) == 2:
            raise RuntimeError("enough")
        return {"x": 0.0}


@pytest.mark.parametrize("failing", [Failing, Unmeasured])
def test_an_error_leaves_all_members_at_a_complete_epoch(backend, rows, failing):
    """All have made the epoch after which a callback failed, but the one whose values could not be measured."""
    X, y = (backend.array(x) for x in rows)
    ensemble = Ensemble(members()[:3])
    with pytest.raises(RuntimeError, match="enough"):
        ensemble.fit(X, y, 9, 16, callbacks=[failing()])
    lengths = [len(m.history["loss"]) for m in ensemble]
    assert lengths == ([3, 3, 3] if failing is Failing else [3, 2, 3])
    alone = [m.fit(X, y, n, 16, None) for m, n in zip(members(), lengths, strict=False)]
    for m in ensemble:
        m.history.pop("x", None)
    assert_same(ensemble, alone, backend)
    ensemble.fit(X, y, 1, 16)  # and can go on
    for m, n in zip(ensemble, lengths, strict=True):
        assert len(m.history["loss"]) == n + 1


def test_large_numbers_whose_sum_overflows_are_no_divergence(eager):
    """Adam's memory of gradients of 5e18 is 2.5e34 each, and the sum of 40,000 is beyond float32."""
    Z, y = np.full((40, 20_000), 1e19, "f4"), np.arange(40) % 2 * 0
    models = [DFN(layers=[fc(2, "affine", "zeros")], optimizer="adam(1e-30)", seed=seed) for seed in range(2)]
    ensemble = Ensemble(models).fit(eager.array(Z), eager.array(y), 2, 40)
    assert ensemble.diverged == ()
    assert [len(member.history["loss"]) for member in ensemble] == [2, 2]
    v = eager.numpy(ensemble.members[1]._memory.slots["FC1"]["W"]["v"])
    with np.errstate(over="ignore"):
        assert np.isinf(v.sum(dtype="f4"))
    assert np.isfinite(v).all()
