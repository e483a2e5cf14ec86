"""Scale a spectrogram to its own range."""

from __future__ import annotations

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfamt")
class MinMaxScaling(keras.layers.Layer):
    """Scale log(x + 1e-5) of each window [batch, frames, bins] to 0..1: the paper's "imagewise" scaling.

    A window without contrast (digital silence) becomes 0 everywhere, where the authors' code divides 0 by 0.
    """

    floor = 1e-5

    def call(self, spectrogram: tf.Tensor) -> tf.Tensor:
        logarithm = tf.math.log(spectrogram + self.floor)
        low = tf.reduce_min(logarithm, axis=[1, 2], keepdims=True)
        high = tf.reduce_max(logarithm, axis=[1, 2], keepdims=True)
        return tf.math.divide_no_nan(logarithm - low, high - low)
