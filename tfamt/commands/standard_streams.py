"""Keep standard streams usable: closed ones, terminals of any encoding, and output that cannot be written."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any


class OutputFile(io.FileIO):
    """A descriptor that reports its first failure and drops what is written afterwards.

    A pipe whose reader has gone is no failure of this kind: writing raises BrokenPipeError.

    Attributes:
      failed: whether something could not be written.
    """

    failed = False

    def write(self, data: Any, /) -> int:
        """Write bytes; return how many."""
        if not self.failed:
            try:
                return super().write(data) or 0
            except BrokenPipeError:
                raise
            except OSError as error:
                self.failed = True
                if self.fileno() == 1:
                    report(f"standard output cannot be written ({error.strerror})")
        return len(data)


def report(problem: Exception | str) -> None:
    """Print a problem in one line on standard error."""
    _print(f"error: {problem}")


def warn(text: str) -> None:
    """Print in one line on standard error what the user should see, though the command goes on."""
    _print(f"warning: {text}")


def _print(text: str) -> None:
    # Nobody may read it any more: that is no other error.
    with contextlib.suppress(OSError, ValueError):
        print(" ".join(text.split()), file=sys.stderr, flush=True)


def open_standard_streams() -> OutputFile | None:
    """Prepare the standard streams of a command; return the file of standard output, None where it is no file.

    A closed one reads as nothing and drops what is written; otherwise the next file to be opened would get its number.
    Standard output escapes what its encoding lacks, as standard error does anyway.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one.
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    _replace("stderr", 2, "backslashreplace")
    return _replace("stdout", 1, "backslashreplace")


def _replace(name: str, number: int, errors: str) -> OutputFile | None:
    """Put an `OutputFile` under a standard stream that writes to its own descriptor."""
    stream = getattr(sys, name)
    try:
        if not isinstance(stream, io.TextIOWrapper) or stream.fileno() != number:
            return None
        stream.flush()
    except (OSError, ValueError):
        return None
    file = OutputFile(number, "w", closefd=False)
    buffer = io.BufferedWriter(file)
    replacement = io.TextIOWrapper(
        buffer, encoding=stream.encoding, errors=errors, line_buffering=stream.line_buffering
    )
    setattr(sys, name, replacement)
    return file
