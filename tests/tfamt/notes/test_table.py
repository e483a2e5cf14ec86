"""Test the note table and the sustain pedal by literal cases."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tfamt.errors import InputError
from tfamt.notes.table import Notes, Row, extend_by_sustain, in_piano_range


def extended(
    rows: list[Row], pedal: list[tuple[float, int]], end: float | None = None
) -> list[tuple[float, float, int]]:
    return [row[:3] for row in extend_by_sustain(Notes.from_rows(rows), pedal, end)]


def note(onset: float, offset: float, pitch: int = 60) -> Row:
    return (onset, offset, pitch, 64)


def test_sorted_by_onset_then_pitch_then_offset() -> None:
    rows = [(1.0, 2.0, 60, 1), (0.0, 3.0, 70, 2), (1.0, 1.5, 60, 3), (1.0, 4.0, 50, 4)]
    assert [row[3] for row in Notes.from_rows(rows)] == [2, 4, 3, 1]


def test_select_shift_end_and_piano_range() -> None:
    notes = Notes([0.0, 1.0, 2.0], [0.5, 5.0, 3.0], [20, 21, 109], [1, 2, 3])
    assert notes.end == 5.0 and Notes.empty().end == 0.0
    assert in_piano_range(notes).tolist() == [False, True, False]
    assert list(notes.select(in_piano_range(notes))) == [(1.0, 5.0, 21, 2)]
    assert list(notes.shift(-0.75)) == [
        (0.0, 0.0, 20, 1),
        (0.25, 4.25, 21, 2),
        (1.25, 2.25, 109, 3),
    ]
    assert notes.intervals.tolist() == [[0.0, 0.5], [1.0, 5.0], [2.0, 3.0]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((-0.1, 1.0, 60, 64), "begins before 0 s"),
        ((1.0, 0.9, 60, 64), "ends before it begins"),
        ((0.0, float("inf"), 60, 64), "finite"),
        ((float("nan"), 1.0, 60, 64), "finite"),
        ((0.0, 1.0, 128, 64), r"pitch lies outside 0\.\.127"),
        ((0.0, 1.0, 60, 0), r"velocity lies outside 1\.\.127"),
    ],
)
def test_refuses_impossible_notes(row: Row, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Notes.from_rows([row])


@pytest.mark.parametrize(
    ("values", "received"),
    [
        ([2.5], "a velocity is no whole number. Received: 2.5."),
        ([np.nan], "a velocity is no whole number. Received: nan."),
        (np.array([2.5], object), "a velocity is no whole number. Received: 2.5."),
        ([Decimal("60.5")], "a velocity is no whole number. Received: 60.5."),
        ([Fraction(121, 2)], "a velocity is no whole number. Received: 60.5."),
        # As int64 it would be 60.
        ([2**64 + 60], "a velocity is no whole number. Received: 1.8446744073709552e+19."),
        (np.array([2**63 + 60], np.uint64), "Received: 9.223372036854776e+18."),
        ([60 + 1j], "the column velocity must hold numbers. Received: (60+1j), type complex128."),
        (["60"], "the column velocity must hold numbers. Received: 60, type <U2."),
        (np.array([60], "m8[s]"), "must hold numbers. Received: 60 seconds, type timedelta64[s]."),
        ([object()], "the column velocity must hold numbers (float() argument"),
        ([[60], [60, 61]], "the column velocity must hold numbers (setting an array element"),
    ],
)
def test_refuses_what_a_conversion_would_change(values: Any, received: str) -> None:
    with pytest.raises(InputError, match=re.escape(received)):
        Notes([0.0], [1.0], [60], values)


def test_times_must_be_real_numbers() -> None:
    for column in (["a"], [1j], np.array([1], "m8[s]"), [[0.0], [0.0, 1.0]]):
        with pytest.raises(InputError, match="the column onset must hold numbers"):
            Notes(column, [1.0], [60])


def test_takes_whole_numbers_of_any_type() -> None:
    for kind in (np.uint8, np.int16, np.uint64, np.float16, np.float32, object):
        assert Notes([0], [1], np.array([60], kind), np.array([7], kind)) == Notes(0, 1, 60, 7)
    half = Notes([Fraction(1, 2)], [Decimal("0.75")], [Decimal(60)])
    assert list(half) == [(0.5, 0.75, 60, 64)]


def test_refuses_columns_of_unequal_length() -> None:
    with pytest.raises(InputError, match="of one length"):
        Notes([0.0, 1.0], [1.0, 2.0], [60])


def test_pedal_holds_what_is_released_under_it() -> None:
    assert extended([note(0, 1)], [(0.5, 127), (3.0, 0)]) == [(0, 3, 60)]


def test_pedal_released_before_the_key_changes_nothing() -> None:
    assert extended([note(0, 1)], [(0.2, 127), (0.9, 0)]) == [(0, 1, 60)]


def test_pedal_pressed_after_the_release_changes_nothing() -> None:
    assert extended([note(0, 1)], [(1.1, 127), (3.0, 0)]) == [(0, 1, 60)]


def test_pedal_pressed_exactly_at_key_release_catches_the_note() -> None:
    assert extended([note(0, 1)], [(1.0, 127), (3.0, 0)]) == [(0, 3, 60)]


def test_pedal_released_exactly_at_key_release() -> None:
    assert extended([note(0, 1)], [(0.5, 127), (1.0, 0)]) == [(0, 1, 60)]


def test_pedal_lifted_and_pressed_again_at_once_lets_go() -> None:
    assert extended([note(0, 1)], [(0.5, 127), (2.0, 0), (2.0, 127), (4.0, 0)]) == [(0, 2, 60)]


def test_only_values_from_64_hold() -> None:
    assert extended([note(0, 1)], [(0.5, 63), (3.0, 0)]) == [(0, 1, 60)]
    assert extended([note(0, 1)], [(0.5, 64), (3.0, 63)]) == [(0, 3, 60)]
    # A pedal that moves while down is one pedal.
    assert extended([note(0, 1)], [(0.5, 70), (2.0, 100), (3.0, 10)]) == [(0, 3, 60)]


def test_restrike_under_the_pedal_ends_the_first_note() -> None:
    rows = [note(0, 1), note(2, 2.5), note(2.2, 2.4, 61)]
    assert extended(rows, [(0.5, 127), (4.0, 0)]) == [(0, 2, 60), (2, 4, 60), (2.2, 4, 61)]


def test_pedal_never_released_lets_go_at_the_last_event() -> None:
    assert extended([note(0, 1), note(5, 6, 61)], [(0.5, 127)]) == [(0, 6, 60), (5, 6, 61)]
    assert extended([note(0, 1)], [(0.5, 127), (7.0, 100)]) == [(0, 7, 60)]
    assert extended([note(0, 1)], [(0.5, 127)], end=9.0) == [(0, 9, 60)]


def test_overlapping_equal_pitches_end_at_the_restrike_even_without_pedal() -> None:
    assert extended([note(0, 3), note(1, 2)], []) == [(0, 1, 60), (1, 2, 60)]


def test_equal_onsets_of_one_pitch_keep_their_own_ends() -> None:
    rows = [note(0, 1), note(0, 3), note(5, 6)]
    assert extended(rows, []) == [(0, 1, 60), (0, 3, 60), (5, 6, 60)]


def test_zero_length_notes_are_held_too() -> None:
    assert extended([note(1, 1)], [(0.5, 127), (2.0, 0)]) == [(1, 2, 60)]
    assert extended([note(1, 1)], []) == [(1, 1, 60)]


def test_extension_agrees_with_a_keyboard_simulated_event_by_event() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        onset = rng.integers(0, 60, 12) / 2
        rows = [
            note(float(t), float(t + d), int(p))
            for t, d, p in zip(
                onset, rng.integers(1, 9, 12) / 4, rng.integers(60, 63, 12), strict=True
            )
        ]
        rows = list({(row[0], row[2]): row for row in rows}.values())
        times = np.unique(rng.integers(0, 128, 8)) / 4 + 0.125
        pedal = [
            (float(t), int(v)) for t, v in zip(times, rng.choice([0, 127], len(times)), strict=True)
        ]
        assert extended(rows, pedal, end=100.0) == simulated(rows, pedal, 100.0)


def simulated(
    rows: list[Row], pedal: list[tuple[float, int]], end: float
) -> list[tuple[float, float, int]]:
    """Plays eighths of a second one by one; a string sounds while its key or the pedal holds it."""
    ends: dict[tuple[float, int], float] = {}
    down = False
    moves = dict(pedal)
    for step in range(int(end * 8) + 1):
        now = step / 8
        down = moves[now] >= 64 if now in moves else down
        for onset, offset, pitch, _ in rows:
            struck_again = any(p == pitch and onset < o <= now for o, _, p, _ in rows)
            over = struck_again or (offset <= now and not down) or now == end
            if onset < now and over and (onset, pitch) not in ends:
                ends[onset, pitch] = now
    return [(row[0], ends[row[0], row[2]], row[2]) for row in Notes.from_rows(rows)]
