"""How fast windows come out of prepared data, with all augmentation, against how fast they are trained on.

Usage: bin/benchmark input [flags]

Makes a prepared data set of its own unless --data names one. The windows have the length and the spectrogram of the
preset. With --memory also: the same from 20 and from 2,000 recordings, and from one of 3 hours.
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import flags
from numpy.typing import NDArray

from pipelines.measuring import in_fresh_process, peak_megabytes, run_measured
from tfamt.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

_PRESET = flags.DEFINE_string("preset", "icpr2020_mel", "The config to feed.")
_BATCH = flags.DEFINE_integer("batch_size", 8, "Windows per batch.", 1)
_BATCHES = flags.DEFINE_integer("batches", 12, "Batches to time, after four that are not.", 2)
_STEPS = flags.DEFINE_integer("steps", 3, "Training steps to time, after one that is not.", 1)
_REPEATS = flags.DEFINE_integer("repeats", 3, "How often; medians count.", 1)
_DATA = flags.DEFINE_string("data", None, "Prepared data set. Default: tones, made for it.")
_MEMORY = flags.DEFINE_bool("memory", False, "Measure memory by number and length as well.")

_MEMORY_CASES = ((20, 30.0), (2000, 30.0), (1, 600.0), (1, 10_800.0))
"""Recordings, and seconds of each."""


def main(argv: list[str]) -> int:
    """Measures and prints; returns the exit code."""
    if argv[1:]:
        raise InputError(f"there are no arguments but flags. Received: {' '.join(argv[1:])}")
    with (
        _prepared(20, 60.0) if _DATA.value is None else contextlib.nullcontext(_DATA.value) as data
    ):
        settings = str(data), _PRESET.value, _BATCH.value
        # In turns, so that whatever else the machine does hits both alike.
        turns = [
            (
                in_fresh_process(deliver, *settings, _BATCHES.value),
                in_fresh_process(train, *settings, _STEPS.value),
            )
            for _ in range(_REPEATS.value)
        ]
    delivered = statistics.median(windows for (windows, _), _ in turns)
    trained = statistics.median(windows for _, windows in turns)
    ratio = statistics.median(ours / theirs for (ours, _), theirs in turns)
    print(f"input pipeline alone, all augmentation: {delivered:.1f} windows/s")
    print(f"training {_PRESET.value}, batch {_BATCH.value}: {trained:.2f} windows/s")
    print(f"ratio: {ratio:.1f}")
    if _MEMORY.value:
        print("recordings  seconds each  peak")
        for count, seconds in _MEMORY_CASES:
            with _prepared(count, seconds) as data:
                _, peak = in_fresh_process(deliver, data, _PRESET.value, _BATCH.value, 50)
            print(f"{count:10d}  {seconds:12.0f}  {peak:6.0f} MB", flush=True)
    return 0


def deliver(data: str, preset_name: str, batch_size: int, batches: int) -> tuple[float, float]:
    """Windows per second of the input pipeline, and the process's peak memory in MB."""
    from pipelines.augment import AugmentConfig, build_augment
    from pipelines.pitch_shift import PitchShift

    rooms = _room_responses()
    augment = build_augment(AugmentConfig(6.0, 6.0, -20.0, 0.5), 16_000, rooms)
    dataset = _input(data, preset_name, batch_size, augment=augment, shift=PitchShift(2, 20.0))
    iterator = iter(dataset)
    for _ in itertools.islice(iterator, 4):
        pass
    begin = time.perf_counter()
    for _ in itertools.islice(iterator, batches):
        pass
    return batches * batch_size / (time.perf_counter() - begin), peak_megabytes()


def train(data: str, preset_name: str, batch_size: int, steps: int) -> float:
    """Windows per second of training, with a batch that is already there."""
    import tensorflow as tf

    from tfamt.config import replace
    from tfamt.presets import preset
    from tfamt.training import Trainer

    config = replace(preset(preset_name), "training", batch_size=batch_size)
    batch = next(iter(_input(data, preset_name, batch_size)))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, folder, tf.distribute.get_strategy())
        trainer.train_step(batch)
        begin = time.perf_counter()
        for _ in range(steps):
            scalars = trainer.train_step(batch)
        float(scalars["loss"])
        return batch_size * steps / (time.perf_counter() - begin)


def _input(data: str, preset_name: str, batch_size: int, **augmentation: Any) -> tf.data.Dataset:
    from pipelines.training_input import training_input
    from pipelines.windows import load_index
    from tfamt.config import replace
    from tfamt.presets import preset

    config = replace(preset(preset_name), "training", batch_size=batch_size)
    return training_input(config, load_index(data, "train"), **augmentation)


def _room_responses() -> list[NDArray[np.float32]]:
    """Noise that dies away, a second long: as expensive as real rooms."""
    random = np.random.default_rng(0)
    decay = 10.0 ** (-3.0 * np.arange(16_000) / 16_000)
    return [(random.normal(0, 0.1, 16_000) * decay).astype(np.float32) for _ in range(8)]


@contextlib.contextmanager
def _prepared(count: int, seconds: float) -> Iterator[str]:
    """A prepared data set of so many recordings."""
    from pipelines.made_recordings import make_recordings

    with tempfile.TemporaryDirectory() as folder:
        make_recordings(Path(folder, "source"), count, seconds, 16_000, 1)
        output = str(Path(folder, "prepared"))
        command = [sys.executable, "-m", "pipelines.commands.prepare", "--dataset=folder"]
        run_measured([*command, f"--source={folder}/source", f"--output={output}"])
        yield output
