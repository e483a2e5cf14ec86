"""Peak memory of the process that asks."""

from __future__ import annotations

import re
from pathlib import Path


def peak_megabytes() -> float:
    """The most that this process itself has had in memory, in MB (2^20 bytes).

    Not `resource.getrusage`: its maximum is inherited, so a child of a large test process would begin with that.
    """
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024
