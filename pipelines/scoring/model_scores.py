"""Transcribe and score recordings of a prepared data set."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipelines.preparation.index import StoredRecording, load_indexes
from pipelines.preparation.records import SAMPLE_RATE, read_segments
from pipelines.scoring.whole_recordings import WholeRecordings
from tfamt.config import Config, DecodingConfig, replace
from tfamt.evaluation.average_precision import PrecisionCounts
from tfamt.evaluation.error_analysis import Counts, count_errors
from tfamt.evaluation.label_shift import shifted_scores
from tfamt.evaluation.metrics import Scores, f1, score
from tfamt.evaluation.results import Evaluation, Piece, ScoredNotes, name_empty
from tfamt.frames import FrameGrid
from tfamt.network.trained_models import load_model
from tfamt.notes.piano_roll import notes_to_rolls
from tfamt.notes.table import DEFAULT_VELOCITY, Notes, Row
from tfamt.transcription.note_decoder import decode
from tfamt.transcription.resources import share_cores
from tfamt.transcription.transcriber import Transcriber

Rolls = dict[str, NDArray[np.float32]]
SECOND = "pianoroll_second_pass"


@dataclass(frozen=True)
class PredictedRecording:
    """The network's output for a recording, with its labels.

    Attributes:
      recording: its id.
      group: its group.
      seconds: its length.
      reference: the labels.
      rolls: probabilities float32 [frames, 88] by output, the heads and, where there is one, "pianoroll_second_pass".
    """

    recording: str
    group: str
    seconds: float
    reference: Notes
    rolls: Rolls


@dataclass(frozen=True)
class ScoredPiece:
    """A recording's figures, and the notes that they are of.

    Attributes:
      piece: figures and errors.
      reference: the labels.
      estimate: what was transcribed, in the first pass.
      precision: counts behind the average precisions, by prefix of the figure.
    """

    piece: Piece
    reference: Notes
    estimate: Notes
    precision: dict[str, PrecisionCounts]


def predict(transcriber: Transcriber, item: StoredRecording) -> PredictedRecording:
    """Run the network on one recording, in 11 kB of memory per second and roll."""
    rows: set[Row] = set()

    def blocks() -> Iterator[NDArray[np.float32]]:
        for segment in read_segments(item.shard, item.entry):
            # A note that sounds in two segments is stored in both.
            rows.update(segment.notes)
            yield segment.waveform

    parts: dict[str, list[NDArray[np.float32]]] = {}
    for output in transcriber.model_outputs(blocks(), item.entry.loudness):
        for name, roll in output.rolls.items():
            if name != "reconstruction":
                parts.setdefault(name, []).append(roll)
    return PredictedRecording(
        item.entry.recording,
        item.entry.group,
        item.entry.total / SAMPLE_RATE,
        Notes.from_rows(rows),
        {name: np.concatenate(pieces) for name, pieces in parts.items()},
    )


def score_prediction(
    predicted: PredictedRecording, config: Config, label_shift: float | str = 0.0
) -> ScoredPiece:
    """Decode and scores one recording.

    Args:
      predicted: the network's output and the labels.
      config: of the model.
      label_shift: seconds by which labels are moved for the figures with the prefix "shifted_", or "auto" to measure
        that (`tfamt.evaluation.label_shift`); with 0 these are left out.

    Returns:
      Figures of the first pass without prefix, of the second pass with "second_pass_". Velocity is scored where both
      the labels and the model have any.
    """
    grid = config.spectrogram.grid
    estimates = {"": decode(predicted.rolls, config.decoding, grid)}
    precision = {"": _precision(predicted, "pianoroll", grid)}
    if SECOND in predicted.rolls:
        # The second pass has no onset roll.
        by_edges = replace(config, "decoding", method="edges", offsets="threshold").decoding
        estimates["second_pass_"] = decode({"pianoroll": predicted.rolls[SECOND]}, by_edges, grid)
        precision["second_pass_"] = _precision(predicted, SECOND, grid)
    reference = predicted.reference
    with_velocity = bool((reference.velocity != DEFAULT_VELOCITY).any())
    scores: Scores = {}
    errors: Counts = {}
    for prefix, estimate in estimates.items():
        velocity = with_velocity and not prefix and "velocity" in predicted.rolls
        scores |= _prefixed(prefix, score(reference, estimate, velocity=velocity))
        scores[f"{prefix}average_precision"] = precision[prefix].average_precision
        errors |= {
            prefix + kind: count for kind, count in count_errors(reference, estimate).items()
        }
    details: dict[str, str | float | int] = {"seconds": round(predicted.seconds, 3)}
    details |= name_empty(reference, estimates[""])
    if label_shift:
        shifted, found = shifted_scores(reference, estimates[""], label_shift)
        scores |= shifted
        details |= found
    piece = Piece(scores, errors, predicted.group, dict(details))
    return ScoredPiece(piece, reference, estimates[""], precision)


def evaluate_predictions(
    predicted: Iterable[PredictedRecording],
    config: Config,
    source: dict[str, Any],
    label_shift: float | str = 0.0,
) -> ScoredNotes:
    """Score recordings one after the other.

    Args:
      predicted: one recording at least.
      config: of the model.
      source: what is known of weights and data; model and decoding are added.
      label_shift: as in `score_prediction`.

    Returns:
      The evaluation, and reference and estimate by piece.
    """
    pieces: dict[str, Piece] = {}
    notes: dict[str, tuple[Notes, Notes]] = {}
    precision: dict[str, PrecisionCounts] = {}
    for item in predicted:
        scored = score_prediction(item, config, label_shift)
        pieces[item.recording] = scored.piece
        notes[item.recording] = (scored.reference, scored.estimate)
        for prefix, counts in scored.precision.items():
            precision[prefix] = precision[prefix] + counts if prefix in precision else counts
    pooled = {f"{name}average_precision": c.average_precision for name, c in precision.items()}
    source = {"model": config.name, **source, "decoding": asdict(config.decoding)}
    return ScoredNotes(Evaluation(pieces, source, pooled), notes)


def evaluate_model(
    weights: str | os.PathLike[str],
    data: str | Sequence[str],
    split: str = "validation",
    *,
    decoding: DecodingConfig | None = None,
    whole_recordings: bool = False,
    label_shift: float | str = 0.0,
    show_progress: bool = False,
) -> ScoredNotes:
    """Score a model on prepared data sets, as `bin/evaluate --weights --data` does.

    Args:
      weights: a weights file.
      data: folders of prepared data sets.
      split: "validation" or "test".
      decoding: thresholds instead of those in the weights file.
      whole_recordings: whether each recording is scaled and transcribed in one call instead of in windows.
      label_shift: as in `score_prediction`.
      show_progress: whether to show a bar on a terminal.

    Raises:
      InputError: weights or data cannot be used.
    """
    folders = [data] if isinstance(data, str) else [*data]
    stored = load_indexes(folders, split)
    if not whole_recordings:
        share_cores()
    config, model = load_model(weights)
    if decoding:
        config = dataclasses.replace(config, decoding=decoding)
    transcriber = (
        WholeRecordings(config, model)
        if whole_recordings
        else Transcriber.from_model(config, model)
    )
    source = {
        "weights": os.fspath(weights),
        "data": folders,
        "split": split,
        "whole_recordings": whole_recordings,
    }
    progress = tqdm(
        stored, desc=config.name, unit="recording", disable=None if show_progress else True
    )
    predictions = (predict(transcriber, item) for item in progress)
    return evaluate_predictions(predictions, config, source, label_shift)


def f1_decoded(
    metrics: Sequence[str], predicted: PredictedRecording, config: Config, decoding: DecodingConfig
) -> float:
    """Return the mean of figures (`tfamt.evaluation.metrics.f1`) of the first pass under another decoding."""
    grid = config.spectrogram.grid
    estimate = decode(predicted.rolls, decoding, grid)
    return float(np.mean([f1(metric, predicted.reference, estimate) for metric in metrics]))


def _precision(predicted: PredictedRecording, output: str, grid: FrameGrid) -> PrecisionCounts:
    roll = predicted.rolls[output]
    return PrecisionCounts.of(
        notes_to_rolls(predicted.reference, len(roll), grid)["pianoroll"], roll
    )


def _prefixed(prefix: str, scores: Scores) -> Scores:
    return {prefix + name: value for name, value in scores.items()}
