"""`MLPRegressor`: one number for each row, or several."""

from collections.abc import Sequence
from typing import Self, cast

from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from xdfn.backend import Array, Host, namespace
from xdfn.nn.losses import ObjectiveBase, losses
from xdfn.sklearn.arguments import keep
from xdfn.sklearn.estimator import BaseMLP
from xdfn.sklearn.inputs import read_both
from xdfn.sklearn.network import loss_of
from xdfn.sklearn.rows import HostRows
from xdfn.sklearn.watching import watched

__all__: list[str] = []


class MLPRegressor(RegressorMixin, BaseMLP):
    """scikit-learn's MLPRegressor on arrays of any library: one number for each row, or several.

    Parameters
    ----------
    hidden_layer_sizes, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, shuffle, tol
    random_state, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2
    epsilon, n_iter_no_change, max_fun
        As in scikit-learn: https://scikit-learn.org/stable/modules/generated/sklearn.neural_network.MLPRegressor.html
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
    loss : str or ObjectiveBase
        ``"squared_error"``, ``"poisson"``, or any registered loss with one output for each number.
    callbacks : list of str or Callback, optional
        Of xdfn, such as ``"early_stopping('val_loss')"``. Those of scikit-learn 1.9 go to `set_callbacks`.
    device : str, array or device, optional
        Where the network computes, such as ``"cupy"``, while NumPy's arrays stay on the host.

    Attributes
    ----------
    coefs_, intercepts_ : lists of arrays (n_in, n_out) and (n_out,), where the network is
    n_iter_, t_, loss_, loss_curve_, best_loss_, validation_scores_, best_validation_score_, n_layers_, n_outputs_
    out_activation_, n_features_in_, feature_names_in_
        As in scikit-learn.
    validation_loss_curve_ : list of float
        The loss of `X_val` after each epoch, if that was given.
    model_ : DFN
        The network underneath.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> network = MLPRegressor(solver="lbfgs", alpha=10.0, max_iter=1000, random_state=0).fit(X, y)
    >>> bool(network.score(X, y) > 0.4)
    True
    """

    # fmt: off
    def __init__(
        self, loss: object = "squared_error", hidden_layer_sizes: object = (100,), activation: object = "relu", *,
        solver: str = "adam", alpha: float = 0.0001, batch_size: int | str = "auto", learning_rate: str = "constant",
        learning_rate_init: float = 0.001, power_t: float = 0.5, max_iter: int = 200, shuffle: bool = True,
        random_state: object = None, tol: float = 1e-4, verbose: bool | int = False, warm_start: bool = False,
        momentum: float = 0.9, nesterovs_momentum: bool = True, early_stopping: bool = False,
        validation_fraction: float = 0.1, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8,
        n_iter_no_change: float = 10, max_fun: int = 15000, optimizer: object = None, initializer: object = None,
        dropout: float = 0.0, batch_norm: bool = False, max_norm: float | None = None,
        callbacks: Sequence[object] | None = None, device: object = None,
    ) -> None:
        keep(self, locals())
    # fmt: on

    @watched
    def fit(
        self, X: object, y: object, sample_weight: object = None, *, X_val: object = None, y_val: object = None
    ) -> Self:
        """Train; begin anew unless `warm_start` says to go on.

        Parameters
        ----------
        X : array, frame, sparse matrix or list (n, n_in)
            Trained where it is: arrays of other libraries stay there. Sparse rows become dense a few at a time.
        y : array (n,) or (n, m) of numbers
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
    def partial_fit(self, X: object, y: object, sample_weight: object = None) -> Self:
        """Train for one epoch more."""
        return self._fit(X, y, sample_weight, incremental=True)

    def _read(self, X: object, y: object, *, incremental: bool, reset: bool) -> tuple[Array | HostRows, Host | Array]:
        return read_both(self, X, y, reset=reset, numeric=True)

    def _targets(self, y: Host | Array) -> tuple[Host | Array, Host | None]:
        columns = cast(Array, namespace(cast(Array, y)).reshape(y, (-1, 1)) if y.ndim == 1 else y)
        low, _ = cast(ObjectiveBase, self._loss()).domain
        if low is not None and bool(namespace(columns).any(columns < low)):
            raise ValueError(f"y must be at least {low} for loss={self.loss!r}, got values below")
        return columns, None

    def _output(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _loss(self) -> object:
        loss = losses.resolve(loss_of(self.loss, 0.0) if isinstance(self.loss, str) else self.loss)
        if loss.classifies or loss.outputs_per_target != 1:
            fitting = [c.__name__ for c in losses.classes if not c.classifies and c().outputs_per_target == 1]
            raise ValueError(
                f"loss: MLPRegressor expects one with one output for each number ({', '.join(fitting)}), got {loss}; "
                "xdfn.DFN takes any"
            )
        return loss

    def _score_of(self, y: Host | Array, predictions: Host, weight: Host | None) -> float:
        return cast(float, r2_score(y, predictions, sample_weight=weight))

    def predict(self, X: object) -> Array:
        """The numbers (n,) or (n, m) of the rows X (n, n_in), where X is."""
        check_is_fitted(self, "coefs_")
        p = self._predictions(X, "predict")
        return namespace(p).reshape(p, (-1,)) if p.shape[1] == 1 else p
