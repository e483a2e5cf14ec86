"""Measure the effect of the numbered deviations of docs/deviations.md on labels and performances alone.

Of labels:

- roll_decoded: the 32 ms piano roll of the labels, decoded by rising and falling edges with correctly rounded times,
  against the label files. The difference from 1 is lost by the roll: re-strikes that merge, rounded times.
- floored: the same, but times are floored to frames, as with `int(time * rate)`: half a frame early on average.
- roll_reference: a transcription with all notes, pitches and times right, against references taken from the roll:
  what a faultless system scores where references are re-extracted.
- merged_share: share of notes that begin in or right behind a note of their pitch, so that edges cannot part them.
- rounded_bias_ms, floored_bias_ms: mean error of decoded onsets in ms, rounded and floored.

Of performances, which have a pedal:

- held_through: labels whose notes the pedal holds through a re-strike of their key, against those that end there.
- held_through_share: share of notes that end later by it.
"""

from __future__ import annotations

import numpy as np

from pipelines.rendering.performances import Performance
from tfamt.config import DecodingConfig
from tfamt.evaluation.metrics import FRAME_GRID, match_notes, score
from tfamt.notes.piano_roll import notes_to_rolls
from tfamt.notes.table import Notes, releases_by_sustain
from tfamt.transcription.note_decoder import decode

_FIGURES = ("note_f1", "note_offset_f1", "frame_f1")


def measure(labels: Notes) -> dict[str, float]:
    """Return the figures of one piece, by name."""
    roll_notes = notes_of_roll(labels)
    # Flooring is rounding half a frame earlier.
    floored = notes_of_roll(labels.shift(-0.5 / FRAME_GRID.frames_per_second))
    figures: dict[str, float] = {}
    for name, reference, estimate in (
        ("roll_decoded", labels, roll_notes),
        ("floored", labels, floored),
        ("roll_reference", roll_notes, labels),
    ):
        scores = score(reference, estimate, velocity=False)
        figures |= {f"{name}_{figure}": scores[figure] for figure in _FIGURES}
    figures["merged_share"] = 1 - len(roll_notes) / max(len(labels), 1)
    for name, estimate in (("rounded", roll_notes), ("floored", floored)):
        figures[f"{name}_bias_ms"] = onset_bias_ms(labels, estimate)
    return figures


def measure_sustain(performance: Performance) -> dict[str, float]:
    """Return the figures of one performance, by name."""
    notes, through = performance.notes, held_through_strokes(performance)
    scores = score(notes, through, velocity=False)
    figures = {f"held_through_{figure}": scores[figure] for figure in _FIGURES}
    return figures | {"held_through_share": float(np.mean(through.offset > notes.offset))}


def held_through_strokes(performance: Performance) -> Notes:
    """Return the notes of a performance, each held by the pedal through re-strikes of its key."""
    held = performance.held
    offset = releases_by_sustain(held, performance.pedal_positions)
    return Notes(held.onset, offset, held.pitch, held.velocity)


def notes_of_roll(labels: Notes) -> Notes:
    """Decode the piano roll of notes by its edges."""
    grid = FRAME_GRID
    frames = grid.num_frames(int((labels.end + 1.0) * grid.sample_rate))
    return decode(notes_to_rolls(labels, frames, grid), DecodingConfig(), grid)


def onset_bias_ms(labels: Notes, estimate: Notes) -> float:
    """Return the mean of estimated minus labelled onsets over matched notes, in ms."""
    pairs = match_notes(labels, estimate)
    difference = estimate.onset[pairs[:, 1]] - labels.onset[pairs[:, 0]]
    return 1000.0 * float(difference.mean()) if len(pairs) else 0.0
