"""Recordings of a prepared data set: transcribed, and scored in every way there is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.records import SAMPLE_RATE, read_segments
from pipelines.windows import Stored
from tfamt.average_precision import PrecisionCounts
from tfamt.config import Config, DecodingConfig, replace
from tfamt.decoding import decode
from tfamt.evaluation import Scores, f1, score
from tfamt.frames import FrameGrid
from tfamt.label_shift import shifted_scores
from tfamt.note_errors import Counts, count_errors
from tfamt.notes import DEFAULT_VELOCITY, Notes, Row
from tfamt.pianoroll import notes_to_rolls
from tfamt.report import Evaluation, Piece
from tfamt.transcription import Transcriber

Rolls = dict[str, NDArray[np.float32]]
SECOND = "pianoroll_second_pass"


@dataclass(frozen=True)
class Heard:
    """What the network makes of a recording, beside what was played.

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


def hear(transcriber: Transcriber, item: Stored) -> Heard:
    """Runs the network over one recording; takes 11 kB a second and roll of memory."""
    rows: set[Row] = set()

    def blocks() -> Iterator[NDArray[np.float32]]:
        for segment in read_segments(item.shard, item.entry):
            # A note that sounds in two segments is stored in both.
            rows.update(segment.notes)
            yield segment.waveform

    parts: dict[str, list[NDArray[np.float32]]] = {}
    for frames in transcriber.frames(blocks(), item.entry.level):
        for name, roll in frames.rolls.items():
            if name != "reconstruction":
                parts.setdefault(name, []).append(roll)
    return Heard(
        item.entry.recording,
        item.entry.group,
        item.entry.total / SAMPLE_RATE,
        Notes.from_rows(rows),
        {name: np.concatenate(pieces) for name, pieces in parts.items()},
    )


def score_heard(heard: Heard, config: Config, label_shift: float | str = 0.0) -> ScoredPiece:
    """Decodes and scores one recording.

    Args:
      heard: the network's output and the labels.
      config: of the model.
      label_shift: seconds by which labels are moved for the figures with the prefix "shifted_", or "auto" to measure
        that (`tfamt.label_shift`); with 0 these are left out.

    Returns:
      Figures of the first pass without prefix, of the second pass with "second_pass_". Velocity is scored where both
      the labels and the model have any.
    """
    grid = FrameGrid(config.spectrogram.sample_rate, config.spectrogram.hop)
    estimates = {"": decode(heard.rolls, config.decoding, grid)}
    precision = {"": _precision(heard, "pianoroll", grid)}
    if SECOND in heard.rolls:
        # The second pass has no onset roll.
        by_edges = replace(config, "decoding", method="edges", offsets="threshold").decoding
        estimates["second_pass_"] = decode({"pianoroll": heard.rolls[SECOND]}, by_edges, grid)
        precision["second_pass_"] = _precision(heard, SECOND, grid)
    reference = heard.reference
    with_velocity = bool((reference.velocity != DEFAULT_VELOCITY).any())
    scores: Scores = {}
    errors: Counts = {}
    for prefix, estimate in estimates.items():
        velocity = with_velocity and not prefix and "velocity" in heard.rolls
        scores |= _prefixed(prefix, score(reference, estimate, velocity=velocity))
        scores[f"{prefix}average_precision"] = precision[prefix].average_precision
        errors |= {
            prefix + kind: count for kind, count in count_errors(reference, estimate).items()
        }
    details: dict[str, float | int] = {"seconds": round(heard.seconds, 3)}
    if label_shift:
        shifted, found = shifted_scores(reference, estimates[""], label_shift)
        scores |= shifted
        details |= found
    piece = Piece(scores, errors, heard.group, dict(details))
    return ScoredPiece(piece, reference, estimates[""], precision)


def evaluate(
    heard: Iterable[Heard], config: Config, source: dict[str, Any], label_shift: float | str = 0.0
) -> tuple[Evaluation, dict[str, tuple[Notes, Notes]]]:
    """Scores recordings one after the other.

    Args:
      heard: one recording at least.
      config: of the model.
      source: what is known of weights and data; model and decoding are added.
      label_shift: as in `score_heard`.

    Returns:
      The evaluation, and reference and estimate by piece.
    """
    pieces: dict[str, Piece] = {}
    notes: dict[str, tuple[Notes, Notes]] = {}
    precision: dict[str, PrecisionCounts] = {}
    for item in heard:
        scored = score_heard(item, config, label_shift)
        pieces[item.recording] = scored.piece
        notes[item.recording] = (scored.reference, scored.estimate)
        for prefix, counts in scored.precision.items():
            precision[prefix] = precision[prefix] + counts if prefix in precision else counts
    pooled = {f"{name}average_precision": c.average_precision for name, c in precision.items()}
    source = {"model": config.name, **source, "decoding": asdict(config.decoding)}
    return Evaluation(pieces, source, pooled), notes


def f1_decoded(
    metrics: Sequence[str], heard: Heard, config: Config, decoding: DecodingConfig
) -> float:
    """The mean of figures (`tfamt.evaluation.f1`) of the first pass, decoded in another way than the config's."""
    grid = FrameGrid(config.spectrogram.sample_rate, config.spectrogram.hop)
    estimate = decode(heard.rolls, decoding, grid)
    return float(np.mean([f1(metric, heard.reference, estimate) for metric in metrics]))


def _precision(heard: Heard, output: str, grid: FrameGrid) -> PrecisionCounts:
    roll = heard.rolls[output]
    return PrecisionCounts.of(notes_to_rolls(heard.reference, len(roll), grid)["pianoroll"], roll)


def _prefixed(prefix: str, scores: Scores) -> Scores:
    return {prefix + name: value for name, value in scores.items()}
