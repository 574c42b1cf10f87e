"""A model as PyTorch's `nn.Sequential`. The way back is in `torch_reading`."""

from collections.abc import Callable, Mapping

from xdfn.backend import Foreign, Host, to_numpy
from xdfn.core.optional import need
from xdfn.core.part import Part
from xdfn.export.formats import HAS_WORD, refusal
from xdfn.export.models import answering
from xdfn.nn.activations import (
    ELU,
    GELU,
    SELU,
    ActivationBase,
    Affine,
    LeakyReLU,
    Mish,
    ReLU,
    Sigmoid,
    SiLU,
    SoftPlus,
    Softsign,
    Tanh,
)
from xdfn.nn.layers.base import LayerBase
from xdfn.nn.layers.dense import FullyConnected
from xdfn.nn.layers.noise import Dropout, GaussianNoise
from xdfn.nn.layers.normalization import BatchNorm, LayerNorm
from xdfn.nn.layers.prelu import PReLU
from xdfn.nn.layers.softmax import Identity, Softmax
from xdfn.nn.losses import BinaryCrossEntropy, CrossEntropy, ObjectiveBase

__all__ = ["to_torch"]

Module = Foreign  # of PyTorch, whose types are known only where it is installed
_PRECISE = 50  # beyond it log(1 + e^z) is z in float64; PyTorch's own limit is 20


# the module of an activation, by the method that computes it; Affine is multiplied into the weights
_ACTIVATIONS: dict[Callable[..., object], Callable[[Foreign, Foreign], list[Module]]] = {
    Affine.forward: lambda nn, g: [],
    ELU.forward: lambda nn, g: [nn.ELU(g.alpha)],
    GELU.forward: lambda nn, g: [nn.GELU(approximate="tanh")],
    LeakyReLU.forward: lambda nn, g: [nn.LeakyReLU(g.alpha)],
    Mish.forward: lambda nn, g: [nn.Mish()],
    ReLU.forward: lambda nn, g: [nn.ReLU()],
    SELU.forward: lambda nn, g: [nn.SELU()],
    Sigmoid.forward: lambda nn, g: [nn.Sigmoid()],
    SiLU.forward: lambda nn, g: [nn.SiLU()],
    SoftPlus.forward: lambda nn, g: [nn.Softplus(threshold=_PRECISE)],
    Softsign.forward: lambda nn, g: [nn.Softsign()],
    Tanh.forward: lambda nn, g: [nn.Tanh()],
}


def _dense(nn: Foreign, layer: FullyConnected, arrays: Mapping[str, Host]) -> list[Module]:
    W, b = arrays["W"], arrays["b"]
    if isinstance(layer.acti_fn, Affine):
        W, b = W * layer.acti_fn.slope, b * layer.acti_fn.slope + layer.acti_fn.intercept
    linear = _filled(nn.Linear(*W.shape), weight=W.T, bias=b[0])
    return [linear, *_ACTIVATIONS[type(layer.acti_fn).forward](nn, layer.acti_fn)]


def _batch_norm(nn: Foreign, layer: BatchNorm, arrays: Mapping[str, Host]) -> list[Module]:
    module = nn.BatchNorm1d(layer.n_in, eps=layer.eps, momentum=1 - layer.momentum)
    mean, var = arrays["mean"][0], arrays["var"][0]
    return [_filled(module, weight=arrays["gamma"][0], bias=arrays["beta"][0], running_mean=mean, running_var=var)]


def _layer_norm(nn: Foreign, layer: LayerNorm, arrays: Mapping[str, Host]) -> list[Module]:
    module = nn.LayerNorm(layer.n_in, eps=layer.eps)
    return [_filled(module, weight=arrays["gamma"][0], bias=arrays["beta"][0])]


def _prelu(nn: Foreign, layer: PReLU, arrays: Mapping[str, Host]) -> list[Module]:
    return [_filled(nn.PReLU(layer.n_in), weight=arrays["alpha"][0])]


# the modules of a layer, by the method that computes it
_MODULES: dict[Callable[..., object], Callable[[Foreign, Foreign, Mapping[str, Host]], list[Module]]] = {
    FullyConnected.apply: _dense,
    BatchNorm.apply: _batch_norm,
    LayerNorm.apply: _layer_norm,
    PReLU.apply: _prelu,
    Softmax.apply: lambda nn, layer, arrays: [nn.Softmax(dim=-1)],
    Dropout.apply: lambda nn, layer, arrays: [nn.Dropout(layer.rate)],
    GaussianNoise.apply: lambda nn, layer, arrays: [],  # which PyTorch has not, and which does nothing at inference
    Identity.apply: lambda nn, layer, arrays: [],
}
_LINKS: dict[Callable[..., object], Callable[[Foreign], list[Module]]] = {
    CrossEntropy.link: lambda nn: [nn.Softmax(dim=-1)],
    BinaryCrossEntropy.link: lambda nn: [nn.Sigmoid()],
    ObjectiveBase.link: lambda nn: [],
}


def _filled(module: Module, **values: Host) -> Module:
    """The module with these values in its parameters and buffers, in their dtype."""
    dtype = next(iter(values.values())).dtype.name
    torch = need("xdfn.export", "torch", "torch", "torch>=2.6")
    module = module.to(getattr(torch, dtype))
    with torch.no_grad():
        for name, value in values.items():
            getattr(module, name).copy_(torch.asarray(value.copy()))
    return module


def _has_word(part: Part) -> bool:
    if isinstance(part, LayerBase):
        known = type(part).apply in _MODULES and not part.overrides_forward
        return known and (part.acti_fn is None or _has_word(part.acti_fn))
    if isinstance(part, ActivationBase):
        return type(part).forward in _ACTIVATIONS
    return isinstance(part, ObjectiveBase) and type(part).link in _LINKS


HAS_WORD["to_torch"] = _has_word


def to_torch(model: object, *, scores: bool = False) -> Module:
    """The model as an ``nn.Sequential`` of PyTorch's own modules, in `eval` mode, on the CPU.

    It gives what `predict_proba` gives, and what `predict` gives for a loss without classes.

    Parameters
    ----------
    model : DFN, or a fitted estimator of `xdfn.sklearn`
    scores : bool
        Whether it ends with the scores before the loss's link, such as logits, from which PyTorch's losses train.

    Returns
    -------
    torch.nn.Sequential
        In the dtype of the model. What is trained is a copy.

    Raises
    ------
    ValueError
        A part for which PyTorch has no module, or that the model has no parameters yet.
    ModuleNotFoundError
        PyTorch is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from xdfn import DFN
    >>> to_torch(DFN(layers=[8, 3], seed=0).initialize(np.zeros((1, 4))))
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): ReLU()
      (2): Linear(in_features=8, out_features=3, bias=True)
      (3): Softmax(dim=-1)
    )
    """
    nn = need("xdfn.export", "torch.nn", "torch", "torch>=2.6")
    given = answering(model)
    frozen, modules = given.frozen, []
    trees = zip(frozen.layers.items(), frozen.network.layers, frozen.params, frozen.buffers, strict=True)
    for (name, original), layer, params, buffers in trees:
        if original.overrides_forward or type(layer).apply not in _MODULES:
            raise refusal("to_torch", name, original)
        if layer.acti_fn is not None and not _has_word(layer.acti_fn):
            raise refusal("to_torch", name, layer.acti_fn)
        arrays = {key: to_numpy(x) for key, x in (*params.items(), *buffers.items())}
        modules += _MODULES[type(layer).apply](nn, layer, arrays)
    if not scores:
        if type(frozen.loss).link not in _LINKS:
            raise refusal("to_torch", "the loss", frozen.loss, "its link is no module; scores=True leaves it out")
        if given.both_sides:
            raise ValueError(
                "to_torch: a classifier's probabilities of two classes are two columns, of which PyTorch's sigmoid "
                "gives one; scores=True gives the score of classes_[1], and to_torch(model.model_) its probability"
            )
        modules += _LINKS[type(frozen.loss).link](nn)
    n_out = next(reversed(frozen.layers.values())).n_out
    return nn.Sequential(*modules, *([nn.Flatten(0)] if given.flat and n_out == 1 else [])).eval()
