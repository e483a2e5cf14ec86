"""Define the errors that a user can fix."""

from __future__ import annotations

import functools
import os
import re
import unicodedata
from typing import Any

_INVISIBLE = frozenset(("Cc", "Cs", "Zl", "Zp"))
"""Categories of characters that break a line or a terminal, or that UTF-8 cannot encode."""


_OPERATION = re.compile(r"\{\{function_node \S+\}\} | ?\[Op:\w+\]( name: ?)?")


def printable(name: str | os.PathLike[str]) -> str:
    r"""Return a file name in one line of text: control characters and bytes that are not UTF-8 become escapes.

    A byte 0xff of a name is "\xff", a line break "\n".
    """
    return "".join(
        _escape(c) if unicodedata.category(c) in _INVISIBLE else c for c in os.fspath(name)
    )


def _escape(character: str) -> str:
    # Python stands for byte 0xNN of a name that is not UTF-8 with the code point 0xDCNN.
    if 0xDC80 <= ord(character) <= 0xDCFF:
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def reason_of(error: Exception) -> str:
    """Return the cause of another package's error in one line, without TensorFlow's name of the operation."""
    text = getattr(error, "strerror", None) or str(error)
    lines = _OPERATION.sub("", str(text)).strip().splitlines()
    return lines[0].strip().rstrip(".") if lines else type(error).__name__


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
        where = f"{printable(self.path)}: " if self.path else ""
        super().__init__(f"{where}{problem}." + (f" {fix}" if fix else ""))

    def __reduce__(self) -> Any:
        # Worker processes send errors pickled; by default the arguments would be lost.
        return functools.partial(type(self), path=self.path, fix=self.fix), (self.problem,)


class IncompleteError(InputError):
    """A recording that breaks off: what comes before is whole.

    Args:
      problem, path, fix: as `InputError`.
      seconds: from the beginning of the recording to where it breaks off.
    """

    def __init__(
        self,
        problem: str,
        *,
        path: str | os.PathLike[str] | None = None,
        fix: str = "",
        seconds: float,
    ):
        self.seconds = seconds
        super().__init__(problem, path=path, fix=fix)

    def __reduce__(self) -> Any:
        return (
            functools.partial(type(self), path=self.path, fix=self.fix, seconds=self.seconds),
            (self.problem,),
        )
