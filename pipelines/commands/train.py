"""Train a model on prepared data sets.

Usage: bin/train --flagfile=configs/NAME.flags [flags]

The config starts from --preset, or without it from the config in --initial_weights, or from that of the run so far;
each of its fields is a flag (--model_channels, --training_steps, ...). --print_config shows it. The run folder holds
checkpoints, TensorBoard logs, the config (config.json) and the weights so far (weights.npz). Started again with the
same run folder, the run resumes from its last checkpoint; another network is refused, other changes are reported.

Exit codes: 0 the run has reached its end, 75 Ctrl-C, SIGTERM or SIGHUP stopped it, with a checkpoint, and the same
command resumes it. A second Ctrl-C stops at once, with exit code 130; the run resumes from the checkpoint before.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from pipelines import preparation
from pipelines import training as training_runs
from pipelines.input.augmentation_settings import AugmentationSettings
from pipelines.training.settings import RunSettings
from tfamt.commands.app import refuse_arguments, required, run
from tfamt.commands.config_flags import (
    config_from_flags,
    define_config_flags,
    describe_presets,
)
from tfamt.errors import InputError, printable
from tfamt.training.checkpoint_files import newest_whole_step
from tfamt.utils.output_paths import make_folder

if TYPE_CHECKING:
    from tfamt.training.trainer import Trainer

STOPPED = 75
"""Exit code of a run that a signal has stopped: EX_TEMPFAIL, try again."""

define_config_flags()
_RUN_DIR = flags.DEFINE_string("run_dir", None, "Folder of the run, made if missing.")
_DATA = flags.DEFINE_list(
    "data", None, "Folders of prepared data sets (bin/prepare), separated by commas."
)
_DEMO_MIDI = flags.DEFINE_string(
    "demo_midi", None, "MIDI file to make a small data set of in the run folder, instead of --data."
)
_INITIAL_WEIGHTS = flags.DEFINE_string(
    "initial_weights",
    None,
    "Weights file to begin with, or tfamt:piano for the model in the package. Default: random weights.",
)
_PRINT_CONFIG = flags.DEFINE_bool(
    "print_config", False, "Whether to print the config of the run as JSON, instead of training."
)
_LIST_PRESETS = flags.DEFINE_bool(
    "list_presets", False, "Whether to list the presets, instead of training."
)
_STRATEGY = flags.DEFINE_enum(
    "strategy",
    "auto",
    ["auto", "single", "mirrored", "multiworker"],
    "Devices to train on: one, all of this machine, all machines of TF_CONFIG, or auto for all there are.",
)
_LOGICAL_CPUS = flags.DEFINE_integer(
    "logical_cpus", 1, "Devices to split the CPU into, to try --strategy without GPUs.", 1
)
_PRECISION = flags.DEFINE_enum(
    "precision", "float32", ["float32", "mixed_bfloat16"], "Number format of the layers."
)
_STOP_METRIC = flags.DEFINE_string(
    "stop_metric", "validation_note_f1", "Figure that --stop_patience and best.npz go by."
)
_STOP_PATIENCE = flags.DEFINE_integer(
    "stop_patience", 0, "Validations without a better figure until the run ends; 0: never.", 0
)
_REPORT_STEPS = flags.DEFINE_integer("report_steps", 20, "Steps between reports.", 1)
_VALIDATE_STEPS = flags.DEFINE_integer("validate_steps", 1000, "Steps between validations.", 1)
_VALIDATION_MINUTES = flags.DEFINE_float(
    "validation_minutes", 15.0, "Audio to validate on, in minutes.", 0.0
)
_CHECKPOINT_SECONDS = flags.DEFINE_float(
    "checkpoint_seconds", 300.0, "Longest time between checkpoints, in seconds.", 0.0
)
_PROFILE_STEPS = flags.DEFINE_list(
    "profile_steps", None, "First and last step to profile for TensorBoard, such as 10,15."
)
_MAX_BAD_RECORDS = flags.DEFINE_integer(
    "max_bad_records", 0, "Damaged records to tolerate; their recordings are left out.", 0
)
_ROOMS = flags.DEFINE_list(
    "room_responses",
    None,
    "Folders of room responses for --augment_reverb; a folder that is named twice counts twice.",
)
_GAIN = flags.DEFINE_float("augment_gain_db", 0.0, "Random gain within +- this, in dB; 0: none.")
_EQUALIZER = flags.DEFINE_float(
    "augment_equalizer_db", 0.0, "Random gain of frequency bands within +- this, in dB; 0: none."
)
_NOISE = flags.DEFINE_float(
    "augment_noise_db",
    0.0,
    "Loudest added noise relative to the window, in dB, of a colour from white to brown; 0: none.",
)
_REVERB = flags.DEFINE_float(
    "augment_reverb", 0.0, "Share of windows that are convolved with a room response, 0..1."
)
_TUNING = flags.DEFINE_float(
    "augment_tuning_cents",
    0.0,
    "Random tuning within +- this, in cents; time is scaled with it; 0: none.",
)
_TRANSPOSE = flags.DEFINE_integer(
    "augment_transpose_semitones",
    0,
    "Random transposition within +- this, in semitones; labels follow; 0: none.",
)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    refuse_arguments(argv)
    if _LIST_PRESETS.value:
        print(describe_presets())
        return 0
    config, changes = config_from_flags(_INITIAL_WEIGHTS.value, _RUN_DIR.value)
    if _PRINT_CONFIG.value:
        print(config.to_json(), end="")
        return 0
    run_dir = Path(required(_RUN_DIR, fix="Name the folder of the run."))
    if bool(_DATA.value) == bool(_DEMO_MIDI.value):
        raise InputError("give either --data or --demo_midi")
    settings = _settings()
    if newest_whole_step(run_dir / "checkpoints") >= config.training.steps:
        print(
            f"the run has made its {config.training.steps} steps; --training_steps takes it further"
        )
        print(_next_commands(run_dir))
        return 0
    for change in changes:
        print(f"note: {change}")
    make_folder(run_dir)
    with training_runs.restart_if_worker_is_lost():
        data = list(_DATA.value or ())
        if _DEMO_MIDI.value:
            preparation.prepare_demo(_DEMO_MIDI.value, run_dir / "data")
            data = [str(run_dir / "data")]
        with _stopping_on_signals() as begin:
            result = training_runs.train(config, run_dir, data, settings, on_start=begin)
    if not result.finished:
        return STOPPED
    print(_next_commands(run_dir))
    return 0


def _next_commands(run_dir: Path) -> str:
    """Return a line with what a trained model is used by."""
    name = shlex.quote(printable(run_dir))
    data = f" --data={','.join(_DATA.value)}" if _DATA.value else f" --data={name}/data"
    return (
        f"next: bin/evaluate --run={name}{data} --split=validation; bin/tune --run={name}{data} --help; "
        f"bin/transcribe --weights={name}/weights.npz RECORDING"
    )


def _settings() -> RunSettings:
    """Return the flags as settings of the run."""
    return RunSettings(
        initial_weights=_INITIAL_WEIGHTS.value,
        augmentation=AugmentationSettings(
            gain_db=_GAIN.value,
            equalizer_db=_EQUALIZER.value,
            noise_db=_NOISE.value,
            reverb=_REVERB.value,
            tuning_cents=_TUNING.value,
            transpose_semitones=_TRANSPOSE.value,
            room_responses=tuple(_ROOMS.value or ()),
        ),
        strategy=_STRATEGY.value,
        logical_cpus=_LOGICAL_CPUS.value,
        precision=_PRECISION.value,
        stop_metric=_STOP_METRIC.value,
        stop_patience=_STOP_PATIENCE.value,
        report_steps=_REPORT_STEPS.value,
        validate_steps=_VALIDATE_STEPS.value,
        validation_minutes=_VALIDATION_MINUTES.value,
        checkpoint_seconds=_CHECKPOINT_SECONDS.value,
        profile_steps=_steps_to_profile(),
        max_bad_records=_MAX_BAD_RECORDS.value,
    )


def _steps_to_profile() -> tuple[int, int] | None:
    given = _PROFILE_STEPS.value
    if given is None:
        return None
    if len(given) != 2 or not all(number.strip().isdigit() for number in given):
        raise InputError(
            f"--profile_steps takes a first and a last step. Received: {','.join(given)}"
        )
    return int(given[0]), int(given[1])


@contextlib.contextmanager
def _stopping_on_signals() -> Iterator[Callable[[Trainer], None]]:
    """Let SIGTERM, SIGHUP and the first Ctrl-C end a run after the present step, and a second Ctrl-C at once.

    A thread reads the signals: the main thread handles them between calls of TensorFlow only, seconds later.

    Yields:
      A function that begins with it, for a trainer.
    """
    received, sender = socket.socketpair()
    sender.setblocking(False)
    before = {}

    def begin(trainer: Trainer) -> None:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            # One that is ignored, as SIGHUP is by nohup, stays ignored.
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(sender.fileno())
        threading.Thread(target=_watch_signals, args=(received, trainer), daemon=True).start()

    with received, sender:
        try:
            yield begin
        finally:
            if before:
                signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            # Wakes the thread.
            sender.shutdown(socket.SHUT_RDWR)


def _watch_signals(received: socket.socket, trainer: Trainer) -> None:
    interrupted = False
    while content := received.recv(1):
        trainer.stop()
        if content[0] != signal.SIGINT:
            continue
        last = (
            b"interrupted"
            if interrupted
            else b"stopping after this step; Ctrl-C again stops at once"
        )
        with contextlib.suppress(OSError):
            os.write(2, b"\n" + last + b"\n")
        if interrupted:
            # Files are written whole or not at all, so nothing is left to do.
            os._exit(128 + signal.SIGINT)
        interrupted = True


def cli() -> None:
    """Run the console script."""
    run(main)


if __name__ == "__main__":
    cli()
