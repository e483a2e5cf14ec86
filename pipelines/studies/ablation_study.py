"""Run the paper's experiment: the same system with and without reconstruction, several times, on the same data.

A study is a list of runs, each an arm with a seed. Runs of one seed train on the same windows in the same order,
whatever the arm (`pipelines.input.window_plan.training_plan`), and are paired in comparison. Every run is trained,
evaluated on the validation and the test split with the paper's thresholds, tuned on the validation split, and evaluated
on the test split with the tuned decoding. Existing results are not made again, so a study resumes where it stopped, and
several processes can work on one study, each on another run.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.preparation.index import read_manifest
from pipelines.training.settings import RunSettings
from tfamt.config import Config, replace
from tfamt.errors import InputError
from tfamt.presets import preset
from tfamt.training.run_folder import changes_since
from tfamt.utils.atomic_files import atomic_write
from tfamt.utils.output_paths import make_folder

WITH, WITHOUT, CQT = "icpr2020_mel", "icpr2020_mel_baseline", "icpr2020_cqt"
ARMS = {WITH: "with reconstruction", WITHOUT: "without", CQT: "CQT, with reconstruction"}
"""Presets, and what they are called in reports."""


@dataclass(frozen=True)
class AblationSettings:
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
      train_flags: names and values of what `run_ablation(customize=...)` changes, to distinguish studies.
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

    @property
    def run_settings(self) -> RunSettings:
        """Return the settings of every run."""
        return RunSettings(
            validate_steps=self.validate_steps,
            validation_minutes=self.validation_minutes,
            checkpoint_seconds=120.0,
        )


@dataclass(frozen=True)
class Study:
    """A study on disk.

    Attributes:
      settings: what defines it.
      work: folder of the trainings and their logs.
      results: folder of all that the report is written from: some megabytes that can be kept under version control,
        so that a study resumes, run by run, on another machine.
    """

    settings: AblationSettings
    work: Path
    results: Path
    customize: Callable[[Config], Config] = lambda config: config

    @property
    def runs(self) -> list[Run]:
        """Return all runs, in an order that completes pairs early; CQT against Mel comes last."""
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
        """Return a name such as icpr2020_mel_seed0."""
        return f"{self.preset}_seed{self.seed}"

    @property
    def config(self) -> Config:
        """Return the config of its training."""
        settings = self.study.settings
        config = replace(
            preset(self.preset),
            "training",
            seed=self.seed,
            steps=settings.steps,
            batch_size=settings.batch_size,
            window_frames=settings.window_frames,
            learning_rate=settings.learning_rate,
            schedule="cosine",
            warmup_steps=settings.warmup_steps,
        )
        config = replace(config, "inference", window_frames=settings.window_frames)
        return self.study.customize(config)

    @property
    def run_dir(self) -> Path:
        """Return the folder of the training."""
        return self.study.work / "runs" / self.name

    @property
    def weights(self) -> Path:
        """Return its weights so far."""
        return self.run_dir / "weights.npz"

    @property
    def log(self) -> Path:
        """Return the log of its training."""
        return self.study.work / "logs" / f"{self.name}.log"

    @property
    def curves(self) -> Path:
        """Return its learning curves, which exist when training has ended."""
        return self.study.results / f"{self.name}_curves.json"

    @property
    def tuning(self) -> Path:
        """Return the thresholds that were tuned."""
        return self.study.results / f"{self.name}_decoding.json"

    def evaluation(self, what: str) -> Path:
        """Return the JSON of an evaluation; `what` is one of `EVALUATIONS`."""
        return self.study.results / f"{self.name}_{what}.json"

    @property
    def done(self) -> bool:
        """Return whether nothing is left to do."""
        evaluations = [self.evaluation(what) for what in EVALUATIONS]
        return all(path.is_file() for path in (self.curves, *evaluations))


EVALUATIONS = {
    "validation": "validation split, thresholds 0.5",
    "test": "test split, thresholds 0.5",
    "test_tuned": "test split, thresholds tuned on the validation split",
}


def open_study(
    settings: AblationSettings,
    work: str | os.PathLike[str],
    results: str | os.PathLike[str] | None = None,
    customize: Callable[[Config], Config] = lambda config: config,
) -> Study:
    """Make the folders of a study, or check that they are of the same settings and data.

    Args are those of `run_ablation`.

    Raises:
      InputError: there is a study with other settings or data, or the data set is not prepared.
    """
    work = Path(work)
    results = Path(results or work / "results")
    manifest = read_manifest(Path(settings.data))
    for folder in (work / "runs", work / "logs", results):
        make_folder(folder)
    # More seeds may be added, and the same data set may lie elsewhere.
    free = ("data", "seeds")
    _check_or_write(results / "settings.json", dataclasses.asdict(settings), "settings", free)
    _check_or_write(results / "data.json", {"splits": manifest["splits"]}, "data")
    return Study(settings, work, results, customize)


def _check_or_write(
    path: Path, content: dict[str, Any], what: str, free: tuple[str, ...] = ()
) -> None:
    """Write `content`, or refuse if the file differs in more than the fields in `free`."""
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
