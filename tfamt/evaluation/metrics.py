"""Score a transcription against its reference.

Note metrics are mir_eval's (Raffel et al., "mir_eval: A Transparent Implementation of Common MIR Metrics",
2014). An estimated note is a hit if its onset lies within 50 ms and its pitch within 50 cents of a reference note;
with offset, if its offset also lies within 50 ms or 20 % of the reference's duration, whichever is more; with
velocity, if its velocity, after one linear fit over all matched notes, also lies within 0.1 of the reference's range
(Hawthorne et al., "Onsets and Frames", 2018). Each note is matched at most once.

Frame metrics compare which pitches sound on a grid of 31.25 frames a second. A note covers the frames from the one
nearest its onset up to, not including, the one nearest its offset, one frame at least: as in the rolls of training
(`tfamt.notes.piano_roll`), but of all 128 pitches and drawn straight from the notes.

Deviations from mir_eval, each where it gives a warning or an error instead of a figure:

1. Without any reference or estimated note, every figure is 1: there was nothing to find, and nothing was added. With
   only one of the two empty every figure is 0, as in mir_eval.
2. A note of no length counts as one of 1 ms, so that its onset can be found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mir_eval
import numpy as np
from numpy.typing import NDArray

from tfamt.frames import FrameGrid
from tfamt.notes.table import Notes

ONSET_TOLERANCE = 0.05
PITCH_TOLERANCE = 50.0
OFFSET_RATIO = 0.2
OFFSET_MIN_TOLERANCE = 0.05
VELOCITY_TOLERANCE = 0.1
FRAME_GRID = FrameGrid(sample_rate=16_000, hop=512)
SHORTEST_NOTE = 1e-3

Scores = dict[str, float]
"""Figures by name: {note, note_offset, note_offset_velocity, frame}_{precision, recall, f1}, each 0..1."""


@dataclass(frozen=True)
class FrameCounts:
    """Pairs of frame and pitch: sounding in both (hits), missed, and extra."""

    hits: int
    missed: int
    extra: int


@dataclass(frozen=True)
class Summary:
    """Mean and standard deviation over pieces (population, not sample: one piece gives 0)."""

    mean: Scores
    standard_deviation: Scores


def score(
    reference: Notes, estimate: Notes, *, velocity: bool = True, grid: FrameGrid = FRAME_GRID
) -> Scores:
    """Score one piece.

    Args:
      reference: what was played, from the label file, sustain-extended.
      estimate: what was transcribed.
      velocity: whether the reference states velocities; if not, note_offset_velocity_* is left out.
      grid: frames of the frame metrics.

    Returns:
      The figures named in `Scores`.
    """
    scores: Scores = {}
    for name, figures in _note_figures(reference, estimate, velocity).items():
        scores |= _named(name, *figures)
    counts = frame_counts(reference, estimate, grid)
    return scores | _named("frame", *precision_recall_f1(counts.hits, counts.missed, counts.extra))


def f1(name: str, reference: Notes, estimate: Notes) -> float:
    """Return one figure of `score`, in less time than all: "note_f1", "note_offset_f1" or "frame_f1"."""
    if name == "frame_f1":
        counts = frame_counts(reference, estimate)
        return precision_recall_f1(counts.hits, counts.missed, counts.extra)[2]
    offset_ratio = {"note_f1": None, "note_offset_f1": OFFSET_RATIO}[name]
    hits = len(match_notes(reference, estimate, offset_ratio))
    return precision_recall_f1(hits, len(reference) - hits, len(estimate) - hits)[2]


def summarise(per_piece: Mapping[str, Mapping[str, float]]) -> Summary:
    """Return mean and standard deviation of every figure over the pieces that have it.

    Args:
      per_piece: scores by piece, one piece at least.

    Raises:
      ValueError: there is no piece.
    """
    if not per_piece:
        raise ValueError("A summary needs one piece at least. Received: none")
    names = dict.fromkeys(name for scores in per_piece.values() for name in scores)
    columns = {name: [s[name] for s in per_piece.values() if name in s] for name in names}
    return Summary(
        mean={name: float(np.mean(column)) for name, column in columns.items()},
        standard_deviation={name: float(np.std(column)) for name, column in columns.items()},
    )


def frame_counts(reference: Notes, estimate: Notes, grid: FrameGrid = FRAME_GRID) -> FrameCounts:
    """Count frames as the module describes; notes of one pitch that overlap count once."""
    both = (reference, estimate)
    spans = [_frame_spans(notes, grid) for notes in both]
    # One row for all frames between two changes: memory grows with the notes, and not with their times.
    bounds = np.unique(np.concatenate(spans))
    lengths = np.diff(bounds, append=bounds[-1:])
    played, found = (
        _fill(np.searchsorted(bounds, span), notes.pitch, len(bounds))
        for span, notes in zip(spans, both, strict=True)
    )
    hits, in_reference, in_estimate = (
        int(roll.sum(axis=1) @ lengths) for roll in (played & found, played, found)
    )
    return FrameCounts(hits, in_reference - hits, in_estimate - hits)


def frame_roll(notes: Notes, grid: FrameGrid, num_frames: int) -> NDArray[np.bool_]:
    """Return which of all 128 pitches sounds in which frame, as the module describes: bool [num_frames, 128]."""
    return _fill(_frame_spans(notes, grid), notes.pitch, num_frames)


def _fill(spans: NDArray[np.int64], pitch: NDArray[np.int64], num_rows: int) -> NDArray[np.bool_]:
    """Return a roll bool [num_rows, 128] with the rows of each span, int64 [n, 2], filled at its pitch."""
    roll = np.zeros((num_rows, 128), np.bool_)
    for (first, end), key in zip(spans, pitch, strict=True):
        roll[first:end, key] = True
    return roll


def precision_recall_f1(hits: int, missed: int, extra: int) -> tuple[float, float, float]:
    """Return precision, recall and their harmonic mean; all 1 if there was nothing, all 0 if there was no hit."""
    if hits == 0:
        return (0.0, 0.0, 0.0) if missed or extra else (1.0, 1.0, 1.0)
    return hits / (hits + extra), hits / (hits + missed), 2 * hits / (2 * hits + missed + extra)


def _note_figures(
    reference: Notes, estimate: Notes, velocity: bool
) -> dict[str, tuple[float, float, float]]:
    matched = match_notes(reference, estimate)
    matched_with_offset = match_notes(reference, estimate, OFFSET_RATIO)
    hits = {"note": len(matched), "note_offset": len(matched_with_offset)}
    if velocity:
        hits["note_offset_velocity"] = _count_velocity_hits(
            reference, estimate, matched_with_offset
        )
    return {
        name: precision_recall_f1(count, len(reference) - count, len(estimate) - count)
        for name, count in hits.items()
    }


def match_notes(
    reference: Notes, estimate: Notes, offset_ratio: float | None = None
) -> NDArray[np.int64]:
    """Return mir_eval's largest matching of notes: pairs of indices (reference, estimate) as int64 [k, 2].

    Args:
      reference: what was played.
      estimate: what was transcribed.
      offset_ratio: share of a note's length by which its offset may lie off; None asks for onset and pitch only.

    Notes of different keys are 100 cents apart and never match, so one key at a time gives the same. All at once
    takes 3.4 GB and 7 s for the 10,000 notes of a long recital, since mir_eval compares every note with every other.
    """
    pairs: list[NDArray[np.int64]] = [np.empty((0, 2), np.int64)]
    for key in np.intersect1d(reference.pitch, estimate.pitch):
        ref_index, est_index = (
            np.flatnonzero(reference.pitch == key),
            np.flatnonzero(estimate.pitch == key),
        )
        found = mir_eval.transcription.match_notes(
            *_for_mir_eval(reference.select(reference.pitch == key)),
            *_for_mir_eval(estimate.select(estimate.pitch == key)),
            onset_tolerance=ONSET_TOLERANCE,
            pitch_tolerance=PITCH_TOLERANCE,
            offset_ratio=offset_ratio,
            offset_min_tolerance=OFFSET_MIN_TOLERANCE,
        )
        pairs.append(
            np.array([(ref_index[i], est_index[j]) for i, j in found], np.int64).reshape(-1, 2)
        )
    return np.concatenate(pairs)


def _count_velocity_hits(reference: Notes, estimate: Notes, matched: NDArray[np.int64]) -> int:
    """Count matched pairs that agree in velocity, by the rule of mir_eval.transcription_velocity."""
    if not len(matched):
        return 0
    softest, loudest = reference.velocity.min(), reference.velocity.max()
    played = (reference.velocity[matched[:, 0]] - softest) / max(1, loudest - softest)
    found = estimate.velocity[matched[:, 1]].astype(np.float64)
    line = np.stack([found, np.ones(len(found))], axis=1)
    fitted = line @ np.linalg.lstsq(line, played, rcond=None)[0]
    return int(np.count_nonzero(np.abs(fitted - played) < VELOCITY_TOLERANCE))


def _for_mir_eval(notes: Notes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return intervals [n, 2] in seconds, none of them empty, and pitches [n] in Hz."""
    intervals = notes.intervals
    intervals[:, 1] += np.where(intervals[:, 1] > intervals[:, 0], 0.0, SHORTEST_NOTE)
    return intervals, np.asarray(mir_eval.util.midi_to_hz(notes.pitch), np.float64)


def _frame_spans(notes: Notes, grid: FrameGrid) -> NDArray[np.int64]:
    """Return first frame and end, int64 [n, 2]."""
    first = np.floor(grid.position_of(notes.onset) + 0.5).astype(np.int64)
    end = np.floor(grid.position_of(notes.offset) + 0.5).astype(np.int64)
    return np.stack([first, np.maximum(end, first + 1)], axis=1)


def _named(name: str, precision: float, recall: float, f1: float) -> Scores:
    return {f"{name}_precision": precision, f"{name}_recall": recall, f"{name}_f1": f1}
