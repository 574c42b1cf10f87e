"""A model as an ONNX file, for onnxruntime and whatever else reads the format: https://onnx.ai"""

import math
import os
from typing import SupportsIndex

import numpy as np

from xdfn.backend import Foreign, Host
from xdfn.core.optional import need
from xdfn.core.writer import write_whole
from xdfn.export.formats import HAS_WORD
from xdfn.export.operations import Block, FirstColumns, LargestPiece, Lookup, Normalization, Product, Program, Step
from xdfn.export.printer import Printer
from xdfn.export.program import has_word, read_program
from xdfn.export.symbols import Symbol

__all__ = ["OPSET", "to_onnx"]

OPSET = 17  # the first with LayerNormalization; read by onnxruntime from 1.12 on
_IR_VERSION = 8  # the file format that goes with it
_NODES = {
    "abs": "Abs",
    "add": "Add",
    "divide": "Div",
    "equal": "Equal",
    "exp": "Exp",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "less": "Less",
    "less_equal": "LessOrEqual",
    "log": "Log",
    "logical_and": "And",
    "logical_not": "Not",
    "logical_or": "Or",
    "maximum": "Max",
    "minimum": "Min",
    "multiply": "Mul",
    "negative": "Neg",
    "pow": "Pow",
    "sigmoid": "Sigmoid",
    "sin": "Sin",
    "sqrt": "Sqrt",
    "subtract": "Sub",
    "tanh": "Tanh",
    "where": "Where",
}
HAS_WORD["to_onnx"] = has_word


def to_onnx(
    model: object, path: str | os.PathLike[str] | None = None, *, dtype: str | None = None, classes: object = None
) -> Foreign:
    """The model as an ``onnx.ModelProto``, checked by ONNX's own checker.

    Its input is ``X`` (n, n_in), for any n. Its outputs are ``label`` and ``probabilities`` for a classifier, what
    `predict` and `predict_proba` give, and ``prediction`` for all others.

    Parameters
    ----------
    model : DFN, or a fitted estimator of `xdfn.sklearn`
    path : str or path, optional
        A file to write it to as well.
    dtype : "float32" or "float64", optional
        Of the inputs, of all computing and of the predictions; without it that of the model.
    classes : array (m,) of numbers or strings, optional
        The labels that stand for the class numbers 0, 1, ...; those of an estimator are its `classes_`.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ValueError
        A part that ONNX has no word for, or that the model has no parameters yet.
    ModuleNotFoundError
        The package onnx is not installed.

    Notes
    -----
    It uses operators of opset 17 (`OPSET`), in the forms that onnxruntime has for both dtypes.

    Examples
    --------
    >>> import numpy as np
    >>> from xdfn import DFN
    >>> model = DFN(layers=[8, 3], seed=0).initialize(np.zeros((1, 4)))
    >>> [output.name for output in to_onnx(model, classes=["ant", "bee", "cat"]).graph.output]
    ['label', 'probabilities']
    """
    onnx = need("xdfn.export", "onnx", "onnx", "onnx>=1.17")
    proto = _Graph(onnx, read_program(model, "to_onnx", dtype, classes)).proto()
    onnx.checker.check_model(proto, full_check=True)
    if path is not None:
        write_whole(path, lambda file: file.write(proto.SerializeToString()))
    return proto


class _Graph(Printer[str]):
    """The nodes of a program. A value is its name."""

    def __init__(self, onnx: Foreign, of: Program) -> None:
        self.onnx, self.of = onnx, of
        self.nodes: list[object] = []
        self.constants: list[object] = []
        self.known: dict[tuple[object, ...], str] = {}  # numbers
        self.names: dict[str, int] = {}
        self.layer = ""

    def proto(self) -> Foreign:
        helper, of = self.onnx.helper, self.of
        scores = self.steps(of.scores, "X")
        prediction = self.steps(of.link, scores)
        real = helper.np_dtype_to_tensor_dtype(np.dtype(of.dtype))
        shape = ["n"] if of.flat and of.n_out == 1 else ["n", of.n_out]
        name = "probabilities" if of.decision else "prediction"
        self.layer = "loss"
        self._output(self._as_rows(prediction) if len(shape) == 1 else prediction, name)
        outputs = [helper.make_tensor_value_info(name, real, shape)]
        if of.decision:
            outputs.insert(0, self._label(scores))
        graph = helper.make_graph(
            self.nodes, "xdfn", [helper.make_tensor_value_info("X", real, ["n", of.n_in])], outputs, self.constants,
            doc_string="; ".join(f"{name}: {part}" for name, part in of.parts.items()),
        )  # fmt: skip
        return helper.make_model(
            graph, producer_name="xdfn", ir_version=_IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)]
        )

    def _label(self, scores: str) -> Foreign:
        """The class of each row, written as the output "label"; gives the description of that."""
        helper, of = self.onnx.helper, self.of
        if of.decision == "largest":
            label = self.node("ArgMax", [scores], axis=1, keepdims=0)
        else:
            label = self.cast(self.node("Greater", [scores, self.number(0.0)]), "int64")
            label = self._as_rows(label) if of.labels_are_flat else label
        kind = helper.np_dtype_to_tensor_dtype(np.dtype("int64"))
        if of.classes is not None:
            labels, kind = self._class_labels(of.classes)
            label = self.node("Gather", [labels, label], axis=0)
        self._output(label, "label")
        return helper.make_tensor_value_info("label", kind, ["n"] if of.labels_are_flat else ["n", of.n_scores])

    def _class_labels(self, classes: Host) -> tuple[str, int]:
        """The labels as a constant, and their kind."""
        helper, name = self.onnx.helper, self.fresh("classes")
        if classes.dtype.kind in "UO":
            kind = self.onnx.TensorProto.STRING
            texts = [label.encode() for label in classes.tolist()]
            self.constants.append(helper.make_tensor(name, kind, [len(texts)], texts))
            return name, kind
        values = classes.astype({"f": "float64", "b": "bool"}.get(classes.dtype.kind, "int64"))
        self.constants.append(self.onnx.numpy_helper.from_array(values, name))
        return name, helper.np_dtype_to_tensor_dtype(values.dtype)

    def _as_rows(self, x: str) -> str:
        """(n, 1) as (n,)."""
        return self.node("Reshape", [x, self.integers([-1])])

    def _output(self, x: str, name: str) -> None:
        self.nodes.append(self.onnx.helper.make_node("Identity", [x], [name], name=name))

    # -- nodes and constants --

    def fresh(self, kind: str) -> str:
        """A name that is not taken, such as "FC1/Gemm"."""
        name = f"{self.layer}/{kind}"
        self.names[name] = self.names.get(name, 0) + 1
        return name if self.names[name] == 1 else f"{name}_{self.names[name]}"

    def node(self, operator: str, inputs: list[str], **attributes: object) -> str:
        name = self.fresh(operator)
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, values: Host, name: str) -> str:
        name = self.fresh(name)
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def integers(self, values: "list[SupportsIndex]") -> str:
        return self.constant(np.asarray(values, "int64"), "integers")

    def cast(self, x: str, dtype: str) -> str:
        return self.node("Cast", [x], to=self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    # -- the operations --

    def step(self, step: Step, x: str) -> str:
        self.layer = step.name.removeprefix("the ")
        return super().step(step, x)

    def product(self, step: Step, product: Product, x: str) -> str:
        return self.node("Gemm", [x, self.constant(product.W, "W"), self.constant(product.b[0], "b")])

    def elementwise(self, step: Step, symbol: Symbol, x: str) -> str:
        return self.expression(symbol, x)

    def normalization(self, step: Step, normalization: Normalization, x: str) -> str:
        given = [self.constant(normalization.gamma[0], "gamma"), self.constant(normalization.beta[0], "beta")]
        if step.n_out == 1:  # which some versions of onnxruntime refuse: one feature is its own mean
            return self.node("Add", [self.node("Sub", [x, x]), given[1]])
        return self.node("LayerNormalization", [x, *given], axis=-1, epsilon=normalization.eps)

    def softmax(self, step: Step, x: str) -> str:
        return self.node("Softmax", [x], axis=-1)

    def largest_piece(self, step: Step, pieces: LargestPiece, x: str) -> str:
        z = self.node("Reshape", [x, self.integers([-1, pieces.n_pieces, step.n_out])])
        return self.node("ReduceMax", [z], axes=[1], keepdims=0)

    def lookup(self, step: Step, lookup: Lookup, x: str) -> str:
        found = [self.node("Gather", [x, self.integers(list(lookup.stay))], axis=1)] if lookup.stay else []
        for j, W in lookup.tables.items():
            nearest = self.node("Round", [self.node("Gather", [x, self.integers([j])], axis=1)])
            known = self.node("GreaterOrEqual", [nearest, self.number(0.0)])
            known = self.node("And", [known, self.node("Less", [nearest, self.number(1.0 * len(W))])])
            rows = self.cast(self.node("Where", [known, nearest, self.number(0.0)]), "int64")
            taken = self.node("Gather", [self.constant(W, f"W{j}"), self._as_rows(rows)], axis=0)
            found.append(self.node("Mul", [taken, self.cast(known, self.of.dtype)]))
        return self.node("Concat", found, axis=1)

    def first_columns(self, step: Step, columns: FirstColumns, x: str) -> str:
        return self.node("Gather", [x, self.integers(list(range(columns.m)))], axis=1)

    def both_sides(self, step: Step, x: str) -> str:
        return self.node("Concat", [self.node("Sub", [self.number(1.0), x]), x], axis=1)

    def block(self, step: Step, block: Block, x: str) -> str:
        y = self.steps(block.steps, x)
        self.layer = step.name
        return self.node("Add", [x, y])

    # -- elementwise functions --

    def call(self, function: str, arguments: list[str], like: Symbol) -> str:
        if function == "astype":
            return self.cast(arguments[0], self.of.dtype)
        if function == "expm1":  # which ONNX has not, nor log1p
            return self.node("Sub", [self.node("Exp", arguments), self.number(1.0)])
        if function == "log1p":
            return self.node("Log", [self.node("Add", [*arguments, self.number(1.0)])])
        if function == "cos":  # which older versions of onnxruntime have in float32 alone
            return self.node("Sin", [self.node("Add", [*arguments, self.number(math.pi / 2)])])
        if function == "sigmoid" and self.of.dtype == "float64":  # x Sigmoid(x) they fuse into a node for float32 alone
            e, one = self.node("Exp", [self.node("Neg", arguments)]), self.number(1.0)
            return self.node("Div", [one, self.node("Add", [e, one])])
        if function == "not_equal":
            return self.node("Not", [self.node("Equal", arguments)])
        return self.node(_NODES[function], arguments)

    def number(self, value: float) -> str:
        if ("number", value) not in self.known:
            self.known["number", value] = self.constant(np.asarray(value, self.of.dtype), "number")
        return self.known["number", value]

    def row(self, values: Host) -> str:
        return self.constant(values.astype(self.of.dtype), "row")
