"""What surrounds a fit: no other fit of the same model, a way back if it fails, and the file that it goes on from."""

import contextlib
import os
from collections.abc import Iterator, Mapping

from xdfn import checkpoint
from xdfn.backend import Array, place
from xdfn.core.interrupts import Interrupts
from xdfn.core.part import config_key
from xdfn.core.registry import Spec
from xdfn.nn.layers.base import LayerBase
from xdfn.nn.losses import ObjectiveBase
from xdfn.optim.base import OptimizerBase
from xdfn.portable import Portable
from xdfn.train.callbacks.base import Callback
from xdfn.train.callbacks.checkpoint import Checkpoint
from xdfn.train.memory import Memory
from xdfn.train.options import FitOptions
from xdfn.train.plan import Configured, Plan, make_plan
from xdfn.train.shared_session import agreed, join

EVERY = "60s"  # at most so much is lost
Optimizer = tuple[Spec[OptimizerBase] | None, OptimizerBase]  # as it was given, and as an object
Attributes = dict[str, object]
# what a fit changes: memory, optimizer, loss, layers, the attributes of each, what is remembered of it, the history
UndoPoint = tuple[
    Memory, Optimizer, ObjectiveBase, dict[str, LayerBase], list[Attributes], Attributes, dict[str, list[float]]
]


class Fitting(Portable, Configured):
    """The half of `DFN.fit` that is not training."""

    _layers: dict[str, LayerBase]
    _optimizer: Optimizer
    _memory: Memory
    _remembered: dict[str, object]
    loss: ObjectiveBase

    @contextlib.contextmanager
    def _alone(self, shared: Interrupts | None = None) -> Iterator[None]:
        """Refuse a fit while another one of the same model goes on. An ensemble has its interrupts in common."""
        mine = Interrupts() if shared is None else shared
        if vars(self).setdefault("_fitting", mine) is not mine:  # one operation, whatever other threads do
            raise ValueError(
                "fit was called while another fit of the same model goes on, by a callback or a thread; fit a "
                "copy.copy(model) there"
            )
        with contextlib.nullcontext() if shared is not None else mine:
            try:
                yield
            finally:
                del vars(self)["_fitting"]

    def _report(self, before: UndoPoint, complete: bool) -> None:
        """After a fit: keep what the last good epoch left, or take all back if there was none; tell the callbacks."""
        session, self._session = self._session, None
        if session is None:
            self._state = before
            return
        try:
            if complete or session.epochs_done:
                session.finish()
                self._memory.callbacks = {} if complete else session.remembered()
                self._memory.stopped = self.stop_training
            else:
                self._state = before
        finally:
            session.end(complete)

    @property
    def _state(self) -> UndoPoint:
        """All that a fit changes, so that it can be taken back by assigning what was read before."""
        attributes = [dict(vars(layer)) for layer in self._layers.values()]
        return self._memory, self._optimizer, self.loss, self._layers, attributes, self._remembered, self.history

    @_state.setter
    def _state(self, state: UndoPoint) -> None:
        self._memory, self._optimizer, vars(self)["loss"], self._layers, attributes, self._remembered, history = state
        self.history = history
        for layer, of_layer in zip(self._layers.values(), attributes, strict=True):
            vars(layer).clear()
            vars(layer).update(of_layer)

    def _planned(self, X: Array, y: Array, like: Array, options: FitOptions, verbose: object) -> Plan:
        """The plan of a fit, all of whose arguments are good; of several ranks all have one, or none."""
        with agreed(options.ranks):
            join(options.ranks, self.config(), self._memory, X, y, options)
            self.initialize(like)
            plan = make_plan(self.config(), self._memory, X, y, like, options)
        given = {"n_epochs": options.n_epochs, "batch_size": options.batch_size, "verbose": verbose}
        self._remembered = {"n_features": X.shape[1], **given}
        return plan

    def _resumed(self, options: FitOptions, like: Array) -> FitOptions:
        """The options of a fit that goes on from its file, if it is to: the epochs that are left.

        The model is then as the file says. `is_over` of the options says whether the run had ended. The memory is one
        that the fit may change.

        Raises
        ------
        ValueError
            The file is of another model; nothing has changed then.
        """
        path, self._memory = options.resume, self._memory.copy()
        if path is None:
            return options
        there = os.path.realpath(path)
        if not any(saves_to(callback, there) for _, callback in options.callbacks):
            saving = ("resume", Checkpoint(path, every=EVERY))
            options = options._replace(callbacks=[*options.callbacks, saving])
        if not os.path.exists(there):
            return options
        saved = checkpoint.load(path, place(like))
        layers = self.config().layers
        mine, theirs = described(self.given(), layers, self.loss), described(*saved[:3])
        for name, layer in saved.layers.items():
            if layer.params and name in layers:
                mine[f"optimizer of {name}"] = type(layers[name].optimizer).__name__
                theirs[f"optimizer of {name}"] = type(layer.optimizer).__name__
        for name in mine | theirs:
            if mine.get(name) != theirs.get(name):
                raise ValueError(
                    f"resume={path!r} is of another model: its {name} is {theirs.get(name)}, expected {mine.get(name)}"
                )
        self._layers, self._memory, self.history = saved.layers, saved.memory, saved.history
        self._memory.optimizer_key = config_key(self._optimizer[1])
        left = 0 if saved.memory.stopped and not saved.memory.callbacks else options.n_epochs - saved.memory.epoch
        return options._replace(n_epochs=max(0, left), is_over=left <= 0 and not saved.memory.callbacks)


def saves_to(callback: Callback, path: str) -> bool:
    return isinstance(callback, Checkpoint) and os.path.realpath(callback.path) == path


def described(given: Mapping[str, object], layers: Mapping[str, LayerBase], loss: object) -> dict[str, str]:
    """What two models must have in common for one to go on as the other; rates may have changed on the way."""
    named = {f"layer {name}": layer.spec(omit=("optimizer",)) for name, layer in layers.items()}
    return {
        **named,
        "loss": str(loss),
        **{name: str(given[name]) for name in ("seed", "clip_value", "clip_norm", "ema")},
    }
