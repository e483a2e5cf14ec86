"""Bidirectional LSTM."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable("tfamt")
class BidirectionalLSTM(keras.layers.Layer):
    """[batch, frames, features] -> [batch, frames, 2 * units]: an LSTM forwards in time beside one backwards.

    The cell of the authors' network (PyTorch's: gates in the order input, forget, cell, output; one bias on the
    input and one on the recurrent side, so that parameter counts agree with the paper's). Both directions run in
    one loop over time, their input projections as one product outside it.
    """

    def __init__(self, units: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        features = input_shape[-1]
        if features is None:
            raise ValueError(f"The last axis must be known. Received: input_shape={input_shape}")
        # PyTorch's initial range, whatever the shape of the weight.
        limit = 1.0 / np.sqrt(self.units)

        def weight(name: str, *shape: int) -> Any:
            initializer = keras.initializers.RandomUniform(-limit, limit)
            return self.add_weight(name=name, shape=shape, initializer=initializer)

        self.kernel = weight("kernel", 2, features, 4 * self.units)
        self.recurrent_kernel = weight("recurrent_kernel", 2, self.units, 4 * self.units)
        self.bias = weight("bias", 2, 4 * self.units)
        self.recurrent_bias = weight("recurrent_bias", 2, 4 * self.units)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        bias = tf.convert_to_tensor(self.bias) + tf.convert_to_tensor(self.recurrent_bias)
        kernel = tf.convert_to_tensor(self.kernel)
        forwards = tf.matmul(inputs, kernel[0]) + bias[0]
        backwards = tf.reverse(tf.matmul(inputs, kernel[1]) + bias[1], axis=[1])
        # [frames, 2, batch, 4 * units]: one slice per turn of the loop.
        projected = tf.transpose(tf.stack([forwards, backwards]), [2, 0, 1, 3])
        hidden = _recur(projected, tf.convert_to_tensor(self.recurrent_kernel))
        hidden = tf.transpose(hidden, [1, 2, 0, 3])
        return tf.concat([hidden[0], tf.reverse(hidden[1], axis=[1])], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], 2 * self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


def _recur(projected: tf.Tensor, recurrent_kernel: tf.Tensor) -> tf.Tensor:
    """Hidden states [frames, 2, batch, units] of both directions, from states of 0."""
    frames, batch = tf.shape(projected)[0], tf.shape(projected)[2]
    units = recurrent_kernel.shape[1]
    zeros = tf.zeros([2, batch, units], projected.dtype)
    hidden_states = tf.TensorArray(projected.dtype, frames, element_shape=[2, None, units])

    def step(
        frame: tf.Tensor, hidden: tf.Tensor, cell: tf.Tensor, states: tf.TensorArray
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.TensorArray]:
        gates = projected[frame] + tf.matmul(hidden, recurrent_kernel)
        into, forget, candidate, out = tf.split(gates, 4, axis=-1)
        cell = tf.sigmoid(forget) * cell + tf.sigmoid(into) * tf.tanh(candidate)
        hidden = tf.sigmoid(out) * tf.tanh(cell)
        return frame + 1, hidden, cell, states.write(frame, hidden)

    *_, states = tf.while_loop(
        lambda frame, *_: frame < frames,
        step,
        (0, zeros, zeros, hidden_states),
        maximum_iterations=frames,
    )
    return states.stack()
