"""One training run: strategy, optimizer, step, checkpoints. Takes data sets, knows no files but its run folder."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfamt.config import Config, TrainingConfig
from tfamt.files import atomic_write
from tfamt.losses import loss_terms, total_loss
from tfamt.model import build_model
from tfamt.weights import assign_weights, load_weights, named_weights, save_weights

Batch = dict[str, tf.Tensor]
Scalars = dict[str, float]
Validate = Callable[["Trainer"], Scalars]


def learning_rate(config: TrainingConfig) -> keras.optimizers.schedules.LearningRateSchedule:
    """The schedule that `config` names, as a function of the step."""
    return _Schedule(config)


class _Schedule(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, config: TrainingConfig):
        self.config = config

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        c = self.config
        position = tf.cast(step, tf.float32)
        if c.schedule == "exponential":
            factor = c.decay_rate ** tf.floor(position / c.decay_steps)
        else:
            progress = tf.minimum(position / c.steps, 1.0)
            factor = 0.5 * (1.0 + tf.cos(np.pi * progress))
        warmup = tf.minimum((position + 1.0) / c.warmup_steps, 1.0) if c.warmup_steps else 1.0
        return c.learning_rate * factor * warmup

    def get_config(self) -> dict[str, Any]:
        return dataclasses.asdict(self.config)


class Trainer:
    """A model in training.

    Attributes:
      config: what is trained, and how.
      model: the joint model.
      step: optimizer steps made so far.
    """

    def __init__(
        self, config: Config, run_dir: str | os.PathLike[str], strategy: tf.distribute.Strategy
    ):
        keras.utils.set_random_seed(config.training.seed)
        self.config = config
        self.run_dir = Path(run_dir)
        self.strategy = strategy
        with strategy.scope():
            self.model = build_model(config)
            self.optimizer = keras.optimizers.Adam(learning_rate(config.training))
            self.optimizer.build(self.model.trainable_variables)
            self._average = [tf.Variable(w.value, trainable=False) for w in self.model.weights]
            self._done = tf.Variable(0, dtype=tf.int64, trainable=False)
        checkpoint = tf.train.Checkpoint(
            model=self.model, optimizer=self.optimizer, average=self._average, step=self._done
        )
        self.manager = tf.train.CheckpointManager(checkpoint, str(self.run_dir / "checkpoints"), 2)
        self.writer = tf.summary.create_file_writer(str(self.run_dir / "logs"))

    @property
    def step(self) -> int:
        """Optimizer steps made so far."""
        return int(self._done.numpy())

    def restore(self) -> bool:
        """Goes back to the latest checkpoint of the run folder; False where there is none."""
        return self.manager.restore_or_initialize() is not None

    def begin_with(self, weights: str | os.PathLike[str]) -> None:
        """Takes the weights of a file instead of random ones, as their own averages.

        Raises:
          InputError: the file is no weights file, or its weights are of another config.
        """
        _, arrays = load_weights(weights)
        assign_weights(self.model, arrays, weights)
        for average, weight in zip(self._average, self.model.weights, strict=True):
            average.assign(weight.value)

    def save(self) -> None:
        """Writes a checkpoint, and the weights that the run has reached so far."""
        self.manager.save(checkpoint_number=self.step)
        save_weights(self.run_dir / "weights.npz", self.config, self.averaged_weights())

    def averaged_weights(self) -> dict[str, NDArray[np.float32]]:
        """The weights to be used: moving averages, or with `training_ema` of 0 the weights themselves."""
        averages = {
            id(weight): average
            for weight, average in zip(self.model.weights, self._average, strict=True)
        }
        return {
            name: averages[id(weight)].numpy() for name, weight in named_weights(self.model).items()
        }

    @tf.function
    def train_step(self, batch: Batch) -> Batch:
        """One optimizer step over a global batch: {"loss", "gradient_norm", each term}: float32 []."""
        per_replica = self.strategy.run(self._replica_step, args=(batch,))
        self._done.assign_add(1)
        return {
            name: self.strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)
            for name, value in per_replica.items()
        }

    def _replica_step(self, batch: Batch) -> Batch:
        replicas = self.strategy.num_replicas_in_sync
        with tf.GradientTape() as tape:
            outputs = self.model(batch["spectrogram"], training=True)
            terms = loss_terms(batch, outputs, batch["spectrogram"])
            loss = total_loss(terms, self.config.loss) / replicas
        variables = self.model.trainable_variables
        gradients = tape.gradient(loss, [v.value for v in variables])
        if replicas > 1:
            context = tf.distribute.get_replica_context()
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        gradients, norm = tf.clip_by_global_norm(gradients, self.config.training.clip_norm)
        # The optimizer sums over replicas what is already the sum.
        self.optimizer.apply([g / replicas for g in gradients], variables)
        self._update_average()
        return {
            "loss": loss,
            "gradient_norm": norm / replicas,
            **{n: t / replicas for n, t in terms.items()},
        }

    def _update_average(self) -> None:
        done = tf.cast(self._done, tf.float32)
        # A young average would remember the initial weights for too long.
        decay = tf.minimum(self.config.training.ema, (1.0 + done) / (10.0 + done))
        # Statistics of normalisation are averaged too: those of the last steps do not fit averaged weights.
        for average, weight in zip(self._average, self.model.weights, strict=True):
            average.assign(decay * average + (1.0 - decay) * weight.value)

    def train(
        self,
        batches: Iterator[Batch],
        *,
        report: Callable[[int, Scalars], None],
        validate: Validate | None = None,
        report_steps: int = 20,
        validate_steps: int = 500,
        checkpoint_seconds: float = 300.0,
    ) -> None:
        """Runs to the config's last step.

        Args:
          batches: global batches from the step that comes next.
          report: called with the step and means since the last call, every `report_steps`.
          validate: gives scalars for TensorBoard every `validate_steps` and at the end.
          report_steps: see `report`.
          validate_steps: see `validate`.
          checkpoint_seconds: longest time between two checkpoints.
        """
        atomic_write(self.run_dir / "config.json", self.config.to_json())
        last = self.config.training.steps
        sums: dict[str, tf.Tensor] = {}
        saved = time.monotonic()
        for step in range(self.step + 1, last + 1):
            scalars = self.train_step(next(batches))
            sums = {name: sums.get(name, 0.0) + value for name, value in scalars.items()}
            if step % report_steps == 0 or step == last:
                steps = (step - 1) % report_steps + 1
                means = {name: float(value) / steps for name, value in sums.items()}
                means["learning_rate"] = float(self.optimizer.learning_rate)
                self._log(step, means, "train")
                report(step, means)
                sums = {}
            if validate and (step % validate_steps == 0 or step == last):
                scores = validate(self)
                self._log(step, scores, "validation")
                report(step, scores)
            if step == last or time.monotonic() - saved > checkpoint_seconds:
                self.save()
                saved = time.monotonic()

    def _log(self, step: int, scalars: Scalars, group: str) -> None:
        with self.writer.as_default():
            for name, value in scalars.items():
                tf.summary.scalar(f"{group}/{name}", value, step)
        self.writer.flush()
