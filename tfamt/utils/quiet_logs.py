"""Messages of other packages."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Without messages below errors: some packages report every step as if it were news."""
    before = logging.root.manager.disable
    # Not the level of a logger: TensorFlow sets that of absl's again while it saves.
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def quiet_native() -> Iterator[None]:
    """Without what native code writes to stderr, where TF_CPP_MIN_LOG_LEVEL wants no notes.

    XLA tells of its first compilation, Grappler of GPUs, whatever that level is. What fails is still raised.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0") < "1":
        yield
        return
    sys.stderr.flush()
    try:
        stderr = os.dup(2)
    except OSError:  # There is none.
        yield
        return
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
