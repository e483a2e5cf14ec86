"""Lock files against other processes.

The kernel releases a lock when the process that holds it ends, for any reason.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from typing import IO, Any

from tfamt.errors import InputError


class LockedError(InputError):
    """Another process holds the lock."""


def lock_file(file: IO[Any], path: str | os.PathLike[str], problem: str) -> None:
    """Lock an open file until it is closed.

    Raises:
      LockedError: another process holds the lock; `problem` describes it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LockedError(problem, path=path) from error


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file or folder until it is closed; return False if another process holds the lock.

    Returns:
      None where the file system has no such locks.
    """
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
                os.unlink(path)
            return


def is_still(descriptor: int, path: str | os.PathLike[str]) -> bool:
    """Return whether the path still names the open file or folder."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
