import math

import numpy as np
import pytest
from fits import two_layers

from xdfn import DFN, Callback, EarlyStopping, FullyConnected


def test_early_stopping_by_hand(backend):
    """The validation's targets move away after a while: the best epoch is known, and its weights come back."""
    X = backend.array(np.asarray([[1.0]]))
    kept = []

    class Keep(Callback):
        def on_epoch_end(self, model, values):
            kept.append(backend.numpy(model.layers["FC1"].params["W"]).copy())

    layers = [FullyConnected(1, "affine", "constant(0)")]
    model = DFN(layers=layers, loss="squared_error", optimizer="sgd(lr=0.1)", seed=0)
    stop = EarlyStopping("val_loss", patience=3)
    there = X, backend.array(np.asarray([[1.0]])), backend.array(np.asarray([[0.7]]))
    model.fit(X, there[1], 50, 1, None, validation_data=(X, there[2]), callbacks=[stop, Keep()])
    best = int(np.argmin(model.history["val_loss"]))
    assert len(model.history["loss"]) == best + 1 + 3
    assert (backend.numpy(model.layers["FC1"].params["W"]) == kept[best]).all()
    assert model.evaluate(X, there[2]) == pytest.approx(min(model.history["val_loss"]), rel=1e-12)
    n = len(model.history["loss"])
    model.fit(X, there[1], 2, 1, None, validation_data=(X, there[2]), callbacks=[stop])  # who fits on, goes on
    assert len(model.history["loss"]) == n + 2


@pytest.mark.parametrize(
    ("values", "arguments", "epochs"),
    [
        ([5, 4, 3, 4, 4, 2], {"patience": 2}, 5),
        ([5, 4, 3, 4, 4, 2], {"patience": 3}, 6),
        ([5, 4, 3.95, 3.9, 3.8], {"patience": 2, "min_delta": 0.1}, 5),
        ([5, 4, 3.95, 3.91, 3.8], {"patience": 2, "min_delta": 0.15}, 4),
        ([1, 2, 3, 2, 2, 9], {"patience": 2, "mode": "max"}, 5),
        ([math.nan, 2, math.nan, math.nan, 1], {"patience": 2}, 4),
    ],
)
def test_patience_and_min_delta_by_hand(values, arguments, epochs, data):
    X, y = data
    given = iter(values)

    def moved(y_true, y_pred):
        return next(given)

    arguments = {"mode": "min", **arguments}
    stop = EarlyStopping("val_moved", restore_best=False, **arguments)
    model = DFN(4, 2, seed=0).fit(X, y, len(values), 64, None, validation_data=(X, y), metrics=moved, callbacks=[stop])
    assert len(model.history["loss"]) == epochs
    with pytest.raises(ValueError, match="say mode='max' or mode='min'"):
        model.fit(X, y, 1, validation_data=(X, y), metrics=moved, callbacks=[EarlyStopping("val_moved")])


def test_a_fit_that_came_to_its_end_leaves_nothing_to_the_next(data):
    X, y = data
    stop = lambda: [EarlyStopping(patience=2, restore_best=False)]  # noqa: E731
    one = two_layers().fit(X, y, 8, 64, None, validation_data=(X, y), callbacks=stop())
    other = two_layers().fit(X, y, 8, 64, None, validation_data=(X, y))
    for model in (one, other):
        model.fit(X, 1 - y, 10, 64, None, validation_data=(X, 1 - y), callbacks=stop())
    assert one.history["val_loss"][8:] == other.history["val_loss"][8:]
