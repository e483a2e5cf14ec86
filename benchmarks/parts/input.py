"""Compare the speed of the input pipeline, with all augmentation, with that of training.

Usage: bin/benchmark input [flags]

Makes a prepared data set of its own unless --data names one. The windows have the length and the spectrogram of the
preset. With --memory also: peak memory with 20 and 2,000 recordings, and with one of 10 minutes and one of 3 hours.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from absl import flags

from benchmarks.input_speed import Speed, deliver, train
from benchmarks.made_recordings import make_recordings
from benchmarks.measuring import in_fresh_process, run_measured
from tfamt.commands.app import refuse_arguments

_PRESET = flags.DEFINE_string("preset", "icpr2020_mel", "The config to feed.")
_BATCH = flags.DEFINE_integer("batch_size", 8, "Windows per batch.", 1)
_BATCHES = flags.DEFINE_integer("batches", 12, "Batches to time, after four that are not.", 2)
_STEPS = flags.DEFINE_integer("steps", 3, "Training steps to time, after one that is not.", 1)
_REPEATS = flags.DEFINE_integer("repeats", 3, "How often; medians count.", 1)
_DATA = flags.DEFINE_string("data", None, "Prepared data set. Default: tones, made for it.")
_RECORDINGS = flags.DEFINE_integer("recordings", 20, "How many recordings to make.", 1)
_MINUTES = flags.DEFINE_float("minutes", 1.0, "How long each of them is.", 0.01)
_MEMORY = flags.DEFINE_bool("memory", False, "Measure memory by number and length as well.")

_MEMORY_CASES = ((20, 5.0), (2000, 5.0), (1, 600.0), (1, 10_800.0))
"""Recordings, and seconds of each."""


def main(argv: list[str]) -> int:
    """Measure and print; return the exit code."""
    refuse_arguments(argv)
    made = _prepared(_RECORDINGS.value, 60.0 * _MINUTES.value) if _DATA.value is None else None
    with made or contextlib.nullcontext(_DATA.value) as data:
        settings = str(data), _PRESET.value, _BATCH.value
        # In turns, so that other load of the machine affects both alike.
        turns = [
            (
                in_fresh_process(deliver, *settings, _BATCHES.value),
                in_fresh_process(train, *settings, _STEPS.value),
            )
            for _ in range(_REPEATS.value)
        ]
    _tell([ours for ours, _ in turns], [theirs for _, theirs in turns])
    if _MEMORY.value:
        print("recordings  seconds each  peak")
        for count, seconds in _MEMORY_CASES:
            with _prepared(count, seconds) as data:
                peak = in_fresh_process(
                    deliver, data, _PRESET.value, _BATCH.value, _BATCHES.value
                ).peak_megabytes
            print(f"{count:10d}  {seconds:12.0f}  {peak:6.0f} MB", flush=True)
    return 0


def _tell(delivered: Sequence[Speed], trained: Sequence[Speed]) -> None:
    median = statistics.median
    seconds = delivered[0].window_seconds
    print(f"{_PRESET.value}, batches of {_BATCH.value} windows of {seconds:.2f} s")
    print("                      windows/s  per CPU s  audio s/s      peak")
    rows = {"input, all augmentation": delivered, "training": trained}
    for name, speeds in rows.items():
        clock, cpu = median(s.by_clock for s in speeds), median(s.by_cpu for s in speeds)
        peak = max(s.peak_megabytes for s in speeds)
        print(f"{name:23}{clock:8.2f}{cpu:11.2f}{clock * seconds:11.1f}{peak:7.0f} MB")
    pairs = list(zip(delivered, trained, strict=True))
    clock = median(ours.by_clock / theirs.by_clock for ours, theirs in pairs)
    cpu = median(ours.by_cpu / theirs.by_cpu for ours, theirs in pairs)
    print(f"ratio: {clock:.1f} by the clock, {cpu:.1f} by CPU time")


@contextlib.contextmanager
def _prepared(count: int, seconds: float) -> Iterator[str]:
    """Yield a prepared data set of that number of recordings."""
    with tempfile.TemporaryDirectory() as folder:
        make_recordings(Path(folder, "source"), count, seconds, 16_000, 1)
        output = str(Path(folder, "prepared"))
        command = [sys.executable, "-m", "pipelines.commands.prepare", "--dataset=folder"]
        run_measured([*command, f"--source={folder}/source", f"--output={output}"])
        yield output
