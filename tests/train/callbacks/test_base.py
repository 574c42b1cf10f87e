"""When callbacks are told, and of what."""

import numpy as np
import pytest
from fits import Told, two_layers

from xdfn import DFN, Callback


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
