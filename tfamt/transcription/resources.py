"""Share cores and memory between the threads of a transcription."""

from __future__ import annotations

import contextlib
import ctypes
import os

import tensorflow as tf

CONCURRENT_WINDOWS = 4
"""Windows of one recording that run at the same time, where the cores allow it."""

_M_ARENA_MAX = -8
_ARENAS = 2


def share_cores(recordings: int = 1) -> None:
    """Divide the cores between calls of the network, for a number of recordings at a time.

    A call on one core wastes nothing; on all cores its threads wait for each other. Does nothing once TensorFlow has
    begun to compute, or where the user set TF_NUM_INTRAOP_THREADS.
    """
    if "TF_NUM_INTRAOP_THREADS" in os.environ:
        return
    share = max((os.cpu_count() or 1) // (recordings * CONCURRENT_WINDOWS), 1)
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(share)


def limit_arenas() -> None:
    """Let all threads that start later allocate from two arenas, where the C library is glibc.

    By default glibc makes up to eight arenas per core. Memory that one thread frees cannot serve another arena, so the
    unused memory grows with the length of a recording.
    """
    # Other C libraries have no such setting.
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
