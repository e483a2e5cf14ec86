"""Gather the features of neighbouring keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfamt")
class KeyNeighbours(keras.layers.Layer):
    """Gather neighbours: [batch, frames, keys, channels] -> [batch, frames, keys, (intervals + 1) * channels].

    Each key gets the channels of the keys at `intervals` semitones from it, in this order, 0 beyond the keyboard, then
    the mean over all keys, a measure of how many notes sound.
    """

    def __init__(self, intervals: tuple[int, ...], **kwargs: Any):
        super().__init__(**kwargs)
        self.intervals = tuple(intervals)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        near = shifted(x, self.intervals, x.shape[2])
        # tf.repeat, because OpenVINO reads tf.tile of an exported SavedModel along the wrong axis.
        everywhere = tf.repeat(tf.reduce_mean(x, axis=2, keepdims=True), x.shape[2], axis=2)
        return tf.concat([*near, everywhere], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        channels = input_shape[-1]
        return (*input_shape[:-1], channels and (len(self.intervals) + 1) * channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "intervals": self.intervals}


def shifted(x: tf.Tensor, shifts: Sequence[int], width: int) -> list[tf.Tensor]:
    """Return, for each shift, `width` bins of x [batch, frames, bins, ...] from that bin on, 0 outside of x."""
    below = max(0, -min(shifts))
    above = max(0, max(shifts) + width - x.shape[2])
    padded = tf.pad(x, [[0, 0], [0, 0], [below, above]] + [[0, 0]] * (len(x.shape) - 3))
    rest = [0] * (len(x.shape) - 3)
    # tf.slice, because the gradient of indexing takes several times as long.
    return [
        tf.slice(padded, [0, 0, below + shift, *rest], [-1, -1, width, *(-1 for _ in rest)])
        for shift in shifts
    ]
