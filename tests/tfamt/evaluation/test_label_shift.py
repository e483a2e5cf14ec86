"""Test the measured shift of labels against onsets."""

from __future__ import annotations

import numpy as np
import pytest

from tfamt.evaluation.label_shift import measure_label_shift, shifted_scores
from tfamt.notes.table import Notes


def piece(seed: int = 0, count: int = 200) -> Notes:
    rng = np.random.default_rng(seed)
    onset = np.arange(count) * 0.25
    return Notes(onset, onset + 0.2, rng.integers(40, 80, count), rng.integers(1, 128, count))


def test_a_known_shift_is_found_among_wrong_notes() -> None:
    played = piece()
    rng = np.random.default_rng(1)
    late = played.onset + 0.018 + rng.normal(0, 0.004, len(played))
    transcribed = Notes(np.maximum(late, 0), late + 0.2, played.pitch, played.velocity)
    wrong = piece(seed=7, count=60)
    found = measure_label_shift(played, Notes.from_rows([*transcribed, *wrong]))
    assert found.seconds == pytest.approx(0.018, abs=0.0015)
    assert found.spread == pytest.approx(0.004, abs=0.002)
    assert 190 <= found.pairs <= 210


def test_exact_shifts_either_way() -> None:
    played = piece().shift(1.0)
    for seconds in (-0.03, 0.0, 0.03):
        found = measure_label_shift(played, played.shift(seconds))
        assert (found.seconds, found.pairs) == (pytest.approx(seconds, abs=1e-12), 200)
        assert found.spread == pytest.approx(0, abs=1e-12)


def test_too_little_says_nothing() -> None:
    few = piece(count=9)
    assert measure_label_shift(few, few.shift(0.02)).seconds == 0.0
    assert measure_label_shift(Notes.empty(), few).pairs == 0


def test_shifted_scores_stand_beside_the_raw_ones() -> None:
    played = piece()
    transcribed = played.shift(0.06)
    scores, details = shifted_scores(played, transcribed, "auto")
    assert scores["shifted_note_f1"] == 1.0
    assert "shifted_note_offset_velocity_f1" not in scores
    assert (details["label_shift_ms"], details["measured_label_shift_ms"]) == (60.0, 60.0)
    scores, details = shifted_scores(played, transcribed, 0.005)
    assert scores["shifted_note_f1"] == 0.0
    assert (details["label_shift_ms"], details["measured_label_shift_ms"]) == (5.0, 60.0)
