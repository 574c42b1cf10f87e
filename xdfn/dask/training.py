"""`fit`: each worker that holds rows is a rank, and trains on its own."""

import contextlib
import copy
import math
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from distributed import Client, Event, Future, Variable, default_client, get_worker
from distributed.comm import get_address_host

from xdfn.backend import Communicator, NCCLCommunicator, new_id
from xdfn.core.keywords import known_arguments
from xdfn.core.registry import Spec
from xdfn.dask.blocks import Look, Rows, looks, pinned, settled, share_out, share_out_validation, tell_uneven
from xdfn.dask.rabit import EVERY, rabit
from xdfn.distributed.mpi import mpi_of
from xdfn.model import DFN
from xdfn.train.callbacks.base import Callback, FitInfo, Model
from xdfn.train.callbacks.logs import ProgressBar, Report
from xdfn.train.metrics.resolve import Metrics
from xdfn.train.options import resolve_display

PATIENCE = 3.0  # seconds, after one worker's error, for those of others, which may tell more


class Job(NamedTuple):
    """What all ranks of a training are told.

    Attributes
    ----------
    name : str
        Of this training, for what its ranks share on the scheduler.
    looks : list of Look
        At the rows of each rank.
    nccl_id : tuple of int
        Empty without GPUs.
    arguments : dict
        Those of `DFN.fit`.
    """

    name: str
    looks: list[Look]
    nccl_id: tuple[int, ...]
    arguments: dict[str, Any]


@known_arguments
def fit(
    model: DFN,
    X: Any,
    y: Any,
    n_epochs: int = 20,
    batch_size: int = 64,
    verbose: bool | int | None = False,
    *,
    sample_weight: Any = None,
    class_weight: Any = None,
    validation_data: Sequence[Any] | None = None,
    metrics: Metrics = None,
    callbacks: Sequence[Spec[Callback]] = (),
    check_input: bool = True,
    resume: str | None = None,
    client: Client | None = None,
) -> DFN:
    """Train a network on rows that lie on the workers of a Dask cluster; they stay there.

    Each worker that holds rows takes its share of every batch, and the gradients are summed over all of them: by
    NCCL where the blocks are arrays of CuPy, by MPI where it has started the workers (dask-mpi), else by xgboost's
    collective. The network is that of one process that takes the same rows in the same order, up to rounding.

    Parameters
    ----------
    model : DFN
    X : array (n, n_in) or frame of Dask, its blocks of NumPy, CuPy or pandas
    y : array (n,) or (n, n_out), series or frame of Dask, in as many blocks
    n_epochs, batch_size : int
        As for `DFN.fit`; the batch is the whole batch, of all workers.
    verbose : bool, int or None
        As for `DFN.fit`; lines appear where the client is.
    sample_weight : array (n,) or series of Dask, optional
    class_weight, metrics, callbacks, check_input
        As for `DFN.fit`. Callbacks run on the workers, each on a copy.
    validation_data : (X, y) or (X, y, sample_weight) of Dask, optional
    resume : str, optional
        As for `DFN.fit`: a file that all workers see.
    client : distributed.Client, optional
        The current one, if it is not given.

    Returns
    -------
    DFN
        The model itself, on the host. If something fails, it is as it was.

    Raises
    ------
    ValueError
        Arrays or arguments that do not fit; there is no client.
    RuntimeError
        A worker died, and its rows with it.

    Warns
    -----
    UserWarning
        The rows lie so unevenly that workers wait for one another.

    Examples
    --------
    >>> import dask.array as da
    >>> from distributed import Client
    >>> from xdfn import DFN
    >>> from xdfn.dask import predict
    >>> with Client(n_workers=1, processes=False, dashboard_address=":0") as client:
    ...     X = da.random.default_rng(0).normal(size=(200, 3), chunks=(100, 3))
    ...     y = (X[:, 0] > 0).astype(int)
    ...     model = fit(DFN(layers=[8, 2], optimizer="adam(lr=0.03)", seed=0), X, y, 20, 50, verbose=None)
    ...     hits = (predict(model, X) == y).mean().compute()
    >>> print(f"{hits:.1f}")
    1.0
    """
    _require_dfn(model)
    client = _current(client)
    names, rows = ["X", "y"], [X, y]
    if sample_weight is not None:
        names, rows = [*names, "sample_weight"], [*rows, sample_weight]
    parts = share_out(client, names, rows)
    seen = looks(client, parts)
    counts = {worker: at_rows.n for worker, at_rows in seen.items() if at_rows.n}
    if not counts:
        raise ValueError("X holds no rows")
    tell_uneven(dict.fromkeys(client.nthreads(), 0) | counts)
    validation = {} if validation_data is None else share_out_validation(client, validation_data, list(counts))
    name = f"xdfn-{uuid.uuid4().hex}"
    arguments = {
        "n_epochs": n_epochs, "batch_size": batch_size, "class_weight": class_weight, "metrics": metrics,
        "callbacks": [*callbacks, *_display(verbose, name)], "check_input": check_input, "resume": resume,
    }  # fmt: skip
    job = Job(name, [seen[worker] for worker in counts], _nccl_id(client, seen), arguments)
    trained = _trained(client, job, model, {worker: parts[worker] for worker in counts}, validation)
    vars(model).update(trained.__getstate__())
    return model


def _trained(
    client: Client, job: Job, model: DFN, parts: Mapping[str, Future], validation: Mapping[str, Future]
) -> DFN:
    """The model that the workers have trained, each with its rows."""
    there = client.scatter(copy.copy(model), broadcast=True, hash=False)
    stop = Event(job.name, client=client)
    client.subscribe_topic(job.name, lambda event: print(event[1]))
    tasks = {
        worker: client.submit(train, job, rank, there, rows, validation.get(worker), **pinned(worker))
        for rank, (worker, rows) in enumerate(parts.items())
    }
    try:
        return _outcome(client, tasks)
    except BaseException:
        stop.set()  # whoever still trains ends after the epoch
        client.cancel(list(tasks.values()))
        raise
    finally:
        client.unsubscribe_topic(job.name)
        for rank in range(len(tasks)):
            Variable(_meeting(job, rank), client=client).delete()


def _nccl_id(client: Client, looks: Mapping[str, Look]) -> tuple[int, ...]:
    """What the ranks need to find each other if their rows lie on GPUs."""
    with_rows = [worker for worker, seen in looks.items() if seen.n]
    if len(with_rows) == 1 or looks[with_rows[0]].library != "cupy":
        return ()
    given: tuple[int, ...] = client.submit(new_id, **pinned(with_rows[0])).result()
    return given


def train(job: Job, rank: int, model: DFN, rows: Rows, validation: Rows | None) -> DFN | None:
    """One rank's part in a training, run by the worker that holds its rows: the model on rank 0, None on others."""
    model = copy.copy(model)  # workers may be threads of one process
    callbacks = [*job.arguments["callbacks"], StopAtClient(job.name)]
    with _communicator(job, rank) as comm:
        model.fit(
            rows.X, rows.y, **{**job.arguments, "callbacks": callbacks}, verbose=None, sample_weight=rows.weight,
            validation_data=validation, comm=comm, rows="all" if comm is None else "own",
        )  # fmt: skip
    return None if rank else model.to_numpy()


@contextlib.contextmanager
def _communicator(job: Job, rank: int) -> Iterator[Communicator | None]:
    """What joins the ranks of a training; nothing if there is one."""
    size, numbers = len(job.looks), [seen.mpi_rank for seen in job.looks]
    if size == 1:
        yield None
    elif job.nccl_id:
        yield NCCLCommunicator(rank, size, job.nccl_id, job.looks[rank].device)
    elif None not in numbers and len(set(numbers)) == size:
        yield mpi_of([number for number in numbers if number is not None])
    else:
        address, stop = get_worker().address, Event(job.name)
        host = "127.0.0.1" if address.startswith("inproc") else get_address_host(address)
        for other in range(1, size):
            if rank == 0:  # wait for all to be there: they may be busy with another task
                _heard(job, other, stop)
            elif rank == other:
                Variable(_meeting(job, rank)).set(True)
        publish = Variable(_meeting(job, 0)).set
        with rabit(rank, size, host, publish, lambda: _heard(job, 0, stop), stop.is_set) as comm:
            yield comm


def _meeting(job: Job, rank: int) -> str:
    """The name of the variable by which a rank tells the others that it is there; of rank 0: where they meet."""
    return f"{job.name}-{rank}"


def _heard(job: Job, rank: int, stop: Event) -> Any:
    """What a rank has told the others, as soon as it has.

    Raises
    ------
    ConnectionError
        The client waits no longer.
    """
    while True:
        try:
            return Variable(_meeting(job, rank)).get(timeout=EVERY)
        except TimeoutError:
            if stop.is_set():
                raise ConnectionError("the client no longer waits for this training") from None


class StopAtClient(Callback):
    """Ends the training after an epoch if the client no longer waits for it."""

    may_change_model = False
    by_first_rank = True
    _transient: ClassVar[frozenset[str]] = frozenset({"_event", "_next"})

    def __init__(self, name: str) -> None:
        self.name = name

    def on_fit_begin(self, model: Model, info: FitInfo) -> None:
        self._event, self._next = Event(self.name), time.monotonic() + EVERY

    def on_epoch_end(self, model: Model, values: dict[str, float]) -> None:
        if time.monotonic() > self._next:
            self._next = time.monotonic() + EVERY
            model.stop_training = model.stop_training or self._event.is_set()


class ReportAtClient(Report):
    """Lines that appear where the client is, which listens to what the worker says about this training."""

    def __init__(self, batches: bool, name: str) -> None:
        super().__init__(batches)
        self.name = name

    def _print(self, line: str) -> None:
        get_worker().log_event(self.name, line)


def _display(verbose: bool | int | None, name: str) -> list[Callback]:
    display = resolve_display(verbose)
    return [ReportAtClient(display.batches, name)] if isinstance(display, (Report, ProgressBar)) else []


def _require_dfn(model: object) -> None:
    if not isinstance(model, DFN):
        raise TypeError(
            f"xdfn.dask.fit trains a DFN, got {type(model).__name__}; estimators of xdfn.sklearn fit rows in memory"
        )


def _current(client: Client | None) -> Client:
    try:
        return default_client() if client is None else client
    except ValueError:
        raise ValueError(
            "xdfn.dask.fit needs a client of Dask, and there is none: client = dask.distributed.Client()"
        ) from None


def _outcome(client: Client, tasks: dict[str, Future]) -> DFN:
    """Rank 0's model, when all ranks are done; the error that tells most, if one of them failed."""
    deadline = math.inf
    for _ in settled(client, tasks):
        if deadline == math.inf and any(task.status in ("error", "cancelled") for task in tasks.values()):
            deadline = time.monotonic() + PATIENCE
        if time.monotonic() > deadline:
            break
    errors = {worker: task.exception() for worker, task in tasks.items() if task.status == "error"}
    for worker, error in sorted(errors.items(), key=lambda item: isinstance(item[1], ConnectionError)):
        error.add_note(f"on the worker {worker}")
        raise error
    trained: DFN = next(iter(tasks.values())).result()
    return trained
