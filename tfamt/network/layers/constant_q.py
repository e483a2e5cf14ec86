"""Compute constant-Q magnitude spectrograms."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfamt.network.layers.mel_spectrogram import pad_reflect


@keras.saving.register_keras_serializable("tfamt")
class ConstantQ(keras.layers.Layer):
    """Compute constant-Q magnitudes: waveform [batch, samples] -> [batch, 1 + samples // hop, bins].

    Hann-windowed complex kernels of unit L1 norm, magnitudes scaled by the square root of the kernel's length
    (Brown & Puckette 1992, in the form of nnAudio's CQT1992v2, that Cheuk et al., ICPR 2020, use).

    The kernels shrink by half from octave to octave, so each octave is a convolution over blocks of `hop`
    samples, with about a twentieth of the arithmetic of one matrix as long as the lowest kernel.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        hop: int = 512,
        bins: int = 176,
        bins_per_octave: int = 24,
        low_hz: float = 27.5,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.sample_rate = sample_rate
        self.hop = hop
        self.bins = bins
        self.bins_per_octave = bins_per_octave
        self.low_hz = low_hz
        kernels = constant_q_kernels(sample_rate, bins, bins_per_octave, low_hz)
        self._lengths = np.array([len(kernel) for kernel in kernels], np.float32)
        self._reach = _next_power_of_two(len(kernels[0])) // 2
        self._octaves = [
            _blocked(kernels[first : first + bins_per_octave], hop)
            for first in range(0, bins, bins_per_octave)
        ]

    def call(self, waveform: tf.Tensor) -> tf.Tensor:
        padded = pad_reflect(waveform, self._reach)
        num_frames = 1 + (tf.shape(padded)[1] - 2 * self._reach) // self.hop
        magnitudes = [self._octave(padded, blocks, num_frames) for blocks in self._octaves]
        return tf.concat(magnitudes, axis=-1) * np.sqrt(self._lengths)

    def _octave(
        self, padded: tf.Tensor, blocks: NDArray[np.float32], num_frames: tf.Tensor
    ) -> tf.Tensor:
        width = len(blocks)
        start = self._reach - width * self.hop // 2
        samples = (num_frames + width - 1) * self.hop
        # The last block may begin inside the padding and end beyond it; kernels are 0 there.
        tail = tf.maximum(start + samples - tf.shape(padded)[1], 0)
        excerpt = tf.pad(padded, [[0, 0], [0, tail]])[:, start : start + samples]
        by_block = tf.reshape(excerpt, [tf.shape(padded)[0], num_frames + width - 1, self.hop])
        real, imaginary = tf.split(
            tf.nn.conv1d(by_block, blocks, stride=1, padding="VALID"), 2, axis=-1
        )
        return tf.sqrt(real**2 + imaginary**2)

    def get_config(self) -> dict[str, Any]:
        names = ("sample_rate", "hop", "bins", "bins_per_octave", "low_hz")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def constant_q_kernels(
    sample_rate: int, bins: int, bins_per_octave: int, low_hz: float
) -> list[NDArray[np.complex128]]:
    """Return one complex kernel per bin, each of its own length in samples, lowest first."""
    quality = 1.0 / (2.0 ** (1.0 / bins_per_octave) - 1.0)
    kernels = []
    for bin_ in range(bins):
        hz = low_hz * 2.0 ** (bin_ / bins_per_octave)
        length = int(np.ceil(quality * sample_rate / hz))
        time = np.arange(length) - (length + 1) // 2
        hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length)
        kernel = hann * np.exp(2j * np.pi * hz / sample_rate * time)
        kernels.append(kernel / np.abs(kernel).sum())
    return kernels


def _blocked(kernels: list[NDArray[np.complex128]], hop: int) -> NDArray[np.float32]:
    """Return kernels with one centre as convolution weights [blocks, hop, 2 * len(kernels)], real parts first."""
    # An even number of blocks puts the centre, for every octave, on a block's border.
    width = -(-(len(kernels[0]) + 2) // (2 * hop)) * 2
    weights = np.zeros((width * hop, len(kernels)), np.complex128)
    for column, kernel in enumerate(kernels):
        begin = width * hop // 2 - (len(kernel) + 1) // 2
        weights[begin : begin + len(kernel), column] = kernel
    stacked = np.concatenate([weights.real, weights.imag], axis=1)
    return stacked.reshape(width, hop, -1).astype(np.float32)


def _next_power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()
