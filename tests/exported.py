"""Models for the tests of exports: one with each part of the library, and random ones."""

import numpy as np
from hypothesis import strategies as st
from parts import ACTIVATIONS, LAYERS, LOSSES, everything, with_categories

from xdfn import DFN, ActivationBase, FullyConnected, LayerBase
from xdfn.backend import namespace

N_IN, N_OUT = 5, 4
TOLERANCE = {"float64": 1e-12, "float32": 2e-6}


def rows(dtype="float64", n=40, seed=0):
    return np.random.default_rng(seed).normal(size=(n, N_IN)).astype(dtype)


def with_activation(spec, dtype="float64"):
    X = 2 * rows(dtype)
    layers = [FullyConnected(6, spec, "std_normal(gain=0.4)"), FullyConnected(3, "affine", "std_normal(gain=0.4)")]
    return DFN(layers=layers, loss="squared_error", seed=0).initialize(X), X


def with_layer(spec, dtype="float64"):
    """The layer as the first that is trained, so that it has running statistics and biases."""
    X = with_categories(spec, rows(dtype))
    y = np.arange(len(X)) % 3
    return DFN(layers=[spec, FullyConnected(3, "affine")], seed=0).fit(X, y, 2, verbose=None), X


def with_loss(spec, dtype="float64"):
    X = rows(dtype)
    y = LOSSES[spec](np.random.default_rng(1), len(X), N_OUT)
    return DFN(layers=[6, N_OUT], loss=spec, seed=0).fit(X, y, 3, verbose=None), X


def with_everything(dtype="float64"):
    X = rows(dtype)
    X[:, -1] = np.arange(len(X)) % 5 - 1  # -1 and 3 are unknown
    model = everything()
    return model.fit(X, np.arange(len(X)) % 10, 2, verbose=None, check_input=False), X


def yes_or_no(dtype="float64"):
    """One output, and targets (n,)."""
    X = rows(dtype)
    model = DFN(layers=[6, 1], loss="binary_cross_entropy", seed=0)
    return model.fit(X, np.arange(len(X)) % 2, 2, verbose=None), X


def one_number(dtype="float64"):
    X = rows(dtype)
    return DFN(layers=[6, 1], loss="squared_error", seed=0).fit(X, X[:, 0], 2, verbose=None), X


def with_link(loss, layer, dtype="float64"):
    """The last layer is the link of the loss."""
    X = rows(dtype)
    y = LOSSES[loss](np.random.default_rng(1), len(X), N_OUT)
    return DFN(layers=[6, N_OUT, layer] if layer == "softmax" else [6, layer], loss=loss, seed=0).fit(
        X, y, 3, verbose=None
    ), X


FORWARD = {  # activations that users may write
    "condition": lambda xp, z: xp.where((z > 0) & ~(z <= 1) | (z != z), z, -z),
    "constant": lambda xp, z: xp.where(z > 0, 0.25, z) - xp.where(z < 3, z, -xp.inf) * (-0.5) ** 2,
    "count": lambda xp, z: xp.astype(z >= 0.5, z.dtype) + xp.astype(z == 0.5, z.dtype) * xp.astype(z < 2, z.dtype),
    "cut": lambda xp, z: xp.square(xp.clip(z, -0.5, 1.0)) + 0 * xp.zeros_like(z),
    "log": lambda xp, z: xp.log(abs(z) + 1) + xp.log1p(abs(z)) - xp.sqrt(abs(z)),
    "negative": lambda xp, z: -z / -2 - (-1.5 * z - -0.5),
    "power": lambda xp, z: abs(z) ** 0.3 + 2 ** xp.minimum(z, 1.0) + (abs(z) + 0.5) ** -2,
    "wave": lambda xp, z: xp.sin(z) + xp.cos(xp.pi * z) / 3,
}


def own(forward):
    """A user's activation."""
    body = {"forward": lambda self, z: forward(namespace(z), z), "grad": lambda self, z: z}
    return type("Own", (ActivationBase,), body, traceable=True)()


CASES = {
    **{spec: (with_activation, spec) for spec in ACTIVATIONS},
    **{spec: (with_layer, spec) for spec in LAYERS},
    **{spec: (with_loss, spec) for spec in LOSSES},
    **{f"own {name}": (with_activation, own(forward)) for name, forward in FORWARD.items()},
    "softmax at the end": (with_link, "CrossEntropy", "softmax"),
    "sigmoid at the end": (with_link, "BinaryCrossEntropy", f"fc({N_OUT}, 'sigmoid')"),
    "e^z at the end": (with_link, "Poisson", f"fc({N_OUT}, 'exponential')"),
    "blocks": (with_layer, "residual([\"residual(['layer_norm', 'fc(5)'])\", \"embedding({-1: 3}, 1)\", 'maxout(5)'])"),
    "everything": (with_everything,),
    "yes or no": (yes_or_no,),
    "one number": (one_number,),
}


def make(case, dtype="float64"):
    """A trained model, and rows for it."""
    function, *given = CASES[case]
    return function(*given, dtype)


def assert_same_answers(found, model, X, tolerance):
    """`found` is what predict and, where there are classes, predict_proba gave elsewhere."""
    wanted = [model.predict(X), model.predict_proba(X)] if model.loss.classifies else [model.predict(X)]
    assert len(found) == len(wanted)
    for got, expected in zip(found, wanted, strict=True):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def tolerance_of(model):
    """For a random network: LayerNorm of features that are nearly equal makes rounding errors larger."""
    normalizes = "LayerNorm" in str(model.layers)
    return {"float64": 1e-9 if normalizes else 1e-12, "float32": 1e-3 if normalizes else 4e-6}[model._memory.dtype]


SAME_WIDTH = [
    "dropout(0.3)", "gaussian_noise(0.1)", "batch_norm", "batch_norm(0.5, 0.01)", "layer_norm", "prelu", "softmax",
]  # fmt: skip


@st.composite
def networks(
    draw, layers=(*SAME_WIDTH, "maxout", "residual", "embedding"), activations=tuple(ACTIVATIONS), losses=tuple(LOSSES)
):
    """A model with random layers, a random loss and drawn statistics, and rows for it."""
    dtype = draw(st.sampled_from(["float32", "float64"]))
    made, n_in = [], draw(st.integers(1, 6))
    embeds = "embedding" in layers and draw(st.booleans())
    if embeds:
        made.append("embedding({-1: 3}, 2)")
    kinds = [kind for kind in layers if kind != "embedding"]
    for kind in draw(st.lists(st.sampled_from(["dense", *kinds]), max_size=4)):
        units = draw(st.integers(1, 5))
        if kind == "dense":
            made.append(FullyConnected(units, draw(st.sampled_from(activations)), "glorot_uniform"))
        elif kind == "maxout":
            made.append(f"maxout({units}, {draw(st.integers(1, 3))})")
        elif kind == "residual":
            units = next((layer.n_out for layer in map(resolved, reversed(made)) if layer.n_out), n_in + embeds)
            made.append(f"residual(['layer_norm', \"fc({units}, 'tanh')\", 'dropout'])")
        else:
            made.append(kind)
    loss = draw(st.sampled_from(losses))
    one = loss in ("SquaredError", "BinaryCrossEntropy") and draw(st.booleans())
    made.append(FullyConnected(1 if one else N_OUT, "affine"))
    seed = draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(7, n_in)).astype(dtype)
    if embeds:
        X[:, -1] = [-1, 0, 1, 2, 3, 1.4, np.nan]  # three of these are unknown
    model = DFN(layers=made, loss=loss, seed=seed).initialize(X)
    for layer in model.layers.values():
        for arrays in (layer.params, layer.buffers):
            for name, x in arrays.items():
                noise = 0.1 * rng.normal(size=x.shape)
                arrays[name] = (x + (abs(noise) if name.endswith("var") else noise)).astype(dtype)
    return model, X


def resolved(spec):
    from xdfn.nn.layers.base import layers

    return layers.resolve(spec)


class Cubed(ActivationBase, traceable=True):
    """A user's activation that can be traced."""

    def forward(self, z):
        return z**3 + 0.5 * abs(z)

    def grad(self, z):
        return 3 * z * z + 0.5 * ((z > 0) * 1.0 - (z < 0) * 1.0)


class Untraceable(ActivationBase):
    """A user's activation that says nothing of itself."""

    def forward(self, z):
        return z + 1.0

    def grad(self, z):
        return 0 * z + 1.0


class Doubled(LayerBase, traceable=True):
    """A user's layer."""

    def apply(self, params, buffers, x, ctx=None):
        return 2.0 * x, None, buffers

    def pullback(self, params, cache, dy, input_grad=True):
        return 2.0 * dy, {}


class Shifted(FullyConnected, traceable=True):
    """A user's layer that computes otherwise than the one it inherits from."""

    def apply(self, params, buffers, x, ctx=None):
        y, cache, after = super().apply(params, buffers, x, ctx)
        return y + 1.0, cache, after


class OfNotebook(LayerBase):
    """A user's layer in the notebook's style."""

    def forward(self, X, retain_derived=True):
        return 2.0 * X

    def backward(self, dLda, retain_grads=True):
        return 2.0 * dLda
