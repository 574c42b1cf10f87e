"""The session of an ensemble: one run for all members, and behind it a `Session` of each, which tells its callbacks and
keeps its history. A member that stops, or diverges, is frozen: it keeps the state that its own fit would end with.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import cast

from xdfn.backend import Array, fresh_copy, read
from xdfn.core.interrupts import Interrupts
from xdfn.train.loop import Run, Values, require_finite
from xdfn.train.session import Session, append_values
from xdfn.train.stack import StackedRun, StackedScalars, StackedStep, stack_runs
from xdfn.train.state import TrainState


class StackedSession:
    """What the loop tells of a stack, passed on to the sessions of its members.

    Parameters
    ----------
    sessions : those of the members
    interrupts : Interrupts

    Attributes
    ----------
    diverged : list of int
        The members whose loss or parameters became NaN or infinite.
    """

    def __init__(self, sessions: Sequence[Session], interrupts: Interrupts) -> None:
        self.sessions, self.interrupts, self.diverged = list(sessions), interrupts, list[int]()
        self._run: StackedRun | None = None
        self._rows: dict[int, int] = {}  # of the members that train: their rows in the stack
        self._values: list[tuple[dict[int, int], dict[str, list[float]]]] = []  # of epochs, not told to sessions yet
        self._last_good: TrainState | None = None
        self._listening = any(session.callbacks or session.run.step.scalars.monitors for session in self.sessions)
        self.by_batch = any(session.by_batch for session in self.sessions)

    def begin(self) -> Run:
        """Tell the callbacks that the fit begins; give the run to train."""
        runs = [session.begin() for session in self.sessions]
        self._run = stack_runs(runs)
        self.keep(self._run.state)
        self._rows = {i: i for i, session in enumerate(self.sessions) if session.wants_epoch()}
        return self._run

    def next_batch(self) -> int:
        return min(self.sessions[i].next_batch() for i in self._rows)

    def on_batch(self, state: TrainState, n_batches: int, loss: Array) -> None:
        losses = functools.cache(lambda: read([], loss)[1])  # one read of the device for all members, if any
        self._scalars.settle()
        for i, row in self._rows.items():
            of_member = functools.partial(lambda row: losses()[row], row)
            self.sessions[i].tell_batch(self._step.member(state, row), n_batches, of_member)

    def wants_epoch(self) -> bool:
        left = self.sessions[0].plan.info.n_epochs - len(self._values)
        return bool(self._rows) and (self._listening or left > 0)

    def keep(self, state: TrainState) -> None:
        self._last_good = state

    def on_epoch(self, state: TrainState, values: Values) -> Run | None:
        table = cast(dict[str, list[float]], values)
        kept = table.pop("kept")
        bad: list[int] = []
        if not math.isfinite(sum(kept) + sum(table["loss"])):  # seldom
            doubtful = [i for i, row in self._rows.items() if not math.isfinite(kept[row] + table["loss"][row])]
            bad = [i for i in doubtful if self._is_lost(state, self._rows[i], table["loss"][self._rows[i]])]
        if bad or self._listening:
            self._scalars.settle()
        for i in bad:
            self._freeze(i, self._member(i))
            self.diverged.append(i)
        before, self._last_good = self._last_good, state
        if not self._listening:
            self._values.append((self._rows, table))
            return self._next_run(state, {})
        assert before is not None
        return self._next_run(state, self._tell(before, table))

    def _is_lost(self, state: TrainState, row: int, loss: float) -> bool:
        """Whether a number of a member is not finite: the sum of its numbers may overflow where none has."""
        try:
            require_finite(self._step.member(state, row), loss, loss)
        except FloatingPointError:
            return True
        return False

    def _tell(self, before: TrainState, table: dict[str, list[float]]) -> dict[int, Run]:
        """Tell the sessions of an epoch, all of them even if the callbacks of one fail; give the runs that changed.

        `before` is the state at the start of the epoch: that of a member whose epoch could not be measured.
        """
        changed: dict[int, Run] = {}
        failed: BaseException | None = None
        for i, row in list(self._rows.items()):
            session = self.sessions[i]
            n = session.epochs_done
            try:
                change = session.on_epoch(self._member(i), {name: column[row] for name, column in table.items()})
            except BaseException as error:
                failed = failed or error
                if session.epochs_done == n:
                    self._freeze(i, self._step.member(before, row))
                continue
            if change is not None:
                changed[i] = change
            if not session.wants_epoch():
                self._freeze(i, session.last_good if change is not None else self._member(i))
        if failed is not None:
            raise failed
        return changed

    def _next_run(self, state: TrainState, changed: dict[int, Run]) -> Run | None:
        """The run to go on with, if members changed or half of the stack is frozen; else None.

        A frozen member is dropped later than it stops, since a new stack is compiled or recorded anew.
        """
        assert self._run is not None
        step, rows = self._step, self._rows
        shrinks = 2 * len(rows) <= len(step.runs)
        if not rows or not (changed or shrinks):
            return None
        if not shrinks and all(run.step is step.runs[rows[i]].step for i, run in changed.items()):
            states = [step.member(state, row) for row in range(len(step.runs))]  # the same steps, with other values
            for i, run in changed.items():
                states[rows[i]] = run.state
            self._run = self._run._replace(state=step.join(states)._replace(step=state.step, epoch=state.epoch))
        else:
            runs = [changed.get(i) or self.sessions[i].run._replace(state=self._member(i)) for i in rows]
            self._run = stack_runs(runs)
            self._rows = {i: row for row, i in enumerate(rows)}
        self.keep(self._run.state)
        return self._run

    @property
    def _step(self) -> StackedStep:
        assert self._run is not None
        return cast(StackedStep, self._run.step)

    @property
    def _scalars(self) -> StackedScalars:
        return cast(StackedScalars, self._step.scalars)

    def _member(self, i: int) -> TrainState:
        """The last good state of a member that trains."""
        assert self._last_good is not None
        return self._step.member(self._last_good, self._rows[i])

    def _freeze(self, i: int, state: TrainState) -> None:
        """Give a member the state that it ends with, and train it no further."""
        self.sessions[i].keep(fresh_copy(state))
        self._scalars.release(self._rows[i])
        self._rows = {j: row for j, row in self._rows.items() if j != i}

    def finish(self) -> None:
        """Give the sessions what they have not heard of, and the members that train their last good states."""
        if self._run is None:
            return
        self._scalars.settle()
        for _, group in itertools.groupby(self._values, lambda pair: id(pair[0])):
            (rows, first), *rest = group
            for i, row in rows.items():
                history = self.sessions[i].model.history
                append_values(history, {name: column[row] for name, column in first.items()})
                for name, values in history.items():
                    values += [table[name][row] if name in table else math.nan for _, table in rest]
                self.sessions[i].epochs_done += 1 + len(rest)
        self._values = []
        for i in list(self._rows):
            self._freeze(i, self._member(i))
