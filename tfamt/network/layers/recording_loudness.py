"""Measure the loudness of whole recordings inside a graph."""

from __future__ import annotations

import keras
import tensorflow as tf

from tfamt.audio.loudness import (
    BLOCK_PARTS,
    CLICK_PARTS,
    GROSS_POWER,
    LOUDEST_CLICK,
    LOUDNESS_BLOCK,
    MOST_CLICKS,
)


@keras.saving.register_keras_serializable("tfamt")
class RecordingLoudness(keras.layers.Layer):
    """Compute `tfamt.audio.loudness.loudness` of each waveform: [batch, samples] -> [batch]."""

    def call(self, waveform: tf.Tensor) -> tf.Tensor:
        power, centered, without_clicks = _block_powers(waveform)
        has_offset = _largest(power) > GROSS_POWER * _largest(centered)
        power = tf.where(has_offset, centered, power)
        loudest = _largest(power)
        is_click = power > GROSS_POWER * _largest(without_clicks)
        clicks = tf.reduce_sum(tf.cast(is_click, tf.float32), axis=1, keepdims=True)
        most = tf.maximum(float(MOST_CLICKS), tf.cast(tf.shape(power)[1], tf.float32) / 100.0)
        rest = _largest(tf.where(is_click, 0.0, power))
        leaves_out = (clicks > 0) & (clicks <= most) & (rest > LOUDEST_CLICK * loudest)
        return tf.sqrt(tf.where(leaves_out, rest, loudest))[:, 0]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape[:1]


def _largest(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_max(values, axis=1, keepdims=True)


def _block_powers(waveform: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return three powers of each block, [batch, blocks]: of it, without its mean, without its loudest parts too."""
    batch, samples = tf.unstack(tf.shape(waveform))
    # At least one block: the rest at the end counts as one.
    count = tf.maximum(1, (samples + LOUDNESS_BLOCK - 1) // LOUDNESS_BLOCK)
    padding = [[0, 0], [0, count * LOUDNESS_BLOCK - samples]]
    shape = [-1, count, LOUDNESS_BLOCK]
    blocks = tf.reshape(tf.pad(waveform, padding), [batch, *shape[1:]])
    is_sound = tf.reshape(tf.pad(tf.ones([1, samples]), padding), shape)
    lengths = tf.maximum(1.0, tf.reduce_sum(is_sound, axis=2, keepdims=True))
    centered = (blocks - tf.reduce_sum(blocks, axis=2, keepdims=True) / lengths) * is_sound
    parts = tf.reduce_mean(tf.reshape(centered**2, [batch, count, BLOCK_PARTS, -1]), axis=3)
    quieter = tf.sort(parts, axis=2)[:, :, : BLOCK_PARTS - CLICK_PARTS]
    return (
        tf.reduce_mean(blocks**2, axis=2),
        tf.reduce_mean(parts, axis=2),
        tf.reduce_mean(quieter, axis=2),
    )
