"""Refuse TensorFlow in a process forked from one that had started it, and load one model at a time.

TensorFlow's threads do not exist in a forked child, so its first computation there would wait for them forever.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tfamt.errors import TfamtError

_THREADS = "/proc/self/task"


class ForkedProcessError(TfamtError):
    """The process was forked from one that had started TensorFlow."""


def check_not_forked() -> None:
    """Refuse a process that inherited a running TensorFlow.

    Raises:
      ForkedProcessError: the parent had started TensorFlow, or was loading a model, when it forked this process.
    """
    if _inherited:
        raise ForkedProcessError(
            "TensorFlow was running in the parent process, and a forked process cannot use it. Start workers by "
            'multiprocessing.get_context("spawn"), in ProcessPoolExecutor as mp_context=, or fork them before the '
            "parent uses TensorFlow."
        )


@contextmanager
def exclusive_loading() -> Iterator[None]:
    """Let one thread at a time run the block; as a decorator, the function.

    Building and compiling a model redirects stderr and takes all cores, so threads gain nothing from doing it together.

    Raises:
      ForkedProcessError: see `check_not_forked`.
    """
    check_not_forked()
    with _loading:
        yield


def _after_fork() -> None:
    """Note in a new child what it inherited, and replace a lock that a thread of the parent may hold."""
    global _inherited, _loading
    _inherited = _inherited or _tensorflow_runs() or not _loading.acquire(blocking=False)
    _loading = threading.RLock()


def _tensorflow_runs() -> bool:
    """Return whether TensorFlow has made its threads; its import alone makes none."""
    # The public functions that tell so would start the search for devices.
    module = sys.modules.get("tensorflow.python.eager.context")
    context = getattr(module, "_context", None)
    return getattr(context, "_context_handle", None) is not None


def _lost_threads() -> bool:
    """Return whether TensorFlow runs, but without threads: tfamt is first imported in a forked child.

    Linux lists the threads of a process; elsewhere the answer is False.
    """
    if not _tensorflow_runs() or not os.path.isdir(_THREADS):
        return False
    return len(os.listdir(_THREADS)) <= threading.active_count()


_loading = threading.RLock()
_inherited = _lost_threads()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
