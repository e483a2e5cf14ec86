"""Run Beam pipelines, on this machine or on a cluster."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from tfamt.errors import InputError

_DEATH = "Worker subprocess "
_INTERRUPTED = f"return code -{signal.SIGINT:d}"


def run_steps(steps: Any, workers: int, runner: str, arguments: Sequence[str]) -> None:
    """Run a Beam pipeline of the given transform; arguments are those of `prepare`.

    Raises:
      InputError: a worker raised it, or died.
    """
    options = list(arguments)
    chosen: Any = runner
    if runner == "DirectRunner":
        # Beam's own choice under this name downloads a program when it runs.
        chosen = FnApiRunner()
        mode = "multi_processing" if workers > 1 else "in_memory"
        options += [f"--direct_num_workers={workers}", f"--direct_running_mode={mode}"]
        _let_workers_import()
    try:
        with (
            _silence_workers(),
            raise_if_worker_dies(),
            beam.Pipeline(runner=chosen, options=PipelineOptions(options)) as pipeline,
        ):
            _ = pipeline | steps
    except Exception as error:
        # What a worker process raises arrives as text inside some other exception; what this one does, as itself,
        # but with the name of the step behind the text.
        text = f"InputError: {error}" if isinstance(error, InputError) else str(error)
        if found := re.search(r"InputError: (.+?)(?: \[while running|\\n|\n|$)", text):
            raise InputError(found[1].strip().removesuffix(".")) from error
        raise


def _let_workers_import() -> None:
    """Add the root of this package to the search path of worker processes, installed or not."""
    root = str(Path(__file__).resolve().parents[2])
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if root not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, *paths]))


@contextmanager
def raise_if_worker_dies() -> Iterator[None]:
    """End the block when a worker process dies, most likely out of memory: Beam would wait for it without end.

    Raises:
      InputError: one has died.
      KeyboardInterrupt: Ctrl-C, of which workers die as well.
    """
    deaths: list[str] = []
    ended = threading.Event()
    before = threading.excepthook

    def listen(arguments: threading.ExceptHookArgs) -> None:
        text = str(arguments.exc_value)
        if not text.startswith(_DEATH):
            # That the connection to it broke is no news.
            return
        deaths.append(text.removeprefix(_DEATH))
        if text.endswith(_INTERRUPTED):
            # So is this process most likely, at the same moment.
            ended.wait(1.0)
        if not ended.is_set():
            # Of what wakes a main thread that waits for a lock, only a signal is real enough.
            os.kill(os.getpid(), signal.SIGINT)

    threading.excepthook = listen
    try:
        yield
    except KeyboardInterrupt as error:
        ended.set()
        if all(death.endswith(_INTERRUPTED) for death in deaths):
            raise
        raise InputError(
            f"a worker process died ({deaths[0].strip()})",
            fix="If memory ran out, take fewer --workers. What is done stays: the same command resumes from there.",
        ) from error
    finally:
        # Connections to workers that end now may still break.
        threading.excepthook = _without_workers(before) if ended.is_set() else before


def _without_workers(hook: Callable[[threading.ExceptHookArgs], Any]) -> Callable[..., Any]:
    """Return a hook for exceptions of threads that passes on all but those of lost worker processes."""

    def report(arguments: threading.ExceptHookArgs) -> None:
        lost = arguments.exc_type.__module__.startswith("grpc")
        if not lost and not str(arguments.exc_value).startswith(_DEATH):
            hook(arguments)

    return report


@contextmanager
def _silence_workers() -> Iterator[None]:
    """Hide the logs of Beam and its worker processes, but not this program's own lines."""
    logger, ours = logging.getLogger(), sys.stderr
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    ours.flush()
    screen = os.dup(2)
    with open(os.devnull, "w") as nowhere, open(screen, "w", buffering=1, closefd=False) as lines:
        # Workers inherit the descriptor; Beam has no option for their output before they are connected.
        os.dup2(nowhere.fileno(), 2)
        sys.stderr = lines
        try:
            yield
        finally:
            sys.stderr = ours
            os.dup2(screen, 2)
            os.close(screen)
            logger.setLevel(level)
