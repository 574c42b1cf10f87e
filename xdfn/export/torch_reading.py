"""PyTorch's `nn.Sequential`, or the state dict of one, as a model."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from xdfn.backend import Foreign
from xdfn.core.optional import need
from xdfn.core.registry import Spec
from xdfn.model import DFN
from xdfn.nn.activations import (
    ELU,
    GELU,
    SELU,
    ActivationBase,
    LeakyReLU,
    Mish,
    ReLU,
    Sigmoid,
    SiLU,
    SoftPlus,
    Softsign,
    Tanh,
    activations,
)
from xdfn.nn.layers.base import LayerBase
from xdfn.nn.layers.dense import FullyConnected
from xdfn.nn.layers.noise import Dropout
from xdfn.nn.layers.normalization import BatchNorm, LayerNorm
from xdfn.nn.layers.prelu import PReLU
from xdfn.nn.layers.softmax import Softmax
from xdfn.nn.losses import BinaryCrossEntropy, CrossEntropy, ObjectiveBase

__all__ = ["from_torch"]

Module = Foreign  # of PyTorch, whose types are known only where it is installed


class _Read(NamedTuple):
    """A layer that was read, with the arrays of it by name."""

    layer: LayerBase
    arrays: dict[str, Foreign]


def from_torch(
    network: object, *, loss: Spec[ObjectiveBase] | None = None, activation: Spec[ActivationBase] | None = None
) -> DFN:
    """A model that answers as an ``nn.Sequential`` does, with copies of its weights, in its dtype and where they are.

    Parameters
    ----------
    network : torch.nn.Sequential, or a state dict of one
    loss : str or ObjectiveBase, optional
        Of the model. Without it the one whose link the network ends in: CrossEntropy for `Softmax`,
        BinaryCrossEntropy for `Sigmoid`, else SquaredError. With ``"cross_entropy"`` for a network that ends in scores
        `predict_proba` gives their softmax.
    activation : str or ActivationBase, optional
        For a state dict, which does not say it: that of all layers but the last.

    Returns
    -------
    DFN
        On PyTorch; ``.to_numpy()`` moves it.

    Raises
    ------
    ValueError
        A module that xdfn has no layer for, or that stands where it has none.
    ModuleNotFoundError
        PyTorch is not installed.

    Notes
    -----
    Activations belong to layers here: one that follows anything but `Linear` is an error. A `Linear` without a bias
    becomes a layer with a bias of zeros, and a PReLU of one slope one with equal slopes, which training moves apart.

    Examples
    --------
    >>> import torch
    >>> network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    >>> model = from_torch(network, loss="cross_entropy")
    >>> model.predict_proba(torch.ones((5, 4))).shape
    torch.Size([5, 3])
    """
    nn = need("xdfn.export", "torch.nn", "torch", "torch>=2.6")
    if isinstance(network, nn.Sequential):
        if activation is not None:
            raise ValueError("activation is for a state dict; an nn.Sequential has its own")
        read, flat = _read_modules(nn, network), _ends_flat(nn, network)
    elif isinstance(network, Mapping):
        read, flat = _read_state(network, activation), False
    else:
        raise ValueError(f"from_torch expects an nn.Sequential or a state dict, got {type(network).__name__}")
    arrays = [x for one in read for x in one.arrays.values()]
    if not arrays:
        raise ValueError("from_torch expects a network with parameters, got none")
    like = arrays[0]
    if any(x.dtype != like.dtype for x in arrays) or str(like.dtype) not in ("torch.float32", "torch.float64"):
        raise ValueError(
            f"from_torch expects parameters in float32 or in float64, got {sorted({str(x.dtype) for x in arrays})}; "
            "network.float() makes them so"
        )
    last = read[-1].layer.output_function
    ends: dict[object, str] = {
        CrossEntropy.link_function: "cross_entropy",
        BinaryCrossEntropy.link_function: "binary_cross_entropy",
    }
    by_end = "squared_error" if last is None else ends.get(last, "squared_error")
    model = DFN(layers=[one.layer for one in read], loss=by_end if loss is None else loss)
    for layer, one in zip(model.layers.values(), read, strict=True):
        values = {name: x.detach().clone() for name, x in one.arrays.items()}
        layer.buffers = {name: values.pop(name) for name in ("mean", "var") if name in values}
        layer.params = values
    n_in = next(width for one in read if (width := _n_in(one)) is not None)
    model.initialize(like.new_zeros((1, n_in)).detach())
    model._memory.flat_targets = flat
    return model


def _n_in(one: _Read) -> int | None:
    x = next(iter(one.arrays.values()), None)
    return None if x is None else int(x.shape[0] if isinstance(one.layer, FullyConnected) else x.shape[1])


def _flattened(nn: Foreign, network: Module) -> Iterator[tuple[str, Module]]:
    """The modules in a row, by their names, without those that do nothing."""
    if type(network).forward is not nn.Sequential.forward:
        raise ValueError(f"from_torch: {type(network).__name__} is a Sequential with a forward of its own")
    for name, module in network.named_children():
        if module._forward_hooks or module._forward_pre_hooks:
            raise ValueError(f"from_torch: {name}, {module}, has hooks, which a layer of xdfn has not")
        if isinstance(module, nn.Sequential):
            yield from ((f"{name}.{inner}", of) for inner, of in _flattened(nn, module))
        elif type(module) not in (nn.Identity, nn.Flatten):
            yield name, module
        elif type(module) is nn.Flatten and module.start_dim not in (0, 1):
            raise ValueError(f"from_torch has no layer for {name}, {module}")


def _ends_flat(nn: Foreign, network: Module) -> bool:
    *before, last = network.modules()
    if any(type(module) is nn.Flatten and module.start_dim == 0 for module in before):
        raise ValueError("from_torch: Flatten(0) makes one row of all rows; it can be the last module alone")
    return type(last) is nn.Flatten and last.start_dim == 0


def _read_modules(nn: Foreign, network: Module) -> list[_Read]:
    read: list[_Read] = []
    after_linear = False
    for name, module in _flattened(nn, network):
        activation = _activation(nn, name, module)
        if activation is None:
            read.append(_layer(nn, name, module, read))
        elif after_linear:
            layer = read[-1].layer
            assert isinstance(layer, FullyConnected)
            layer.acti_fn = activation
        else:
            raise ValueError(
                f"from_torch: {name}, {module}, follows no Linear; in xdfn an activation belongs to FullyConnected. "
                "For a BatchNorm1d between the two, torch.nn.utils.fusion.fuse_linear_bn_eval makes one Linear of it"
            )
        after_linear = type(module) is nn.Linear
    return read


def _activation(nn: Foreign, name: str, module: Module) -> ActivationBase | None:
    """The activation that a module is; None for a module that is none."""
    kind = type(module)
    if kind is nn.GELU and module.approximate != "tanh":
        raise ValueError(f"from_torch: {name}, {module}, is the exact GELU; xdfn's is GELU(approximate='tanh')")
    if kind is nn.Softplus and (module.beta != 1 or module.threshold < 20):
        raise ValueError(f"from_torch: {name}, {module}; xdfn's SoftPlus has beta=1, and no threshold below 20")
    made: dict[object, Callable[[], ActivationBase]] = {
        nn.ELU: lambda: ELU(module.alpha),
        nn.GELU: GELU,
        nn.LeakyReLU: lambda: LeakyReLU(module.negative_slope),
        nn.Mish: Mish,
        nn.ReLU: ReLU,
        nn.SELU: SELU,
        nn.Sigmoid: Sigmoid,
        nn.SiLU: SiLU,
        nn.Softplus: SoftPlus,
        nn.Softsign: Softsign,
        nn.Tanh: Tanh,
    }
    return made[kind]() if kind in made else None


def _layer(nn: Foreign, name: str, module: Module, before: list[_Read]) -> _Read:
    kind = type(module)
    if kind is nn.Linear:
        return _linear(module.weight, module.bias)
    if kind is nn.Dropout:
        return _Read(Dropout(module.p), {})
    if kind is nn.Softmax and module.dim in (-1, 1):
        return _Read(Softmax(), {})
    if kind is nn.BatchNorm1d and module.track_running_stats and module.momentum is not None:
        layer = BatchNorm(1 - module.momentum, module.eps)
        return _Read(layer, _scaled(module.running_mean, module.running_var, module.weight, module.bias))
    if kind is nn.LayerNorm and len(module.normalized_shape) == 1:
        if module.weight is None:
            raise ValueError(f"from_torch: {name}, {module}: LayerNorm of xdfn has a weight; elementwise_affine=True")
        zeros = module.weight.new_zeros(module.weight.shape)
        bias = zeros if module.bias is None else module.bias
        return _Read(LayerNorm(module.eps), {"gamma": module.weight[None], "beta": bias[None]})
    if kind is nn.PReLU:
        widths = [x.shape[-1] for one in before for x in one.arrays.values()]
        n = widths[-1] if widths else module.weight.shape[0]
        return _Read(PReLU(), {"alpha": module.weight.expand(n)[None]})
    raise ValueError(
        f"from_torch has no layer for {name}, {module}; it reads Linear and its activations, Dropout, Softmax, "
        "BatchNorm1d with running statistics, LayerNorm and PReLU"
    )


def _linear(weight: Foreign, bias: Foreign, activation: ActivationBase | None = None) -> _Read:
    layer = FullyConnected(weight.shape[0], "affine" if activation is None else activation)
    b = weight.new_zeros(weight.shape[0]) if bias is None else bias
    return _Read(layer, {"W": weight.T, "b": b[None]})


def _scaled(mean: Foreign, var: Foreign, weight: Foreign, bias: Foreign) -> dict[str, Foreign]:
    """The arrays of BatchNorm."""
    gamma = mean.new_ones(mean.shape) if weight is None else weight
    beta = mean.new_zeros(mean.shape) if bias is None else bias
    return {"gamma": gamma[None], "beta": beta[None], "mean": mean[None], "var": var[None]}


def _read_state(state: Mapping[str, Foreign], activation: Spec[ActivationBase] | None) -> list[_Read]:
    groups: dict[str, dict[str, Foreign]] = {}
    for name, value in state.items():
        prefix, _, of = name.rpartition(".")
        groups.setdefault(prefix, {})[of] = value
    linear = [prefix for prefix, of in groups.items() if "weight" in of and of["weight"].ndim == 2]
    if len(linear) > 1 and activation is None:
        raise ValueError("from_torch: a state dict does not say the activations; activation='relu' does")
    hidden = activations.resolve("affine" if activation is None else activation)
    read = []
    for prefix, given in groups.items():
        names = given.keys() - {"num_batches_tracked"}
        if prefix in linear and names <= {"weight", "bias"}:
            read.append(_linear(given["weight"], given.get("bias"), None if prefix == linear[-1] else hidden))
        else:
            raise ValueError(
                f"from_torch reads state dicts of Linear layers, with weight (n_out, n_in) and bias, got {prefix!r} "
                f"with { {name: tuple(given[name].shape) for name in sorted(names)} }; give the nn.Sequential itself"
            )
    for above, below in itertools.pairwise(read):
        if below.arrays["W"].shape[0] != above.arrays["W"].shape[1]:
            raise ValueError("from_torch: the layers of the state dict do not follow each other; give an nn.Sequential")
    return read
