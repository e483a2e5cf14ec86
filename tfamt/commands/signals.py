"""End commands on signals: temporary files are removed, and the exit code is 128 plus the number of the signal."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

_MESSAGES = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "terminal closed",
}


def note_signals() -> list[int]:
    """Turn Ctrl-C, SIGTERM and SIGHUP into KeyboardInterrupt; return a list that the number of the signal is added to.

    The exception alone is not enough: raised while a native module is being loaded, it comes out as an ImportError,
    which libraries may catch. A signal that is ignored (by nohup, or by a shell for what it starts in the background)
    stays ignored.
    """
    numbers: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        numbers.append(number)
        # The end of a session may send several signals; the later ones must not disturb the cleaning up.
        if len(numbers) == 1 or number == signal.SIGINT:
            raise KeyboardInterrupt

    def restore() -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is interrupt:
                signal.signal(number, signal.SIG_DFL)

    for number in _MESSAGES:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, interrupt)
    # A forked process is ended by its parent, at once.
    os.register_at_fork(after_in_child=restore)
    return numbers


def exit_after(numbers: list[int]) -> NoReturn:
    """Report the first signal in one line, and exit with its code; with that of Ctrl-C if none was noted."""
    number = signal.Signals(numbers[0] if numbers else signal.SIGINT)
    # The terminal may be gone.
    with contextlib.suppress(OSError):
        print(_MESSAGES[number], file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:
        # Python's own flush at exit must not fail again: that would change the exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(128 + number)
