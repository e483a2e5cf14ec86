"""Import optional packages, and report those that are not installed."""

from __future__ import annotations

import importlib
import importlib.util
import re
from importlib import metadata
from types import ModuleType

from tfamt.errors import InputError


def require_package(module: str, extra: str, purpose: str) -> None:
    """Refuse to begin what needs a package that is not installed.

    Args:
      module: the name that is imported.
      extra: the extra of tfamt that brings it.
      purpose: what needs it.

    Raises:
      InputError: it is not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise _missing(f"{purpose} needs {module}", extra)


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


def missing_package(error: ModuleNotFoundError) -> InputError | None:
    """Return the error for a failed import of a package that an extra of tfamt has; None if no extra has it."""
    try:
        requirements = metadata.requires("tfamt") or []
    except metadata.PackageNotFoundError:
        return None
    module = (error.name or "").partition(".")[0]
    for requirement in requirements:
        name = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"""extra *== *["'](\w+)["']""", requirement)
        if name and extra and re.sub(r"[-.]", "_", name[0]).lower() == module:
            return _missing(f"this needs {module}", extra[1])
    return None


def _missing(problem: str, extra: str) -> InputError:
    return InputError(
        f"{problem}, which is not installed", fix=f"Install it: pip install 'tfamt[{extra}]'."
    )
