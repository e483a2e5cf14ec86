"""Harmonics of a pitch side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def shifted(x: tf.Tensor, shifts: Sequence[int], width: int) -> list[tf.Tensor]:
    """For each shift, `width` bins (or keys) of x [batch, frames, bins, ...] from that one on, with 0 outside of x."""
    below = max(0, -min(shifts))
    above = max(0, max(shifts) + width - x.shape[2])
    padded = tf.pad(x, [[0, 0], [0, 0], [below, above]] + [[0, 0]] * (len(x.shape) - 3))
    rest = [0] * (len(x.shape) - 3)
    # Not by brackets: the gradient of those takes several times as long.
    return [
        tf.slice(padded, [0, 0, below + shift, *rest], [-1, -1, width, *(-1 for _ in rest)])
        for shift in shifts
    ]


@keras.saving.register_keras_serializable("tfamt")
class HarmonicStack(keras.layers.Layer):
    """Constant-Q spectrogram [batch, frames, bins] -> [batch, frames, pitches, channels].

    The channels of a pitch are the `bins_per_octave / 12` bins from its own on, at each of `harmonics` times its
    frequency; what lies outside the spectrogram is 0. So all that belongs to a note lies in one place, and looks the
    same there for every pitch (compare Bittner et al., "Deep Salience Representations for F0 Estimation in Polyphonic
    Music", 2017, there with a CQT for each harmonic).
    """

    def __init__(
        self, harmonics: tuple[float, ...], bins_per_octave: int, pitches: int, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.harmonics = tuple(harmonics)
        self.bins_per_octave = bins_per_octave
        self.pitches = pitches

    def call(self, spectrogram: tf.Tensor) -> tf.Tensor:
        per_pitch = self.bins_per_octave // 12
        shifts = [round(self.bins_per_octave * np.log2(h)) for h in self.harmonics]
        frames = tf.shape(spectrogram)[1]
        channels = [
            tf.reshape(bins, [-1, frames, self.pitches, per_pitch])
            for bins in shifted(spectrogram, shifts, self.pitches * per_pitch)
        ]
        return tf.concat(channels, axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        channels = len(self.harmonics) * self.bins_per_octave // 12
        return (*input_shape[:2], self.pitches, channels)

    def get_config(self) -> dict[str, Any]:
        names = ("harmonics", "bins_per_octave", "pitches")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
