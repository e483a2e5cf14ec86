"""Test the kinds of errors on a piece worked out by hand, and their sums on any piece."""

from __future__ import annotations

import numpy as np

from tfamt.evaluation.error_analysis import KINDS, add_counts, count_errors
from tfamt.notes.table import Notes


def notes(*rows: tuple[float, float, int]) -> Notes:
    return Notes.from_rows([(*row, 64) for row in rows])


def counts(**given: int) -> dict[str, int]:
    return dict.fromkeys(KINDS, 0) | given


def test_toy_piece_worked_by_hand() -> None:
    reference = notes(
        (0.0, 1.0, 60),  # found
        (0.0, 1.0, 64),  # found, 0.3 s too short
        (0.0, 1.0, 67),  # found, 0.3 s too long
        (2.0, 3.0, 60),  # found 120 ms late
        (2.0, 3.0, 64),  # found 80 ms early
        (4.0, 5.0, 60),  # found
        (4.5, 5.5, 60),  # runs on from the one before: its re-strike is not transcribed
        (4.0, 6.0, 67),  # found, and struck again at 5.0 by mistake
        (7.0, 8.0, 72),  # transcribed an octave lower as well
        (9.0, 9.5, 80),  # missed
    )
    estimate = notes(
        (0.01, 1.0, 60),
        (0.0, 0.7, 64),
        (0.0, 1.3, 67),
        (2.12, 3.0, 60),
        (1.92, 3.0, 64),
        (4.0, 5.1, 60),
        (4.0, 5.0, 67),
        (5.0, 6.0, 67),
        (7.0, 8.0, 72),
        (7.03, 7.5, 60),
        (9.6, 9.9, 30),  # extra
    )
    assert count_errors(reference, estimate) == counts(
        hits=6, too_short=2, too_long=1, early=1, late=1, missed_restrike=1, false_restrike=1, octave=1, missed=1,
        extra=1,
    )  # fmt: skip


def test_edges_of_the_kinds() -> None:
    one = notes((1.0, 2.0, 60))
    assert count_errors(one, notes((1.2, 2.0, 60))) == counts(late=1)
    # 201 ms late is a note of its own; the reference note sounds then, so it is a false re-strike.
    assert count_errors(one, notes((1.201, 2.0, 60))) == counts(missed=1, false_restrike=1)
    assert count_errors(one, notes((0.799, 0.9, 60))) == counts(missed=1, extra=1)
    assert count_errors(one, notes((1.0, 2.0, 48))) == counts(missed=1, octave=1)
    assert count_errors(one, notes((1.0, 2.0, 84))) == counts(missed=1, octave=1)
    assert count_errors(one, notes((1.0, 2.0, 67))) == counts(missed=1, extra=1)
    assert count_errors(one, notes((1.0, 2.2, 60))) == counts(hits=1)
    assert count_errors(one, notes((1.0, 2.21, 60))) == counts(hits=1, too_long=1)
    # Of two candidates the nearer is the displaced one.
    two = notes((1.06, 1.1, 60), (1.1, 1.2, 60))
    assert count_errors(one, two) == counts(late=1, false_restrike=1)


def test_nothing_is_nothing() -> None:
    one = notes((1.0, 2.0, 60))
    assert count_errors(Notes.empty(), Notes.empty()) == counts()
    assert count_errors(one, Notes.empty()) == counts(missed=1)
    assert count_errors(Notes.empty(), one) == counts(extra=1)
    assert count_errors(one, one) == counts(hits=1)


def test_every_note_is_counted_once() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        tables = []
        for _ in range(2):
            onset = rng.uniform(0, 10, 120)
            tables.append(Notes(onset, onset + rng.uniform(0, 1, 120), rng.integers(55, 70, 120)))
        reference, estimate = tables
        found = count_errors(reference, estimate)
        shared = found["hits"] + found["early"] + found["late"]
        assert shared + found["missed_restrike"] + found["missed"] == len(reference)
        assert shared + found["false_restrike"] + found["octave"] + found["extra"] == len(estimate)
        assert min(found.values()) >= 0
        turned = count_errors(estimate, reference)
        assert (turned["hits"], turned["early"] + turned["late"]) == (
            found["hits"], found["early"] + found["late"],
        )  # fmt: skip
        assert (turned["missed_restrike"], turned["false_restrike"]) == (
            found["false_restrike"],
            found["missed_restrike"],
        )


def test_counts_add_up() -> None:
    assert add_counts({"hits": 1, "late": 2}, {"hits": 3, "x": 1}) == {"hits": 4, "late": 2, "x": 1}
    assert add_counts() == {}
