"""Test metrics: by hand, against mir_eval, against a plain count, and in edge cases."""

from __future__ import annotations

import json
import tracemalloc
import warnings
from pathlib import Path

import mir_eval
import numpy as np
import pytest

from tfamt.evaluation.metrics import (
    FrameCounts,
    f1,
    frame_counts,
    precision_recall_f1,
    score,
    summarise,
)
from tfamt.notes.table import Notes

NAMES = [
    f"{kind}_{figure}"
    for kind in ("note", "note_offset", "note_offset_velocity", "frame")
    for figure in ("precision", "recall", "f1")
]


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def random_notes(rng: np.random.Generator, count: int) -> Notes:
    onset = rng.uniform(0, count / 8, count)
    return Notes(
        onset,
        onset + rng.exponential(0.4, count) + 0.01,
        rng.integers(40, 80, count),
        rng.integers(1, 128, count),
    )


def transcribed(rng: np.random.Generator, notes: Notes) -> Notes:
    """A plausible transcription: jitter, wrong ends, missed and extra notes."""
    kept = notes.select(rng.random(len(notes)) < 0.8)
    onset = np.maximum(kept.onset + rng.normal(0, 0.03, len(kept)), 0)
    offset = onset + (kept.offset - kept.onset) * rng.uniform(0.6, 1.4, len(kept))
    velocity = np.clip(kept.velocity * 0.5 + rng.normal(20, 8, len(kept)), 1, 127).astype(int)
    moved = Notes(onset, offset, kept.pitch, velocity)
    return Notes.from_rows([*moved, *random_notes(rng, len(notes) // 5)])


def test_toy_piece_worked_by_hand() -> None:
    reference = Notes.from_rows(
        [(0.0, 0.32, 60, 20), (0.64, 1.28, 64, 60), (1.28, 1.92, 67, 100), (1.92, 2.56, 72, 100)]
    )
    estimate = Notes.from_rows(
        [
            (0.032, 0.32, 60, 20),  # hit in everything
            (0.64, 1.60, 64, 60),  # 0.32 s too long: a hit but for the offset
            (1.28, 1.92, 67, 50),  # too soft: a hit but for the velocity
            (2.00, 2.56, 72, 100),  # 80 ms late: no hit
            (0.0, 0.32, 48, 64),  # nothing of the kind was played
        ]
    )
    scores = score(reference, estimate)
    assert list(scores) == NAMES
    # Hits / estimated 5 / reference 4; velocity: see the next lines.
    assert_figures(scores, "note", 3 / 5, 3 / 4, 2 / 3)
    assert_figures(scores, "note_offset", 2 / 5, 2 / 4, 4 / 9)
    # Two matched notes are fitted exactly by a line, so the velocity of both agrees.
    assert_figures(scores, "note_offset_velocity", 2 / 5, 2 / 4, 4 / 9)
    # Frames of 32 ms: played 10 + 20 + 20 + 20; transcribed 9 + 30 + 20 + 17 (62.5 rounds to 63) + 10.
    assert frame_counts(reference, estimate) == FrameCounts(hits=66, missed=4, extra=20)
    for name in ("note_f1", "note_offset_f1", "frame_f1"):
        assert f1(name, reference, estimate) == score(reference, estimate)[name]
    assert_figures(scores, "frame", 66 / 86, 66 / 70, 132 / 156)


def test_velocity_is_compared_after_one_linear_fit() -> None:
    onset = np.arange(5.0)
    reference = Notes(onset, onset + 0.5, [60] * 5, [10, 35, 60, 85, 110])
    half_as_loud = Notes(onset, onset + 0.5, [60] * 5, [5, 17, 30, 42, 55])
    assert score(reference, half_as_loud)["note_offset_velocity_f1"] == 1.0
    # Least squares: slope 31.25 / 8078.8 = 0.00387, intercept 0.315, so the fit gives
    # 0.33 0.38 0.78 0.48 0.53 where 0 0.25 0.5 0.75 1 was played: nothing within a tenth.
    one_burst = Notes(onset, onset + 0.5, [60] * 5, [5, 17, 120, 42, 55])
    assert score(reference, one_burst)["note_offset_velocity_f1"] == 0.0
    assert score(reference, one_burst)["note_offset_f1"] == 1.0


def test_equals_mir_eval_called_by_hand() -> None:
    rng = np.random.default_rng(1)
    for count in (3, 40, 300):
        reference = random_notes(rng, count)
        estimate = transcribed(rng, reference)
        ref = (
            np.stack([reference.onset, reference.offset], 1),
            440 * 2 ** ((reference.pitch - 69) / 12),
        )
        est = (
            np.stack([estimate.onset, estimate.offset], 1),
            440 * 2 ** ((estimate.pitch - 69) / 12),
        )
        figures = mir_eval.transcription.evaluate(*ref, *est)
        loud = mir_eval.transcription_velocity.evaluate(
            *ref, reference.velocity, *est, estimate.velocity
        )
        expected = [
            [figures[f"{figure}_no_offset"] for figure in ("Precision", "Recall", "F-measure")],
            [figures[figure] for figure in ("Precision", "Recall", "F-measure")],
            [loud[figure] for figure in ("Precision", "Recall", "F-measure")],
        ]
        scores = score(reference, estimate)
        np.testing.assert_allclose(
            [scores[name] for name in NAMES[:9]], np.ravel(expected), atol=1e-12
        )
        assert 0 < scores["note_offset_f1"] < scores["note_f1"] < 1 or count == 3


def test_equals_what_mir_eval_publishes_with_its_source() -> None:
    fixture = json.loads(
        Path(__file__)
        .parents[2]
        .joinpath("data")
        .joinpath("mir_eval_transcription.json")
        .read_text()
    )

    def notes(rows: list[list[float]]) -> Notes:
        onset, offset, hertz = np.array(rows).T
        return Notes(onset, offset, np.rint(69 + 12 * np.log2(hertz / 440)).astype(int))

    scores = score(notes(fixture["reference"]), notes(fixture["estimate"]))
    for name, value in fixture["scores"].items():
        assert scores[name] == pytest.approx(value, abs=1e-12), name
    # Its velocity case: three notes without fault, but the second is softer than it was played.
    rows = [(0.0, 1.0, 44), (0.5, 0.7, 45), (1.0, 2.0, 40)]
    played, transcribed = (
        Notes.from_rows([(*row, v) for row, v in zip(rows, velocities, strict=True)])
        for velocities in ((10, 90, 110), (10, 70, 110))
    )
    scores = score(played, transcribed)
    assert scores["note_offset_f1"] == 1.0
    assert_figures(scores, "note_offset_velocity", 2 / 3, 2 / 3, 2 / 3)


def test_frames_equal_a_plain_count() -> None:
    rng = np.random.default_rng(2)
    reference = random_notes(rng, 200)
    estimate = transcribed(rng, reference)

    def pairs(notes: Notes) -> set[tuple[int, int]]:
        sounding = set()
        for onset, offset, pitch, _ in notes:
            first, end = round(onset * 31.25), round(offset * 31.25)
            sounding |= {(frame, pitch) for frame in range(first, max(end, first + 1))}
        return sounding

    played, found = pairs(reference), pairs(estimate)
    counts = frame_counts(reference, estimate)
    assert counts == FrameCounts(len(played & found), len(played - found), len(found - played))
    scores = score(reference, estimate)
    assert scores["frame_precision"] == len(played & found) / len(found)
    assert scores["frame_recall"] == len(played & found) / len(played)


def test_perfect_is_one_and_nothing_is_defined() -> None:
    notes = random_notes(np.random.default_rng(4), 50)
    nothing = Notes.empty()
    assert set(score(notes, notes).values()) == {1.0}
    assert score(nothing, nothing) == dict.fromkeys(NAMES, 1.0)
    assert score(notes, nothing) == dict.fromkeys(NAMES, 0.0)
    assert score(nothing, notes) == dict.fromkeys(NAMES, 0.0)
    far = notes.shift(1000)
    assert score(notes, far) == dict.fromkeys(NAMES, 0.0)


def test_zero_length_overlapping_and_unordered_notes() -> None:
    # A note of no length is found by its onset, and sounds for one frame.
    assert score(Notes([1.0], [1.0], [60]), Notes([1.0], [1.0], [60]))["note_offset_f1"] == 1.0
    assert frame_counts(Notes([1.0], [1.0], [60]), Notes.empty()) == FrameCounts(0, 1, 0)
    assert frame_counts(Notes.empty(), Notes.empty()) == FrameCounts(0, 0, 0)


def test_memory_of_frame_counts_does_not_grow_with_time() -> None:
    """A roll of 27 hours would take 400 MB, and one of 10^9 s more than there is."""
    early = Notes([0.0, 5e8], [0.32, 1e9], [60, 61])
    late = Notes([0.16, 9e8], [0.32, 1e9], [60, 61])
    tracemalloc.start()
    counts = frame_counts(early, late)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # At 31.25 frames a second.
    assert counts == FrameCounts(5 + 3_125_000_000, 5 + 12_500_000_000, 0)
    assert peak < 1_000_000
    # Two simultaneous notes of one pitch are two notes, matched one to one, but one sounding pitch.
    twice = Notes([0.0, 0.0], [0.64, 0.64], [60, 60])
    once = Notes([0.0], [0.64], [60])
    assert_figures(score(twice, once), "note", 1.0, 0.5, 2 / 3)
    assert_figures(score(twice, once), "frame", 1.0, 1.0, 1.0)
    forward = Notes.from_rows([(0, 1, 60, 50), (1, 2, 62, 60), (2, 3, 64, 70)])
    backward = Notes.from_rows([(2, 3, 64, 70), (1, 2, 62, 60), (0, 1, 60, 50)])
    assert set(score(forward, backward).values()) == {1.0}


def test_tolerances() -> None:
    reference = Notes([1.0], [2.0], [60])

    def found(onset: float, offset: float, pitch: int = 60) -> tuple[float, float]:
        scores = score(reference, Notes([onset], [offset], [pitch]))
        return scores["note_f1"], scores["note_offset_f1"]

    assert found(1.049, 2.0) == found(0.951, 2.0) == (1, 1)
    assert found(1.051, 2.0) == found(0.949, 2.0) == (0, 0)
    assert found(1.0, 2.199) == found(1.0, 1.801) == (1, 1)
    assert found(1.0, 2.201) == found(1.0, 1.799) == (1, 0)
    assert found(1.0, 2.0, 61) == (0, 0)


def test_velocity_is_left_out_where_the_reference_has_none() -> None:
    notes = Notes([0.0], [1.0], [60])
    assert list(score(notes, notes, velocity=False)) == NAMES[:6] + NAMES[9:]
    assert list(score(notes, Notes.empty(), velocity=False)) == NAMES[:6] + NAMES[9:]


def test_pitches_beyond_the_piano_count() -> None:
    low = Notes([0.0], [0.32], [0])
    assert frame_counts(low, Notes([0.0], [0.32], [127])) == FrameCounts(0, 10, 10)
    assert score(low, low)["frame_f1"] == score(low, low)["note_f1"] == 1.0


def test_precision_recall_f1_literals() -> None:
    assert precision_recall_f1(3, 1, 2) == (3 / 5, 3 / 4, 2 / 3)
    assert precision_recall_f1(0, 0, 0) == (1, 1, 1)
    assert precision_recall_f1(0, 5, 0) == precision_recall_f1(0, 0, 5) == (0, 0, 0)


def test_summary_over_the_pieces_that_have_a_figure() -> None:
    summary = summarise({"a": {"x": 0.2, "y": 1.0}, "b": {"x": 0.6}})
    assert summary.mean == {"x": pytest.approx(0.4), "y": 1.0}
    assert summary.standard_deviation == {"x": pytest.approx(0.2), "y": 0.0}
    with pytest.raises(ValueError, match="Received: none"):
        summarise({})


def assert_figures(scores: dict[str, float], name: str, *expected: float) -> None:
    figures = [scores[f"{name}_{figure}"] for figure in ("precision", "recall", "f1")]
    assert figures == pytest.approx(list(expected), abs=1e-12)
