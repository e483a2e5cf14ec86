"""Spectrogram magnitudes to the range 0..1 that the networks see."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable("tfamt")
class MinMaxScaling(keras.layers.Layer):
    """log(x + 1e-5), then min-max to 0..1 over each window [batch, frames, bins]: the paper's "imagewise" scaling.

    A window without any contrast (digital silence) becomes 0 everywhere, where the authors' code divides 0 by 0.
    """

    floor = 1e-5

    def call(self, spectrogram: tf.Tensor) -> tf.Tensor:
        logarithm = tf.math.log(spectrogram + self.floor)
        low = tf.reduce_min(logarithm, axis=[1, 2], keepdims=True)
        high = tf.reduce_max(logarithm, axis=[1, 2], keepdims=True)
        return tf.math.divide_no_nan(logarithm - low, high - low)


@keras.saving.register_keras_serializable("tfamt")
class LoudnessScaling(keras.layers.Layer):
    """Decibels below `loud`, `range_db` of them mapped to 0..1; what is louder still lies above 1.

    The same sound looks the same in every window [batch, frames, bins], so waveforms must have been brought to one
    loudness (`tfamt.level`).

    Args:
      range_db: what lies further below `loud` is 0.
      power: whether the input is power (Mel) or magnitude (CQT).
      loud: in the unit of the input.
    """

    def __init__(
        self, range_db: float = 80.0, power: bool = True, loud: float = 1.0, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.range_db = range_db
        self.power = power
        self.loud = loud

    def call(self, spectrogram: tf.Tensor) -> tf.Tensor:
        return _decibels_shown(spectrogram / self.loud, self.range_db, power=self.power)

    def get_config(self) -> dict[str, Any]:
        names = ("range_db", "power", "loud")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _decibels_shown(relative: tf.Tensor, range_db: float, *, power: bool) -> tf.Tensor:
    """1 at 0 dB, 0 at -range_db and below."""
    per_decade = 10.0 if power else 20.0
    darkest = np.float32(10.0 ** (-range_db / per_decade))
    decibels = tf.math.log(tf.maximum(relative, darkest)) * np.float32(per_decade / np.log(10))
    return 1.0 + decibels / range_db
