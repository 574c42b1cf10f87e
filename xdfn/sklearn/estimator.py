"""What the two estimators have in common: `fit` and `partial_fit` by scikit-learn's rules, on the DFN underneath."""

import copy
import math
import warnings
from typing import Self, cast

import numpy as np
from numpy.random import RandomState
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from xdfn.backend import Array, Host, computing, namespace, place, real_dtype, real_name, resolve_place, to_numpy
from xdfn.nn.activations import Sigmoid, activations
from xdfn.sklearn.arguments import STOCHASTIC, activations_of, hidden_sizes
from xdfn.sklearn.inputs import read_weights, targets_there
from xdfn.sklearn.lbfgs import Objective, search
from xdfn.sklearn.network import Architecture, Network, draw_parameters
from xdfn.sklearn.rows import HostRows, dense, pieces
from xdfn.sklearn.stochastic import Given, Stochastic
from xdfn.sklearn.watching import Watch, watch
from xdfn.train.options import device_template

__all__: list[str] = []


class BaseMLP(Stochastic):
    """Base of `MLPClassifier` and `MLPRegressor`."""

    def _fit(
        self, X: object, y: object, sample_weight: object, incremental: bool, X_val: object = None, y_val: object = None
    ) -> Self:
        self._validate_params()
        sizes = hidden_sizes(self.hidden_layer_sizes)
        first = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        rows, labels = self._read(X, y, incremental=incremental, reset=first)
        given = self._given(rows, labels, read_weights(sample_weight, rows.shape[0]), X_val, y_val)
        rng = check_random_state(self.random_state)
        stochastic = self.optimizer is not None or self.solver in STOCHASTIC
        if not stochastic:
            self._check_lbfgs(given)
        if first:
            self._begin(sizes, given, rng)
        else:
            self._go_on(sizes, rng)
        self.model_.assign(self.coefs_, self.intercepts_)
        self.model_.take(self._architecture(sizes))
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        seen: dict[str, object] = {"X": X, "y": y, "metadata": metadata}
        watching = None if incremental else watch(self, seen, "epoch" if stochastic else "iteration", self.max_iter)
        if stochastic:
            self._fit_stochastic(given, rng, incremental, watching)
        else:
            self._fit_lbfgs(given, watching)
        self._publish()
        if watching is not None:
            watching.close()
        return self

    def _given(
        self, X: Array | HostRows, labels: Host | Array, weight: Host | None, X_val: object, y_val: object
    ) -> Given:
        targets, strata = self._targets(labels)
        by_class = self._class_weights(labels)
        if by_class is not None:
            weight = by_class if weight is None else weight * by_class
        where = None if self.device is None else resolve_place(self.device)
        like = device_template(cast(Array, dense(X[:1]) if hasattr(X, "toarray") else X), where)
        y = targets_there(targets, like)
        validation = None
        if (X_val is None) != (y_val is None):
            raise ValueError(f"fit expects X_val and y_val together, got {'y' if X_val is None else 'X'}_val alone")
        if X_val is not None:
            x, more = self._read(X_val, y_val, incremental=True, reset=False)
            (there,) = pieces_joined(x, like)
            validation = there, targets_there(self._targets(more)[0], like)
        return Given(X, y, strata, weight, like, validation)

    def _architecture(self, sizes: tuple[int, ...]) -> Architecture:
        return Architecture(
            sizes,
            activations_of(self.activation, len(sizes)),  # type: ignore[arg-type]
            self.n_outputs_,
            self.alpha,
            self.initializer,  # type: ignore[arg-type]
            self.dropout,
            self.batch_norm,
            self.max_norm,
        )

    def _network(self, sizes: tuple[int, ...], rng: RandomState) -> Network:
        before = rng.get_state()
        seed = int(rng.randint(2**31 - 1))  # of what scikit-learn has not
        rng.set_state(before)  # its own draws stay in order
        layers = self._architecture(sizes).layers()
        return Network(optimizer=self._rule(), loss=self._loss(), layers=layers, seed=seed)  # type: ignore[arg-type]

    def _go_on(self, sizes: tuple[int, ...], rng: RandomState) -> None:
        """Keep the parameters; where the arguments ask for another network, they go into a new one."""
        units = tuple(int(b.shape[0]) for b in self.intercepts_[:-1])
        if units != sizes:
            raise ValueError(
                f"hidden_layer_sizes={list(sizes)} differs from that of the fit before, {list(units)}, whose "
                "coefficients do not fit; call fit with warm_start=False"
            )
        made, loss = self._architecture(sizes), self._loss()
        if not hasattr(self, "model_") or not self.model_.is_made_of(made, loss):
            self.model_ = self._network(sizes, rng)

    def _begin(self, sizes: tuple[int, ...], given: Given, rng: RandomState) -> None:
        """New parameters, and the attributes of an estimator that has seen nothing."""
        n_in, targets = given.like.shape[1], given.y
        self.n_outputs_ = self._n_outputs(targets)
        self.n_iter_, self.t_, self.n_layers_ = 0, 0, len(sizes) + 2
        self.out_activation_ = self._output()
        self.model_ = self._network(sizes, rng)
        if self.initializer is None:
            one = isinstance(self.activation, str)  # which counts even where there is no hidden layer
            hidden = (self.activation,) if one else activations_of(self.activation, len(sizes))
            logistic = [isinstance(activations.resolve(activation), Sigmoid) for activation in hidden]
            factor = 2.0 if logistic and all(logistic) else 6.0
            units, dtype = (n_in, *sizes, self.n_outputs_), real_name(real_dtype(given.like))
            self.coefs_, self.intercepts_ = draw_parameters(units, factor, rng.uniform, given.like, dtype)
        else:
            with computing(given.like):
                self.model_.initialize(given.like)
            self.coefs_, self.intercepts_ = self.model_.coefs, self.model_.intercepts
        for name in (
            "_optimizer",
            "validation_loss_curve_",
            "loss_curve_",
            "best_loss_",
            "validation_scores_",
            "best_validation_score_",
        ):
            if name in vars(self):
                delattr(self, name)
        if self.optimizer is not None or self.solver in STOCHASTIC:
            stops = self.early_stopping
            self.loss_curve_: list[float] = []
            self.validation_scores_: list[float] | None = [] if stops else None
            self._no_improvement_count = 0
            self.best_loss_ = None if stops else math.inf
            self.best_validation_score_ = -math.inf if stops else None

    def _check_lbfgs(self, given: Given) -> None:
        """Raise ValueError for arguments that only training by epochs has."""
        if given.validation is not None or self.callbacks:
            raise ValueError(
                "solver='lbfgs' has no epochs: leave out X_val, y_val and callbacks, or take solver='adam'"
            )
        if self.dropout or self.batch_norm or self.max_norm is not None:
            raise ValueError(
                "solver='lbfgs' needs a loss that is the same each time, and takes no dropout, batch_norm or max_norm; "
                "solver='adam' does"
            )

    def _fit_lbfgs(self, given: Given, watching: Watch | None) -> None:
        model = self.model_
        with computing(given.like):
            model.initialize(given.like)
        layers = list(model.layers.values())
        args = given.X, given.y, given.weight, self._loss_scale(), given.like
        objective = Objective(layers, model.loss, *args)

        def report(i: int, value: float, vector: Host) -> bool:
            if self.verbose:
                print(f"Iteration {i}, loss = {value:.8f}")
            return watching is not None and watching.end(lambda: attributes(vector))

        def attributes(vector: Host) -> dict[str, object]:
            network = copy.copy(model)
            for layer, params in zip(network.layers.values(), objective.tree(vector), strict=True):
                layer.params.update(params)
            return {"model_": network, "coefs_": network.coefs, "intercepts_": network.intercepts}

        start = [layer.params for layer in layers]
        found = search(objective, start, self.max_iter, self.max_fun, self.tol, report)
        for layer, params in zip(layers, found.params, strict=True):
            layer.params.update(params)
        self.n_iter_, self.loss_ = found.n_iter, found.value
        if found.message:
            warnings.warn(
                f"lbfgs failed to converge after {found.n_iter} iteration(s): {found.message}. Increase the number of "
                f"iterations (max_iter={self.max_iter}), or scale the data as in "
                "https://scikit-learn.org/stable/modules/preprocessing.html",
                ConvergenceWarning,
                stacklevel=3,
            )
        if not all(np.isfinite(to_numpy(W)).all() for W in model.coefs):
            raise ValueError("Solver produced non-finite parameter weights. The input data may contain large values "
                             "and need to be preprocessed.")  # fmt: skip

    def _publish(self) -> None:
        self.coefs_, self.intercepts_ = self.model_.coefs, self.model_.intercepts


def pieces_joined(X: Array | HostRows, like: Array) -> list[Array]:
    """All rows as one array where the network is."""
    found = list(pieces(X, None, place(like)))
    return found if len(found) == 1 else [namespace(like).concat(found)]
