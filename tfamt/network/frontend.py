"""Build the front end: waveform to scaled spectrogram.

One model serves training, transcription and export, so they cannot differ.
"""

from __future__ import annotations

from typing import Any

import keras

from tfamt.config import SpectrogramConfig
from tfamt.network.layers.constant_q import ConstantQ
from tfamt.network.layers.crop_to_audio import CropToAudio
from tfamt.network.layers.loudness_normalization import LoudnessNormalization
from tfamt.network.layers.loudness_scaling import LoudnessScaling
from tfamt.network.layers.mel_spectrogram import MelSpectrogram
from tfamt.network.layers.min_max_scaling import MinMaxScaling
from tfamt.network.layers.recording_loudness import RecordingLoudness

FULL_PRECISION = "float32"
"""Data type of layers whose results need 32 bits whatever the others use: front end, recurrence, outputs."""

_REFERENCE = {"mel": 316.0, "cqt": 2.0}
"""Loudest bin of piano music after normalization (`tfamt.audio.loudness`), in power and magnitude: 25 and 6 dB, within
2.5 dB in 24 recordings of MAPS and rendered MAESTRO."""


def build_frontend(config: SpectrogramConfig, *, fourier: str = "fft") -> keras.Model:
    """Build the front end for windows of recordings.

    Inputs: [waveform [batch, samples] at the config's rate, loudness [batch] of the recording that each window belongs
    to (`tfamt.audio.loudness.loudness`)]. A config that does not normalize loudness ignores the second.

    Output: scaled spectrogram [batch, ceil(samples / hop), bins], 0..1.

    Args:
      config: of the spectrogram.
      fourier: "matrix" for runtimes without FFT (see `MelSpectrogram`).
    """
    waveform = keras.Input((None,), name="waveform")
    loudness = keras.Input((), name="loudness")
    normalized = LoudnessNormalization(
        config.normalizes_loudness, dtype=FULL_PRECISION, name="normalization"
    )([waveform, loudness])
    spectrogram = spectrogram_layer(config, fourier=fourier)(normalized)
    # The frame centred just behind the last sample is not part of the window.
    spectrogram = CropToAudio(config.hop, dtype=FULL_PRECISION, name="crop")(
        [spectrogram, normalized]
    )
    return keras.Model([waveform, loudness], _scaling_layer(config)(spectrogram), name="frontend")


def build_recording_frontend(config: SpectrogramConfig, *, fourier: str = "fft") -> keras.Model:
    """Build the front end for whole recordings, whose loudness it measures: [batch, samples] -> spectrogram.

    Args and output are those of `build_frontend`.
    """
    waveform = keras.Input((None,), name="waveform")
    loudness = RecordingLoudness(dtype=FULL_PRECISION, name="loudness")(waveform)
    spectrogram = build_frontend(config, fourier=fourier)([waveform, loudness])
    return keras.Model(waveform, spectrogram, name="recording_frontend")


def spectrogram_layer(config: SpectrogramConfig, *, fourier: str = "fft") -> keras.layers.Layer:
    """Return the layer from waveform to unscaled spectrogram."""
    common = {"sample_rate": config.sample_rate, "hop": config.hop, "bins": config.bins}
    options: dict[str, Any] = {**common, "dtype": FULL_PRECISION, "name": "spectrogram"}
    if config.kind == "cqt":
        return ConstantQ(bins_per_octave=config.bins_per_octave, low_hz=config.low_hz, **options)
    return MelSpectrogram(
        window=config.window,
        low_hz=config.low_hz,
        high_hz=config.high_hz,
        fourier=fourier,
        **options,
    )


def _scaling_layer(config: SpectrogramConfig) -> keras.layers.Layer:
    options: dict[str, Any] = {"dtype": FULL_PRECISION, "name": "scaling"}
    if config.scaling == "minmax":
        return MinMaxScaling(**options)
    return LoudnessScaling(
        range_db=config.range_db,
        power=config.kind == "mel",
        reference=_REFERENCE[config.kind],
        **options,
    )
