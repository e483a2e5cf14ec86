"""Check output paths: no existing file is replaced unasked, none is left half written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tfamt.errors import InputError
from tfamt.utils.atomic_files import atomic_path

_USUAL_NAME_MAX = 255
"""Bytes, of nearly all file systems; for folders that do not exist yet."""


def check_output_path(path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Refuse a path that must not be written, before any work is done for it.

    Raises:
      InputError: the path is a folder, its name is too long, or it exists and `overwrite` is false.
    """
    target = Path(path)
    size, limit = len(os.fsencode(target.name)), _longest_name(target.parent)
    if size > limit:
        raise InputError(
            f"is a name of {size} bytes, where {limit} are allowed",
            path=target,
            fix="Give the file that it is named after a shorter name.",
        )
    if os.path.isdir(target):
        raise InputError("is a folder, but a file was to be written there", path=target)
    if os.path.lexists(target) and not overwrite:
        raise InputError(
            "exists already",
            path=target,
            fix="To replace it, pass --overwrite (in Python: overwrite=True).",
        )


def _longest_name(folder: Path) -> int:
    """Return the number of bytes that the name of a file in a folder may have."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (OSError, ValueError):
        return _USUAL_NAME_MAX


def make_folder(folder: str | os.PathLike[str]) -> None:
    """Make a folder, and those above it, if they do not exist.

    Raises:
      InputError: it cannot be made.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made ({error.strerror})", path=folder) from error


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yield `tfamt.utils.atomic_files.atomic_path` after `check_output_path`.

    Raises:
      InputError: as these two.
    """
    check_output_path(path, overwrite=overwrite)
    with atomic_path(path) as temporary:
        yield temporary
