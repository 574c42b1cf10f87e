"""The formats by name, and what is said of a part that a format has no word for."""

from collections.abc import Callable

from xdfn.core.part import Part

__all__: list[str] = []

HAS_WORD: dict[str, Callable[[Part], bool]] = {}  # by the name of the function that writes the format


def refusal(format_name: str, name: str, part: Part, why: str = "") -> ValueError:
    """The error for a part that a format has no word for; `name` is that of its layer, or "the loss"."""
    others = [other for other, has_word in HAS_WORD.items() if other != format_name and has_word(part)]
    return ValueError(
        f"{format_name} has no word for {name}, {part.spec(omit=('optimizer',))}{f': {why}' if why else ''}; "
        f"formats that have one: {', '.join([*others, 'DFN.save'])}"
    )
