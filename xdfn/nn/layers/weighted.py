"""What the layers with weights W and biases b have in common: their hyper-parameters."""

from typing import SupportsIndex

from xdfn.core.fields import Field, integer
from xdfn.core.registry import Spec
from xdfn.nn.initializers import InitializerBase, InitializerField
from xdfn.nn.layers.base import LayerBase
from xdfn.nn.regularizers import ConstraintBase, RegularizerBase, constraints, regularizers
from xdfn.optim.base import OptimizerBase

__all__: list[str] = []


class WeightedLayer(LayerBase):
    """Base of the layers with weights W and biases b: how both are drawn, and what holds W."""

    n_out = Field(integer)
    init_w, init_b = InitializerField(), InitializerField()
    given_initializers: dict[str, object]
    regularizer = regularizers.optional_field()
    constraint = constraints.optional_field()

    def __init__(
        self,
        n_out: SupportsIndex,
        init_w: Spec[InitializerBase],
        optimizer: Spec[OptimizerBase] | None = None,
        init_b: Spec[InitializerBase] = "zeros",
        regularizer: Spec[RegularizerBase] | None = None,
        constraint: Spec[ConstraintBase] | None = None,
    ) -> None:
        super().__init__(optimizer)
        self.n_out = n_out
        self.init_w, self.init_b = init_w, init_b
        self.regularizer, self.constraint = regularizer, constraint

    def as_given(self, name: str) -> object:
        """The initialiser of that name as it was given: a spec, or an object."""
        given: object = self.given_initializers[name]
        return vars(self)[name] if isinstance(given, InitializerBase) else given
