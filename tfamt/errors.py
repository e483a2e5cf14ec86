"""Define the errors that a user can fix."""

from __future__ import annotations

import os


class TfamtError(Exception):
    """Base of every error that tfamt raises for a reason outside its own code."""


class InputError(TfamtError):
    """Something that came from outside (a file, a flag, an array) cannot be used.

    Args:
      problem: what is wrong, in one sentence without a final full stop.
      path: the file that is meant, where there is one.
      fix: what the user can do about it.
    """

    def __init__(self, problem: str, *, path: str | os.PathLike[str] | None = None, fix: str = ""):
        self.problem = problem
        self.path = os.fspath(path) if path is not None else None
        self.fix = fix
        where = f"{self.path}: " if self.path else ""
        super().__init__(f"{where}{problem}." + (f" {fix}" if fix else ""))


class IncompleteError(InputError):
    """A recording that breaks off: what comes before is whole.

    Args:
      problem, path, fix: as `InputError`.
      seconds: from the beginning of the recording to where it breaks off.
    """

    def __init__(
        self, problem: str, *, path: str | os.PathLike[str], fix: str = "", seconds: float
    ):
        self.seconds = seconds
        super().__init__(problem, path=path, fix=fix)
