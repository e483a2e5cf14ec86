"""Test note decoding on rolls that are written out in full."""

from __future__ import annotations

import numpy as np
import pytest

from tfamt.config import DecodingConfig
from tfamt.frames import FrameGrid
from tfamt.notes.piano_roll import notes_to_rolls
from tfamt.notes.table import NUM_PITCHES, Notes
from tfamt.transcription.note_decoder import NoteDecoder, decode, peak_offset

GRID = FrameGrid(sample_rate=100, hop=10)  # 10 frames per second
A0, C4 = 0, 39
EDGES = DecodingConfig(method="edges", min_gap_ms=0.0)
ONSETS = DecodingConfig(method="onsets", onset_threshold=0.4, min_gap_ms=50.0)


def roll(**columns: list[float]) -> np.ndarray:
    """A roll [frames, 88] with the given columns; k0 is the lowest key."""
    length = len(next(iter(columns.values())))
    result = np.zeros((length, NUM_PITCHES), np.float32)
    for name, values in columns.items():
        result[:, int(name[1:])] = values
    return result


def rows(notes: Notes) -> list[tuple[float, float, int, int]]:
    return [(round(on, 6), round(off, 6), pitch, velocity) for on, off, pitch, velocity in notes]


def test_edges_of_two_keys() -> None:
    frames = roll(
        k0=[0.1, 0.9, 0.8, 0.5, 0.4, 0.0, 0.0, 0.6, 0.7, 0.2],
        k39=[0.9, 0.9, 0.0, 0.9, 0.0, 0.0, 0.0, 0.0, 0.9, 0.9],
    )
    # A note that sounds in the first frame begins there; one that sounds in the last ends with the roll.
    assert rows(decode({"pianoroll": frames}, EDGES, GRID)) == [
        (0.0, 0.2, 60, 64),
        (0.1, 0.4, 21, 64),
        (0.3, 0.4, 60, 64),
        (0.7, 0.9, 21, 64),
        (0.8, 1.0, 60, 64),
    ]


def test_edges_merge_what_is_struck_again_without_a_gap() -> None:
    frames = roll(k39=[0.0, 0.9, 0.9, 0.9, 0.9, 0.0])
    onset = roll(k39=[0.0, 0.9, 0.0, 0.9, 0.0, 0.0])
    assert rows(decode({"pianoroll": frames}, EDGES, GRID)) == [(0.1, 0.5, 60, 64)]
    both = decode({"pianoroll": frames, "onset": onset}, ONSETS, GRID)
    # 0.9 -> 0.0: the fall crosses 0.5 at 4/9 of the frame, half a frame before the rounded label's edge.
    assert rows(both) == [(0.1, 0.3, 60, 64), (0.3, round(0.5 + (4 / 9 - 0.5) / 10, 6), 60, 64)]


def test_onset_between_frames() -> None:
    # A triangle of half-width 1.5 frames around frame 2.25.
    onset = roll(k39=[0.0, 1 - 1.25 / 1.5, 1 - 0.25 / 1.5, 1 - 0.75 / 1.5, 0.0, 0.0])
    frames = roll(k39=[0.0, 0.0, 1.0, 1.0, 0.0, 0.0])
    velocity = roll(k39=[0.0, 90 / 127, 100 / 127, 96 / 127, 0.0, 0.0])
    notes = decode({"pianoroll": frames, "onset": onset, "velocity": velocity}, ONSETS, GRID)
    # The onset weighs velocities by 1 to 5 to 3: (90 + 500 + 288) / 9.
    assert rows(notes) == [(0.225, 0.4, 60, 98)]


def test_onset_without_sounding_frames_is_one_frame_long() -> None:
    onset = roll(k39=[0.0, 0.9, 0.0, 0.0, 0.0, 0.0])
    nothing = np.zeros_like(onset)
    assert rows(decode({"pianoroll": nothing, "onset": onset}, ONSETS, GRID)) == [
        (0.1, 0.2, 60, 64)
    ]


def test_piano_roll_may_lag_behind_the_onset() -> None:
    onset = roll(k39=[0.0, 0.9, 0.0, 0.0, 0.0, 0.0])
    frames = roll(k39=[0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    assert rows(decode({"pianoroll": frames, "onset": onset}, ONSETS, GRID)) == [(0.1, 0.4, 60, 64)]


def test_a_plateau_is_one_onset() -> None:
    onset = roll(k39=[0.0, 0.8, 0.8, 0.0, 0.0])
    frames = roll(k39=[0.0, 1.0, 1.0, 1.0, 0.0])
    assert rows(decode({"pianoroll": frames, "onset": onset}, ONSETS, GRID)) == [
        (0.15, 0.4, 60, 64)
    ]


def test_of_two_onsets_too_close_the_stronger_stays() -> None:
    config = DecodingConfig(method="onsets", onset_threshold=0.4, min_gap_ms=250.0)
    frames = roll(k39=[0.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    weaker_first = roll(k39=[0.0, 0.5, 0.0, 0.9, 0.0, 0.0])
    stronger_first = roll(k39=[0.0, 0.9, 0.0, 0.5, 0.0, 0.0])
    assert rows(decode({"pianoroll": frames, "onset": weaker_first}, config, GRID)) == [
        (0.3, 0.5, 60, 64)
    ]
    assert rows(decode({"pianoroll": frames, "onset": stronger_first}, config, GRID)) == [
        (0.1, 0.5, 60, 64)
    ]


def test_minimum_length() -> None:
    frames = roll(k0=[0.0, 1.0, 0.0, 0.0, 0.0], k39=[0.0, 1.0, 1.0, 0.0, 0.0])
    config = DecodingConfig(method="edges", min_note_ms=150.0)
    assert rows(decode({"pianoroll": frames}, config, GRID)) == [(0.1, 0.3, 60, 64)]


def test_below_the_threshold_there_is_nothing() -> None:
    quiet = roll(k39=[0.0, 0.39, 0.0])
    assert rows(decode({"pianoroll": quiet, "onset": quiet}, ONSETS, GRID)) == []
    assert rows(decode({"pianoroll": quiet}, EDGES, GRID)) == []


@pytest.mark.parametrize(
    "config",
    [
        DecodingConfig(method="edges"),
        DecodingConfig(method="onsets", onset_threshold=0.6, min_gap_ms=220.0),
        DecodingConfig(
            method="onsets", onset_threshold=0.6, min_gap_ms=220.0, offsets="expected_score"
        ),
    ],
)
def test_pieces_of_any_length_give_the_same_notes(config: DecodingConfig) -> None:
    random = np.random.default_rng(5)
    names = ("pianoroll", "onset", "offset", "velocity")
    rolls = {name: random.random((300, NUM_PITCHES), np.float32) for name in names}
    whole = decode(rolls, config, GRID)
    assert len(whole) > 1000
    for size in (1, 2, 7, 299):
        decoder = NoteDecoder(config, GRID)
        pieces = []
        for begin in range(0, 300, size):
            pieces += decoder.push({name: rolls[name][begin : begin + size] for name in names})
        assert Notes.from_rows(pieces + decoder.finish()) == whole


def test_labels_decode_to_the_notes_they_were_made_of() -> None:
    random = np.random.default_rng(6)
    grid = FrameGrid(16000, 512)
    onset = np.cumsum(random.uniform(0.15, 0.4, 200))
    pitch = random.integers(21, 109, 200)
    notes = Notes(
        onset, onset + random.uniform(0.1, 0.14, 200), pitch, random.integers(1, 128, 200)
    )
    rolls = notes_to_rolls(notes, grid.num_frames(int(16000 * (notes.end + 1))), grid)
    config = DecodingConfig(method="onsets", onset_threshold=0.4)
    found = decode(rolls, config, grid)
    np.testing.assert_array_equal(found.pitch, notes.pitch)
    np.testing.assert_array_equal(found.velocity, notes.velocity)
    np.testing.assert_allclose(found.onset, notes.onset, rtol=0, atol=1e-6)
    # Offsets are rounded to frames: off by half of one at the most, and by nothing on average.
    assert np.abs(found.offset - notes.offset).max() <= 0.016 + 1e-9
    assert abs(np.mean(found.offset - notes.offset)) < 0.002
    edges = decode(rolls, DecodingConfig(method="edges"), grid)
    assert abs(np.mean(edges.onset - notes.onset)) < 0.002


def test_peak_offset() -> None:
    before = np.array([0.0, 0.0, 0.8, 0.2, 0.5])
    peak = np.array([1.0, 0.8, 0.8, 0.6, 0.5])
    after = np.array([0.0, 0.8, 0.0, 0.4, 0.5])
    np.testing.assert_allclose(peak_offset(before, peak, after), [0.0, 0.5, -0.5, 0.25, 0.0])
