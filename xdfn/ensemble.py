"""Many networks of one shape, trained at once."""

import contextlib
import copy
import math
from collections.abc import Iterator, Sequence
from typing import Self, SupportsIndex, cast

from xdfn.backend import HOST, Array, ArrayLike, Host, computing, namespace, place, with_rows_together
from xdfn.core.fields import integer
from xdfn.core.interrupts import Interrupts
from xdfn.core.keywords import known_arguments
from xdfn.core.registry import Spec
from xdfn.fitting import UndoPoint
from xdfn.model import DFN
from xdfn.train.callbacks.base import Callback
from xdfn.train.loop import train
from xdfn.train.metrics import MetricBase, sign
from xdfn.train.metrics.resolve import Metrics
from xdfn.train.options import ClassWeight, FitOptions, ValidationData, check_options, device_template
from xdfn.train.plan import metrics_by_name, read_rows
from xdfn.train.session import Session
from xdfn.train.stacked_session import StackedSession

__all__ = ["Ensemble"]


class Ensemble:
    """Networks of one shape that are trained at once: their parameters lie in stacks, one product a layer serves all.

    Each member becomes the network that its own `fit` would make of it, with its own seed: its initial parameters, its
    order of the rows, its dropout masks, its early stopping.

    Parameters
    ----------
    model : DFN, or a sequence of DFN
        One model, of which `k` copies are made that have learned nothing and have the seeds 0 to k - 1. Or the members
        themselves, which may differ in their seeds, in learning rates and their schedules, in the rates of Dropout, in
        the strengths of L1, L2 and MaxNorm, in the weight_decay of AdamW and SGDW, and in how weights are drawn.
    k : int, optional

    Attributes
    ----------
    members : tuple of DFN
    diverged : tuple of int
        The members whose loss or parameters became NaN or infinite in the last fit. They stand where they did at the
        end of their last good epoch.

    Examples
    --------
    >>> import numpy as np
    >>> from xdfn import DFN
    >>> X, y = np.asarray([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.asarray([0, 1, 1, 0])
    >>> ensemble = Ensemble(DFN(layers=["fc(4, 'tanh')", 2], optimizer="adam(lr=0.1)"), k=8)
    >>> mean, spread = ensemble.fit(X, y, n_epochs=100, batch_size=4).predict(X)
    >>> mean.shape, spread.shape
    ((4, 2), (4, 2))
    >>> ensemble.best("loss").predict(X).tolist()
    [0, 1, 1, 0]
    """

    @known_arguments
    def __init__(self, model: DFN | Sequence[DFN], k: SupportsIndex | None = None) -> None:
        if isinstance(model, DFN):
            members = [_with_seed(model, seed) for seed in range(integer("k", 10 if k is None else k))]
        elif isinstance(model, (list, tuple)) and model and all(isinstance(m, DFN) for m in model):
            if k is not None:
                raise ValueError("Ensemble expects k with one model; the models of a list are the members themselves")
            members = list(model)
        else:
            raise ValueError(f"Ensemble expects a DFN and k, or a list of at least one DFN, got {model!r:.80}")
        if len({id(m) for m in members}) < len(members):
            raise ValueError("Ensemble expects different models; copy.copy(model) makes another")
        self.members = tuple(members)
        self.diverged: tuple[int, ...] = ()
        self._metrics: dict[str, MetricBase] = {}

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[DFN]:
        return iter(self.members)

    def __repr__(self) -> str:
        return f"Ensemble of {len(self)}: {self.members[0]!r}"

    @known_arguments
    def fit(
        self,
        X_train: ArrayLike,
        y_train: ArrayLike,
        n_epochs: SupportsIndex = 20,
        batch_size: SupportsIndex = 64,
        *,
        sample_weight: ArrayLike | None = None,
        class_weight: ClassWeight = None,
        validation_data: ValidationData = None,
        validation_fraction: float | None = None,
        metrics: Metrics = None,
        callbacks: Sequence[Spec[Callback]] = (),
        check_input: bool = True,
        device: object = None,
    ) -> Self:
        """Train all members for `n_epochs` more epochs, as `DFN.fit` trains one; it prints nothing.

        Parameters
        ----------
        X_train, y_train, n_epochs, batch_size, sample_weight, class_weight, validation_data, validation_fraction,
        metrics, check_input, device
            See `DFN.fit`.
        callbacks : sequence of str or Callback
            Each member gets copies of its own. One that prints or writes a file, such as Checkpoint, is refused.

        Returns
        -------
        Ensemble
            The ensemble itself.

        Raises
        ------
        ValueError
            Arguments that do not fit, members that differ in what they may not, or a part that takes no stacks. No
            member has changed then.
        FloatingPointError
            All members diverged.
        """
        every = [
            check_options(
                n_epochs, batch_size, None, sample_weight, class_weight, validation_data, validation_fraction, metrics,
                copy.deepcopy(callbacks), check_input and i == 0, device,
            )
            for i in range(len(self))
        ]  # fmt: skip
        with contextlib.ExitStack() as stack:
            interrupts = stack.enter_context(Interrupts())
            for member in self.members:
                stack.enter_context(member._alone(interrupts))
            before, session, complete = [member._state for member in self.members], None, False
            try:
                session = StackedSession(self._sessions(X_train, y_train, every, stack), interrupts)
                train(session.begin(), session)
                complete = True
            finally:
                self._report(session, before, complete)
        if len(self.diverged) == len(self):
            raise FloatingPointError(
                f"training diverged: the loss or a parameter of all {len(self)} members became NaN or infinite. They "
                "are as they were after their last good epochs; try smaller learning rates"
            )
        return self

    def _sessions(
        self, X_train: ArrayLike, y_train: ArrayLike, every: Sequence[FitOptions], stack: contextlib.ExitStack
    ) -> list[Session]:
        """A session of each member, all of whose arguments are good."""
        options = every[0]
        for name, callback in options.callbacks:
            if callback.by_first_rank:
                raise ValueError(
                    f"{name} cannot be told of the members of an Ensemble, for it prints or writes to one place: leave "
                    "it out, and look at the members' history after the fit"
                )
        X, y = read_rows(self.members[0].config(), X_train, y_train, options)
        X = cast(Array, with_rows_together(cast(Host, X)) if place(X) == HOST else X)  # once for all
        like = device_template(X, options.where)
        stack.enter_context(computing(like))
        self._metrics = metrics_by_name(options)
        plans = []
        for member, of_member in zip(self.members, every, strict=True):
            member._memory = member._memory.copy()
            plans.append(member._planned(X, y, like, of_member, None))
        for member, plan in zip(self.members, plans, strict=True):
            member._session = Session(member, member._memory, plan)
        return [cast(Session, member._session) for member in self.members]

    def _report(self, session: StackedSession | None, before: Sequence[UndoPoint], complete: bool) -> None:
        """After a fit: each member as the session left it, or as it was before."""
        with contextlib.ExitStack() as reports:
            for member, point in zip(self.members, before, strict=True):
                reports.callback(member._report, point, complete)
            if session is not None:
                session.finish()
                self.diverged = tuple(sorted(session.diverged))

    def predict(self, X: ArrayLike) -> tuple[Array, Array]:
        """Mean and standard deviation, over the members, of `DFN.predict_proba`: how far the members agree.

        Parameters
        ----------
        X : array (n, n_in)

        Returns
        -------
        mean, spread : arrays (n, n_out), or of the shape of y
            Probabilities for the losses of classes, else predictions. The spread is divided by k, not by k - 1.
        """
        answers = [member.predict_proba(X) for member in self.members]
        xp = namespace(answers[0])
        with computing(answers[0]):
            stack = xp.stack(answers)
            return xp.mean(stack, axis=0), xp.std(stack, axis=0)

    def best(self, monitor: str = "val_loss", mode: str | None = None) -> DFN:
        """The member whose history has the best value.

        Parameters
        ----------
        monitor : str, a name in the members' histories
        mode : "min" or "max", optional
            What is better, where neither the loss nor the metric of the last fit tells it.
        """
        if not any(v == v for member in self.members for v in member.history.get(monitor, ())):
            raise ValueError(
                f"no member has a value of {monitor!r} in its history, which has "
                f"{', '.join(self.members[0].history)}: fit with what measures it, such as validation_fraction=0.2"
            )
        factor = sign(monitor, self._metrics, mode)

        def of_best_epoch(member: DFN) -> float:
            return max((factor * v for v in member.history.get(monitor, ()) if v == v), default=-math.inf)

        return max(self.members, key=of_best_epoch)


def _with_seed(model: DFN, seed: int) -> DFN:
    """A copy that has learned nothing, with another seed."""
    new = copy.copy(model)
    vars(new)["seed"] = seed
    return new.reset()
