"""The documents outside of docs/ as pages, links that work both here and on GitHub, and numbered equations."""

import posixpath
import re
from pathlib import Path

from docutils import nodes

ROOT = Path(__file__).resolve().parents[2]
# what is at the top of the repository, and the page that it becomes; none is kept in git
COPIES = {
    "README.md": "project/overview.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CHANGELOG.md": "project/changelog.md",
    "benchmarks/README.md": "project/benchmarks.md",
}
# folders of the repository, and the pages that are made of them
MADE = {"examples": "docs/gallery/index.rst", "xdfn": "docs/reference/index.rst"}
LINK = re.compile(r"(\]\()(?!\w+:|#)([^)\s#]+)(#[^)\s]*)?(\))")


def as_here(text, source, page):
    """The text of the repository's file `source`, with the links that it has as a page `page` of docs/."""

    def replaced(match):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
        if target in COPIES:
            target = f"docs/{COPIES[target]}"
        elif target in MADE:
            target = MADE[target]
        elif source.startswith("docs/") and target.startswith("docs/"):
            return match[0]
        here = posixpath.relpath(target, posixpath.dirname(f"docs/{page}"))
        return f"{match[1]}{here}{match[3] or ''}{match[4]}"

    return LINK.sub(replaced, text)


def write_if_new(path, text):
    """Write a file, unless that is its text already: Sphinx reads again what is newer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def copy_documents(app, config):
    for source, page in COPIES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        write_if_new(ROOT / "docs" / page, as_here(text, source, page))


def link_documents(app, docname, source):
    if not docname.startswith(("project/", "reference/", "gallery/")):
        source[0] = as_here(source[0], f"docs/{docname}.md", f"{docname}.md")


def number_equations(app, doctree):
    r"""Equations have their number in a \tag, which GitHub shows too; here it is a name for links as well."""
    for node in doctree.findall(nodes.math_block):
        text = node.astext()
        if match := re.search(r"\\tag\{(\d+)\}", text):
            node["ids"].append(f"equation-{match[1]}")
            node["nowrap"] = node["no-wrap"] = True  # Sphinx would put it into an environment that knows no \tag
            node.children = [nodes.Text(rf"\[{text}\]")]


def setup(app):
    app.connect("config-inited", copy_documents)
    app.connect("source-read", link_documents)
    app.connect("doctree-read", number_equations)
    return {"parallel_read_safe": True}
