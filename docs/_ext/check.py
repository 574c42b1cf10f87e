"""Checks the built site: python docs/_ext/check.py docs/_build/html. Every link within it leads to a page, a file or an
anchor that is there, nothing is fetched from elsewhere, and every public name has its page with a first sentence.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

sys.path.insert(0, str(Path(__file__).parent))

FETCHED = {
    ("script", "src"),
    ("link", "href"),
    ("img", "src"),
    ("source", "src"),
    ("iframe", "src"),
    ("object", "data"),
}
DESCRIBED = re.compile(r'<dt class="sig[^>]* id="([\w.]+)">(?:(?!</dt>).)*</dt>\s*<dd><p>\w', re.DOTALL)


class Page(HTMLParser):
    """The anchors of a page, and its links as (tag, attribute, address)."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links = set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)
            elif name in ("href", "src", "data") and value:
                self.links.append((tag, name, value))


def broken_links(root, pages):
    for path, page in pages.items():
        for tag, name, address in page.links:
            here, parts = path.relative_to(root), urlsplit(address)
            if parts.scheme or parts.netloc:
                if (tag, name) in FETCHED and parts.scheme != "data":
                    yield f"{here} fetches {address}"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                yield f"{here} links to {address}, which is not there"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{here} links to {address}, which has no such anchor"


def missing_names(pages):
    """Public names that the reference does not have, or of which it says nothing."""
    import reference

    import xdfn

    frozen = Path(__file__).resolve().parents[2] / "tests/contracts/public_names.txt"
    wanted = {f"xdfn.{name}" for name in (*xdfn.__all__, *frozen.read_text().split())}
    for module in reference.APART:
        wanted |= {f"{module}.{name}" for name in reference.public(module)}
    described = set()
    for path in pages:
        if path.parent.name == "generated":
            text = path.read_text(encoding="utf-8")
            described |= set(DESCRIBED.findall(text))
    return [f"{name} has no page with a text in the reference" for name in sorted(wanted - described)]


def main(root):
    root = Path(root).resolve()
    pages = {path: Page(path) for path in sorted(root.rglob("*.html")) if "_static" not in path.parts}
    faults = [*broken_links(root, pages), *missing_names(pages)]
    print(*faults, sep="\n")
    print(f"{len(pages)} pages, {sum(len(page.links) for page in pages.values())} links, {len(faults)} faults")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
