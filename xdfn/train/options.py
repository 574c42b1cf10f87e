"""The arguments of a fit, checked as far as they can be without the arrays."""

import os
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Literal, NamedTuple, SupportsIndex

import numpy as np

from xdfn.backend import (
    HOST,
    Array,
    ArrayLike,
    Place,
    place,
    put,
    real_dtype,
    real_name,
    resolve_place,
    to_numpy,
    to_place,
)
from xdfn.core.fields import integer, number
from xdfn.core.registry import Spec
from xdfn.train.callbacks.base import Callback, callbacks
from xdfn.train.callbacks.logs import ProgressBar, Report
from xdfn.train.callbacks.paths import path_of
from xdfn.train.metrics import resolve_metrics
from xdfn.train.metrics.base import MetricBase
from xdfn.train.metrics.resolve import Metrics
from xdfn.train.ranks import Ranks

ClassWeight = Literal["balanced"] | Mapping[int, float] | None
ValidationData = tuple[ArrayLike, ArrayLike] | tuple[ArrayLike, ArrayLike, ArrayLike | None] | None
NamedCallbacks = list[tuple[str, Callback]]  # by the names under which they are remembered


class FitOptions(NamedTuple):
    """What `DFN.fit` was given beside the training rows; see there."""

    n_epochs: int
    batch_size: int
    callbacks: NamedCallbacks
    metrics: Mapping[str, MetricBase]
    sample_weight: ArrayLike | None
    class_weight: ClassWeight
    validation_data: ValidationData
    validation_fraction: float | None
    check_input: bool
    where: Place | None  # that of `device`
    ranks: Ranks | None = None
    resume: str | None = None  # the file that a fit goes on from
    is_over: bool = False  # whether it says that there is nothing to do

    @property
    def validates(self) -> bool:
        """Whether metrics are measured on rows from which nothing is learned."""
        return self.validation_data is not None or self.validation_fraction is not None


def check_options(
    n_epochs: SupportsIndex,
    batch_size: SupportsIndex,
    verbose: bool | int | None,
    sample_weight: ArrayLike | None,
    class_weight: ClassWeight,
    validation_data: ValidationData,
    validation_fraction: float | None,
    metrics: Metrics,
    callbacks: Sequence[Spec[Callback]],
    check_input: bool,
    device: object,
    ranks: Ranks | None = None,
    resume: str | os.PathLike[str] | None = None,
) -> FitOptions:
    """The options of a fit.

    Raises
    ------
    ValueError
        An argument that is none of its kind, or that contradicts another.
    """
    named_metrics = resolve_metrics(metrics)
    if validation_data is not None and validation_fraction is not None:
        raise ValueError("fit expects either validation_data or validation_fraction, got both")
    if validation_fraction is not None:
        number("validation_fraction", validation_fraction, 0, 1, open_low=True, open_high=True)
    return FitOptions(
        integer("n_epochs", n_epochs, 0),
        integer("batch_size", batch_size),
        resolve_callbacks(callbacks, verbose),
        named_metrics,
        sample_weight,
        class_weight,
        validation_data,
        validation_fraction,
        check_input,
        None if device is None else resolve_place(device),
        ranks,
        None if resume is None else path_of("resume", resume),
    )


def resolve_callbacks(given: Sequence[object], verbose: object) -> NamedCallbacks:
    """The given callbacks by name, and the one that shows how far the fit has come."""
    display = resolve_display(verbose)
    if isinstance(given, (str, Callback)) or not isinstance(given, Sequence):
        raise ValueError(f"callbacks must be a list of callbacks, got {given!r:.80}")
    named: NamedCallbacks = []
    for callback in map(resolve_callback, given):
        again = sum(str(other) == str(callback) for _, other in named)
        named.append((f"{callback}{again or ''}", callback))
    if display is not None:
        named.append(("report", display))
    return sorted(named, key=lambda pair: pair[1].late)


def resolve_callback(spec: object) -> Callback:
    if callable(spec) and not isinstance(spec, (type, Callback)):
        raise ValueError(
            "callbacks: a function does not say when it is to be called; write a class Mine(Callback) with the method "
            f"on_epoch_end(self, model, values), and give Mine(), got {spec!r:.80}"
        )
    return callbacks.resolve(spec)


def resolve_display(verbose: object) -> Callback | None:
    """What `verbose` asks for: lines, a bar, or nothing.

    Bools are the notebook's: False is a line an epoch, True also a line a batch. Integers are what scikit-learn's and
    Keras's users write: 0 is nothing, 1 a bar on a terminal and lines elsewhere, 2 a line an epoch.
    """
    if verbose is None:
        return None
    if isinstance(verbose, (bool, np.bool)):
        return Report(batches=bool(verbose))
    if not isinstance(verbose, Integral) or verbose not in (0, 1, 2):
        raise ValueError(
            "verbose must be False (a line an epoch), True (also a line a batch), None or 0 (nothing), 1 (a bar on a "
            f"terminal, else lines) or 2 (a line an epoch), got {verbose!r:.80}"
        )
    if verbose == 0:
        return None
    return ProgressBar() if verbose == 1 and ProgressBar.fits_here() else Report()


def device_template(X: Array, where: Place | None) -> Array:
    """An array like X where the network is to be."""
    if where is None or where == place(X):
        return X
    if place(X) != HOST:
        raise ValueError(f"X_train is on {place(X)}, expected NumPy arrays, which go to {where} by batches")
    row = to_numpy(X[:1]).astype(real_name(real_dtype(X)))  # of a memory-mapped file too
    return to_place(put(row, HOST), where)
