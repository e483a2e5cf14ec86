"""Measure the constant time shift between labels and audio.

In some recordings of MAPS (ENSTDkAm, a microphone in the room) the sound comes 10 to 25 ms after the labels. Half the
onset tolerance is then used up before a transcriber has made any error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfamt.evaluation.metrics import Scores, score
from tfamt.notes.table import Notes

REACH = 0.1
"""Seconds: onsets of one pitch that lie further apart are not taken for the same note."""
FEWEST = 10
"""Pairs of onsets below which no shift is measured."""


@dataclass(frozen=True)
class LabelShift:
    """By how much the estimate comes after the labels.

    Attributes:
      seconds: above 0 if notes sound later than labelled.
      spread: standard deviation of the differences, seconds.
      pairs: how many notes it is taken from.
    """

    seconds: float
    spread: float
    pairs: int


def measure_label_shift(reference: Notes, estimate: Notes) -> LabelShift:
    """Compare onsets of one pitch that lie within `REACH` of each other.

    Of each estimated note the nearest reference onset is taken; the shift is the mean of the differences within half of
    `REACH` around their median, so that single wrong notes have no influence. It holds what the transcriber itself
    adds: compare with a recording that is known to be right. With fewer than `FEWEST` pairs it is 0.
    """
    differences: list[float] = []
    for pitch in np.intersect1d(reference.pitch, estimate.pitch):
        labelled = np.sort(reference.onset[reference.pitch == pitch])
        for onset in estimate.onset[estimate.pitch == pitch].tolist():
            after = int(np.searchsorted(labelled, onset))
            near = labelled[max(after - 1, 0) : after + 1]
            difference = onset - float(near[np.argmin(np.abs(near - onset))])
            if abs(difference) <= REACH:
                differences.append(difference)
    if len(differences) < FEWEST:
        return LabelShift(0.0, 0.0, len(differences))
    values = np.array(differences)
    core = values[np.abs(values - np.median(values)) <= REACH / 2]
    return LabelShift(float(core.mean()), float(core.std()), len(core))


def shifted_scores(
    reference: Notes, estimate: Notes, label_shift: float | str
) -> tuple[Scores, dict[str, float | int]]:
    """Score with moved labels.

    Args:
      reference: the labels.
      estimate: what was transcribed.
      label_shift: seconds by which labels are moved, or "auto" to measure that.

    Returns:
      Figures with the prefix "shifted_", without velocity; and by how much labels were moved and measured to lie off.
    """
    found = measure_label_shift(reference, estimate)
    seconds = found.seconds if isinstance(label_shift, str) else label_shift
    scores = score(reference.shift(seconds), estimate, velocity=False)
    return {f"shifted_{name}": value for name, value in scores.items()}, {
        "label_shift_ms": round(1000 * seconds, 3),
        "measured_label_shift_ms": round(1000 * found.seconds, 3),
        "measured_label_shift_spread_ms": round(1000 * found.spread, 3),
        "measured_label_shift_notes": found.pairs,
    }
