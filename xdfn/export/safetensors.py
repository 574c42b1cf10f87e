"""The parameters of a model alone, by their names, as a safetensors file."""

import importlib
import os

import numpy as np

from xdfn.backend import Foreign, put, to_numpy
from xdfn.core.optional import need
from xdfn.core.part import Part
from xdfn.core.writer import write_whole
from xdfn.export.formats import HAS_WORD
from xdfn.export.models import answering
from xdfn.model import DFN
from xdfn.nn.layers.base import LayerBase

__all__ = ["export_safetensors", "import_safetensors"]


def _has_word(part: Part) -> bool:
    return True  # a parameter is an array, whatever a layer does with it


HAS_WORD["export_safetensors"] = _has_word


def export_safetensors(model: object, path: str | os.PathLike[str]) -> None:
    """Write the parameters of a model, and its running statistics, to a safetensors file, as ``FC1.W`` and the like.

    They are those that the model answers with: the moving averages, if it keeps some. The file does not tell the
    layers. ``model.save("model.safetensors")`` writes all of a model.

    Parameters
    ----------
    model : DFN, or a fitted estimator of `xdfn.sklearn`
    path : str or path

    Raises
    ------
    ValueError
        The model has no parameters yet.
    ModuleNotFoundError
        The package safetensors is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from safetensors.numpy import load_file
    >>> from xdfn import DFN
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_safetensors(DFN(layers=[8, 3], seed=0).initialize(np.eye(4)), f"{folder}/net.safetensors")
    ...     sorted((name, x.shape) for name, x in load_file(f"{folder}/net.safetensors").items())
    [('FC1.W', (4, 8)), ('FC1.b', (1, 8)), ('FC2.W', (8, 3)), ('FC2.b', (1, 3))]
    """
    of_numpy, frozen = (
        need("xdfn.export", "safetensors.numpy", "safetensors", "safetensors>=0.4.3"),
        answering(model).frozen,
    )
    trees = zip(frozen.layers, frozen.params, frozen.buffers, strict=True)
    arrays = {
        f"{layer}.{name}": np.ascontiguousarray(to_numpy(x))
        for layer, params, buffers in trees
        for name, x in (*params.items(), *buffers.items())
    }
    write_whole(path, lambda file: file.write(of_numpy.save(arrays)))


def import_safetensors(path: str | os.PathLike[str], model: DFN) -> DFN:
    """Give a model the parameters that `export_safetensors` wrote. Gives the model.

    Parameters
    ----------
    path : str or path
    model : DFN
        With parameters, which `initialize(X)` makes. It keeps its library, its device and its dtype.

    Raises
    ------
    ValueError
        The file has other names or shapes than the model; the model stays as it was.
    ModuleNotFoundError
        The package safetensors is not installed.
    """
    of_numpy = need("xdfn.export", "safetensors.numpy", "safetensors", "safetensors>=0.4.3")
    answering(model)  # which says what is missing
    error = importlib.import_module("safetensors").SafetensorError
    try:
        arrays = of_numpy.load_file(os.fspath(path))
    except error as problem:
        raise ValueError(f"{os.fspath(path)!r} is no safetensors file ({problem})") from None
    shapes = {name: tuple(x.shape) for name, x in _named(model).items()}
    given = {name: tuple(x.shape) for name, x in arrays.items()}
    if any(name.startswith("params/") for name in given):
        raise ValueError(f"{os.fspath(path)!r} is a whole model, as DFN.save writes it: DFN.load reads it")
    for name in sorted(shapes.keys() | given.keys()):
        if shapes.get(name) != given.get(name):
            raise ValueError(
                f"{os.fspath(path)!r}: {name} has the shape {given.get(name, 'of nothing')} in the file and "
                f"{shapes.get(name, 'of nothing')} in the model"
            )
    where = model._config().place
    dtype = getattr(where.xp, model._memory.dtype)
    for name, layer in model.layers.items():
        layer.params = {key: put(arrays[f"{name}.{key}"], where, dtype) for key in layer.params}
        layer.buffers = {key: put(arrays[f"{name}.{key}"], where, dtype) for key in layer.buffers}
    return model


def _named(model: DFN) -> dict[str, Foreign]:
    layers: dict[str, LayerBase] = model.layers
    return {
        f"{name}.{key}": x
        for name, layer in layers.items()
        for key, x in (*layer.params.items(), *layer.buffers.items())
    }
