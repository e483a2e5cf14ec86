"""Make temporary files and folders, and delete those that killed processes have left.

A process locks what it makes, and the kernel releases the lock when the process ends for any reason. Names tell the
machine, since locks may not reach from one machine to another on a shared folder. Windows renames no open file, so
nothing is locked there, and what was left is deleted after a day.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tfamt.utils.locks import is_still, try_lock

PREFIX = ".tfamt-"
_NAME = re.compile(
    rf"{re.escape(PREFIX)}(?P<host>[0-9a-f]{{4}})(?P<boot>[0-9a-f]{{4}})-[0-9a-f]{{8}}(\.\w+)?"
)
_LONGEST_SUFFIX = 16
"""In characters; a longer one is part of a name, and the name may fill what the file system allows."""
_LOCKS = sys.platform != "win32"
_SECONDS_TO_ABANDON = 86_400.0
"""Age at which nobody writes any more, where locks cannot tell."""


class _TakenError(Exception):
    """Another process has deleted a new folder, which had no lock yet."""


@contextlib.contextmanager
def temporary_file(folder: Path, suffix: str = "") -> Iterator[Path]:
    """Yield a new empty file, which is deleted afterwards unless it was renamed.

    Its permissions are those of any new file of the user.

    Args:
      folder: where it is made.
      suffix: such as ".mid", for writers that go by it; one of unusual length is left out.
    """

    def make(path: Path) -> int | None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if _LOCKS:
            return descriptor
        os.close(descriptor)
        return None

    if len(suffix) > _LONGEST_SUFFIX or not re.fullmatch(r"\.\w+", suffix):
        suffix = ".tmp"
    path, descriptor = _make_locked(folder, suffix, make)
    try:
        yield path
    finally:
        _close(descriptor)
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """Yield a new empty folder, which is deleted afterwards with all in it unless it was renamed."""

    def make(path: Path) -> int | None:
        path.mkdir()
        if not _LOCKS:
            return None
        try:
            return os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError as error:
            raise _TakenError from error

    path, descriptor = _make_locked(folder, "", make)
    try:
        yield path
    finally:
        _close(descriptor)
        shutil.rmtree(path, ignore_errors=True)


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def _make_locked(
    folder: Path, suffix: str, make: Callable[[Path], int | None]
) -> tuple[Path, int | None]:
    """Return a new path and the descriptor that locks it; none where there are no locks."""
    host, boot = _machine()
    while True:
        path = folder / f"{PREFIX}{host}{boot}-{secrets.token_hex(4)}{suffix}"
        try:
            descriptor = make(path)
        except (FileExistsError, _TakenError):
            continue
        if descriptor is None:
            return path, None
        # Before the lock is there, another process may take it for abandoned and delete it.
        if try_lock(descriptor) is not False and is_still(descriptor, path):
            return path, descriptor
        os.close(descriptor)


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Delete the temporary files and folders in a folder whose processes have been killed.

    What a running process uses stays: it is locked. So does what another machine made less than a day ago, and
    whatever has another name.
    """
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if match := _NAME.fullmatch(name):
                with contextlib.suppress(OSError):
                    _remove_if_abandoned(Path(folder, name), (match["host"], match["boot"]))


remove_leftovers_once = functools.lru_cache(maxsize=1024)(remove_leftovers)
"""The same, once for each folder in the life of a process."""


def _remove_if_abandoned(path: Path, machine: tuple[str, str]) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK) if _LOCKS else None
    try:
        status = os.lstat(path) if descriptor is None else os.fstat(descriptor)
        locked = None if descriptor is None else try_lock(descriptor)
        # A container has its own host name, and the same start of the machine; after a restart it is the other way.
        same_machine = any(ours == theirs for ours, theirs in zip(_machine(), machine, strict=True))
        is_old = time.time() - status.st_mtime > _SECONDS_TO_ABANDON
        if locked is False or not (is_old or (locked and same_machine)):
            return
        if stat.S_ISDIR(status.st_mode):
            shutil.rmtree(path)
        elif stat.S_ISREG(status.st_mode):
            path.unlink()
    finally:
        _close(descriptor)


@functools.cache
def _machine() -> tuple[str, str]:
    """Return four digits for the name of this machine and four for its last start."""
    host = platform.node()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
    except OSError:
        boot = host
    first, second = (
        hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:4] for text in (host, boot)
    )
    return first, second
