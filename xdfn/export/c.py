"""A model as C: one source file and its header, C99, without allocation."""

import os
import re
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

__all__ = ["export_c"]

_SIGNS = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "equal": "==", "not_equal": "!=", "greater": ">",
    "greater_equal": ">=", "less": "<", "less_equal": "<=", "logical_and": "&&", "logical_or": "||",
}  # fmt: skip
_HELPERS = {  # of the numbers T; unlike fmax and fmin, they give NaN for NaN, as NumPy does
    "maximum": "static inline T maximum(T a, T b) { return a > b || a != a ? a : b; }",
    "minimum": "static inline T minimum(T a, T b) { return a < b || a != a ? a : b; }",
    "sigmoid": "static inline T sigmoid(T z) { return 1 / (1 + EXP(-z)); }",
}
HAS_WORD["export_c"] = has_word


def export_c(model: object, path: str | os.PathLike[str], *, dtype: str | None = None, classes: object = None) -> None:
    """Write the model as C99: ``export_c(model, "net.c")`` writes ``net.c`` and ``net.h``.

    The functions are called after the file: ``net_predict(x, y)`` writes the predictions for one row x into y. For a
    classifier ``net_predict_proba(x, p)`` writes the probabilities, and ``net_predict(x)`` is the class number, an
    index into ``net_classes`` if there are labels. They allocate nothing, keep nothing, and need the C library's
    mathematics alone, ``-lm``.

    Parameters
    ----------
    model : DFN, or a fitted estimator of `xdfn.sklearn`
    path : str or path that ends in ``.c``
    dtype : "float32" or "float64", optional
        Whether it computes in float or in double; without it in what the model does.
    classes : array (m,) of numbers or strings, optional
        The labels that stand for the class numbers 0, 1, ...; those of an estimator are its `classes_`.

    Raises
    ------
    ValueError
        A part that the file would have no word for, a name that C cannot have, or that the model has no parameters yet.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from xdfn import DFN
    >>> model = DFN(layers=[8, 3], seed=0).initialize(np.eye(4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_c(model, f"{folder}/net.c")
    ...     with open(f"{folder}/net.h") as file:
    ...         print(*[line for line in file if "predict" in line], sep="", end="")
    void net_predict_proba(const double x[NET_N_IN], double p[NET_N_OUT]);
    int net_predict(const double x[NET_N_IN]);
    """
    target = Path(path)
    if target.suffix != ".c" or re.fullmatch("[A-Za-z][A-Za-z0-9_]*", target.stem) is None:
        raise ValueError(
            f"path must be a name that C can have, with .c behind it, such as 'net.c', got {os.fspath(path)!r:.80}"
        )
    source = _Source(read_program(model, "export_c", dtype, classes), target.stem)
    body, header = source.text(), source.header()
    write_whole(target.with_suffix(".h"), lambda file: file.write(header.encode()))
    write_whole(target, lambda file: file.write(body.encode()))


class _Source(Printer[str]):
    """The statements of a program for one row. A value is the array that holds it, within expressions an expression."""

    def __init__(self, of: Program, prefix: str) -> None:
        self.of, self.prefix, self.upper = of, prefix, prefix.upper()
        self.real, self.suffix = ("float", "f") if of.dtype == "float32" else ("double", "")
        self.names = Names()
        self.constants: list[str] = []
        self.lines: list[str] = []
        self.kept: list[str] = []  # statements within a loop
        self.held = {"x"}  # arrays that may not be written over
        self.helpers: set[str] = set()
        self.layer, self.n_arrays = "", 0

    # -- the files --

    def header(self) -> str:
        of, T, N = self.of, self.real, self.upper
        declared = [f"{result} {self.prefix}_{rest};" for result, rest in self._signatures().values()]
        if of.classes is not None:
            declared.append(f"extern const {self._labels()[0]};")
        return "\n".join([
            f"/* A network that xdfn wrote: {of.n_in} numbers in, {of.n_out} out, in {T}. */", f"#ifndef {N}_H",
            f"#define {N}_H", "", f"#define {N}_N_IN {of.n_in}", f"#define {N}_N_OUT {of.n_out}", "",
            "#ifdef __cplusplus", 'extern "C" {', "#endif", "", *declared, "", "#ifdef __cplusplus", "}", "#endif", "",
            "#endif",
        ]) + "\n"  # fmt: skip

    def _signatures(self) -> dict[str, tuple[str, str]]:
        """What is called from outside: the type of its result, and its name behind the prefix with its arguments."""
        of, x = self.of, f"const {self.real} x[{self.upper}_N_IN]"
        out = f"{self.real} {{}}[{self.upper}_N_OUT]"
        if not of.decision:
            return {"link": ("void", f"predict({x}, {out.format('y')})")}
        label = ("void", f"predict({x}, int labels[{self.upper}_N_OUT])")
        if of.decision == "largest" or of.n_scores == 1:
            label = ("int", f"predict({x})")
        return {"link": ("void", f"predict_proba({x}, {out.format('p')})"), "label": label}

    def _labels(self) -> tuple[str, str]:
        """The declaration of the labels, and their values."""
        assert self.of.classes is not None
        kind, values = self.of.classes.dtype.kind, self.of.classes.tolist()
        kinds = {"U": "char *const", "O": "char *const", "f": "double"}
        texts = [_quoted(value) if isinstance(value, str) else repr(value + 0) for value in values]
        return f"{kinds.get(kind, 'long long')} {self.prefix}_classes[{len(values)}]", ", ".join(texts)

    def text(self) -> str:
        of, T = self.of, self.real
        scores = self._function("static void scores(const T *x, T *z)", of.scores, "z", of.n_scores)
        signatures, functions = self._signatures(), [scores]
        result, rest = signatures["link"]
        out = "p" if of.decision else "y"
        link = [f"    T z[{of.n_scores}];", "    scores(x, z);"]
        functions.append(self._function(f"{result} {self.prefix}_{rest}", of.link, out, of.n_out, link, "z"))
        if of.decision:
            result, rest = signatures["label"]
            functions.append("\n".join([f"{result} {self.prefix}_{rest}", "{", *link, *self._decision(), "}"]))
        if of.classes is not None:
            declaration, values = self._labels()
            self.constants.append(f"const {declaration} = {{{values}}};")
        helpers = [text for name, text in _HELPERS.items() if name in self.helpers]
        return "\n".join([
            *comments(of, "//"), f'#include "{self.prefix}.h"', "", "#include <math.h>", "", f"typedef {T} T;",
            *(text.replace("EXP", f"exp{self.suffix}") for text in helpers), "", *self.constants,
            *("\n" + function for function in functions),
        ]) + "\n"  # fmt: skip

    def _function(
        self, head: str, steps: tuple[Step, ...], out: str, n_out: int, begin: list[str] | None = None, x: str = "x"
    ) -> str:
        """A function whose steps begin with x and end in the array `out`."""
        self.lines, self.held, self.layer, self.n_arrays = list(begin or []), {"x"}, "", 0
        last = self.steps(steps, x)
        self.loop(n_out, f"{out}[j] = {last}[j];")
        return "\n".join([head, "{", *self.lines, "}"])

    def _decision(self) -> list[str]:
        n = self.of.n_scores
        if self.of.decision == "largest":
            return ["    int best = 0;", f"    for (int j = 1; j < {n}; j++)", "        if (z[j] > z[best]) best = j;",
                    "    return best;"]  # fmt: skip
        return ["    return z[0] > 0;"] if n == 1 else [f"    for (int j = 0; j < {n}; j++) labels[j] = z[j] > 0;"]

    # -- statements --

    def array(self, n: int) -> str:
        """A new array on the stack."""
        self.n_arrays += 1
        self.lines.append(f"    T h{self.n_arrays}[{n}];")
        return f"h{self.n_arrays}"

    def room(self, n: int, x: str) -> str:
        """Where a result of as many numbers as x goes: over x, unless that is needed later."""
        return self.array(n) if x in self.held else x

    def loop(self, n: int, *body: str) -> None:
        self.lines += [f"    for (int j = 0; j < {n}; j++) {{", *(f"        {line}" for line in body), "    }"]

    def constant(self, values: Host, name: str) -> str:
        """A table (n, m), or a row of one."""
        name = self.names.new(f"{self.layer or 'loss'}_{name}")
        texts, (n, m) = [self.literal(text) for text in digits(values)], values.shape
        rows = [", ".join(texts[i * m : (i + 1) * m]) for i in range(n)]
        if n == 1:
            self.constants.append(f"static const T {name}[{m}] = {{{rows[0]}}};")
        else:
            table = ",\n    ".join(f"{{{row}}}" for row in rows)
            self.constants.append(f"static const T {name}[{n}][{m}] = {{\n    {table}\n}};")
        return name

    def literal(self, text: str) -> str:
        if "nan" in text:
            return "NAN"
        if "inf" in text:
            return "-INFINITY" if text.startswith("-") else "INFINITY"
        return (text if "." in text or "e" in text else f"{text}.0") + self.suffix

    def step(self, step: Step, x: str) -> str:
        if step.name != self.layer:
            self.lines.append(f"    // {plain(step.name)}")
        self.layer = step.name
        return super().step(step, x)

    def product(self, step: Step, product: Product, x: str) -> str:
        W, b = self.constant(np.atleast_2d(product.W.T), "W"), self.constant(product.b, "b")
        unit = W if step.n_out == 1 else f"{W}[j]"
        y = self.array(step.n_out)
        self.loop(
            step.n_out, "T sum = 0;", f"for (int i = 0; i < {step.n_in}; i++) sum += {x}[i] * {unit}[i];",
            f"{y}[j] = sum + {b}[j];",
        )  # fmt: skip
        return y

    def elementwise(self, step: Step, symbol: Symbol, x: str) -> str:
        y, self.kept = self.room(step.n_out, x), []
        result = self.expression(symbol, f"{x}[j]")
        result = result[1:-1] if symbol.function in _SIGNS else result
        self.loop(step.n_out, *self.kept, f"{y}[j] = {result};")
        return y

    def normalization(self, step: Step, normalization: Normalization, x: str) -> str:
        gamma, beta = self.constant(normalization.gamma, "gamma"), self.constant(normalization.beta, "beta")
        n, y, k = step.n_out, self.room(step.n_out, x), self._number_of_row()
        self.lines.append(f"    T mean{k} = 0, var{k} = 0;")
        self.loop(n, f"mean{k} += {x}[j] / {n};")
        self.loop(n, f"var{k} += ({x}[j] - mean{k}) * ({x}[j] - mean{k}) / {n};")
        self.lines.append(f"    const T scale{k} = 1 / sqrt{self.suffix}(var{k} + {self.number(normalization.eps)});")
        self.loop(n, f"{y}[j] = ({x}[j] - mean{k}) * scale{k} * {gamma}[j] + {beta}[j];")
        return y

    def softmax(self, step: Step, x: str) -> str:
        n, y, k = step.n_out, self.room(step.n_out, x), self._number_of_row()
        self.lines.append(f"    T largest{k} = {x}[0], total{k} = 0;")
        self.loop(n, f"if ({x}[j] > largest{k}) largest{k} = {x}[j];")
        self.loop(n, f"{y}[j] = exp{self.suffix}({x}[j] - largest{k});", f"total{k} += {y}[j];")
        self.loop(n, f"{y}[j] /= total{k};")
        return y

    def _number_of_row(self) -> int:
        self.n_arrays += 1
        return self.n_arrays

    def largest_piece(self, step: Step, pieces: LargestPiece, x: str) -> str:
        self.helpers.add("maximum")
        y = self.array(step.n_out)
        each = f"for (int i = 1; i < {pieces.n_pieces}; i++) {y}[j] = maximum({y}[j], {x}[i * {step.n_out} + j]);"
        self.loop(step.n_out, f"{y}[j] = {x}[j];", each)
        return y

    def lookup(self, step: Step, lookup: Lookup, x: str) -> str:
        y, first = self.array(step.n_out), len(lookup.stay)
        self.lines += [f"    {y}[{i}] = {x}[{j}];" for i, j in enumerate(lookup.stay)]
        for j, W in lookup.tables.items():
            table, k, c = self.constant(W, f"W{j}"), len(W), f"category{self._number_of_row()}"
            row = table if k == 1 else f"{table}[(int){c}]"
            self.lines.append(f"    const T {c} = rint{self.suffix}({x}[{j}]);")
            self.loop(W.shape[1], f"{y}[{first} + j] = {c} >= 0 && {c} < {k} ? {row}[j] : 0;")
            first += W.shape[1]
        return y

    def first_columns(self, step: Step, columns: FirstColumns, x: str) -> str:
        return x

    def both_sides(self, step: Step, x: str) -> str:
        y = self.array(2)
        self.lines += [f"    {y}[0] = 1 - {x}[0];", f"    {y}[1] = {x}[0];"]
        return y

    def block(self, step: Step, block: Block, x: str) -> str:
        held, self.held = self.held, self.held | {x}
        y = self.steps(block.steps, x)
        self.held = held
        to = self.room(step.n_out, y) if y != x else self.array(step.n_out)
        self.loop(step.n_out, f"{to}[j] = {x}[j] + {y}[j];")
        return to

    # -- expressions --

    def call(self, function: str, arguments: list[str], like: Symbol) -> str:
        if function == "astype":
            return f"(T)({arguments[0]})"
        if function == "where":
            return "({} ? {} : {})".format(*arguments)
        if function in _SIGNS:
            return f"({arguments[0]} {_SIGNS[function]} {arguments[1]})"
        if function in ("negative", "logical_not"):
            return f"({'-' if function == 'negative' else '!'}{arguments[0]})"
        if function in _HELPERS:
            self.helpers.add(function)
            return f"{function}({', '.join(arguments)})"
        return f"{'fabs' if function == 'abs' else function}{self.suffix}({', '.join(arguments)})"

    def number(self, value: Foreign) -> str:
        text = self.literal(repr(value * 1.0))
        return f"({text})" if text.startswith("-") else text

    def row(self, values: Host) -> str:
        return f"{self.constant(values.astype(self.of.dtype), 'row')}[j]"

    def keep(self, value: str) -> str:
        self.kept.append(f"const T t{len(self.kept) + 1} = {value};")  # a condition is 0 or 1 there
        return f"t{len(self.kept)}"


def _quoted(text: str) -> str:
    """A string of C: all but plain characters as octal numbers of UTF-8."""
    plain = re.compile(rb'[^ -~]|["\\?]')
    return '"' + plain.sub(lambda found: b"\\%03o" % found[0][0], text.encode()).decode() + '"'
