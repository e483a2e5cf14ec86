"""Make the optimizer and its learning rate schedule."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfamt.config import TrainingConfig


class FusedAdam(keras.optimizers.Adam):
    """Update weights as Keras's Adam does (Kingma and Ba, "Adam", 2015), with one operation of TensorFlow a weight.

    Results and state are the same. Keras composes the update of 23 operations more, a third of the graph of a small
    model's training step, which delays the first step.
    """

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor
    ) -> None:
        """Update one weight and the moments of its gradient; Keras calls it."""
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations.value + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Compute the learning rate of a config's schedule: steps made so far -> learning rate."""

    def __init__(self, config: TrainingConfig):
        self.config = config

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Return the learning rate of the next step."""
        c = self.config
        position = tf.cast(step, tf.float32)
        if c.schedule == "exponential":
            factor = c.decay_rate ** tf.floor(position / c.decay_steps)
        elif c.schedule == "trapezoid":
            cooled = (position - (c.steps - c.cooldown_steps)) / c.cooldown_steps
            factor = 1.0 - tf.sqrt(tf.clip_by_value(cooled, 0.0, 1.0))
        else:
            progress = tf.minimum(position / c.steps, 1.0)
            factor = 0.5 * (1.0 + tf.cos(np.pi * progress))
        warmup = tf.minimum((position + 1.0) / c.warmup_steps, 1.0) if c.warmup_steps else 1.0
        return c.learning_rate * factor * warmup

    def get_config(self) -> dict[str, Any]:
        """Return the training config."""
        return dataclasses.asdict(self.config)
