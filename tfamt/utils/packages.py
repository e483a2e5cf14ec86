"""Import optional packages at their first use."""

from __future__ import annotations

import importlib
from types import ModuleType

from tfamt.errors import InputError


def import_package(module: str, purpose: str) -> ModuleType:
    """Return a module of a package that may be missing.

    Args:
      module: its name, such as "matplotlib.ticker".
      purpose: what needs it, to begin a sentence with.

    Raises:
      InputError: the package is not installed.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        raise InputError(
            f"{purpose} needs {package}, which is not installed", fix=f"pip install {package}"
        ) from error
