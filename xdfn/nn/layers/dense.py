"""The fully connected layer: each unit sees all features."""

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, SupportsIndex

from xdfn.backend import Array, activation_pullback, bias_activation, ones_row
from xdfn.core.fields import Field, integer
from xdfn.core.registry import Spec
from xdfn.nn.activations import ActivationBase, Affine, activations
from xdfn.nn.initializers import InitializerBase
from xdfn.nn.layers.base import Function, layers
from xdfn.nn.layers.context import Applied, Buffers, Cache, Context, Drawn, Gradients, Params, Pulled
from xdfn.nn.layers.weighted import WeightedLayer
from xdfn.nn.regularizers import ConstraintBase, RegularizerBase
from xdfn.optim.base import OptimizerBase

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = ["FullyConnected"]


@layers.register("dense", "fc")
class FullyConnected(WeightedLayer, traceable=True):
    """y = g(x W + b), with W (n_in, n_out), b (1, n_out).

    Backward, with z = x W + b: dz = g'(z) dy, dW = x^T dz, db = sum over rows of dz, dx = dz W^T.

    Parameters
    ----------
    n_out : int
        Number of units.
    acti_fn : str or ActivationBase, optional
        The activation g, such as ``"tanh"`` or ``"affine(slope=1, intercept=0)"``; None stands for ``"affine"``.
    init_w : str or InitializerBase, optional
        The initialiser of W, such as ``"he_uniform"``. Without it the one that suits the activation: he_uniform for
        ReLU and its relatives, lecun_normal for SELU, else glorot_uniform.
    optimizer : str or OptimizerBase, optional
        An optimizer of its own for this layer.
    init_b : str or InitializerBase
        The initialiser of b.
    regularizer : str or RegularizerBase, optional
        A penalty on W, such as ``"l2(1e-4)"``.
    constraint : str or ConstraintBase, optional
        What W is held to after each step, such as ``"max_norm(3)"``.

    Examples
    --------
    >>> import numpy as np
    >>> layer = FullyConnected(3, "relu", "he_uniform")
    >>> layer.forward(np.ones((5, 2))).shape
    (5, 3)
    >>> layer.backward(np.ones((5, 3))).shape
    (5, 2)
    """

    prefix = "FC"
    _shown = ("acti_fn", "init_w")
    acti_fn = Field(lambda name, spec: _activation(spec))

    def __init__(
        self,
        n_out: SupportsIndex,
        acti_fn: Spec[ActivationBase] | None = "relu",
        init_w: Spec[InitializerBase] | None = None,
        optimizer: Spec[OptimizerBase] | None = None,
        init_b: Spec[InitializerBase] = "zeros",
        regularizer: Spec[RegularizerBase] | None = None,
        constraint: Spec[ConstraintBase] | None = None,
    ) -> None:
        activation = _activation(acti_fn)
        given = activation.initializer if init_w is None else init_w
        super().__init__(n_out, given, optimizer, init_b, regularizer, constraint)
        self.acti_fn = activation

    def init(self, rng: "Generator", n_in: int) -> Drawn:
        W = self.init_w((n_in, self.n_out), rng)
        b = self.init_b((1, self.n_out), rng)
        return {"W": W, "b": b}, {}, self.n_out

    def apply(self, params: Params, buffers: Buffers, x: Array, ctx: Context | None = None) -> Applied:
        z, y = bias_activation(self.acti_fn, x @ params["W"], params["b"])
        return y, (x, z, y), buffers

    def pullback(self, params: Params, cache: Cache, dy: Array, input_grad: bool = True) -> Pulled:
        x, z, y = cache
        dz = activation_pullback(self.acti_fn, z, y, dy)
        # pairs (A, B) that stand for A B: dW = x^T dz, and db = 1^T dz
        gradients: Gradients = {"W": (x.mT, dz), "b": (ones_row(dz), dz)}
        dx = dz @ params["W"].mT if input_grad else None
        return dx, gradients

    @property
    def output_function(self) -> Function | None:
        return self.acti_fn.function

    def without_output_function(self) -> "FullyConnected":
        new = self.clone()
        new.acti_fn = Affine()
        return new

    @property
    def hyperparams(self) -> dict[str, object]:
        optional = {"init_b": self.as_given("init_b")} if str(self.init_b) != "zeros" else {}
        penalties = {"regularizer": self.regularizer, "constraint": self.constraint}
        optional |= {name: str(part) for name, part in penalties.items() if part is not None}
        return {
            "layer": "FullyConnected",
            "init_w": self.as_given("init_w"),
            **optional,
            "n_in": self.n_in,
            "n_out": self.n_out,
            "acti_fn": str(self.acti_fn),
            "optimizer": {"hyperparams": self.optimizer.hyperparams},
            "components": dict(self.params),
        }


def _activation(spec: object) -> ActivationBase:
    return activations.resolve("affine" if spec is None else spec)


def stack(given: object) -> object:
    """Layers as `DFN` takes them, with an int n for n ReLU units, or where no units follow for n outputs.

    >>> stack([64, "dropout(0.5)", 10])
    [FullyConnected(n_out=64, acti_fn='ReLU', init_w='he_uniform', optimizer='SGD(lr=0.01)'), 'dropout(0.5)', \
FullyConnected(n_out=10, acti_fn='Affine(slope=1, intercept=0)', init_w='glorot_uniform', optimizer='SGD(lr=0.01)')]
    """
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        return given
    made, inner = [], False
    for spec in reversed(given):
        if isinstance(spec, Integral) and not isinstance(spec, bool):
            made.append(FullyConnected(integer("layers: a number of units", spec), "relu" if inner else "affine"))
            inner = True
        else:
            made.append(spec)
            inner = inner or layers.resolve(spec).n_out is not None  # softmax, dropout and the like have no units
    return made[::-1]
