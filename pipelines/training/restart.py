"""Restart workers that outlive the loss of another one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


@contextmanager
def restart_if_worker_is_lost() -> Iterator[None]:
    """Restart this program, with its arguments, if another worker is lost inside the block.

    TensorFlow cannot take a new worker into a cluster that has lost one, so the remaining ones must join it anew too,
    and the run resumes from its last checkpoint. Without other workers (TF_CONFIG), and on other errors, nothing is
    done.
    """
    try:
        yield
    except _LOST as error:
        if not os.environ.get("TF_CONFIG"):
            raise
        reason = type(error).__name__.removesuffix("Error").lower()
        print(
            f"warning: another worker is lost ({reason}); starting again from the last checkpoint, and waiting for it",
            file=sys.stderr,
        )
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
