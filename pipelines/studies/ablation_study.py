"""The paper's experiment: the same system with and without reconstruction, several times, on the same data.

A study is a list of runs, each an arm with a seed. Runs of one seed see the same windows in the same order, whatever
the arm (`pipelines.windows.training_plan`), and are paired in comparison. Every run is trained, evaluated on the
validation and the test split with the paper's thresholds, tuned on the validation split, and evaluated on the test
split with the tuned decoding: what bin/train, bin/evaluate and bin/tune do. A result that is there is not made again,
so a study goes on where it was stopped, and several processes can work on one study, each on a run of its own.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.learning_curves import read_curves, write_curves
from pipelines.scoring import Heard, evaluate, hear
from pipelines.tuning import best_of, trials_as_json, tune
from pipelines.validation import first_minutes
from pipelines.windows import load_index, read_manifest
from tfamt.config import Config
from tfamt.errors import InputError
from tfamt.files import atomic_write
from tfamt.run_folder import changes_since
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
class Study:
    """A study on disk.

    Attributes:
      settings: what defines it.
      work: folder of the trainings and their logs.
      results: folder of all that the report is written from: some megabytes that can be kept under version control,
        so that a study goes on, run by run, on another machine.
    """

    settings: Settings
    work: Path
    results: Path

    @property
    def runs(self) -> list[Run]:
        """All runs, in an order that gives complete pairs early; CQT against Mel comes last."""
        pairs = [(preset, n) for n in range(self.settings.seeds) for preset in (WITH, WITHOUT)]
        return [Run(self, preset, seed) for preset, seed in [*pairs, (CQT, 0)]]


@dataclass(frozen=True)
class Run:
    """One training with what follows from it."""

    study: Study
    preset: str
    seed: int

    @property
    def name(self) -> str:
        """Such as icpr2020_mel_seed0."""
        return f"{self.preset}_seed{self.seed}"

    @property
    def run_dir(self) -> Path:
        """Folder of bin/train."""
        return self.study.work / "runs" / self.name

    @property
    def weights(self) -> Path:
        """Its weights so far."""
        return self.run_dir / "weights.npz"

    @property
    def log(self) -> Path:
        """What its training printed."""
        return self.study.work / "logs" / f"{self.name}.log"

    @property
    def curves(self) -> Path:
        """Its learning curves; present when training has come to its end."""
        return self.study.results / f"{self.name}_curves.json"

    @property
    def tuning(self) -> Path:
        """What bin/tune writes."""
        return self.study.results / f"{self.name}_decoding.json"

    def evaluation(self, what: str) -> Path:
        """JSON of bin/evaluate; `what` is one of `EVALUATIONS`."""
        return self.study.results / f"{self.name}_{what}.json"

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        evaluations = [self.evaluation(what) for what in EVALUATIONS]
        return all(path.is_file() for path in (self.curves, *evaluations))


_TUNED_FOR = "note_f1"
EVALUATIONS = {
    "validation": "validation split, thresholds 0.5",
    "test": "test split, thresholds 0.5",
    "test_tuned": "test split, thresholds tuned on the validation split",
}


def open_study(settings: Settings, work: Path, results: Path) -> Study:
    """Makes the folders of a study, or checks that they are of the same settings and data.

    Raises:
      InputError: there is a study with other settings or data, or the data set is not prepared.
    """
    manifest = read_manifest(Path(settings.data))
    for folder in (work / "runs", work / "logs", results):
        make_folder(folder)
    # More seeds may be added, and the same data set may lie elsewhere.
    free = ("data", "seeds")
    _settle(results / "settings.json", dataclasses.asdict(settings), "settings", free)
    _settle(results / "data.json", {"splits": manifest["splits"]}, "data")
    return Study(settings, work, results)


def _settle(path: Path, content: dict[str, Any], what: str, free: tuple[str, ...] = ()) -> None:
    """Writes `content`, or refuses to if there is some that differs in more than the fields in `free`."""
    changes = changes_since(path, content, complete="")
    wrong = [line for line in changes if not line.startswith(free)]
    if wrong:
        raise InputError(
            f"holds a study with other {what}: {'; '.join(wrong)}",
            path=path.parent,
            fix=f"Take other folders, or the {what} in its {path.name}.",
        )
    if changes or not path.is_file():
        atomic_write(path, json.dumps(content, indent=1) + "\n")


def carry_out(run: Run, progress: Callable[[str], None]) -> bool:
    """Does what is left to do for a run.

    Args:
      run: what to do.
      progress: is told of every stage, a line each.

    Returns:
      Whether it is done; otherwise another process is at work on it, here or a training that was left behind.

    Raises:
      InputError: training failed; the message names its log.
    """
    # A training inherits the lock: two in one run folder would spoil each other's checkpoints.
    with (run.study.work / "runs" / f"{run.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not run.curves.is_file():
            progress(f"{run.name}: training")
            _train(run, lock.fileno())
        if not run.done:
            progress(f"{run.name}: evaluation")
            _evaluate(run)
    return True


def _train(run: Run, lock: int) -> None:
    """In a process of its own, whose memory is free afterwards."""
    with run.log.open("a", encoding="utf-8") as output:
        command = [sys.executable, "-m", "pipelines.commands.train", *train_flags(run)]
        code = subprocess.run(
            command, stdout=output, stderr=output, check=False, pass_fds=(lock,)
        ).returncode
    if code:
        last = "".join(run.log.read_text("utf-8", "replace").strip().splitlines()[-1:])
        raise InputError(f"the training of {run.name} failed: {last.rstrip('.')}", path=run.log)
    write_curves(read_curves(run.run_dir), run.curves)


def _evaluate(run: Run) -> None:
    from tfamt.backends import keras_backend
    from tfamt.transcription import Transcriber
    from tfamt.weights import load_model

    settings = run.study.settings
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


def train_flags(run: Run) -> list[str]:
    """The flags of bin/train."""
    settings = run.study.settings
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
