"""Count the kinds of errors of a transcription.

Notes are matched by onset and pitch as for the note metric (`tfamt.evaluation.metrics`). Every note is counted in
exactly one of the kinds below, the first that applies, so that

- reference notes = hits + early + late + missed_restrike + missed;
- estimated notes = hits + early + late + false_restrike + octave + extra.

Kinds:

- hits: matched.
- early, late: an unmatched reference note and an unmatched estimated note of the same pitch whose onset comes more
  than the tolerance of 50 ms but at most 200 ms before (after) it. Pairs are formed from the closest on.
- missed_restrike: a reference note that begins while an estimated note of its pitch sounds, from more than 50 ms
  before its onset to more than 50 ms after it.
- false_restrike: an estimated note that begins while a reference note of its pitch sounds, in the same sense.
- octave: an estimated note that begins within 50 ms of a reference note one or two octaves above or below.
- missed, extra: all that is left.

Of the hits, by their offset, outside the tolerance of the metric with offset (50 ms or 20 % of the reference's
length, whichever is more):

- too_short, too_long: the offset comes too early, too late.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tfamt.evaluation.metrics import (
    OFFSET_MIN_TOLERANCE,
    OFFSET_RATIO,
    ONSET_TOLERANCE,
    match_notes,
)
from tfamt.notes.table import Notes

KINDS = (
    "hits", "too_short", "too_long", "early", "late", "missed_restrike", "false_restrike", "octave", "missed", "extra",
)  # fmt: skip
LATE = 0.2
"""Seconds by which a note may be off and still count as late or early."""
_OCTAVES = (-24, -12, 12, 24)
_ROUNDING = 1e-6

Counts = dict[str, int]
"""How often each kind of `KINDS` occurs."""
Index = NDArray[np.int64]


def count_errors(reference: Notes, estimate: Notes) -> Counts:
    """Count the kinds of error that the module describes."""
    matched = match_notes(reference, estimate)
    difference = estimate.offset[matched[:, 1]] - reference.offset[matched[:, 0]]
    length = (reference.offset - reference.onset)[matched[:, 0]]
    allowed = np.maximum(OFFSET_MIN_TOLERANCE, OFFSET_RATIO * length) + _ROUNDING
    left_reference = _without(len(reference), matched[:, 0])
    left_estimate = _without(len(estimate), matched[:, 1])
    displaced = _displaced(reference, estimate, left_reference, left_estimate)
    delay = estimate.onset[displaced[:, 1]] - reference.onset[displaced[:, 0]]
    left_reference = np.setdiff1d(left_reference, displaced[:, 0])
    left_estimate = np.setdiff1d(left_estimate, displaced[:, 1])
    missed_restrike = _begin_inside(reference, left_reference, estimate)
    false_restrike = _begin_inside(estimate, left_estimate, reference)
    octave = _an_octave_off(reference, estimate, left_estimate[~false_restrike])
    return {
        "hits": len(matched),
        "too_short": int(np.count_nonzero(difference < -allowed)),
        "too_long": int(np.count_nonzero(difference > allowed)),
        "early": int(np.count_nonzero(delay < 0)),
        "late": int(np.count_nonzero(delay > 0)),
        "missed_restrike": int(np.count_nonzero(missed_restrike)),
        "false_restrike": int(np.count_nonzero(false_restrike)),
        "octave": int(np.count_nonzero(octave)),
        "missed": int(np.count_nonzero(~missed_restrike)),
        "extra": int(np.count_nonzero(~octave)),
    }


def add_counts(*counts: Counts) -> Counts:
    """Return sums by kind; a kind that is missing counts as 0."""
    names = dict.fromkeys(name for item in counts for name in item)
    return {name: sum(item.get(name, 0) for item in counts) for name in names}


def _without(length: int, taken: Index) -> Index:
    return np.setdiff1d(np.arange(length), taken)


def _displaced(reference: Notes, estimate: Notes, left: Index, found: Index) -> Index:
    """Return pairs (reference, estimate) of one pitch whose onsets are near but too far for a match: int64 [k, 2]."""
    candidates: list[tuple[float, int, int]] = []
    for pitch in np.intersect1d(reference.pitch[left], estimate.pitch[found]):
        ours = left[reference.pitch[left] == pitch]
        theirs = found[estimate.pitch[found] == pitch]
        begins = estimate.onset[theirs]
        for index in ours.tolist():
            onset = reference.onset[index]
            first, end = np.searchsorted(
                begins, [onset - LATE - _ROUNDING, onset + LATE + _ROUNDING]
            )
            for other in theirs[first:end].tolist():
                candidates.append((abs(estimate.onset[other] - onset), index, other))
    taken_reference: set[int] = set()
    taken_estimate: set[int] = set()
    pairs = []
    for _, index, other in sorted(candidates):
        if index not in taken_reference and other not in taken_estimate:
            taken_reference.add(index)
            taken_estimate.add(other)
            pairs.append((index, other))
    return np.array(pairs, np.int64).reshape(-1, 2)


def _begin_inside(notes: Notes, chosen: Index, others: Notes) -> NDArray[np.bool_]:
    """Return which of the chosen notes begin while another note of their pitch, of `others`, sounds: bool [chosen]."""
    inside = np.zeros(len(chosen), np.bool_)
    for number, index in enumerate(chosen.tolist()):
        onset = notes.onset[index]
        same = others.pitch == notes.pitch[index]
        sounding = (others.onset < onset - ONSET_TOLERANCE) & (
            others.offset > onset + ONSET_TOLERANCE
        )
        inside[number] = bool((same & sounding).any())
    return inside


def _an_octave_off(reference: Notes, estimate: Notes, chosen: Index) -> NDArray[np.bool_]:
    """Return which of the chosen estimated notes begin with a reference note octaves away: bool [chosen]."""
    found = np.zeros(len(chosen), np.bool_)
    for number, index in enumerate(chosen.tolist()):
        near = np.abs(reference.onset - estimate.onset[index]) <= ONSET_TOLERANCE + _ROUNDING
        interval = reference.pitch[near] - estimate.pitch[index]
        found[number] = bool(np.isin(interval, _OCTAVES).any())
    return found
