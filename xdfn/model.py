"""And this is the network that one uses: `DFN` owns layers and a training state, and has the notebook's methods. It is
the only thing here that changes; all below it are values and functions.
"""

import copy
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

from xdfn import checkpoint, random
from xdfn._backend import (
    Array,
    Place,
    move,
    namespace,
    place,
    quiet,
    real_dtype,
    require_place,
    resolve_place,
    same_place,
    to_numpy,
    tree_map,
)
from xdfn._spec import integer
from xdfn.data import check_inputs, check_real, check_values, spans
from xdfn.layers import FullyConnected, LayerBase, layers
from xdfn.losses import CrossEntropy, losses
from xdfn.network import Network, TrainState, fold_link, infer
from xdfn.optimizers import optimizers
from xdfn.training import epochs

_PREDICT_ROWS = 4096  # rows that go through the network in one piece at inference


class DFN:
    """A deep feedforward network.

    Parameters
    ----------
    hidden_dims_1, hidden_dims_2 : int, optional
        The notebook's network: FC1 with `hidden_dims_1` sigmoid units, then FC2 with `hidden_dims_2` affine ones.
    optimizer : str or OptimizerBase
        Moves the parameters of each layer that has no optimizer of its own.
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

    def __init__(
        self,
        hidden_dims_1: int | None = None,
        hidden_dims_2: int | None = None,
        optimizer: Any = "sgd(lr=0.01)",
        init_w: Any = "std_normal",
        loss: Any = CrossEntropy(),  # noqa: B008  the notebook's signature; a loss has no state
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
        self.optimizer, self.init_w = optimizer, init_w
        self.loss = losses.resolve(loss)
        self.seed = None if seed is None else integer("seed", seed, 0)
        self.layers = _named_layers(layers, optimizer)
        self.history: dict[str, list[float]] = {"loss": []}
        self._seed = self.seed  # the one in use
        self._step = self._epoch = 0
        self._slots: dict[str, dict[str, dict[str, Array]]] = {}  # by layer, parameter and name of the memory
        self._flat_targets = False  # whether y was (n,)

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
    ) -> Self:
        """Train for `n_epochs` more epochs; a second call goes on where the first ended.

        The library, the device and the dtype of the first X decide where and in what the network computes.

        Parameters
        ----------
        X_train : array (n, n_in)
            Integers and booleans train in float32, cast batch by batch.
        y_train : array (n, n_out), (n,)
            One-hot rows or integer class numbers for CrossEntropy, 0 and 1 for BinaryCrossEntropy, else numbers.
        n_epochs, batch_size : int
        verbose : bool or None
            False: a line an epoch. True: also one a batch, for which the device is read each time. None: nothing.
        check_input : bool
            Look once for NaN, infinity and targets out of range.

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
        n_in = next(iter(self.layers.values())).n_in
        check_inputs(X_train, n_in, "X_train")
        where = place(X_train)
        self._check_targets(y_train, where, X_train.shape[0])
        if self.is_initialized:
            self._require_here(X_train=X_train)
        if check_input:
            check_values(X_train, y_train, self.loss.limits(y_train, self._n_out(X_train.shape[1])))
        self.initialize(X_train)
        assert self._seed is not None
        net = Network(list(self.layers.values()), self.loss, self._seed, X_train)
        report = _Report(verbose)
        good = self._pack(net)
        self._flat_targets = y_train.ndim == 1
        try:
            run = epochs(
                net, good, X_train, y_train, n_epochs=n_epochs, batch_size=batch_size, on_batch=report.on_batch
            )
            for state, loss in run:
                good = state
                self.history["loss"].append(loss)
                report.on_epoch(loss)
        finally:
            self._unpack(net, good)
        return self

    def initialize(self, X: Array) -> Self:
        """Make the parameters that are still missing, for inputs like X (n, n_in). fit and forward do it unasked."""
        if self._seed is None:
            self._seed = random.new_seed()
        n_in, where, dtype = X.shape[1], place(X), real_dtype(X)
        for i, layer in enumerate(self.layers.values()):
            if not layer.is_initialized:
                layer.initialize(n_in, where, dtype, random.generator(self._seed, random.WEIGHTS, i))
            elif layer.n_in != n_in:
                raise ValueError(f"layer {i + 1}, {layer}, was made for {layer.n_in} inputs and gets {n_in}")
            assert layer.n_out is not None
            n_in = layer.n_out
        return self

    def _pack(self, net: Network) -> TrainState:
        """The state of a run, as copies of what the layers and the model keep between runs."""
        owned = self.layers.values()
        params = net.pack([layer.params for layer in owned])
        slots = net.pack_slots([self._slots.get(name, {}) for name in self.layers], params)
        return TrainState(
            params, tuple(layer.buffers for layer in owned), slots, net.init_sums(self._dtype), self._step, self._epoch
        )

    def _unpack(self, net: Network, state: TrainState) -> None:
        """The reverse."""
        for layer, params, buffers in zip(self.layers.values(), net.unpack(state.params), state.buffers, strict=True):
            layer.params, layer.buffers = params, buffers
            layer.flush_gradients()
        self._slots = dict(zip(self.layers, net.unpack_slots(state.slots), strict=True))
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
        """
        return self._shaped(self._map(X, self.loss.decide))

    def predict_proba(self, X: Array) -> Array:
        """The link of the scores: (n, n_out) for CrossEntropy, in the shape of y for the others."""
        return self._shaped(self._map(X, self.loss.link))

    def evaluate(self, X_test: Array, y_test: Array, batch_size: int = 128) -> float:
        """The share of right predictions for CrossEntropy and BinaryCrossEntropy, the mean loss otherwise.

        Reads the device once.
        """
        check_inputs(X_test, self._n_in(), "X_test")
        self._check_targets(y_test, place(X_test), X_test.shape[0])
        total: Any = None
        count = 0
        for start, stop, z in self._scores(X_test, integer("batch_size", batch_size)):
            y = y_test[start:stop, ...]
            if self.loss.classifies:
                part, n = self.loss.hits(y, z)
            else:
                part, n = self.loss.value_and_grad(y, z, 1.0)[0], stop - start
            total, count = part if total is None else total + part, count + n
        return float(to_numpy(total)) / count

    def _map(self, X: Array, function: Callable[[Array], Array]) -> Array:
        """A function of the scores, piece by piece."""
        check_inputs(X, self._n_in())
        pieces = [function(z) for _, _, z in self._scores(X, _PREDICT_ROWS)]
        return pieces[0] if len(pieces) == 1 else namespace(X).concat(pieces)

    def _scores(self, X: Array, rows: int) -> Iterator[tuple[int, int, Array]]:
        """The scores of X[start:stop] with start and stop, piece by piece."""
        self._require_here(X=X)
        owned = list(self.layers.values())
        folded = fold_link(owned, self.loss)
        params, buffers = [layer.params for layer in owned], [layer.buffers for layer in owned]
        xp, dtype = namespace(X), self._dtype
        for start, stop in spans(X.shape[0], rows):
            with quiet(X):
                z = infer(folded, params, buffers, xp.astype(X[start:stop, ...], dtype, copy=False))
            yield start, stop, z

    def _shaped(self, prediction: Array) -> Array:
        """(n, 1) as (n,) where the targets were (n,)."""
        one_column = self._flat_targets and prediction.ndim == 2 and prediction.shape[1] == 1
        return namespace(prediction).reshape(prediction, (-1,)) if one_column else prediction

    # -- the notebook's steps by hand --

    def forward(self, X_train: Array) -> tuple[Array, dict[str, Array]]:
        """The output of the last layer, and the input of each layer by name.

        A step of training: layers keep their inputs for `backward`, and Dropout drops.
        """
        check_inputs(X_train, next(iter(self.layers.values())).n_in, "X_train")
        self.initialize(X_train)
        self._require_here(X_train=X_train)
        Xs, out = {}, X_train
        for name, layer in self.layers.items():
            Xs[name] = out
            out = layer.forward(out)
        return out, Xs

    def backward(self, grad: Array) -> tuple[Array, dict[str, Array]]:
        """The gradient at the input, and the gradient at each layer's output by name, from that at the last output."""
        dXs, out = {}, grad
        for name, layer in reversed(self.layers.items()):
            dXs[name] = out
            out = layer.backward(out)
        return out, dXs

    def update(self) -> None:
        """Move all parameters by the gradients gathered, then forget those."""
        for layer in self.layers.values():
            layer.update()
        self.flush_gradients()

    def flush_gradients(self, curr_loss: Any = None) -> None:
        """Zero the gradients and forget the retained inputs."""
        for layer in self.layers.values():
            layer.flush_gradients()

    # -- where it lives --

    def to(self, target: Any) -> Self:
        """Move the model to the library and device of `target`: an array, a device, or a string such as ``"cupy:1"``.

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
        specs = {}
        for name, layer in self.layers.items():
            specs[name] = str(layer)
            if layers.resolve(specs[name]) != layer:
                raise ValueError(
                    f"cannot save {name}: {specs[name]} does not make an equal layer; "
                    "its constructor must keep its arguments in attributes of the same names"
                )
        losses.resolve(str(self.loss))
        sizes = {name: [layer.n_in, layer.n_out] for name, layer in self.layers.items() if layer.is_initialized}
        tree = {
            "params": {name: layer.params for name, layer in self.layers.items()},
            "buffers": {name: layer.buffers for name, layer in self.layers.items()},
            "slots": self._slots,
        }
        meta = {
            "given": {
                "hidden_dims_1": self.hidden_dims_1,
                "hidden_dims_2": self.hidden_dims_2,
                "optimizer": str(self.optimizer),
                "init_w": str(self.init_w),
                "seed": self.seed,
            },
            "layers": specs,
            "loss": str(self.loss),
            "sizes": sizes,
            "state": {
                "_seed": self._seed,
                "_step": self._step,
                "_epoch": self._epoch,
                "_flat_targets": self._flat_targets,
            },
            "history": self.history,
        }
        checkpoint.write(path, {name: to_numpy(x) for name, x in _flatten(tree)}, meta)

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
        given = meta["given"]
        model = cls(layers=list(meta["layers"].values()), loss=meta["loss"], seed=given["seed"])
        for name in ("hidden_dims_1", "hidden_dims_2", "optimizer", "init_w"):
            setattr(model, name, given[name])
        model.layers = dict(zip(meta["layers"], model.layers.values(), strict=True))
        for name, value in meta["state"].items():
            setattr(model, name, value)
        model.history = meta["history"]
        tree = _nest({name: move(value, where) for name, value in arrays.items()})
        for name, (n_in, n_out) in meta["sizes"].items():
            layer = model.layers[name]
            layer.n_in, layer.n_out, layer.is_initialized = n_in, n_out, True
            layer.params = tree.get("params", {}).get(name, {})
            layer.buffers = tree.get("buffers", {}).get(name, {})
            layer.flush_gradients()
        model._slots = tree.get("slots", {})
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
        rows, n_in = [("layer", "kind", "output", "parameters")], next(iter(self.layers.values())).n_in
        for name, layer in self.layers.items():
            n_in = n_in if layer.n_out is None else layer.n_out
            kind = type(layer).__name__ + (f", {type(layer.acti_fn).__name__}" if layer.acti_fn else "")
            count = _count(layer)
            rows.append(
                (name, kind, f"(n, {'?' if n_in is None else n_in})", f"{count:,}" if layer.is_initialized else "?")
            )
        total = sum(map(_count, self.layers.values()))
        rows.append(("total", "", "", f"{total:,}" if self.is_initialized else "?"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
        return "\n".join(line.rstrip() for line in lines)

    def __repr__(self) -> str:
        inherited = optimizers.resolve("sgd" if self.optimizer is None else self.optimizer)
        specs = [
            layer.spec(omit=("optimizer",) if layer.optimizer == inherited else ()) for layer in self.layers.values()
        ]
        short = self.hidden_dims_1 is not None
        body = {
            "": f"{self.hidden_dims_1}, {self.hidden_dims_2}" if short else f"layers={specs}",
            "optimizer=": repr(str(self.optimizer)),
            **({"init_w=": repr(str(self.init_w))} if short else {}),
            "loss=": repr(str(self.loss)),
            **({} if self.seed is None else {"seed=": self.seed}),
        }
        return f"DFN({', '.join(f'{name}{value}' for name, value in body.items())})"

    # -- checks --

    @property
    def _dtype(self) -> Any:
        return self._some_parameter().dtype

    def _some_parameter(self) -> Array:
        for layer in self.layers.values():
            for value in layer.params.values():
                return value
        raise ValueError("the network has no parameters: expected at least one layer such as FullyConnected")

    def _n_in(self) -> int:
        if not self.is_initialized:
            raise ValueError("the model has no parameters yet: call fit first, or load a saved model")
        n_in = next(iter(self.layers.values())).n_in
        assert n_in is not None
        return n_in

    def _n_out(self, n_in: int) -> int:
        for layer in self.layers.values():
            n_in = n_in if layer.n_out is None else layer.n_out
        return n_in

    def _require_here(self, **arrays: Array) -> None:
        name = next(iter(arrays))
        require_place(
            place(self._some_parameter()), f"convert {name}, or move the model with model.to({name})", **arrays
        )

    def _check_targets(self, y: Array, where: Place, n: int) -> None:
        if not same_place(place(y), where):
            raise ValueError(f"y is on {place(y)} and X on {where}: convert one of them")
        if y.ndim not in (1, 2):
            raise ValueError(f"y must be 1-d or 2-d, got shape {tuple(y.shape)}")
        if y.shape[0] != n:
            raise ValueError(f"X and y must have the same number of rows, got {n} and {y.shape[0]}")
        check_real(namespace(y), y, "y")
        self.loss.check_shape(y, self._n_out(0))


class _Report:
    """The notebook's lines: an epoch's, and on request a batch's."""

    def __init__(self, verbose: bool | None) -> None:
        self.verbose, self.epoch = verbose, 0
        self.before = float("inf")
        self.epoch_start = self.batch_start = time.time()
        self.on_batch = self._on_batch if verbose else None

    def _on_batch(self, number: int, of: int, loss: float) -> None:
        now = time.time()
        print(f"\t[Batch {number}/{of}] Train loss: {loss:.3f} ({now - self.batch_start:.1f}s/batch)")
        self.batch_start = now

    def on_epoch(self, loss: float) -> None:
        self.epoch += 1
        now = time.time()
        if self.verbose is not None:
            minutes = (now - self.epoch_start) / 60
            print(f"[Epoch {self.epoch}] Avg. loss: {loss:.3f} Delta: {self.before - loss:.3f} ({minutes:.2f}m/epoch)")
        self.before, self.epoch_start, self.batch_start = loss, now, now


def _named_layers(given: Sequence[Any], optimizer: Any) -> dict[str, LayerBase]:
    """Copies of the layers by name, each with an optimizer of its own."""
    rule = optimizers.resolve("sgd" if optimizer is None else optimizer)
    named: dict[str, LayerBase] = {}
    if isinstance(given, dict):
        given = list(given.values())
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) == 0:
        raise ValueError(f"layers must be a list of at least one layer, got {given!r:.80}")
    counts: dict[str, int] = {}
    for spec in given:
        layer = layers.resolve(spec).clone()
        if not layer.own_optimizer:
            layer.optimizer, layer.own_optimizer = copy.deepcopy(rule), True
        prefix = layer.prefix or type(layer).__name__
        counts[prefix] = counts.get(prefix, 0) + 1
        named[f"{prefix}{counts[prefix]}"] = layer
    return named


def _count(layer: LayerBase) -> int:
    return sum(math.prod(value.shape) for value in layer.params.values())


def _flatten(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Array]]:
    """The arrays of nested dicts under names like ``params/FC1/W``."""
    pairs: list[tuple[str, Array]] = []
    for name, value in tree.items():
        pairs += _flatten(value, f"{prefix}{name}/") if isinstance(value, dict) else [(prefix + name, value)]
    return pairs


def _nest(arrays: dict[str, Array]) -> dict[str, Any]:
    """The reverse of `_flatten`."""
    tree: dict[str, Any] = {}
    for path, value in arrays.items():
        *folders, name = path.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[name] = value
    return tree
