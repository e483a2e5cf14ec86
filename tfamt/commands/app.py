"""Start and end every command: flags, help, messages, exit codes.

Exit codes: 0 done, 1 something could not be used (one line each), 2 wrong flags, 128 + N ended by signal N (130 Ctrl-C,
143 SIGTERM, 129 SIGHUP).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from logging import ERROR, getLogger
from typing import NoReturn, TypeVar

from absl import app, flags, logging

from tfamt.commands.flagfiles import expand_flagfiles
from tfamt.commands.signals import exit_after, note_signals
from tfamt.commands.standard_streams import open_standard_streams, report, warn
from tfamt.errors import InputError, TfamtError
from tfamt.utils.optional_packages import missing_package
from tfamt.version import __version__

__all__ = ["refuse_arguments", "report", "required", "run", "warn"]

T = TypeVar("T")

HELP_FLAGS = {
    *("-h", "-?", "--help", "-help"),
    *("--helpshort", "-helpshort", "--helpfull", "-helpfull"),
}


def run(main: Callable[[list[str]], int | None]) -> NoReturn:
    """Parse the command line, call `main` with the rest of it, and exit.

    Args:
      main: takes the program's name and its positional arguments, returns the exit code. The docstring of its module
        is the help text. It may raise `TfamtError` for errors that the user can correct.
    """
    # It warns where the home folder cannot be written, and uses a temporary one.
    getLogger("matplotlib").setLevel(ERROR)
    signals_seen = note_signals()
    output = open_standard_streams()
    try:
        try:
            app.run(main, flags_parser=lambda argv: _parse(argv, _help_text(main)))
        finally:
            sys.stdout.flush()
    except SystemExit as end:
        if output and output.failed and not end.code:
            sys.exit(1)
        raise
    except TfamtError as error:
        report(error)
        sys.exit(1)
    except (Exception, KeyboardInterrupt) as error:
        if signals_seen or isinstance(error, KeyboardInterrupt):
            exit_after(signals_seen)
        if isinstance(error, BrokenPipeError):
            # The reader of our output has closed it; Python's flush at exit must not fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        if isinstance(error, ModuleNotFoundError) and (problem := missing_package(error)):
            report(problem)
            sys.exit(1)
        if isinstance(error, OSError):
            report(_describe(error))
            sys.exit(1)
        raise
    sys.exit(0)


def _describe(error: OSError) -> InputError:
    """Return an error of the operating system, such as a full disk, as one that the user can correct."""
    return InputError(
        error.strerror or str(error),
        path=error.filename if isinstance(error.filename, str) else None,
        fix="Check names, permissions and free space.",
    )


def _parse(argv: list[str], help_text: str) -> list[str]:
    try:
        if not _asks_for_help(argv):
            # A flagfile may ask, too.
            argv = flags.FLAGS.read_flags_from_files(expand_flagfiles(argv))
        if _asks_for_help(argv):
            print(help_text)
            sys.exit(0)
        if "--version" in _options(argv):
            print(f"tfamt {__version__}")
            sys.exit(0)
        remaining = list(flags.FLAGS(argv))
    # A flagfile that is no text is a ValueError; one that asks for itself again and again, a RecursionError.
    except (flags.Error, ValueError, RecursionError) as error:
        report(f"{error} (see --help)")
        sys.exit(2)
    if flags.FLAGS["verbosity"].using_default_value:
        # absl would set INFO, and TensorFlow would log every checkpoint.
        logging.set_verbosity(logging.WARNING)
    return remaining


def _options(argv: list[str]) -> list[str]:
    return argv[1 : argv.index("--")] if "--" in argv else argv[1:]


def _asks_for_help(argv: list[str]) -> bool:
    return not HELP_FLAGS.isdisjoint(_options(argv))


def _help_text(main: Callable[[list[str]], int | None]) -> str:
    """Return the docstring of the command, then its flags, without those of absl itself."""
    text = sys.modules[main.__module__].__doc__ or ""
    modules = [name for name in flags.FLAGS.flags_by_module_dict() if not name.startswith("absl.")]
    # Each module's help begins with an empty line and its name, which a user has no use for.
    lines = [line for name in modules for line in flags.FLAGS.module_help(name).split("\n")[2:]]
    lines += [
        "  --flagfile: Insert flags from the named file; tfamt:NAME for one that comes with tfamt.",
        "  --version: Show the version of tfamt.",
    ]
    return "\n".join([text.strip(), "", "Flags:", *lines])


def refuse_arguments(argv: list[str]) -> None:
    """Refuse positional arguments, for commands that take flags alone.

    Raises:
      InputError: there is something beside them.
    """
    if argv[1:]:
        raise InputError(f"there are no arguments but flags. Received: {' '.join(argv[1:])}")


def required(flag: flags.FlagHolder[T | None], fix: str = "") -> T:
    """Return the value of a flag that the command needs.

    Raises:
      InputError: it is not given, or empty.
    """
    if not flag.value:
        raise InputError(f"--{flag.name} is missing", fix=fix)
    return flag.value
