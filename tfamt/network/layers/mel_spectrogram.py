"""Compute Mel power spectrograms."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


@keras.saving.register_keras_serializable("tfamt")
class MelSpectrogram(keras.layers.Layer):
    """Compute Mel power spectrograms: waveform [batch, samples] -> [batch, 1 + samples // hop, bins].

    Periodic Hann window, reflect padding so that frame t is centred on sample t * hop, power 2, Slaney's Mel scale
    with filters of unit area: the spectrogram of Cheuk et al. (ICPR 2020) as nnAudio computes it.

    `fourier` is "fft", or "matrix" for runtimes without FFT: a product with the matrix of the transform, at many times
    the arithmetic.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        window: int = 2048,
        hop: int = 512,
        bins: int = 229,
        low_hz: float = 30.0,
        high_hz: float = 8000.0,
        fourier: str = "fft",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.sample_rate = sample_rate
        self.window = window
        self.hop = hop
        self.bins = bins
        self.low_hz = low_hz
        self.high_hz = high_hz
        self.fourier = fourier
        self._filters = mel_filters(sample_rate, window, bins, low_hz, high_hz).T

    def call(self, waveform: tf.Tensor) -> tf.Tensor:
        frames = tf.signal.frame(pad_reflect(waveform, self.window // 2), self.window, self.hop)
        if self.fourier == "matrix":
            cosine, sine = windowed_fourier_matrices(self.window)
            power = tf.matmul(frames, cosine) ** 2 + tf.matmul(frames, sine) ** 2
        else:
            spectrum = tf.signal.rfft(frames * tf.signal.hann_window(self.window))
            power = tf.math.real(spectrum) ** 2 + tf.math.imag(spectrum) ** 2
        return tf.matmul(power, self._filters)

    def get_config(self) -> dict[str, Any]:
        names = ("sample_rate", "window", "hop", "bins", "low_hz", "high_hz", "fourier")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def pad_reflect(waveform: tf.Tensor, reach: int) -> tf.Tensor:
    """Mirror `reach` samples at both ends of [batch, samples].

    A waveform too short to be mirrored is first extended by silence.
    """
    missing = tf.maximum(reach + 1 - tf.shape(waveform)[1], 0)
    waveform = tf.pad(waveform, [[0, 0], [0, missing]])
    return tf.pad(waveform, [[0, 0], [reach, reach]], mode="REFLECT")


def windowed_fourier_matrices(window: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return Hann window times Fourier transform: cosines and sines, float32 [window, window // 2 + 1]."""
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(window) / window)
    # Whole turns are removed while the numbers are still exact.
    turns = np.outer(np.arange(window), np.arange(window // 2 + 1)) % window / window
    waves = hann[:, None] * np.exp(2j * np.pi * turns)
    return waves.real.astype(np.float32), waves.imag.astype(np.float32)


def mel_filters(
    sample_rate: int, window: int, bins: int, low_hz: float, high_hz: float
) -> NDArray[np.float32]:
    """Return triangular filters of unit area on Slaney's Mel scale: float32 [bins, window // 2 + 1]."""
    edges = _mel_to_hz(_mel_edges(bins, low_hz, high_hz))
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    hz = np.arange(window // 2 + 1) * sample_rate / window
    triangles = np.minimum((hz - lower) / (centre - lower), (upper - hz) / (upper - centre))
    filters: NDArray[np.float64] = np.maximum(triangles, 0.0) * 2.0 / (upper - lower)
    return filters.astype(np.float32)


def mel_positions(
    hz: NDArray[np.float64], bins: int, low_hz: float, high_hz: float
) -> NDArray[np.float64]:
    """Return the positions of frequencies between the bins of `mel_filters`, whose centres are 0, 1, ... bins - 1."""
    edges = _mel_edges(bins, low_hz, high_hz)
    positions: NDArray[np.float64] = (_hz_to_mel(hz) - edges[1]) / (edges[1] - edges[0])
    return positions


def _mel_edges(bins: int, low_hz: float, high_hz: float) -> NDArray[np.float64]:
    low, high = _hz_to_mel(np.array([low_hz, high_hz]))
    return np.linspace(low, high, bins + 2, dtype=np.float64)


# Slaney's scale: linear below 1 kHz (200/3 Hz per Mel), then 27 Mels for a factor of 6.4.
_LINEAR_HZ = 200.0 / 3.0
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ
_LOG_STEP = np.log(6.4) / 27.0


def _hz_to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithmic = _BREAK_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz < _BREAK_HZ, hz / _LINEAR_HZ, logarithmic)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithmic = _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _LINEAR_HZ, logarithmic)
