"""Measure the speed and memory of preparing recordings for training.

Usage: bin/benchmark prepare [flags]

Makes stereo wav files at 44.1 kHz and lets bin/prepare prepare them. With --memory also: 20 against 2,000 short
recordings, and one of 3 minutes against one of 3 hours (4 GB of disk for a while).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from absl import flags

from benchmarks.made_recordings import make_recordings
from benchmarks.measuring import Usage, run_measured
from tfamt.commands.app import refuse_arguments

_RATE = 44_100
_RECORDINGS = flags.DEFINE_integer("recordings", 8, "How many recordings to prepare.", 1)
_MINUTES = flags.DEFINE_float("minutes", 5.0, "How long each of them is.", 0.01)
_REPEATS = flags.DEFINE_integer("repeats", 3, "How often; the median counts.", 1)
_WORKERS = flags.DEFINE_integer("workers", 1, "Processes of bin/prepare.", 1)
_MEMORY = flags.DEFINE_bool("memory", False, "Measure memory by number and length as well.")
_FOLDER = flags.DEFINE_string(
    "folder", None, "Where temporary files go. Default: the system's place."
)

_MEMORY_CASES = ((20, 4.0), (2000, 4.0), (1, 180.0), (1, 10_800.0))
"""Recordings, and seconds of each."""


def main(argv: list[str]) -> int:
    """Measure and print; return the exit code."""
    refuse_arguments(argv)
    seconds = 60.0 * _MINUTES.value
    usages = _prepare(_RECORDINGS.value, seconds, _REPEATS.value)
    usage = sorted(usages, key=lambda item: item.cpu_seconds)[len(usages) // 2]
    audio = _RECORDINGS.value * seconds
    # What starting takes is no part of the speed: a data set is prepared in hours.
    start = min(item.cpu_seconds for item in _prepare(1, 1.0, _REPEATS.value))
    print(f"recordings: {_RECORDINGS.value} of {seconds:.0f} s, 44.1 kHz stereo 16-bit wav")
    print(
        f"start: {start:.1f} CPU s; all: {usage.cpu_seconds:.1f} CPU s, {usage.seconds:.1f} s by the clock"
    )
    print(f"speed: {audio / (usage.cpu_seconds - start):.0f} s of audio per second and core")
    print(f"       {audio / usage.cpu_seconds:.0f} with the start")
    if _MEMORY.value:
        print("recordings  seconds each  peak of the largest process")
        for count, each in _MEMORY_CASES:
            (usage,) = _prepare(count, each, 1)
            print(f"{count:10d}  {each:12.0f}  {usage.peak_megabytes:8.0f} MB", flush=True)
    return 0


def _prepare(count: int, seconds: float, repeats: int) -> list[Usage]:

    with tempfile.TemporaryDirectory(dir=_FOLDER.value) as folder:
        make_recordings(Path(folder, "source"), count, seconds, _RATE, 2)
        return [
            run_measured(
                [
                    *(sys.executable, "-m", "pipelines.commands.prepare", "--dataset=folder"),
                    f"--source={folder}/source",
                    f"--output={folder}/prepared{number}",
                    f"--workers={_WORKERS.value}",
                ]
            )
            for number in range(repeats)
        ]
