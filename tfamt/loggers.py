"""Messages of other packages."""

from __future__ import annotations

import logging
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
