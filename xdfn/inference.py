"""A trained network answers: scores and predictions, samples of layers that draw, the outputs of every layer, and how
the answer depends on the inputs.
"""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, SupportsIndex, TypeVar, overload

from xdfn.backend import Array, ArrayLike, Foreign, Host, as_array, computing, namespace, place, put, to_numpy
from xdfn.core.fields import flag, integer
from xdfn.core.keywords import known_arguments
from xdfn.nn.layers.base import LayerBase
from xdfn.nn.layers.context import Context
from xdfn.nn.losses import ObjectiveBase
from xdfn.nn.network import LayerTree, Network
from xdfn.nn.targets import one_hot
from xdfn.notebook import adapt
from xdfn.train.checks import check_inputs, check_params, check_targets, check_values, check_weights, spans
from xdfn.train.evaluation import ROWS_AT_ONCE, Evaluation
from xdfn.train.memory import Memory
from xdfn.train.metrics import Accuracy, MetricBase, resolve_metrics
from xdfn.train.metrics.base import MeanLoss
from xdfn.train.metrics.resolve import Metric, Metrics
from xdfn.train.plan import Configured, ModelConfig, averaged

A = TypeVar("A", bound=Array)  # a library's arrays: those of it are answered with such


class FrozenNetwork(NamedTuple):
    """A network with the parameters that it answers with.

    Attributes
    ----------
    layers : dict of LayerBase by name, as the model has them
    network : the same with the loss's link left to the loss
    params, buffers : for each layer, arrays by name
    dtype : that of the parameters
    seed : of layers that draw
    """

    layers: dict[str, LayerBase]
    network: Network
    params: LayerTree
    buffers: LayerTree
    dtype: object
    seed: int

    @property
    def loss(self) -> ObjectiveBase:
        return self.network.loss

    def inputs(self, X: Array) -> Array:
        return namespace(X).astype(X, self.dtype, copy=False)

    def scores(self, X: Array, sample: tuple[int, int] | None = None) -> Iterator[Array]:
        """The scores of X (n, n_in), piece by piece. To be called within `computing`.

        With the number of a sample and of its first row, layers that draw do so.
        """
        contexts = None
        if sample is not None:
            contexts = [
                Context(layer.random_key(self.seed, i, *sample), training=False) if layer.draws else None
                for i, layer in enumerate(self.network.layers)
            ]
        for start, stop in spans(X.shape[0], ROWS_AT_ONCE):
            yield self.network.infer(self.params, self.buffers, self.inputs(X[start:stop, ...]), contexts)

    def map(self, function: Callable[[Array], Array], X: Array) -> Array:
        """A function of the scores of X, such as the link of the loss."""
        with computing(X):
            pieces = [function(z) for z in self.scores(X)]
            return pieces[0] if len(pieces) == 1 else namespace(X).concat(pieces)

    def with_spread(self, X: Array) -> tuple[Array, Array]:
        """The predictions, and the standard deviations that the loss's outputs tell."""
        with computing(X):
            z = self.map(lambda z: z, X)
            return self.loss.decide(z), self.loss.spread(z)

    def sample(self, X: Array, n_samples: int) -> tuple[Array, Array]:
        """Mean and standard deviation of the predictions of a network with layers that draw."""
        xp, pieces = namespace(X), []
        with computing(X):
            for start, stop in spans(X.shape[0], ROWS_AT_ONCE):
                mean, squares = self._moments(X[start:stop, ...], n_samples, start)
                pieces.append((mean, xp.sqrt(squares / n_samples)))
            mean, spread = (x[0] if len(x) == 1 else xp.concat(x) for x in zip(*pieces, strict=True))
        return mean, spread

    def _moments(self, X: Array, n_samples: int, start: int) -> tuple[Array, Array]:
        """The mean of the samples, and the sum of their squared differences from it (Welford 1962)."""
        (mean,) = map(self.loss.link, self.scores(X, (0, start)))
        squares = namespace(mean).zeros_like(mean)
        for i in range(1, n_samples):
            for z in self.scores(X, (i, start)):
                p = self.loss.link(z)
                d = p - mean
                mean = mean + d / (i + 1)
                squares = squares + d * (p - mean)
        return mean, squares

    def evaluate(self, evaluation: Evaluation, batch_size: int) -> Array:
        """The partial sums of an evaluation. To be called within `computing`."""
        where = place(evaluation.X)
        return evaluation.run(self.network, self.params, self.buffers, where, self.dtype, batch_size)

    def activations(self, X: Array) -> dict[str, Array]:
        """The outputs (n, n_out) of each layer by name."""
        outputs = {}
        with computing(X):
            x = self.inputs(X)
            for (name, layer), p, s in zip(self.layers.items(), self.params, self.buffers, strict=True):
                x, _, _ = adapt(layer).apply(p, s, x)
                outputs[name] = x
        return outputs

    def input_gradients(self, X: Array, y: Array | None, output: int) -> Array:
        """The gradient at X of each row's loss or, without y, of the score of one output."""
        xp, caches = namespace(X), []
        layers = self.network.layers
        with computing(X):
            z = self.inputs(X)
            for layer, p, s in zip(layers, self.params, self.buffers, strict=True):
                z, cache, _ = layer.apply(p, s, z)
                caches.append(cache)
            if y is not None:
                dx = self.loss.value_and_grad(self.loss.targets(y, z), z, 1.0)[1]
            else:
                dx = one_hot(xp.full(z.shape[:1], output, dtype=xp.int32, device=place(z).device), z)
            for layer, p, cache in reversed(list(zip(layers, self.params, caches, strict=True))):
                below, _ = layer.pullback(p, cache, dx)
                assert below is not None
                dx = below
        return dx


def freeze(config: ModelConfig, memory: Memory, like: Array) -> FrozenNetwork:
    """The network of an initialised model for inputs like these, with the moving averages where there are any.

    Raises
    ------
    ValueError
        Parameters that were assigned and do not fit, or that are elsewhere.
    """
    params = check_params(config.layers, like, memory.dtype)
    if config.step_options.ema is not None:
        params = averaged(params, memory, config.layers)
    layers = dict(config.layers)
    network = Network([adapt(layer) for layer in layers.values()], config.loss)
    buffers = [layer.buffers for layer in layers.values()]
    return FrozenNetwork(layers, network, params, buffers, getattr(namespace(like), memory.dtype), memory.seed or 0)


class Predictor(Configured):
    """The half of `DFN` that answers: `predict`, `evaluate` and the views into the network."""

    loss: ObjectiveBase

    def _frozen(self, given: ArrayLike, name: str = "X") -> tuple[FrozenNetwork, Array]:
        """The network for inputs like those given, and the inputs as an array."""
        config = self._config()
        X = config.as_array(name, given)
        if config.is_assigned:
            self.initialize(X)  # which adopts the parameters
        config.require_initialized()
        check_inputs(X, config.n_in, name)
        return freeze(config, self._memory, X), X

    def _shaped(self, prediction: Array) -> Array:
        """(n, 1) as (n,) where the targets were (n,)."""
        one_column = self._memory.flat_targets and prediction.ndim == 2 and prediction.shape[1] == 1
        return namespace(prediction).reshape(prediction, (-1,)) if one_column else prediction

    # NumPy's arrays have a dtype as part of their type, which is not that of the answer
    @overload
    def predict(self, X: Host, *, samples: None = None, spread: Literal[False] = False) -> Host: ...
    @overload
    def predict(self, X: A, *, samples: None = None, spread: Literal[False] = False) -> A: ...
    @overload
    def predict(self, X: ArrayLike, *, samples: None = None, spread: Literal[False] = False) -> Array: ...
    @overload
    def predict(self, X: Host, *, samples: SupportsIndex, spread: Literal[False] = False) -> tuple[Host, Host]: ...
    @overload
    def predict(self, X: A, *, samples: SupportsIndex, spread: Literal[False] = False) -> tuple[A, A]: ...
    @overload
    def predict(
        self, X: ArrayLike, *, samples: SupportsIndex, spread: Literal[False] = False
    ) -> tuple[Array, Array]: ...
    @overload
    def predict(self, X: Host, *, samples: None = None, spread: Literal[True]) -> tuple[Host, Host]: ...
    @overload
    def predict(self, X: A, *, samples: None = None, spread: Literal[True]) -> tuple[A, A]: ...
    @overload
    def predict(self, X: ArrayLike, *, samples: None = None, spread: Literal[True]) -> tuple[Array, Array]: ...
    @known_arguments
    def predict(self, X: ArrayLike, *, samples: SupportsIndex | None = None, spread: bool = False) -> Foreign:
        """What the model takes the targets of X (n, n_in) to be.

        Parameters
        ----------
        X : array (n, n_in)
        samples : int, optional
            How often to ask the network with layers that draw, such as Dropout, drawing anew as in training (Gal and
            Ghahramani 2016, arXiv:1506.02142). The answer is then the pair of mean and standard deviation of
            `predict_proba`: how sure the model is. The draws depend on the seed and the place of a row.
        spread : bool
            For a loss whose outputs tell how far the targets scatter, such as Gaussian: the answer is then the pair of
            prediction and standard deviation.

        Returns
        -------
        array
            Class numbers (n,) for CrossEntropy; 0 or 1 for BinaryCrossEntropy, else the link of the scores, both in
            the shape of y, but (n, k m) for k quantiles. With `samples` or `spread` a pair of arrays.

        Raises
        ------
        ValueError
            The model has no parameters yet, X does not fit, or what was asked for has no spread.

        Notes
        -----
        X is not searched for NaN, which would read the device: such rows have NaN probabilities, and some class.

        Examples
        --------
        >>> import numpy as np
        >>> from xdfn import DFN
        >>> model = DFN(layers=["fc(20, 'relu', 'he_normal')", "dropout(0.5)", "fc(3, 'affine', 'he_normal')"], seed=0)
        >>> mean, spread = model.initialize(np.zeros((1, 4))).predict(np.ones((5, 4)), samples=10)
        >>> mean.shape, bool((spread > 0).all())
        ((5, 3), True)
        """
        if flag("spread", spread):
            if samples is not None:
                raise ValueError("predict takes either samples= or spread=True, got both")
            answers, inputs = self._frozen(X)
            mean, deviation = answers.with_spread(inputs)
            return self._shaped(mean), self._shaped(deviation)
        if samples is None:
            answers, inputs = self._frozen(X)
            return self._shaped(answers.map(self.loss.decide, inputs))
        n_samples = integer("samples", samples, 2)
        if not any(layer.draws for layer in self._config().layers.values()):
            raise ValueError("samples: no layer draws, all samples would be the same; Dropout and GaussianNoise do")
        answers, inputs = self._frozen(X)
        mean, deviation = answers.sample(inputs, n_samples)
        return self._shaped(mean), self._shaped(deviation)

    @overload
    def predict_proba(self, X: Host) -> Host: ...
    @overload
    def predict_proba(self, X: A) -> A: ...
    @overload
    def predict_proba(self, X: ArrayLike) -> Array: ...
    @known_arguments
    def predict_proba(self, X: ArrayLike) -> Foreign:
        """The link of the scores: probabilities (n, n_out) for CrossEntropy, in the shape of y for BinaryCrossEntropy;
        what `predict` gives for the others.
        """
        answers, inputs = self._frozen(X)
        return self._shaped(answers.map(self.loss.link, inputs))

    @overload
    def evaluate(
        self,
        X_test: ArrayLike,
        y_test: ArrayLike,
        batch_size: SupportsIndex = 128,
        *,
        metric: Metric | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float: ...
    @overload
    def evaluate(
        self,
        X_test: ArrayLike,
        y_test: ArrayLike,
        batch_size: SupportsIndex = 128,
        *,
        metrics: Metrics,
        sample_weight: ArrayLike | None = None,
    ) -> dict[str, float]: ...
    @known_arguments
    def evaluate(
        self,
        X_test: ArrayLike,
        y_test: ArrayLike,
        batch_size: SupportsIndex = 128,
        *,
        metric: Metric | None = None,
        metrics: Metrics = None,
        sample_weight: ArrayLike | None = None,
    ) -> float | dict[str, float]:
        """The share of right predictions for CrossEntropy and BinaryCrossEntropy, the mean loss otherwise.

        Several outputs of BinaryCrossEntropy are as many predictions a row.
        Reads the device twice: to look for NaN, infinity and targets out of range, and for the result.

        Parameters
        ----------
        X_test, y_test : array (n, n_in), array (n,) or (n, n_out), or frames or lists
        batch_size : int
            Rows that go through the network together.
        metric : str, MetricBase or function(y_true, y_pred), optional
            What to measure instead, such as ``"f1"``; ``"loss"`` is the mean loss. See `FunctionMetric`.
        metrics : list or dict of these, optional
            Several at once; the result is a dict then.
        sample_weight : array (n,), optional

        Examples
        --------
        >>> import numpy as np
        >>> from xdfn import DFN
        >>> X, y = np.eye(2), np.asarray([0, 1])
        >>> model = DFN(layers=[2], optimizer="sgd(lr=1)", seed=0).fit(X, y, 20, verbose=None)
        >>> model.evaluate(X, y, metrics=["accuracy", "f1"])
        {'accuracy': 1.0, 'f1': 1.0}
        """
        answers, X = self._frozen(X_test, "X_test")
        y = as_array("y", y_test, lambda: place(X))
        self._check_targets(X, y)
        measured = self._measured(metric, metrics)
        weight = None
        if sample_weight is not None:
            weight = put(check_weights("sample_weight", sample_weight, X.shape[0]), place(X))
        evaluation, rows = Evaluation(X, y, weight, self.loss, measured), integer("batch_size", batch_size)
        with computing(X):
            values = evaluation.finalize(to_numpy(answers.evaluate(evaluation, rows)))
        return values if metrics is not None else next(iter(values.values()))

    def _measured(self, metric: Metric | None, metrics: Metrics) -> dict[str, MetricBase]:
        """What `evaluate` is to measure, by name."""
        if metric is not None and metrics is not None:
            raise ValueError("evaluate expects either metric=, for a number, or metrics=, for a dict, got both")
        if isinstance(metric, (list, tuple, dict)):
            raise ValueError("metric is one; for several, evaluate takes metrics=[...], and gives a dict")
        given = metrics if metric is None else {"metric": metric}
        if given is None:
            return {"accuracy": Accuracy()} if self.loss.classifies else {"loss": MeanLoss()}
        measured = resolve_metrics(given, MeanLoss())
        if not measured:
            raise ValueError("metrics must name at least one metric, got none")
        for one in measured.values():
            one.check(self.loss, self._config().n_out)
        return measured

    def _check_targets(self, X: Array, y: Array) -> None:
        n_out = self._config().n_out
        check_targets(y, X, self.loss, n_out)
        check_values(X, y, self.loss, n_out, dtype=self._memory.dtype)

    def activations(self, X: ArrayLike) -> dict[str, Array]:
        """The outputs (n, n_out) of each layer by name, at inference; those of the last are what it says they are.

        Examples
        --------
        >>> import numpy as np
        >>> from xdfn import DFN
        >>> model = DFN(8, 3).initialize(np.zeros((1, 4)))
        >>> {name: a.shape for name, a in model.activations(np.zeros((5, 4))).items()}
        {'FC1': (5, 8), 'FC2': (5, 3)}
        """
        answers, inputs = self._frozen(X)
        return answers.activations(inputs)

    def input_gradients(self, X: ArrayLike, y: ArrayLike | None = None, *, output: int | None = None) -> Array:
        """How the network answers to its inputs X (n, n_in), at inference: an array like X.

        Parameters
        ----------
        X : array (n, n_in)
        y : array (n,) or (n, n_out), optional
            Targets; the result is then the gradient of each row's loss.
        output : int, optional
            Number of an output; the result is then the gradient of its score, before the loss's link. Not needed
            where there is but one.

        Examples
        --------
        >>> import numpy as np
        >>> from xdfn import DFN
        >>> model = DFN(layers=["fc(1, 'affine', 'constant(3)')"], loss="squared_error").initialize(np.zeros((1, 2)))
        >>> model.input_gradients(np.zeros((1, 2)))
        array([[3., 3.]])
        """
        (answers, inputs), n_out = self._frozen(X), self._config().n_out
        targets = None if y is None else as_array("y", y, lambda: place(inputs))
        if targets is not None and output is None:
            self._check_targets(inputs, targets)
        elif y is not None or (output is None and n_out > 1):
            raise ValueError(f"input_gradients expects either y or output=, one of the {n_out} outputs")
        column = integer("output", output or 0, 0)
        if column >= n_out:
            raise ValueError(f"output must be below {n_out}, the number of outputs, got {column}")
        return answers.input_gradients(inputs, targets, column)
