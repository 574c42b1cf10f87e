"""The numbers of a step: rates that follow their schedules."""

import numpy as np
import pytest
from fits import rates_seen

from xdfn import DFN


def test_each_step_has_the_rate_of_its_time(data):
    X, y = data  # three batches of 50
    model = DFN(8, 2, optimizer="sgd(lr='linear(0.3, 2)')", seed=0)
    assert rates_seen(model, X, y, 3) == pytest.approx([0.3, 0.25, 0.2, 0.15, 0.1, 0.05, 0, 0, 0])
    model = DFN(8, 2, optimizer="adam(lr='linear(0.3, 6, by=\"step\")')", seed=0)
    assert rates_seen(model, X, y, 2, 64) == pytest.approx([0.3, 0.25, 0.2, 0.15, 0.1, 0.05])


def test_a_schedule_moves_the_weights_as_its_rates_would(backend, data):
    X, y = (backend.array(a) for a in data)
    model = DFN(8, 2, optimizer="sgd(lr='step(0.4, 1, 0.5)')", init_w="he_normal", seed=0).fit(X, y, 3, verbose=None)
    by_hand = DFN(8, 2, optimizer="sgd(lr=0.4)", init_w="he_normal", seed=0)
    for _ in range(3):
        by_hand.fit(X, y, 1, verbose=None)
        for layer in by_hand.layers.values():
            layer.optimizer.lr *= 0.5
    np.testing.assert_allclose(model.history["loss"], by_hand.history["loss"], rtol=1e-12)


def test_epochs_are_not_counted_by_hand(data):
    X, y = data
    model = DFN(8, 2, optimizer="sgd(lr='linear(0.3, 2)')", seed=0)
    scores, _ = model.forward(X)
    model.backward(model.loss.value_and_grad(y, scores, 1 / 150)[1])
    with pytest.raises(ValueError, match="counts epochs, which only fit knows; give by='step'"):
        model.update()
    rule = type(model.layers["FC1"].optimizer)("linear(0.3, 3, by='step')")
    moved = [np.ones(1)]
    for _ in range(4):
        moved.append(rule(moved[-1], np.ones(1), "W"))
    assert np.ravel(moved).tolist() == pytest.approx([1, 0.7, 0.5, 0.4, 0.4])


def test_plateau_waits_for_the_validation(data):
    X, y = data
    model = DFN(
        8, 2, optimizer="sgd(lr='plateau(0.1, factor=0.1, patience=2, monitor=\"val_loss\", min_delta=9)')", seed=0
    )
    model.fit(X, y, 7, verbose=None, validation_fraction=0.2, callbacks=["learning_rate_log"])
    assert model.history["lr"] == pytest.approx([0.1] * 4 + [0.01] * 3)
