"""Whatever is thrown at a model: a right result, or an error of the documented kind that comes from xdfn itself and
leaves the model as it was. Some 4,000 cases.
"""

import copy
import traceback
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import xdfn
from xdfn import DFN, FullyConnected
from xdfn.nn.activations import activations
from xdfn.nn.initializers import initializers
from xdfn.nn.layers.base import layers
from xdfn.nn.losses import losses
from xdfn.optim.base import optimizers

PACKAGE = str(Path(xdfn.__file__).parent)
MANY = settings(max_examples=800, deadline=None, suppress_health_check=list(HealthCheck))

DTYPES = st.sampled_from(
    [np.dtype(name) for name in ("f4", "f8", "f2", "i4", "i8", "u1", "u8", "?", ">f8", "c8", "O", "U3", "M8[s]", "i2")]
)
SHAPES = st.one_of(
    st.tuples(st.integers(0, 9), st.sampled_from([3, 3, 3, 2, 1, 0])),
    st.tuples(st.integers(0, 9)),
    st.lists(st.integers(0, 3), max_size=4).map(tuple),
)


GOOD = st.sampled_from([np.dtype(name) for name in ("f4", "f8", "i4", "u1", "?")])


@st.composite
def arrays(draw, shapes=SHAPES, dtypes=DTYPES):
    dtype = draw(dtypes)
    if dtype.kind == "O":
        return np.full(draw(shapes), draw(st.sampled_from([None, 1, "a", 1.5])), dtype)
    if dtype.kind in "fc" and draw(st.booleans()):
        elements = st.sampled_from([0.0, 1.0, -1.0, 2.5, np.nan, np.inf, 3e4, 1e-30 if dtype.itemsize > 2 else 0.0])
        return draw(hnp.arrays(dtype, shapes, elements=elements))
    if dtype.kind in "iu" and draw(st.booleans()):
        return draw(hnp.arrays(dtype, shapes, elements=st.integers(0, 2)))
    return draw(hnp.arrays(dtype, shapes))


def fitting(n):
    """X and y that belong together, mostly."""
    targets = (arrays(st.just(shape), GOOD) for shape in ((n,), (n, 2), (n, 1)))
    return st.tuples(arrays(st.just((n, 3)), GOOD), st.one_of(*targets, arrays(st.just((n,))), arrays()))


PAIRS = st.one_of(st.tuples(arrays(), arrays()), st.integers(1, 9).flatmap(fitting))
THINGS = st.one_of(arrays(), st.none(), st.integers(), st.text(max_size=3), st.lists(st.floats(), max_size=3))


def trained(loss, outputs):
    rng = np.random.default_rng(0)
    y = {"cross_entropy": rng.integers(0, 2, 20), "bernoulli": rng.integers(0, 2, 20), "mse": rng.normal(size=(20, 2))}
    hidden, last = FullyConnected(4, "tanh", "he_normal"), FullyConnected(outputs, "affine", "he_normal")
    model = DFN(layers=[hidden, last], loss=loss, optimizer="adam", seed=0)
    return model.fit(rng.normal(size=(20, 3)).astype("f4"), y[loss], 2, 8, verbose=None)


MODELS = {loss: trained(loss, outputs) for loss, outputs in (("cross_entropy", 2), ("bernoulli", 1), ("mse", 2))}
PROBE = np.linspace(-1, 1, 15, dtype="f4").reshape(5, 3)


def fingerprint(model):
    return (
        model.predict_proba(PROBE).tobytes(),
        model._memory.step,
        model._memory.epoch,
        model._memory.flat_targets,
        len(model.history["loss"]),
    )


def attempt(model, call, *kinds):
    """The result of call(), or None after an error of these kinds that was raised by xdfn and changed nothing."""
    before = fingerprint(model)
    try:
        return call()
    except kinds as error:
        source = traceback.extract_tb(error.__traceback__)[-1].filename
        assert source.startswith(PACKAGE), f"in {source}: {error}"
        assert len(str(error)) > 20
        assert fingerprint(model) == before
        return None


@pytest.mark.slow
@pytest.mark.parametrize("loss", MODELS)
@MANY
@given(pair=PAIRS, batch=st.sampled_from([1, 4, 64]))
def test_fit(loss, pair, batch):
    model = copy.deepcopy(MODELS[loss])
    X, y = pair
    x0, y0 = X.copy(), y.copy()
    result = attempt(model, lambda: model.fit(X, y, 1, batch, verbose=None), ValueError, FloatingPointError)
    assert X.tobytes() == x0.tobytes()
    assert y.tobytes() == y0.tobytes()
    if result is not None:
        assert X.shape == (len(y), 3)
        assert np.isfinite(model.history["loss"]).all()
        assert all(np.isfinite(p).all() for layer in model.layers.values() for p in layer.params.values())
        assert model.predict(X).shape[0] == len(X)
    model.fit(PROBE, {"mse": PROBE[:, :2]}.get(loss, np.asarray([0, 1, 0, 1, 1])), 1, 4, verbose=None)


@pytest.mark.slow
@pytest.mark.parametrize("loss", MODELS)
@MANY
@given(pair=PAIRS, thing=THINGS)
def test_predict_and_evaluate(loss, pair, thing):
    model = MODELS[loss]
    X, y = pair
    for x in (X, thing):
        predicted = attempt(model, lambda x=x: model.predict(x), ValueError)
        if predicted is not None:
            assert x.ndim == 2
            assert predicted.shape[0] == len(x)
    score = attempt(model, lambda: model.evaluate(X, y), ValueError)
    if score is not None and loss == "cross_entropy":
        truth = y if y.ndim == 1 else y.argmax(axis=1)
        assert score == pytest.approx(np.mean(model.predict(X) == truth))


@MANY
@given(
    st.one_of(
        st.text(max_size=40),
        st.from_regex(r"[A-Za-z_ -]{1,12}\([^)]{0,25}\)", fullmatch=True),
        st.tuples(
            st.sampled_from(
                [
                    "relu",
                    "affine",
                    "elu",
                    "sgd",
                    "adam",
                    "he_normal",
                    "constant",
                    "huber",
                    "quantile",
                    "crossentropy",
                    "dropout",
                    "fc",
                    "softmax",
                ]
            ),
            st.text("()[]{},='\"0123456789.-+ abdefgilmnorstuxz_*lr", max_size=25),
        ).map(lambda pair: f"{pair[0]}({pair[1]})"),
        st.none() | st.integers() | st.floats() | st.binary(max_size=5) | st.lists(st.integers(), max_size=2),
    )
)
def test_specs(spec):
    for registry in (activations, initializers, losses, optimizers, layers):
        try:
            part = registry.resolve(spec)
        except ValueError as error:
            source = traceback.extract_tb(error.__traceback__)[-1].filename
            assert source.startswith(PACKAGE), f"in {source}: {error}"
        else:
            assert registry.resolve(str(part)) == part
