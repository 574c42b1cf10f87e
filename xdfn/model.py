"""`DFN`, the public model: layers, a loss, an optimizer, and what training has left behind."""

import copy
import os
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar, Self, SupportsIndex, cast

from xdfn import checkpoint
from xdfn.backend import ArrayLike, Communicator, computing, real_name
from xdfn.core.fields import Field, Guarded, Remembered, SetOnce, integer, optional_number_field
from xdfn.core.keywords import known_arguments
from xdfn.core.part import config_key
from xdfn.core.registry import Spec
from xdfn.custom_loop import CustomLoop
from xdfn.fitting import Fitting
from xdfn.functional import Functional
from xdfn.inference import Predictor
from xdfn.nn.initializers import InitializerBase, initializers
from xdfn.nn.layers.base import LayerBase, check_layers, named
from xdfn.nn.layers.base import layers as layer_registry
from xdfn.nn.layers.dense import stack
from xdfn.nn.losses import CrossEntropy, ObjectiveBase, losses
from xdfn.notebook import OptimizerInitializer, notebook_layers
from xdfn.optim.base import OptimizerBase
from xdfn.train.callbacks.base import Callback
from xdfn.train.checks import check_inputs
from xdfn.train.loop import train
from xdfn.train.memory import Memory
from xdfn.train.metrics.resolve import Metrics
from xdfn.train.options import ClassWeight, ValidationData, check_options, device_template
from xdfn.train.plan import ModelConfig, make_params, read_rows
from xdfn.train.session import Session
from xdfn.train.shared_session import agreed, open_session, train_together
from xdfn.train.step import StepOptions

__all__ = ["DFN"]


def _initializer(name: str, spec: object) -> Spec[InitializerBase]:
    """The spec as it was given, after a look whether it is one."""
    initializers.resolve(spec)
    return cast(Spec[InitializerBase], spec)


class DFN(Predictor, CustomLoop, Functional, Fitting, Guarded):
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
        The layers of another network. They are copied; weights that they have already are kept.
    seed : int, optional
        Where all randomness comes from: the same seed is the same network on every array library. None draws a seed
        from NumPy's global generator.
    clip_value, clip_norm : float, optional
        Cut each element of the gradients to +-clip_value; scale all of them together to a norm of at most clip_norm
        (Pascanu et al. 2013, arXiv:1211.5063).
    ema : float in [0, 1), optional
        Keep a moving average of the parameters, a <- d a + (1 - d) p after every step t = 0, 1, ... with d = ema, or
        (1 + t) / (10 + t) while that is less (Polyak and Juditsky 1992; the start as in TensorFlow). All inference,
        that of a validation included, uses the averages, until None is assigned or other weights are; `layers`
        hold the parameters themselves.

    Attributes
    ----------
    layers : dict of LayerBase by name: ``"FC1"``, ``"FC2"``, ``"Dropout1"``, ...
        Between calls their `params` are the truth: read them, or assign to them.
    loss : ObjectiveBase
    history : dict of lists, one value an epoch: ``"loss"``, the mean over the rows, ``"val_loss"`` and the other
        measured values, NaN for epochs without.
    stop_training : bool; a callback sets it to end the fit after the epoch
    n_features, n_epochs, batch_size, verbose : those of the last fit

    Examples
    --------
    >>> import numpy as np
    >>> X = np.asarray([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> y = np.asarray([0, 1, 1, 0])
    >>> model = DFN(layers=["fc(8, 'tanh')", 2], optimizer="adam(lr=0.1)", seed=0)
    >>> model.fit(X, y, n_epochs=100, batch_size=4, verbose=None).predict(X).tolist()
    [0, 1, 1, 0]
    """

    loss = Field(lambda name, spec: copy.deepcopy(losses.resolve(spec)))
    hidden_dims_1, hidden_dims_2 = (SetOnce(lambda name, value: cast(int | None, value)) for _ in range(2))
    init_w = SetOnce(_initializer)
    seed = SetOnce(lambda name, value: None if value is None else integer(name, value, 0))
    clip_value = optional_number_field(0, open_low=True)
    clip_norm = optional_number_field(0, open_low=True)
    ema = optional_number_field(0, 1, open_high=True)
    stop_training = Field(lambda name, value: bool(value))
    n_features = Remembered[int]("fit", "the first X that is fitted has them")
    n_epochs, batch_size = (Remembered[int]("fit", "pass it to fit") for _ in range(2))
    verbose = Remembered[bool | int | None]("fit", "pass it to fit")

    _hints: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("lr", "learning_rate"), "the rate is the optimizer's; assign one, as in model.optimizer = 'adam(lr=1e-3)'"
    )

    @known_arguments
    def __init__(
        self,
        hidden_dims_1: SupportsIndex | None = None,
        hidden_dims_2: SupportsIndex | None = None,
        optimizer: Spec[OptimizerBase] | None = "sgd(lr=0.01)",
        init_w: Spec[InitializerBase] = "std_normal",
        loss: Spec[ObjectiveBase] = CrossEntropy(),  # noqa: B008  the notebook's signature; the model takes a copy
        *,
        layers: Sequence[SupportsIndex | Spec[LayerBase]] | None = None,
        seed: SupportsIndex | None = None,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        ema: float | None = None,
    ) -> None:
        if isinstance(optimizer, int):
            units = [hidden_dims_1, hidden_dims_2, optimizer]
            raise ValueError(f"DFN expects an optimizer, got int: {optimizer}; for three layers: DFN(layers={units})")
        self.hidden_dims_1, self.hidden_dims_2 = hidden_dims_1, hidden_dims_2
        self.init_w, self.loss = init_w, loss
        self.seed, self.clip_value, self.clip_norm, self.ema = seed, clip_value, clip_norm, ema
        self._session: Session | None = None  # while a fit goes on
        self._remembered: dict[str, object] = {}  # of the last fit
        self._layers: dict[str, LayerBase] = {}
        if layers is not None:
            if hidden_dims_1 is not None or hidden_dims_2 is not None:
                raise ValueError("DFN expects either layers=[...] or hidden_dims_1 and hidden_dims_2, got both")
            self._layers = named(stack(layers))
        elif type(self)._set_params is DFN._set_params:  # one that is overridden is called with the first rows
            self._set_params()
        made = [value for layer in self._layers.values() for value in layer.params.values()]
        self._memory = Memory(seed=self.seed, dtype=real_name(made[0].dtype) if made else "")
        self.optimizer = optimizer
        self.history: dict[str, list[float]] = {"loss": []}
        self.stop_training = False

    @classmethod
    def attributes(cls) -> Collection[str]:
        return ("history",)

    def _set_params(self) -> None:
        """Make the layers: the notebook's own hook. One in a subclass is called before the first fit, as there."""
        self._layers = named(notebook_layers(self.hidden_dims_1, self.hidden_dims_2, self.init_w))

    def _make_layers(self, n_in: int) -> None:
        """Have a subclass make its layers."""
        self._remembered = {**self._remembered, "n_features": n_in}
        self._layers = {}
        self._set_params()
        self._layers = {name: layer_registry.resolve(spec) for name, spec in self._layers.items()}
        check_layers(self._layers)
        _, rule = self._optimizer
        for layer in self._layers.values():  # one that was given the model's optimizer is to follow it
            if layer.optimizer == rule:
                layer.inherit(rule)

    @property
    def layers(self) -> dict[str, LayerBase]:
        if self._session is not None:  # callbacks see what training has come to
            self._session.publish()
        return self._layers

    @layers.setter
    def layers(self, layers: dict[str, LayerBase]) -> None:
        self._layers = layers if isinstance(layers, dict) else named(stack(layers))

    @property
    def optimizer(self) -> Spec[OptimizerBase] | None:
        """The optimizer as it was given. Assign to change that of every layer without one of its own."""
        return self._optimizer[0]

    @optimizer.setter
    def optimizer(self, spec: Spec[OptimizerBase] | None) -> None:
        # as it was given, and as an object; a copy, so that a rule that is given to two models is not shared
        rule = copy.copy(OptimizerInitializer(spec)())
        self._optimizer = (rule if isinstance(spec, OptimizerBase) else spec), rule
        self._memory.optimizer_key = None
        self._share_optimizer()
        for name, layer in self.layers.items():
            if layer.inherits:
                self._memory.restart_schedule(name)

    def _share_optimizer(self) -> OptimizerBase:
        """Give the optimizer, as it is now, to the layers that follow it, if it has changed since they got it."""
        _, rule = self._optimizer
        key = config_key(rule)
        if key != self._memory.optimizer_key:
            for layer in self._layers.values():
                if layer.inherits:
                    layer.inherit(rule)
            self._memory.optimizer_key = key
        return rule

    def config(self) -> ModelConfig:
        """What the model is, as training sees it."""
        self._share_optimizer()
        return self._config()

    def _config(self) -> ModelConfig:
        return ModelConfig(self.layers, self.loss, StepOptions(self.clip_value, self.clip_norm, self.ema), self.history)

    # -- training --

    @known_arguments
    def fit(
        self,
        X_train: ArrayLike,
        y_train: ArrayLike,
        n_epochs: SupportsIndex = 20,
        batch_size: SupportsIndex = 64,
        verbose: bool | int | None = False,
        *,
        sample_weight: ArrayLike | None = None,
        class_weight: ClassWeight = None,
        validation_data: ValidationData = None,
        validation_fraction: float | None = None,
        metrics: Metrics = None,
        callbacks: Sequence[Spec[Callback]] = (),
        check_input: bool = True,
        device: object = None,
        comm: Communicator | None = None,
        rows: str = "all",
        resume: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Train for `n_epochs` more epochs; a second call goes on where the first ended.

        The library, the device and the dtype of the first X decide where and in what the network computes, unless
        `device` says so. What is of no array library, a list or a frame of pandas or polars, goes to NumPy, or to
        where the network is already.

        Parameters
        ----------
        X_train : array (n, n_in), frame or list of rows
            float64, and what is wider, trains in float64, all else in float32; it is cast batch by batch.
        y_train : array (n, n_out) or (n,), frame, series or list
            One-hot rows or integer class numbers for CrossEntropy, 0 and 1 for BinaryCrossEntropy, else numbers.
        n_epochs, batch_size : int
        verbose : bool, int or None
            False: a line an epoch. True: also one a batch, for which the device is read each time. None or 0: nothing.
            1: a progress bar on a terminal, lines elsewhere. 2: a line an epoch.
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
            What else is measured there, such as ``"accuracy"``, which becomes ``history["val_accuracy"]``; without a
            validation on the rows that are trained on, as ``history["accuracy"]``. See `FunctionMetric`.
        callbacks : sequence of str or Callback
            They are told of each epoch, such as ``EarlyStopping("val_loss", patience=5)``. They begin anew with each
            fit, except one that resumes what an error, an interrupt or the end of the process cut short.
        check_input : bool
            Look once for NaN, infinity, targets out of range, and in embedded columns for numbers of no category.
        device : str, array or device, optional
            Where the network computes, as for `to`, while X and y, NumPy arrays or memory-mapped files, stay on the
            host and go there by a few batches at a time: for data larger than the memory of a GPU.
        comm : Communicator, optional
            Joins processes that train this model together, as `xdfn.distributed.mpi()` does: see docs/distributed.md.
        rows : "all" or "own", whether each of these processes sees all rows, or brings rows of its own
        resume : str or path, optional
            A file to save to, once a minute unless a `Checkpoint` to it says otherwise, and to go on from if it is
            there: `n_epochs` counts those that are in it. If the run in it had ended, nothing happens.

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
        with self._alone(), train_together(comm, rows) as ranks:
            # validate
            with agreed(ranks):
                options = check_options(
                    n_epochs, batch_size, verbose, sample_weight, class_weight, validation_data, validation_fraction,
                    metrics, callbacks, check_input, device, ranks, resume,
                )  # fmt: skip
                X, y = read_rows(self.config(), X_train, y_train, options)
            like, before, complete = device_template(X, options.where), self._state, False
            options = self._resumed(options, like)
            if options.is_over:
                return self
            with computing(like):
                try:
                    # plan
                    plan = self._planned(X, y, like, options, verbose)
                    # run
                    self._session = open_session(self, self._memory, plan)
                    train(self._session.begin(), self._session)
                    complete = True
                finally:
                    # report
                    self._report(before, complete)
        return self

    def initialize(self, X: ArrayLike) -> Self:
        """Make the parameters that are still missing, for inputs like X (n, n_in). fit and forward do it unasked."""
        rows = self.config().as_array("X", X)
        check_inputs(rows, self.config().n_in)
        if not self._layers:
            self._make_layers(rows.shape[1])
        make_params(self.config(), self._memory, self._share_optimizer(), rows)
        return self

    def reset(self) -> Self:
        """Forget what was learned, the history too: the next fit begins anew, with newly drawn parameters.

        So go weights that were assigned or that came with a layer; frozen layers alone keep theirs.

        Examples
        --------
        >>> DFN(4, 2).reset().history
        {'loss': []}
        """
        if self._session is not None:
            raise ValueError("reset was called by a callback of a fit; set model.stop_training and reset after the fit")
        for layer in self._layers.values():
            if layer.trainable:
                layer.forget_params()
        # a rate that was assigned to a layer stays
        self._memory = Memory(seed=self.seed, optimizer_key=self._memory.optimizer_key)
        self.history, self._remembered = {"loss": []}, {}
        return self

    @property
    def learning_rate(self) -> float:
        """The rate of the last step of `fit`, of the first layer that has parameters; NaN before."""
        return self._memory.learning_rate if self._session is None else self._session.learning_rate

    @classmethod
    def _from_saved(cls, saved: checkpoint.Saved) -> Self:
        given = dict(saved.given)
        hidden = {name: given.pop(name) for name in ("hidden_dims_1", "hidden_dims_2", "init_w")}
        model = cls(layers=[layer.clone(bare=True) for layer in saved.layers.values()], loss=saved.loss, **given)
        vars(model).update(hidden)
        model._layers, model._memory, model.history = saved.layers, saved.memory, saved.history
        model._memory.optimizer_key = config_key(model._optimizer[1])
        return model
