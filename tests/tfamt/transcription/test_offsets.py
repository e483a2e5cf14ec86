"""Test offsets by expected score: by hand, against plain loops, in the decoder."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tfamt.config import Config, DecodingConfig, ModelConfig
from tfamt.errors import InputError
from tfamt.frames import FrameGrid
from tfamt.notes.piano_roll import notes_to_rolls
from tfamt.notes.table import NUM_PITCHES, Notes
from tfamt.transcription.note_decoder import NoteDecoder, decode
from tfamt.transcription.offsets import (
    expected_score_offsets,
    frames_until_faded,
    sounding_probabilities,
)

GRID = FrameGrid(16000, 512)
FRAME = 0.032
EXPECTED_SCORE = DecodingConfig(method="onsets", onset_threshold=0.4, offsets="expected_score")


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def end_of(pianoroll: np.ndarray, offset: np.ndarray, threshold: float, lead: float) -> float:
    sounds = sounding_probabilities(pianoroll, threshold)
    transcribed = np.stack([sounds, offset.astype(np.float64)], axis=-1)
    return float(expected_score_offsets([transcribed], np.array([lead]), FRAME)[0])


def faded_after(pianoroll: np.ndarray) -> int | None:
    return frames_until_faded(sounding_probabilities(pianoroll, 0.5))


def test_a_clean_fall_is_the_end() -> None:
    # Five sounding frames: labels are rounded, so it was released within half a frame of the sixth.
    sounding, released = column(1, 1, 1, 1, 1, 0), column(0, 0, 0, 0, 0, 0)
    assert end_of(sounding, released, 0.5, 1.0) == 5.0
    # Never let go: it ends behind the last frame.
    assert end_of(column(1, 1, 1), column(0, 0, 0), 0.5, 1.0) == 3.0
    assert end_of(column(), column(), 0.5, 1.0) == 0.0


def test_the_end_lies_where_most_of_the_release_is_within_the_tolerance() -> None:
    # Let go after 10 frames with a chance of 0.6, after 60 to 69 with 0.04 each: no later end is more often right.
    early = np.r_[np.ones(10), 0.4 - 0.04 * np.clip(np.arange(-50, 11) + 1, 0, 10)]
    nothing = np.zeros(len(early), np.float32)
    assert end_of(early.astype(np.float32), nothing, 0.5, 1.0) == 10.0
    # After 10 frames with 0.45, after 60 to 69 with 0.055 each: any end between them all is right with 0.55, and the
    # longer it is the more frames count that sound with 0.55 and more; a threshold of 0.5 would say 61.
    late = np.r_[np.ones(10), 0.55 - 0.055 * np.clip(np.arange(-50, 11) + 1, 0, 10)]
    end = end_of(late.astype(np.float32), nothing, 0.5, 1.0)
    # 0.55, 0.495, 0.44 are worth a frame, 0.385 is not (0.42).
    assert end == 62.0


def test_the_threshold_is_where_chances_are_even() -> None:
    # By a threshold of 0.2 an output of 0.5 means odds of 4: held with 0.8, worth its frames; by 0.8 with 0.2.
    hovering = np.r_[np.ones(10), np.full(20, 0.5), 0.0].astype(np.float32)
    nothing = np.zeros(len(hovering), np.float32)
    assert end_of(hovering, nothing, 0.2, 1.0) == 30.0
    assert end_of(hovering, nothing, 0.8, 1.0) == 10.0


def by_hand(pianoroll: np.ndarray, offset: np.ndarray, threshold: float, lead: float) -> float:
    """`expected_score_offsets` for one note in plain Python."""
    odds = [float(p) / (1.0 - float(p)) / (threshold / (1.0 - threshold)) for p in pianoroll]
    held = [odd / (1.0 + odd) for odd in odds]
    peak = max(range(min(3, len(held))), key=lambda i: (held[i], -i))
    held = [max(p, held[peak]) if i < peak else p for i, p in enumerate(held)]
    held = list(itertools.accumulate(held, min))
    falls = [0.0] + [a - b for a, b in itertools.pairwise([*held, 0.0])]
    total, released = sum(falls), float(offset.sum(dtype=np.float64))
    chances = [
        0.5 * fall / total + 0.5 * float(off) / released
        for fall, off in zip(falls, [*offset, 0.0], strict=True)
    ]
    worths = []
    for end in range(len(chances)):
        reach = max(0.05 / FRAME, 0.2 * (end + lead))
        right = sum(c for i, c in enumerate(chances) if abs(i - end) <= reach)
        worths.append(right + 1.0 * FRAME * sum(p - 0.42 for p in held[:end]))
    best = [i for i, worth in enumerate(worths) if worth >= max(worths) - 1e-6]
    return best[len(best) // 2]


def test_against_plain_loops() -> None:
    """Notes of all lengths at once, more than are looked at together, and one that was never transcribed."""
    random = np.random.default_rng(2)
    transcribed, leads, expected = [np.zeros((0, 2))], [1.0], [0.0]
    for _ in range(300):
        length = int(random.integers(1, 120))
        pianoroll = np.sort(random.random(length))[::-1] + random.normal(0, 0.05, length)
        pianoroll = pianoroll.clip(0.001, 0.999).astype(np.float32)
        offset = (random.random(length) ** 8 + 1e-3).astype(np.float32)
        lead = float(random.uniform(0.5, 1.5))
        threshold = float(random.uniform(0.1, 0.9))
        transcribed.append(
            np.stack([sounding_probabilities(pianoroll, threshold), offset], axis=-1)
        )
        leads.append(lead)
        expected.append(by_hand(pianoroll, offset, threshold, lead))
    np.testing.assert_array_equal(
        expected_score_offsets(transcribed, np.array(leads), FRAME), expected
    )


def test_a_note_has_faded_when_nobody_holds_it_or_a_second_after_its_fall() -> None:
    assert faded_after(column(1, 1, 1, 0.04, 1)) == 4
    assert faded_after(column(1, 1, 1, 1, 1)) is None
    # What rises late has not faded before: the peak of the first three frames counts.
    assert faded_after(column(0.01, 0.01, 0.9, 0.9)) is None
    assert faded_after(column(0.01, 0.01)) is None
    hovering = np.r_[np.ones(10), np.full(40, 0.3)].astype(np.float32)
    assert faded_after(hovering) == 10 + 32
    assert faded_after(hovering[:41]) is None


def test_labels_decode_to_the_notes_they_were_made_of() -> None:
    random = np.random.default_rng(6)
    onset = np.cumsum(random.uniform(0.3, 0.6, 200))
    length = random.uniform(0.05, 3.0, 200)
    # Each pitch in turn, so that no key is struck while it sounds.
    notes = Notes(onset, onset + length, 30 + np.arange(200) % 40, np.full(200, 70))
    rolls = notes_to_rolls(notes, GRID.num_frames(int(16000 * (notes.end + 1))), GRID)
    found = decode(rolls, EXPECTED_SCORE, GRID)
    np.testing.assert_array_equal(found.pitch, notes.pitch)
    np.testing.assert_allclose(found.onset, notes.onset, atol=1e-6)
    error = found.offset - notes.offset
    assert (np.abs(error) <= np.maximum(0.05, 0.2 * length)).all()
    # Within half a frame, neither early nor late.
    assert np.median(np.abs(error)) < 0.016
    assert abs(np.median(error)) < 0.003


def test_a_key_struck_again_ends_its_note_there() -> None:
    notes = Notes([0.3, 1.3], [1.3, 2.0], [60, 60], [70, 70])
    rolls = notes_to_rolls(notes, 100, GRID)
    found = decode(rolls, EXPECTED_SCORE, GRID)
    np.testing.assert_allclose(found.offset, [1.3, 2.0], atol=0.017)
    assert found.offset[0] <= found.onset[1]


def test_a_note_is_final_within_the_latency() -> None:
    """A note whose probability hovers below the threshold for ever."""
    frames = np.zeros((200, NUM_PITCHES), np.float32)
    rolls = {name: frames.copy() for name in ("pianoroll", "onset", "offset")}
    rolls["pianoroll"][10:20, 39], rolls["pianoroll"][20:, 39] = 0.9, 0.3
    rolls["onset"][10, 39] = 1.0
    decoder = NoteDecoder(EXPECTED_SCORE, GRID)
    assert decoder.lag_frames == 33
    for frame in range(200):
        if decoder.push({name: roll[frame : frame + 1] for name, roll in rolls.items()}):
            break
    # The last frame pushed is number 20 + 33, the note's threshold end 20.
    assert frame == 52


def test_what_it_needs_is_checked() -> None:
    with pytest.raises(InputError, match="needs decoding_method=onsets"):
        DecodingConfig(method="edges", offsets="expected_score")
    with pytest.raises(InputError, match="needs a model with an offset head"):
        Config(model=ModelConfig(heads=("pianoroll", "onset")), decoding=EXPECTED_SCORE)
