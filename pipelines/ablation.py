"""The paper's experiment: the same system with and without reconstruction, several times, on the same data.

A study is a list of runs, each an arm with a seed. Runs of one seed see the same windows in the same order, whatever
the arm (`pipelines.windows.training_plan`), and are paired in comparison. Every run is trained, evaluated on the
validation and the test split with the paper's thresholds, tuned on the validation split, and evaluated on the test
split with the tuned decoding: what bin/train, bin/evaluate and bin/tune do. A result that is there is not made again,
so a study goes on where it was stopped.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.scoring import Heard, evaluate, hear
from pipelines.tuning import best_of, trials_as_json, tune
from pipelines.validation import first_minutes
from pipelines.windows import load_index, read_manifest
from tfamt.config import Config
from tfamt.errors import InputError
from tfamt.files import atomic_write
from tfamt.targets import make_folder

WITH, WITHOUT, CQT = "icpr2020_mel", "icpr2020_mel_baseline", "icpr2020_cqt"
ARMS = {WITH: "with reconstruction", WITHOUT: "without", CQT: "CQT, with reconstruction"}
"""Presets, and what they are called in reports."""


@dataclass(frozen=True)
class Settings:
    """What defines a study; the same for all of its runs.

    Attributes:
      data: prepared data set.
      seeds: runs of each of the two arms.
      steps: of every run.
      batch_size: windows per step.
      window_frames: frames per window.
      learning_rate: of Adam, falling to 0 by a cosine after `warmup_steps`.
      warmup_steps: linear rise.
      validate_steps: steps between validations in training.
      validation_minutes: audio of these.
      tuning_minutes: audio to tune thresholds on.
      train_flags: further flags of bin/train.
    """

    data: str
    seeds: int
    steps: int
    batch_size: int
    window_frames: int
    learning_rate: float
    warmup_steps: int
    validate_steps: int
    validation_minutes: float
    tuning_minutes: float
    train_flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One training with what follows from it."""

    folder: Path
    preset: str
    seed: int

    @property
    def name(self) -> str:
        """Such as icpr2020_mel_seed0."""
        return f"{self.preset}_seed{self.seed}"

    @property
    def run_dir(self) -> Path:
        """Folder of bin/train."""
        return self.folder / "runs" / self.name

    @property
    def weights(self) -> Path:
        """Its weights so far."""
        return self.run_dir / "weights.npz"

    @property
    def trained(self) -> Path:
        """Present when training has come to its end."""
        return self.folder / "results" / f"{self.name}_trained.json"

    @property
    def tuning(self) -> Path:
        """What bin/tune writes."""
        return self.folder / "results" / f"{self.name}_decoding.json"

    def evaluation(self, what: str) -> Path:
        """JSON of bin/evaluate; `what` is one of `EVALUATIONS`."""
        return self.folder / "results" / f"{self.name}_{what}.json"

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return all(self.evaluation(what).is_file() for what in EVALUATIONS)


_TUNED_FOR = "note_f1"
EVALUATIONS = {
    "validation": "validation split, thresholds 0.5",
    "test": "test split, thresholds 0.5",
    "test_tuned": "test split, thresholds tuned on the validation split",
}


def runs_of(folder: Path, settings: Settings) -> list[Run]:
    """All runs, in an order that gives complete pairs early; CQT against Mel comes last."""
    pairs = [Run(folder, preset, n) for n in range(settings.seeds) for preset in (WITH, WITHOUT)]
    return [*pairs, Run(folder, CQT, 0)]


def open_study(folder: Path, settings: Settings) -> int:
    """Makes the folder of a study, or checks that it is of the same settings.

    Returns:
      A file descriptor that locks the study for as long as it is open, here or in a training started with it.

    Raises:
      InputError: it holds a study with other settings or is at work, or the data set is not prepared.
    """
    manifest = read_manifest(Path(settings.data))
    for name in ("runs", "results", "logs"):
        make_folder(folder / name)
    lock = _lock(folder)
    content = json.dumps(dataclasses.asdict(settings), indent=1) + "\n"
    path = folder / "settings.json"
    if path.is_file() and _without_seeds(path.read_text("utf-8")) != _without_seeds(content):
        raise InputError(
            "holds a study with other settings",
            path=folder,
            fix="Take another --output, or the settings in its settings.json.",
        )
    atomic_write(path, content)
    atomic_write(folder / "data.json", json.dumps(manifest, indent=1) + "\n")
    return lock


def _lock(folder: Path) -> int:
    """Two trainings in one run folder would spoil each other's checkpoints."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise InputError(
            "another bin/ablation, or a training that it has left behind, is at work here",
            path=folder,
            fix="Wait for it or end it.",
        ) from error
    return descriptor


def carry_out(run: Run, settings: Settings, lock: int, progress: Callable[[str], None]) -> None:
    """Does what is left to do for a run.

    Args:
      run: what to do.
      settings: of the study.
      lock: what `open_study` gave.
      progress: is told of every stage, a line each.

    Raises:
      InputError: training failed; the message names its log.
    """
    if not run.trained.is_file():
        progress(f"{run.name}: training")
        _train(run, settings, lock)
    if not run.done:
        progress(f"{run.name}: evaluation")
        _evaluate(run, settings)


def _train(run: Run, settings: Settings, lock: int) -> None:
    """In a process of its own, whose memory is free afterwards."""
    log = run.folder / "logs" / f"{run.name}.log"
    with log.open("a", encoding="utf-8") as output:
        command = [sys.executable, "-m", "pipelines.commands.train", *train_flags(run, settings)]
        code = subprocess.run(
            command, stdout=output, stderr=output, check=False, pass_fds=(lock,)
        ).returncode
    if code:
        last = "".join(log.read_text("utf-8", "replace").strip().splitlines()[-1:])
        raise InputError(f"the training of {run.name} failed: {last.rstrip('.')}", path=log)
    atomic_write(run.trained, json.dumps({"steps": settings.steps}) + "\n")


def _evaluate(run: Run, settings: Settings) -> None:
    from tfamt.backends import keras_backend
    from tfamt.transcription import Transcriber
    from tfamt.weights import load_model

    config, model = load_model(run.weights)
    transcriber = Transcriber(config, keras_backend(config, model))
    for split in ("validation", "test"):
        stored = load_index(settings.data, split)
        heard = {item.entry.recording: hear(transcriber, item) for item in stored}
        source = {"weights": str(run.weights), "data": [settings.data], "split": split}
        _write_evaluation(run, split, heard, config, source)
        if split == "validation":
            chosen = first_minutes(stored, settings.tuning_minutes)
            tuned_on = [heard[item.entry.recording] for item in chosen]
            trials = tune(config, tuned_on, [_TUNED_FOR])
            atomic_write(run.tuning, trials_as_json(trials, [_TUNED_FOR], tuned_on))
            tuned = dataclasses.replace(config, decoding=best_of(trials).decoding)
    _write_evaluation(run, "test_tuned", heard, tuned, source)


def _write_evaluation(
    run: Run, what: str, heard: Mapping[str, Heard], config: Config, source: dict[str, Any]
) -> None:
    atomic_write(run.evaluation(what), evaluate(heard.values(), config, source)[0].to_json())


def train_flags(run: Run, settings: Settings) -> list[str]:
    """The flags of bin/train."""
    return [
        f"--preset={run.preset}",
        f"--run_dir={run.run_dir}",
        f"--data={settings.data}",
        f"--training_seed={run.seed}",
        f"--training_steps={settings.steps}",
        f"--training_batch_size={settings.batch_size}",
        f"--training_window_frames={settings.window_frames}",
        f"--training_learning_rate={settings.learning_rate}",
        "--training_schedule=cosine",
        f"--training_warmup_steps={settings.warmup_steps}",
        f"--inference_window_frames={settings.window_frames}",
        f"--validate_steps={settings.validate_steps}",
        f"--validation_minutes={settings.validation_minutes}",
        "--checkpoint_seconds=120",
        *settings.train_flags,
    ]


def _without_seeds(text: str) -> Sequence[object]:
    """More seeds may be added to a study."""
    return sorted((k, v) for k, v in json.loads(text).items() if k != "seeds")
