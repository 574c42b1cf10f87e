"""A step whose penalties are part of the loss: divided by the weight of the batch, as the losses of its rows are."""

from collections.abc import Callable, Hashable

from xdfn.backend import Array
from xdfn.nn.network import LayerTree
from xdfn.train.scalars import ScalarSource
from xdfn.train.segments import Workspace
from xdfn.train.state import StepScalars, TrainState
from xdfn.train.step import TrainStep

__all__: list[str] = []


class BatchScalars(ScalarSource):
    """The numbers of a step, with the share of the penalties in it: one over the weight of its batch.

    Parameters
    ----------
    source : ScalarSource
    batch_weight : function of the number of a batch in its epoch
    first, n_batches : int
        The steps before the fit, and those of an epoch.
    """

    def __init__(self, source: ScalarSource, batch_weight: Callable[[int], float], first: int, n_batches: int) -> None:
        super().__init__(source.segments, source.layers, source.seed, source.ema, source.history)
        self.batch_weight, self.first, self.n_batches = batch_weight, first, n_batches

    def __call__(self, step: int, epoch: float | None = None, share: float = 1.0) -> StepScalars:
        total = self.batch_weight((step - self.first) % self.n_batches)
        return super().__call__(step, epoch, share)._replace(penalty_scale=(1.0 / total if total else 0.0,))


class MeanStep(TrainStep):
    """A step whose loss is a mean over the outputs too, if `loss_scale` says so, and has the penalties in it."""

    loss_scale = 1.0

    def __call__(
        self,
        state: TrainState,
        x: Array,
        y: Array,
        weight: Array | float,
        scalars: StepScalars,
        workspace: Workspace | None = None,
    ) -> tuple[TrainState, Array]:
        before = state.sums["loss"]
        params = self.segments.unpack(state.params) if workspace is None else workspace.params_tree
        penalty = self.penalty(params, scalars)  # the parameters are written over
        after, loss = super().__call__(state, x, y, weight, scalars, workspace)
        if self.loss_scale != 1.0:
            loss = loss * self.loss_scale
        if penalty is not None:
            loss = loss + penalty
        return after.with_sums({"loss": before + loss}), loss

    def penalty(self, params: LayerTree, scalars: StepScalars) -> Array | None:
        """What the penalties add to the loss of a batch."""
        total: Array | None = None
        for e in self.segments.entries:
            penalty, _ = self.network.layers[e.layer].penalties(e.name)
            if penalty is not None:
                value = penalty.value(params[e.layer][e.name])
                total = value if total is None else total + value
        return total if total is None or not scalars.penalty_scale else total * scalars.penalty_scale[0]

    def compile_key(self) -> Hashable:
        return type(self).__name__, self.loss_scale, super().compile_key()
