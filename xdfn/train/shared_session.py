"""The session of a fit that several ranks make together."""

import contextlib
import importlib.metadata
from collections.abc import Iterator

import numpy as np

from xdfn.backend import Array, Communicator, place, random, real_dtype, real_name
from xdfn.train.loop import Run
from xdfn.train.memory import Memory
from xdfn.train.options import FitOptions
from xdfn.train.plan import ModelConfig, Plan
from xdfn.train.ranks import MEMBERS, Ranks, fingerprint
from xdfn.train.session import FittedModel, Session
from xdfn.train.state import TrainState
from xdfn.train.step import TrainStep


class SharedSession(Session):
    """Callbacks that print or write files are the first rank's; all ranks stop, and fail, after the same epoch.

    Parameters
    ----------
    model, memory, plan : see `Session`
    ranks : Ranks
    """

    def __init__(self, model: FittedModel, memory: Memory, plan: Plan, ranks: Ranks) -> None:
        every = [callback for _, callback in plan.callbacks]
        if ranks.rank:
            mine = [(name, callback) for name, callback in plan.callbacks if not callback.by_first_rank]
            plan = plan._replace(callbacks=mine)
        super().__init__(model, memory, plan)
        self.ranks, self._settled = ranks, False
        # alike on all ranks, for what happens at a batch or an epoch is a sum of all
        self.by_batch = any(callback.by_batch for callback in every)
        self.may_change_model = any(callback.may_change_model for callback in every)

    def begin(self) -> Run:
        with self.ranks.agreed():
            run = super().begin()
        self._stop_together()
        return run

    def next_batch(self) -> int:
        return int(self.ranks.comm.broadcast(super().next_batch() if self.ranks.rank == 0 else 1))

    def on_batch(self, state: TrainState, n_batches: int, loss: Array) -> None:
        super().on_batch(state, n_batches, self.ranks.sum_of(loss))

    def on_epoch(self, state: TrainState, values: dict[str, float]) -> Run | None:
        self._settled = False
        try:
            return super().on_epoch(state, values)
        except Exception as error:
            if not self._settled:
                self._settled = True
                self.ranks.meet(error)
            raise

    def agree(self) -> None:
        self._settled = True
        self.model.stop_training = self.ranks.check_drift(self.last_good.params, self.model.stop_training)

    def _stop_together(self) -> None:
        """Stop all ranks before the first epoch if a callback of one wants it."""
        self.model.stop_training = bool(self.ranks.total(np.asarray([self.model.stop_training])).any())

    def make_step(self, config: ModelConfig) -> tuple[TrainStep, TrainState]:
        return super().make_step(config.joined(self.ranks.comm))


@contextlib.contextmanager
def train_together(comm: Communicator | None, rows: str) -> Iterator[Ranks | None]:
    """What joins the ranks of a fit, if there are several; an error of one of them ends all."""
    if rows not in ("all", "own"):
        raise ValueError(
            f"rows must be 'all' (every rank sees all rows) or 'own' (it brings its own), got {rows!r:.80}"
        )
    if comm is None:
        if rows == "own":
            raise ValueError("rows='own' is for several ranks: give comm=xdfn.distributed.mpi()")
        yield None
        return
    missing = [name for name in MEMBERS if not hasattr(comm, name)]
    if missing:
        raise ValueError(
            f"comm must have {', '.join(MEMBERS)}, such as xdfn.distributed.mpi(); got {comm!r:.80} without "
            f"{', '.join(missing)}"
        )
    if comm.size == 1:
        yield None
        return
    ranks = Ranks(comm, rows == "own")
    with ranks.guarded():
        yield ranks


def agreed(ranks: Ranks | None) -> contextlib.AbstractContextManager[None]:
    """An error of one rank within is one of all."""
    return contextlib.nullcontext() if ranks is None else ranks.agreed()


def join(ranks: Ranks | None, config: ModelConfig, memory: Memory, X: Array, y: Array, options: FitOptions) -> None:
    """Raise on all ranks if they would not train one network alike; give all of them one seed."""
    if ranks is None:
        return
    if place(X).traits.compiles:
        raise ValueError(
            "comm: JAX compiles whole runs of steps, which cannot be joined; train with NumPy, PyTorch or CuPy"
        )
    if ranks.own and any(metric.whole for metric in options.metrics.values()):
        names = [name for name, metric in options.metrics.items() if metric.whole]
        raise ValueError(f"rows='own': {names[0]} must see all rows at once, and no rank does; leave it out")
    shared = {} if ranks.own else {"the number of rows": X.shape[0]}
    given = options._asdict().keys() - {"callbacks", "sample_weight", "validation_data", "ranks", "metrics"}
    ranks.compare(
        {
            "the version of xdfn": importlib.metadata.version("xdfn"),
            "the library of X_train": place(X).library,
            "the dtype of X_train": real_name(real_dtype(X)),
            "the number of columns": X.shape[1],
            **shared,
            "the shape of a row of y": tuple(y.shape[1:]),
            **{f"fit's {name}": getattr(options, name) for name in sorted(given)},
            "fit's metrics": list(options.metrics),
            "whether fit has sample_weight": options.sample_weight is not None,
            "whether fit has validation_data": options.validation_data is not None,
            "the callbacks": [
                type(callback).__name__ for _, callback in options.callbacks if not callback.by_first_rank
            ],
            "the names of the layers": list(config.layers),
            **{f"layer {name}": layer for name, layer in config.layers.items()},
            "the loss": config.loss,
            "clip_value, clip_norm and ema": config.step_options,
            "the steps trained before": (memory.step, memory.epoch),
        }
    )
    seed = ranks.comm.broadcast(random.new_seed() if memory.seed is None else memory.seed)
    ranks.compare({"the seed": seed if memory.seed is None else memory.seed})
    memory.seed = seed


def open_session(model: FittedModel, memory: Memory, plan: Plan) -> Session:
    """The session of a fit, or of this rank's part in it."""
    ranks = plan.run.ranks
    if ranks is None:
        return Session(model, memory, plan)
    words = fingerprint(plan.run.state.params)
    ranks.compare({"the parameters before the fit (a hash)": words})
    return SharedSession(model, memory, plan, ranks)
