"""Workers that outlive the loss of another one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def starting_again() -> Iterator[None]:
    """Starts this program anew, with the arguments it was given, where another worker is lost inside.

    TensorFlow cannot take a new worker into a cluster that has lost one: whoever is left must join it anew too, and the
    run goes on from its last checkpoint. Without other workers (TF_CONFIG), or where something else goes wrong, nothing
    is done.
    """
    import tensorflow as tf

    lost = (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
    )
    try:
        yield
    except lost as error:
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
