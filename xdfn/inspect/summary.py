"""A model says what it is: as a line, as a dictionary, as a table of its layers."""

import math
from collections.abc import Mapping

from xdfn.core.part import as_given
from xdfn.core.registry import Spec
from xdfn.nn.initializers import InitializerBase, initializers
from xdfn.nn.layers.base import LayerBase
from xdfn.nn.losses import ObjectiveBase
from xdfn.notebook import OptimizerInitializer
from xdfn.optim.base import OptimizerBase
from xdfn.train.plan import Configured


def text(layers: Mapping[str, LayerBase]) -> str:
    """A table of the layers, their outputs and their numbers of parameters; `?` is not known yet."""
    rows = _rows(layers)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _rows(layers: Mapping[str, LayerBase]) -> list[tuple[str, str, str, str]]:
    """The cells of that table: the heads of the columns, a row for each layer, and the total."""
    rows, n_out = [("layer", "kind", "output", "parameters")], None
    if layers:
        n_out = next(iter(layers.values())).n_in
    for name, layer in layers.items():
        n_out = n_out if layer.n_out is None else layer.n_out
        kind = type(layer).__name__ + (f", {type(layer.acti_fn).__name__}" if layer.acti_fn else "")
        kind += "" if layer.trainable else ", frozen"
        count = f"{_count(layer):,}" if layer.is_initialized else "?"
        rows.append((name, kind, f"(n, {'?' if n_out is None else n_out})", count))
    known = bool(layers) and all(layer.is_initialized for layer in layers.values())
    rows.append(("total", "", "", f"{sum(map(_count, layers.values())):,}" if known else "?"))
    return rows


def _count(layer: LayerBase) -> int:
    return sum(math.prod(value.shape) for value in layer.params.values())


def html(layers: Mapping[str, LayerBase], title: str) -> str:
    """The table of `summary` under a title, as HTML that stands by itself, for notebooks."""
    from html import escape  # which importing the package need not pay for

    def row(cells: tuple[str, ...], tag: str, style: str = "") -> str:
        aligned = ("left", "left", "left", "right")
        inner = (
            f'<{tag} style="text-align: {side}{style}">{escape(cell)}</{tag}>'
            for cell, side in zip(cells, aligned, strict=True)
        )
        return f"<tr>{''.join(inner)}</tr>"

    head, *body, total = _rows(layers)
    return "\n".join(
        [
            f'<div><code style="overflow-wrap: anywhere">{escape(title)}</code>',
            "<table>",
            f"<thead>{row(head, 'th')}</thead>",
            "<tbody>",
            *(row(cells, "td") for cells in body),
            "</tbody>",
            f"<tfoot>{row(total, 'td', '; border-top: 1px solid')}</tfoot>",
            "</table></div>",
        ]
    )


class Described(Configured):
    """The methods of `DFN` that say what it is."""

    hidden_dims_1: int | None
    hidden_dims_2: int | None
    init_w: Spec[InitializerBase]
    optimizer: Spec[OptimizerBase] | None
    loss: ObjectiveBase
    seed: int | None
    clip_value: float | None
    clip_norm: float | None
    ema: float | None

    @property
    def is_initialized(self) -> bool:
        """Whether every layer has its parameters."""
        return self.config().is_initialized

    @is_initialized.setter
    def is_initialized(self, value: bool) -> None:
        if not value:  # the notebook's `_set_params` assigns True, which the layers say by themselves
            raise AttributeError("is_initialized follows from the layers; model.reset() makes a model as it was")

    def given(self) -> dict[str, object]:
        """The arguments that make an equal model, beside its layers and its loss, as JSON can hold them."""
        return {
            "hidden_dims_1": self.hidden_dims_1,
            "hidden_dims_2": self.hidden_dims_2,
            "optimizer": as_given(self.optimizer, OptimizerInitializer(self.optimizer)()),
            "init_w": as_given(self.init_w, initializers.resolve(self.init_w)),
            "seed": self.seed,
            **self._extras,
        }

    @property
    def _extras(self) -> dict[str, float | None]:
        return {"clip_value": self.clip_value, "clip_norm": self.clip_norm, "ema": self.ema}

    @property
    def hyperparams(self) -> dict[str, object]:
        """The notebook's dictionary: what was given, and the parameters by layer under ``"components"``."""
        layers = None if self.hidden_dims_1 is not None else [str(layer) for layer in self.config().layers.values()]
        later = {"layers": layers, "seed": self.seed, **self._extras}
        return {
            "init_w": self.init_w,
            "loss": str(self.loss),
            "optimizer": self.optimizer,
            "hidden_dims_1": self.hidden_dims_1,
            "hidden_dims_2": self.hidden_dims_2,
            **{name: value for name, value in later.items() if value is not None},
            "components": {name: dict(layer.params) for name, layer in self.config().layers.items()},
        }

    def summary(self) -> str:
        """A table of the layers, their outputs and their numbers of parameters, for `print`; `?` is not known yet.

        Examples
        --------
        >>> from xdfn import DFN
        >>> print(DFN(200, 10).summary())
        layer  kind                     output    parameters
        FC1    FullyConnected, Sigmoid  (n, 200)  ?
        FC2    FullyConnected, Affine   (n, 10)   ?
        total                                     ?
        """
        return text(self.config().layers)

    def __repr__(self) -> str:
        shared = OptimizerInitializer(self.optimizer)()
        specs = [
            layer.spec(omit=("optimizer",) if layer.inherits and layer.optimizer == shared else ())
            for layer in self.config().layers.values()
        ]
        short = self.hidden_dims_1 is not None
        later = {"seed": self.seed, **self._extras}
        return "DFN({})".format(
            ", ".join(
                [
                    f"{self.hidden_dims_1}, {self.hidden_dims_2}" if short else f"layers={specs}",
                    f"optimizer={as_given(self.optimizer, shared)!r}",
                    *([f"init_w={str(self.init_w)!r}"] if short else []),
                    f"loss={str(self.loss)!r}",
                    *(f"{name}={value}" for name, value in later.items() if value is not None),
                ]
            )
        )

    def _repr_html_(self) -> str:
        rule = as_given(self.optimizer, OptimizerInitializer(self.optimizer)())
        return html(self.config().layers, f"DFN, {self.loss}, {rule}")  # the table has the layers
