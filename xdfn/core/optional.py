"""Packages that need not be installed: what is said where one is missing."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

__all__: list[str] = []


def need(who: str, module: str, extra: str, requirement: str) -> "ModuleType":
    """The optional module that `who` needs.

    Raises
    ------
    ModuleNotFoundError
        Its package is not installed. The message says what to install: the requirement, or the extra of xdfn.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise ModuleNotFoundError(
            f'{who} needs {package}: pip install "{requirement}", or pip install "xdfn[{extra}]" ({error})',
            name=package,
        ) from None
