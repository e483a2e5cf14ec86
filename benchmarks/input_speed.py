"""Measure the speed of the input pipeline, and of the training that it feeds, each in the calling process."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import peak_megabytes
from pipelines import input as input_data
from pipelines.preparation.index import load_index
from tfamt import training
from tfamt.config import replace
from tfamt.presets import preset

if TYPE_CHECKING:
    import tensorflow as tf

    from tfamt.config import Config


@dataclass(frozen=True)
class Speed:
    """How fast windows went, and what the process took for it.

    Attributes:
      by_clock: windows per second.
      by_cpu: windows per second of all cores' time, which other programs on the machine have less influence on.
      window_seconds: length of a window.
      peak_megabytes: the most memory that the process has had.
    """

    by_clock: float
    by_cpu: float
    window_seconds: float
    peak_megabytes: float


def deliver(data: str, preset_name: str, batch_size: int, batches: int) -> Speed:
    """Take a number of batches from the input pipeline, after four warm-up batches, with all augmentation.

    Args:
      data: a prepared data set.
      preset_name: whose windows and spectrograms to make.
      batch_size: windows per batch.
      batches: how many to time.
    """
    rooms = _room_responses()
    augment = input_data.build_augment(
        input_data.AugmentationSettings(6.0, 6.0, -20.0, 0.5), 16_000, rooms
    )
    dataset = _input(
        data, preset_name, batch_size, augment=augment, shift=input_data.PitchShift(2, 20.0)
    )
    iterator = iter(dataset)
    for _ in itertools.islice(iterator, 4):
        pass

    def take() -> None:
        for _ in itertools.islice(iterator, batches):
            pass

    return _timed(take, preset(preset_name), batches * batch_size)


def train(data: str, preset_name: str, batch_size: int, steps: int) -> Speed:
    """Make a number of training steps, after a warm-up step, with a fixed batch."""
    import tensorflow as tf

    config = replace(preset(preset_name), "training", batch_size=batch_size)
    batch = next(iter(_input(data, preset_name, batch_size)))
    with tempfile.TemporaryDirectory() as folder:
        trainer = training.Trainer(config, folder, tf.distribute.get_strategy())
        trainer.train_step(batch)

        def step() -> None:
            for _ in range(steps):
                scalars = trainer.train_step(batch)
            float(scalars["loss"])

        return _timed(step, config, steps * batch_size)


def _timed(work: Callable[[], None], config: Config, windows: int) -> Speed:
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    seconds = (
        config.training.window_frames * config.spectrogram.hop / config.spectrogram.sample_rate
    )
    return Speed(windows / clock, windows / cpu, seconds, peak_megabytes())


def _input(data: str, preset_name: str, batch_size: int, **augmentation: Any) -> tf.data.Dataset:

    config = replace(preset(preset_name), "training", batch_size=batch_size)
    return input_data.training_input(config, load_index(data, "train"), **augmentation)


def _room_responses() -> list[NDArray[np.float32]]:
    """Return decaying noise, a second long: as expensive as real rooms."""
    random = np.random.default_rng(0)
    decay = 10.0 ** (-3.0 * np.arange(16_000) / 16_000)
    return [(random.normal(0, 0.1, 16_000) * decay).astype(np.float32) for _ in range(8)]
