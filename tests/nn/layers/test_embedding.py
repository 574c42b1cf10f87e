"""Columns of category numbers: by hand, beside PyTorch's embedding, beside one-hot columns, and in a model."""

import numpy as np
import pytest

from xdfn import DFN, Embedding, FullyConnected, LayerBase, check_gradients
from xdfn.backend import product, random
from xdfn.nn.layers.base import layers

W1, W3 = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [[10.0], [20.0]]
X = [[0.5, 2.0, 0.25, 1.0], [1.5, 0.0, 1.25, 0.0], [2.5, 2.0, 2.25, 0.0]]


@pytest.fixture
def table(rng):
    """Two columns of numbers, and between them and after them one of seven and one of four categories."""
    x = rng.normal(size=(203, 4))
    x[:, 1], x[:, 3] = rng.integers(0, 7, 203), rng.integers(0, 4, 203)
    return x, rng.permutation(7)[x[:, 1].astype(int)] % 3


def network(first="embedding({1: 7, -1: 4}, dim=3)", optimizer="adam(lr=0.02)", **more):
    return DFN(layers=[first, "fc(8, 'tanh')", 3], optimizer=optimizer, seed=0, **more)


def test_forward_and_backward_by_hand(backend):
    layer = Embedding({1: 3, 3: 2}, dim={1: 2, 3: 1})
    params = {"W1": backend.array(W1), "W3": backend.array(W3)}
    y, cache, buffers = layer.apply(params, {}, backend.array(X))
    expected = [[0.5, 0.25, 5.0, 6.0, 20.0], [1.5, 1.25, 1.0, 2.0, 10.0], [2.5, 2.25, 5.0, 6.0, 10.0]]
    assert backend.numpy(y).tolist() == expected
    assert buffers == {}
    dy = backend.array([[1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0], [11.0, 12.0, 13.0, 14.0, 15.0]])
    dx, gradients = layer.pullback(params, cache, dy)
    assert backend.numpy(dx).tolist() == [[1.0, 0.0, 2.0, 0.0], [6.0, 0.0, 7.0, 0.0], [11.0, 0.0, 12.0, 0.0]]
    assert gradients["W1"].shape == (3, 2)
    assert backend.numpy(product(gradients["W1"])).tolist() == [[8.0, 9.0], [0.0, 0.0], [16.0, 18.0]]
    assert backend.numpy(product(gradients["W3"])).tolist() == [[25.0], [5.0]]
    assert layer.pullback(params, cache, dy, input_grad=False)[0] is None


def test_an_unknown_category_is_the_zero_vector(backend):
    layer, params = Embedding({0: 3}, dim=2), {"W0": backend.array(W1)}
    codes = [-1.0, 3.0, 2.4, -0.4, np.nan, np.inf, -np.inf, 1e30]
    y, cache, _ = layer.apply(params, {}, backend.array([[code] for code in codes]))
    zero = [0.0, 0.0]
    assert backend.numpy(y).tolist() == [zero, zero, W1[2], W1[0], zero, zero, zero, zero]
    dx, gradients = layer.pullback(params, cache, backend.array([[1.0, 10.0]] * 8))
    assert backend.numpy(product(gradients["W0"])).tolist() == [[1.0, 10.0], zero, [1.0, 10.0]]
    assert (backend.numpy(dx) == 0).all()


@pytest.mark.parametrize("k", [3, 300])  # more categories than rows
@pytest.mark.parametrize("rule", ["sgd(lr=0.1)", "adam(lr=0.1, eps=1e-8)"])
def test_it_is_pytorchs(backend, rng, k, rule):
    """Values, gradients and a step beside torch.nn.Embedding."""
    torch = pytest.importorskip("torch")
    codes, dy = rng.integers(0, k, 20), rng.normal(size=(20, 5))
    layer = Embedding({0: k}, dim=5, init_w="std_normal(gain=1.0)", optimizer=rule)
    y = backend.numpy(layer.forward(backend.array(codes[:, None].astype(float))))
    theirs = torch.nn.Embedding.from_pretrained(torch.tensor(backend.numpy(layer.params["W0"])), freeze=False)
    optimizer = {"s": torch.optim.SGD, "a": torch.optim.Adam}[rule[0]](theirs.parameters(), lr=0.1)
    expected = theirs(torch.tensor(codes))
    np.testing.assert_array_equal(y, expected.detach().numpy())
    expected.backward(torch.tensor(dy))
    layer.backward(backend.array(dy))
    np.testing.assert_allclose(backend.numpy(layer.gradients["W0"]), theirs.weight.grad.numpy(), rtol=1e-12)
    layer.update()
    optimizer.step()
    after = theirs.weight.detach().numpy()
    np.testing.assert_allclose(backend.numpy(layer.params["W0"]), after, rtol=1e-10, atol=1e-12)


class Linear(LayerBase):
    """y = x W"""

    def __init__(self, n_out, init_w):
        super().__init__()
        self.n_out, self.dense = n_out, FullyConnected(n_out, "affine", init_w)

    def init(self, rng, n_in):
        return {"W": self.dense.init(rng, n_in)[0]["W"]}, {}, self.n_out

    def apply(self, params, buffers, x, ctx=None):
        return x @ params["W"], x, buffers

    def pullback(self, params, cache, dy, input_grad=True):
        return dy @ params["W"].mT if input_grad else None, {"W": (cache.mT, dy)}


@pytest.mark.parametrize("optimizer", ["sgd(lr=0.1, momentum=0.9, weight_decay=0.01)", "adam(lr=0.02)"])
def test_it_trains_as_one_hot_columns_do(backend, table, optimizer):
    codes, y = table[0][:, 1].astype(int), backend.array(table[1])
    ours = network(Embedding({0: 7}, dim=3, init_w="std_normal(gain=0.5)"), optimizer)
    ours.fit(backend.array(codes[:, None], "float64"), y, 3, 16, verbose=None)
    dense = network(Linear(3, "std_normal(gain=0.5)"), optimizer)
    dense.fit(backend.array(np.eye(7)[codes]), y, 3, 16, verbose=None)
    np.testing.assert_allclose(ours.history["loss"], dense.history["loss"], rtol=1e-10)
    W = (
        backend.numpy(model.layers[name].params[w])
        for model, name, w in ((ours, "Embedding1", "W0"), (dense, "Linear1", "W"))
    )
    np.testing.assert_allclose(*W, rtol=1e-8, atol=1e-12)


def test_a_network_beside_one_hot_columns_through_a_dense_layer(backend, table):
    """The answers of a trained network are those of FullyConnected on one-hot columns with the same weights."""
    x, y = table
    model = network().fit(backend.array(x), backend.array(y), 3, 16, verbose=None)
    V1, V3 = (backend.numpy(model.layers["Embedding1"].params[name]) for name in ("W1", "W3"))
    W = np.zeros((13, 8))  # of two columns that stay and 7 + 4 one-hot columns
    W[:2, :2], W[2:9, 2:5], W[9:, 5:] = np.eye(2), V1, V3
    wide = network(FullyConnected(8, "affine"))
    wide.layers["FC1"].params = {"W": backend.array(W), "b": backend.array(np.zeros((1, 8)))}
    for ours, theirs in (("FC1", "FC2"), ("FC2", "FC3")):
        wide.layers[theirs].params = dict(model.layers[ours].params)
    columns = np.concatenate([x[:, [0, 2]], *(np.eye(k)[x[:, j].astype(int)] for j, k in ((1, 7), (3, 4)))], axis=1)
    expected = backend.numpy(wide.predict_proba(backend.array(columns)))
    np.testing.assert_allclose(backend.numpy(model.predict_proba(backend.array(x))), expected, rtol=1e-10)


def test_a_category_that_matters_is_learned(rng):
    """y is a shuffled number of the category, and noise of standard deviation 0.1: its share of the error is 0.005."""
    codes = rng.integers(0, 50, (2000, 1))
    y = rng.permutation(50)[codes[:, 0]] / 25 + 0.1 * rng.normal(size=2000)
    errors = []
    for first in (Embedding({0: 50}), "fc(13, 'affine')"):
        model = DFN(layers=[first, "fc(32)", 1], loss="squared_error", optimizer="adam(lr=0.01)", seed=0)
        model.fit(codes[:1500], y[:1500], 20, 32, verbose=None)
        errors.append(model.evaluate(codes[1500:], y[1500:]))
    assert errors[0] < 0.008
    assert errors[1] > 0.1  # the number itself says little


@pytest.mark.parametrize(("k", "d"), [(1, 2), (2, 2), (10, 6), (4, 3), (100, 21), (458, 49), (459, 50), (1000, 50)])
def test_the_dimension_follows_fastais_rule_up_to_50(k, d):
    params, _, n_out = Embedding({0: k}).init(random.generator(0, random.WEIGHTS), 3)
    assert params["W0"].shape == (k, d)
    assert n_out == 2 + d


def test_a_position_from_the_end_is_the_same_column(table):
    x, y = table
    models = [
        network(Embedding(columns, dim=dim)).fit(x, y, 2, 16, verbose=None)
        for columns, dim in (({3: 4, 1: 7}, {3: 2, 1: 3}), ({-1: 4, 1: 7}, {1: 3, -1: 2}))
    ]
    assert list(models[0].layers["Embedding1"].params) == list(models[1].layers["Embedding1"].params) == ["W1", "W3"]
    assert models[0].history == models[1].history
    assert (models[0].predict_proba(x) == models[1].predict_proba(x)).all()
    assert Embedding({3: 4, 1: 7}) == Embedding({1: 7, 3: 4}) != Embedding({1: 7, 3: 5})


@pytest.mark.parametrize(
    ("columns", "more", "says"),
    [
        ({}, {}, r"columns must be a dict of column positions and numbers of categories, as in \{3: 12\}, got \{\}"),
        ([3], {}, "columns must be a dict"),
        ({"city": 3}, {}, r"columns must name columns by their positions.* got 'city'.*df\.columns\.get_loc"),
        ({1.0: 3}, {}, "columns must name columns by their positions"),
        ({0: 0}, {}, r"columns\[0\] must be an integer of at least 1, got 0"),
        ({0: 2**24 + 1}, {}, r"columns\[0\] must be at most 2\^24"),
        ({0: 3}, {"dim": 0}, "dim must be an integer of at least 1"),
        ({0: 3}, {"dim": {0: 2.5}}, r"dim\[0\] must be an integer"),
        ({0: 3}, {"dim": {1: 2}}, r"dim must have the columns \[0\], got \[1\]"),
        ({0: 3}, {"init_w": "nope"}, "unknown initialiser"),
    ],
)
def test_what_cannot_be_meant_is_refused(columns, more, says):
    with pytest.raises(ValueError, match=says):
        Embedding(columns, **more)


@pytest.mark.parametrize("columns", [{4: 2}, {-5: 2}, {-1: 2, 3: 2}])
def test_columns_that_are_not_there_are_refused_with_the_input(table, columns):
    model = network(Embedding(columns))
    with pytest.raises(ValueError, match="columns must be different ones of the 4 columns of the input"):
        model.fit(*table, 1, verbose=None)
    assert not model.is_initialized


def test_what_it_was_made_for_is_fixed():
    with pytest.raises(AttributeError, match="columns is fixed"):
        Embedding({0: 3}).columns = {0: 4}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_initial_weights_are_the_same_everywhere(backend, table, dtype):
    ours, numpys = (network().initialize(x) for x in (backend.array(table[0], dtype), table[0].astype(dtype)))
    for name, W in numpys.layers["Embedding1"].params.items():
        there = backend.numpy(ours.layers["Embedding1"].params[name])
        assert there.dtype == dtype
        assert (there == W).all()
        assert 0.03 < abs(W).max() <= 0.05  # as Keras draws them


@pytest.mark.parametrize("optimizer", ["sgd(lr=0.1)", "adamw(lr=0.02, weight_decay=0.1)"])
def test_training_is_the_same_everywhere(backend, table, optimizer):
    x, y = table
    more = {"sample_weight": x[:, 0] ** 2, "validation_fraction": 0.2}

    def trained(array):
        given = {**more, "sample_weight": array(more["sample_weight"])}
        return network(optimizer=optimizer).fit(array(x), array(y), 3, 16, verbose=None, **given)

    ours, numpys = trained(backend.array), trained(np.asarray)
    for name, values in numpys.history.items():
        np.testing.assert_allclose(ours.history[name], values, rtol=1e-10)
    for name, W in numpys.layers["Embedding1"].params.items():
        np.testing.assert_allclose(backend.numpy(ours.layers["Embedding1"].params[name]), W, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("k", [6, 3000])  # the second has so many parameters that plain SGD moves them row by row
def test_rows_that_no_batch_had_stay_where_they_were(backend, rng, k):
    x, y = backend.array(rng.integers(0, 5, (64, 1))), backend.array(rng.integers(0, 3, 64))
    model = network(Embedding({0: k}, dim=8), "sgd(lr=0.1)").initialize(x)
    before = backend.numpy(model.layers["Embedding1"].params["W0"]).copy()
    after = backend.numpy(model.fit(x, y, 3, 8, verbose=None).layers["Embedding1"].params["W0"])
    assert (after[5:] == before[5:]).all()
    assert (after[:5] != before[:5]).any(axis=1).all()


def test_integers_train_as_floats_do(table):
    codes, y = table[0][:, [1, 3]].astype(int), table[1]
    histories = []
    for dtype in ("float32", "int32", "int64", "uint8"):
        model = network("embedding({0: 7, 1: 4})")
        histories.append(model.fit(codes.astype(dtype), y, 2, 16, verbose=None).history)
    assert all(history == histories[0] for history in histories)


def test_a_memory_mapped_file_trains_as_its_rows_do(table, tmp_path):
    x, y = table
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert network().fit(mapped, y, 2, 16, verbose=None).history == network().fit(x, y, 2, 16, verbose=None).history


def test_saving_and_going_on(backend, table, tmp_path):
    x, y = map(backend.array, table)
    layer = Embedding({1: 7, -1: 4}, {1: 3, -1: 2}, "std_normal", regularizer="l2(0.01)", constraint="max_norm(2)")
    model = network(layer).fit(x, y, 2, 16, verbose=None)
    assert layers.resolve(str(layer)) == layer
    assert str(Embedding({0: 3}).spec(omit=("optimizer",))) == "Embedding(columns={0: 3})"
    assert layers.resolve("embedding({0: 3})") == Embedding({0: 3})
    model.save(tmp_path / "m.npz")
    loaded = DFN.load(tmp_path / "m.npz", x)
    assert (backend.numpy(loaded.predict_proba(x)) == backend.numpy(model.predict_proba(x))).all()
    assert loaded.fit(x, y, 2, 16, verbose=None).history == model.fit(x, y, 2, 16, verbose=None).history


def test_in_a_model(backend, table):
    x, y = map(backend.array, table)
    model = DFN(layers=[Embedding({1: 7, 3: 4}, 3), "dropout(0.2)", "residual(['fc(8)', 'batch_norm'])", 3], seed=0)
    assert check_gradients(model, table[0][:20], table[1][:20]) < 1e-6
    model.fit(x, y, 2, 16, verbose=None)
    assert "Embedding1  Embedding               (n, 8)  33" in model.summary()
    outputs = backend.numpy(model.activations(x)["Embedding1"])
    assert (outputs[:, :2] == table[0][:, [0, 2]]).all()
    assert (outputs[:, 2:5] == backend.numpy(model.layers["Embedding1"].params["W1"])[table[0][:, 1].astype(int)]).all()
    gradients = backend.numpy(model.input_gradients(x, output=1))
    assert (gradients[:, [1, 3]] == 0).all()
    assert (gradients[:, [0, 2]] != 0).any(axis=0).all()
    assert model.layers["Embedding1"].hyperparams["columns"] == {1: 7, 3: 4}


def test_weights_that_were_trained_elsewhere_are_adopted(backend, table):
    model, W = network("embedding({1: 7}, dim=2)"), np.arange(14.0).reshape(7, 2)
    model.layers["Embedding1"].params["W1"] = backend.array(W)
    x = backend.array(table[0])
    outputs = backend.numpy(model.initialize(x).activations(x)["Embedding1"])
    assert (outputs[:, 3:] == W[table[0][:, 1].astype(int)]).all()


def test_penalties_and_decay_are_on_the_weights():
    layer = Embedding({1: 7, -1: 4}, regularizer="l2(0.1)", constraint="max_norm(2)")
    assert [str(part) for part in layer.penalties("W1")] == ["L2(strength=0.1)", "MaxNorm(limit=2)"]
    x, y = np.asarray([[0.0], [1.0]]), np.asarray([0, 1])
    model = network("embedding({0: 3}, dim=2)", "sgd(lr=0.1, weight_decay=0.5)").initialize(x)
    before = model.layers["Embedding1"].params["W0"].copy()
    after = model.fit(x, y, 1, 2, verbose=None).layers["Embedding1"].params["W0"]
    np.testing.assert_allclose(after[2], 0.95 * before[2], rtol=1e-12)


@pytest.mark.parametrize(
    ("codes", "says"),
    [
        (
            [0.0, 7.0],
            r"^X\[:, 1\] must hold category numbers, integers from 0 to 6, .* got values from 0 to 7; make them 8",
        ),
        ([0.0, 2.5], r"^X\[:, 1\] must hold category numbers, .* got values from 0 to 2\.5, not all of them integers$"),
        (
            [-2.0, 0.0],
            r"^X\[:, 1\] must hold category numbers, .* or -1 for an unknown category, got values from -2 to 0$",
        ),
        ([np.nan, 0.0], "^X holds NaN"),
    ],
)
def test_fit_refuses_what_is_no_category(backend, codes, says):
    x, y = backend.array([[0.5, code] for code in codes]), backend.array([0, 1])
    model = network("embedding({1: 7})")
    with pytest.raises(ValueError, match=says):
        model.fit(x, y, 1, verbose=None)
    assert not model.is_initialized
    model.fit(x, y, 0, verbose=None, check_input=False)


def test_unknown_categories_may_come_later(backend):
    known, new, y = (backend.array(rows) for rows in ([[0.5, -1.0], [0.5, 6.0]], [[0.5, 9.0], [0.5, -7.0]], [0, 1]))
    model = network("embedding({1: 7})").fit(known, y, 1, verbose=None, validation_data=(new, y))
    unknown = backend.numpy(model.predict_proba(known))[0]
    np.testing.assert_allclose(backend.numpy(model.predict_proba(new)), [unknown] * 2, rtol=1e-6)
    assert model.evaluate(new, y) == np.mean(backend.numpy(model.predict(new)) == [0, 1])
