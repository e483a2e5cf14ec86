"""Measures what the numbered deviations of docs/deviations.md are worth, on label files alone.

Usage: bin/benchmark deviations --labels=FOLDER [--json=FILE]

FOLDER holds label files of any data set (MAPS .txt, MIDI, .csv), however deep. No model is involved: a figure is what a
transcriber that gets every frame right would be credited with.

- roll_decoded: the 32 ms piano roll of the labels, decoded by rising and falling edges with correctly rounded times,
  against the label files. What is missing to 1 is lost by the roll alone: strokes that merge, times that are rounded.
- floored: the same, but times are floored to frames, as with `int(time * rate)`: half a frame early on average.
- roll_reference: a transcription with all notes, pitches and times right, against references taken from the roll:
  what a faultless system scores where references are re-extracted.
- merged_share: share of notes that begin in or right behind a note of their pitch, so that edges cannot part them.
- rounded_bias_ms, floored_bias_ms: mean error of decoded onsets in ms, rounded and floored.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from absl import flags

from tfamt.config import DecodingConfig
from tfamt.decoding import decode
from tfamt.errors import InputError
from tfamt.evaluation import FRAME_GRID, match_notes, score
from tfamt.notes import Notes
from tfamt.pianoroll import notes_to_rolls

_LABELS = flags.DEFINE_string("labels", None, "Folder of label files.")
_JSON = flags.DEFINE_string("json", None, "File to write the figures to.")
_FIGURES = ("note_f1", "note_offset_f1", "frame_f1")


def main(argv: list[str]) -> int:
    """The benchmark; returns its exit code."""
    from tfamt.files import atomic_write
    from tfamt.label_pairs import labels_by_stem
    from tfamt.labels import read_labels

    if argv[1:]:
        raise InputError(f"there are no arguments but flags. Received: {' '.join(argv[1:])}")
    if not _LABELS.value:
        raise InputError("--labels is missing")
    # MAPS has its offsets in the .txt; what stands beside it in MIDI is less exact.
    files = labels_by_stem(Path(_LABELS.value), (".txt", ".csv", ".mid", ".midi"))
    if not files:
        raise InputError("holds no label file", path=_LABELS.value)
    rows = [measure(read_labels(path)) for path in files.values()]
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    print(f"{len(rows)} files, means over files")
    for name, value in means.items():
        print(f"{name:<32}{value:8.3f}")
    if _JSON.value:
        atomic_write(_JSON.value, json.dumps({"files": len(rows), "mean": means}, indent=1) + "\n")
    return 0


def measure(labels: Notes) -> dict[str, float]:
    """The figures of one piece, by name."""
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


def notes_of_roll(labels: Notes) -> Notes:
    """What the decoder "edges" makes of the piano roll of notes."""
    grid = FRAME_GRID
    frames = grid.num_frames(int((labels.end + 1.0) * grid.sample_rate))
    return decode(notes_to_rolls(labels, frames, grid), DecodingConfig(), grid)


def onset_bias_ms(labels: Notes, estimate: Notes) -> float:
    """Mean of estimated less labelled onsets over matched notes, in ms."""
    pairs = match_notes(labels, estimate)
    difference = estimate.onset[pairs[:, 1]] - labels.onset[pairs[:, 0]]
    return 1000.0 * float(difference.mean()) if len(pairs) else 0.0
