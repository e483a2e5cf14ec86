"""Run the paper's experiment: the same system with and without reconstruction, several times, on the same data.

A study is a list of runs, each an arm with a seed. Runs of one seed train on the same windows in the same order, whatever
the arm (`pipelines.input.window_plan.training_plan`), and are paired in comparison. Every run is trained, evaluated on
the validation and the test split with the paper's thresholds, tuned on the validation split, and evaluated on the test
split with the tuned decoding. Existing results are not made again, so a study goes on where it was stopped, and several
processes can work on one study, each on another run.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.preparation.index import load_index, read_manifest
from pipelines.scoring.model_scores import PredictedRecording, evaluate_predictions, predict
from pipelines.scoring.threshold_search import best_of, trials_as_json, tune
from pipelines.scoring.validation import first_minutes
from pipelines.training.run import run_lock, train
from pipelines.training.settings import RunSettings
from tfamt.config import Config, replace
from tfamt.errors import InputError
from tfamt.network.trained_models import load_model
from tfamt.plots.learning_curves import read_curves, write_curves
from tfamt.presets import preset
from tfamt.training.run_folder import changes_since
from tfamt.transcription.backends import keras_backend
from tfamt.transcription.transcriber import Transcriber
from tfamt.utils.atomic_files import atomic_write
from tfamt.utils.locks import LockedError, exclusive_lock
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
      train_flags: names and values of what `run_ablation(customize=...)` changes, to tell studies apart.
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
        so that a study goes on, run by run, on another machine.
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


_TUNED_FOR = "note_f1"
EVALUATIONS = {
    "validation": "validation split, thresholds 0.5",
    "test": "test split, thresholds 0.5",
    "test_tuned": "test split, thresholds tuned on the validation split",
}


def open_study(
    settings: AblationSettings,
    work: Path,
    results: Path,
    customize: Callable[[Config], Config] = lambda config: config,
) -> Study:
    """Make the folders of a study, or check that they are of the same settings and data.

    Raises:
      InputError: there is a study with other settings or data, or the data set is not prepared.
    """
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


def run_ablation(
    settings: AblationSettings,
    work: str | os.PathLike[str],
    results: str | os.PathLike[str] | None = None,
    *,
    customize: Callable[[Config], Config] = lambda config: config,
    progress: Callable[[str], None] = print,
    after_run: Callable[[Study], None] = lambda _: None,
) -> Study:
    """Carry out what is left of a study, as bin/ablation does.

    Args:
      settings: what defines the study.
      work: folder of the trainings and their logs.
      results: folder of the results; default: `results` in `work`.
      customize: changes the config of every run alike, such as to a smaller network.
      progress: called with a line at every stage.
      after_run: called when a run is done, such as to write a report.

    Raises:
      InputError: there is a study with other settings or data, or a training failed.
    """
    study = open_study(settings, Path(work), Path(results or Path(work) / "results"), customize)
    for item in study.runs:
        if item.done:
            continue
        if carry_out(item, progress):
            after_run(study)
        else:
            progress(f"{item.name}: another process is at work on it")
    return study


def carry_out(run: Run, progress: Callable[[str], None]) -> bool:
    """Do what is left to do for a run.

    Args:
      run: what to do.
      progress: called with a line at every stage.

    Returns:
      Whether it is done; otherwise another process is at work on it, or a training that outlived its study.

    Raises:
      InputError: training failed; the message names its log.
    """
    try:
        with exclusive_lock(run.study.work / "runs" / f"{run.name}.lock", "is in use"):
            if not run.curves.is_file():
                progress(f"{run.name}: training")
                _train(run)
            if not run.done:
                progress(f"{run.name}: evaluation")
                _evaluate(run)
    except LockedError:
        return False
    return True


def _train(run: Run) -> None:
    """Train in a process of its own, whose memory is free afterwards."""
    make_folder(run.run_dir)
    # A training that outlived its study still holds its run folder.
    with exclusive_lock(run_lock(run.run_dir), "is in use"):
        pass
    arguments = (run.config, str(run.run_dir), run.study.settings, str(run.log))
    process = multiprocessing.get_context("spawn").Process(target=_train_and_log, args=arguments)
    process.start()
    try:
        process.join()
    finally:
        process.kill()
        process.join()
    if process.exitcode:
        last = "".join(run.log.read_text("utf-8", "replace").strip().splitlines()[-1:])
        raise InputError(f"the training of {run.name} failed: {last.rstrip('.')}", path=run.log)
    write_curves(read_curves(run.run_dir), run.curves)


def _train_and_log(config: Config, run_dir: str, settings: AblationSettings, log: str) -> None:
    """Train in this process, with all output appended to a log."""
    with open(log, "a", encoding="utf-8", buffering=1) as output:
        for number in (1, 2):
            os.dup2(output.fileno(), number)
    try:
        train(config, run_dir, settings.data, settings.run_settings)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def _evaluate(run: Run) -> None:
    settings = run.study.settings
    config, model = load_model(run.weights)
    transcriber = Transcriber(config, keras_backend(config, model))
    for split in ("validation", "test"):
        stored = load_index(settings.data, split)
        predicted = {item.entry.recording: predict(transcriber, item) for item in stored}
        source = {"weights": str(run.weights), "data": [settings.data], "split": split}
        _write_evaluation(run, split, predicted, config, source)
        if split == "validation":
            chosen = first_minutes(stored, settings.tuning_minutes)
            tuned_on = [predicted[item.entry.recording] for item in chosen]
            trials = tune(config, tuned_on, [_TUNED_FOR])
            atomic_write(run.tuning, trials_as_json(trials, [_TUNED_FOR], tuned_on))
            tuned = dataclasses.replace(config, decoding=best_of(trials).decoding)
    _write_evaluation(run, "test_tuned", predicted, tuned, source)


def _write_evaluation(
    run: Run,
    what: str,
    predicted: Mapping[str, PredictedRecording],
    config: Config,
    source: dict[str, Any],
) -> None:
    scored = evaluate_predictions(predicted.values(), config, source)
    atomic_write(run.evaluation(what), scored.evaluation.to_json())
