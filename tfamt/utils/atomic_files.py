"""Write files whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tfamt.errors import InputError
from tfamt.utils.temporary import remove_leftovers_once, temporary_file


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds.

    Whatever ends the block early (an exception, Ctrl-C) removes the temporary file, so a reader never
    sees a half-written one. What a killed process has left in that folder is removed first.

    Raises:
      InputError: the folder cannot be written or the disk is full.
    """
    target = Path(path)
    remove_leftovers_once(os.path.abspath(target.parent))
    try:
        with temporary_file(target.parent, target.suffix) as temporary:
            yield temporary
            # Windows flushes no file that is open for reading only.
            with temporary.open("r+b") as written:
                os.fsync(written.fileno())
            temporary.replace(target)
    except OSError as error:
        raise _unwritable(target, error) from error


def atomic_write(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write `content` (text as UTF-8) to `path`, whole or not at all.

    Raises:
      InputError: the folder cannot be written or the disk is full.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"cannot be written ({error.strerror or error})",
        path=path,
        fix="Check that the folder exists, that you may write to it and that the disk is not full.",
    )
