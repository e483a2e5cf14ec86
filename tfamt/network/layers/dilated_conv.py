"""Convolve frames that lie apart."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfamt")
class DilatedConv(keras.layers.Conv2D):
    """Convolve frames that lie `apart`: [batch, frames, bins, channels] -> [batch, frames, bins, filters].

    A reshape puts frames that lie `apart` next to each other, without moving memory, and a plain convolution follows.
    TensorFlow's dilated convolution on a CPU copies all frames twice.
    """

    def __init__(self, filters: int, frames: int, apart: int, **kwargs: Any):
        super().__init__(filters, (frames, 1), padding="same", **kwargs)
        self.apart = apart

    def call(self, x: tf.Tensor) -> tf.Tensor:
        if self.apart == 1:
            return super().call(x)
        frames = x.shape[1] if x.shape[1] is not None else tf.shape(x)[1]
        bins, channels = x.shape[2:]
        # The dividend must not be negative, since ONNX rounds towards zero.
        rows = (frames + self.apart - 1) // self.apart
        padded = tf.pad(x, [[0, 0], [0, rows * self.apart - frames], [0, 0], [0, 0]])
        y = super().call(tf.reshape(padded, [-1, rows, self.apart * bins, channels]))
        y = tf.reshape(y, [-1, rows * self.apart, bins, self.filters])
        y = tf.slice(y, [0, 0, 0, 0], [-1, frames, -1, -1])
        y.set_shape([*x.shape[:3], self.filters])
        return y

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["padding"], config["kernel_size"]
        return {**config, "frames": self.kernel_size[0], "apart": self.apart}
