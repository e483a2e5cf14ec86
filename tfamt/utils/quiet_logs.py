"""Silence the messages of other packages."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Hide messages below errors: some packages log every step."""
    before = logging.root.manager.disable
    # Not the level of a logger: TensorFlow sets that of absl's again while it saves.
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def quiet_native() -> Iterator[None]:
    """Hide what native code writes to stderr, unless TF_CPP_MIN_LOG_LEVEL asks for notes.

    XLA reports its first compilation, and Grappler GPUs, at any level. Errors are still raised.
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
