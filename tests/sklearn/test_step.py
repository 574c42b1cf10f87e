import numpy as np
import pytest

from xdfn import DFN
from xdfn.sklearn.step import BatchScalars, MeanStep
from xdfn.train.plan import make_step


@pytest.fixture
def made(rng):
    X, y = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    layers = ["fc(5, 'tanh', regularizer='l2(0.3)')", "fc(2, 'affine', regularizer='l1(0.2)')"]
    model = DFN(layers=layers, loss="squared_error", optimizer="sgd(lr=0.1)", seed=0).initialize(X)
    step, state = make_step(model.config(), model._memory, X, MeanStep)
    step.scalars = BatchScalars(step.scalars, lambda i: [4.0, 0.0, 8.0][i], 0, 3)
    return X, y, model, step, state


def test_penalties_are_divided_by_the_weight_of_the_batch(made):
    X, y, model, step, state = made
    assert [step.scalars(i).penalty_scale for i in range(4)] == [(0.25,), (0.0,), (0.125,), (0.25,)]
    W1, W2 = (layer.params["W"].copy() for layer in model.layers.values())
    step.loss_scale = 0.5
    before = 0.5 * np.mean(np.sum((model.predict(X) - y) ** 2, 1))
    after, loss = step(state, X, y, 0.25, step.scalars(0))
    penalty = 0.25 * (0.15 * np.sum(W1 * W1) + 0.2 * np.abs(W2).sum())
    assert float(loss) == pytest.approx(0.5 * before + penalty)
    assert float(after.sums["loss"]) == float(loss)
    plain = DFN(layers=["fc(5, 'tanh')", "fc(2, 'affine')"], loss="squared_error", optimizer="sgd(lr=0.1)", seed=0)
    plain.fit(X, y, 1, 4, verbose=None)
    moved = step.segments.unpack(after.params)
    np.testing.assert_allclose(moved[0]["W"], plain.layers["FC1"].params["W"] - 0.1 * 0.25 * 0.3 * W1)
    np.testing.assert_allclose(moved[1]["W"], plain.layers["FC2"].params["W"] - 0.1 * 0.25 * 0.2 * np.sign(W2))
    np.testing.assert_allclose(moved[1]["b"], plain.layers["FC2"].params["b"])


def test_another_scale_is_another_compiled_step(made):
    *_, step, _ = made
    key = step.compile_key()
    step.loss_scale = 0.5
    assert step.compile_key() != key
