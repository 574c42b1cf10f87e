"""Training moves each parameter p against its gradient g; an optimizer is the rule of the move. The rule is written
once for an array of any shape, element by element, so that it serves one matrix or a vector of all parameters alike.
"""

import copy
from typing import ClassVar, Self

from xdfn.backend import Array, namespace
from xdfn.core.fields import Field
from xdfn.core.part import Part, closest_override, is_weight
from xdfn.core.registry import Registry, Spec
from xdfn.optim.schedules import ScheduleBase, lr_field
from xdfn.optim.stateful import CallableRule
from xdfn.optim.stateful import Rates as Rates
from xdfn.optim.stateful import Slots as Slots

__all__ = ["OptimizerBase"]

LearningRate = float | Spec[ScheduleBase]  # as an optimizer's constructor takes it

_LR = lr_field()
_DEFAULT = "sgd"


class OptimizerBase(CallableRule, Part):
    """Base of the optimizers. Write `apply`, name its memory in `slots`, and give the numbers of a step in `rates`.

    `apply` consumes its arrays: `p -= g` writes in place where the library can, and makes a new array where it can't.
    It gets several parameters as one vector on libraries that are faster with that, and therefore works element by
    element. Keep in the slots what lasts from step to step: `self` is a temporary copy.

    A call, ``opt(param, param_grad, param_name)``, returns the new parameter, leaves its arguments as they are and
    keeps the memory of each name in the optimizer. An optimizer may also define just that call, as `update`; it then
    keeps its own memory, which is neither saved nor restored.

    An attribute `lr` is checked when it is assigned: a number of at least 0, or a schedule or its spec.

    Attributes
    ----------
    slots : tuple of str
        The names of the memory, each an array of the shape of p; ``()`` for a rule without memory.
    traceable : bool
        Whether `apply` makes the same array operations in every step, element by element, and takes the learning rate
        from `rates` alone, never from ``self.lr``. Such a rule can be compiled once for all rates, recorded, fused,
        and applied to pieces of an array. A user's rule may say so by ``class Mine(OptimizerBase, traceable=True)``.

    Examples
    --------
    >>> import numpy as np
    >>> class SignSGD(OptimizerBase):
    ...     def __init__(self, lr=0.01):
    ...         self.lr = lr
    ...     def apply(self, p, g, slots, rates):
    ...         p -= rates[0] * np.sign(g)
    ...         return p, slots
    >>> SignSGD(0.5)(np.asarray([1.0, 1.0]), np.asarray([3.0, -0.1]), "W").tolist()
    [0.5, 1.5]
    """

    _numerics: ClassVar[tuple[str, ...]] = ("apply", "update", "__call__")
    _shown: ClassVar[tuple[str, ...]] = ("lr",)

    slots: tuple[str, ...] = ()
    lr: Field[float]  # for type checkers; a rule that does not assign it has no such attribute
    weight_decay: float = 0.0

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, _LR.check(name, value) if name == "lr" else value)

    @property
    def schedule(self) -> ScheduleBase | None:
        """What the learning rate follows, if it is not a number."""
        lr: object = vars(self).get("lr")
        return lr if isinstance(lr, ScheduleBase) else None

    def rates(self, t: int) -> Rates:
        """The numbers that `apply` needs in step t = 1, 2, ...: Python arithmetic on the host.

        Where the rule has a schedule, ``self.lr`` is the schedule's number for this step here.
        """
        return (self.lr,) if "lr" in vars(self) else ()

    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates) -> tuple[Array, Slots]:
        """The parameters and the memory after a step with the gradient `g`; every array has the shape of p."""
        raise NotImplementedError(f"{type(self).__name__} must define apply(p, g, slots, rates), or update")

    def init_slots(self, p: Array) -> Slots:
        """The memory before the first step: zeros."""
        return tuple(namespace(p).zeros_like(p) for _ in self.slots)

    def for_parameter(self, name: str) -> Self:
        """This rule for a parameter of that name: without weight decay unless it is a matrix of weights, `W...`."""
        if not self.weight_decay or is_weight(name):
            return self
        rule = copy.copy(self)
        rule.weight_decay = 0.0
        return rule

    def with_lr(self, lr: float) -> Self:
        """A copy of the rule with this learning rate."""
        rule = copy.copy(self)
        rule.lr = lr
        return rule

    @property
    def per_step(self) -> tuple[str, ...]:
        """Fields that reach `apply` only through `rates`: a compiled step serves all their values.

        Follows from `traceable`: any other `apply` may read ``self.lr``.
        """
        return ("lr",) if self.traceable else ()

    @property
    def elementwise(self) -> bool:
        """Whether `apply` to pieces of an array gives the pieces of what it gives for the whole.

        Follows from `traceable`.
        """
        return self.traceable

    @property
    def is_plain_sgd(self) -> bool:
        """Whether a step is p <- p - lr g and nothing else: lr may then be multiplied in anywhere on the way to g."""
        return False

    @property
    def overrides_update(self) -> bool:
        """Whether the rule is an `update` or a `__call__`, overridden closer to its class than `apply`."""
        return closest_override(type(self), ("apply",), ("update", "__call__")) == 1

    @property
    def hyperparams(self) -> dict[str, object]:
        return {"op": type(self).__name__, **self.shown_fields()}


optimizers: Registry[OptimizerBase] = Registry("optimizer", OptimizerBase)


def resolve_optimizer(spec: Spec[OptimizerBase] | None) -> OptimizerBase:
    """The optimizer for a spec; None stands for the default, SGD."""
    return optimizers.resolve(_DEFAULT if spec is None else spec)
