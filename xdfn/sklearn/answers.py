"""What the estimators have: the arguments, the attributes after a fit, and the answers."""

from collections.abc import Sequence
from typing import ClassVar, cast

from sklearn.base import BaseEstimator

from xdfn.backend import HOST, Array, Host, namespace, place, put, to_numpy
from xdfn.sklearn.arguments import CONSTRAINTS, STOCHASTIC
from xdfn.sklearn.inputs import is_foreign, read_inputs
from xdfn.sklearn.network import Network
from xdfn.sklearn.rows import HostRows, pieces
from xdfn.sklearn.watching import Watched

__all__: list[str] = []


class Answering(Watched, BaseEstimator):
    """The half of an estimator that is there after a fit.

    Attributes
    ----------
    model_ : Network
        The `DFN` underneath.
    coefs_, intercepts_ : lists of arrays (n_in, n_out) and (n_out,), where the network is
    """

    _parameter_constraints: ClassVar[dict[str, list[object]]] = CONSTRAINTS

    loss: object
    hidden_layer_sizes: object
    activation: object
    solver: str
    alpha: float
    batch_size: int | str
    learning_rate: str
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: object
    tol: float
    verbose: bool | int
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    optimizer: object
    initializer: object
    dropout: float
    batch_norm: bool
    max_norm: float | None
    callbacks: Sequence[object] | None
    device: object

    model_: Network
    coefs_: list[Array]
    intercepts_: list[Array]
    n_outputs_: int
    n_iter_: int
    t_: int
    loss_: float
    loss_curve_: list[float]
    best_loss_: float | None
    validation_scores_: list[float] | None
    best_validation_score_: float | None

    # -- what the two estimators add --

    def _targets(self, y: Host | Array) -> tuple[Host | Array, Host | None]:
        """The targets of the loss, and what rows are held out alike by."""
        raise NotImplementedError

    def _read(self, X: object, y: object, *, incremental: bool, reset: bool) -> tuple[Array | HostRows, Host | Array]:
        """X and y, checked, and what they tell of the classes kept."""
        raise NotImplementedError

    def _class_weights(self, y: Host | Array) -> Host | None:
        """The weights (n,) that the classes of the rows give them."""
        return None

    def _output(self) -> str:
        """scikit-learn's name of the last function: identity, exp, logistic or softmax."""
        raise NotImplementedError

    def _score_of(self, y: Host | Array, predictions: Host, weight: Host | None) -> float:
        raise NotImplementedError

    def _loss(self) -> object:
        raise NotImplementedError

    def _n_outputs(self, targets: Array) -> int:
        return 1 if targets.ndim == 1 else int(targets.shape[1])

    def _loss_scale(self) -> float:
        """scikit-learn's squared error is a mean over the outputs; its gradients, and all other losses, are sums."""
        return 1.0 / self.n_outputs_ if self.loss == "squared_error" else 1.0

    # -- answers --

    def _predictions(self, X: object, method: str) -> Array:
        """The link of the scores (n, n_outputs): an array of NumPy, or where X is. `method` is what was called."""
        like = self.coefs_[0]
        rows = read_inputs(self, X, place(like), method)
        self.model_.assign(self.coefs_, self.intercepts_)
        found = [self.model_.predict_proba(x) for x in pieces(rows, None, place(like))]
        joined = found[0] if len(found) == 1 else namespace(like).concat(found)
        where = place(cast(Array, X)) if is_foreign(X) else HOST
        return joined if place(joined) == where else put(to_numpy(joined), where)

    def _like(self, host: Host, X: object) -> Array:
        """An answer on the host as an array where X is; names stay on the host, for no other library has strings."""
        there = is_foreign(X) and host.dtype.kind in "biuf"
        return put(host, place(cast(Array, X))) if there else cast(Array, host)

    def _check_solver(self) -> bool:
        if self.solver not in STOCHASTIC and self.optimizer is None:
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    def __sklearn_tags__(self) -> object:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.array_api_support = True
        return tags
