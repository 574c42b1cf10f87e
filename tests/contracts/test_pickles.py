"""Models and parts are sent to other processes, copied, and kept by pickle: nothing is lost on the way."""

import copy
import io
import multiprocessing
import pickle

import numpy as np
import parts
import pytest

from xdfn import DFN, Callback
from xdfn.core.registry import REGISTRIES

X = np.random.default_rng(0).normal(size=(40, 4))
Y = np.arange(40) % 3


def by_joblib(value):
    joblib = pytest.importorskip("joblib")
    file = io.BytesIO()
    joblib.dump(value, file)
    file.seek(0)
    return joblib.load(file)


def by_cloudpickle(value):
    return pickle.loads(pytest.importorskip("cloudpickle").dumps(value))


WAYS = {
    **{f"pickle {n}": lambda x, n=n: pickle.loads(pickle.dumps(x, n)) for n in range(2, pickle.HIGHEST_PROTOCOL + 1)},
    "cloudpickle": by_cloudpickle,
    "joblib": by_joblib,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}
TABLES = {
    "activation": parts.ACTIVATIONS, "initialiser": parts.INITIALIZERS, "optimizer": parts.OPTIMIZERS,
    "loss": parts.LOSSES, "layer": parts.LAYERS, "schedule": parts.SCHEDULES, "callback": parts.CALLBACKS,
    "regularizer": parts.REGULARIZERS, "constraint": parts.CONSTRAINTS, "metric": parts.METRICS,
}  # fmt: skip
SPECS = [(registry, spec) for registry in REGISTRIES for spec in TABLES[registry.kind]]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("registry", "spec"), SPECS, ids=[f"{r.kind} {s}"[:60] for r, s in SPECS])
def test_every_part_comes_back(way, registry, spec):
    part = registry.resolve(spec)
    again = WAYS[way](part)
    assert again == part
    assert str(again) == str(part)
    assert type(again) is type(part)


def trained(backend):
    x, y = backend.array(X, "float32"), backend.array(Y)
    layers = [8, "batch_norm", "dropout(0.2)", "residual(['fc(8)'])", 3]
    return DFN(layers=layers, optimizer="adam(0.01)", ema=0.9, seed=0).fit(x, y, 2, 8, verbose=None), x, y


@pytest.mark.parametrize("way", WAYS)
def test_a_model_answers_and_goes_on_as_before(backend, way):
    model, x, y = trained(backend)
    again = WAYS[way](model)
    for _ in range(2):
        assert backend.numpy(again.predict_proba(x)).tobytes() == backend.numpy(model.predict_proba(x)).tobytes()
        assert again.history == model.history
        for each in (model, again):
            each.fit(x, y, 1, 8, verbose=None)


class Keep(Callback):
    """Pickles the model in the middle of a fit, after an epoch or within one."""

    def __init__(self, within):
        self.within, self.kept = within, None

    @property
    def by_batch(self):
        return self.within

    def on_batch_end(self, model, batch, n_batches, loss):
        if batch == 3 and len(model.history["loss"]) == 1:
            self.kept = pickle.dumps(model)

    def on_epoch_end(self, model, values):
        if not self.within and len(model.history["loss"]) == 2:
            self.kept = pickle.dumps(model)


@pytest.mark.parametrize("within", [True, False])
def test_a_model_is_pickled_by_a_callback(backend, within):
    x, y = backend.array(X, "float32"), backend.array(Y)
    keep = Keep(within)
    model = DFN(layers=[8, "dropout(0.2)", 3], optimizer="adam(0.01)", seed=0)
    whole = copy.copy(model).fit(x, y, 4, 8, verbose=None, callbacks=[Keep(within)])
    model.fit(x, y, 2, 8, verbose=None, callbacks=[keep])
    resumed = pickle.loads(keep.kept)
    resumed.fit(x, y, 4 - len(resumed.history["loss"]), 8, verbose=None, callbacks=[Keep(within)])
    assert resumed.history == whole.history
    for a, b in zip(resumed.layers.values(), whole.layers.values(), strict=True):
        for name in a.params:
            assert backend.numpy(a.params[name]).tobytes() == backend.numpy(b.params[name]).tobytes()


def fit_more(model):
    return model.fit(X, Y, 1, 8, verbose=None)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_other_processes(method):
    model = DFN(layers=[8, "dropout(0.2)", 3], optimizer="adam(0.01)", ema=0.9, seed=0).fit(X, Y, 1, 8, verbose=None)
    with multiprocessing.get_context(method).Pool(1) as pool:
        there = pool.apply(fit_more, (copy.copy(model),))
    np.testing.assert_array_equal(there.predict_proba(X), fit_more(model).predict_proba(X))


def test_loky():
    joblib = pytest.importorskip("joblib")
    model = DFN(layers=[8, "dropout(0.2)", 3], optimizer="adam(0.01)", ema=0.9, seed=0).fit(X, Y, 1, 8, verbose=None)
    copies = joblib.Parallel(n_jobs=2)(joblib.delayed(fit_more)(copy.copy(model)) for _ in range(2))
    fit_more(model)
    for other in copies:
        np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))
