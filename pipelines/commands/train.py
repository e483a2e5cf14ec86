"""Trains a model on prepared data sets.

Usage: bin/train --flagfile=configs/NAME.flags [flags]

The config starts from --preset; every field of it is a flag of its own (--model_channels, --training_steps, ...).
The run folder takes checkpoints, TensorBoard logs, the config as it came out (config.json) and the weights so far
(weights.npz). Started again with the same run folder, the run goes on from its last checkpoint.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from tfamt.commands.app import run
from tfamt.config_flags import config_from_flags, define_config_flags
from tfamt.errors import InputError

if TYPE_CHECKING:
    from pipelines.pitch_shift import PitchShift
    from pipelines.windows import Augment, Stored
    from tfamt.config import Config
    from tfamt.training import Scalars, Trainer

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
_REPORT_STEPS = flags.DEFINE_integer("report_steps", 20, "Steps between reports.", 1)
_VALIDATE_STEPS = flags.DEFINE_integer("validate_steps", 1000, "Steps between validations.", 1)
_VALIDATION_MINUTES = flags.DEFINE_float("validation_minutes", 15.0, "Audio to validate on.", 0.0)
_CHECKPOINT_SECONDS = flags.DEFINE_float(
    "checkpoint_seconds", 300.0, "Longest time between checkpoints.", 0.0
)
_MAX_BAD_RECORDS = flags.DEFINE_integer(
    "max_bad_records", 0, "Damaged records to put up with; their recordings are left out.", 0
)
_ROOMS = flags.DEFINE_string(
    "room_responses", None, "Folder of room responses, for --augment_reverb."
)
_GAIN = flags.DEFINE_float("augment_gain_db", 0.0, "Random level, within +- this.")
_EQUALIZER = flags.DEFINE_float(
    "augment_equalizer_db", 0.0, "Random gain of frequency bands, within +- this."
)
_NOISE = flags.DEFINE_float(
    "augment_noise_db", 0.0, "Loudest added noise, relative to the window; 0 for none."
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
    if argv[1:]:
        raise InputError(f"there are no arguments but flags. Received: {' '.join(argv[1:])}")
    if not _RUN_DIR.value:
        raise InputError("--run_dir is missing", fix="Name the folder that the run shall live in.")
    if bool(_DATA.value) == bool(_DEMO_MIDI.value):
        raise InputError("give either --data or --demo_midi")
    from tfamt.targets import make_folder

    config = config_from_flags()
    run_dir = Path(_RUN_DIR.value)
    make_folder(run_dir)
    folders = _DATA.value or [_demo_data(_DEMO_MIDI.value, run_dir)]
    train(config, run_dir, folders)
    return 0


def train(config: Config, run_dir: Path, folders: list[str]) -> None:
    """Runs the config's training to its end."""
    import tensorflow as tf

    from pipelines.integrity import leave_out_damaged
    from pipelines.training_input import training_input
    from pipelines.windows import load_index
    from tfamt.training import Trainer

    stored = leave_out_damaged(
        [item for folder in folders for item in load_index(folder, "train")],
        _MAX_BAD_RECORDS.value,
        report=lambda text: print(f"warning: {text}", file=sys.stderr),
    )
    validation = [
        item for folder in folders for item in load_index(folder, "validation", required=False)
    ]
    augment = _augment(config)
    trainer = Trainer(config, run_dir, tf.distribute.get_strategy())
    resumed = trainer.restore()
    if _INITIAL_WEIGHTS.value and not resumed:
        trainer.begin_with(_INITIAL_WEIGHTS.value)
    print(
        f"{config.name}: {len(stored)} recordings to train on, {len(validation)} to validate on"
        + (f"; going on from step {trainer.step}" if resumed else ""),
        flush=True,
    )
    trainer.train(
        iter(
            training_input(config, stored, first_step=trainer.step, augment=augment, shift=_shift())
        ),
        report=_Reporter(config.training.steps, trainer.step),
        validate=_validation(config, validation),
        report_steps=_REPORT_STEPS.value,
        validate_steps=_VALIDATE_STEPS.value,
        checkpoint_seconds=_CHECKPOINT_SECONDS.value,
    )


def _augment(config: Config) -> Augment | None:
    from pipelines.augment import AugmentConfig, build_augment, read_responses

    settings = AugmentConfig(_GAIN.value, _EQUALIZER.value, _NOISE.value, _REVERB.value)
    if settings == AugmentConfig():
        return None
    responses = read_responses(_ROOMS.value) if _ROOMS.value else None
    return build_augment(settings, config.spectrogram.sample_rate, responses)


def _shift() -> PitchShift | None:
    from pipelines.pitch_shift import PitchShift

    shift = PitchShift(_TRANSPOSE.value, _TUNING.value)
    return None if shift == PitchShift() else shift


def _validation(config: Config, stored: list[Stored]) -> Any:
    """A function that scores the weights so far on recordings that training does not see; None without any."""
    if not stored:
        return None
    from pipelines.validation import first_minutes, mean_scores
    from tfamt.model import build_model
    from tfamt.transcription import Transcriber
    from tfamt.weights import assign_weights

    chosen = first_minutes(stored, _VALIDATION_MINUTES.value)
    # A model of its own: the one in training keeps its weights while their averages are tried.
    model = build_model(config)
    transcriber = Transcriber(config, model.get_layer("transcriber"))

    def validate(trainer: Trainer) -> Scalars:
        assign_weights(model, trainer.averaged_weights(), trainer.run_dir)
        return {
            f"validation_{name}": value for name, value in mean_scores(transcriber, chosen).items()
        }

    return validate


class _Reporter:
    """Prints a line for each report: the figures, the speed and the time left."""

    def __init__(self, steps: int, first: int):
        self.steps = steps
        self.first = first
        self.started = time.monotonic()

    def __call__(self, step: int, scalars: Scalars) -> None:
        rate = (step - self.first) / max(time.monotonic() - self.started, 1e-9)
        left = (self.steps - step) / rate
        shown = {
            name: value
            for name, value in scalars.items()
            if not name.endswith(("precision", "recall"))
        }
        figures = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
        print(
            f"step {step}/{self.steps}  {figures}  {rate:.2f} steps/s, {_clock(left)} left",
            flush=True,
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


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
