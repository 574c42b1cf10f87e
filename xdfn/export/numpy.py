"""A model as a Python file that needs NumPy alone."""

import base64
import os
import textwrap
from pathlib import Path

import numpy as np

from xdfn.backend import Foreign, Host
from xdfn.core.writer import write_whole
from xdfn.export.formats import HAS_WORD
from xdfn.export.operations import Block, FirstColumns, LargestPiece, Lookup, Normalization, Product, Program, Step
from xdfn.export.printer import Printer
from xdfn.export.program import has_word, read_program
from xdfn.export.symbols import Symbol
from xdfn.export.texts import Names, comments, digits, plain

__all__ = ["export_numpy"]

_MOST_DIGITS = 40  # numbers of an array that are written as decimals; longer ones are base64
_SIGNS = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "pow": "**", "equal": "==", "not_equal": "!=",
    "greater": ">", "greater_equal": ">=", "less": "<", "less_equal": "<=", "logical_and": "&", "logical_or": "|",
}  # fmt: skip
_HELPERS = {
    "array": '''
        def array(text, *shape):
            """The array whose bytes are written in base64."""
            return np.frombuffer(base64.b64decode(text), "{dtype}").reshape(shape).astype("{name}")
        ''',
    "sigmoid": """
        def sigmoid(z):
            return 1.0 / (1.0 + np.exp(-z))
        """,
    "softmax": """
        def softmax(z):
            e = np.exp(z - z.max(axis=-1, keepdims=True))
            return e / e.sum(axis=-1, keepdims=True)
        """,
    "normalize": '''
        def normalize(x, eps):
            """Mean 0 and variance 1 for each row."""
            d = x - x.sum(axis=-1, keepdims=True) / x.shape[-1]
            return d * (1.0 / np.sqrt((d * d).sum(axis=-1, keepdims=True) / x.shape[-1] + eps))
        ''',
    "lookup": '''
        def lookup(W, column):
            """The rows of W by category number; zeros for an unknown category."""
            nearest = np.round(column)
            known = (nearest >= 0) & (nearest < len(W))
            return W[np.where(known, nearest, 0).astype(int)] * known[:, None].astype(W.dtype)
        ''',
}
HAS_WORD["export_numpy"] = has_word


def export_numpy(
    model: object, path: str | os.PathLike[str], *, dtype: str | None = None, classes: object = None
) -> None:
    """Write the model to a Python file that needs NumPy alone, with a function `predict`.

    The file has the weights within it, to the last bit, and no other file. A classifier has `predict_proba` too, and
    all have `scores`, which is what comes before the link of the loss.

    Parameters
    ----------
    model : DFN, or a fitted estimator of `xdfn.sklearn`
    path : str or path, such as ``"net.py"``
    dtype : "float32" or "float64", optional
        In which it computes; without it that of the model.
    classes : array (m,) of numbers or strings, optional
        The labels that stand for the class numbers 0, 1, ...; those of an estimator are its `classes_`.

    Raises
    ------
    ValueError
        A part that the file would have no word for, or that the model has no parameters yet.

    Examples
    --------
    >>> import runpy, tempfile
    >>> import numpy as np
    >>> from xdfn import DFN
    >>> X = np.eye(4)
    >>> model = DFN(layers=[8, 3], seed=0).initialize(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_numpy(model, f"{folder}/net.py")
    ...     net = runpy.run_path(f"{folder}/net.py")
    >>> np.array_equal(net["predict"](X), model.predict(X))
    True
    """
    target = Path(path)
    if target.suffix != ".py" or not target.stem.isidentifier():
        raise ValueError(f"export_numpy writes a module that Python can import, such as 'net.py', got {str(path)!r}")
    text = _Source(read_program(model, "export_numpy", dtype, classes)).text()
    write_whole(path, lambda file: file.write(text.encode()))


class _Source(Printer[str]):
    """The statements of a program. All but expressions is the variable x, to which each statement gives a new value."""

    def __init__(self, of: Program) -> None:
        self.of = of
        self.names = Names()
        self.constants: list[str] = []
        self.lines: list[str] = []  # of the function that is being written
        self.helpers: set[str] = set()
        self.layer, self.n_kept, self.n_blocks = "", 0, 0

    def text(self) -> str:
        of = self.of
        scores = self._function("scores", f"The scores (n, {of.n_scores}) of rows X (n, {of.n_in}).", self._scores())
        functions = [scores, *self._answers()]
        dtype = np.dtype(of.dtype)
        dtypes = {"dtype": dtype.newbyteorder("<").str, "name": of.dtype}
        helpers = [
            textwrap.dedent(_HELPERS[name]).strip().format(**dtypes) for name in _HELPERS if name in self.helpers
        ]
        head = ['"""A network that xdfn wrote. It needs NumPy alone."""', "", "import numpy as np"]
        head[2:2] = ["import base64", ""] if "array" in self.helpers else []
        return "\n".join([
            *head, "", *comments(of, "#"), "",
            *("\n" + helper + "\n" for helper in helpers), *self.constants,
            *("\n\n" + function for function in functions),
        ]) + "\n"  # fmt: skip

    def _function(self, name: str, documentation: str, body: list[str]) -> str:
        lines = ['@np.errstate(all="ignore")', f"def {name}(X):", f'    """{documentation}"""', *body]
        return "\n".join(lines)

    def _scores(self) -> list[str]:
        of = self.of
        self.lines = [f'    x = np.asarray(X, "{of.dtype}")', f"    if x.ndim != 2 or x.shape[1] != {of.n_in}:",
                      f'        raise ValueError(f"X must have shape (n, {of.n_in}), got {{x.shape}}")']  # fmt: skip
        self.steps(of.scores, "x")
        return [*self.lines, "    return x"]

    def _link(self) -> list[str]:
        self.lines, self.layer = ["    x = scores(X)"], ""
        self.steps(self.of.link, "x")
        return [*self.lines, f"    return x{'[:, 0]' if self.of.flat and self.of.n_out == 1 else ''}"]

    def _answers(self) -> list[str]:
        of = self.of
        shape = "(n,)" if of.flat and of.n_out == 1 else f"(n, {of.n_out})"
        if not of.decision:
            return [self._function("predict", f"The predictions {shape} for rows X (n, {of.n_in}).", self._link())]
        if of.decision == "largest":
            label = "scores(X).argmax(axis=-1)"
        else:
            label = f'(scores(X) > 0).astype("int32"){"[:, 0]" if of.labels_are_flat else ""}'
        if of.classes is not None:
            self.constants.append(f"classes = np.array({of.classes.tolist()!r})")
            label = f"classes[{label}]"
        shape_of_labels = "(n,)" if of.labels_are_flat else f"(n, {of.n_scores})"
        return [
            self._function("predict_proba", f"The probabilities {shape} for rows X (n, {of.n_in}).", self._link()),
            self._function(
                "predict", f"The labels {shape_of_labels} of rows X (n, {of.n_in}).", [f"    return {label}"]
            ),
        ]

    # -- statements --

    def assign(self, expression: str) -> str:
        self.lines.append(f"    x = {expression}")
        return "x"

    def constant(self, values: Host, name: str) -> str:
        name = self.names.new(f"{self.layer or 'loss'}_{name}")
        if values.size <= _MOST_DIGITS and np.isfinite(values).all():
            texts, m = digits(values), values.shape[1]
            rows = [f"[{', '.join(texts[i : i + m])}]" for i in range(0, len(texts), m)]
            self.constants.append(f'{name} = np.array([{", ".join(rows)}], "{self.of.dtype}")')
        else:
            self.helpers.add("array")
            little = values.astype(values.dtype.newbyteorder("<"))
            text = base64.b64encode(little.tobytes()).decode()
            wrapped = "\n".join(text[i : i + 100] for i in range(0, len(text), 100))
            shape = ", ".join(map(str, values.shape))
            self.constants.append(f'{name} = array("""\n{wrapped}\n""", {shape})')
        return name

    def helper(self, name: str) -> str:
        self.helpers.add(name)
        return name

    def step(self, step: Step, x: str) -> str:
        if step.name != self.layer:
            self.lines.append(f"    # {plain(step.name)}")
        self.layer = step.name
        return super().step(step, x)

    def product(self, step: Step, product: Product, x: str) -> str:
        return self.assign(f"x @ {self.constant(product.W, 'W')} + {self.constant(product.b, 'b')}")

    def elementwise(self, step: Step, symbol: Symbol, x: str) -> str:
        self.n_kept = 0
        text = self.expression(symbol, x)
        return self.assign(text[1:-1] if symbol.function in _SIGNS else text)

    def normalization(self, step: Step, normalization: Normalization, x: str) -> str:
        gamma, beta = self.constant(normalization.gamma, "gamma"), self.constant(normalization.beta, "beta")
        return self.assign(f"{self.helper('normalize')}(x, {normalization.eps!r}) * {gamma} + {beta}")

    def softmax(self, step: Step, x: str) -> str:
        return self.assign(f"{self.helper('softmax')}(x)")

    def largest_piece(self, step: Step, pieces: LargestPiece, x: str) -> str:
        return self.assign(f"x.reshape(-1, {pieces.n_pieces}, {step.n_out}).max(axis=1)")

    def lookup(self, step: Step, lookup: Lookup, x: str) -> str:
        stay = [f"x[:, {list(lookup.stay)}]"] if lookup.stay else []
        found = [f"{self.helper('lookup')}({self.constant(W, f'W{j}')}, x[:, {j}])" for j, W in lookup.tables.items()]
        return self.assign(f"np.concatenate([{', '.join([*stay, *found])}], axis=1)")

    def first_columns(self, step: Step, columns: FirstColumns, x: str) -> str:
        return self.assign(f"x[:, :{columns.m}]")

    def both_sides(self, step: Step, x: str) -> str:
        return self.assign("np.concatenate([1.0 - x, x], axis=1)")

    def block(self, step: Step, block: Block, x: str) -> str:
        self.n_blocks += 1
        before = f"before{self.n_blocks}"
        self.lines.append(f"    {before} = x")
        self.steps(block.steps, x)
        return self.assign(f"{before} + x")

    # -- expressions --

    def call(self, function: str, arguments: list[str], like: Symbol) -> str:
        if function == "astype":
            return f'{arguments[0]}.astype("{self.of.dtype}")'
        if function in _SIGNS:
            return f"({arguments[0]} {_SIGNS[function]} {arguments[1]})"
        if function == "negative":
            return f"(-{arguments[0]})"
        if function == "sigmoid":
            return f"{self.helper('sigmoid')}({arguments[0]})"
        return f"np.{function}({', '.join(arguments)})"

    def number(self, value: Foreign) -> str:
        text = repr(value).replace("inf", "np.inf").replace("nan", "np.nan")
        return f"({text})" if text.startswith("-") else text

    def row(self, values: Host) -> str:
        return self.constant(values.astype(self.of.dtype), "row")

    def keep(self, value: str) -> str:
        self.n_kept += 1
        self.lines.append(f"    t{self.n_kept} = {value}")
        return f"t{self.n_kept}"
