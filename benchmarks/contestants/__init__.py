"""What xdfn is compared with: the same training, from the same weights, on the same batches, as a user would write it
elsewhere, a file for each way. Its function takes a `Case`, the initial parameters and the data, and gives a function
that trains for the epochs whose orders it is given and returns the mean loss of the last.
"""

import importlib
from typing import NamedTuple


class Contestant(NamedTuple):
    module: str  # of this package
    needs: str = "numpy"
    function: str = "train"


CONTESTANTS = {
    "floor": Contestant("floor"),
    "hand-written NumPy": Contestant("numpy_by_hand"),
    "xdfn, NumPy": Contestant("xdfn_models", "numpy", "on_numpy"),
    "xdfn, PyTorch": Contestant("xdfn_models", "torch", "on_torch"),
    "xdfn, JAX": Contestant("xdfn_models", "jax", "on_jax"),
    "PyTorch eager": Contestant("torch_eager", "torch"),
    "JAX jit + scan": Contestant("jax_jit", "jax"),
    "scikit-learn": Contestant("sklearn_mlp", "sklearn"),
    "notebook's way": Contestant("notebook"),
}


def build(name, case, params, X, y):
    """The contestant's function, or None where it cannot take part."""
    contestant = CONTESTANTS[name]
    try:
        importlib.import_module(contestant.needs)
    except ImportError:
        return None
    module = importlib.import_module(f"contestants.{contestant.module}")
    return getattr(module, contestant.function)(case, params, X, y)
