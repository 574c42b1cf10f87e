"""The gallery: examples/*.py, run while the site is built, with the pictures that they leave in examples/output."""

import builtins
import shutil
from pathlib import Path

from sphinx_gallery.scrapers import figure_rst

NOT_RUN = {  # and why
    "dask_mnist": "it starts a cluster",
    "distributed_mnist": "it is started by mpiexec",
    "regularisation": "it takes half an hour",
}
NEEDS_MNIST = ("train_mnist", "training")


def has_mnist():
    """Whether MNIST is there without a download."""
    from xdfn import datasets

    return datasets._BESIDE.is_dir()


def runs(stem):
    return stem not in NOT_RUN and (has_mnist() or stem not in NEEDS_MNIST)


def picture(block, block_vars, gallery_conf):
    """Take the picture that a program has left in examples/output under its own name."""
    source = Path(block_vars["src_file"])
    found = source.parent / "output" / f"{source.stem.removeprefix('train_')}.png"
    if not found.exists():
        return ""
    target = next(block_vars["image_path_iterator"])
    shutil.copy(found, target)
    return figure_rst([target], gallery_conf["src_dir"])


def name_file(gallery_conf, program):
    """Let the program know its file, which the gallery does not tell it."""
    builtins.__file__ = str(program)


def settings(docs):
    examples = docs.parent / "examples"
    run = sorted(path.stem for path in examples.glob("*.py") if runs(path.stem))
    return {
        "examples_dirs": str(examples),
        "gallery_dirs": "gallery",
        "filename_pattern": rf"[/\\]({'|'.join(run)})\.py$",
        "image_scrapers": ("gallery.picture",),
        "within_subsection_order": "FileNameSortKey",
        "abort_on_example_error": False,  # Sphinx makes an error of it at the end, and all others are seen as well
        "download_all_examples": False,
        "write_computation_times": False,
        "show_signature": False,
        "capture_repr": (),
        "min_reported_time": 1,
        "reset_modules": ("gallery.name_file",),
        "matplotlib_animations": False,
    }
