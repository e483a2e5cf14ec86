"""One training run: model, optimizer, step, checkpoints. Takes data sets, knows no files but its run folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfamt.config import Config
from tfamt.errors import InputError, TfamtError
from tfamt.network.model import build_model
from tfamt.network.refinement import grow_refinement
from tfamt.network.trained_models import assign_weights
from tfamt.network.weights import load_weights, named_weights, save_weights, transcriber_only
from tfamt.training.distribution import check_batch_size, distribute, share_of
from tfamt.training.losses import loss_terms, term_names, total_loss
from tfamt.training.optimizer import FusedAdam
from tfamt.training.run_folder import MetricsLog
from tfamt.training.schedules import Schedule

Batch = dict[str, tf.Tensor]
Scalars = dict[str, float]
Validate = Callable[["Trainer"], Scalars]
Report = Callable[[int, Scalars], None]


class NonFiniteLossError(TfamtError):
    """Loss or gradient are no longer numbers.

    Attributes:
      step: the step that it happened in.
      recordings: the batch's entry "recording", if it has one.
    """

    def __init__(self, step: int, recordings: Sequence[int]):
        super().__init__(f"the loss of step {step} is not a finite number")
        self.step = step
        self.recordings = tuple(recordings)


class StoppedError(TfamtError):
    """The run was asked to stop (`Trainer.stop`), and did so with a checkpoint."""


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
            averaged = self.model.weights if config.training.ema else []
            self._average = [tf.Variable(w.value, trainable=False) for w in averaged]
            self._done = tf.Variable(0, dtype=tf.int64, trainable=False)
            # Sums since the last report are state as well: a run that goes on reports what an undisturbed one does.
            names = ("loss", "gradient_norm", *term_names(config.model))
            self._sums = {name: tf.Variable(0.0, trainable=False) for name in names}
        self._checkpoint = tf.train.Checkpoint(
            model=self.model,
            optimizer=self.optimizer,
            average=self._average,
            step=self._done,
            sums=self._sums,
        )
        self.manager = tf.train.CheckpointManager(
            self._checkpoint, str(self._own_folder() / "checkpoints"), 2
        )
        self.metrics = MetricsLog(self._own_folder())
        self.writer = tf.summary.create_file_writer(str(self._own_folder() / "logs"))
        self._stop = False

    def _own_folder(self) -> Path:
        """The run folder; for workers beside the chief a temporary one, since all must write, but only one counts."""
        if self.share.is_chief:
            return self.run_dir
        if not hasattr(self, "_temporary"):
            self._temporary = tempfile.TemporaryDirectory(prefix="tfamt-worker-")
        return Path(self._temporary.name)

    @property
    def step(self) -> int:
        """Optimizer steps made so far."""
        return int(self._done.numpy())

    def restore(self) -> bool:
        """Goes back to the latest checkpoint of the run folder; False where there is none."""
        latest = tf.train.latest_checkpoint(str(self.run_dir / "checkpoints"))
        if latest is None:
            if self.share.is_chief:
                # Killed before its first checkpoint, a run has lines that will come again.
                self.metrics.go_back(0)
            return False
        self._checkpoint.restore(latest).assert_existing_objects_matched()
        if self.share.is_chief:
            # The manager must know of it, or it would not delete it in time.
            self.manager.restore_or_initialize()
            self.metrics.go_back(self.step)
        return True

    def begin_with(self, weights: str | os.PathLike[str]) -> list[str]:
        """Takes the weights of a file instead of random ones, as their own averages.

        What the file lacks, such as a second U-net or the refinement, keeps its first weights; a second U-net that the
        model lacks is not needed. A refinement may be wider than the file's, or see more
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
        for average, weight in zip(self._average, self.model.weights, strict=False):
            average.assign(weight.value)
        return [name for name in first if name not in arrays]

    def stop(self) -> None:
        """Asks a run to end after the present step, with a checkpoint. May be called from a signal handler."""
        self._stop = True

    def save(self) -> None:
        """Writes a checkpoint, and the weights that the run has reached so far.

        Raises:
          InputError: the disk is full or the folder cannot be written; the checkpoint before is whole.
        """
        try:
            self.manager.save(checkpoint_number=self.step)
            if self.share.is_chief:
                save_weights(self.run_dir / "weights.npz", self.config, self.averaged_weights())
        except (OSError, tf.errors.OpError) as error:
            raise InputError(
                f"the checkpoint of step {self.step} cannot be written ({_first_line(error)}); the one before is whole",
                path=self.run_dir,
                fix="Make room and start the command again: the run goes on from there.",
            ) from error

    def averaged_weights(self) -> dict[str, NDArray[np.float32]]:
        """The weights to be used: moving averages, or with `training_ema` of 0 the weights themselves."""
        chosen = self._average or [weight.value for weight in self.model.weights]
        averages = {
            id(weight): average for weight, average in zip(self.model.weights, chosen, strict=True)
        }
        return {
            name: averages[id(weight)].numpy() for name, weight in named_weights(self.model).items()
        }

    def checksum(self) -> str:
        """Of all weights: that of every worker must be the same."""
        digest = hashlib.sha256()
        for weight in self.model.weights:
            digest.update(np.asarray(weight).tobytes())
        return digest.hexdigest()[:16]

    def train_step(self, batch: Batch) -> Batch:
        """One optimizer step.

        Args:
          batch: this worker's share of a global batch; what no loss needs is passed over.

        Returns:
          {"loss", "gradient_norm", each term}: float32 [], means over the global batch.
        """
        needed = {name: batch[name] for name in batch if name not in ("recording", "start")}
        scalars: Batch = self._distributed_step(distribute(self.strategy, needed))
        return scalars

    # Nothing here needs autograph, whose reading of the source would delay the first step.
    @tf.function(autograph=False)
    def _distributed_step(self, batch: Batch) -> Batch:
        per_replica = self.strategy.run(self._replica_step, args=(batch,))
        scalars = {
            name: self.strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)
            for name, value in per_replica.items()
        }
        for name, total in self._sums.items():
            total.assign_add(scalars[name])
        self._update_average()
        self._done.assign_add(1)
        return scalars

    def _replica_step(self, batch: Batch) -> Batch:
        replicas = self.strategy.num_replicas_in_sync
        variables = self.model.trainable_variables
        gradients, scalars = self._gradients(batch)
        gradients = _sum_over_replicas(gradients, replicas)
        gradients, norm = tf.clip_by_global_norm(gradients, self.config.training.clip_norm)
        # The optimizer sums over replicas what is already the sum.
        self.optimizer.apply([gradient / replicas for gradient in gradients], variables)
        return {**scalars, "gradient_norm": norm / replicas}

    def _gradients(self, batch: Batch) -> tuple[list[tf.Tensor], Batch]:
        """This replica's addends to gradients and scalars, part by part, so that one part is in memory at a time."""
        parts = self.config.training.accumulation
        replicas = self.strategy.num_replicas_in_sync
        # The velocity's error is a mean over notes, of which each part has another number.
        notes = tf.reduce_sum(batch["onset"]) if "onset" in batch else tf.constant(0.0)
        (notes,) = _sum_over_replicas([notes], replicas)
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
        return _sum_in_turn(add, batch, parts)

    def _update_average(self) -> None:
        done = tf.cast(self._done, tf.float32)
        # A young average would remember the initial weights for too long.
        decay = tf.minimum(self.config.training.ema, (1.0 + done) / (10.0 + done))

        def update(average: tf.Variable, weight: tf.Tensor, decay: tf.Tensor) -> tf.Operation:
            return average.assign(decay * average + (1.0 - decay) * weight)

        # Statistics of normalisation are averaged too: those of the last steps do not fit averaged weights.
        for average, weight in zip(self._average, self.model.weights, strict=False):
            self.strategy.extended.update(average, update, args=(weight.value, decay))

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
        """Runs to the config's last step.

        Args:
          batches: this worker's share of the global batches, from the step that comes next.
          report: called with the step and means since the last call, every `report_steps`, and with the validation's
            scalars.
          validate: gives scalars every `validate_steps` and at the end.
          is_over: asked after each validation whether to end early.
          report_steps: see `report`.
          validate_steps: see `validate`.
          checkpoint_seconds: longest time between two checkpoints.

        Raises:
          NonFiniteLossError: before anything of that step is saved.
          StoppedError: `stop` was called.
          InputError: a checkpoint cannot be written.
        """
        last = self.config.training.steps
        clock = _Clock()
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
                clock = _Clock()
            stop = self._any_worker(self._stop)
            if over or stop or time.monotonic() - saved > checkpoint_seconds:
                self.save()
                saved = time.monotonic()
            if stop and not over:
                raise StoppedError(f"stopped after step {step}, with a checkpoint")
            if over:
                return

    def _check_finite(self, step: int, scalars: Batch, batch: Batch) -> None:
        if not np.isfinite(float(scalars["loss"]) + float(scalars["gradient_norm"])):
            recordings = batch.get("recording", tf.zeros([0], tf.int64))
            raise NonFiniteLossError(step, [int(number) for number in recordings.numpy()])

    def _report(self, step: int, steps: int, clock: _Clock, report: Report) -> None:
        means = {name: float(total.numpy()) / steps for name, total in self._sums.items()}
        for total in self._sums.values():
            total.assign(0.0)
        means["learning_rate"] = float(self.optimizer.learning_rate)
        self._log(step, means, "train")
        speed = clock.lap(self.config.training.batch_size)
        self._summarise(step, speed, "speed")
        report(step, means | speed)

    def _any_worker(self, says: bool) -> bool:
        """Whether any worker says so: all must leave the run after the same step."""
        if self.share.count == 1:
            return says
        flag = tf.constant(float(says))
        total = self.strategy.run(lambda: _sum_over_replicas([flag], 2)[0])
        return float(self.strategy.experimental_local_results(total)[0]) > 0

    def _log(self, step: int, scalars: Scalars, group: str) -> None:
        self.metrics.append(step, group, scalars)
        self._summarise(step, scalars, group)

    def _summarise(self, step: int, scalars: Scalars, group: str) -> None:
        with self.writer.as_default():
            for name, value in scalars.items():
                tf.summary.scalar(f"{group}/{name}", value, step)
        self.writer.flush()


class _Clock:
    """Windows per second, and the share of the time spent waiting for them."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._begin = time.monotonic()
        self._batches = 0
        self._waited = 0.0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Around the wait for each batch."""
        begin = time.monotonic()
        yield
        self._waited += time.monotonic() - begin
        # Counted here: after a resumption or a validation a lap has fewer steps than a report.
        self._batches += 1

    def lap(self, batch_size: int) -> Scalars:
        """Figures since the last lap."""
        elapsed = max(time.monotonic() - self._begin, 1e-9)
        figures = {
            "windows_per_second": self._batches * batch_size / elapsed,
            "waiting_for_input": self._waited / elapsed,
        }
        self._start()
        return figures


def _sum_over_replicas(values: list[tf.Tensor], replicas: int) -> list[tf.Tensor]:
    if replicas == 1:
        return values
    context = tf.distribute.get_replica_context()
    summed: list[tf.Tensor] = context.all_reduce(tf.distribute.ReduceOp.SUM, values)
    return summed


def _sum_in_turn(
    add: Callable[[Batch], tuple[list[tf.Tensor], Batch]], batch: Batch, parts: int
) -> tuple[list[tf.Tensor], Batch]:
    """The sum of `add` over equal parts of a batch, one after the other."""
    pieces = {
        name: tf.stack(tf.split(value, parts)) for name, value in batch.items() if value.shape.rank
    }
    first = add({name: value[0] for name, value in pieces.items()})

    def body(number: tf.Tensor, sums: tuple[list[tf.Tensor], Batch]) -> tuple[tf.Tensor, object]:
        addends = add({name: value[number] for name, value in pieces.items()})
        return number + 1, tf.nest.map_structure(tf.add, sums, addends)

    _, sums = tf.while_loop(
        lambda number, _: number < parts, body, (tf.constant(1), first), parallel_iterations=1
    )
    return sums  # type: ignore[no-any-return]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
