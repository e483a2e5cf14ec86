"""Run commands as real processes, forked from one that has loaded TensorFlow."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.support.preloaded"])


def start(
    module: str,
    *arguments: object,
    output: Path,
    errors: Path | None = None,
    cwd: Path = ROOT,
    prepare: Callable[[], None] | None = None,
) -> ForkServerProcess:
    """Starts a command.

    Args:
      module: with a function `cli`.
      arguments: of the command line.
      output: file for what it prints.
      errors: file for its error messages; `output` if not given.
      cwd: where it starts.
      prepare: called in the process before the command, such as a limit of its resources.
    """
    target = _FORKS.Process(
        target=_run, args=(module, [*map(str, arguments)], output, errors, cwd, prepare)
    )
    target.start()
    return target


def _run(
    module: str,
    arguments: list[str],
    output: Path,
    errors: Path | None,
    cwd: Path,
    prepare: Callable[[], None] | None,
) -> None:
    for number, path in ((1, output), (2, errors)):
        if path:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, number)
    if not errors:
        os.dup2(1, 2)
    os.chdir(cwd)
    if prepare:
        prepare()
    sys.argv = [module.rpartition(".")[2], *arguments]
    importlib.import_module(module).cli()


def command(
    module: str,
    *arguments: object,
    cwd: Path = ROOT,
    prepare: Callable[[], None] | None = None,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end: as `start`, with output and errors apart.

    Raises:
      TimeoutError: it did not end in time, and was killed.
    """
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        process = start(module, *arguments, output=output, errors=errors, cwd=cwd, prepare=prepare)
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"{module} has not ended after {timeout} s: {errors.read_text()}")
        return subprocess.CompletedProcess(
            [module, *arguments], process.exitcode, output.read_text(), errors.read_text()
        )
