"""Shift the pitch of windows by playing recordings faster or slower, with their labels."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from tfamt.errors import InputError

MARGIN = 1024
"""Samples at both ends of what is resampled that are dropped: the Fourier transform takes the ends for neighbours."""
_SPARE = 1.06
"""Lengths up to this multiple of the least one are tried, for one that a fast Fourier transform likes."""


@dataclass(frozen=True)
class PitchShift:
    """How far the pitch of windows may be moved; 0 leaves it alone.

    Attributes:
      semitones: transposition by whole semitones, uniform within +- this; labels move along.
      cents: tuning, uniform within +- this; labels keep their pitch.
    """

    semitones: int = 0
    cents: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.semitones <= 12:
            raise InputError(
                f"augment_transpose_semitones must lie in 0..12. Received: {self.semitones}"
            )
        if not 0 <= self.cents <= 100:
            raise InputError(f"augment_tuning_cents must lie in 0..100. Received: {self.cents}")

    @property
    def largest_ratio(self) -> float:
        """Return the most that a window can be faster."""
        return ratio_of(self.semitones, self.cents)

    def draw(
        self, random: np.random.Generator, count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Draw semitones and cents for each of `count` windows."""
        semitones: NDArray[np.int64] = random.integers(
            -self.semitones, self.semitones, count, np.int64, endpoint=True
        )
        return semitones, random.uniform(-self.cents, self.cents, count)


def ratio_of(semitones: float, cents: float) -> float:
    """Return how much faster a recording must be played to sound that much higher."""
    return float(2.0 ** ((100.0 * semitones + cents) / 1200.0))


@dataclass(frozen=True)
class Resampling:
    """What is resampled for a window.

    Attributes:
      source: samples that are taken of the recording.
      target: samples that they become.
      lead: how many of these lie before the window; as many lie behind it.
    """

    source: int
    target: int
    lead: int

    @property
    def ratio(self) -> float:
        """Return how much faster the window is than the recording."""
        return self.source / self.target

    def begin(self, start: int) -> int:
        """Return the first sample of the recording that is read for a window that begins at its sample `start`."""
        return start - int(self.lead * self.ratio)


def longest_source(shift: PitchShift, samples: int) -> int:
    """Return the largest number of samples of a recording that a window of that many samples needs."""
    return int((samples + 2 * MARGIN) * shift.largest_ratio * _SPARE**2)


def resampling_for(ratio: float, samples: int) -> Resampling:
    """Return lengths whose Fourier transforms are fast, and whose ratio is within 2 cents of the one asked for."""
    least = samples + 2 * MARGIN
    targets = _fast_lengths(least, int(least * _SPARE))
    reach = max(ratio, 1.0 / ratio)
    sources = _fast_lengths(int(least / reach / _SPARE), int(least * _SPARE * reach * _SPARE))
    ideal = targets * ratio
    after = np.searchsorted(sources, ideal)
    nearest = np.stack([sources[np.maximum(after - 1, 0)], sources[after]])
    error = np.abs(np.log(nearest / ideal))
    which, column = np.unravel_index(np.argmin(error), error.shape)
    target = int(targets[column])
    return Resampling(int(nearest[which, column]), target, (target - samples) // 2)


@functools.cache
def _fast_lengths(low: int, high: int) -> NDArray[np.int64]:
    """Return numbers without prime factors above 11, the first at or above `low`, the last at or above `high`."""
    lengths = [next_fast_len(low)]
    while lengths[-1] < high:
        lengths.append(next_fast_len(lengths[-1] + 1))
    return np.array(lengths)


def resample(waveform: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Resample float32 [samples] to [target], with as many periods of every frequency, by its spectrum.

    Exact for what is periodic and below both Nyquist frequencies; the level stays as it is.
    """
    scale = tf.cast(target, tf.float32) / tf.cast(tf.shape(waveform)[0], tf.float32)
    spectrum = tf.signal.rfft(waveform) * tf.cast(scale, tf.complex64)
    return tf.signal.irfft(spectrum, [target])
