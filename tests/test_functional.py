"""A model as a pure function: its answers, and what JAX and PyTorch make of it."""

import copy
import shutil

import numpy as np
import pytest
from fits import NotebookLinear
from parts import ACTIVATIONS, LAYERS, LOSSES

from xdfn import DFN, Callback
from xdfn.core.tree import leaves, tree_map

N, N_IN, N_OUT = 7, 4, 4
X = np.random.default_rng(5).normal(size=(N, N_IN))
W = np.random.default_rng(6).normal(size=(N, N_OUT))
CASES = [*ACTIVATIONS, *LAYERS, *LOSSES]


@pytest.fixture(scope="module")
def jax():
    return pytest.importorskip("jax")


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def network(*layers, **more):
    return DFN(layers=list(layers), optimizer="sgd(lr=0.01)", seed=3, **more)


def case(spec):
    """A model with that part, trained for two steps in float64 on NumPy."""
    loss, first, inner = "squared_error", "fc(5, 'tanh', 'he_normal')", []
    if spec in ACTIVATIONS:
        first = f"fc(5, {spec!r}, 'he_normal')"
    elif spec in LAYERS:
        inner = [spec]
    else:
        loss = spec
    rng = np.random.default_rng(4)
    x = rng.normal(size=(20, N_IN))
    y = LOSSES[loss](rng, 20, N_OUT) if loss in LOSSES else rng.normal(size=(20, N_OUT))
    return network(first, *inner, f"fc({N_OUT}, 'affine', 'he_normal')", loss=loss).fit(x, y, 2, 20, verbose=None)


def weighted(module, y):
    """sum(W y), with as many columns of W as y has."""
    return (module.asarray(W[:, : y.shape[1]]) * y).sum()


def on(module, spec):
    """Its function, its parameters and X on another library."""
    x = module.asarray(X)
    apply, params = case(spec).to(x).as_function()
    return apply, params, x


def host(tree):
    return tree_map(lambda x: np.asarray(x.detach() if hasattr(x, "detach") else x), tree)


def check_derivative(spec, gradients):
    """Whether gradients of sum(W apply(params, X)) are the difference quotient, for NumPy, along a random direction."""
    apply, params = case(spec).as_function()
    rng, h = np.random.default_rng(8), 1e-6
    along = tree_map(lambda x: rng.normal(size=x.shape), (params, X))

    def value(sign):
        return weighted(np, apply(*tree_map(lambda x, d: x + sign * h * d, (params, X), along)))

    ours = sum(np.sum(g * d) for g, d in zip(leaves(host(sorted_as(gradients, along))), leaves(along), strict=True))
    assert ours == pytest.approx((value(1) - value(-1)) / (2 * h), rel=1e-6)


def sorted_as(tree, like):
    """Dicts in the order of others: JAX sorts them."""
    return tree_map(lambda _, x: x, like, tree)


# ---- what it answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", CASES)
def test_it_is_predict_proba(backend, spec):
    model, x, row = case(spec).to(backend.array(X)), backend.array(X), backend.array(X[2])
    expected = backend.numpy(model.predict_proba(x))
    apply, params = model.as_function()
    scores, _ = model.as_function(scores=True)
    for given, rows in ((x, slice(None)), (row, 2)):
        np.testing.assert_allclose(backend.numpy(backend.call(apply, params, given)), expected[rows], rtol=1e-12)
        z = backend.call(scores, params, given)
        linked = backend.numpy(model.loss.link(z if z.ndim == 2 else z[None, ...]))
        np.testing.assert_allclose(linked if z.ndim == 2 else linked[0], expected[rows], rtol=1e-12)


@pytest.mark.parametrize("loss", ["squared_error", "binary_cross_entropy"])
def test_its_shapes_are_those_of_the_targets(backend, loss):
    x = backend.array(X)
    for y, rows in ((X[:, 0] > 0, (N,)), (X[:, :1] > 0, (N, 1))):
        model = network("fc(3, 'tanh')", 1, loss=loss).fit(X, y, 1, N, verbose=None).to(x)
        for scores in (False, True):
            apply, params = model.as_function(scores=scores)
            assert tuple(apply(params, x).shape) == rows
            assert tuple(apply(params, x[0, :]).shape) == rows[1:]
        assert tuple(model.predict_proba(x).shape) == rows


def test_it_computes_in_the_dtype_of_its_parameters(backend):
    x = backend.array(X, "float32")
    model = network("fc(5, 'gelu')", "batch_norm", "layer_norm", "maxout(4)", "softmax").initialize(x)
    apply, params = model.as_function()
    for given in (x, backend.array(X), backend.array(10 * abs(X), "uint8")):
        assert backend.call(apply, params, given).dtype == x.dtype


def test_its_parameters_are_plain_copies(backend):
    x = backend.array(X)
    model = network("dropout(0.5)", "fc(5, 'relu')", "batch_norm", N_OUT, loss="squared_error")
    model.fit(X, W, 1, N, verbose=None).to(x)
    before, expected = model.snapshot(), backend.numpy(model.predict_proba(x))
    _, params = model.as_function()
    assert {name: list(of_layer) for name, of_layer in params.items()} == {
        "FC1": ["W", "b"],
        "BatchNorm1": ["gamma", "beta"],
        "FC2": ["W", "b"],
    }
    assert {type(params)} | {type(of_layer) for of_layer in params.values()} == {dict}
    for of_layer in params.values():
        for name in of_layer:
            of_layer[name] += 1.0  # in place where the library can
    del params["FC1"]
    assert backend.numpy(model.predict_proba(x)).tolist() == expected.tolist()
    for ours, theirs in zip(leaves(model.snapshot()), leaves(before), strict=True):
        assert (backend.numpy(ours) == backend.numpy(theirs)).all()


def test_what_becomes_of_the_model_does_not_matter():
    model = network("fc(5, 'leaky_relu')", "batch_norm", N_OUT, loss="huber").fit(X, W, 1, N, verbose=None)
    twin = copy.copy(model)
    apply, params = model.as_function()
    expected = apply(params, X)
    model.layers["FC1"].acti_fn.alpha = 0.0
    for array in (*model.layers["FC1"].params.values(), *model.layers["BatchNorm1"].buffers.values()):
        array[...] = 7.0
    model.loss, model.layers["FC2"] = "poisson", model.layers["BatchNorm1"]
    assert apply(params, X).tolist() == expected.tolist()
    again, twins = (m.fit(X, W, 2, N, verbose=None) for m in (copy.copy(twin), twin))
    twin.as_function()
    assert again.history == twins.history
    assert apply(params, X).tolist() == expected.tolist()


def test_it_answers_with_the_moving_averages():
    model = network("fc(5, 'tanh')", N_OUT, loss="squared_error", ema=0.9).fit(X, W, 3, 2, verbose=None)
    apply, params = model.as_function()
    assert (params["FC1"]["W"] != model.layers["FC1"].params["W"]).all()
    assert apply(params, X).tolist() == model.predict_proba(X).tolist()


def test_a_callback_may_take_the_function_of_now():
    class Take(Callback):
        def on_epoch_end(self, model, values):
            taken.append((*model.as_function(), model.predict_proba(X)))

    taken = []
    network("fc(5, 'tanh')", "batch_norm", N_OUT, loss="squared_error").fit(X, W, 3, N, None, callbacks=[Take()])
    assert len(taken) == 3
    for apply, params, expected in taken:
        assert apply(params, X).tolist() == expected.tolist()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="the model has no parameters yet: call fit or initialize"):
        network(3).as_function()
    notebook = network("fc(4, 'tanh')", NotebookLinear(2), loss="squared_error").initialize(X)
    with pytest.raises(
        ValueError, match=r"as_function: NotebookLinear1, .*, defines forward .* write apply and pullback"
    ):
        notebook.as_function()
    apply, params = network("fc(4, 'tanh')", "dropout(0.5)", 3).initialize(X).as_function()
    for wrong, says in (
        (
            {"FC1": params["FC1"]},
            r"params must hold {'FC1': \['W', 'b'\], 'FC2': \['W', 'b'\]}, got {'FC1': \['W', 'b'\]}",
        ),
        ({**params, "FC2": {"W": params["FC2"]["W"]}}, r"params must hold .*, got .*'FC2': \['W'\]}"),
    ):
        with pytest.raises(ValueError, match=says):
            apply(wrong, X)
    for wrong, says in (
        (X.tolist(), "expected an array .* got list"),
        (X[:, :2], r"X must have shape \(n, 4\) or \(4,\), got \(7, 2\)"),
        (X[None], r"X must have shape \(n, 4\) or \(4,\), got \(1, 7, 4\)"),
        (X + 1j, "X must hold real numbers"),
        (
            pytest.importorskip("array_api_strict").zeros((2, 4)),
            "X is not an array of numpy, where the model was: convert X, or",
        ),
    ):
        with pytest.raises(ValueError, match=says):
            apply(params, wrong)


# ---- what the libraries make of it -----------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", CASES)
def test_jax_differentiates_compiles_and_maps_it(jax, spec):
    apply, params, x = on(jax.numpy, spec)

    @jax.jit
    def together(params, x):
        gradients = jax.grad(lambda params, x: weighted(jax.numpy, apply(params, x)), (0, 1))(params, x)
        return gradients, apply(params, x), jax.vmap(apply, (None, 0))(params, x)

    gradients, *answers = together(params, x)
    check_derivative(spec, gradients)
    for answer in answers:
        np.testing.assert_allclose(answer, case(spec).predict_proba(X), rtol=1e-10)


def test_jax_traces_it_once(jax):
    apply, params, x = on(jax.numpy, "BatchNorm")
    traced = []

    @jax.jit
    def counted(params, x):
        traced.append(1)
        return apply(params, x)

    for factor in (1.0, 2.0, 3.0):
        other = tree_map(lambda p, factor=factor: p * factor, params)
        np.testing.assert_allclose(counted(other, x * factor), apply(other, x * factor), rtol=1e-11)
    assert len(traced) == 1


@pytest.mark.parametrize("spec", CASES)
def test_pytorchs_tape_and_transformations_take_it(torch, spec):
    apply, params, x = on(torch, spec)
    expected = apply(params, x)

    def value(params, x):
        return weighted(torch, apply(params, x))

    given = tree_map(lambda p: p.clone().requires_grad_(), (params, x))
    value(*given).backward()
    check_derivative(spec, tree_map(lambda p: p.grad, given))
    transformed = torch.func.grad(value, (0, 1))(params, x)
    for ours, theirs in zip(leaves(transformed), leaves(given), strict=True):
        torch.testing.assert_close(ours, theirs.grad)
    torch.testing.assert_close(torch.func.vmap(apply, (None, 0))(params, x), expected)
    assert not any(p.requires_grad for p in leaves(params))


@pytest.mark.parametrize("spec", CASES)
def test_pytorch_compiles_it_whole(torch, spec):
    apply, params, x = on(torch, spec)
    torch._dynamo.reset()
    compiled = torch.compile(apply, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(params, x), apply(params, x))


@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="torch.compile finds no C++ compiler")
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # PyTorch's own use
def test_pytorchs_compiler_differentiates_it(torch):
    apply, params, x = on(torch, "BatchNorm")
    torch._dynamo.reset()
    compiled = torch.compile(apply, fullgraph=True)
    gradients = []
    for function in (apply, compiled):
        given = tree_map(lambda p: p.clone().requires_grad_(), (params, x))
        weighted(torch, function(*given)).backward()
        gradients.append([p.grad for p in leaves(given)])
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("spec", LAYERS)
def test_one_parameter_alone_is_mapped(torch, jax, spec):
    """Many values of one parameter, with one of each other: nothing may be written into what stands for one."""
    for module, vmap in ((torch, torch.func.vmap), (jax.numpy, jax.vmap)):
        apply, params, x = on(module, spec)
        for layer, of_layer in params.items():
            for name, p in of_layer.items():
                many = module.stack([p, 2 * p, 3 * p])

                def change(p, layer=layer, name=name, params=params, apply=apply, x=x):
                    return apply({**params, layer: {**params[layer], name: p}}, x)

                for mapped, value in zip(vmap(change)(many), many, strict=True):
                    np.testing.assert_allclose(host(mapped), host(change(value)), rtol=1e-11)


@pytest.mark.parametrize("library", ["jax", "torch"])
def test_models_side_by_side(library):
    module = pytest.importorskip({"jax": "jax.numpy"}.get(library, library))
    x = module.asarray(X)
    models = [DFN(layers=["fc(5, 'gelu')", "maxout(4)", 3], seed=seed).initialize(x) for seed in range(3)]
    trees = [model.as_function()[1] for model in models]
    many = tree_map(lambda *p: module.stack(p), *trees)
    apply, _ = models[0].as_function()
    vmap = pytest.importorskip("jax").vmap if library == "jax" else module.func.vmap
    for mapped, model in zip(vmap(apply, (0, None))(many, x), models, strict=True):
        np.testing.assert_allclose(host(mapped), host(model.predict_proba(x)), rtol=1e-11)


@pytest.mark.parametrize("library", ["jax", "torch"])
def test_the_gradients_are_ours(library):
    """Those of `input_gradients`, and of a loop by hand on NumPy, over all rows and over single ones."""
    module = pytest.importorskip({"jax": "jax.numpy"}.get(library, library))
    tools = pytest.importorskip("jax") if library == "jax" else module.func
    x, w = module.asarray(X), module.asarray(W)
    model = network("fc(6, 'elu')", "layer_norm", "maxout(5)", "softmax", N_OUT, loss="squared_error").initialize(X)
    apply, params = copy.copy(model).to(x).as_function()
    dx = tools.grad(lambda x: apply(params, x)[:, 1].sum())(x)
    np.testing.assert_allclose(host(dx), model.input_gradients(X, output=1), rtol=1e-10, atol=1e-14)

    def loss(params, x, y):
        return 0.5 * ((apply(params, x) - y) ** 2).sum()

    def by_hand(x, y):
        out, _ = model.forward(x)
        model.backward(out - y)
        gradients = {name: dict(layer.gradients) for name, layer in model.layers.items() if layer.gradients}
        model.flush_gradients()
        return gradients

    of_rows = tools.vmap(tools.grad(loss), (None, 0, 0))(params, x, w)
    pairs = [(tools.grad(loss)(params, x, w), by_hand(X, W))]
    pairs += [(tree_map(lambda g, i=i: g[i], of_rows), by_hand(X[i : i + 1], W[i : i + 1])) for i in (0, N - 1)]
    for theirs, ours in pairs:
        for g, o in zip(leaves(host(sorted_as(theirs, ours))), leaves(ours), strict=True):
            np.testing.assert_allclose(g, o, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("spec", [*ACTIVATIONS, *LOSSES])
@pytest.mark.parametrize("library", ["jax", "torch"])
def test_gradients_at_extreme_scores_are_finite(library, spec):
    module = pytest.importorskip({"jax": "jax.numpy"}.get(library, library))
    tools = pytest.importorskip("jax") if library == "jax" else module.func
    of_activation = spec in ACTIVATIONS
    layers = [f"fc(2, {spec!r}, 'constant(1)')"] if of_activation else ["fc(2, 'affine', 'constant(1)')"]
    x = module.asarray(np.asarray([[-1e4], [-100.0], [-88.8], [-10.1], [0.0], [88.8], [1e4]], "float32"))
    model = network(*layers, loss="squared_error" if of_activation else spec).initialize(x)
    apply, params = model.as_function()
    gradients = tools.grad(lambda params, x: apply(params, x)[:, 0].mean(), (0, 1))(params, x)
    for g in leaves(host(gradients)):
        assert np.isfinite(g).all()
