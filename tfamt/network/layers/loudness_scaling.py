"""Scale a spectrogram to decibels below a fixed reference."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable("tfamt")
class LoudnessScaling(keras.layers.Layer):
    """Map `range_db` decibels below `reference` to 0..1; louder bins lie above 1.

    The same sound gives the same values in every window [batch, frames, bins], so waveforms must have been normalized
    to one loudness before (`tfamt.network.layers.loudness_normalization`).

    Args:
      range_db: bins further below `reference` become 0.
      power: whether the input is power (Mel) or magnitude (CQT).
      reference: value that becomes 1, in the unit of the input.
    """

    def __init__(
        self, range_db: float = 80.0, power: bool = True, reference: float = 1.0, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.range_db = range_db
        self.power = power
        self.reference = reference

    def call(self, spectrogram: tf.Tensor) -> tf.Tensor:
        per_decade = 10.0 if self.power else 20.0
        lowest = np.float32(10.0 ** (-self.range_db / per_decade))
        relative = tf.maximum(spectrogram / self.reference, lowest)
        decibels = tf.math.log(relative) * np.float32(per_decade / np.log(10))
        return 1.0 + decibels / self.range_db

    def get_config(self) -> dict[str, Any]:
        names = ("range_db", "power", "reference")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
