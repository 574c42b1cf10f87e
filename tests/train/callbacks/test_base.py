"""When callbacks are told, and of what."""

import numpy as np
import pytest
from fits import Told, two_layers

from xdfn import DFN, Callback, EarlyStopping, ProgressBar


def test_callbacks_are_told_in_order(data):
    X, y = data
    told = Told()
    DFN(8, 2, seed=0).fit(X, y, 2, 100, None, callbacks=[told], validation_data=(X, y))
    epoch = ["epoch begins", (1, 2), (2, 2), ["loss", "val_loss"]]
    assert told.calls == [("fit begins", 2, 2, ("loss", "val_loss")), *epoch, *epoch, ("fit ends", True)]
    told = Told()
    with pytest.raises(FloatingPointError):
        DFN(8, 2, loss="squared_error", optimizer="sgd(lr=1e30)").fit(X, 1.0 * np.eye(2)[y], 9, callbacks=[told])
    assert told.calls[-1] == ("fit ends", False)


def test_a_batchs_loss_can_be_asked_for(backend, data):
    X, y = (backend.array(a) for a in data)
    losses = []

    class Losses(Callback):
        def on_batch_end(self, model, batch, n_batches, loss):
            losses.append(loss())

    model = DFN(8, 2, seed=0).fit(X, y, 1, 60, None, callbacks=[Losses()])
    assert model.history["loss"][0] == pytest.approx((60 * losses[0] + 60 * losses[1] + 30 * losses[2]) / 150, rel=1e-9)


def test_all_callbacks_are_told_of_the_end_whatever_one_does(data):
    X, y = data

    class Raises(Callback):
        def on_fit_end(self, model, complete):
            raise RuntimeError("at the end")

    told = Told()
    with pytest.raises(RuntimeError, match="at the end"):
        two_layers().fit(X, y, 1, 64, None, callbacks=[Raises(), told])
    assert told.calls[-1] == ("fit ends", True)


def test_who_overrides_a_method_is_taken_to_change_the_model():
    class Still(EarlyStopping):
        """The same with another name."""

    class Looks(Callback):
        may_change_model = False

        def on_epoch_end(self, model, values): ...

    class Meddles(Looks):
        def on_epoch_begin(self, model): ...

    given = (EarlyStopping, Still, Looks, Callback, Meddles, type("Mine", (EarlyStopping,), {"state": lambda self: {}}))
    assert [cls.may_change_model for cls in given] == [False, False, False, True, True, True]


def test_only_a_callback_of_batches_makes_training_go_batch_by_batch():
    class Batches(Callback):
        def on_batch_end(self, model, batch, n_batches, loss): ...

    assert [Callback().by_batch, Batches().by_batch, EarlyStopping().by_batch] == [False, True, False]
    assert [ProgressBar(batches).by_batch for batches in (False, True)] == [False, True]
