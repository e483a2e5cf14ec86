"""The refinement: what the heads say, looked through once more by one small network for all keys."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfamt.layers.harmonics import shifted
from tfamt.layers.unet import conv_norm, dilated_residual

CONFUSED = (-24, -19, -12, -1, 0, 1, 12, 19, 24)
"""Semitones to the keys that share most partials with a key, or lie next to it; and the key itself."""
DILATIONS = (1, 4, 16)
"""Frames between those that are looked at together: 42 to either side in all, 1.3 s at the usual hop."""


def refined(logits: dict[str, Any], width: int, dtype: str) -> dict[str, Any]:
    """Corrects what the heads say; by nothing at first.

    A dense head learns each key by itself. What makes a note believable is the same for all of them: a stroke that is
    followed by sound, and no stronger one an octave below. One network for all keys learns that from each of them.

    Args:
      logits: of every head, before the sigmoid: Keras tensors [batch, frames, 88].
      width: channels of each key.
      dtype: of the result.

    Returns:
      The same, corrected.
    """
    said = keras.ops.stack(list(logits.values()), axis=-1)
    x = conv_norm(said, width, "refine_time", (5, 1))
    x = conv_norm(x, max(width // 2, 1), "refine_narrow", 1)
    x = KeyNeighbours(CONFUSED, name="refine_neighbours")(x)
    x = conv_norm(x, width, "refine_keys", 1)
    for dilation in DILATIONS:
        x = dilated_residual(x, dilation, f"refine{dilation}")
    # Of no weight at first, so that a model without it can be trained on with it.
    corrections = keras.layers.Conv2D(
        len(logits), 1, kernel_initializer="zeros", dtype=dtype, name="refine_correct"
    )(x)
    corrected = keras.layers.Add(dtype=dtype, name="refine_add")([said, corrections])
    return {head: corrected[..., number] for number, head in enumerate(logits)}


@keras.saving.register_keras_serializable("tfamt")
class KeyNeighbours(keras.layers.Layer):
    """[batch, frames, keys, channels] -> [batch, frames, keys, (intervals + 1) * channels].

    The channels of a key are those of the keys at `intervals` semitones from it, in this order, 0 beyond the keyboard;
    then their mean over all keys, which tells how much is being played.
    """

    def __init__(self, intervals: tuple[int, ...], **kwargs: Any):
        super().__init__(**kwargs)
        self.intervals = tuple(intervals)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        near = shifted(x, self.intervals, x.shape[2])
        # Not tiled: OpenVINO tiles along the wrong axis.
        everywhere = tf.reduce_mean(x, axis=2, keepdims=True) + tf.zeros_like(x)
        return tf.concat([*near, everywhere], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        channels = input_shape[-1]
        return (*input_shape[:-1], channels and (len(self.intervals) + 1) * channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "intervals": self.intervals}
