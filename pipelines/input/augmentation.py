"""Augment training waveforms in TensorFlow ops; every random choice follows from the window's seed.

Labels stay true under all of these: nothing here moves a note in time or pitch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipelines.input.augmentation_settings import AugmentationSettings
from tfamt.audio.effects import load_response
from tfamt.errors import InputError

EQUALIZER_BANDS_HZ = (60, 120, 250, 500, 1000, 2000, 4000, 8000)
LONGEST_RESPONSE = 24000
"""Samples of a room response that are used, 1.5 s: with a window of the preset piano they fit a transform of 2**17."""
NOISE_RANGE_DB = 40.0
"""Added noise lies between the loudest allowed level and this far below it."""
NOISE_STEEPEST_DB = 6.0
"""How much an octave of added noise may lie below the one before it: 0 is white noise, 3 pink, 6 brown."""
NOISE_FLAT_HZ = 40.0
"""Below this added noise rises no further."""


def build_augment(
    settings: AugmentationSettings,
    sample_rate: int,
    responses: list[NDArray[np.float32]] | None = None,
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return a function (waveform float32 [samples], seed int32 [2]) -> waveform of the same length.

    Args:
      settings: how far to go.
      sample_rate: Hz.
      responses: room responses at this rate with the direct sound at their beginning; needed for reverb.

    Raises:
      InputError: reverb is wanted without room responses.
    """
    if settings.reverb and not responses:
        raise InputError(
            "augment_reverb needs room responses", fix="Give their folders with --room_responses."
        )

    def augment(waveform: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        seeds = tf.unstack(tf.random.split(seed, 5))
        coloured = waveform
        if settings.reverb and responses:
            coloured = reverberate(coloured, seeds[0], responses, settings.reverb)
        if settings.equalizer_db:
            coloured = equalize(coloured, seeds[1], settings.equalizer_db, sample_rate)
        if settings.reverb or settings.equalizer_db:
            # Velocity is learnt from loudness; a real room or colour belongs to the whole recording, whose
            # loudness is known.
            waveform = coloured * tf.math.divide_no_nan(rms(waveform), rms(coloured))
        if settings.noise_db:
            waveform = add_noise(waveform, seeds[2], settings.noise_db, sample_rate)
        if settings.gain_db:
            waveform *= decibels(uniform(seeds[3], -settings.gain_db, settings.gain_db))
        return waveform

    return augment


def read_responses(*folders: str) -> list[NDArray[np.float32]]:
    """Read the room responses in folders: every sound file in them, from the direct sound on.

    Raises:
      InputError: a folder holds none, or one of them cannot be used.
    """
    found = []
    for folder in folders:
        files = sorted(path for path in Path(folder).glob("*") if path.suffix in (".flac", ".wav"))
        if not files:
            raise InputError("holds no room response (.flac or .wav)", path=folder)
        responses = (load_response(str(path)) for path in files)
        found += [response[direct:][:LONGEST_RESPONSE] for response, direct in responses]
    return found


def equalize(waveform: tf.Tensor, seed: tf.Tensor, reach_db: float, sample_rate: int) -> tf.Tensor:
    """Apply a smooth random gain over frequency: straight lines, in dB over octaves, between eight bands."""
    samples = waveform.shape[0]
    hz = np.maximum(np.fft.rfftfreq(samples, 1.0 / sample_rate), EQUALIZER_BANDS_HZ[0])
    octave = np.interp(np.log2(hz), np.log2(EQUALIZER_BANDS_HZ), np.arange(len(EQUALIZER_BANDS_HZ)))
    lower = np.minimum(octave.astype(int), len(EQUALIZER_BANDS_HZ) - 2)
    fraction = (octave - lower).astype(np.float32)
    bands = tf.random.stateless_uniform([len(EQUALIZER_BANDS_HZ)], seed, -reach_db, reach_db)
    curve = tf.gather(bands, lower) * (1.0 - fraction) + tf.gather(bands, lower + 1) * fraction
    spectrum = tf.signal.rfft(waveform) * tf.cast(decibels(curve), tf.complex64)
    return tf.signal.irfft(spectrum, [samples])


def add_noise(
    waveform: tf.Tensor, seed: tf.Tensor, loudest_db: float, sample_rate: int
) -> tf.Tensor:
    """Add noise of a random level below the waveform's RMS and of a random colour from white to brown."""
    level_seed, noise_seed, colour_seed = tf.unstack(tf.random.split(seed, 3))
    level = decibels(uniform(level_seed, loudest_db - NOISE_RANGE_DB, loudest_db))
    samples = waveform.shape[0]
    hz = np.maximum(np.fft.rfftfreq(samples, 1.0 / sample_rate), NOISE_FLAT_HZ)
    octaves = np.log2(hz / NOISE_FLAT_HZ).astype(np.float32)
    slope = decibels(-octaves * uniform(colour_seed, 0.0, NOISE_STEEPEST_DB))
    white = tf.random.stateless_normal([samples], noise_seed)
    noise = tf.signal.irfft(tf.signal.rfft(white) * tf.cast(slope, tf.complex64), [samples])
    return waveform + noise * level * rms(waveform) / rms(noise)


def reverberate(
    waveform: tf.Tensor, seed: tf.Tensor, responses: list[NDArray[np.float32]], probability: float
) -> tf.Tensor:
    """Convolve the waveform with one of the rooms, with a probability."""
    samples = waveform.shape[0]
    longest = max(len(response) for response in responses)
    table = np.stack([np.pad(response, (0, longest - len(response))) for response in responses])
    length = 1 << (samples + longest - 1).bit_length()
    whether, which = tf.unstack(tf.random.split(seed, 2))

    def convolved() -> tf.Tensor:
        room = tf.random.stateless_uniform([], which, 0, len(responses), tf.int32)
        response = tf.gather(tf.constant(table), room)
        spectrum = tf.signal.rfft(waveform, [length]) * tf.signal.rfft(response, [length])
        return tf.signal.irfft(spectrum, [length])[:samples]

    return tf.cond(uniform(whether, 0.0, 1.0) < probability, convolved, lambda: waveform)


def uniform(seed: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """Draw one number, uniform in low..high."""
    return tf.random.stateless_uniform([], seed, low, high)


def rms(waveform: tf.Tensor) -> tf.Tensor:
    """Return the waveform's root mean square."""
    return tf.sqrt(tf.reduce_mean(waveform**2))


def decibels(value: tf.Tensor) -> tf.Tensor:
    """Convert decibels to an amplitude factor."""
    return 10.0 ** (value / 20.0)
