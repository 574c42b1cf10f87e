"""From gradients to parameters. `RuleUpdate` is the general way: penalties, clipping, then each segment's optimizer.
`DirectUpdate` is plain SGD, whose gradients go straight into the parameters, by one product each.
"""

import functools
import operator
from collections.abc import Iterator, Sequence

from xdfn.backend import (
    Array,
    Communicator,
    elementwise,
    finish_sums,
    namespace,
    overlaps,
    product,
    start_sum,
    subtract,
    summed,
    write,
)
from xdfn.core.part import config_key
from xdfn.nn.network import LayerTree
from xdfn.nn.regularizers import ConstraintBase, RegularizerBase
from xdfn.optim.base import OptimizerBase, Rates, Slots
from xdfn.train.segments import Entry, GradientTree, Segments, Workspace
from xdfn.train.state import StepScalars, TrainState

Moved = tuple[tuple[Array, ...], tuple[Slots, ...]]  # the parameters and the optimizers' memory, by segment
BUCKET = 2**20  # parameters that ranks sum at once, so that the start of a sum costs little beside it
MIN_DIRECT_PARAMS = 2**14  # fewer parameters are moved faster together than by one product each, except on a GPU


class RuleUpdate:
    """Gather the gradients, add those of the penalties, clip, and move each segment by its rule.

    Parameters
    ----------
    segments : Segments
    penalties : the regularised parameters, each with its penalty
    clip_value, clip_norm : float, optional
        See `DFN`.
    comm : Communicator, optional
        Joins the ranks whose gradients are summed.
    """

    with_gradients = True  # whether the gradients need vectors of their own

    def __init__(
        self,
        segments: Segments,
        penalties: Sequence[tuple[Entry, RegularizerBase]],
        clip_value: float | None,
        clip_norm: float | None,
        comm: Communicator | None = None,
    ) -> None:
        self.segments, self.penalties, self.comm = segments, penalties, comm
        self.clip_value, self.clip_norm = clip_value, clip_norm
        self.buckets = [(i, b) for i, segment in enumerate(segments) for b in buckets(segment.entries[::-1])]
        # what `apply` depends on beside its rates
        self.kinds = [config_key(s.optimizer, s.optimizer.per_step, with_attributes=True) for s in segments]

    def __call__(
        self, state: TrainState, gradients: GradientTree, scalars: StepScalars, workspace: Workspace | None
    ) -> Moved:
        vectors = self._clipped(self._penalised(state, gradients, scalars.penalty_scale, workspace))
        segments = self.segments
        moved = [
            apply_rule(segment.optimizer, p, g, slots, rates, kind)
            for segment, p, g, slots, rates, kind in zip(
                segments, segments.moving(state.params), vectors, state.slots, scalars.rates, self.kinds, strict=True
            )
        ]
        if workspace is None:
            params = segments.with_frozen(tuple([p for p, _ in moved]), state.params)
        else:
            params = workspace.params  # written in place
        return params, tuple([slots for _, slots in moved])

    def _penalised(
        self, state: TrainState, gradients: GradientTree, scale: tuple[float, ...], workspace: Workspace | None
    ) -> Sequence[Array]:
        """The gradients by segment, those of the penalties included."""
        if workspace is not None:
            vectors = self._gathered(gradients, workspace)
            for e, penalty in self.penalties:
                gradient = workspace.gradients_tree[e.layer][e.name]
                gradient += _scaled(penalty.grad(workspace.params_tree[e.layer][e.name]), scale)
            return vectors
        if self.comm is not None:
            gradients = self.segments.unpack(self._summed(self.segments.gather(gradients, None)))
        if self.penalties:
            params = self.segments.unpack(state.params)
            copied = [dict(of_layer) for of_layer in gradients]
            for e, penalty in self.penalties:
                of_layer = copied[e.layer]
                grown = _scaled(penalty.grad(params[e.layer][e.name]), scale)
                of_layer[e.name] = product(of_layer[e.name]) + grown
            gradients = copied
        return self.segments.gather(gradients, None)

    def _gathered(self, gradients: GradientTree, workspace: Workspace) -> Sequence[Array]:
        """The gradients of all ranks; if the engine can, those of some layers are summed while others are computed."""
        comm = self.comm
        if comm is None or not overlaps(comm):
            return self._summed(self.segments.gather(gradients, workspace))
        for i, entries in self.buckets:
            for e in entries:
                write(gradients[e.layer][e.name], workspace.gradients_tree[e.layer][e.name])
            start_sum(workspace.gradients[i][entries[-1].start : entries[0].stop], comm)
        for vector in workspace.gradients:
            finish_sums(vector, comm)
        return workspace.gradients

    def _summed(self, vectors: Sequence[Array]) -> Sequence[Array]:
        """The gradients of all ranks together."""
        return vectors if self.comm is None else [summed(vector, self.comm) for vector in vectors]

    def _clipped(self, gradients: Sequence[Array]) -> Sequence[Array]:
        """Each element cut to +-clip_value, then all together scaled to a norm of at most clip_norm."""
        xp, clip_value, clip_norm = namespace(gradients[0]), self.clip_value, self.clip_norm
        if clip_value is not None:
            gradients = [xp.minimum(xp.maximum(g, -clip_value), clip_value) for g in gradients]
        if clip_norm is not None:
            squares = [self._total(g * g) for g in gradients]
            norm = xp.sqrt(functools.reduce(operator.add, squares))
            factor = clip_norm / xp.maximum(norm, clip_norm)
            gradients = [g * factor for g in gradients]
        return gradients

    def _total(self, x: Array) -> Array:
        """The sum of all elements; of an ensemble a column, a sum for each member."""
        if not self.segments.lead:
            return namespace(x).sum(x)
        return namespace(x).sum(x, axis=tuple(range(1, x.ndim)), keepdims=True)


def buckets(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Neighbouring entries that are summed together, in the order given: the last layers' are the first computed."""
    bucket: list[Entry] = []
    for e in entries:
        bucket.append(e)
        if sum(b.stop - b.start for b in bucket) >= BUCKET:
            yield bucket
            bucket = []
    if bucket:
        yield bucket


def _scaled(gradient: Array, scale: tuple[float, ...]) -> Array:
    """A penalty's gradient, which is a new array, times the factor if there is one."""
    if scale:
        gradient *= scale[0]
    return gradient


class DirectUpdate:
    """Plain SGD: p <- p - lr g for all parameters, with nothing between the gradients and the parameters."""

    with_gradients = False

    def __init__(self, segments: Segments) -> None:
        self.segments = segments

    def __call__(
        self, state: TrainState, gradients: GradientTree, scalars: StepScalars, workspace: Workspace | None
    ) -> Moved:
        if workspace is None:
            vectors = self.segments.gather(gradients, None)
            rates = [lr for (lr,) in scalars.rates]
            moving = self.segments.moving(state.params)
            params = tuple([p - lr * g for p, g, lr in zip(moving, vectors, rates, strict=True)])
            return self.segments.with_frozen(params, state.params), state.slots
        for segment, (lr,) in zip(self.segments, scalars.rates, strict=True):
            for e in segment.entries:
                subtract(lr, gradients[e.layer][e.name], workspace.params_tree[e.layer][e.name])
        return state.params, state.slots


Update = RuleUpdate | DirectUpdate


def choose_update(
    segments: Segments,
    penalties: Sequence[tuple[Entry, RegularizerBase]],
    clip_value: float | None,
    clip_norm: float | None,
    comm: Communicator | None = None,
) -> Update:
    """`DirectUpdate` for plain SGD with one rate, many parameters and nothing in between; else `RuleUpdate`."""
    rules = [s.optimizer for s in segments]
    plain_sgd = len({config_key(rule) for rule in rules}) == 1 and rules[0].is_plain_sgd
    between = penalties or clip_value is not None or clip_norm is not None or comm is not None
    many = segments.n_params >= MIN_DIRECT_PARAMS or segments.place.traits.fuses
    if plain_sgd and not between and many:
        return DirectUpdate(segments)
    return RuleUpdate(segments, penalties, clip_value, clip_norm, comm)


def apply_rule(
    rule: OptimizerBase, p: Array, g: Array, slots: Slots, rates: Rates, kind: object
) -> tuple[Array, Slots]:
    """rule.apply(p, g, slots, rates), with the results in the given arrays where the library writes into such.

    `kind` is what the rule depends on beside its rates.
    """
    n = len(slots)

    def apply(p: Array, *others: Array) -> tuple[Array, ...]:
        p, slots = rule.apply(p, others[n], others[:n], others[n + 1 :])  # type: ignore[arg-type]  # the rates
        return p, *slots

    p, *memory = elementwise(("apply", kind), apply, p, *slots, g, numbers=rates, whole=not rule.elementwise)
    return p, tuple(memory[:n])


def constrained(
    segments: Segments,
    constraints: Sequence[tuple[Entry, ConstraintBase]],
    params: tuple[Array, ...],
    workspace: Workspace | None,
) -> tuple[Array, ...]:
    """The parameters, each moved to where its constraint allows it."""
    if not constraints:
        return params
    tree: LayerTree = segments.unpack(params) if workspace is None else workspace.params_tree
    for e, constraint in constraints:
        W = constraint.project(tree[e.layer][e.name])
        if workspace is None:
            tree[e.layer][e.name] = W
        else:
            tree[e.layer][e.name][...] = W
    return segments.with_frozen(tuple(segments.gather(tree, None)), params) if workspace is None else params
