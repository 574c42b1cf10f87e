"""And this is the network that one uses: `DFN` owns layers and a training state, and has the notebook's methods. It is
the only thing here that changes; all below it are values and functions.
"""

import copy
import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

from xdfn import checkpoint, inspection, random
from xdfn._backend import (
    Array,
    computing,
    move,
    namespace,
    place,
    put,
    real_dtype,
    real_name,
    require_array,
    require_place,
    resolve_place,
    same_place,
    to_numpy,
)
from xdfn._backend import copy as fresh
from xdfn._spec import Field, Fixed, as_given, integer, key, number
from xdfn._trees import tree_map
from xdfn.data import check_inputs, check_real, check_values, check_weights, spans
from xdfn.fitting import Fit, Validation, Weights, like_of, rows_of, told_of
from xdfn.initializers import initializers
from xdfn.layers import Context, FullyConnected, LayerBase, named
from xdfn.losses import CrossEntropy, losses
from xdfn.metrics import Accuracy, MetricBase, resolve_metrics
from xdfn.network import Extras, LayerTree, Network, Since, TrainState, folded, infer
from xdfn.optimizers import OptimizerBase, OptimizerInitializer
from xdfn.training import PIECE, MeanLoss, Measure


def _optional(low: float, high: float = math.inf, **bounds: bool) -> Field[float | None]:
    """A `Field` of a number, or None."""
    return Field(lambda name, value: None if value is None else number(name, value, low, high, **bounds))


class DFN:
    """A deep feedforward network.

    Parameters
    ----------
    hidden_dims_1, hidden_dims_2 : int, optional
        The notebook's network: FC1 with `hidden_dims_1` sigmoid units, then FC2 with `hidden_dims_2` affine ones.
    optimizer : str or OptimizerBase
        Moves the parameters of each layer that has no optimizer of its own; each gets a copy,
        `layers[name].optimizer`. Assigning to `model.optimizer` gives all of them a new one.
    init_w : str or InitializerBase
        Initialiser of the weights of FC1 and FC2.
    loss : str or ObjectiveBase
        ``"cross_entropy"`` for classes, ``"binary_cross_entropy"`` for yes or no, ``"squared_error"`` for numbers.
    layers : sequence of str or LayerBase, optional
        Any other network. The layers are copied; weights that they have already are kept.
    seed : int, optional
        Where all randomness comes from: the same seed is the same network on every array library. None draws a seed
        from NumPy's global generator.
    clip_value, clip_norm : float, optional
        Cut each element of the gradients to +-clip_value; scale all of them together to a norm of at most clip_norm
        (Pascanu et al. 2013, arXiv:1211.5063).
    ema : float in [0, 1), optional
        Keep a moving average of the parameters, a <- d a + (1 - d) p after every step t = 0, 1, ... with d = ema, or
        (1 + t) / (10 + t) while that is less (Polyak and Juditsky 1992; the start as in TensorFlow). All inference,
        that of a validation included, is with the averages, until None is assigned or other weights are; `layers`
        hold the parameters themselves.

    Attributes
    ----------
    layers : dict of LayerBase by name: ``"FC1"``, ``"FC2"``, ``"Dropout1"``, ...
        Between calls their `params` are the truth: read them, or assign to them.
    loss : ObjectiveBase
    history : dict of lists, one value an epoch: ``"loss"``, the mean over the rows, ``"val_loss"`` and other values
        that were asked for, NaN for epochs without.
    stop_training : bool, which callbacks set to end the fit after the epoch

    Examples
    --------
    >>> import numpy as np
    >>> X = np.asarray([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> y = np.asarray([0, 1, 1, 0])
    >>> hidden = FullyConnected(8, "tanh", "glorot_uniform")
    >>> model = DFN(layers=[hidden, FullyConnected(2, "affine", "glorot_uniform")], optimizer="adam(lr=0.1)", seed=0)
    >>> model.fit(X, y, n_epochs=100, batch_size=4, verbose=None).predict(X).tolist()
    [0, 1, 1, 0]
    """

    loss = Field(lambda name, spec: copy.deepcopy(losses.resolve(spec)))
    hidden_dims_1, hidden_dims_2, init_w, seed = Fixed(), Fixed(), Fixed(), Fixed()
    clip_value = _optional(0, open_low=True)
    clip_norm = _optional(0, open_low=True)
    ema = _optional(0, 1, open_high=True)

    def __init__(
        self,
        hidden_dims_1: int | None = None,
        hidden_dims_2: int | None = None,
        optimizer: Any = "sgd(lr=0.01)",
        init_w: Any = "std_normal",
        loss: Any = CrossEntropy(),  # noqa: B008  the notebook's signature; the model takes a copy
        *,
        layers: Sequence[Any] | None = None,
        seed: int | None = None,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        ema: float | None = None,
    ) -> None:
        if layers is None:
            if hidden_dims_1 is None or hidden_dims_2 is None:
                raise ValueError("DFN expects hidden_dims_1 and hidden_dims_2, the numbers of units, or layers=[...]")
            layers = [
                FullyConnected(integer("hidden_dims_1", hidden_dims_1), "sigmoid", init_w),
                FullyConnected(integer("hidden_dims_2", hidden_dims_2), "affine(slope=1, intercept=0)", init_w),
            ]
        elif hidden_dims_1 is not None or hidden_dims_2 is not None:
            raise ValueError("DFN expects either layers=[...] or hidden_dims_1 and hidden_dims_2, got both")
        self.hidden_dims_1, self.hidden_dims_2 = hidden_dims_1, hidden_dims_2
        initializers.resolve(init_w)
        self.init_w, self.loss = init_w, loss
        self.seed = None if seed is None else integer("seed", seed, 0)
        self.clip_value, self.clip_norm, self.ema = clip_value, clip_norm, ema
        self._fit: Fit | None = None  # while one goes on
        self.layers = named(layers)
        # by layer and parameter: whose the memory is, from which step, and the schedule, from which step and epoch
        self._since: dict[str, dict[str, tuple[str, int, str, int, int]]] = {}
        self.optimizer = optimizer
        self.history: dict[str, list[float]] = {"loss": []}
        self._seed = self.seed  # the one in use
        self._step = self._epoch = 0
        self._slots: dict[str, dict[str, dict[str, Array]]] = {}  # by layer, parameter and name of the memory
        self._averages: dict[str, dict[str, Array]] = {}
        self._averaged: dict[str, dict[str, Array]] = {}  # the parameters that those are the averages of
        self._remembered: dict[str, dict[str, Any]] = {}  # by callbacks of earlier fits
        self._rate = math.nan
        self.stop_training = False
        made = [value for layer in self.layers.values() for value in layer.params.values()]
        self._real = real_name(made[0].dtype) if made else ""  # the parameters' dtype, once they are made
        self._flat_targets = False  # whether y was (n,)

    @property
    def layers(self) -> dict[str, LayerBase]:
        shown = self._fit and self._fit.shown()
        if shown:  # callbacks see what training has come to; it goes on with arrays of its own
            net, state = shown
            with computing(state.params[0]):
                self._unpack(net, fresh(state))
        return self._layers

    @layers.setter
    def layers(self, layers: dict[str, LayerBase]) -> None:
        self._layers = layers

    @property
    def optimizer(self) -> Any:
        """The optimizer as it was given. Assign to change that of every layer without one of its own."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, spec: Any) -> None:
        self._assign(spec)
        for name, layer in self.layers.items():
            if layer.inherits:  # what is assigned, an equal schedule too, begins at its beginning
                for parameter, (whose, since, *_) in self._since.get(name, {}).items():
                    self._since[name][parameter] = whose, since, "", 0, 0

    def _assign(self, spec: Any) -> None:
        """Give a rule to all layers without one of their own."""
        rule = OptimizerInitializer(spec)()
        for layer in self.layers.values():
            if layer.inherits:
                layer.inherit(rule)
        # a copy, so that a rule given to two models is not shared; its key shows what is assigned to it later
        self._optimizer = spec if spec is None or isinstance(spec, (str, type)) else copy.copy(rule)
        self._rule_key = key(rule)

    def _rule(self) -> OptimizerBase:
        """The optimizer as an object, after layers that take the model's have got what was assigned to its fields."""
        rule = OptimizerInitializer(self.optimizer)()
        if key(rule) != self._rule_key:
            self._assign(self.optimizer)
        return rule

    # -- training --

    def fit(
        self,
        X_train: Array,
        y_train: Array,
        n_epochs: int = 20,
        batch_size: int = 64,
        verbose: bool | None = False,
        *,
        sample_weight: Array | None = None,
        class_weight: Any = None,
        validation_data: Sequence[Array] | None = None,
        validation_fraction: float | None = None,
        metrics: Any = None,
        callbacks: Sequence[Any] = (),
        check_input: bool = True,
        device: Any = None,
    ) -> Self:
        """Train for `n_epochs` more epochs; a second call goes on where the first ended.

        The library, the device and the dtype of the first X decide where and in what the network computes, unless
        `device` says so.

        Parameters
        ----------
        X_train : array (n, n_in)
            float64, and what is wider, trains in float64, all else in float32; it is cast batch by batch.
        y_train : array (n, n_out), (n,)
            One-hot rows or integer class numbers for CrossEntropy, 0 and 1 for BinaryCrossEntropy, else numbers.
        n_epochs, batch_size : int
        verbose : bool or None
            False: a line an epoch. True: also one a batch, for which the device is read each time. None: nothing.
        sample_weight : array (n,), optional
            What each row counts for: a row of weight 2 for as much as two equal rows, one of weight 0 for nothing. Only
            the proportions matter.
        class_weight : "balanced" or dict of class numbers and weights, optional
            What the rows of a class count for in training, times sample_weight; "balanced" makes all classes count
            alike.
        validation_data : (X, y) or (X, y, sample_weight), optional
            Rows on which ``history["val_loss"]`` and the metrics are measured after each epoch.
        validation_fraction : float in (0, 1), optional
            Or the share of the rows that is kept from training for it, of each class the same. Drawn by the seed.
        metrics : str, MetricBase, function(y_true, y_pred), or a list or dict of these, optional
            What else is measured there, such as ``"accuracy"``, which becomes ``history["val_accuracy"]``.
        callbacks : sequence of str or Callback
            What is told of each epoch, such as ``EarlyStopping("val_loss", patience=5)``. They begin anew with each
            fit, but for one that resumes what an error, an interrupt or the end of the process cut short.
        check_input : bool
            Look once for NaN, infinity and targets out of range.
        device : str, array or device, optional
            Where the network computes, as for `to`, while X and y, NumPy arrays or memory-mapped files, stay on the
            host and go there by a few batches at a time: for data larger than the memory of a GPU.

        Returns
        -------
        DFN
            The model itself.

        Raises
        ------
        ValueError
            Arrays or arguments that do not fit; nothing has changed then.
        FloatingPointError
            The loss or a parameter became NaN or infinite. After this or any other interruption the model is as it
            was at the end of the last good epoch.
        """
        if self._fit is not None:
            raise ValueError("fit was called by a callback of the same model's fit; fit a copy.copy(model) there")
        n_epochs, batch_size = integer("n_epochs", n_epochs, 0), integer("batch_size", batch_size)
        told = told_of(callbacks, verbose)
        check_inputs(X_train, self._first.n_in, "X_train")
        with computing(X_train):
            like = like_of(X_train, device)
        before, done, complete = self._snapshot(), False, False
        with computing(like):
            try:
                self.initialize(like)
                self.check_targets(y_train, X_train)
                if check_input:
                    self._check_values(X_train, y_train)
                weights = Weights(sample_weight, class_weight)
                validation = Validation(validation_data, validation_fraction, metrics, check_input)
                rows, measure = rows_of(self, X_train, y_train, like, weights, validation)
                self._flat_targets = y_train.ndim == 1
                self._fit = Fit(self, rows, like, n_epochs, batch_size, measure, told)
                self._fit.begin()
                for state, values in self._fit.epochs():
                    self._record(values)
                    done = True
                    self._fit.after_epoch(state, values)
                done = complete = True
            finally:
                fit, self._fit = self._fit, None
                if done and fit is not None:
                    self._unpack(fit.net, fit.good)
                else:
                    self._restore(before)
                if fit is not None:
                    if done:
                        self._remembered = {} if complete else fit.states()
                    fit.end(complete)
        return self

    def _differs_from(self, net: Network) -> bool:
        """Whether the model is another than the one that is being trained, after a callback has looked at it."""
        like = next(value for layer in self.layers.values() for value in layer.params.values())
        return not self._network(like).same(net) or any(
            layer.params.get(parameter) is not self._averaged.get(name, {}).get(parameter)
            for name, layer in self.layers.items()
            for parameter in layer.shapes
        )

    def _record(self, values: dict[str, float]) -> None:
        """The values of an epoch at the end of the history, NaN where there is none."""
        history = self.history
        if values.keys() != history.keys():
            n = max(map(len, history.values()))
            for name in values:
                history.setdefault(name, [math.nan] * n)
            values = {name: values.get(name, math.nan) for name in history}
        for name, value in values.items():
            history[name].append(value)

    def initialize(self, X: Array) -> Self:
        """Make the parameters that are still missing, for inputs like X (n, n_in). fit and forward do it unasked."""
        check_inputs(X, self._first.n_in)
        if self._seed is None:
            self._seed = random.new_seed()
        self._real = self._real or real_name(real_dtype(X))
        n_in, where, dtype = X.shape[1], place(X), getattr(namespace(X), self._real)
        rule = self._rule()
        for i, (name, layer) in enumerate(self.layers.items()):
            if not layer.is_initialized:
                self._slots.pop(name, None)  # of a layer that stood in its place
                if layer.inherits:
                    layer.inherit(rule)
                with computing(X):
                    layer.initialize(n_in, where, dtype, random.generator(self._seed, random.WEIGHTS, i))
            elif layer.n_in != n_in or layer.sizes != (layer.n_in, layer.n_out):
                made = "{} inputs and {} outputs".format(*layer.sizes)
                raise ValueError(f"{name}, {layer}, was made for {made} and gets {n_in} inputs; put a new layer there")
            assert layer.n_out is not None
            n_in = layer.n_out
        self._parameters(X)
        return self

    def _snapshot(self) -> Any:
        """What a fit that fails before its first epoch is done goes back to."""
        layers = [dict(vars(layer)) for layer in self.layers.values()]
        # dicts of their own, for these are changed in place
        changing = {name: vars(self)[name] for name in ("_layers", "_slots", "_since")}
        return {**vars(self), **tree_map(lambda x: x, changing)}, layers

    def _restore(self, snapshot: Any) -> None:
        attributes, layers = snapshot
        vars(self).update(attributes)
        for layer, saved in zip(self.layers.values(), layers, strict=True):
            vars(layer).clear()
            vars(layer).update(saved)

    def _parameters(self, like: Array, averaged: bool = False) -> list[dict[str, Array]]:
        """The parameters by layer in the model's dtype, after a look at them: people may assign what they like.

        Or their averages, where there are such and nothing was assigned since.
        """
        dtype, where, tree = getattr(namespace(like), self._real), place(like), []
        for name, layer in self.layers.items():
            tree.append(dict(layer.params))
            if layer.params.keys() != layer.shapes.keys():
                expected, got = sorted(layer.shapes), sorted(layer.params)
                raise ValueError(f"layers[{name!r}].params must hold {expected}, got {got}")
            for parameter, value in layer.params.items():
                what = f"layers[{name!r}].params[{parameter!r}]"
                require_array(what, value, value.ndim if hasattr(value, "ndim") else 2)
                if not same_place(place(value), where):
                    raise ValueError(
                        f"the input is on {where}, expected {place(value)}, where {what} is: "
                        "convert the input, or move the model with model.to(X)"
                    )
                if tuple(value.shape) != layer.shapes[parameter]:
                    raise ValueError(f"{what} must have shape {layer.shapes[parameter]}, got {tuple(value.shape)}")
                if value.dtype != dtype:
                    tree[-1][parameter] = namespace(value).astype(value, dtype)
        if averaged and self.ema is not None:
            valid = self.averages()
            tree = [{**params, **valid.get(name, {})} for name, params in zip(self.layers, tree, strict=True)]
        if not any(tree):
            raise ValueError("the network has no parameters: expected at least one layer such as FullyConnected")
        return tree

    def _network(self, like: Array) -> Network:
        """The network as it is now, as a value."""
        assert self._seed is not None
        since = [
            {parameter: self._start(name, parameter) for parameter in layer.params}
            for name, layer in self.layers.items()
        ]
        extras = Extras(self.clip_value, self.clip_norm, self.ema)
        return Network(list(self.layers.values()), self.loss, self._seed, like, since, extras, self.history)

    def _start(self, layer: str, parameter: str) -> Since:
        """When a parameter's memory began, and the schedule of its rate; now, if its rule can go on with neither."""
        rule = self.layers[layer].optimizer
        _, since, of, step, epoch = self._since.get(layer, {}).get(parameter, ("", 0, "", 0, 0))
        if not rule.slots:
            since = 0
        elif not self._memory(layer, parameter):
            since = self._step
        if rule.schedule is None:
            step, epoch = 0, 0
        elif of != str(rule.schedule):
            step, epoch = self._step, self._epoch
        return Since(since, step, epoch)

    def _memory(self, layer: str, parameter: str) -> dict[str, Array]:
        """What a parameter's rule remembers of it: nothing where another rule left it, or for another shape."""
        rule, shape = self.layers[layer].optimizer, self.layers[layer].shapes[parameter]
        kept = self._slots.get(layer, {}).get(parameter, {})
        whose, *_ = self._since.get(layer, {}).get(parameter, ("",))
        fits = kept.keys() == set(rule.slots) and all(tuple(x.shape) == shape for x in kept.values())
        return kept if fits and whose == type(rule).__name__ else {}

    def _pack(self, net: Network, like: Array) -> TrainState:
        """The state of a run, as copies of what the layers and the model keep between runs."""
        params = net.pack(self._parameters(like))
        memory = [{p: self._memory(name, p) for p in layer.params} for name, layer in self.layers.items()]
        slots = net.pack_slots(memory, params)
        buffers = tuple(fresh(layer.buffers) for layer in self.layers.values())
        averages = () if self.ema is None else net.pack(self._parameters(like, averaged=True))
        return TrainState(params, buffers, slots, averages, net.init_sums(params[0].dtype), self._step, self._epoch)

    def _unpack(self, net: Network, state: TrainState) -> None:
        """The reverse."""
        params = net.unpack(state.params)
        for layer, pure, p, buffers in zip(self.layers.values(), net.layers, params, state.buffers, strict=True):
            pure.settle(layer)
            layer.params, layer.buffers = p, buffers
            layer.flush_gradients()
        names = list(self.layers)
        self._slots = dict(zip(names, net.unpack_slots(state.slots), strict=True))
        self._since = {name: {} for name in names}
        for segment in net.segments:
            for e in segment.entries:
                whose, since = type(self.layers[names[e.layer]].optimizer).__name__, segment.since
                schedule = "" if segment.schedule is None else str(segment.schedule)
                self._since[names[e.layer]][e.name] = whose, since.memory, schedule, since.step, since.epoch
        averages = net.unpack(state.averages) if state.averages else []
        self._averages = dict(zip(names, averages, strict=False))
        self._settle()
        self._step, self._epoch = state.step, state.epoch
        self._rate = self._rate if math.isnan(net.rate) else net.rate

    def _settle(self) -> None:
        """Keep in mind which parameters the averages, and all else that training remembers, belong to."""
        self._averaged = {name: dict(layer.params) for name, layer in self.layers.items()}

    def averages(self) -> dict[str, dict[str, Array]]:
        """The moving averages by layer and parameter, of parameters that are as training left them."""
        return {
            name: {
                parameter: average
                for parameter, average in self._averages.get(name, {}).items()
                if layer.params.get(parameter) is self._averaged[name].get(parameter)
            }
            for name, layer in self.layers.items()
        }

    def snapshot(self) -> dict[str, Any]:
        """Copies of all that training has learned: parameters, buffers, averages, and the optimizer's memory."""
        layers = self.layers.items()
        tree = {
            "params": {name: layer.params for name, layer in layers},
            "buffers": {name: layer.buffers for name, layer in layers},
            "averages": self.averages(),
            "slots": self._slots,
        }
        copied: dict[str, Any] = fresh(tree)
        return copied

    def put_back(self, snapshot: dict[str, Any]) -> None:
        """Give the model copies of what a snapshot of it holds; the counts of its steps and epochs stay."""
        tree = fresh(snapshot)
        for name, layer in self.layers.items():
            layer.params, layer.buffers = tree["params"].get(name, {}), tree["buffers"].get(name, {})
            layer.flush_gradients()
        self._averages, self._slots = tree.get("averages", {}), tree.get("slots", {})
        self._settle()

    def remembered(self) -> dict[str, dict[str, Any]]:
        """What callbacks remember, by their strings."""
        return self._remembered if self._fit is None else self._fit.states()

    @property
    def learning_rate(self) -> float:
        """The rate of the last step of `fit`, of the first layer that has parameters; NaN before."""
        return self._rate if self._fit is None else self._fit.net.rate

    # -- inference --

    def predict(self, X: Array, *, samples: int | None = None) -> Any:
        """What the model takes the targets of X (n, n_in) to be.

        Parameters
        ----------
        X : array (n, n_in)
        samples : int, optional
            How often to ask the network with layers that draw, such as Dropout, drawing anew as in training (Gal and
            Ghahramani 2016, arXiv:1506.02142). The answer is then the pair of the mean and the standard deviation of
            what `predict_proba` gives: how sure the model is. The draws depend on the seed and the place of a row.

        Returns
        -------
        array
            Class numbers (n,) for CrossEntropy; 0 or 1 for BinaryCrossEntropy, else the link of the scores, both in
            the shape of y.

        Raises
        ------
        ValueError
            The model has no parameters yet, or X does not fit.

        Notes
        -----
        X is not searched for NaN, which would read the device: such rows have NaN probabilities, and some class.

        Examples
        --------
        >>> import numpy as np
        >>> model = DFN(layers=["fc(20, 'relu', 'he_normal')", "dropout(0.5)", "fc(3, 'affine', 'he_normal')"], seed=0)
        >>> mean, spread = model.initialize(np.zeros((1, 4))).predict(np.ones((5, 4)), samples=10)
        >>> mean.shape, bool((spread > 0).all())
        ((5, 3), True)
        """
        if samples is None:
            return self._shaped(self._map(X, self.loss.decide))
        n_samples = integer("samples", samples, 2)
        if not any(layer.draws for layer in self.layers.values()):
            raise ValueError("samples: no layer draws, all samples would be the same; Dropout and GaussianNoise do")
        xp, pieces = namespace(X), []
        self._ready(X)
        with computing(X):
            for start, stop in spans(X.shape[0], PIECE):
                mean, squares = self._sample(X[start:stop, ...], n_samples, start)
                pieces.append((mean, xp.sqrt(squares / n_samples)))
            mean, spread = (parts[0] if len(parts) == 1 else xp.concat(parts) for parts in zip(*pieces, strict=True))
        return self._shaped(mean), self._shaped(spread)

    def _sample(self, X: Array, n_samples: int, start: int) -> tuple[Array, Array]:
        """The mean of the samples, and the sum of their squared differences from it (Welford 1962)."""
        mean = squares = None
        for sample in range(n_samples):
            for _, _, z in self._scores(X, PIECE, (sample, start)):
                p = self.loss.link(z)
                if mean is None:
                    mean, squares = p, namespace(p).zeros_like(p)
                    continue
                d = p - mean
                mean = mean + d / (sample + 1)
                squares = squares + d * (p - mean)
        return mean, squares

    def predict_proba(self, X: Array) -> Array:
        """The link of the scores: (n, n_out) for CrossEntropy, in the shape of y for the others."""
        return self._shaped(self._map(X, self.loss.link))

    def evaluate(
        self,
        X_test: Array,
        y_test: Array,
        batch_size: int = 128,
        *,
        metric: Any = None,
        sample_weight: Array | None = None,
    ) -> float:
        """The share of right predictions for CrossEntropy and BinaryCrossEntropy, the mean loss otherwise.

        Several outputs of BinaryCrossEntropy are as many predictions a row.
        Reads the device twice: to look for NaN, infinity and targets out of range, and for the result.

        Parameters
        ----------
        X_test, y_test : array (n, n_in), array (n,) or (n, n_out)
        batch_size : int
            Rows that go through the network in one piece.
        metric : str, MetricBase or function(y_true, y_pred), optional
            What to measure instead, such as ``"f1"``; ``"loss"`` is the mean loss.
        sample_weight : array (n,), optional
        """
        self._ready(X_test, "X_test")
        self.check_targets(y_test, X_test)
        self._check_values(X_test, y_test)
        what: MetricBase
        if metric is None:
            what = Accuracy() if self.loss.classifies else MeanLoss()
        else:
            what = MeanLoss() if isinstance(metric, str) and metric == "loss" else resolve_metrics({"": metric})[""]
        what.check(self.loss, self._n_out)
        weight = None
        if sample_weight is not None:
            weight = put(check_weights("sample_weight", sample_weight, X_test.shape[0]), place(X_test))
        measure, rows = Measure(X_test, y_test, weight, self.loss, {"": what}), integer("batch_size", batch_size)
        with computing(X_test):
            layers, params, buffers, dtype = self._at_inference(X_test)
            numbers = measure.on_device(layers, params, buffers, place(X_test), dtype, rows)
            return measure.values(to_numpy(numbers))[""]

    def activations(self, X: Array) -> dict[str, Array]:
        """The outputs (n, n_out) of each layer by name, at inference; those of the last are what it says they are.

        Examples
        --------
        >>> import numpy as np
        >>> model = DFN(8, 3).initialize(np.zeros((1, 4)))
        >>> {name: a.shape for name, a in model.activations(np.zeros((5, 4))).items()}
        {'FC1': (5, 8), 'FC2': (5, 3)}
        """
        x, params = self._inputs(X)
        return inspection.activations(self.layers, params, x)

    def input_gradients(self, X: Array, y: Array | None = None, *, output: int | None = None) -> Array:
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
        >>> model = DFN(layers=["fc(1, 'affine', 'constant(3)')"], loss="squared_error").initialize(np.zeros((1, 2)))
        >>> model.input_gradients(np.zeros((1, 2)))
        array([[3., 3.]])
        """
        x, params = self._inputs(X)
        if y is not None and output is None:
            self.check_targets(y, X)
            self._check_values(X, y)
        elif y is not None or (output is None and self._n_out > 1):
            raise ValueError(f"input_gradients expects either y or output=, one of the {self._n_out} outputs")
        column = integer("output", output or 0, 0)
        if column >= self._n_out:
            raise ValueError(f"output must be below {self._n_out}, the number of outputs, got {column}")
        return inspection.input_gradients(list(self.layers.values()), self.loss, params, x, y, column)

    def _ready(self, X: Array, name: str = "X") -> None:
        self._require_initialized()
        check_inputs(X, self._first.n_in, name)

    def _inputs(self, X: Array) -> tuple[Array, list[dict[str, Array]]]:
        """X in the model's dtype, and the parameters, at inference."""
        self._ready(X)
        xp = namespace(X)
        with computing(X):
            return xp.astype(X, getattr(xp, self._real), copy=False), self._parameters(X, averaged=True)

    def _map(self, X: Array, function: Callable[[Array], Array]) -> Array:
        """A function of the scores, piece by piece."""
        self._ready(X)
        pieces = []
        with computing(X):
            for _, _, z in self._scores(X, PIECE):
                pieces.append(function(z))
            return pieces[0] if len(pieces) == 1 else namespace(X).concat(pieces)

    def _at_inference(self, X: Array) -> tuple[Sequence[LayerBase], LayerTree, LayerTree, Any]:
        """Layers, parameters, buffers and dtype for inputs like X."""
        layers = folded(list(self.layers.values()), self.loss)
        buffers = [layer.buffers for layer in self.layers.values()]
        return layers, self._parameters(X, averaged=True), buffers, getattr(namespace(X), self._real)

    def _scores(self, X: Array, rows: int, sample: tuple[int, ...] = ()) -> Iterator[tuple[int, int, Array]]:
        """The scores of X[start:stop] with start and stop, piece by piece. To be called within `computing`.

        Given the numbers of a sample, layers that draw do so.
        """
        layers, params, buffers, dtype = self._at_inference(X)
        contexts: list[Context | None] = [None] * len(layers)
        if sample:
            seed = self._seed or 0
            contexts = [
                Context(layer.keys(seed, i, *sample), training=False) if layer.draws else None
                for i, layer in enumerate(layers)
            ]
        for start, stop in spans(X.shape[0], rows):
            x = namespace(X).astype(X[start:stop, ...], dtype, copy=False)
            yield start, stop, infer(layers, params, buffers, x, contexts)

    def _shaped(self, prediction: Array) -> Array:
        """(n, 1) as (n,) where the targets were (n,)."""
        one_column = self._flat_targets and prediction.ndim == 2 and prediction.shape[1] == 1
        return namespace(prediction).reshape(prediction, (-1,)) if one_column else prediction

    # -- the notebook's steps by hand --

    def forward(self, X_train: Array) -> tuple[Array, dict[str, Array]]:
        """The output of the last layer, and the input of each layer by name.

        A step of training: layers keep their inputs for `backward`, and Dropout drops.
        """
        check_inputs(X_train, self._first.n_in, "X_train")
        self.initialize(X_train)
        for layer, params in zip(self.layers.values(), self._parameters(X_train), strict=True):
            layer.params = params
        xp, seed = namespace(X_train), self._seed
        assert seed is not None
        Xs, out = {}, xp.astype(X_train, getattr(xp, self._real), copy=False)
        with computing(X_train):
            for i, (name, layer) in enumerate(self.layers.items()):
                Xs[name] = out
                passes = len(layer.X)  # since the last update; the first draws as fit does in this step
                again = (passes,) if passes else ()
                out = layer.step_forward(out, Context(layer.keys(seed, i, self._step, *again)))
        return out, Xs

    def backward(self, grad: Array) -> tuple[Array, dict[str, Array]]:
        """The gradient at the input, and the gradient at each layer's output by name, from that at the last output."""
        dXs, out = {}, grad
        for name, layer in reversed(self.layers.items()):
            dXs[name] = out
            out = layer.backward(out)
        return out, dXs

    def update(self) -> None:
        """Move all parameters by the gradients gathered, as a step of `fit` does, then forget those."""
        self._require_initialized()
        like = next(value for layer in self.layers.values() for value in layer.params.values())
        net = self._network(like)
        gradients = [layer.gradients for layer in self.layers.values()]
        with computing(like):
            self._unpack(net, net.update(self._pack(net, like), gradients, net.hyper(self._step)))

    def flush_gradients(self, curr_loss: Any = None) -> None:
        """Zero the gradients and forget the retained inputs."""
        for layer in self.layers.values():
            layer.flush_gradients()

    # -- where it lives --

    def to(self, target: Any) -> Self:
        """Move the model to the library and device of `target`: an array, a device, or a string such as ``"cupy:1"``.

        Before its first fit there is nothing to move: the arrays passed to that decide.

        Examples
        --------
        >>> model = DFN(200, 10).to("numpy")
        """
        where = resolve_place(target)
        moved = {
            name: tree_map(lambda x: move(x, where), (layer.params, layer.buffers))
            for name, layer in self.layers.items()
        }
        slots, averages = (tree_map(lambda x: move(x, where), tree) for tree in (self._slots, self.averages()))
        remembered = _map_arrays(lambda x: move(x, where), self._remembered)
        for name, layer in self.layers.items():
            layer.params, layer.buffers = moved[name]
            layer.flush_gradients()
        self._slots, self._averages, self._remembered = slots, averages, remembered
        self._settle()
        return self

    def to_numpy(self) -> Self:
        """Move the model to NumPy, to serve where it was not trained."""
        return self.to("numpy")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one `.npz` file without pickle: `load` goes on exactly where this model stands.

        Raises
        ------
        ValueError
            A part of your own has no registered name; `xdfn.register` gives it one.
        """
        self._rule()
        checkpoint.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], like: Any = None) -> Self:
        """Read a model that `save` wrote, onto the library and device of `like` (as for `to`); NumPy without one.

        Raises
        ------
        ValueError
            The file is not a saved model, or names a part that is not registered here.
        """
        return checkpoint.load(cls, path, resolve_place("numpy" if like is None else like))

    # -- what it says of itself --

    @property
    def is_initialized(self) -> bool:
        """Whether every layer has its parameters."""
        return all(layer.is_initialized for layer in self.layers.values())

    @property
    def hyperparams(self) -> dict[str, Any]:
        """The notebook's dictionary: what was given, and the parameters by layer under ``"components"``."""
        short = self.hidden_dims_1 is not None
        return {
            "init_w": self.init_w,
            "loss": str(self.loss),
            "optimizer": self.optimizer,
            "hidden_dims_1": self.hidden_dims_1,
            "hidden_dims_2": self.hidden_dims_2,
            **({} if short else {"layers": [str(layer) for layer in self.layers.values()]}),
            **({} if self.seed is None else {"seed": self.seed}),
            **self._extras(),
            "components": {name: dict(layer.params) for name, layer in self.layers.items()},
        }

    def summary(self) -> str:
        """A table of the layers, their outputs and their numbers of parameters, for `print`; `?` is not known yet.

        Examples
        --------
        >>> print(DFN(200, 10).summary())
        layer  kind                     output    parameters
        FC1    FullyConnected, Sigmoid  (n, 200)  ?
        FC2    FullyConnected, Affine   (n, 10)   ?
        total                                     ?
        """
        return inspection.summary(self.layers)

    def __repr__(self) -> str:
        inherited = OptimizerInitializer(self.optimizer)()
        specs = [
            layer.spec(omit=("optimizer",) if layer.inherits and layer.optimizer == inherited else ())
            for layer in self.layers.values()
        ]
        short = self.hidden_dims_1 is not None
        body = {
            "": f"{self.hidden_dims_1}, {self.hidden_dims_2}" if short else f"layers={specs}",
            "optimizer=": repr(as_given(self.optimizer, inherited)),
            **({"init_w=": repr(str(self.init_w))} if short else {}),
            "loss=": repr(str(self.loss)),
            **({} if self.seed is None else {"seed=": self.seed}),
            **{f"{name}=": value for name, value in self._extras().items()},
        }
        return f"DFN({', '.join(f'{name}{value}' for name, value in body.items())})"

    def _extras(self) -> dict[str, float]:
        return {name: value for name in checkpoint.EXTRAS if (value := getattr(self, name)) is not None}

    def _repr_html_(self) -> str:
        return inspection.html(self.layers, repr(self))

    def __copy__(self) -> Self:
        return copy.deepcopy(self)  # layers of one's own, or training one would move the other

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        new = memo[id(self)] = object.__new__(type(self))
        _ = self.layers  # as far as a fit has come that may be going on, which stays with the original
        vars(new).update({name: copy.deepcopy(v, memo) for name, v in vars(self).items() if name != "_fit"}, _fit=None)
        return new

    # -- checks --

    @property
    def _first(self) -> LayerBase:
        return next(iter(self.layers.values()))

    @property
    def _n_out(self) -> int:
        n_out = next(reversed(self.layers.values())).n_out
        assert n_out is not None
        return n_out

    def _require_initialized(self) -> None:
        if not self.is_initialized:
            raise ValueError("the model has no parameters yet: call fit first, or load a saved model")

    def check_targets(self, y: Array, X: Array) -> None:
        require_array("y", y, 1 if getattr(y, "ndim", 2) == 1 else 2)
        require_place(place(X), "X and y must be on one device of one library", y=y)
        if y.shape[0] != X.shape[0]:
            raise ValueError(f"X and y must have the same number of rows, got {X.shape[0]} and {y.shape[0]}")
        check_real(y, "y")
        self.loss.check_shape(y, self._n_out)

    def _check_values(self, X: Array, y: Array) -> None:
        check_values(X, y, self.loss.limits(y, self._n_out), self.loss.unit_rows and y.ndim == 2)


def _map_arrays(function: Callable[[Array], Array], tree: Any) -> Any:
    """A tree with the function applied to its arrays, and all else as it is."""
    if isinstance(tree, dict):
        return {name: _map_arrays(function, value) for name, value in tree.items()}
    return function(tree) if hasattr(tree, "shape") and hasattr(tree, "dtype") else tree
