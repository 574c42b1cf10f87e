import warnings

import dask.array as da
import numpy as np
import pytest

from xdfn.dask.blocks import join, share_out, share_out_validation, tell_uneven


def rows(client, parts):
    return {
        worker: part.X[:, 0].tolist() for worker, part in zip(parts, client.gather(list(parts.values())), strict=True)
    }


def numbers(n, chunks):
    return da.from_array(np.stack([np.arange(n), np.arange(n) % 3], axis=1), chunks=chunks)


def test_blocks_that_are_not_computed_are_spread_in_turns(client):
    X = numbers(12, (2, 1))  # cut in its columns, too
    got = rows(client, share_out(client, ["X", "y"], [X, X[:, 1]]))
    workers = sorted(client.nthreads())
    assert got == {workers[i]: [2 * i, 2 * i + 1, 2 * i + 6, 2 * i + 7] for i in range(3)}


def test_blocks_that_are_computed_stay_where_they_are(client):
    home = sorted(client.nthreads())[1]
    X = client.persist(numbers(12, (3, 2)), workers=[home], allow_other_workers=False)
    assert rows(client, share_out(client, ["X", "y"], [X, X[:, 1]])) == {home: list(range(12))}


def test_targets_follow_their_rows(client):
    X, y = numbers(12, (4, 2)), numbers(12, (5, 2))[:, 0]  # in blocks of their own
    for part in client.gather(list(share_out(client, ["X", "y"], [X, y]).values())):
        np.testing.assert_array_equal(part.X[:, 0], part.y)


def test_frames_have_blocks_of_unknown_length(client):
    dd, pd = pytest.importorskip("dask.dataframe"), pytest.importorskip("pandas")
    frame = dd.from_pandas(pd.DataFrame({"a": np.arange(12.0), "b": 1.0, "y": np.arange(12)}), npartitions=4)
    frame = frame[frame.a != 7]
    parts = client.gather(list(share_out(client, ["X", "y"], [frame[["a", "b"]], frame.y]).values()))
    assert sorted(x for part in parts for x in part.y.tolist()) == [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11]
    for part in parts:
        np.testing.assert_array_equal(part.X[:, 0], part.y)


def test_a_validation_is_cut_in_even_parts(client):
    workers = sorted(client.nthreads())
    X = numbers(8, (8, 2))
    got = rows(client, share_out_validation(client, (X, X[:, 1]), workers))
    assert got == dict(zip(workers, [[0, 1], [2, 3, 4], [5, 6, 7]], strict=True))


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        (np.ones((4, 2)), da.ones(4), "X must be an array or a frame of Dask, got ndarray; dask.array.from_array"),
        (da.ones((4, 2)), [1, 2, 3, 4], "y must be an array or a frame of Dask, got list"),
        (da.ones((4, 2)), da.ones(5), "X has 4 rows, and y has 5; expected as many"),
    ],
)
def test_what_does_not_fit_is_told(client, X, y, said):
    with pytest.raises(ValueError, match=said):
        share_out(client, ["X", "y"], [X, y])


def test_frames_that_are_cut_otherwise_are_told(client):
    dd, pd = pytest.importorskip("dask.dataframe"), pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": np.arange(12.0)})
    with pytest.raises(ValueError, match="X has 4 blocks of rows, and y has 3; they must be cut alike"):
        share_out(client, ["X", "y"], [dd.from_pandas(frame, npartitions=4), dd.from_pandas(frame.a, npartitions=3)])
    with pytest.raises(ValueError, match="a block of X has 2 rows and that of y 3; they must be cut alike"):
        join(["X", "y"], [[np.ones((2, 1))], [np.ones(3)]])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (3, r"validation_data must be \(X, y\) or \(X, y, sample_weight\), got a int"),
        ((da.ones((2, 2)), da.ones(2)), "validation_data: X has 2 rows, and 3 workers train"),
        ((np.ones((2, 2)), da.ones(2)), "validation_data: X must be an array or a frame of Dask"),
    ],
)
def test_a_validation_that_does_not_fit_is_told(client, given, said):
    with pytest.raises(ValueError, match=said):
        share_out_validation(client, given, sorted(client.nthreads()))


def test_an_error_of_a_block_is_raised(client):
    X = numbers(4, (2, 2)).map_blocks(lambda block: 1 // 0, meta=np.empty((0, 0)))
    with pytest.raises(ZeroDivisionError):
        share_out(client, ["X", "y"], [X, numbers(4, (2, 2))[:, 0]])


def test_uneven_rows_are_told():
    with pytest.warns(UserWarning, match=r"unevenly on the workers \(a 750, b 250\), .*: 2 workers do the work of 1.3"):
        tell_uneven({"a": 750, "b": 250})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tell_uneven({"a": 500, "b": 450, "c": 520})
