"""Measure the loudness of whole recordings inside a graph."""

from __future__ import annotations

import keras
import tensorflow as tf

from tfamt.audio.loudness import LOUDNESS_BLOCK


@keras.saving.register_keras_serializable("tfamt")
class RecordingLoudness(keras.layers.Layer):
    """Compute `tfamt.audio.loudness.loudness` of each waveform: [batch, samples] -> [batch]."""

    def call(self, waveform: tf.Tensor) -> tf.Tensor:
        batch, samples = tf.unstack(tf.shape(waveform))
        # At least one block: the rest at the end counts as one.
        padding = LOUDNESS_BLOCK - samples % LOUDNESS_BLOCK
        padded = tf.pad(waveform, [[0, 0], [0, padding]])
        blocks = tf.reshape(padded, [batch, samples // LOUDNESS_BLOCK + 1, LOUDNESS_BLOCK])
        return tf.sqrt(tf.reduce_max(tf.reduce_mean(blocks**2, axis=2), axis=1))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape[:1]
