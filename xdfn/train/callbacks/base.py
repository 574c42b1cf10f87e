"""Training can be watched and steered: callbacks are told when it begins and ends, and when its epochs and batches do.
They may look at the model at any time, and change it after an epoch.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple, Protocol

from xdfn.backend import Array
from xdfn.core.part import Part, closest_override
from xdfn.core.registry import Registry, Spec
from xdfn.core.tree import Tree
from xdfn.nn.layers.base import LayerBase
from xdfn.optim.base import OptimizerBase
from xdfn.train.callbacks.hooks import require_hooks
from xdfn.train.metrics.base import MetricBase

__all__ = ["Callback"]

State = dict[str, Tree]  # numbers, strings, lists, dicts and arrays, by name


class Model(Protocol):
    """What a callback may use of the model that is being trained, the `DFN`."""

    layers: dict[str, LayerBase]
    history: dict[str, list[float]]
    stop_training: bool
    optimizer: Spec[OptimizerBase] | None
    batch_size: int

    @property
    def learning_rate(self) -> float: ...
    def predict(self, X: Array, /) -> Array: ...
    def evaluate(self, X_test: Array, y_test: Array, /) -> float: ...
    def save(self, path: str, /) -> None: ...
    def snapshot(self) -> State: ...
    def put_back(self, snapshot: State, /) -> None: ...


class FitInfo(NamedTuple):
    """What a fit is about to do.

    Attributes
    ----------
    n_epochs, n_batches : int
        The epochs of the fit, and the batches of one epoch.
    values : tuple of str
        The names of the values of an epoch, as in ``model.history``.
    metrics : dict of MetricBase
        What is measured at the end of an epoch, by its name among the values, such as ``"val_accuracy"``.
    """

    n_epochs: int
    n_batches: int
    values: tuple[str, ...]
    metrics: Mapping[str, MetricBase]


class Callback(Part):
    """Base of the callbacks. Override the methods that you need; `model` is the DFN, which may be used as after `fit`.

    What a callback changes on the model between two epochs, weights and hyper-parameters, holds from the next epoch on;
    weights that are changed after a batch are not kept. ``model.stop_training = True`` ends the fit after the epoch.

    A callback that remembers something from epoch to epoch returns it from `state()`, a dict of numbers, strings,
    lists, dicts and arrays, and takes it back in `restore(state)`. The state is saved with the model; a fit that
    resumes an interrupted one, with an equal callback, restores it after `on_fit_begin`.

    The names of helper methods begin with an underscore. A public one that looks like a method of other libraries, such
    as ``on_train_begin``, or like one of these misspelt, is a TypeError when the class is made.

    Attributes
    ----------
    names : tuple of str
        The names of the values that `measure` returns.
    late : bool
        Whether the callback is called after the others.
    by_first_rank : bool
        Whether the first rank alone calls it, where several train together: one that prints or writes files.
    may_change_model : bool
        Whether the methods may change parameters or hyper-parameters of the model: training looks for changes after
        them. A class that overrides a method without stating it is taken to change the model.

    Examples
    --------
    >>> import numpy as np
    >>> from xdfn import DFN
    >>> class Patient(Callback):
    ...     def on_epoch_end(self, model, values):
    ...         print(f"epoch {len(model.history['loss'])}: {values['loss']:.2f}")
    >>> X, y = np.eye(4), np.asarray([0, 1, 0, 1])
    >>> model = DFN(4, 2, seed=0).fit(X, y, 2, verbose=None, callbacks=[Patient()])
    epoch 1: 0.69
    epoch 2: 0.69
    """

    names: tuple[str, ...] = ()
    late: bool = False
    may_change_model: ClassVar[bool] = True
    by_first_rank: ClassVar[bool] = False

    def __init_subclass__(cls, traceable: bool = False) -> None:
        super().__init_subclass__(traceable=traceable)
        require_hooks(cls, Callback, _METHODS)
        if closest_override(cls, ("may_change_model",), _METHODS) == 1:
            cls.may_change_model = True

    def on_fit_begin(self, model: Model, info: FitInfo) -> None:
        """Before the first epoch. Raise here if the fit does not suit the callback: nothing has happened yet."""

    def on_epoch_begin(self, model: Model) -> None: ...

    def on_batch_end(self, model: Model, batch: int, n_batches: int, loss: Callable[[], float]) -> None:
        """After a batch, counted from 1. ``loss()`` reads the device, which nothing else does within an epoch.

        A callback that has this method makes training go batch by batch, which on JAX costs much of its speed.
        """

    def measure(self, model: Model) -> dict[str, float]:
        """Values of the epoch beside the loss and those of the validation; they go into ``model.history`` too.

        Their names are in `names`.
        """
        return {}

    def on_epoch_end(self, model: Model, values: dict[str, float]) -> None:
        """After an epoch, whose values are in ``model.history`` already."""

    def on_fit_end(self, model: Model, complete: bool) -> None:
        """After the last epoch; not `complete` if an error or an interrupt ended the fit."""

    def state(self) -> State:
        return {}

    def restore(self, state: State) -> None: ...

    def _next_batch(self) -> int:
        """After how many batches `on_batch_end` is to be called next, at the latest."""
        return 1

    @property
    def by_batch(self) -> bool:
        """Whether `on_batch_end` is to be called."""
        return type(self).on_batch_end is not Callback.on_batch_end


_METHODS = (
    "on_fit_begin",
    "on_epoch_begin",
    "on_batch_end",
    "measure",
    "on_epoch_end",
    "on_fit_end",
    "state",
    "restore",
)

callbacks: Registry[Callback] = Registry("callback", Callback)
