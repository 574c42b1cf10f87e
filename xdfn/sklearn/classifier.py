"""`MLPClassifier`: classes, of two or more, or several labels at once."""

from collections.abc import Mapping, Sequence
from typing import Self, cast

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted

from xdfn.backend import Array, Host, computing, namespace, to_numpy
from xdfn.sklearn.arguments import keep
from xdfn.sklearn.estimator import BaseMLP
from xdfn.sklearn.inputs import is_foreign, read_both
from xdfn.sklearn.network import loss_of
from xdfn.sklearn.rows import HostRows
from xdfn.sklearn.watching import watched

__all__: list[str] = []


class MLPClassifier(ClassifierMixin, BaseMLP):
    """scikit-learn's MLPClassifier on arrays of any library: one of two or more classes, or several labels at once.

    Parameters
    ----------
    hidden_layer_sizes, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, shuffle, tol
    random_state, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2
    epsilon, n_iter_no_change, max_fun
        As in scikit-learn: https://scikit-learn.org/stable/modules/generated/sklearn.neural_network.MLPClassifier.html
    activation : str, ActivationBase, or a list of these
        Any registered activation, for all hidden layers or for each.
    optimizer : str or OptimizerBase, optional
        Takes the place of `solver` and the learning rates, such as ``"adamw(lr='cosine(1e-3, 100)')"``.
    initializer : str or InitializerBase, optional
        Of the weights; without one they are drawn as scikit-learn draws them.
    dropout : float in [0, 1)
        After each hidden layer.
    batch_norm : bool
        After each hidden layer.
    max_norm : float, optional
        What the norm of the weights of each unit is held to.
    label_smoothing : float in [0, 1)
        For three or more classes: what the targets give to all of them.
    class_weight : "balanced" or dict, optional
        What the rows of a class count for.
    callbacks : list of str or Callback, optional
        Of xdfn, such as ``"early_stopping('val_loss')"``. Those of scikit-learn 1.9 go to `set_callbacks`.
    device : str, array or device, optional
        Where the network computes, such as ``"cupy"``, while NumPy's arrays stay on the host.

    Attributes
    ----------
    coefs_, intercepts_ : lists of arrays (n_in, n_out) and (n_out,), where the network is
    n_iter_, t_, loss_, loss_curve_, best_loss_, validation_scores_, best_validation_score_, n_layers_, n_outputs_
    out_activation_, n_features_in_, feature_names_in_, classes_
        As in scikit-learn.
    validation_loss_curve_ : list of float
        The loss of `X_val` after each epoch, if that was given.
    model_ : DFN
        The network underneath.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier((20,), learning_rate_init=0.05, tol=1e-3, random_state=0).fit(X, y)
    >>> bool(network.score(X, y) > 0.95)
    True
    """

    loss = "log_loss"

    # fmt: off
    def __init__(
        self, hidden_layer_sizes: object = (100,), activation: object = "relu", *, solver: str = "adam",
        alpha: float = 0.0001, batch_size: int | str = "auto", learning_rate: str = "constant",
        learning_rate_init: float = 0.001, power_t: float = 0.5, max_iter: int = 200, shuffle: bool = True,
        random_state: object = None, tol: float = 1e-4, verbose: bool | int = False, warm_start: bool = False,
        momentum: float = 0.9, nesterovs_momentum: bool = True, early_stopping: bool = False,
        validation_fraction: float = 0.1, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8,
        n_iter_no_change: float = 10, max_fun: int = 15000, optimizer: object = None, initializer: object = None,
        dropout: float = 0.0, batch_norm: bool = False, max_norm: float | None = None, label_smoothing: float = 0.0,
        class_weight: Mapping[object, float] | str | None = None, callbacks: Sequence[object] | None = None,
        device: object = None,
    ) -> None:
        keep(self, locals())
    # fmt: on

    label_smoothing: float
    class_weight: Mapping[object, float] | str | None

    @watched
    def fit(
        self, X: object, y: object, sample_weight: object = None, *, X_val: object = None, y_val: object = None
    ) -> Self:
        """Train; begin anew unless `warm_start` says to go on.

        Parameters
        ----------
        X : array, frame, sparse matrix or list (n, n_in)
            Trained where it is: arrays of other libraries stay there. Sparse rows become dense a few at a time.
        y : array (n,) of labels of any kind, or (n, m) of 0 and 1
        sample_weight : array (n,), optional
        X_val, y_val : like X and y, optional
            Rows whose loss is measured after each epoch.

        Raises
        ------
        ValueError
            Data or arguments that do not fit, or weights that became NaN or infinite.
        """
        return self._fit(X, y, sample_weight, incremental=False, X_val=X_val, y_val=y_val)

    @available_if(lambda estimator: estimator._check_solver())
    def partial_fit(self, X: object, y: object, sample_weight: object = None, classes: object = None) -> Self:
        """Train for one epoch more. The first call needs all classes (m,); labels (n, m) of 0 and 1 tell them."""
        if classes is None and not hasattr(self, "classes_"):
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if classes is not None:
            known = unique_labels(to_numpy(cast(Array, classes)) if is_foreign(classes) else classes)
            if not hasattr(self, "classes_"):
                several = type_of_target(y).startswith("multilabel")
                self._set_classes(y if several else known)
            elif not np.array_equal(self.classes_, known):
                raise ValueError(
                    f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {self.classes_!r}"
                )
        return self._fit(X, y, sample_weight, incremental=True)

    def _set_classes(self, y: object) -> None:
        self._label_binarizer = LabelBinarizer().fit(y)
        self.classes_ = self._label_binarizer.classes_

    def _read(self, X: object, y: object, *, incremental: bool, reset: bool) -> tuple[Array | HostRows, Host | Array]:
        rows, labels = read_both(self, X, y, reset=reset, numeric=False)
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._set_classes(labels)
            return rows, labels
        found = unique_labels(labels)
        if self.warm_start and not incremental:
            if set(found) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {self.classes_}, `y` has {found}"
                )
        elif len(np.setdiff1d(found, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {found}."
            )
        return rows, labels

    def _targets(self, y: Host | Array) -> tuple[Host | Array, Host | None]:
        rows = self._label_binarizer.transform(y)
        if self._output() == "softmax":
            return rows.argmax(axis=1).astype("int32"), None
        return rows.astype("int32"), rows.astype(bool) if rows.shape[1] == 1 else None

    def _class_weights(self, y: Host | Array) -> Host | None:
        if self.class_weight is None:
            return None
        return cast(Host, compute_sample_weight(self.class_weight, y))

    def _output(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _n_outputs(self, targets: Array) -> int:
        return len(self.classes_) if self._output() == "softmax" else int(targets.shape[1])

    def _loss(self) -> object:
        if self.label_smoothing and self._output() != "softmax":
            raise ValueError("label_smoothing is for three or more classes, one of which each row has: leave it out")
        return loss_of(self._output(), self.label_smoothing)

    def _score_of(self, y: Host | Array, predictions: Host, weight: Host | None) -> float:
        if len(self.classes_) == 1:
            right = np.ones(len(predictions), bool)
        elif self._output() == "softmax":
            right = predictions.argmax(axis=1) == y
        else:
            right = ((predictions > 0.5) == np.asarray(y)).all(axis=1)
        return cast(float, np.average(right, weights=weight))  # a tenth of the time of scikit-learn's `accuracy_score`

    def predict(self, X: object) -> Array:
        """The labels (n,) or (n, m) of the rows X (n, n_in), where X is."""
        check_is_fitted(self, "coefs_")
        p = to_numpy(self._predictions(X, "predict"))
        labels = self._label_binarizer.inverse_transform(p.ravel() if self.n_outputs_ == 1 else p)
        return self._like(labels, X)

    def predict_proba(self, X: object) -> Array:
        """The probabilities (n, m) of the classes, or of the labels, where X is."""
        return self._probabilities(X, "predict_proba")

    def predict_log_proba(self, X: object) -> Array:
        """The logarithms of `predict_proba`."""
        p = self._probabilities(X, "predict_log_proba")
        with computing(p):
            return namespace(p).log(p)

    def _probabilities(self, X: object, method: str) -> Array:
        check_is_fitted(self, "coefs_")
        p = self._predictions(X, method)
        if self.n_outputs_ > 1:
            return p
        with computing(p):
            return namespace(p).concat([1.0 - p, p], axis=1)

    def __sklearn_tags__(self) -> object:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True  # type: ignore[attr-defined]
        return tags
