"""A user's program, for tests/contracts/test_types.py: `mypy --strict` finds an error in each line that says so, and in
no other. The right uses run.
"""

from typing import TYPE_CHECKING

import array_api_strict
import numpy as np

from xdfn import (
    DFN,
    Adam,
    Callback,
    CrossEntropy,
    Dropout,
    EarlyStopping,
    FullyConnected,
    FunctionMetric,
    ReLU,
    SquaredError,
    check_gradients,
    find_learning_rate,
    sigmoid,
)


class Watch(Callback):
    def on_epoch_end(self, model: object, values: dict[str, float]) -> None:
        assert values["loss"] >= 0.0


def wrong_share(y_true: object, y_pred: object) -> float:
    return float(np.mean(np.asarray(y_true) != np.asarray(y_pred)))


def right_share(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    return float((y_true == y_pred).mean())


def right() -> None:
    X = np.random.default_rng(0).normal(size=(40, 3))
    y = (X[:, 0] > 0).astype(int)
    model = DFN(
        layers=[8, "dropout(0.1)", Dropout(0.1), FullyConnected(4, None), FullyConnected(2, "affine")],
        optimizer=Adam(lr=0.01),
        loss=CrossEntropy(smoothing=0.1),
        seed=0,
        clip_norm=1,
    )
    model.fit(
        X,
        y,
        n_epochs=2,
        verbose=None,
        sample_weight=np.ones(40),
        class_weight="balanced",
        validation_data=(X, y),
        metrics=["accuracy", FunctionMetric(wrong_share), "top_k(1)"],
        callbacks=["early_stopping('val_loss')", EarlyStopping("loss"), Watch(), Watch],
    )
    model.fit(X.tolist(), y.tolist(), 1, verbose=0, class_weight={0: 2.0}, metrics={"wrong": wrong_share})
    model.fit(X, y, 1, verbose=0, validation_data=(X, y, np.ones(40)), metrics="accuracy")
    answer: np.ndarray[tuple[int, ...], np.dtype[np.int64]] = model.predict(X)
    assert answer.mean() <= 1.0
    probabilities = model.predict_proba(X)
    assert probabilities.sum() > 0
    mean, spread = model.predict(X, samples=2)
    assert mean.shape == spread.shape
    assert spread.min() >= 0
    numbers = model.fit(X, y, np.int64(1), np.int64(16), verbose=0, metrics=right_share).n_epochs + 1
    assert numbers == 2
    assert DFN(np.int64(4), np.int64(2), seed=np.int64(0)).seed == 0
    assert len(DFN(layers=[np.int64(4), FullyConnected(np.int64(2), "affine")]).layers) == 2
    other = DFN(layers=[4, 2], seed=0)
    rows = array_api_strict.asarray(X)
    theirs = other.fit(rows, array_api_strict.asarray(y), 1, verbose=0).predict(rows)
    assert theirs.to_device(rows.device).shape == (40,)  # which array_api_strict alone has
    scores, _ = DFN(layers=[2], seed=0).forward(X)
    assert (scores - np.ones((40, 2))).shape == (40, 2)
    by_hand = DFN(layers=[4, 2], seed=0)
    by_hand.forward(X)
    by_hand.backward(np.ones((40, 2)))
    by_hand.update()
    assert SquaredError()(np.ones((4, 2)), np.zeros((4, 2))).shape == ()
    assert ReLU().forward(X).shape == sigmoid(X.tolist()).shape == X.shape
    of_list = model.predict(X.tolist())
    assert of_list.shape == (40,)
    model.fit(X, of_list, 1, verbose=0)
    one: float = model.evaluate(X, y, metric="f1")
    several: dict[str, float] = model.evaluate(X, y, metrics=["accuracy", wrong_share])
    assert one <= 1.0
    assert len(several) == 2
    model.layers["FC1"].trainable = False
    model.layers["FC1"].params["W"] = np.zeros((3, 8))
    model.optimizer, model.clip_value, model.ema = "sgd", 0.5, 0.9
    model.optimizer = Adam(lr="cosine(0.01, 5)")
    model.loss = "cross_entropy"
    assert check_gradients(DFN(4, 2, seed=0), X, y) < 1e-3
    assert find_learning_rate(DFN(4, 2, init_w="he_normal", seed=0), X, y, n_steps=5).suggestion > 0
    apply, params = model.as_function()
    assert apply(params, X).shape == (40, 2)
    assert DFN(16, 2).reset().seed is None


if TYPE_CHECKING:
    X = np.zeros((4, 3))
    y = np.zeros(4, int)
    model = DFN(4, 2)
    DFN(4, 2, optimizer=3)  # error
    DFN(4, 2, loss=5)  # error
    DFN("4", 2)  # error
    DFN(layers=["relu", 3.5])  # error
    DFN(layers=8)  # error
    DFN(4, 2, seed="a")  # error
    DFN(4, 2, learning_rate=0.1)  # error
    model.fit("nonsense", 3)  # error
    model.fit(X, 3)  # error
    model.fit(X, "labels")  # error
    model.fit(X)  # error
    model.fit(X, y, n_epochs="many")  # error
    model.fit(X, y, verbose="yes")  # error
    model.fit(X, y, epochs=3)  # error
    model.fit(X, y, callbacks=["early_stopping", 3])  # error
    model.fit(X, y, callbacks=[wrong_share])  # error
    model.fit(X, y, metrics=3)  # error
    model.fit(X, y, class_weight="even")  # error
    model.fit(X, y, class_weight={"a": 2.0})  # error
    model.fit(X, y, validation_data=X)  # error
    model.fit(X, y, sample_weight=2.0)  # error
    model.evaluate(X, y, metric=3)  # error
    model.evaluate(X, y, metrics=3)  # error
    model.backward(3)  # error
    model.fit(X, y, n_epochs=1.5)  # error
    sigmoid("half")  # error
    model.evaluate(X, y, metric="f1", metrics=["f1"])  # error
    model.predict(3)  # error
    model.predict(X, samples="two")  # error
    model.predict(X, spread=1)  # error
    model.lr = 0.1  # error
    model.n_epochs = 3  # error
    model.fitt(X, y)  # error
    FullyConnected("4")  # error
    FullyConnected(4, 3)  # error
    FullyConnected(4, units=3)  # error
    Dropout("half")  # error
    Dropout(p=0.5)  # error
    Adam(lr=[1])  # error
    Adam(betas=(0.9, 0.99))  # error
    EarlyStopping("loss", patience="long")  # error


if __name__ == "__main__":
    right()
