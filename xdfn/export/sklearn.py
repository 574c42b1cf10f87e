"""Dense networks as scikit-learn's MLPClassifier and MLPRegressor, or as their `coefs_` and `intercepts_`, and back."""

from collections.abc import Callable, Sequence

import numpy as np

from xdfn.backend import ArrayLike, Foreign, Host, as_array, namespace, to_numpy
from xdfn.core.optional import need
from xdfn.core.part import Part
from xdfn.core.registry import Spec
from xdfn.export.formats import HAS_WORD, refusal
from xdfn.export.models import DECISIONS, Answering, answering
from xdfn.model import DFN
from xdfn.nn.activations import ActivationBase, Affine, ReLU, Sigmoid, Tanh
from xdfn.nn.layers.base import LayerBase
from xdfn.nn.layers.dense import FullyConnected
from xdfn.nn.layers.noise import Dropout, GaussianNoise
from xdfn.nn.layers.softmax import Identity
from xdfn.nn.losses import BinaryCrossEntropy, CrossEntropy, ObjectiveBase, Poisson

__all__ = ["from_coefs", "from_sklearn", "to_coefs", "to_sklearn"]

_ACTIVATIONS: dict[Callable[..., object], str] = {
    Affine.forward: "identity",
    ReLU.forward: "relu",
    Sigmoid.forward: "logistic",
    Tanh.forward: "tanh",
}
_NOTHING: set[Callable[..., object]] = {Dropout.apply, GaussianNoise.apply, Identity.apply}  # at inference
_LINKS: set[Callable[..., object]] = {
    CrossEntropy.link,
    BinaryCrossEntropy.link,
    Poisson.link,
    ObjectiveBase.link,
}
_LOSSES = {"softmax": "cross_entropy", "logistic": "binary_cross_entropy", "exp": "poisson(deviance=True)",
           "identity": "squared_error"}  # fmt: skip


def _has_coefs(part: Part) -> bool:
    if isinstance(part, LayerBase):
        return type(part).apply in {FullyConnected.apply} | _NOTHING and not part.overrides_forward
    return True


def _has_word(part: Part) -> bool:
    if isinstance(part, LayerBase):
        return _has_coefs(part) and (part.acti_fn is None or _has_word(part.acti_fn))
    if isinstance(part, ActivationBase):
        plain = not isinstance(part, Affine) or (part.slope, part.intercept) == (1, 0)
        return type(part).forward in _ACTIVATIONS and plain
    return isinstance(part, ObjectiveBase) and type(part).link in _LINKS


HAS_WORD["to_sklearn"], HAS_WORD["to_coefs"] = _has_word, _has_coefs


def to_coefs(model: object) -> tuple[list[Host], list[Host]]:
    """The weights and biases of a dense network in the form of scikit-learn's ``coefs_`` and ``intercepts_``.

    Parameters
    ----------
    model : DFN, or a fitted estimator of `xdfn.sklearn`

    Returns
    -------
    coefs, intercepts : lists of arrays (n_in, n_out) and (n_out,), of NumPy
        Copies, of each layer. They do not tell its activation.

    Raises
    ------
    ValueError
        A layer that is neither FullyConnected nor nothing at inference, or that the model has no parameters yet.

    Examples
    --------
    >>> import numpy as np
    >>> from xdfn import DFN
    >>> coefs, intercepts = to_coefs(DFN(layers=[8, 3], seed=0).initialize(np.zeros((1, 4))))
    >>> [W.shape for W in coefs], [b.shape for b in intercepts]
    ([(4, 8), (8, 3)], [(8,), (3,)])
    """
    return _coefs(answering(model), "to_coefs")


def _coefs(given: Answering, format_name: str) -> tuple[list[Host], list[Host]]:
    coefs, intercepts, frozen = [], [], given.frozen
    for (name, original), layer, params in zip(
        frozen.layers.items(), frozen.network.layers, frozen.params, strict=True
    ):
        if original.overrides_forward or not _has_coefs(layer):
            raise refusal(format_name, name, original)
        if isinstance(layer, FullyConnected):
            coefs.append(to_numpy(params["W"]).copy())
            intercepts.append(to_numpy(params["b"])[0].copy())
    return coefs, intercepts


def from_coefs(
    coefs: Sequence[ArrayLike],
    intercepts: Sequence[ArrayLike],
    *,
    activation: Spec[ActivationBase] = "relu",
    loss: Spec[ObjectiveBase] = "cross_entropy",
) -> DFN:
    """A model of dense layers with these weights and biases; the last layer is affine.

    Parameters
    ----------
    coefs, intercepts : sequences of arrays (n_in, n_out) and (n_out,)
        As `coefs_` and `intercepts_` of scikit-learn's MLPs. They are copied; the model is where they are.
    activation : str or ActivationBase
        Of all layers but the last.
    loss : str or ObjectiveBase

    Raises
    ------
    ValueError
        The arrays do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> model = from_coefs([np.eye(2), np.ones((2, 1))], [np.zeros(2), np.ones(1)], loss="squared_error")
    >>> model.predict(np.asarray([[1.0, 2.0], [-1.0, 3.0]])).tolist()
    [[4.0], [4.0]]
    """
    if len(coefs) != len(intercepts) or not coefs:
        raise ValueError(
            f"coefs and intercepts must have an array for each layer, got {len(coefs)} and {len(intercepts)}"
        )
    weights = [as_array(f"coefs[{i}]", W) for i, W in enumerate(coefs)]
    biases = [as_array(f"intercepts[{i}]", b) for i, b in enumerate(intercepts)]
    for i, (W, b) in enumerate(zip(weights, biases, strict=True)):
        n_in = weights[i - 1].shape[-1] if i else W.shape[0]
        if W.ndim != 2 or W.shape[0] != n_in or b.shape != (W.shape[1],):
            expected = f"coefs[{i}] must be ({n_in}, n_out), intercepts[{i}] (n_out,)"
            raise ValueError(f"{expected}, got {tuple(W.shape)} and {tuple(b.shape)}")
    *hidden, last = weights
    units = [FullyConnected(W.shape[1], activation) for W in hidden]
    model = DFN(layers=[*units, FullyConnected(last.shape[1], "affine")], loss=loss)
    for layer, W, b in zip(model.layers.values(), weights, biases, strict=True):
        layer.params = {"W": namespace(W).asarray(W, copy=True), "b": namespace(b).reshape(b, (1, -1), copy=True)}
    return model.initialize(weights[0].mT)  # rows of as many features


def to_sklearn(model: object, *, classes: object = None) -> Foreign:
    """The model as a fitted MLPClassifier or MLPRegressor of scikit-learn, which answers and can be fitted further.

    Parameters
    ----------
    model : DFN, or a fitted estimator of `xdfn.sklearn`
    classes : array (m,) of numbers or strings, optional
        The labels that stand for the class numbers 0, 1, ...

    Returns
    -------
    sklearn.neural_network.MLPClassifier, where the loss chooses a class, else MLPRegressor
        Copies of the weights are its `coefs_` and `intercepts_`. Two classes of CrossEntropy have two scores here and
        one there, their difference.

    Raises
    ------
    ValueError
        A layer that is not dense, hidden activations that scikit-learn has not or that differ from layer to layer, a
        last layer that is not affine, a link that it has not, or that the model has no parameters yet.
    ModuleNotFoundError
        scikit-learn is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from xdfn import DFN
    >>> to_sklearn(DFN(layers=[8, 3], seed=0).initialize(np.zeros((1, 4))))
    MLPClassifier(hidden_layer_sizes=(8,))
    """
    neural = need("xdfn.export", "sklearn.neural_network", "sklearn", "scikit-learn>=1.6")
    given = answering(model, classes)
    coefs, intercepts = _coefs(given, "to_sklearn")
    activation, loss = _activation(given), given.frozen.loss
    if not _has_word(loss) or type(loss).decide not in DECISIONS:
        raise refusal("to_sklearn", "the loss", loss)
    arguments: dict[str, object] = {
        "hidden_layer_sizes": tuple(W.shape[1] for W in coefs[:-1]),
        "activation": activation,
        "random_state": 0,  # so that the global generator stays as it is
    }
    X = np.zeros((2, coefs[0].shape[0]), coefs[0].dtype)
    if loss.classifies:
        if type(loss).link is CrossEntropy.link and len(intercepts[-1]) == 2:
            coefs[-1], intercepts[-1] = coefs[-1][:, 1:] - coefs[-1][:, :1], intercepts[-1][1:] - intercepts[-1][:1]
        estimator = neural.MLPClassifier(**arguments)
        labels = _labels(given, len(intercepts[-1]))
        several = len(intercepts[-1]) > 1 and type(loss).link is BinaryCrossEntropy.link
        y = np.stack([0 * labels, 0 * labels + 1]) if several else labels[:2]
        estimator.partial_fit(X, y, classes=labels)
    else:
        if type(loss).link is Poisson.link:
            if "loss" not in neural.MLPRegressor().get_params():
                raise refusal("to_sklearn", "the loss", loss, "scikit-learn has it since 1.7")
            arguments["loss"] = "poisson"
        estimator = neural.MLPRegressor(**arguments)
        m = len(intercepts[-1])
        estimator.partial_fit(X, np.zeros((2, m) if m > 1 else 2, X.dtype))
    _put(estimator, coefs, intercepts)
    return estimator


def _labels(given: Answering, n_out: int) -> Host:
    """The labels of the classes, or the numbers of several questions."""
    labels = np.arange(max(n_out, 2)) if given.classes is None else given.classes
    if not np.array_equal(np.sort(labels), labels):
        raise ValueError(f"to_sklearn: classes must be in ascending order, as scikit-learn has them, got {labels}")
    return labels


def _activation(given: Answering) -> str:
    """The hidden activation, after a look at all of them and at the last layer."""
    dense = [(name, layer) for name, layer in zip(given.frozen.layers, given.frozen.network.layers, strict=True)
             if isinstance(layer, FullyConnected)]  # fmt: skip
    for name, layer in dense:
        if not _has_word(layer.acti_fn):
            raise refusal("to_sklearn", name, layer.acti_fn)
    *hidden, (last, output) = [(name, layer.acti_fn) for name, layer in dense]
    if _ACTIVATIONS[type(output).forward] != "identity":
        raise refusal("to_sklearn", last, output, "its last layer is affine")
    names = {_ACTIVATIONS[type(acti_fn).forward] for _, acti_fn in hidden}
    if len(names) > 1:
        name, acti_fn = next(pair for pair in hidden if pair[1] != hidden[0][1])
        raise refusal("to_sklearn", name, acti_fn, "all its hidden layers have one activation")
    return names.pop() if names else "relu"


def _put(estimator: Foreign, coefs: list[Host], intercepts: list[Host]) -> None:
    """Give an estimator that has seen one batch these weights, and let it forget the batch."""
    estimator.coefs_, estimator.intercepts_ = coefs, intercepts
    estimator.random_state, estimator.t_, estimator.n_iter_ = None, 0, 0
    estimator.loss_, estimator.best_loss_ = np.nan, np.inf
    estimator.loss_curve_.clear()
    del estimator._optimizer  # with its memory; the next partial_fit makes a new one


def from_sklearn(estimator: Foreign) -> DFN:
    """A model that answers as a fitted MLPClassifier or MLPRegressor of scikit-learn.

    Parameters
    ----------
    estimator : sklearn.neural_network.MLPClassifier or MLPRegressor, fitted

    Returns
    -------
    DFN
        On NumPy. It predicts class numbers, with ``estimator.classes_[number]`` as the labels, and for two classes has
        one output, the probability of the second.

    Raises
    ------
    ValueError
        It is no fitted MLP.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn import neural_network as neural
    >>> X, y = np.eye(3), np.asarray([1.0, 2.0, 3.0])
    >>> estimator = neural.MLPRegressor(hidden_layer_sizes=(4,), solver="lbfgs", random_state=0).fit(X, y)
    >>> bool(np.allclose(from_sklearn(estimator).predict(X), estimator.predict(X)))
    True
    """
    missing = [
        name for name in ("coefs_", "intercepts_", "activation", "out_activation_") if not hasattr(estimator, name)
    ]
    if missing:
        raise ValueError(
            f"from_sklearn expects a fitted MLPClassifier or MLPRegressor, got {type(estimator).__name__} without "
            f"{missing[0]}"
        )
    loss = _LOSSES[estimator.out_activation_]
    model = from_coefs(estimator.coefs_, estimator.intercepts_, activation=estimator.activation, loss=loss)
    model._memory.flat_targets = estimator.n_outputs_ == 1
    return model
