import numpy as np
import pytest

from xdfn import DFN, FullyConnected, OptimizerBase, find_learning_rate
from xdfn.lr_finder import RateSearch


@pytest.fixture
def data(rng):
    X = rng.normal(size=(150, 4))
    return X, (X[:, 0] * X[:, 1] > 0).astype(int)


def test_a_rate_is_found_and_the_model_stays(backend, data):
    X, y = (backend.array(a) for a in data)
    model = DFN(8, 2, optimizer="sgd(lr=0.01)", init_w="glorot_uniform", seed=0)
    search = find_learning_rate(model, X, y, low=1e-3, high=1e6, n_steps=60, batch_size=50)
    assert not model.is_initialized
    assert search.rates[0] == pytest.approx(1e-3)
    assert search.rates[1] / search.rates[0] == pytest.approx(1e9 ** (1 / 59))
    assert len(search.rates) == len(search.losses) < 60  # it exploded
    assert max(search.losses[-5:]) > 1.5 * min(search.losses)
    best = search.losses.index(min(search.losses[6:]))  # the first tenth is left out
    assert search.suggestion == pytest.approx(search.rates[best] / 10)
    assert 0.05 < search.suggestion < 1
    for name, value in (("low", 0.0), ("high", 1e-9), ("smoothing", 1.0)):
        with pytest.raises(ValueError, match=f"{name} must be a number"):
            find_learning_rate(model, X, y, **{name: value})


class SignDescent(OptimizerBase):
    """Steps of a fixed length: a rule without a rate."""

    seen: list = []  # noqa: RUF012  shared by the copies

    def apply(self, p, g, slots, rates):
        self.seen.append(rates)
        return p - 1e-3 * (g > 0) + 1e-3 * (g < 0), slots


@pytest.fixture
def few(rng):
    X = rng.normal(size=(40, 4))
    return X, (X[:, 0] > 0) * 1


def test_no_rate_is_given_to_a_rule_without_one(few):
    X, y = few
    layers = [FullyConnected(4, "tanh", "he_normal", SignDescent()), FullyConnected(2, "affine", "he_normal", "sgd")]
    SignDescent.seen.clear()
    search = find_learning_rate(DFN(layers=layers, seed=0), X, y, n_steps=10, batch_size=20)
    assert len(search.rates) == 10
    assert set(SignDescent.seen) == {()}


def test_a_search_without_any_rate_says_so(few):
    X, y = few
    fixed = FullyConnected(2, "affine", "he_normal", SignDescent())
    model = DFN(layers=["dropout(0.1)", fixed], seed=0)  # dropout's rule has a rate, and nothing to move
    with pytest.raises(ValueError, match=r"an optimizer with a rate lr, such as 'sgd', got \[SignDescent"):
        find_learning_rate(model, X, y)


class OfTheClass(OptimizerBase):
    """A rule whose rate is an attribute of the class."""

    lr = 0.1

    def apply(self, p, g, slots, rates):
        return p - self.lr * g, slots


def test_a_rate_of_the_class_is_found(few):
    X, y = few
    search = find_learning_rate(DFN(4, 2, optimizer=OfTheClass(), seed=0), X, y, low=1e-3, n_steps=30, batch_size=20)
    assert search.losses[-1] != search.losses[0]
    assert 1e-3 <= search.suggestion <= 10


# -- several starts --


@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_several_starts_are_their_mean(backend, few, rule):
    """The mean of the losses of copies with the seeds 0, 1, 2, trained one by one."""
    X, y = (backend.array(x) for x in few)
    given = {"low": 1e-3, "n_steps": 12, "batch_size": 16, "smoothing": 0.0}
    model = DFN(layers=[FullyConnected(6, "tanh", "he_normal"), 2], optimizer=rule, seed=5)
    search = find_learning_rate(model, X, y, n_starts=3, **given)
    alone = []
    for seed in range(3):
        one = DFN(layers=[FullyConnected(6, "tanh", "he_normal"), 2], optimizer=rule, seed=seed)
        alone.append(find_learning_rate(one, X, y, **given).losses)
    n = min(map(len, [search.losses, *alone]))
    assert n > 6
    np.testing.assert_allclose(search.losses[:n], np.mean([losses[:n] for losses in alone], axis=0), rtol=1e-9)
    assert not model.is_initialized
    with pytest.raises(ValueError, match="n_starts must be an integer of at least 1"):
        find_learning_rate(model, X, y, n_starts=0)


# -- how a search shows itself --


def test_a_search_is_a_line_and_a_tuple():
    search = RateSearch([1e-6, 1e-3, 1.0], [2.0, 1.0, 3.0], 1e-4)
    assert repr(search) == "RateSearch(3 steps, rates from 1e-06 to 1, suggestion 0.0001)"
    rates, losses, suggestion = search
    assert (rates, losses, suggestion) == search == RateSearch(*search)
    assert search != RateSearch(rates, losses, 1e-3)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_a_search_on_a_trained_model_is_in_doubt(blobs, loss):
    X, y = blobs
    X, y = (np.concatenate([rows] * 4) for rows in (X, y if loss == "cross_entropy" else np.eye(3)[y]))
    for seed in range(3):
        model = DFN(layers=[16, 3], loss=loss, optimizer="adam(lr=0.01)", seed=seed)
        assert "doubt" not in repr(find_learning_rate(model, X, y))
        model.fit(X, y, 30, verbose=None)
        assert repr(find_learning_rate(model, X, y)).endswith(
            "; in doubt: the loss hardly falls by more than its noise)"
        )


@pytest.mark.parametrize("n", [24, 40, 200])
def test_doubt_is_of_falls_within_the_noise(n, rng):
    noise, steps = rng.normal(size=n), np.arange(n)
    flat, falling = 5 + 0.1 * noise, 5 - 2.0 * np.maximum(steps / n - 0.5, 0) + 0.01 * noise
    early = 5 - 2.0 * np.minimum(3 * steps / n, 1) + 0.01 * noise  # all of the fall in the first third
    exploding = np.where(steps > 0.8 * n, 100.0, flat)
    rates = np.geomspace(1e-6, 1, n).tolist()
    doubts = ["doubt" in repr(RateSearch(rates, x.tolist(), 0.1)) for x in (flat, exploding, falling, early)]
    assert doubts == [True, True, False, False]


def test_of_few_losses_nothing_is_said():
    assert "doubt" not in repr(RateSearch([0.1] * 17, [1.0] * 17, 0.1))
