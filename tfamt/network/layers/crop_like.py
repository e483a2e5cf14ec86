"""Crop a spectrogram to the frames of another."""

from __future__ import annotations

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfamt")
class CropLike(keras.layers.Layer):
    """Crop x to as many frames as the reference has: (x [batch, frames, ...], reference) -> x."""

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        x, reference = inputs
        return x[:, : tf.shape(reference)[1]]

    def compute_output_shape(
        self, input_shape: list[tuple[int | None, ...]]
    ) -> tuple[int | None, ...]:
        return (input_shape[0][0], input_shape[1][1], *input_shape[0][2:])
