"""What can be exported: a `DFN`, or an estimator around one."""

from typing import NamedTuple

import numpy as np

from xdfn.backend import HOST, Foreign, Host
from xdfn.inference import FrozenNetwork, freeze
from xdfn.model import DFN
from xdfn.nn.losses import BinaryCrossEntropy, CrossEntropy, ObjectiveBase

__all__: list[str] = []

# how a loss decides: by the largest of the scores, by those above 0, or not at all
DECISIONS = {
    CrossEntropy.decide: "largest",
    BinaryCrossEntropy.decide: "positive",
    ObjectiveBase.decide: "",
}


class Answering(NamedTuple):
    """A model that is to be exported.

    Attributes
    ----------
    frozen : the network with the parameters that it answers with
    classes : the labels of the classes, if there are some
    flat : whether predictions of one column are (n,)
    both_sides : whether the probabilities of a yes-or-no question are (n, 2)
    """

    frozen: FrozenNetwork
    classes: Host | None
    flat: bool
    both_sides: bool


def answering(model: object, classes: object = None) -> Answering:
    """What answers in a model, or in an estimator of `xdfn.sklearn`, whose labels are its classes.

    Raises
    ------
    ValueError
        It is neither, it is not trained, or the classes do not fit.
    """
    network, labels = model, None if classes is None else np.asarray(classes)
    is_estimator = isinstance(getattr(model, "model_", None), DFN)
    if is_estimator:
        estimator: Foreign = model
        network = estimator.model_
        estimator.model_.assign(estimator.coefs_, estimator.intercepts_)
        labels = getattr(model, "classes_", None) if labels is None else labels
    if not isinstance(network, DFN):
        raise ValueError(
            f"expected a DFN, or a fitted estimator of xdfn.sklearn, got {type(model).__name__}: {model!r:.80}"
        )
    config, memory = network._config(), network._memory
    config.require_initialized()
    like = next((x for layer in config.layers.values() for x in layer.params.values()), HOST.xp.empty(0))
    frozen, n_out = freeze(config, memory, like), config.n_out
    decision, both_sides = DECISIONS.get(type(config.loss).decide, ""), False
    if is_estimator and decision == "positive":
        both_sides = n_out == 1
        labels = labels if both_sides else None  # several labels at once are 0 or 1 each
    if labels is not None:
        check_classes(labels, {"largest": n_out, "positive": 2 if n_out == 1 else 0}.get(decision, 0))
    return Answering(frozen, labels, is_estimator or memory.flat_targets, both_sides)


def check_classes(classes: Host, expected: int) -> None:
    """Raise ValueError unless these are labels for so many classes; 0 where the model chooses no class."""
    if not expected:
        raise ValueError("classes: the model chooses none; those with cross_entropy, or binary_cross_entropy and one "
                         "output, do")  # fmt: skip
    if classes.shape != (expected,) or classes.dtype.kind not in "biufUO":
        raise ValueError(f"classes must be {expected} numbers or strings, got {classes.dtype} of shape {classes.shape}")
    if classes.dtype.kind == "O" and not all(isinstance(label, str) for label in classes.tolist()):
        raise ValueError(f"classes must be numbers or strings, got {classes.tolist()!r:.80}")
