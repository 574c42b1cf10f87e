"""An optimizer as an object that is called, `opt(param, grad, name)`, and keeps its memory by the parameter's name."""

import copy
from typing import Protocol, Self, TypeVar, cast

from xdfn.backend import Array, fresh_copy
from xdfn.optim.schedules import ScheduleBase

__all__: list[str] = []

Slots = tuple[Array, ...]  # what a rule remembers of a parameter from step to step, arrays of the parameter's shape
Rates = tuple[float, ...]  # the numbers of a step, such as the learning rate

R = TypeVar("R", bound="Rule")


class Rule(Protocol):
    """What a call needs of the rule."""

    @property
    def schedule(self) -> ScheduleBase | None: ...
    def rates(self, t: int, /) -> Rates: ...
    def apply(self, p: Array, g: Array, slots: Slots, rates: Rates, /) -> tuple[Array, Slots]: ...
    def init_slots(self, p: Array, /) -> Slots: ...
    def for_parameter(self: R, name: str, /) -> R: ...
    def with_lr(self: R, lr: float, /) -> R: ...
    def update(self, param: Array, param_grad: Array, param_name: str, /) -> Array: ...


class CallableRule:
    """Mixin of `OptimizerBase`: the call."""

    def without_memory(self) -> Self:
        """A copy of the rule that has no memory of its own yet."""
        rule = copy.copy(self)
        vars(rule).pop("_memory", None)
        return copy.deepcopy(rule)

    def update(self: Rule, param: Array, param_grad: Array, param_name: str) -> Array:
        """The parameter after a step, as a new array."""
        memory = cast(dict[str, tuple[int, Slots]], vars(self).setdefault("_memory", {}))
        t, slots = memory.get(param_name) or (0, self.init_slots(param))
        rule = self.for_parameter(param_name)
        if rule.schedule is not None:
            if rule.schedule.by == "epoch":
                raise ValueError(f"{rule.schedule} counts epochs, which only fit knows; give by='step'")
            rule = rule.with_lr(rule.schedule(t))
        p, slots = rule.apply(fresh_copy(param), fresh_copy(param_grad), slots, rule.rates(t + 1))
        memory[param_name] = t + 1, slots
        return p

    def __call__(self: Rule, param: Array, param_grad: Array, param_name: str) -> Array:
        return self.update(param, param_grad, param_name)
