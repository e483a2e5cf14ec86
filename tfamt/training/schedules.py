"""Learning rates as functions of the step."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfamt.config import TrainingConfig


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """The schedule that a config names: steps made so far -> learning rate."""

    def __init__(self, config: TrainingConfig):
        self.config = config

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The learning rate of the step that comes next."""
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
        """The training config."""
        return dataclasses.asdict(self.config)
