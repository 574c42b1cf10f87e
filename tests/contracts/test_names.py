"""Whoever brings the names of scikit-learn, Keras or PyTorch is told ours, and what is told works."""

import ast
import functools
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import xdfn
from xdfn import DFN, Affine, Callback, FullyConnected
from xdfn.core.keywords import complaint
from xdfn.core.part import parameters
from xdfn.core.registry import _PLACES, REGISTRIES
from xdfn.nn.activations import activations
from xdfn.nn.initializers import initializers
from xdfn.nn.layers.base import layers
from xdfn.optim.base import optimizers
from xdfn.optim.schedules import schedules
from xdfn.train.callbacks.base import callbacks
from xdfn.train.metrics import metrics

PAGE = Path(__file__).resolve().parents[2] / "docs/names.md"

PARTS = {  # with a peer's argument: with ours
    "Adam(learning_rate=0.1)": "Adam(lr=0.1)",
    "Adam(betas=(0.8, 0.99))": "Adam(decay1=0.8, decay2=0.99)",
    "Adam(beta_1=0.8, beta_2=0.99)": "Adam(decay1=0.8, decay2=0.99)",
    "Adam(epsilon=1e-8)": "Adam(eps=1e-8)",
    "Adam(weight_decay=0.1)": "AdamW(weight_decay=0.1)",
    "RMSProp(rho=0.9)": "RMSProp(decay=0.9)",
    "RMSProp(alpha=0.9)": "RMSProp(decay=0.9)",
    "SGD(nesterovs_momentum=True)": "SGD(nesterov=True)",
    "SGD(momentun=0.9)": "SGD(momentum=0.9)",
    "Dropout(p=0.5)": "Dropout(rate=0.5)",
    "GaussianNoise(stddev=0.5)": "GaussianNoise(std=0.5)",
    "FullyConnected(64, activation='tanh')": "FullyConnected(64, acti_fn='tanh')",
    "FullyConnected(units=64)": "FullyConnected(n_out=64)",
    "FullyConnected(in_features=784, out_features=64)": "FullyConnected(n_out=64)",
    "FullyConnected(64, kernel_initializer='he_normal')": "FullyConnected(64, init_w='he_normal')",
    "FullyConnected(64, bias_initializer='zeros')": "FullyConnected(64, init_b='zeros')",
    "FullyConnected(64, kernel_regularizer='l2')": "FullyConnected(64, regularizer='l2')",
    "FullyConnected(64, kernel_constraint='max_norm')": "FullyConnected(64, constraint='max_norm')",
    "FullyConnected(64, alpha=1e-4)": "FullyConnected(64, regularizer='l2(1e-4)')",
    "FullyConnected(64, weight_decay=1e-4)": "FullyConnected(64, regularizer='l2(1e-4)')",
    "FullyConnected(64, use_bias=False)": "FullyConnected(64, init_b='zeros')",
    "FullyConnected(64, learning_rate=0.001)": "FullyConnected(64, optimizer='adam(lr=0.001)')",
    "BatchNorm(epsilon=1e-3)": "BatchNorm(eps=1e-3)",
    "PReLU(init=0.1)": "PReLU(alpha=0.1)",
    "Softmax(axis=1)": "Softmax(dim=1)",
    "LeakyReLU(negative_slope=0.1)": "LeakyReLU(alpha=0.1)",
    "L2(l2=0.1)": "L2(strength=0.1)",
    "L1(alpha=0.1)": "L1(strength=0.1)",
    "MaxNorm(max_value=2)": "MaxNorm(limit=2)",
    "random_normal(stddev=0.1)": "random_normal(std=0.1)",
    "std_normal(stddev=0.1)": "std_normal(gain=0.1)",
    "random_uniform(minval=-0.05, maxval=0.05)": "random_uniform(b=0.05)",
    "constant(val=2)": "constant(value=2)",
    "CrossEntropy(label_smoothing=0.1)": "CrossEntropy(smoothing=0.1)",
    "StepDecay(0.1, step_size=30, gamma=0.5)": "StepDecay(0.1, length=30, factor=0.5)",
    "CosineDecay(0.1, T_max=30, eta_min=0.01)": "CosineDecay(0.1, length=30, end=0.01)",
    "OneCycle(max_lr=0.1, total_steps=30, pct_start=0.5)": "OneCycle(lr=0.1, length=30, warmup=0.5)",
    "ReduceOnPlateau(0.1, threshold=0.1)": "ReduceOnPlateau(0.1, min_delta=0.1)",
    "TopKAccuracy(top_k=3)": "TopKAccuracy(k=3)",
    "EarlyStopping(restore_best_weights=True)": "EarlyStopping(restore_best=True)",
    "EarlyStopping(n_iter_no_change=3, tol=0.1)": "EarlyStopping(patience=3, min_delta=0.1)",
    "EarlyStopping(lower_is_better=False)": "EarlyStopping(mode='max')",
    "Checkpoint(filepath='m.npz')": "Checkpoint(path='m.npz')",
    "Checkpoint('m.npz', save_best_only=True)": "Checkpoint('m.npz', best='val_loss')",
}
MODELS = {
    "DFN(hidden_layer_sizes=(64,))": "DFN(layers=[64, 10])",
    "DFN(layers=[3], learning_rate_init=0.001)": "DFN(layers=[3], optimizer='adam(lr=0.001)')",
    "DFN(layers=[3], solver='adam', random_state=0)": "DFN(layers=[3], optimizer='adam', seed=0)",
    "DFN(layers=[3], alpha=1e-4)": "DFN(layers=[FullyConnected(64, regularizer='l2(1e-4)'), 3])",
    "DFN(layers=[3], momentum=0.9)": "DFN(layers=[3], optimizer='sgd(lr=0.01, momentum=0.9, nesterov=True)')",
    "DFN(layers=[3], criterion='squared_error')": "DFN(layers=[3], loss='squared_error')",
    "DFN(layers=[3], global_clipnorm=1.0)": "DFN(layers=[3], clip_norm=1.0)",
    "DFN(layers=[3], max_iter=2)": "model.fit(X, y, n_epochs=2)",
    "DFN(layers=[3], early_stopping=True)": (
        "model.fit(X, y, validation_fraction=0.1, callbacks=['early_stopping(patience=10, min_delta=0.0)'])"
    ),
    "model.fit(X, y, epochs=2)": "model.fit(X, y, n_epochs=2)",
    "model.fit(X, y, max_iter=2)": "model.fit(X, y, n_epochs=2)",
    "model.fit(X, y, validation_split=0.1)": "model.fit(X, y, validation_fraction=0.1)",
    "model.fit(X=X, y=y)": "model.fit(X_train=X, y_train=y)",
    "model.fit(x=X, y=y)": "model.fit(X_train=X, y_train=y)",
    "model.fit(X, y, eval_set=[(X, y)])": "model.fit(X, y, validation_data=(X, y))",
    "model.fit(X, y, metric='acc', validation_data=(X, y))": "model.fit(X, y, metrics='acc', validation_data=(X, y))",
    "model.fit(X, y, lr=0.001)": "DFN(64, 3, optimizer='adam(lr=0.001)')",
    "model.evaluate(x=X, y=y)": "model.evaluate(X_test=X, y_test=y)",
    "model.predict(x=X)": "model.predict(X=X)",
    "model.predict(X, n_samples=2)": "model.predict(X, samples=2)",
    "model.predict_proba(x=X)": "model.predict_proba(X=X)",
}


def keywords(call):
    """The keywords in a call, and in the strings in it that are calls."""
    found = set()
    for node in ast.walk(ast.parse(call, mode="eval")):
        if isinstance(node, ast.keyword):
            found.add(node.arg)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "(" in node.value:
            found |= keywords(node.value)
    return found


@pytest.fixture(scope="module")
def names():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 4)), np.arange(30) % 3
    model = DFN(layers=[5, "dropout(0.5)", 3], seed=0).fit(X, y, 1, verbose=None)
    return {**vars(xdfn), "X": X, "y": y, "model": model}


def refused(call, names):
    """What the error says that belongs to the wrong argument, without the list of all arguments."""
    with pytest.raises(TypeError) as error:
        eval(call, names)
    said, takes = str(error.value).rsplit("; ", 1)
    assert re.match(r"\w+ takes ", takes)
    return said


@pytest.mark.parametrize(("wrong", "right"), [*PARTS.items(), *MODELS.items()])
def test_what_an_error_advises_works(wrong, right, names, capsys):
    said = refused(wrong, names)
    call = ast.parse(wrong, mode="eval").body
    known = inspect.signature(eval(ast.unparse(call.func), names)).parameters
    assert re.findall(r"no argument '(\w+)'", said) == [k.arg for k in call.keywords if k.arg not in known]
    for keyword in keywords(right) - keywords(wrong):
        assert re.search(rf"\b{keyword}\b", said), said
    eval(right, names)


@pytest.mark.parametrize(("wrong", "right"), PARTS.items())
def test_a_string_is_told_the_same(wrong, right, names):
    (registry,) = (r for r in REGISTRIES if isinstance(eval(right, names), r.base))
    with pytest.raises(ValueError, match=re.escape(refused(wrong, names))):
        registry.resolve(wrong)
    assert registry.resolve(right) == eval(right, names)


ALIASES = {  # the names of peers where the mathematics is the same: ours
    activations: "swish:SiLU logistic:Sigmoid identity:Affine linear:Affine leaky_relu:LeakyReLU softplus:SoftPlus",
    initializers: (
        "kaiming_uniform:he_uniform kaiming_uniform_:he_uniform kaiming_normal:he_normal xavier_uniform:glorot_uniform "
        "xavier_normal:glorot_normal truncated_normal:random_normal uniform:random_uniform normal:std_normal"
    ),
    layers: (
        "dense:FullyConnected batch_norm:BatchNorm batch_normalization:BatchNorm BatchNorm1d:BatchNorm "
        "layer_norm:LayerNorm layer_normalization:LayerNorm"
    ),
    optimizers: "adagrad:AdaGrad rmsprop:RMSProp adadelta:AdaDelta",
    schedules: (
        "StepLR:StepDecay CosineAnnealingLR:CosineDecay cosine_annealing:CosineDecay OneCycleLR:OneCycle "
        "ReduceLROnPlateau:ReduceOnPlateau exponential_decay:ExponentialDecay inverse_time_decay:InverseTimeDecay"
    ),
    metrics: (
        "categorical_accuracy:Accuracy sparse_categorical_accuracy:Accuracy binary_accuracy:Accuracy rmse:"
        "RootMeanSquaredError root_mean_squared_error:RootMeanSquaredError r2_score:R2 mse:MeanSquaredError "
        "mae:MeanAbsoluteError f1_score:F1 precision_score:Precision recall_score:Recall "
        "balanced_accuracy_score:BalancedAccuracy top_k_categorical_accuracy:TopKAccuracy"
    ),
    callbacks: "ModelCheckpoint('m'):Checkpoint CSVLogger('m'):CSVLog LearningRateMonitor:LearningRateLog",
}
ROWS = [(registry, *row.split(":")) for registry, rows in ALIASES.items() for row in rows.split()]


@pytest.mark.parametrize(("registry", "theirs", "ours"), ROWS, ids=[row[1] for row in ROWS])
def test_an_alias(registry, theirs, ours):
    name, arguments = theirs.removesuffix(")").partition("(")[::2]
    needed = [p for p in parameters(getattr(xdfn, ours)).values() if p.default is p.empty]
    given = arguments or ", ".join("30" for _ in needed)
    assert type(registry.resolve(f"{name}({given})")).__name__ == ours


def test_a_metric_keeps_the_name_that_it_was_given(names):
    X, y = names["X"], names["y"]
    model = DFN(layers=[3], seed=0)
    history = model.fit(X, y, 1, verbose=None, validation_data=(X, y), metrics=["categorical_accuracy", "acc"]).history
    assert history["val_categorical_accuracy"] == history["val_acc"] == [np.mean(model.predict(X) == y)]


OTHER_KINDS = [  # a name, asked of another kind: what is said
    (
        activations,
        "softmax",
        r"a layer, Softmax\(\); the loss CrossEntropy has it already.*FullyConnected\(n_out, 'aff",
    ),
    (activations, "prelu", r"PReLU is a layer; DFN takes it in layers=\[...\]"),
    (layers, "relu", r"ReLU is an activation; layers take it, as in FullyConnected\(64, 'ReLU'\)"),
    (layers, "linear(10)", r"Affine is an activation; layers take it, as in FullyConnected\(64, 'Affine'\)"),
    (optimizers, "nag", r"sgd\(lr=0.01, momentum=0.9, nesterov=True\)"),
    (optimizers, "cosine(0.1, 3)", "CosineDecay is a schedule; optimizers take it in the place of the rate"),
    (initializers, "ones", r"constant\(1\)"),
    (metrics, "cross_entropy", r"CrossEntropy is a loss; the model's own loss is measured anyway.*metric='loss'"),
    (metrics, "loss", "the model's own loss is measured anyway: val_loss of fit"),
    (metrics, "log_loss", "the model's own loss is measured anyway: val_loss of fit"),
    (callbacks, "reduce_lr_on_plateau", "ReduceOnPlateau is a schedule; optimizers take it in the place of the rate"),
    (callbacks, "LearningRateScheduler", "optimizers take it in the place of the rate, as in"),
    (callbacks, "accuracy", "Accuracy is a metric; fit takes it in metrics"),
    (callbacks, "TerminateOnNaN", "fit raises FloatingPointError by itself"),
]


@pytest.mark.parametrize(("registry", "name", "says"), OTHER_KINDS, ids=[row[1] for row in OTHER_KINDS])
def test_a_name_of_another_kind(registry, name, says):
    with pytest.raises(ValueError, match=f"unknown {registry.kind} .*{says}"):
        registry.resolve(name)


def test_every_kind_has_its_place():
    assert {registry.kind for registry in REGISTRIES} == set(_PLACES)


def test_softmax_and_no_activation(names, tmp_path):
    X, y = names["X"], names["y"]
    with pytest.raises(ValueError, match=r"softmax needs all scores of a row"):
        FullyConnected(3, "softmax")
    model, affine = (DFN(layers=[FullyConnected(3, g)], seed=0).fit(X, y, 2, verbose=None) for g in (None, "affine"))
    np.testing.assert_array_equal(model.predict_proba(X), affine.predict_proba(X))
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)  # CrossEntropy has the softmax
    assert model.layers["FC1"] == affine.layers["FC1"] == layers.resolve("fc(3, None)")
    model.save(tmp_path / "m.npz")
    assert DFN.load(tmp_path / "m.npz").layers["FC1"].acti_fn == Affine()
    model.layers["FC1"].acti_fn = None
    assert model.layers["FC1"].acti_fn == Affine()


def test_a_function_is_no_callback_and_is_told_what_to_write(names):
    X, y, seen = names["X"], names["y"], []
    with pytest.raises(ValueError, match=r"write a class Mine\(Callback\) with .* on_epoch_end\(self, model, values\)"):
        DFN(layers=[3]).fit(X, y, 1, callbacks=[lambda model, values: seen.append(values)])

    class Mine(Callback):
        def on_epoch_end(self, model, values):
            seen.append(values)

    DFN(layers=[3]).fit(X, y, 2, verbose=None, callbacks=[Mine()])
    assert len(seen) == 2


def rows():
    """(our code, the codes of the peers) of each row of the tables in docs/names.md."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            first, *others = line.strip("|").split(" | ")
            for code in re.findall(r"`([^`]+)`", first):
                yield pytest.param(code, re.findall(r"`([^`]+)`", " ".join(others)), id=code)


def callee(code):
    """What of xdfn a code calls or names; None for the keyword None."""
    name = re.match(r"\w+", code)[0]
    owners = [owner for owner in (xdfn, DFN, Callback, DFN(3, 2)) if hasattr(owner, name)]
    assert owners or name == "None", name
    return getattr(owners[0], name) if owners else None


@pytest.mark.parametrize(("code", "theirs"), list(rows()))
def test_a_row_of_the_page(code, theirs, names):
    """Our name is there and takes these arguments, and theirs are answered with ours."""
    function = callee(code)
    call = ast.parse(code, mode="eval").body
    if not isinstance(call, ast.Call):
        return
    takes = inspect.signature(function).parameters
    assert {keyword.arg for keyword in call.keywords} <= takes.keys()
    if all(isinstance(arg, ast.Name) for arg in call.args):  # written by the names of the arguments
        assert [arg.id for arg in call.args] == [name for name in takes if name != "self"][: len(call.args)]
    if isinstance(function, type):
        assert eval(code, {**names, "DFN": functools.partial(DFN, layers=[3])}) is not None
    for keyword in {keyword for code in theirs for keyword in re.findall(r"\b(\w+)=", code)} - takes.keys():
        said = complaint(code, inspect.signature(function), [keyword])
        assert said.split("; ")[0] != f"{code}() has no argument {keyword!r}", said
