"""A session is one call of `DFN.fit`, as its callbacks see it: they are told of epochs and batches, see what training
has come to, and may change the model, which the loop then goes on with. Through it alone training calls upwards.
"""

import contextlib
import math
from collections.abc import Callable
from numbers import Real
from typing import Protocol

from xdfn.backend import Array, fresh_copy, read
from xdfn.core.fields import is_own
from xdfn.core.interrupts import Interrupts
from xdfn.core.tree import Tree
from xdfn.nn.layers.base import LayerBase
from xdfn.train.callbacks.base import Callback, Model
from xdfn.train.loop import Run
from xdfn.train.memory import Memory
from xdfn.train.plan import ModelConfig, Plan, check_schedules, make_step
from xdfn.train.state import TrainState
from xdfn.train.step import TrainStep


class FittedModel(Model, Protocol):
    """What a session needs of a model beyond what callbacks may use."""

    layers: dict[str, LayerBase]

    def config(self) -> ModelConfig: ...


class Session:
    """The callbacks of a fit, and what they may look at and change.

    Parameters
    ----------
    model : DFN
        Handed to the callbacks, and asked for its configuration after them.
    memory : Memory
        The model's own, which `publish` brings up to date.
    plan : Plan
    """

    def __init__(self, model: FittedModel, memory: Memory, plan: Plan) -> None:
        self.model, self.memory, self.plan, self.run = model, memory, plan, plan.run
        self.layers = dict(model.config().layers)
        self.callbacks = [callback for _, callback in plan.callbacks]
        self.by_batch = any(callback.by_batch for callback in self.callbacks)
        self.may_change_model = any(callback.may_change_model for callback in self.callbacks)
        self.epochs_left, self.epochs_done = plan.info.n_epochs, 0
        self.last_good = plan.run.state  # that of the last complete epoch
        self._unpublished: TrainState | None = None  # further than the model shows
        self._begun: list[tuple[str, Callback]] = []
        self.interrupts = vars(model).get("_fitting") or Interrupts()

    # -- what the loop calls --

    def begin(self) -> Run:
        """Tell the callbacks that the fit begins; give the run to train."""
        # an epoch after which a callback wanted to stop may be the last one before a crash
        self.model.stop_training = self.memory.stopped and bool(self.memory.callbacks)
        self.memory.stopped = False
        for name, callback in self.plan.callbacks:
            with self._interrupts_of(callback):
                callback.on_fit_begin(self.model, self.plan.info)
            self._begun.append((name, callback))
            if name in self.memory.callbacks:
                callback.restore(self.memory.callbacks[name])
        if self.epochs_left:
            self._begin_epoch()
        return self.run

    def wants_epoch(self) -> bool:
        return bool(self.epochs_left) and not self.model.stop_training

    def keep(self, state: TrainState) -> None:
        self.last_good = state

    def next_batch(self) -> int:
        return min(callback._next_batch() for callback in self.callbacks if callback.by_batch)

    def on_batch(self, state: TrainState, n_batches: int, loss: Array) -> None:
        self.tell_batch(state, n_batches, lambda: read([loss])[0][0])

    def tell_batch(self, state: TrainState, n_batches: int, loss: Callable[[], float]) -> None:
        self._unpublished = state
        for callback in self.callbacks:
            if callback.by_batch:
                with self._interrupts_of(callback):
                    callback.on_batch_end(self.model, state.batch, n_batches, loss)
        self._unpublished = None

    def on_epoch(self, state: TrainState, values: dict[str, float]) -> Run | None:
        """Record the epoch and tell the callbacks; give the run to go on with, if they changed the model."""
        if self.callbacks:
            self._unpublished = state
            values |= self._measured()
        self.keep(state)
        self.epochs_left, self.epochs_done = self.epochs_left - 1, self.epochs_done + 1
        append_values(self.model.history, values)
        if not self.callbacks:
            self.agree()
            return None
        if self.may_change_model:
            self.publish()
        self._tell(values)
        self.agree()
        return self._begin_epoch() if self.wants_epoch() else self._changed_run()

    def _tell(self, values: dict[str, float]) -> None:
        """Tell the callbacks of an epoch: the library's own even if a user's is interrupted, for they count epochs."""
        interrupt: KeyboardInterrupt | None = None
        for callback in self.callbacks:
            if interrupt is None or is_own(type(callback)):
                try:
                    with self._interrupts_of(callback):
                        callback.on_epoch_end(self.model, dict(values))
                except KeyboardInterrupt as error:
                    interrupt = error
        if interrupt is not None:
            raise interrupt

    def _interrupts_of(self, callback: Callback) -> contextlib.AbstractContextManager[None]:
        """A user's callback may be interrupted."""
        return contextlib.nullcontext() if is_own(type(callback)) else self.interrupts.allowed

    def agree(self) -> None:
        """After the callbacks of an epoch. Ranks that train together tell each other how they stand."""

    # -- towards the model --

    def publish(self) -> None:
        """Show in the model what training has come to; training goes on with arrays of its own."""
        state, self._unpublished = self._unpublished, None
        if state is not None:
            self._unpack(fresh_copy(state))

    def _unpack(self, state: TrainState) -> None:
        self.memory.unpack(self.run.step, state, self.layers)
        self.memory.epoch_of = (self.run.rows.n, self.run.batch_size) if state.batch else ()

    @property
    def learning_rate(self) -> float:
        return self.run.step.scalars.rate

    def remembered(self) -> dict[str, dict[str, Tree]]:
        """What the callbacks remember, by their names."""
        return {name: state for name, callback in self._begun if (state := callback.state())}

    def finish(self) -> None:
        """Give the model the last good state."""
        self._unpublished = None
        self._unpack(self.last_good)

    def end(self, complete: bool) -> None:
        """Tell the callbacks that it is over."""
        with contextlib.ExitStack() as stack:  # all of them, even if one fails; what is called first comes last
            for late in (True, False):
                for _, callback in self._begun:
                    if callback.late == late:
                        stack.callback(callback.on_fit_end, self.model, complete)

    # -- what callbacks do --

    def _measured(self) -> dict[str, float]:
        """The values that the callbacks measure."""
        values: dict[str, float] = {}
        for callback in self.callbacks:
            if callback.names:
                with self._interrupts_of(callback):
                    given = callback.measure(self.model)
                if set(given) != set(callback.names) or not all(isinstance(v, Real) for v in given.values()):
                    raise ValueError(
                        f"{type(callback).__name__}.measure must give a number for each of {callback.names}, got "
                        f"{given!r:.200}"
                    )
                values |= given
        return values

    def _begin_epoch(self) -> Run | None:
        for callback in self.callbacks:
            with self._interrupts_of(callback):
                callback.on_epoch_begin(self.model)
        return self._changed_run()

    def make_step(self, config: ModelConfig) -> tuple[TrainStep, TrainState]:
        """The step of the model as callbacks left it, and the state from which it goes on."""
        return make_step(config, self.memory, self.plan.like)

    def _changed_run(self) -> Run | None:
        """The run of the model as callbacks left it; None if they cannot have changed it."""
        published = self._unpublished is None
        self._unpublished = None
        if not (self.may_change_model and published):
            return None
        config = self.model.config()
        now = config.layers
        if now.keys() != self.layers.keys() or any(now[name] is not self.layers[name] for name in now):
            self.model.layers = self.layers
            raise ValueError("layers cannot be replaced within a fit; change their parameters and hyper-parameters")
        step, state = self.make_step(config)
        if step.same(self.run.step):
            step = self.run.step  # with all that is recorded of it
        else:
            check_schedules(step, state, self.epochs_left, self.plan.info)
        self.run, self.last_good = self.run._replace(step=step, state=state), state
        return self.run


def append_values(history: dict[str, list[float]], values: dict[str, float]) -> None:
    """The values of an epoch at the end of the history, NaN where there is none."""
    if values.keys() != history.keys():
        n = max(map(len, history.values()))
        for name in values:
            history.setdefault(name, [math.nan] * n)
        values = {name: values.get(name, math.nan) for name in history}
    for name, value in values.items():
        history[name].append(value)
