"""Measure time and memory of processes."""

from __future__ import annotations

import multiprocessing
import os
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfamt.errors import InputError

_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Usage:
    """What a command took, with all its child processes.

    Attributes:
      seconds: from start to end.
      cpu_seconds: of all processes.
      peak_megabytes: the most that any one process has had in memory (2^20 bytes).
    """

    seconds: float
    cpu_seconds: float
    peak_megabytes: float


Times = dict[str, list[tuple[float, float]]]
"""Wall and CPU seconds of this process of every turn, by what was called."""


def in_turns(calls: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 2) -> Times:
    """Call one function after the other, `repeats` times, so that other load on the machine affects all alike.

    Args:
      calls: by name.
      repeats: turns that are timed.
      warm_up: turns before them that are not: they build graphs and fill caches.
    """
    times: Times = {name: [] for name in calls}
    for turn in range(warm_up + repeats):
        for name, call in calls.items():
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            if turn >= warm_up:
                times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return times


def medians(times: Times) -> dict[str, tuple[float, float]]:
    """Return medians of wall and of CPU seconds."""
    return {
        name: (
            statistics.median(wall for wall, _ in turns),
            statistics.median(cpu for _, cpu in turns),
        )
        for name, turns in times.items()
    }


def run_measured(command: Sequence[str]) -> Usage:
    """Run a command to its end.

    Raises:
      InputError: it failed; the message holds the last line of its output.
    """
    begin = time.perf_counter()
    peak = 0.0
    cpu: dict[int, float] = {}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        while True:
            for pid in _family(process.pid):
                peak = max(peak, _megabytes(pid))
                cpu[pid] = max(cpu_seconds(pid), cpu.get(pid, 0.0))
            try:
                _, output = process.communicate(timeout=_POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                continue
    if process.returncode:
        last = output.strip().splitlines()[-1:] or ["it printed nothing"]
        raise InputError(f"{' '.join(command[:5])} ... failed: {last[0]}")
    return Usage(time.perf_counter() - begin, sum(cpu.values()), peak)


def in_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of a module in a new process; return its result."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def peak_megabytes() -> float:
    """Return the peak memory of this process, in MB (2^20 bytes).

    Not `resource.getrusage`: its maximum is inherited, so a child of a large process would begin with that.
    """
    return _megabytes(os.getpid())


def megabytes_now() -> float:
    """Return the present memory of this process, in MB (2^20 bytes)."""
    return _megabytes(os.getpid(), "VmRSS")


def _megabytes(pid: int, field: str = "VmHWM") -> float:
    found = re.search(rf"{field}:\s+(\d+) kB", _read(f"/proc/{pid}/status"))
    return int(found[1]) / 1024 if found else 0.0


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a running process so far, in all its threads."""
    fields = _stat(pid)
    ticks = int(fields[11]) + int(fields[12]) if fields else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def _family(root: int) -> set[int]:
    """Return the process and all that descend from it."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(path.name))
        if fields:
            parents[int(path.name)] = int(fields[1])
    family, grown = {root}, True
    while grown:
        children = {pid for pid, parent in parents.items() if parent in family} - family
        family, grown = family | children, bool(children)
    return family


def _stat(pid: int) -> list[str]:
    """Return fields of /proc/PID/stat from the third on, before which blanks may stand; None if the process is gone."""
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
