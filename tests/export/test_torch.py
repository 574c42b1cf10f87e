"""The nn.Sequential answers as the model does."""

import numpy as np
import pytest
from exported import CASES, SAME_WIDTH, Cubed, make, networks, rows, tolerance_of, with_activation
from hypothesis import given, settings

from xdfn import DFN, FullyConnected
from xdfn.backend import to_numpy
from xdfn.export import from_torch, to_torch
from xdfn.export.formats import HAS_WORD

torch = pytest.importorskip("torch")
nn = torch.nn
ACTIVATIONS = [
    "relu", "leaky_relu(0.1)", "sigmoid", "tanh", "affine", "affine(2, -0.5)", "softplus", "elu(0.5)", "selu",
    "softsign", "silu", "mish", "gelu",
]  # fmt: skip
LOSSES = ["SquaredError", "CrossEntropy", "BinaryCrossEntropy", "AbsoluteError"]
TOLERANCE = {"float32": 2e-6, "float64": 1e-9}


def answers(network, X):
    return network(torch.asarray(X)).detach().numpy()


def covered(case):
    model, _ = make(case)
    return all(map(HAS_WORD["to_torch"], (*model.layers.values(), model.loss)))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CASES)
def test_the_sequential_answers_as_the_model(case, dtype):
    model, X = make(case, dtype)
    if not covered(case):
        with pytest.raises(ValueError, match="to_torch has no word for"):
            to_torch(model)
        return
    network = to_torch(model)
    assert type(network) is nn.Sequential
    assert all(type(module).__module__.startswith("torch.nn.modules") for module in network)
    assert not network.training
    found, expected = answers(network, X), model.predict_proba(X)
    assert found.shape == expected.shape
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def test_most_cases_are_covered():
    assert {case for case in CASES if not covered(case)} == {
        "Exponential", "HardSigmoid", "Poisson", "Poisson(deviance=True)", "e^z at the end", "Gaussian",
        "everything", "blocks",
        *(case for case in CASES if case.startswith("own ")),
        *(case for case in CASES if case.startswith(("Maxout", "Embedding", "Residual"))),
    }  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(networks(tuple(SAME_WIDTH), tuple(ACTIVATIONS), tuple(LOSSES)))
def test_random_networks_there_and_back(given):
    model, X = given
    network, tolerance = to_torch(model), max(tolerance_of(model), 1e-9)
    there, expected = answers(network, X), model.predict_proba(X)
    np.testing.assert_allclose(there, expected, rtol=tolerance, atol=tolerance)
    back = from_torch(network)
    found = to_numpy(back.predict_proba(torch.asarray(X)))
    assert found.dtype == there.dtype
    np.testing.assert_allclose(found, there, rtol=tolerance, atol=tolerance)
    again = from_torch(to_torch(model, scores=True), loss=model.loss).to_numpy()
    np.testing.assert_allclose(again.predict_proba(X), expected, rtol=tolerance, atol=tolerance)


def test_scores_are_before_the_link():
    model, X = make("Poisson", "float64")
    expected = to_numpy(model.as_function(scores=True)[0](model.as_function()[1], X))
    np.testing.assert_allclose(answers(to_torch(model, scores=True), X), expected, rtol=1e-12)


def test_what_is_trained_is_a_copy():
    model, X = make("CrossEntropy")
    before, network = model.predict_proba(X), to_torch(model)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2.0)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    back = from_torch(network)
    answer = to_numpy(back.predict_proba(torch.asarray(X)))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2.0)
    np.testing.assert_array_equal(to_numpy(back.predict_proba(torch.asarray(X))), answer)


def test_a_network_of_pytorchs_own():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Sequential(nn.Flatten(), nn.LayerNorm(5, bias=False), nn.Linear(5, 8, bias=False), nn.LeakyReLU()),
        nn.BatchNorm1d(8, affine=False), nn.Dropout(0.2), nn.Linear(8, 6), nn.PReLU(), nn.Identity(), nn.Linear(6, 3),
        nn.Softmax(dim=1),
    ).double()  # fmt: skip
    X = torch.asarray(rows())
    network(X)  # in training mode, for the running statistics
    model = from_torch(network.eval())
    assert str(model.loss) == "CrossEntropy"
    np.testing.assert_allclose(to_numpy(model.predict_proba(X)), answers(network, rows()), rtol=1e-9)
    assert to_numpy(model.predict(X)).tolist() == network(X).argmax(1).tolist()
    assert model.fit(X, torch.arange(40) % 3, 2, verbose=None).history["loss"]


def test_a_slope_for_all_features():
    """Behind a layer that tells how many there are."""
    X = torch.asarray(rows())
    for network in (
        nn.Sequential(nn.BatchNorm1d(5), nn.PReLU()),
        nn.Sequential(nn.PReLU(5), nn.Linear(5, 2), nn.PReLU()),
    ):
        model = from_torch(network.double().eval())
        np.testing.assert_allclose(to_numpy(model.predict(X)), answers(network, rows()), rtol=1e-12)


def test_a_state_dict():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 6, bias=False), nn.Tanh(), nn.Linear(6, 2)
    ).double()
    model = from_torch(network.state_dict(), activation="tanh")
    np.testing.assert_allclose(to_numpy(model.predict(torch.asarray(rows()))), answers(network, rows()), rtol=1e-9)
    with pytest.raises(ValueError, match="does not say the activations; activation='relu' does"):
        from_torch(network.state_dict())


class Own(nn.Sequential):
    def forward(self, x):
        return 2 * super().forward(x)


def hooked():
    network = nn.Sequential(nn.Linear(2, 2))
    network[0].register_forward_hook(lambda module, x, y: 2 * y)
    return network


REFUSED = {
    "no layer": (lambda: nn.Sequential(nn.Linear(2, 2), nn.Embedding(3, 2)), "no layer for 1, Embedding"),
    "after BatchNorm1d": (lambda: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.ReLU()), "fuse_linear_bn_eval"),
    "exact GELU": (lambda: nn.Sequential(nn.Linear(2, 2), nn.GELU()), "approximate='tanh'"),
    "Softplus": (lambda: nn.Sequential(nn.Linear(2, 2), nn.Softplus(beta=2)), "beta=1"),
    "softmax of rows": (lambda: nn.Sequential(nn.Linear(2, 2), nn.Softmax(dim=0)), "no layer for 1, Softmax"),
    "batch statistics": (
        lambda: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False)),
        "no layer for 1, BatchNorm1d",
    ),
    "two dtypes": (lambda: nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()), "in float32 or in float64"),
    "half": (lambda: nn.Sequential(nn.Linear(2, 2)).half(), "in float32 or in float64"),
    "own forward": (lambda: Own(nn.Linear(2, 2)), "a forward of its own"),
    "own forward inside": (lambda: nn.Sequential(Own(nn.Linear(2, 2))), "a forward of its own"),
    "hooks": (hooked, "has hooks"),
    "parametrized": (
        lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(2, 2))), "no layer for 0, Parametrized",
    ),
    "rows in one": (lambda: nn.Sequential(nn.Linear(2, 1), nn.Flatten(0), nn.Softmax(dim=-1)), "the last module alone"),
    "no parameters": (lambda: nn.Sequential(nn.Tanh()), "follows no Linear"),
    "nothing": (lambda: nn.Sequential(nn.Dropout()), "with parameters"),
    "a module": (lambda: nn.Linear(2, 2), "expects an nn.Sequential or a state dict, got Linear"),
    "a state dict": (lambda: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).state_dict(), "got '1' with"),
    "no chain": (
        lambda: {"0.weight": torch.ones(2, 3), "1.weight": torch.ones(1, 5)}, "does not say the activations",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_model_cannot_be_is_refused(name):
    make_network, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        from_torch(make_network())


def test_a_state_dict_that_does_not_chain():
    state = {"0.weight": torch.ones(2, 3), "1.weight": torch.ones(1, 5)}
    with pytest.raises(ValueError, match="do not follow each other"):
        from_torch(state, activation="relu")


def test_a_users_activation_is_refused():
    model, _ = with_activation(Cubed())
    with pytest.raises(ValueError, match=r"FC1, Cubed; formats that have one: .*to_onnx"):
        to_torch(model)


def test_an_estimator():
    mlp = pytest.importorskip("xdfn.sklearn")
    X = rows()
    with pytest.warns(match="Maximum iterations"):
        two = mlp.MLPClassifier((6,), max_iter=2, random_state=0, tol=0.0).fit(X, X[:, 0] > 0)
    with pytest.warns(match="Maximum iterations"):
        three = mlp.MLPClassifier((6,), max_iter=2, random_state=0, tol=0.0).fit(X, np.arange(40) % 3)
    np.testing.assert_allclose(answers(to_torch(three), X), three.predict_proba(X), rtol=1e-9)
    with pytest.raises(ValueError, match="two columns"):
        to_torch(two)
    p = 1 / (1 + np.exp(-answers(to_torch(two, scores=True), X)))
    np.testing.assert_allclose(p, two.predict_proba(X)[:, 1], rtol=1e-9)


def test_the_affine_function_is_multiplied_into_the_weights():
    X = rows()
    model = DFN(layers=[FullyConnected(3, "affine(-2, 0.5)")], loss="squared_error", seed=0).initialize(X)
    (linear,) = to_torch(model)
    np.testing.assert_allclose(linear.bias.detach().numpy(), 0.5)
    np.testing.assert_allclose(answers(nn.Sequential(linear), X), model.predict(X), rtol=1e-12)
