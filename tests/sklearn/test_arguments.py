import pytest

from xdfn import ReLU
from xdfn.sklearn import MLPClassifier, MLPRegressor
from xdfn.sklearn.arguments import activations_of, hidden_sizes


def test_hidden_sizes():
    assert hidden_sizes(5) == (5,)
    assert hidden_sizes([5, 4]) == (5, 4)
    assert hidden_sizes(()) == ()
    with pytest.raises(ValueError, match=r"hidden_layer_sizes must be > 0, got \[5, 0\]"):
        hidden_sizes([5, 0])


def test_an_activation_for_all_or_for_each():
    assert activations_of("relu", 2) == ("relu", "relu")
    assert activations_of(["relu", "tanh"], 2) == ("relu", "tanh")
    assert activations_of(ReLU(), 1) == (ReLU(),)
    with pytest.raises(ValueError, match="a list of 3"):
        activations_of(["relu", "tanh"], 3)


@pytest.mark.parametrize(
    "bad",
    [
        {"solver": "newton"},
        {"dropout": 1.0},
        {"max_norm": 0},
        {"batch_norm": "yes"},
        {"beta_1": 1},
        {"batch_size": 0},
        {"activation": "rellu"},
        {"activation": 3},
        {"n_iter_no_change": 1.5},
        {"hidden_layer_sizes": -1},
    ],
)
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_what_is_no_argument_is_named(kind, bad):
    with pytest.raises(
        ValueError, match=next(iter(bad.values())) if bad == {"activation": "rellu"} else next(iter(bad))
    ):
        kind(**bad).fit([[0.0], [1.0]], [0, 1])
