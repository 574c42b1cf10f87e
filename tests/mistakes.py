"""The mistakes of tests/contracts/test_bad_input.py: what users bring, what they are told, and what one does then."""

import numpy as np
import pytest

from xdfn import DFN, Adam, Callback, Dropout, EarlyStopping, FullyConnected, FunctionMetric, ReLU

N = 40
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3))
NUMBERS = X[:, 0] + 0.1
LABELS = (X[:, 0] > 0).astype("int64") + (X[:, 1] > 0)
WORDS = np.asarray(["low", "mid", "high"])[LABELS]


def pandas():
    return pytest.importorskip("pandas")


def polars():
    return pytest.importorskip("polars")


def sparse():
    return pytest.importorskip("scipy.sparse")


def classes(n_out=3, **more):
    return DFN(layers=[8, n_out], optimizer="adam", seed=0, **more)


def yes_or_no(n_out=1):
    return classes(n_out, loss="binary_cross_entropy")


def numbers(n_out=1, loss="squared_error"):
    return classes(n_out, loss=loss)


def cities(words=("Bern", "Rome")):
    return pandas().DataFrame({"size": X[:, 0], "city": [words[i % len(words)] for i in range(N)]})


def numbered(words):
    """What the advice of numpy.unique makes of labels."""
    labels, y = np.unique(words, return_inverse=True)
    assert (np.asarray(labels)[y] == np.asarray(words)).all()
    return y


# name: model, mistake(model), what is said, mend(model)
CASES = {
    # ---- X
    "X is a string": (classes, lambda m: m.fit("X.csv", LABELS), "X_train must be an array, a frame or a list", None),
    "X is a generator": (
        classes,
        lambda m: m.fit((row for row in X), LABELS),
        "must be an array, a frame or a list of numbers, got generator",
        lambda m: m.fit(list(row for row in X), LABELS),  # noqa: C400
    ),
    "X is sparse": (
        classes,
        lambda m: m.fit(sparse().csr_array(X), LABELS),
        "X_train is a sparse csr_array, expected a dense array: X_train.toarray() makes one",
        lambda m: m.fit(sparse().csr_array(X).toarray(), LABELS),
    ),
    "X has a column of words, pandas": (
        classes,
        lambda m: m.fit(cities(), LABELS),
        "the columns 'city' do not: pandas.get_dummies(X_train, columns=[...])",
        lambda m: m.fit(pandas().get_dummies(cities(), columns=["city"]), LABELS),
    ),
    "X has a column of words, polars": (
        classes,
        lambda m: m.fit(polars().DataFrame({"size": X[:, 0], "city": list(WORDS)}), LABELS),
        "the columns 'city' do not: X_train.to_dummies([...])",
        lambda m: m.fit(polars().DataFrame({"size": X[:, 0], "city": list(WORDS)}).to_dummies(["city"]), LABELS),
    ),
    "X is words": (
        classes,
        lambda m: m.fit(WORDS[:, None], LABELS),
        "X_train must hold real numbers, got dtype <U4; numpy.unique(column, return_inverse=True)[1] makes numbers",
        lambda m: m.fit(numbered(WORDS)[:, None], LABELS),
    ),
    "X is objects": (
        classes,
        lambda m: m.fit(X.astype(object), LABELS),
        "got dtype object; numpy.asarray(X_train, dtype=float)",
        lambda m: m.fit(np.asarray(X.astype(object), dtype=float), LABELS),
    ),
    "X is complex": (
        classes,
        lambda m: m.fit(X + 1j, LABELS),
        "got dtype complex128; take X_train.real",
        lambda m: m.fit((X + 1j).real, LABELS),
    ),
    "X is times": (
        classes,
        lambda m: m.fit(np.zeros((N, 1), "M8[D]"), LABELS),
        "numpy.asarray(X_train).astype('int64') makes numbers of times",
        lambda m: m.fit(np.asarray(np.zeros((N, 1), "M8[D]")).astype("int64"), LABELS),
    ),
    "X is one column": (
        numbers,
        lambda m: m.fit(X[:, 0], NUMBERS),
        "X_train must be 2-d, got shape (40,); numpy.reshape(X_train, (-1, 1)) makes one column of it",
        lambda m: m.fit(np.reshape(X[:, 0], (-1, 1)), NUMBERS),
    ),
    "X is a series": (
        numbers,
        lambda m: m.fit(pandas().Series(X[:, 0]), NUMBERS),
        "numpy.reshape(X_train, (-1, 1)) makes one column of it",
        lambda m: m.fit(np.reshape(pandas().Series(X[:, 0]), (-1, 1)), NUMBERS),
    ),
    "X is one row": (
        lambda: classes().fit(X, LABELS, 1, verbose=0),
        lambda m: m.predict(X[0]),
        "numpy.reshape(X, (1, -1)) one row",
        lambda m: m.predict(np.reshape(X[0], (1, -1))),
    ),
    "X is images": (
        classes,
        lambda m: m.fit(np.zeros((N, 2, 3)), LABELS),
        "numpy.reshape(X_train, (40, -1)) makes one row of each sample",
        lambda m: m.fit(np.reshape(np.zeros((N, 2, 3)), (40, -1)), LABELS),
    ),
    "X has ragged rows": (
        classes,
        lambda m: m.fit([[1.0], [1.0, 2.0]], [0, 1]),
        "no array can be made of X_train",
        None,
    ),
    "X has a mask": (
        classes,
        lambda m: m.fit(np.ma.array(X), LABELS),
        "X_train is a masked array, expected one without a mask: X_train.filled(0)",
        lambda m: m.fit(np.ma.array(X).filled(0), LABELS),
    ),
    "X has gaps": (
        classes,
        lambda m: m.fit(np.where(X > 1, np.nan, X), LABELS),
        "X holds NaN or infinity; clean it",
        lambda m: m.fit(np.nan_to_num(np.where(X > 1, np.nan, X)), LABELS),
    ),
    "X has other columns": (
        lambda: classes().fit(X, LABELS, 1, verbose=0),
        lambda m: m.predict(X[:, :2]),
        "X must have the 3 columns that the network was made for, got 2",
        lambda m: m.predict(X),
    ),
    "X has no rows": (classes, lambda m: m.fit(X[:0], LABELS[:0]), "at least one row and one column", None),
    "X and y differ": (classes, lambda m: m.fit(X, LABELS[1:]), "the same number of rows, got 40 and 39", None),
    # ---- y
    "y is words": (
        classes,
        lambda m: m.fit(X, WORDS),
        "y must hold real numbers, got dtype <U4; labels, y = numpy.unique(y, return_inverse=True) makes class numbers",
        lambda m: m.fit(X, numbered(WORDS)),
    ),
    "y is a series of words": (
        classes,
        lambda m: m.fit(X, pandas().Series(WORDS)),
        "labels, y = numpy.unique(y, return_inverse=True)",
        lambda m: m.fit(X, numbered(pandas().Series(WORDS))),
    ),
    "y is a list of words": (
        classes,
        lambda m: m.fit(X, list(WORDS)),
        "labels, y = numpy.unique(y, return_inverse=True)",
        lambda m: m.fit(X, numbered(list(WORDS))),
    ),
    "classes count from 1": (
        classes,
        lambda m: m.fit(X, LABELS + 1),
        "y must lie in [0, 2], got values from 1 to 3; labels, y = numpy.unique(y, return_inverse=True)",
        lambda m: m.fit(X, numbered(LABELS + 1)),
    ),
    "classes are -1 and 1": (
        yes_or_no,
        lambda m: m.fit(X, 2 * (LABELS > 0) - 1),
        "y must lie in [0, 1], got values from -1 to 1; labels, y = numpy.unique(y, return_inverse=True)",
        lambda m: m.fit(X, numbered(2 * (LABELS > 0) - 1)),
    ),
    "three classes for yes or no": (
        yes_or_no,
        lambda m: m.fit(X, LABELS),
        "for several classes: loss='cross_entropy', with an output for each",
        lambda m: classes().fit(X, LABELS),
    ),
    "numbers as words": (
        numbers,
        lambda m: m.fit(X, [f"{x:.2f}" for x in NUMBERS]),
        "numpy.asarray(y, dtype=float) makes numbers of them",
        lambda m: m.fit(X, np.asarray([f"{x:.2f}" for x in NUMBERS], dtype=float)),
    ),
    "dates of polars": (
        classes,
        lambda m: m.fit(polars().DataFrame({"a": X[:, 0], "day": np.full(N, "2026-01-01", "M8[us]")}), LABELS),
        "the columns 'day' do not",
        None,
    ),
    "two columns of one name": (
        classes,
        lambda m: m.fit(pandas().DataFrame([[1.0, "u", "v"]] * N, columns=["a", "s", "s"]), LABELS),
        "the columns 's', 's' do not",
        None,
    ),
    "more classes than outputs": (
        lambda: classes(2),
        lambda m: m.fit(X, LABELS),
        "the last layer needs 3 outputs, one for each class",
        lambda m: classes(3).fit(X, LABELS),
    ),
    "numbers with the loss of classes": (
        lambda: classes(2),
        lambda m: m.fit(X, NUMBERS),
        "got float64: to predict numbers, loss='squared_error'",
        lambda m: numbers().fit(X, NUMBERS),
    ),
    "class numbers as floats": (
        classes,
        lambda m: m.fit(X, LABELS.astype(float)),
        "for classes, numpy.asarray(y, dtype=int)",
        lambda m: m.fit(X, np.asarray(LABELS.astype(float), dtype=int)),
    ),
    "class numbers as a list of floats": (
        classes,
        lambda m: m.fit(X, LABELS.astype(float).tolist()),
        "for classes, numpy.asarray(y, dtype=int)",
        lambda m: m.fit(X, np.asarray(LABELS.astype(float).tolist(), dtype=int)),
    ),
    "numbers and one output with the loss of classes": (
        lambda: classes(1),
        lambda m: m.fit(X, NUMBERS),
        "for one output: loss='binary_cross_entropy' for yes or no, loss='squared_error' for numbers",
        lambda m: numbers().fit(X, NUMBERS),
    ),
    "a label is missing": (
        classes,
        lambda m: m.fit(X, np.where(X[:, 0] > 1, np.nan, LABELS)),
        "some are NaN or infinite; leave out the rows without a label",
        lambda m: m.fit(X[X[:, 0] <= 1], LABELS[X[:, 0] <= 1]),
    ),
    "several numbers with the loss of classes": (
        lambda: classes(2),
        lambda m: m.fit(X, X[:, :2]),
        "; for numbers: loss='squared_error'",
        lambda m: numbers(2).fit(X, X[:, :2]),
    ),
    "a column of class numbers": (
        classes,
        lambda m: m.fit(X, LABELS[:, None]),
        "for classes, numpy.reshape(y, (-1,))",
        lambda m: m.fit(X, np.reshape(LABELS[:, None], (-1,))),
    ),
    "a frame of class numbers": (
        classes,
        lambda m: m.fit(X, pandas().DataFrame({"class": LABELS})),
        "for classes, numpy.reshape(y, (-1,))",
        lambda m: m.fit(X, np.reshape(pandas().DataFrame({"class": LABELS}), (-1,))),
    ),
    "several classes at once": (
        classes,
        lambda m: m.fit(X, np.ones((N, 3))),
        "for several classes at once: loss='binary_cross_entropy'",
        lambda m: yes_or_no(3).fit(X, np.ones((N, 3))),
    ),
    "negative counts": (
        lambda: numbers(1, "poisson"),
        lambda m: m.fit(X, -np.ones(N)),
        "y must lie in [0, ...], got values from -1 to -1",
        lambda m: m.fit(X, np.ones(N)),
    ),
    "y has gaps": (numbers, lambda m: m.fit(X, np.full(N, np.nan)), "y holds NaN or infinity", None),
    "y is missing": (classes, lambda m: m.fit(zip(X, LABELS, strict=True)), "y_train", lambda m: m.fit(X, LABELS)),
    "one output for two numbers": (
        numbers,
        lambda m: m.fit(X, X[:, :2]),
        "SquaredError with 1 outputs expects y of shape (n, 1) or (n,), got (40, 2)",
        lambda m: numbers(2).fit(X, X[:, :2]),
    ),
    # ---- weights, validation, metrics
    "weights for other rows": (
        classes,
        lambda m: m.fit(X, LABELS, sample_weight=np.ones(3)),
        "sample_weight must have one weight for each of the 40 rows, got 3",
        lambda m: m.fit(X, LABELS, sample_weight=[1.0] * N),
    ),
    "weights in a column": (
        classes,
        lambda m: m.fit(X, LABELS, sample_weight=np.ones((N, 1))),
        "sample_weight must be 1-d, got shape (40, 1); numpy.reshape(sample_weight, (-1,)) makes it so",
        lambda m: m.fit(X, LABELS, sample_weight=np.reshape(np.ones((N, 1)), (-1,))),
    ),
    "class weights of words": (
        classes,
        lambda m: m.fit(X, LABELS, class_weight={"low": 2.0}),
        "class_weight: a class must be an integer of at least 0",
        lambda m: m.fit(X, LABELS, class_weight={0: 2.0}),
    ),
    "validation rows alone": (
        classes,
        lambda m: m.fit(X, LABELS, validation_data=X),
        "validation_data must be (X, y) or (X, y, sample_weight), got a ndarray",
        lambda m: m.fit(X, LABELS, validation_data=(X, LABELS)),
    ),
    "a metric that is the loss": (
        lambda: classes().fit(X, LABELS, 1, verbose=0),
        lambda m: m.evaluate(X, LABELS, metric="cross_entropy"),
        "metric='loss'",
        lambda m: m.evaluate(X, LABELS, metric="loss"),
    ),
    "a misspelt metric": (
        classes,
        lambda m: m.fit(X, LABELS, metrics=["acuracy"]),
        "did you mean 'Accuracy'",
        lambda m: m.fit(X, LABELS, metrics=["accuracy"]),
    ),
    "a metric without a name": (
        classes,
        lambda m: m.fit(X, LABELS, metrics=[lambda true, answer: 0.0]),
        "has no name; give it one by a dict {name: function}",
        lambda m: m.fit(X, LABELS, metrics={"zero": lambda true, answer: 0.0}),
    ),
    "a metric that answers with an array": (
        lambda: classes().fit(X, LABELS, 1, verbose=0),
        lambda m: m.evaluate(X, LABELS, metric=lambda true, answer: true == answer),
        "take the mean or the sum",
        lambda m: m.evaluate(X, LABELS, metric=lambda true, answer: (true == answer).mean()),
    ),
    "metric and metrics": (
        lambda: classes().fit(X, LABELS, 1, verbose=0),
        lambda m: m.evaluate(X, LABELS, metric="f1", metrics=["f1"]),
        "either metric=, for a number, or metrics=, for a dict, got both",
        lambda m: m.evaluate(X, LABELS, metrics=["f1"]),
    ),
    # ---- parameters
    "weights of PyTorch": (
        classes,
        lambda m: assign(m, W=np.ones((8, 3))).predict(X),
        "its transpose has: PyTorch's weights are (n_out, n_in), these (n_in, n_out)",
        lambda m: assign(m, W=np.ones((8, 3)).T).predict(X),
    ),
    "a bias of PyTorch": (
        classes,
        lambda m: assign(m, b=np.ones(8)).predict(X),
        "must have shape (1, 8), got (8,); numpy.reshape(..., (1, 8)) makes it so",
        lambda m: assign(m, b=np.reshape(np.ones(8), (1, 8))).predict(X),
    ),
    "a parameter of another name": (
        classes,
        lambda m: assign(m, weight=np.ones((3, 8))).fit(X, LABELS),
        "params hold ['W', 'b'], and 'weight' was assigned",
        lambda m: assign(m).fit(X, LABELS),
    ),
    "no fit yet": (classes, lambda m: m.predict(X), "the model has no parameters yet: call fit", None),
    "the matrix of PyTorch by its name": (
        lambda: None,
        lambda m: setattr(FullyConnected(3), "weight", np.ones((3, 2))),
        "assign to layer.params['W'], of shape (n_in, n_out)",
        None,
    ),
    "requires_grad": (
        lambda: None,
        lambda m: setattr(FullyConnected(3), "requires_grad", False),
        "layer.trainable = False freezes it",
        lambda m: setattr(FullyConnected(3), "trainable", False),
    ),
    # ---- specs and keywords
    "layers of numbers alone": (
        lambda: None,
        lambda m: DFN(64, 32, 10),
        "DFN expects an optimizer, got int: 10; for three layers: DFN(layers=[64, 32, 10])",
        lambda m: DFN(layers=[64, 32, 10]),
    ),
    "an activation as a layer": (
        lambda: None,
        lambda m: DFN(layers=[8, ReLU(), 3]),
        "an activation: layers take it, as in FullyConnected(64, 'ReLU')",
        lambda m: DFN(layers=[FullyConnected(8, "ReLU"), 3]),
    ),
    "a part within a part without quotes": (
        lambda: None,
        lambda m: DFN(layers=[3], optimizer="adam(lr=cosine(0.1, 10))"),
        "a part inside is a string",
        lambda m: DFN(layers=[3], optimizer="adam(lr='cosine(0.1, 10)')"),
    ),
    "the width of PyTorch's LayerNorm": (
        lambda: None,
        lambda m: DFN(layers=[8, "layer_norm(64)", 3]),
        "eps must be a number in (0, 1), got 64",
        lambda m: DFN(layers=[8, "layer_norm", 3]),
    ),
    "a callback of Keras": (
        lambda: None,
        lambda m: type("Mine", (Callback,), {"on_epoch_end": lambda self, epoch, logs=None: None}),
        "fit calls on_epoch_end(self, model, values)",
        lambda m: type("Mine", (Callback,), {"on_epoch_end": lambda self, model, values: None}),
    ),
    "area under the curve": (
        lambda: None,
        lambda m: yes_or_no().fit(X, LABELS > 0, metrics="auc"),
        "for binary_cross_entropy FunctionMetric(roc_auc_score, proba=True)",
        lambda m: yes_or_no().fit(X, LABELS > 0, metrics=FunctionMetric(roc_auc_score(), proba=True)),
    ),
    "several as one metric": (
        lambda: classes().fit(X, LABELS, 1, verbose=0),
        lambda m: m.evaluate(X, LABELS, metric=["accuracy", "f1"]),
        "evaluate takes metrics=[...]",
        lambda m: m.evaluate(X, LABELS, metrics=["accuracy", "f1"]),
    ),
    "softmax as an activation": (
        lambda: None,
        lambda m: FullyConnected(10, "softmax"),
        "Softmax()",
        lambda m: DFN(layers=[8, FullyConnected(3, "affine")], seed=0).fit(X, LABELS),
    ),
    "a rate under its other name": (
        lambda: None,
        lambda m: Adam(learning_rate=0.1),
        "it is called lr here",
        lambda m: Adam(lr=0.1),
    ),
    "a rate under its other name, in a string": (
        lambda: None,
        lambda m: DFN(layers=[3], optimizer="adam(learning_rate=0.1)"),
        "it is called lr here",
        lambda m: DFN(layers=[3], optimizer="adam(lr=0.1)"),
    ),
    "betas": (
        lambda: None,
        lambda m: Adam(betas=(0.9, 0.99)),
        "decay1=b1, decay2=b2",
        lambda m: Adam(decay1=0.9, decay2=0.99),
    ),
    "p": (lambda: None, lambda m: Dropout(p=0.5), "it is called rate here", lambda m: Dropout(rate=0.5)),
    "restore_best_weights": (
        lambda: None,
        lambda m: EarlyStopping(restore_best_weights=True),
        "it is called restore_best here",
        lambda m: EarlyStopping("loss", restore_best=True),
    ),
    "epochs": (
        classes,
        lambda m: m.fit(X, LABELS, epochs=2),
        "it is called n_epochs here",
        lambda m: m.fit(X, LABELS, n_epochs=2),
    ),
    "a callback that is a function": (
        classes,
        lambda m: m.fit(X, LABELS, callbacks=[print]),
        "on_epoch_end",
        lambda m: m.fit(X, LABELS, callbacks=[Callback()]),
    ),
    "a callback's method by another name": (
        lambda: None,
        lambda m: type("Mine", (Callback,), {"on_train_end": lambda self: None}),
        "on_fit_end",
        lambda m: type("Mine", (Callback,), {"on_fit_end": lambda self, model, complete: None}),
    ),
    "a rate of the model": (
        classes,
        lambda m: setattr(m, "lr", 0.1),
        "model.optimizer = 'adam(lr=1e-3)'",
        lambda m: setattr(m, "optimizer", "adam(lr=1e-3)"),
    ),
    "verbose": (
        classes,
        lambda m: m.fit(X, LABELS, verbose=3),
        "None or 0 (nothing)",
        lambda m: m.fit(X, LABELS, verbose=0),
    ),
}


def roc_auc_score():
    return pytest.importorskip("sklearn.metrics").roc_auc_score


def assign(model, **params):
    """Parameters for a network 3-8-3, some of them as given."""
    model.layers["FC1"].params = {"W": np.ones((3, 8)), "b": np.zeros((1, 8)), **params}
    model.layers["FC2"].params = {"W": np.ones((8, 3)), "b": np.zeros((1, 3))}
    return model
