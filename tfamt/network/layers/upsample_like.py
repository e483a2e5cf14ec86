"""Upsample an image to the size of another."""

from __future__ import annotations

import keras
import tensorflow as tf

from tfamt.network.initializers import torch_uniform


@keras.saving.register_keras_serializable("tfamt")
class UpsampleLike(keras.layers.Layer):
    """Apply a transposed 2x2 convolution with stride 2, to the height and width of a reference.

    Inputs: (x [batch, h, w, c], reference [batch, H, W, any]) with H in (2h, 2h + 1), W likewise. A row or column
    that x does not reach holds the bias alone, as with PyTorch's `output_size`.
    """

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        channels = input_shape[0][-1]
        if channels is None:
            raise ValueError(f"The last axis must be known. Received: input_shape={input_shape}")
        self.channels = channels
        # A 2x2 kernel with stride 2 never overlaps, so it is a dense layer to four pixels.
        self.kernel = self.add_weight(
            name="kernel", shape=(channels, 4 * channels), initializer=torch_uniform()
        )
        self.bias = self.add_weight(name="bias", shape=(channels,), initializer="zeros")

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        x, reference = inputs
        height, width = tf.shape(reference)[1], reference.shape[2]
        # Rows and columns that x does not reach are computed from zeros.
        missing = (height + 1) // 2 - tf.shape(x)[1], (width + 1) // 2 - x.shape[2]
        x = tf.pad(x, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]])
        # Two convolutions, for the upper and the lower row of each square, because depth_to_space takes twice as long.
        kernels = tf.split(tf.convert_to_tensor(self.kernel)[None, None], 2, axis=-1)
        bias = tf.tile(tf.convert_to_tensor(self.bias), [2])
        rows = [tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "VALID"), bias) for kernel in kernels]
        shape = [-1, tf.shape(x)[1], 2 * x.shape[2], self.channels]
        pairs = tf.stack([tf.reshape(row, shape) for row in rows], axis=2)
        enlarged = tf.reshape(pairs, [-1, 2 * tf.shape(x)[1], 2 * x.shape[2], self.channels])
        # tf.slice, because the gradient of indexing takes several times as long.
        enlarged = tf.slice(enlarged, [0, 0, 0, 0], [-1, height, width, -1])
        enlarged.set_shape([x.shape[0], reference.shape[1], width, self.channels])
        return enlarged

    def compute_output_shape(
        self, input_shape: list[tuple[int | None, ...]]
    ) -> tuple[int | None, ...]:
        return (*input_shape[1][:3], input_shape[0][-1])
