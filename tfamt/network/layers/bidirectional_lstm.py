"""Apply an LSTM in both directions of time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable("tfamt")
class BidirectionalLSTM(keras.layers.Layer):
    """[batch, frames, features] -> [batch, frames, 2 * units]: an LSTM forwards in time beside one backwards.

    The cell of the authors' network (PyTorch's: gates in the order input, forget, cell, output; one bias on the
    input and one on the recurrent side, so that parameter counts agree with the paper's). Both directions run in
    one loop over time, their input projections as one product outside it, in the precision of the input; all else is
    in the layer's own.

    In training the gradient is worked out by hand: TensorFlow's own, of a loop, adds up an array of the size of all
    frames once for each frame.

    With `compiled` set, the loop is one operation of XLA at inference, in half of the time. A graph that leaves the
    process must not hold one.

    Args:
      units: each way.
      rank: the recurrent kernel is the product of two that are so narrow, `recurrent_input` and `recurrent_kernel`, and
        less has to be read for every frame; 0: it is whole.
    """

    def __init__(self, units: int, rank: int = 0, **kwargs: Any):
        super().__init__(autocast=False, **kwargs)
        self.units = units
        self.rank = rank
        self.compiled = False

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        features = input_shape[-1]
        if features is None:
            raise ValueError(f"The last axis must be known. Received: input_shape={input_shape}")
        # PyTorch's initial range, for any shape of the weight.
        limit = 1.0 / np.sqrt(self.units)

        def weight(name: str, *shape: int) -> Any:
            initializer = keras.initializers.RandomUniform(-limit, limit)
            return self.add_weight(name=name, shape=shape, initializer=initializer)

        self.kernel = weight("kernel", 2, features, 4 * self.units)
        if self.rank:
            self.recurrent_input = weight("recurrent_input", 2, self.units, self.rank)
        self.recurrent_kernel = weight(
            "recurrent_kernel", 2, self.rank or self.units, 4 * self.units
        )
        self.bias = weight("bias", 2, 4 * self.units)
        self.recurrent_bias = weight("recurrent_bias", 2, 4 * self.units)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        bias = tf.convert_to_tensor(self.bias) + tf.convert_to_tensor(self.recurrent_bias)
        kernel = tf.cast(self.kernel, inputs.dtype)
        forwards, backwards = (
            tf.cast(tf.matmul(inputs, kernel[way]), self.compute_dtype) + bias[way]
            for way in (0, 1)
        )
        backwards = tf.reverse(backwards, axis=[1])
        # [frames, 2, batch, 4 * units]: one slice per turn of the loop.
        projected = tf.transpose(tf.stack([forwards, backwards]), [2, 0, 1, 3])
        kernels = [tf.convert_to_tensor(self.recurrent_kernel)]
        if self.rank:
            kernels.insert(0, tf.convert_to_tensor(self.recurrent_input))
        if training:
            hidden = _trainable_recurrence(projected, functools.reduce(tf.matmul, kernels))
        elif self.compiled:
            hidden = _compiled_recurrence(projected, *kernels)
        else:
            hidden, _ = _recurrence(projected, *kernels)
        hidden = tf.transpose(hidden, [1, 2, 0, 3])
        return tf.concat([hidden[0], tf.reverse(hidden[1], axis=[1])], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], 2 * self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "rank": self.rank}


def _recurrence(
    projected: tf.Tensor, *kernels: tf.Tensor, keep_cells: bool = False
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Compute hidden and cell states [frames, 2, batch, units] of both directions, from states of 0.

    Args:
      projected: what the input adds to the gates, [frames, 2, batch, 4 * units].
      kernels: whose product is the recurrent kernel: [2, units, ...] first, [2, ..., 4 * units] last.
      keep_cells: whether cell states are put out beside the hidden ones.
    """
    frames, batch = tf.shape(projected)[0], tf.shape(projected)[2]
    units = kernels[0].shape[1]
    zeros = tf.zeros([2, batch, units], projected.dtype)
    kept = tuple(
        tf.TensorArray(projected.dtype, frames, element_shape=[2, None, units])
        for _ in range(1 + keep_cells)
    )

    def step(
        frame: tf.Tensor, hidden: tf.Tensor, cell: tf.Tensor, kept: tuple[tf.TensorArray, ...]
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tuple[tf.TensorArray, ...]]:
        gates = projected[frame] + functools.reduce(tf.matmul, kernels, hidden)
        into, forget, candidate, out = tf.split(gates, 4, axis=-1)
        cell = tf.sigmoid(forget) * cell + tf.sigmoid(into) * tf.tanh(candidate)
        hidden = tf.sigmoid(out) * tf.tanh(cell)
        states = zip(kept, (hidden, cell), strict=False)
        return frame + 1, hidden, cell, tuple(array.write(frame, state) for array, state in states)

    *_, kept = tf.while_loop(
        lambda frame, *_: frame < frames, step, (0, zeros, zeros, kept), maximum_iterations=frames
    )
    return kept[0].stack(), kept[1].stack() if keep_cells else None


@tf.function(jit_compile=True, autograph=False)
def _compiled_recurrence(projected: tf.Tensor, *kernels: tf.Tensor) -> tf.Tensor:
    """Compute the hidden states of `_recurrence`, compiled by XLA."""
    hidden, _ = _recurrence(projected, *kernels)
    return hidden


@tf.custom_gradient
def _trainable_recurrence(
    projected: tf.Tensor, recurrent_kernel: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """Compute the hidden states of `_recurrence`, with a hand-written gradient through time."""
    hidden, cells = _recurrence(projected, recurrent_kernel, keep_cells=True)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        before = _one_frame_later(hidden)
        gates = projected + tf.matmul(before, recurrent_kernel)
        by_gates = _gradient_by_gates(gates, cells, upstream, recurrent_kernel)
        # One product over all frames: [2, units, frames * batch] by [2, frames * batch, 4 * units].
        by_kernel = tf.matmul(_by_direction(before), _by_direction(by_gates), transpose_a=True)
        return by_gates, by_kernel

    return hidden, gradient


def _gradient_by_gates(
    gates: tf.Tensor, cells: tf.Tensor, upstream: tf.Tensor, recurrent_kernel: tf.Tensor
) -> tf.Tensor:
    """Return the loss' gradient by the gates before their activation, [frames, 2, batch, 4 * units].

    Args:
      gates: before their activation, of all frames.
      cells: cell states [frames, 2, batch, units].
      upstream: gradient by the hidden states that were put out, like `cells`.
      recurrent_kernel: [2, units, 4 * units].
    """
    into, forget, candidate, out = tf.split(gates, 4, axis=-1)
    into, forget, out = tf.sigmoid(into), tf.sigmoid(forget), tf.sigmoid(out)
    candidate, squashed = tf.tanh(candidate), tf.tanh(cells)
    # Whatever needs no later frame is worked out for all frames at once; the loop holds what is left.
    cell_by_hidden = out * (1.0 - squashed**2)
    gates_by_state = tf.concat(
        [
            candidate * into * (1.0 - into),
            _one_frame_later(cells) * forget * (1.0 - forget),
            into * (1.0 - candidate**2),
            squashed * out * (1.0 - out),
        ],
        axis=-1,
    )
    frames = tf.shape(gates)[0]
    zeros = tf.zeros_like(upstream[0])
    kept = tf.TensorArray(gates.dtype, frames, element_shape=[2, None, gates.shape[-1]])

    def step(
        frame: tf.Tensor, by_hidden: tf.Tensor, by_cell: tf.Tensor, kept: tf.TensorArray
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.TensorArray]:
        by_hidden += upstream[frame]
        by_cell += by_hidden * cell_by_hidden[frame]
        by_gates = (
            tf.concat([by_cell, by_cell, by_cell, by_hidden], axis=-1) * gates_by_state[frame]
        )
        by_hidden = tf.matmul(by_gates, recurrent_kernel, transpose_b=True)
        return frame - 1, by_hidden, by_cell * forget[frame], kept.write(frame, by_gates)

    *_, kept = tf.while_loop(
        lambda frame, *_: frame >= 0,
        step,
        (frames - 1, zeros, zeros, kept),
        maximum_iterations=frames,
    )
    return kept.stack()


def _one_frame_later(states: tf.Tensor) -> tf.Tensor:
    """Shift [frames, ...] by one frame, with zeros first."""
    return tf.concat([tf.zeros_like(states[:1]), states[:-1]], axis=0)


def _by_direction(x: tf.Tensor) -> tf.Tensor:
    """Reshape [frames, 2, batch, n] to [2, frames * batch, n]."""
    return tf.reshape(tf.transpose(x, [1, 0, 2, 3]), [2, -1, x.shape[-1]])
