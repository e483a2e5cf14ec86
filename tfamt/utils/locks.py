"""Lock files against other processes.

The kernel releases a lock when the process that holds it ends, for any reason.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import IO, Any

from tfamt.errors import InputError

if sys.platform == "win32":
    import msvcrt

    # Others cannot read a locked byte, so it is one that no file has. The C library takes offsets of 31 bits.
    _LOCKED_BYTE = 2**31 - 2

    def _try_lock(file: IO[Any]) -> None:
        descriptor = file.fileno()
        position = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(descriptor, position, os.SEEK_SET)

    def _delete(file: IO[Any], path: str | os.PathLike[str]) -> None:
        file.close()
        # Windows deletes no open file: another process may have opened it by now, and deletes it later.
        with contextlib.suppress(PermissionError):
            os.unlink(path)

else:
    import fcntl

    def _try_lock(file: IO[Any]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _delete(file: IO[Any], path: str | os.PathLike[str]) -> None:
        # Before the lock ends: afterwards another process may hold the file.
        os.unlink(path)


class LockedError(InputError):
    """Another process holds the lock."""


def lock_file(file: IO[Any], path: str | os.PathLike[str], problem: str) -> None:
    """Lock an open file until it is closed.

    Raises:
      LockedError: another process holds the lock; `problem` describes it.
    """
    try:
        _try_lock(file)
    # BlockingIOError on POSIX, PermissionError on Windows.
    except (BlockingIOError, PermissionError) as error:
        raise LockedError(problem, path=path) from error


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file or folder until it is closed; return False if another process holds the lock.

    Returns:
      None where the system or the file system has no such locks.
    """
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@contextlib.contextmanager
def exclusive_lock(path: str | os.PathLike[str], problem: str) -> Iterator[None]:
    """Hold a lock file while the block runs; it is made if missing, and deleted afterwards.

    Args:
      path: the lock file.
      problem: what is wrong if another process holds it, in one sentence without a final full stop.

    Raises:
      LockedError: another process holds the lock.
      InputError: the file cannot be written.
    """
    while True:
        try:
            file = open(path, "w")  # noqa: SIM115
        except OSError as error:
            raise InputError(f"cannot be written ({error.strerror})", path=path) from error
        with file:
            lock_file(file, path, problem)
            if not is_still(file.fileno(), path):
                # Its last holder deleted it between opening and locking: another process may have made a new one.
                continue
            try:
                yield
            finally:
                _delete(file, path)
            return


def is_still(descriptor: int, path: str | os.PathLike[str]) -> bool:
    """Return whether the path still names the open file or folder."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
