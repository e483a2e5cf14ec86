"""Train a model: steps, reports, validation, checkpoints."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfamt.config import Config
from tfamt.network.model import build_model
from tfamt.network.refinement import grow_refinement
from tfamt.network.trained_models import assign_weights
from tfamt.network.weights import load_weights, named_weights, save_weights, transcriber_only
from tfamt.training.averages import WeightAverages
from tfamt.training.checkpoints import Checkpoints
from tfamt.training.distribution import check_batch_size, distribute, share_of
from tfamt.training.ends import NonFiniteLossError, StoppedError
from tfamt.training.event_file import write_scalars
from tfamt.training.gradients import Batch, sum_over_parts, sum_over_replicas
from tfamt.training.losses import loss_terms, term_names, total_loss
from tfamt.training.optimizer import FusedAdam, Schedule
from tfamt.training.progress import Clock, Scalars
from tfamt.training.run_folder import MetricsLog

Validate = Callable[["Trainer"], Scalars]
Report = Callable[[int, Scalars], None]


class Trainer:
    """A model in training.

    Attributes:
      config: what is trained, and how.
      model: the joint model.
      step: optimizer steps made so far.
      share: this worker's part of every global batch.
      metrics: what the run has reported.
    """

    def __init__(
        self, config: Config, run_dir: str | os.PathLike[str], strategy: tf.distribute.Strategy
    ):
        keras.utils.set_random_seed(config.training.seed)
        check_batch_size(config.training, strategy)
        self.config = config
        self.run_dir = Path(run_dir)
        self.strategy = strategy
        self.share = share_of(strategy)
        with strategy.scope():
            self.model = build_model(config)
            self.optimizer = FusedAdam(Schedule(config.training))
            self.optimizer.build(self.model.trainable_variables)
            self._averages = WeightAverages(self.model, config.training.ema)
            self._done = tf.Variable(0, dtype=tf.int64, trainable=False)
            # Sums since the last report are state too, so that a resumed run reports what an undisturbed one does.
            names = ("loss", "gradient_norm", *term_names(config.model))
            self._sums = {name: tf.Variable(0.0, trainable=False) for name in names}
        self._checkpoints = Checkpoints(
            self.run_dir,
            self._own_folder(),
            model=self.model,
            optimizer=self.optimizer,
            average=self._averages.variables,
            step=self._done,
            sums=self._sums,
        )
        self.metrics = MetricsLog(self._own_folder())
        self.writer = tf.summary.create_file_writer(str(self._own_folder() / "logs"))
        self._stop = False

    def _own_folder(self) -> Path:
        """Return the run folder, or for workers beside the chief a temporary one, since all workers must write."""
        if self.share.is_chief:
            return self.run_dir
        if not hasattr(self, "_temporary"):
            self._temporary = tempfile.TemporaryDirectory(prefix="tfamt-worker-")
        return Path(self._temporary.name)

    @property
    def step(self) -> int:
        """Return the optimizer steps made so far."""
        return int(self._done.numpy())

    def restore(self, warn: Callable[[str], None] = warnings.warn) -> bool:
        """Restore the newest whole checkpoint of the run folder; return False where there is none.

        Args:
          warn: called with one line for each newer checkpoint that is damaged.

        Raises:
          InputError: all checkpoints are damaged.
        """
        found = self._checkpoints.restore(warn)
        if self.share.is_chief:
            # Lines after the checkpoint, all of them without one, will be written again.
            self.metrics.go_back(self.step)
        return found

    def begin_with(self, weights: str | os.PathLike[str]) -> list[str]:
        """Load initial weights from a file, also as their averages.

        Weights that the file lacks, such as those of a second U-net or the refinement, keep their initial values; a
        second U-net that the model lacks is not needed. A refinement may be wider than the file's, or see more
        (`tfamt.network.refinement.grow_refinement`).

        Returns:
          The names of the weights that the file lacks.

        Raises:
          InputError: the file is no weights file, or its weights are of another config.
        """
        config, arrays = load_weights(weights)
        if config.model.reconstruction and not self.config.model.reconstruction:
            arrays = transcriber_only(arrays)
        first = {name: weight.numpy() for name, weight in named_weights(self.model).items()}
        assign_weights(self.model, {**first, **grow_refinement(arrays, first)}, weights)
        self._averages.reset()
        return [name for name in first if name not in arrays]

    def stop(self) -> None:
        """End the run after the present step, with a checkpoint; may be called from a signal handler."""
        self._stop = True

    def save(self) -> None:
        """Write a checkpoint, and the weights so far.

        Raises:
          InputError: the disk is full or the folder cannot be written; the checkpoint before is whole.
        """
        self._checkpoints.save(self.step)
        if self.share.is_chief:
            save_weights(self.run_dir / "weights.npz", self.config, self.averaged_weights())

    def averaged_weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the weights to use: moving averages, or with `training_ema` of 0 the weights themselves."""
        return self._averages.weights()

    def checksum(self) -> str:
        """Return a checksum of all weights, which must be the same on every worker."""
        digest = hashlib.sha256()
        for weight in self.model.weights:
            digest.update(np.asarray(weight).tobytes())
        return digest.hexdigest()[:16]

    def train_step(self, batch: Batch) -> Batch:
        """Make one optimizer step.

        Args:
          batch: this worker's share of a global batch; entries that no loss uses are ignored.

        Returns:
          {"loss", "gradient_norm", each term}: float32 [], means over the global batch.
        """
        needed = {name: batch[name] for name in batch if name not in ("recording", "start")}
        scalars: Batch = self._distributed_step(distribute(self.strategy, needed))
        return scalars

    # Without autograph, whose reading of the source would delay the first step.
    @tf.function(autograph=False)
    def _distributed_step(self, batch: Batch) -> Batch:
        per_replica = self.strategy.run(self._replica_step, args=(batch,))
        scalars = {
            name: self.strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)
            for name, value in per_replica.items()
        }
        for name, total in self._sums.items():
            total.assign_add(scalars[name])
        self._averages.update(self.strategy, self._done)
        self._done.assign_add(1)
        return scalars

    def _replica_step(self, batch: Batch) -> Batch:
        replicas = self.strategy.num_replicas_in_sync
        variables = self.model.trainable_variables
        gradients, scalars = self._gradients(batch)
        gradients = sum_over_replicas(gradients, replicas)
        gradients, norm = tf.clip_by_global_norm(gradients, self.config.training.clip_norm)
        # The optimizer sums over replicas again.
        self.optimizer.apply([gradient / replicas for gradient in gradients], variables)
        return {**scalars, "gradient_norm": norm / replicas}

    def _gradients(self, batch: Batch) -> tuple[list[tf.Tensor], Batch]:
        """Return this replica's addends to gradients and scalars, computed part by part to save memory."""
        parts = self.config.training.accumulation
        replicas = self.strategy.num_replicas_in_sync
        # The velocity error is a mean over notes, whose number differs between parts.
        notes = tf.reduce_sum(batch["onset"]) if "onset" in batch else tf.constant(0.0)
        (notes,) = sum_over_replicas([notes], replicas)
        share = 1.0 / (parts * replicas)
        group = self.config.training.recording_windows

        def add(part: Batch) -> tuple[list[tf.Tensor], Batch]:
            with tf.GradientTape() as tape:
                outputs = self.model(part["spectrogram"], training=True)
                terms = loss_terms(part, outputs, part["spectrogram"], notes * share, group)
                loss = total_loss(terms, self.config.loss)
                scalars = {"loss": loss, **terms}
                scalars = {name: value * share for name, value in scalars.items()}
            variables = [variable.value for variable in self.model.trainable_variables]
            return tape.gradient(scalars["loss"], variables), scalars

        if parts == 1:
            return add(batch)
        return sum_over_parts(add, batch, parts)

    def train(
        self,
        batches: Iterator[Batch],
        *,
        report: Report,
        validate: Validate | None = None,
        is_over: Callable[[], bool] = lambda: False,
        report_steps: int = 20,
        validate_steps: int = 500,
        checkpoint_seconds: float = 300.0,
    ) -> None:
        """Train to the config's last step.

        Args:
          batches: this worker's share of the global batches, from the step that comes next.
          report: called with the step and means since the last call, every `report_steps`, and with the validation's
            scalars.
          validate: gives scalars every `validate_steps` and at the end.
          is_over: called after each validation; True ends the run early.
          report_steps: see `report`.
          validate_steps: see `validate`.
          checkpoint_seconds: longest time between two checkpoints.

        Raises:
          NonFiniteLossError: before anything of that step is saved.
          StoppedError: `stop` was called.
          InputError: a checkpoint cannot be written.
        """
        last = self.config.training.steps
        clock = Clock()
        saved = time.monotonic()
        while self.step < last:
            with clock.waiting():
                batch = next(batches)
            scalars = self.train_step(batch)
            step = self.step
            self._check_finite(step, scalars, batch)
            over = step == last
            if step % report_steps == 0 or over:
                self._report(step, (step - 1) % report_steps + 1, clock, report)
            if validate and (step % validate_steps == 0 or over):
                scores = validate(self)
                self._log(step, scores, "validation")
                report(step, scores)
                over = over or self._any_worker(is_over())
                clock = Clock()
            stop = self._any_worker(self._stop)
            if over or stop or time.monotonic() - saved > checkpoint_seconds:
                self.save()
                saved = time.monotonic()
            if stop and not over:
                raise StoppedError(
                    f"stopped after step {step}, with a checkpoint; the same command resumes from there"
                )
            if over:
                return

    def _check_finite(self, step: int, scalars: Batch, batch: Batch) -> None:
        if not np.isfinite(float(scalars["loss"]) + float(scalars["gradient_norm"])):
            recordings = batch.get("recording", tf.zeros([0], tf.int64))
            raise NonFiniteLossError(step, [int(number) for number in recordings.numpy()])

    def _report(self, step: int, steps: int, clock: Clock, report: Report) -> None:
        means = {name: float(total.numpy()) / steps for name, total in self._sums.items()}
        for total in self._sums.values():
            total.assign(0.0)
        means["learning_rate"] = float(self.optimizer.learning_rate)
        self._log(step, means, "train")
        speed = clock.lap(self.config.training.batch_size)
        write_scalars(self.writer, step, speed, "speed")
        report(step, means | speed)

    def _any_worker(self, flag: bool) -> bool:
        """Return whether the flag is set on any worker: all must leave the run after the same step."""
        if self.share.count == 1:
            return flag
        value = tf.constant(float(flag))
        total = self.strategy.run(lambda: sum_over_replicas([value], 2)[0])
        return float(self.strategy.experimental_local_results(total)[0]) > 0

    def _log(self, step: int, scalars: Scalars, group: str) -> None:
        self.metrics.append(step, group, scalars)
        write_scalars(self.writer, step, scalars, group)
