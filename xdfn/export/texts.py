"""What the source files of `export_numpy` and `export_c` have in common: names, comments and numbers as text."""

import re

from xdfn.backend import Host
from xdfn.export.operations import Program

__all__: list[str] = []


class Names:
    """Gives identifiers, each once."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def new(self, name: str) -> str:
        """The name as an identifier, with a number if it is taken."""
        plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
        plain = plain if plain[:1].isalpha() else f"layer_{plain}"
        found, n = plain, 1
        while found in self.taken:
            n += 1
            found = f"{plain}_{n}"
        self.taken.add(found)
        return found


def comments(program: Program, sign: str) -> list[str]:
    """The parts of a program, a line each, behind the sign of a comment."""
    return [f"{sign} {plain(name)}: {plain(part)}" for name, part in program.parts.items()]


def plain(text: str) -> str:
    """A text that stays within the line of a comment, whatever a part calls itself."""
    return re.sub(r"[^ -~]", "?", text).replace("\\", "/")


def digits(values: Host) -> list[str]:
    """Numbers as short decimals that are read as just these numbers."""
    kind = values.dtype.type
    texts = ((value, str(value)) for value in values.reshape(-1))
    return [text if kind(float(text)) == value else repr(float(value)) for value, text in texts]
