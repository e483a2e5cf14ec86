"""Carry out the runs of an ablation study: training, evaluation, tuning."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from pipelines.preparation.index import load_index
from pipelines.scoring.model_scores import PredictedRecording, evaluate_predictions, predict
from pipelines.scoring.threshold_search import best_of, trials_as_json, tune
from pipelines.scoring.validation import first_minutes
from pipelines.studies.ablation_study import AblationSettings, Run, Study, open_study
from pipelines.training.run import run_lock, train
from tfamt.config import Config
from tfamt.errors import InputError
from tfamt.network.trained_models import load_model
from tfamt.plots.learning_curves import read_curves, write_curves
from tfamt.transcription.backends import keras_backend
from tfamt.transcription.transcriber import Transcriber
from tfamt.utils.atomic_files import atomic_write
from tfamt.utils.locks import LockedError, exclusive_lock
from tfamt.utils.output_paths import make_folder

_TUNED_FOR = "note_f1"


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
    study = open_study(settings, work, results, customize)
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
