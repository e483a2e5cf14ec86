"""Trains a model on prepared data sets.

Usage: bin/train --flagfile=configs/NAME.flags [flags]

The config starts from --preset; every field of it is a flag of its own (--model_channels, --training_steps, ...).
The run folder takes checkpoints, TensorBoard logs, the config as it came out (config.json) and the weights so far
(weights.npz). Started again with the same run folder, the run goes on from its last checkpoint; with another network
it is refused, other changes are told.

Exit codes: 0 the run has reached its end, 75 it was stopped by SIGTERM, with a checkpoint, and can be gone on with.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from tfamt.commands.app import refuse_arguments, required, run
from tfamt.config_flags import config_from_flags, define_config_flags
from tfamt.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

    from pipelines.pitch_shift import PitchShift
    from pipelines.windows import Augment, Stored
    from tfamt.config import Config
    from tfamt.training import Scalars, Trainer

STOPPED = 75
"""Exit code of a run that SIGTERM has stopped: EX_TEMPFAIL, try again."""

define_config_flags()
_RUN_DIR = flags.DEFINE_string("run_dir", None, "Folder of the run.")
_DATA = flags.DEFINE_list(
    "data", None, "Folders of prepared data sets (bin/prepare), parted by commas."
)
_DEMO_MIDI = flags.DEFINE_string(
    "demo_midi",
    None,
    "Instead of --data: a MIDI file, played into a small data set in the run folder.",
)
_INITIAL_WEIGHTS = flags.DEFINE_string(
    "initial_weights", None, "Weights file to begin with, instead of random weights."
)
_STRATEGY = flags.DEFINE_enum(
    "strategy",
    "auto",
    ["auto", "single", "mirrored", "multiworker"],
    "Devices to train on: one, all of this machine, or all machines that TF_CONFIG names; auto: what there is.",
)
_LOGICAL_CPUS = flags.DEFINE_integer(
    "logical_cpus", 1, "Split the CPU into so many devices, to try --strategy without GPUs.", 1
)
_PRECISION = flags.DEFINE_enum(
    "precision", "float32", ["float32", "mixed_bfloat16"], "What layers compute in."
)
_STOP_METRIC = flags.DEFINE_string(
    "stop_metric", "validation_note_f1", "What --stop_patience and best.npz go by."
)
_STOP_PATIENCE = flags.DEFINE_integer(
    "stop_patience", 0, "End after so many validations without a better one; 0: never.", 0
)
_REPORT_STEPS = flags.DEFINE_integer("report_steps", 20, "Steps between reports.", 1)
_VALIDATE_STEPS = flags.DEFINE_integer("validate_steps", 1000, "Steps between validations.", 1)
_VALIDATION_MINUTES = flags.DEFINE_float("validation_minutes", 15.0, "Audio to validate on.", 0.0)
_CHECKPOINT_SECONDS = flags.DEFINE_float(
    "checkpoint_seconds", 300.0, "Longest time between checkpoints.", 0.0
)
_PROFILE_STEPS = flags.DEFINE_list(
    "profile_steps", None, "First and last step to profile for TensorBoard, such as 10,15."
)
_MAX_BAD_RECORDS = flags.DEFINE_integer(
    "max_bad_records", 0, "Damaged records to put up with; their recordings are left out.", 0
)
_ROOMS = flags.DEFINE_list(
    "room_responses",
    None,
    "Folders of room responses, for --augment_reverb; one that is named twice counts twice.",
)
_GAIN = flags.DEFINE_float("augment_gain_db", 0.0, "Random level, within +- this.")
_EQUALIZER = flags.DEFINE_float(
    "augment_equalizer_db", 0.0, "Random gain of frequency bands, within +- this."
)
_NOISE = flags.DEFINE_float(
    "augment_noise_db",
    0.0,
    "Loudest added noise, of a colour from white to brown, relative to the window; 0 for none.",
)
_REVERB = flags.DEFINE_float(
    "augment_reverb", 0.0, "Share of windows that a room response is put on."
)
_TUNING = flags.DEFINE_float(
    "augment_tuning_cents", 0.0, "Random tuning, within +- this; time is stretched with it."
)
_TRANSPOSE = flags.DEFINE_integer(
    "augment_transpose_semitones", 0, "Random transposition, labels and all, within +- this."
)


def main(argv: list[str]) -> int:
    """The command; returns its exit code."""
    refuse_arguments(argv)
    run_dir = Path(required(_RUN_DIR, fix="Name the folder that the run shall live in."))
    if bool(_DATA.value) == bool(_DEMO_MIDI.value):
        raise InputError("give either --data or --demo_midi")
    from pipelines.restart import starting_again
    from tfamt.distribution import choose_strategy
    from tfamt.precision import use_precision
    from tfamt.targets import make_folder

    config = config_from_flags()
    _steps_to_profile()
    make_folder(run_dir)
    with starting_again():
        strategy = choose_strategy(_STRATEGY.value, _LOGICAL_CPUS.value)
        use_precision(_PRECISION.value, config)
        folders = _DATA.value or [_demo_data(_DEMO_MIDI.value, run_dir)]
        return train(config, run_dir, folders, strategy)


def train(
    config: Config, run_dir: Path, folders: list[str], strategy: tf.distribute.Strategy
) -> int:
    """Runs the config's training to its end; returns the exit code."""
    from pipelines.integrity import leave_out_damaged, readable
    from pipelines.progress import Progress
    from pipelines.training_input import training_input
    from tfamt.distribution import share_of
    from tfamt.tensorboard import profiled, write_config
    from tfamt.training import NonFiniteLossError, StoppedError, Trainer

    share = share_of(strategy)
    _settle(config, run_dir, folders, keep=share.is_chief)
    to_train_on, validation = _recordings(folders)
    stored = leave_out_damaged(to_train_on, _MAX_BAD_RECORDS.value, report=_warn)
    validate = _validation(config, validation)
    augment = _augment(config)
    trainer = Trainer(config, run_dir, strategy)
    resumed = trainer.restore()
    if _INITIAL_WEIGHTS.value and not resumed:
        new = trainer.begin_with(_INITIAL_WEIGHTS.value)
        if new:
            print(
                f"{len(new)} weights that {_INITIAL_WEIGHTS.value} lacks begin as in a new model, such as {new[0]}"
            )
    print(
        f"{config.name}: {len(stored)} recordings to train on, {len(validation)} to validate on"
        + (f"; going on from step {trainer.step}" if resumed else ""),
        flush=True,
    )
    batches = training_input(
        config, stored, first_step=trainer.step, augment=augment, shift=_shift(), share=share
    )
    write_config(trainer.writer, config, run_dir.name)
    progress = Progress(config.training.steps, trainer.step)
    profile = _steps_to_profile()
    if profile:
        batches = profiled(batches, trainer.step + 1, profile, run_dir / "logs")
    counted = progress.count(readable(batches))
    signal.signal(signal.SIGTERM, lambda *_: trainer.stop())
    try:
        trainer.train(
            counted,
            report=progress,
            validate=validate,
            is_over=lambda: share.is_chief and _is_over(trainer),
            report_steps=_REPORT_STEPS.value,
            validate_steps=_VALIDATE_STEPS.value,
            checkpoint_seconds=_CHECKPOINT_SECONDS.value,
        )
    except StoppedError as stopped:
        print(stopped, flush=True)
        return STOPPED
    except NonFiniteLossError as error:
        names = sorted({stored[number].entry.recording for number in error.recordings})
        raise InputError(
            f"{error}; its windows are of: {', '.join(names)}",
            fix="The last checkpoint is as it was. Look at these recordings, or lower --training_learning_rate.",
        ) from error
    finally:
        counted.close()
    if share.count > 1:
        print(f"worker {share.index} of {share.count}: weights {trainer.checksum()}", flush=True)
    return 0


def _recordings(folders: list[str]) -> tuple[list[Stored], list[Stored]]:
    """What there is to train on, and to validate on, in all data sets; each must hold something for either.

    A data set that is named several times is trained on as often, but validated on once.
    """
    from pipelines.windows import load_index

    to_train_on: list[Stored] = []
    held_out = {folder: load_index(folder, "validation", required=False) for folder in folders}
    for folder in folders:
        to_train_on += load_index(folder, "train", required=not held_out[folder])
    if not to_train_on:
        raise InputError(
            f"there is no recording of the split 'train' in {', '.join(folders)}",
            fix="Prepare a data set that has some (bin/prepare --describe tells what one holds).",
        )
    return to_train_on, [item for items in held_out.values() for item in items]


def _steps_to_profile() -> tuple[int, int] | None:
    given = _PROFILE_STEPS.value
    if given is None:
        return None
    if len(given) != 2 or not all(number.strip().isdigit() for number in given):
        raise InputError(
            f"--profile_steps takes a first and a last step. Received: {','.join(given)}"
        )
    return int(given[0]), int(given[1])


def _settle(config: Config, run_dir: Path, folders: list[str], *, keep: bool) -> None:
    """Compares with an earlier start of the run, and tells what has changed."""
    from pipelines.windows import manifest_checksum
    from tfamt.run_folder import settle_config, settle_settings

    augmentation = (_GAIN, _EQUALIZER, _NOISE, _REVERB, _ROOMS, _TUNING, _TRANSPOSE)
    settings = {
        "data": {str(folder): manifest_checksum(Path(folder)) for folder in folders},
        **{flag.name: flag.value for flag in augmentation},
    }
    changes = settle_config(run_dir, config, keep=keep)
    changes += settle_settings(run_dir, settings, keep=keep)
    for change in changes:
        _warn(f"changed since the run was begun: {change}")


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)


def _is_over(trainer: Trainer) -> bool:
    """Keeps the best weights, and says whether the run has waited long enough for better ones."""
    from tfamt.weights import save_weights

    best, waited = trainer.metrics.since_best("validation", _STOP_METRIC.value)
    if waited == 0 and best is not None:
        save_weights(trainer.run_dir / "best.npz", trainer.config, trainer.averaged_weights())
    over = 0 < _STOP_PATIENCE.value <= waited
    if over:
        print(f"{_STOP_METRIC.value} has not passed {best:.4g} in {waited} validations", flush=True)
    return over


def _augment(config: Config) -> Augment | None:
    from pipelines.augment import AugmentConfig, build_augment, read_responses

    settings = AugmentConfig(_GAIN.value, _EQUALIZER.value, _NOISE.value, _REVERB.value)
    if settings == AugmentConfig():
        return None
    responses = read_responses(*_ROOMS.value or ())
    return build_augment(settings, config.spectrogram.sample_rate, responses)


def _shift() -> PitchShift | None:
    from pipelines.pitch_shift import PitchShift

    shift = PitchShift(_TRANSPOSE.value, _TUNING.value)
    return None if shift == PitchShift() else shift


def _validation(config: Config, stored: list[Stored]) -> Any:
    """A function that scores the weights so far on recordings that training does not see; None without any."""
    if not stored:
        if _STOP_PATIENCE.value:
            raise InputError(
                "--stop_patience needs recordings to validate on, and the data has none"
            )
        return None
    from pipelines.validation import first_minutes, first_window, mean_scores
    from tfamt.backends import keras_backend
    from tfamt.evaluation import score
    from tfamt.model import build_model
    from tfamt.notes import Notes
    from tfamt.tensorboard import write_excerpt
    from tfamt.transcription import Transcriber
    from tfamt.weights import assign_weights

    nothing = Notes.from_rows([])
    names = [f"validation_{name}" for name in score(nothing, nothing)]
    if _STOP_METRIC.value not in names:
        raise InputError(
            f"--stop_metric must be one of {', '.join(names)}. Received: {_STOP_METRIC.value}"
        )
    chosen = first_minutes(stored, _VALIDATION_MINUTES.value)
    # A model of its own: the one in training keeps its weights while their averages are tried.
    model = build_model(config)
    backend = keras_backend(config, model.get_layer("transcriber"), in_training=True)
    transcriber = Transcriber(config, backend)

    excerpt = first_window(config, chosen[0])

    def validate(trainer: Trainer) -> Scalars:
        assign_weights(model, trainer.averaged_weights(), trainer.run_dir)
        write_excerpt(trainer.writer, trainer.step, config, model, *excerpt)
        return {
            f"validation_{name}": value for name, value in mean_scores(transcriber, chosen).items()
        }

    return validate


def _demo_data(midi: str | None, run_dir: Path) -> str:
    from pipelines.demo import prepare_demo

    assert midi is not None, "checked by main"
    prepare_demo(midi, run_dir / "data")
    return str(run_dir / "data")


def cli() -> None:
    """Entry point of the console script."""
    run(main)


if __name__ == "__main__":
    cli()
