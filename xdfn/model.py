"""And this is the network that one uses: `DFN` owns layers and a training state, and has the notebook's methods. It is
the only thing here that changes; all below it are values and functions.
"""

import copy
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
    real_dtype,
    real_name,
    require_array,
    require_place,
    resolve_place,
    same_place,
    to_numpy,
    tree_map,
)
from xdfn._backend import copy as fresh
from xdfn._spec import Field, Fixed, as_given, integer, key
from xdfn.data import Resident, Streamed, check_inputs, check_real, check_values, spans
from xdfn.initializers import initializers
from xdfn.layers import Context, FullyConnected, LayerBase, named, specs_of
from xdfn.losses import CrossEntropy, losses
from xdfn.network import Network, TrainState, folded, infer
from xdfn.optimizers import OptimizerBase, OptimizerInitializer
from xdfn.training import Report, epochs

_PREDICT_ROWS = 1024  # rows that go through the network in one piece at inference


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

    Attributes
    ----------
    layers : dict of LayerBase by name: ``"FC1"``, ``"FC2"``, ``"Dropout1"``, ...
        Between calls their `params` are the truth: read them, or assign to them.
    loss : ObjectiveBase
    history : dict of lists, one value an epoch: ``"loss"``, the mean over the rows.

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
        self.layers = named(layers)
        self.optimizer = optimizer
        self.history: dict[str, list[float]] = {"loss": []}
        self._seed = self.seed  # the one in use
        self._step = self._epoch = 0
        self._slots: dict[str, dict[str, dict[str, Array]]] = {}  # by layer, parameter and name of the memory
        self._since: dict[str, dict[str, tuple[str, int]]] = {}  # by layer and parameter: whose it is, from which step
        made = [value for layer in self.layers.values() for value in layer.params.values()]
        self._real = real_name(made[0].dtype) if made else ""  # the parameters' dtype, once they are made
        self._flat_targets = False  # whether y was (n,)

    @property
    def optimizer(self) -> Any:
        """The optimizer as it was given. Assign to change that of every layer without one of its own."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, spec: Any) -> None:
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
            self.optimizer = self.optimizer
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
        n_epochs, batch_size = integer("n_epochs", n_epochs, 0), integer("batch_size", batch_size)
        report = Report(verbose)
        check_inputs(X_train, self._first.n_in, "X_train")
        rows, like = self._rows(X_train, y_train, device)
        before, done = self._snapshot(), False
        with computing(like):
            try:
                self.initialize(like)
                self.check_targets(y_train, X_train)
                if check_input:
                    self._check_values(X_train, y_train)
                net = self._network(like)
                good = self._pack(net, like)
                self._flat_targets = y_train.ndim == 1
                for state, loss in epochs(net, good, rows, n_epochs, batch_size, report.on_batch):
                    good, done = state, True
                    self.history["loss"].append(loss)
                    report.on_epoch(loss)
                done = True
            finally:
                if done:
                    self._unpack(net, good)
                else:
                    self._restore(before)
        return self

    @staticmethod
    def _rows(X: Array, y: Array, device: Any) -> tuple[Resident | Streamed, Array]:
        """The rows as training takes them, and an array like X where the network is to be."""
        where = place(X) if device is None else resolve_place(device)
        if same_place(where, place(X)):
            return Resident(X, y), X
        if place(X).library != "numpy":
            raise ValueError(f"X_train is on {place(X)}, expected NumPy arrays, which go to {where} by batches")
        row = to_numpy(X[:1])  # of a memory-mapped file too
        return Streamed(X, y, None, where), move(row.astype(real_name(real_dtype(X))), where)

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
        return self._seed, self._real, self._flat_targets, [dict(vars(layer)) for layer in self.layers.values()]

    def _restore(self, snapshot: Any) -> None:
        self._seed, self._real, self._flat_targets, attributes = snapshot
        for layer, saved in zip(self.layers.values(), attributes, strict=True):
            vars(layer).clear()
            vars(layer).update(saved)

    def _parameters(self, like: Array) -> list[dict[str, Array]]:
        """The parameters by layer in the model's dtype, after a look at them: people may assign what they like."""
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
        return Network(list(self.layers.values()), self.loss, self._seed, like, since)

    def _start(self, layer: str, parameter: str) -> int:
        """The step at which a parameter's memory began; now, if its rule has none that it can go on with."""
        rule, memory = self.layers[layer].optimizer, self._slots.get(layer, {})
        kept, shape = memory.get(parameter, {}), self.layers[layer].shapes[parameter]
        if not rule.slots:
            return 0
        whose, since = self._since.get(layer, {}).get(parameter, ("", 0))
        fits = kept.keys() == set(rule.slots) and all(tuple(x.shape) == shape for x in kept.values())
        if fits and whose == type(rule).__name__:
            return since
        memory.pop(parameter, None)
        return self._step

    def _pack(self, net: Network, like: Array) -> TrainState:
        """The state of a run, as copies of what the layers and the model keep between runs."""
        params = net.pack(self._parameters(like))
        slots = net.pack_slots([self._slots.get(name, {}) for name in self.layers], params)
        buffers = tuple(fresh(layer.buffers) for layer in self.layers.values())
        return TrainState(params, buffers, slots, net.init_sums(params[0].dtype), self._step, self._epoch)

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
            for entry in segment.entries:
                whose = type(self.layers[names[entry.layer]].optimizer).__name__
                self._since[names[entry.layer]][entry.name] = whose, segment.since
        self._step, self._epoch = state.step, state.epoch

    # -- inference --

    def predict(self, X: Array) -> Array:
        """What the model takes the targets of X (n, n_in) to be.

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
        """
        return self._shaped(self._map(X, self.loss.decide))

    def predict_proba(self, X: Array) -> Array:
        """The link of the scores: (n, n_out) for CrossEntropy, in the shape of y for the others."""
        return self._shaped(self._map(X, self.loss.link))

    def evaluate(self, X_test: Array, y_test: Array, batch_size: int = 128) -> float:
        """The share of right predictions for CrossEntropy and BinaryCrossEntropy, the mean loss otherwise.

        Several outputs of BinaryCrossEntropy are as many predictions a row.
        Reads the device twice: to look for NaN, infinity and targets out of range, and for the result.
        """
        self._require_initialized()
        check_inputs(X_test, self._first.n_in, "X_test")
        self.check_targets(y_test, X_test)
        self._check_values(X_test, y_test)
        total: Any = None
        count = 0
        with computing(X_test):
            for start, stop, z in self._scores(X_test, integer("batch_size", batch_size)):
                y = y_test[start:stop, ...]
                if self.loss.classifies:
                    part, n = self.loss.hits(y, z)
                else:
                    part, n = self.loss.value_and_grad(self.loss.targets(y, z), z, 1.0)[0], stop - start
                total, count = part if total is None else total + part, count + n
            return float(to_numpy(total)) / count

    def activations(self, X: Array) -> dict[str, Array]:
        """The outputs (n, n_out) of each layer by name, at inference; those of the last are what it says they are.

        Examples
        --------
        >>> import numpy as np
        >>> model = DFN(8, 3).initialize(np.zeros((1, 4)))
        >>> {name: a.shape for name, a in model.activations(np.zeros((5, 4))).items()}
        {'FC1': (5, 8), 'FC2': (5, 3)}
        """
        x, params = self._at_inference(X)
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
        x, params = self._at_inference(X)
        if y is not None and output is None:
            self.check_targets(y, X)
            self._check_values(X, y)
        elif y is not None or (output is None and self._n_out > 1):
            raise ValueError(f"input_gradients expects either y or output=, one of the {self._n_out} outputs")
        column = integer("output", output or 0, 0)
        if column >= self._n_out:
            raise ValueError(f"output must be below {self._n_out}, the number of outputs, got {column}")
        return inspection.input_gradients(list(self.layers.values()), self.loss, params, x, y, column)

    def _at_inference(self, X: Array) -> tuple[Array, list[dict[str, Array]]]:
        """X in the model's dtype, and the parameters."""
        self._require_initialized()
        check_inputs(X, self._first.n_in)
        xp = namespace(X)
        with computing(X):
            return xp.astype(X, getattr(xp, self._real), copy=False), self._parameters(X)

    def _map(self, X: Array, function: Callable[[Array], Array]) -> Array:
        """A function of the scores, piece by piece."""
        self._require_initialized()
        check_inputs(X, self._first.n_in)
        pieces = []
        with computing(X):
            for _, _, z in self._scores(X, _PREDICT_ROWS):
                pieces.append(function(z))
            return pieces[0] if len(pieces) == 1 else namespace(X).concat(pieces)

    def _scores(self, X: Array, rows: int) -> Iterator[tuple[int, int, Array]]:
        """The scores of X[start:stop] with start and stop, piece by piece. To be called within `computing`."""
        layers = folded(list(self.layers.values()), self.loss)
        params, buffers = self._parameters(X), [layer.buffers for layer in self.layers.values()]
        xp, dtype = namespace(X), getattr(namespace(X), self._real)
        for start, stop in spans(X.shape[0], rows):
            yield start, stop, infer(layers, params, buffers, xp.astype(X[start:stop, ...], dtype, copy=False))

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
                out = layer.step_forward(out, Context(random.mask_key(seed, i, self._step, *again)))
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
        slots = tree_map(lambda x: move(x, where), self._slots)
        for name, layer in self.layers.items():
            layer.params, layer.buffers = moved[name]
            layer.flush_gradients()
        self._slots = slots
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
        specs = specs_of(self.layers)
        if losses.resolve(str(self.loss)) != self.loss:
            raise ValueError(
                f"cannot save the loss: {self.loss} does not make an equal one; its constructor must keep its "
                "arguments, numbers or lists of them, in attributes of the same names"
            )
        tree = {
            "params": {name: layer.params for name, layer in self.layers.items()},
            "buffers": {name: layer.buffers for name, layer in self.layers.items()},
            "slots": self._slots,
        }
        meta = {
            "given": {
                "hidden_dims_1": self.hidden_dims_1,
                "hidden_dims_2": self.hidden_dims_2,
                "optimizer": as_given(self.optimizer, OptimizerInitializer(self.optimizer)()),
                "init_w": as_given(self.init_w, initializers.resolve(self.init_w)),
                "seed": self.seed,
            },
            "layers": specs,
            "inherits": {name: layer.inherits for name, layer in self.layers.items()},
            "loss": str(self.loss),
            "sizes": {name: [layer.n_in, layer.n_out] for name, layer in self.layers.items() if layer.is_initialized},
            "state": {name: getattr(self, name) for name in _STATE},
            "history": {name: [float(value) for value in values] for name, values in self.history.items()},
        }
        checkpoint.write(path, {name: to_numpy(x) for name, x in checkpoint.flatten(tree)}, meta)

    @classmethod
    def load(cls, path: str | os.PathLike[str], like: Any = None) -> Self:
        """Read a model that `save` wrote, onto the library and device of `like` (as for `to`); NumPy without one.

        Raises
        ------
        ValueError
            The file is not a saved model, or names a part that is not registered here.
        """
        where = resolve_place("numpy" if like is None else like)
        arrays, meta = checkpoint.read(path)
        with checkpoint.damage(path):
            return cls._rebuild(checkpoint.nest({name: move(value, where) for name, value in arrays.items()}), meta)

    @classmethod
    def _rebuild(cls, tree: dict[str, Any], meta: dict[str, Any]) -> Self:
        given = meta["given"]
        model = cls(layers=list(meta["layers"].values()), loss=meta["loss"], seed=given["seed"])
        model.layers = dict(zip(meta["layers"], model.layers.values(), strict=True))
        vars(model).update({name: given[name] for name in ("hidden_dims_1", "hidden_dims_2", "init_w")})
        model._optimizer, model._rule_key = given["optimizer"], key(OptimizerInitializer(given["optimizer"])())
        for name in _STATE:
            setattr(model, name, meta["state"][name])
        model.history = meta["history"]
        for name, layer in model.layers.items():
            layer._inherited = layer.optimizer if meta["inherits"][name] else None
        for name, (n_in, n_out) in meta["sizes"].items():
            layer = model.layers[name]
            layer.params, layer.buffers = tree["params"].get(name, {}), tree["buffers"].get(name, {})
            layer.adopt(n_in, n_out)
        model._slots = tree["slots"]
        return model

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
        }
        return f"DFN({', '.join(f'{name}{value}' for name, value in body.items())})"

    def __copy__(self) -> Self:
        return copy.deepcopy(self)  # layers of one's own, or training one would move the other

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


# What a saved model's JSON holds of the state beside the arrays.
_STATE = ("_seed", "_step", "_epoch", "_since", "_real", "_flat_targets")
