"""Bring waveforms to one loudness."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfamt.audio.loudness import MINIMUM_RMS, TARGET_RMS


@keras.saving.register_keras_serializable("tfamt")
class LoudnessNormalization(keras.layers.Layer):
    """Multiply waveforms so that a recording of their loudness reaches `TARGET_RMS`.

    Inputs: (waveform [batch, samples], loudness of the recording it belongs to [batch]). Recordings below `MINIMUM_RMS`
    get the gain of that loudness.

    Args:
      active: False to return the waveform as it is.
    """

    def __init__(self, active: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.active = active

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        waveform, loudness = inputs
        if not self.active:
            return waveform
        gain = TARGET_RMS / tf.maximum(tf.cast(loudness, tf.float64), MINIMUM_RMS)
        return waveform * tf.cast(gain, tf.float32)[:, tf.newaxis]

    def compute_output_shape(
        self, input_shape: list[tuple[int | None, ...]]
    ) -> tuple[int | None, ...]:
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "active": self.active}
