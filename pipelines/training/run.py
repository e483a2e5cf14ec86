"""Train a model on prepared data sets."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from pipelines.input.augmentation import build_augment, read_responses
from pipelines.input.augmentation_settings import AugmentationSettings
from pipelines.input.batches import training_input
from pipelines.input.pitch_shift import PitchShift
from pipelines.input.training_windows import Augment
from pipelines.preparation.index import StoredRecording, load_index, manifest_checksum
from pipelines.preparation.integrity import leave_out_damaged, readable
from pipelines.training.settings import RunSettings
from pipelines.training.validator import Validator
from tfamt.config import Config
from tfamt.errors import InputError
from tfamt.training.distribution import Share, choose_strategy, share_of
from tfamt.training.ends import NonFiniteLossError, StoppedError
from tfamt.training.precision_probe import use_precision
from tfamt.training.progress import Progress
from tfamt.training.run_folder import check_or_write_config, check_or_write_settings
from tfamt.training.tensorboard import profiled, write_config
from tfamt.training.trainer import Trainer
from tfamt.utils.locks import exclusive_lock
from tfamt.utils.output_paths import make_folder


@dataclass(frozen=True)
class TrainingResult:
    """Where a run stands.

    Attributes:
      step: optimizer steps made.
      finished: False if the run was stopped (`Trainer.stop`) and can be resumed.
      weights: the weights so far (moving averages).
    """

    step: int
    finished: bool
    weights: Path


def train(
    config: Config,
    run_dir: str | os.PathLike[str],
    data: str | Sequence[str],
    settings: RunSettings = RunSettings(),  # noqa: B008
    *,
    on_start: Callable[[Trainer], None] = lambda _: None,
) -> TrainingResult:
    """Train a model, or resume a run, as bin/train does.

    Args:
      config: of the model and its training.
      run_dir: folder of the run: checkpoints, logs, config and weights.
      data: folders of prepared data sets; one that is named twice is trained on twice as often.
      settings: how to train.
      on_start: called with the trainer before the first step; `Trainer.stop` ends the run after the present step.

    Raises:
      InputError: data or settings cannot be used, another process trains in the folder, the run was begun with another
        network, or the loss is no longer a number.
    """
    folder = Path(run_dir)
    make_folder(folder)
    strategy = choose_strategy(settings.strategy, settings.logical_cpus)
    use_precision(settings.precision, config)
    folders = [data] if isinstance(data, str) else [*data]
    share = share_of(strategy)
    with _run_lock(folder, share):
        return _train(config, folder, folders, settings, strategy, share, on_start)


def _run_lock(folder: Path, share: Share) -> contextlib.AbstractContextManager[None]:
    """Lock the run folder; of several workers only the chief does."""
    if not share.is_chief:
        return contextlib.nullcontext()
    return exclusive_lock(run_lock(folder), "another process trains in this run folder")


def run_lock(run_dir: Path) -> Path:
    """Return the lock file of a run folder."""
    return run_dir / ".lock"


def _train(
    config: Config,
    folder: Path,
    data: list[str],
    settings: RunSettings,
    strategy: tf.distribute.Strategy,
    share: Share,
    on_start: Callable[[Trainer], None],
) -> TrainingResult:
    _report_changes(config, folder, data, settings, write=share.is_chief)
    to_train_on, held_out = load_splits(data)
    stored = leave_out_damaged(to_train_on, settings.max_bad_records, report=_warn)
    validator = _validator(config, held_out, settings)
    augmentation = settings.augmentation
    augment = _augment(config, augmentation)
    trainer = Trainer(config, folder, strategy)
    _begin(trainer, settings, len(stored), len(held_out))
    batches = training_input(
        config,
        stored,
        first_step=trainer.step,
        augment=augment,
        shift=_pitch_shift(augmentation),
        share=share,
    )
    write_config(trainer.writer, config, folder.name)
    progress = Progress(config.training.steps, trainer.step)
    if settings.profile_steps:
        batches = profiled(batches, trainer.step + 1, settings.profile_steps, folder / "logs")
    counted = progress.count(readable(batches))
    on_start(trainer)
    finished = True
    try:
        trainer.train(
            counted,
            report=progress,
            validate=validator.validate if validator else None,
            is_over=lambda: bool(validator and share.is_chief and validator.is_over(trainer)),
            report_steps=settings.report_steps,
            validate_steps=settings.validate_steps,
            checkpoint_seconds=settings.checkpoint_seconds,
        )
    except StoppedError as stopped:
        print(stopped, flush=True)
        finished = False
    except NonFiniteLossError as error:
        names = sorted({stored[number].entry.recording for number in error.recordings})
        raise InputError(
            f"{error}; its windows are of: {', '.join(names)}",
            fix="The last checkpoint is as it was. Look at these recordings, or lower --training_learning_rate.",
        ) from error
    finally:
        counted.close()
    if finished and share.count > 1:
        print(f"worker {share.index} of {share.count}: weights {trainer.checksum()}", flush=True)
    return TrainingResult(trainer.step, finished, folder / "weights.npz")


def _begin(trainer: Trainer, settings: RunSettings, recordings: int, held_out: int) -> None:
    """Resume the run, or load its initial weights, and print what it begins with."""
    resumed = trainer.restore(_warn)
    if settings.initial_weights and not resumed:
        new = trainer.begin_with(settings.initial_weights)
        if new:
            print(
                f"{len(new)} weights that {settings.initial_weights} lacks are initialised as in a new model, "
                f"such as {new[0]}"
            )
    print(
        f"{trainer.config.name}: {recordings} recordings to train on, {held_out} to validate on"
        + (f"; going on from step {trainer.step}" if resumed else ""),
        flush=True,
    )


def load_splits(folders: Sequence[str]) -> tuple[list[StoredRecording], list[StoredRecording]]:
    """Return the recordings to train on and to validate on, of all data sets; each must hold some of either.

    A data set that is named several times is trained on as often, but validated on once.

    Raises:
      InputError: there is nothing to train on, or a folder is no prepared data set.
    """
    to_train_on: list[StoredRecording] = []
    held_out = {folder: load_index(folder, "validation", required=False) for folder in folders}
    for folder in folders:
        to_train_on += load_index(folder, "train", required=not held_out[folder])
    if not to_train_on:
        raise InputError(
            f"there is no recording of the split 'train' in {', '.join(folders)}",
            fix="Prepare a data set that has some (bin/prepare --describe shows what one holds).",
        )
    return to_train_on, [item for items in held_out.values() for item in items]


def _report_changes(
    config: Config, folder: Path, data: Sequence[str], settings: RunSettings, *, write: bool
) -> None:
    """Compare config and settings with an earlier start of the run, and warn of changes."""
    stored = {
        "data": {str(name): manifest_checksum(Path(name)) for name in data},
        **settings.augmentation.to_dict(),
    }
    changes = check_or_write_config(folder, config, write=write)
    changes += check_or_write_settings(folder, stored, write=write)
    for change in changes:
        _warn(f"changed since the run was begun: {change}")


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)


def _augment(config: Config, settings: AugmentationSettings) -> Augment | None:
    if not settings.changes_waveform:
        return None
    responses = read_responses(*settings.room_responses)
    return build_augment(settings, config.spectrogram.sample_rate, responses)


def _pitch_shift(settings: AugmentationSettings) -> PitchShift | None:
    shift = PitchShift(settings.transpose_semitones, settings.tuning_cents)
    return None if shift == PitchShift() else shift


def _validator(
    config: Config, held_out: Sequence[StoredRecording], settings: RunSettings
) -> Validator | None:
    if held_out:
        return Validator(config, held_out, settings)
    if settings.stop_patience:
        raise InputError("--stop_patience needs recordings to validate on, and the data has none")
    return None
