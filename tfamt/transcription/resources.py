"""How the C library keeps the memory of threads."""

from __future__ import annotations

import contextlib
import ctypes

_M_ARENA_MAX = -8
_HEAPS = 2


def share_heaps() -> None:
    """Lets all threads that are yet to begin take their memory from two heaps, where the C library is glibc.

    It has up to eight for each core otherwise, and what one thread gives back another's heap cannot use: the longer a
    recording, the more lies idle.
    """
    # Other systems have no such setting, or no C library by this name.
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _HEAPS)
