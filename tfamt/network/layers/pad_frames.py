"""Pad a spectrogram to a least number of frames."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfamt")
class PadFrames(keras.layers.Layer):
    """Append zeros to [batch, frames, bins, channels] up to `minimum` frames."""

    def __init__(self, minimum: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.minimum = minimum

    def call(self, x: tf.Tensor) -> tf.Tensor:
        missing = tf.maximum(self.minimum - tf.shape(x)[1], 0)
        return tf.pad(x, [[0, 0], [0, missing], [0, 0], [0, 0]])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        frames = input_shape[1]
        return (input_shape[0], frames and max(frames, self.minimum), *input_shape[2:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "minimum": self.minimum}
