import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.utils import shuffle

from xdfn.backend import HOST, place, to_numpy
from xdfn.sklearn import rows
from xdfn.sklearn.rows import OrderedRows, dense, pieces


def ordered(X, y, weight=None, subset=None, rng=None, size=4, where=HOST):
    subset = np.arange(X.shape[0]) if subset is None else subset
    return OrderedRows(X, y, weight, subset, rng, size, where, "float64")


def test_each_epoch_shuffles_the_order_of_the_one_before():
    X = np.arange(10.0).reshape(5, 2)
    found, rng = ordered(X, X[:, 0], rng=np.random.RandomState(0), size=5), np.random.RandomState(0)
    expected = np.arange(5)
    for _ in range(3):
        expected = shuffle(expected, random_state=rng)
        assert found.order(0, 0).tolist() == expected.tolist()
    kept = ordered(X, X[:, 0], subset=np.asarray([4, 1]))
    assert kept.n == 2
    assert kept.order(0, 0).tolist() == [4, 1]


@pytest.mark.parametrize("container", [np.asarray, csr_array])
def test_weights_have_the_mean_one_in_each_batch(backend, container):
    X, weight = np.arange(12.0).reshape(6, 2), np.asarray([1.0, 3.0, 0.0, 0.0, 5.0, 2.0])
    there = backend.array(X)
    found = ordered(container(X), backend.array(X[:, 0]), weight, size=2, where=place(there))
    order = found.order(0, 0)
    batches = [b for part in found.batches(order, 0, 6, 2) for b in part]
    assert [to_numpy(x).tolist() for x, _, _ in batches] == [X[i : i + 2].tolist() for i in (0, 2, 4)]
    np.testing.assert_allclose(np.concatenate([to_numpy(w) for _, _, w in batches]), [0.25, 0.75, 0, 0, 5 / 7, 2 / 7])
    assert [found.batch_weight(i) for i in range(3)] == [4.0, 0.0, 7.0]
    assert [ordered(X, X[:, 0]).batch_weight(i) for i in range(2)] == [4, 2]


def test_sparse_rows_become_dense_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr(rows, "_PIECE", 8 * 3 * 4)
    X = np.arange(30.0).reshape(10, 3)
    found = ordered(csr_array(X), X[:, 0], size=2)
    order = found.order(0, 0)
    parts = list(found.batches(order, 0, 10, 2))
    assert max(part.X.shape[0] for part in parts) == 4
    np.testing.assert_array_equal(np.concatenate([x for part in parts for x, _, _ in part]), X)
    made = list(pieces(csr_array(X), None, HOST))
    assert [x.shape[0] for x in made] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate(made), X)
    np.testing.assert_array_equal(np.concatenate(list(pieces(csr_array(X), np.asarray([5, 2]), HOST))), X[[5, 2]])


def test_dense():
    assert dense(csr_array(np.eye(2))).tolist() == dense(np.eye(2)).tolist() == [[1.0, 0.0], [0.0, 1.0]]
