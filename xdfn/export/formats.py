"""The formats by name, and what is said of a part that a format has no word for, or of a package that is missing."""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from xdfn.core.part import Part

if TYPE_CHECKING:
    from types import ModuleType

__all__: list[str] = []

HAS_WORD: dict[str, Callable[[Part], bool]] = {}  # by the name of the function that writes the format


def refusal(format_name: str, name: str, part: Part, why: str = "") -> ValueError:
    """The error for a part that a format has no word for; `name` is that of its layer, or "the loss"."""
    others = [other for other, has_word in HAS_WORD.items() if other != format_name and has_word(part)]
    return ValueError(
        f"{format_name} has no word for {name}, {part.spec(omit=('optimizer',))}{f': {why}' if why else ''}; "
        f"formats that have one: {', '.join([*others, 'DFN.save'])}"
    )


def need(module: str, extra: str, requirement: str) -> "ModuleType":
    """An optional module.

    Raises
    ------
    ModuleNotFoundError
        Its package is not installed. The message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise ModuleNotFoundError(
            f'xdfn.export needs {package} for this: pip install "{requirement}", or pip install "xdfn[{extra}]" '
            f"({error})",
            name=package,
        ) from None
