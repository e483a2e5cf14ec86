"""Share the number of cases, the kinds of damage and the resource limits of fuzz tests.

TFAMT_FUZZ_CASES=10000 makes as many cases as the environment says instead of 200.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

CASES = settings(
    max_examples=int(os.environ.get("TFAMT_FUZZ_CASES", "200")),
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
MEMORY = 2**31
SECONDS = 60.0
"""Longer means that it hangs."""

EXTREMES = [
    struct.pack(form, value)
    for form, values in (
        ("B", (0, 127, 128, 255)),
        ("H", (0, 1, 0x7FFF, 0xFFFF)),
        ("I", (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)),
        ("Q", (0, 2**40, 2**63 - 1, 2**64 - 1)),
    )
    for order in "<>"
    for value in values
]
"""Numbers that overflow, as they may stand in a header."""


@st.composite
def damaged(draw: st.DrawFn, *goods: bytes) -> bytes:
    """One of several contents that were good, changed in one to four places."""
    content = bytearray(draw(st.sampled_from(goods)))
    for _ in range(draw(st.integers(1, 4))):
        # Most of what matters stands in the first bytes.
        end = draw(st.sampled_from((64, 300, len(content))))
        position = draw(st.integers(0, max(min(end, len(content)) - 1, 0)))
        piece = draw(st.sampled_from(EXTREMES) | st.binary(min_size=1, max_size=12))
        match draw(st.sampled_from(("replace", "insert", "delete", "cut", "double"))):
            case "replace":
                content[position : position + len(piece)] = piece
            case "insert":
                content[position:position] = piece
            case "delete":
                del content[position : position + len(piece)]
            case "cut":
                del content[position:]
            case _:
                content += content[position:]
    return bytes(content)


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """A limit to memory, and to time: who hangs is ended with a traceback."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, hard))
    faulthandler.dump_traceback_later(SECONDS, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
