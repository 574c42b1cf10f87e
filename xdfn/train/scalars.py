"""The numbers of a step: learning rates that follow their schedules, keys of random bits, the weight of the averages.
They are Python arithmetic on the host, so a new rate never compiles anything and never waits for a device.
"""

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence

from xdfn.nn.layers.base import LayerBase
from xdfn.optim.schedules import ScheduleBase
from xdfn.train.segments import Provenance, Segment
from xdfn.train.state import StepScalars


class ScalarSource:
    """Makes the `StepScalars` of every step.

    Parameters
    ----------
    segments : Segments
    layers : sequence of LayerBase
        Those that draw get a key.
    seed : int
    ema : float, optional
        The decay of the moving averages.
    history : dict of lists
        The values of the finished epochs by name; schedules may look at them.
    """

    def __init__(
        self,
        segments: Iterable[Segment],
        layers: Sequence[LayerBase],
        seed: int,
        ema: float | None,
        history: Mapping[str, Sequence[float]],
    ) -> None:
        self.segments, self.layers, self.seed, self.ema, self.history = tuple(segments), layers, seed, ema, history
        self._drawing = [i for i, layer in enumerate(layers) if layer.draws]
        self._plateau_cache: dict[int, tuple[int, float]] = {}  # by schedule: epochs seen, and the rate that follows

    def __call__(self, step: int, epoch: float | None = None, share: float = 1.0) -> StepScalars:
        """The numbers of a step.

        Parameters
        ----------
        step : int
            The steps before it.
        epoch : float
            The epochs before it; None outside of `fit`, where nobody counts them.
        share : float
            The rows of the batch as a share of those of a full one.
        """
        rates = []
        for rule, schedule, since, _ in self.segments:
            if schedule is not None:
                rule.lr = self._scheduled(schedule, since, step, epoch)
            rates.append(tuple(map(float, rule.rates(step + 1 - since.memory_step))))
        keys = tuple([self.layers[i].random_key(self.seed, i, step) for i in self._drawing]) if self._drawing else ()
        # at first the average would hardly be more than the weights that it began with
        kept = () if self.ema is None else (min(self.ema, (1 + step) / (10 + step)),)
        return StepScalars(tuple(rates), keys, share, kept)

    def _scheduled(self, schedule: ScheduleBase, since: Provenance, step: int, epoch: float | None) -> float:
        if schedule.by == "epoch" and epoch is None:
            raise ValueError(f"{schedule} counts epochs, which only fit knows; give by='step'")
        t = step - since.schedule_step if schedule.by == "step" else (epoch or 0.0) - since.schedule_epoch
        lr = schedule(t) if schedule.monitor is None else self._monitored(schedule, schedule.monitor, since, t)
        if not (isinstance(lr, numbers.Real) and math.isfinite(lr) and lr >= 0):
            raise ValueError(f"lr: {schedule} gave {lr} at {schedule.by} {t:g}, expected a number of at least 0")
        return lr

    @property
    def monitors(self) -> bool:
        """Whether a schedule looks at the history."""
        return any(s.schedule is not None and s.schedule.monitor is not None for s in self.segments)

    def _monitored(self, schedule: ScheduleBase, monitor: str, since: Provenance, t: float) -> float:
        past = list(self.history.get(monitor, ()))[since.schedule_epoch :]
        known, lr = self._plateau_cache.get(id(schedule), (-1, math.nan))
        if known != len(past):  # once an epoch
            lr = schedule(t, {monitor: past})
            self._plateau_cache[id(schedule)] = len(past), lr
        return lr

    def look_ahead(self, step: int, epoch: int, n_epochs: int, n_batches: int, names: Sequence[str]) -> None:
        """Ask the schedules for the rates of what is to come, so that a bad one is found before training starts.

        Raises
        ------
        ValueError
            A rate that is negative or no finite number, or a value to monitor that no epoch will have.
        """
        every = max(1, n_epochs * n_batches // 1000)
        for s in self.segments:
            if s.schedule is None:
                continue
            monitor = s.schedule.monitor
            if monitor is not None and monitor not in names:
                raise ValueError(f"lr: {s.schedule} monitors {monitor!r}, expected one of {', '.join(names)}")
            if monitor is None:
                for i in range(0, n_epochs * n_batches, every):
                    self._scheduled(s.schedule, s.provenance, step + i, epoch + i / n_batches)

    @property
    def rate(self) -> float:
        """The learning rate of the last step, of the first segment; NaN for a rule without one."""
        lr = vars(self.segments[0].optimizer).get("lr")
        return lr if isinstance(lr, (int, float)) else math.nan
