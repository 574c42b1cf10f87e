"""The reference: a page for every public name, in groups by kind. It is made of the modules' own `__all__`, so that a
new part is in it by itself.
"""

import importlib
import re

from pages import ROOT, write_if_new

# page: title, introduction, and the modules whose names it has
GROUPS = {
    "model": (
        "Model and data",
        "",
        ["xdfn.model", "xdfn.ensemble", "xdfn.lr_finder", "xdfn.inspect", "xdfn.datasets", "xdfn.train.data"],
    ),
    "layers": (
        "Layers",
        "A layer maps rows (n, n_in) to rows (n, n_out). :doc:`/writing-a-layer` says how to write one.",
        ["xdfn.nn.layers"],
    ),
    "activations": (
        "Activations",
        "An activation is applied to each score z by itself: an array gives one of the same shape and dtype.",
        ["xdfn.nn.activations"],
    ),
    "initialisers": (
        "Initialisers",
        "An initialiser draws the weights W (n_in, n_out) of a layer.",
        ["xdfn.nn.initializers"],
    ),
    "losses": (
        "Losses",
        "y are the targets (n, m) or (n,), z the scores (n, m) of the last layer, p = link(z) the prediction. l is the "
        "loss of a row; the loss of a batch is its mean, or with weights w the weighted mean. dz is the gradient at z.",
        ["xdfn.nn.losses"],
    ),
    "regularisers": (
        "Regularisers and constraints",
        "Both act on the weights W (n_in, n_out) of a layer, not on its bias.",
        ["xdfn.nn.regularizers"],
    ),
    "optimizers": (
        "Optimizers",
        "p is a parameter, g its gradient. All other letters are memory of the same shape, which begins at 0.",
        ["xdfn.optim.base", "xdfn.optim.sgd", "xdfn.optim.adaptive", "xdfn.optim.adam"],
    ),
    "schedules": (
        "Schedules",
        "A schedule stands in the place of a learning rate. t counts epochs, or with ``by='step'`` steps.",
        ["xdfn.optim.schedules", "xdfn.optim.plateau"],
    ),
    "metrics": (
        "Metrics",
        "w_i is the weight of row i, 1 without weights.",
        ["xdfn.train.metrics"],
    ),
    "callbacks": ("Callbacks", "", ["xdfn.train.callbacks"]),
    "own-parts": (
        "Names for parts of your own, and the notebook's",
        ":doc:`/own-parts` and :doc:`/notebook` say how to use them.",
        ["xdfn.core", "xdfn.notebook"],
    ),
    "plotting": ("Pictures", "``from xdfn import plotting`` needs matplotlib.", ["xdfn.plotting"]),
    "sklearn": ("scikit-learn's estimators", ":doc:`/sklearn` is the guide.", ["xdfn.sklearn"]),
    "export": ("Export and import", ":doc:`/exporting` is the guide.", ["xdfn.export"]),
    "distributed": ("Several processes", ":doc:`/distributed` is the guide.", ["xdfn.distributed"]),
    "dask": ("Rows on a Dask cluster", ":doc:`/distributed` is the guide.", ["xdfn.dask"]),
}
# their names are not those of xdfn
APART = ("xdfn.plotting", "xdfn.sklearn", "xdfn.distributed", "xdfn.dask", "xdfn.export")


def public(module):
    """The names of a module that get a page; a number, such as OPSET, is explained where it is used."""
    found_in = importlib.import_module(module)
    return [name for name in found_in.__all__ if not isinstance(getattr(found_in, name), int)]


def names(modules):
    """The names of a group, bases first and then by the alphabet."""
    import xdfn

    found = {}
    for module in modules:
        home = module if module.startswith(APART) else "xdfn"
        found |= {f"{home}.{name}": name for name in public(module) if home != "xdfn" or name in xdfn.__all__}
    return sorted(found, key=lambda full: (not full.endswith("Base"), found[full].lower(), found[full]))


def page(title, introduction, modules):
    rows = "\n".join(f"   {name}" for name in names(modules))
    return (
        f"{title}\n{'=' * len(title)}\n\n{introduction}\n\n"
        f".. autosummary::\n   :toctree: generated\n   :nosignatures:\n\n{rows}\n"
    )


def groups():
    """The groups that there are: what another version of xdfn lacks is left out."""
    return {name: group for name, group in GROUPS.items() if all(map(importlib.util.find_spec, group[2]))}


def write_reference(app, config):
    folder = ROOT / "docs" / "reference"
    for name, group in groups().items():
        write_if_new(folder / f"{name}.rst", page(*group))
    toctree = "\n".join(f"   {name}" for name in groups())
    write_if_new(
        folder / "index.rst",
        "Reference\n=========\n\nEvery public name, by its kind. ``from xdfn import ...`` gives all of them, except "
        "where another module is named. :doc:`/stability` says what is promised of them.\n\n"
        f".. toctree::\n   :maxdepth: 2\n\n{toctree}\n",
    )


def escaped(line):
    r"""A line of a docstring that may have formulas, without what reStructuredText takes for its own: \*, \| and \_."""
    parts = re.split(r"(``.*?``|`[^`]*`)", line)
    return "".join(
        part if i % 2 else re.sub(r"(?<!\\)([*|]|(?<=\w)_(?!\w))", r"\\\1", part) for i, part in enumerate(parts)
    )


ROLE = re.compile(r":(?:ref|term|class|func|meth):`([^`<]+?)(?:\s*<[^>`]*>)?`")  # of scikit-learn's own documents


def escape_docstring(app, what, name, obj, options, lines):
    """Docstrings are plain text for the reader of the code; only examples and literal code stay as they are."""
    example = False
    for i, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if not example:
            lines[i] = escaped(ROLE.sub(r"\1", line))


def setup(app):
    app.connect("config-inited", write_reference)
    app.connect("autodoc-process-docstring", escape_docstring, priority=100)  # before numpydoc
    return {"parallel_read_safe": True}
