"""A view along time, each bin or key by itself: convolutions over frames that lie apart."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfamt.layers.normalization import BatchNormalization
from tfamt.layers.unet import LEAK, NORM, torch_uniform

ADD = "_add"
"""Ends the name of what adds a normalised convolution to its own input; before it stands the convolution's name."""


@keras.saving.register_keras_serializable("tfamt")
class DilatedConv(keras.layers.Conv2D):
    """[batch, frames, bins, channels] -> [batch, frames, bins, filters]: a kernel over frames that lie `apart`.

    Frames that lie `apart` are put above each other, which moves nothing in memory, and convolved as if they were
    neighbours. TensorFlow's own way on a CPU copies all of them there and back.
    """

    def __init__(self, filters: int, frames: int, apart: int, **kwargs: Any):
        super().__init__(filters, (frames, 1), padding="same", **kwargs)
        self.apart = apart

    def call(self, x: tf.Tensor) -> tf.Tensor:
        if self.apart == 1:
            return super().call(x)
        frames = x.shape[1] if x.shape[1] is not None else tf.shape(x)[1]
        bins, channels = x.shape[2:]
        # No division of a negative number: ONNX rounds that the other way.
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


def dilated_residual(x: Any, dilation: int, name: str) -> Any:
    """Adds what a convolution over five frames, `dilation` apart, makes of each bin's features; nothing at first."""
    further = DilatedConv(x.shape[-1], 5, dilation, kernel_initializer=torch_uniform(), name=name)(
        x
    )
    # With a scale of 0 the first steps are those of a network without it (Goyal et al., "Accurate, Large Minibatch
    # SGD", 2017, section 5.1): otherwise it takes hundreds of them to get as far.
    further = BatchNormalization(
        momentum=0.9, epsilon=1e-5, gamma_initializer="zeros", name=f"{name}{NORM}"
    )(further)
    x = keras.layers.Add(name=f"{name}{ADD}")([x, further])
    return keras.layers.LeakyReLU(negative_slope=LEAK, name=f"{name}_relu")(x)
