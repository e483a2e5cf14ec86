"""Test conversions of notes by hand-worked values, against pretty_midi, and there and back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas
import pretty_midi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tfamt.errors import InputError
from tfamt.notes.table import Notes

NOTES = Notes.from_rows([(0.5, 1.25, 60, 100), (1.0 / 3, 2.0, 21, 1), (0.5, 0.5, 127, 127)])

TIMES = st.floats(0, 50, width=32)
ROWS = st.lists(
    st.tuples(TIMES, st.floats(0, 5, width=32), st.integers(0, 127), st.integers(1, 127)),
    max_size=20,
).map(lambda rows: [(on, on + length, pitch, velocity) for on, length, pitch, velocity in rows])


def test_array_is_a_row_a_note() -> None:
    array = NOTES.to_array()
    assert array.dtype == np.float64
    assert array.tolist() == [[1 / 3, 2, 21, 1], [0.5, 1.25, 60, 100], [0.5, 0.5, 127, 127]]
    array[:] = 0
    assert NOTES.velocity.tolist() == [1, 100, 127]
    assert Notes.empty().to_array().shape == (0, 4)


def test_array_without_velocity_and_in_any_order() -> None:
    back = Notes.from_array([[2, 3, 60], [0, 1, 61]])
    assert list(back) == [(0.0, 1.0, 61, 64), (2.0, 3.0, 60, 64)]


@settings(deadline=None)
@given(ROWS)
def test_exact_ways_there_and_back(rows: list[tuple[float, float, int, int]]) -> None:
    notes = Notes.from_rows(rows)
    assert Notes.from_array(notes.to_array()) == notes
    assert Notes.from_dataframe(notes.to_dataframe()) == notes


def test_data_frame_has_columns_of_numbers() -> None:
    frame = NOTES.to_dataframe()
    assert frame.to_csv(index=False, float_format="%.3f").splitlines() == [
        *("onset,offset,pitch,velocity", "0.333,2.000,21,1", "0.500,1.250,60,100"),
        "0.500,0.500,127,127",
    ]
    assert [str(kind) for kind in frame.dtypes] == ["float64", "float64", "int64", "int64"]
    frame["pitch"] -= 1
    frame.loc[0, "onset"] = 0.0
    assert next(iter(NOTES)) == (1 / 3, 2.0, 21, 1)
    # All at one pitch, without the soft note, in another order, with one more column.
    changed = frame[frame.velocity > 1].sort_values("pitch").assign(pitch=36, name="x")
    assert [row[2:] for row in Notes.from_dataframe(changed)] == [(36, 127), (36, 100)]
    assert Notes.from_dataframe(frame.drop(columns="velocity")).velocity.tolist() == [64] * 3


@pytest.mark.parametrize(
    ("convert", "message"),
    [
        (lambda: Notes.from_array(np.zeros((4, 5))), r"\[n, 4\].*Received: shape \(4, 5\)"),
        (lambda: Notes.from_array([1, 2, 60, 64]), r"Received: shape \(4,\)"),
        (lambda: Notes.from_array([[0, 1, 60.5, 64]]), "a pitch is no whole number.*60.5"),
        (lambda: Notes.from_array([[0, 1, 60, np.nan]]), "a velocity is no whole number.*nan"),
        (lambda: Notes.from_array([[0, 1, 1e30, 64]]), r"a pitch is no whole number.*1e\+30"),
        (lambda: Notes.from_array([["C4", 0, 1]]), "the array must hold numbers.*C4"),
        (lambda: Notes.from_array([[0, 1, 60, 64 + 3j]]), "the array must hold numbers.*complex"),
        (lambda: Notes.from_array([[0, 1, 60], [0, 1]]), "the array must hold numbers.*inhomog"),
        (lambda: Notes.from_array(None), "the array must hold numbers.*None"),
        (
            lambda: Notes.from_dataframe(NOTES.to_dataframe().assign(pitch=[Decimal("60.5")] * 3)),
            "a pitch is no whole number.*60.5",
        ),
        (lambda: NOTES.to_pretty_midi(program=128), r"whole number in 0\.\.127. Received: 128"),
        (lambda: NOTES.to_pretty_midi(program=6.0), r"whole number in 0\.\.127. Received: 6.0"),
        (
            lambda: Notes.from_dataframe(pandas.DataFrame({"onset": [1.0], "pitch": [60]})),
            r"lacks the column offset. Received: \['onset', 'pitch'\]",
        ),
        (
            lambda: Notes.from_dataframe(NOTES.to_dataframe().assign(pitch="C4")),
            "the column pitch must hold numbers.*C4",
        ),
        (
            lambda: Notes.from_dataframe(
                NOTES.to_dataframe().assign(velocity=pandas.array([1, pandas.NA, 3], dtype="Int64"))
            ),
            "a velocity is no whole number.*nan",
        ),
        (lambda: Notes.from_piano_roll(np.zeros((128, 9)), 10), r"\[128, frames\].*transpose"),
        (lambda: Notes.from_piano_roll(np.zeros(128), 10), r"Received: shape \(128,\)"),
        (lambda: Notes.from_piano_roll(np.full((2, 128), 0.3), 10), "velocity is no whole number"),
        (lambda: Notes.from_piano_roll(np.full((2, 128), 128), 10), r"outside 1\.\.127"),
        (lambda: Notes.from_piano_roll(np.full((2, 128), -1), 10), r"outside 1\.\.127"),
        (lambda: Notes.from_piano_roll(np.full((2, 128), np.nan), 10), "no whole number.*nan"),
        (lambda: Notes.from_piano_roll(np.zeros((2, 128)), 0), "fps.*Received: 0"),
        (lambda: NOTES.piano_roll(np.inf), "fps.*Received: inf"),
        (lambda: Notes([0.0], [1e9], [60]).piano_roll(100), "piano roll of 1e"),
    ],
)
def test_refuses_what_is_no_notes(convert: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        convert()


def _sounding(roll: np.ndarray, pitch: int) -> list[int]:
    return roll[:, pitch].astype(int).tolist()


def test_roll_at_ten_frames_a_second() -> None:
    roll = Notes.from_rows(
        [
            (0.04, 0.26, 60, 100),  # frames 0 to 2
            (0.44, 0.46, 60, 90),  # frame 4: a frame at least
            (0.16, 0.16, 61, 7),  # frame 2, without any length
            # Struck again: at another velocity they meet, at the same one a frame stays silent.
            *((0.0, 0.3, 62, 50), (0.3, 0.6, 62, 51), (0.6, 0.8, 62, 51)),
            # The first is a frame long, so that no frame can be silent: they merge.
            *((0.0, 0.1, 63, 50), (0.1, 0.3, 63, 50)),
            # The second begins while the first is held.
            *((0.0, 0.9, 64, 50), (0.3, 0.5, 64, 60)),
            # Both begin in frame 1: the highest velocity, the latest end.
            *((0.08, 0.3, 127, 20), (0.11, 0.2, 127, 30)),
        ]
    ).piano_roll(10)
    assert roll.dtype == np.float32
    assert roll.shape == (8, 128)
    assert _sounding(roll, 60) == [100, 100, 100, 0, 90, 0, 0, 0]
    assert _sounding(roll, 61) == [0, 0, 7, 0, 0, 0, 0, 0]
    assert _sounding(roll, 62) == [50, 50, 50, 51, 51, 0, 51, 51]
    assert _sounding(roll, 63) == [50, 50, 50, 0, 0, 0, 0, 0]
    assert _sounding(roll, 64) == [50, 50, 50, 60, 60, 0, 0, 0]
    assert _sounding(roll, 127) == [0, 30, 30, 0, 0, 0, 0, 0]
    assert set(np.flatnonzero(roll.any(axis=0))) == {60, 61, 62, 63, 64, 127}
    assert Notes.empty().piano_roll(10).shape == (0, 128)


def test_notes_of_a_roll() -> None:
    roll = np.zeros((6, 128), np.uint8)
    roll[:, 60] = [9, 9, 0, 9, 127, 127]
    roll[2, 0] = 1
    back = Notes.from_piano_roll(roll, 4)
    assert list(back) == [
        *((0.0, 0.5, 60, 9), (0.5, 0.75, 0, 1), (0.75, 1.0, 60, 9), (1.0, 1.5, 60, 127))
    ]
    # Pressed or not, at a velocity that is not known.
    assert list(Notes.from_piano_roll(roll > 0, 4)) == [
        *((0.0, 0.5, 60, 64), (0.5, 0.75, 0, 64), (0.75, 1.5, 60, 64))
    ]
    assert Notes.from_piano_roll(roll.tolist(), 4) == back
    assert len(Notes.from_piano_roll(np.zeros((0, 128)), 4)) == 0


@settings(deadline=None, max_examples=40)
@given(
    arrays(np.int16, (12, 128), elements=st.integers(1, 127), fill=st.just(0)),
    st.sampled_from([1.0, 31.25, 100.0, 44100 / 512]),
)
def test_every_roll_comes_back(roll: np.ndarray, fps: float) -> None:
    # Neighbours of one velocity, which are rare otherwise.
    roll[6:9] = roll[5]
    sounding = np.flatnonzero(roll.any(axis=1))
    end = sounding[-1] + 1 if len(sounding) else 0
    back = Notes.from_piano_roll(roll, fps).piano_roll(fps)
    np.testing.assert_array_equal(back, roll[:end])


@settings(deadline=None, max_examples=60)
@given(ROWS, st.sampled_from([20.0, 31.25, 100.0]))
def test_notes_come_back_from_a_roll_to_a_frame(
    rows: list[tuple[float, float, int, int]], fps: float
) -> None:
    # Of each pitch one after the other, with two frames or more from onset to onset.
    spread: list[tuple[float, float, int, int]] = []
    for on, off, pitch, velocity in sorted(rows):
        before = [row for row in spread if row[2] == pitch]
        on = max([on, *(max(row[1], row[0] + 3 / fps) for row in before)])
        spread.append((on, max(on, off), pitch, velocity))
    notes = Notes.from_rows(spread)
    back = Notes.from_piano_roll(notes.piano_roll(fps), fps)
    order, order_back = (np.lexsort((each.onset, each.pitch)) for each in (notes, back))
    np.testing.assert_array_equal(back.pitch[order_back], notes.pitch[order])
    np.testing.assert_array_equal(back.velocity[order_back], notes.velocity[order])
    half = 0.5 / fps + 1e-9
    np.testing.assert_allclose(back.onset[order_back], notes.onset[order], rtol=0, atol=half)
    # Nearest frame; one of its own at least; or the silent one before the next note.
    error = back.offset[order_back] - notes.offset[order]
    assert (error >= -half - 1 / fps).all()
    assert (error <= half + 1 / fps).all()


def test_roll_is_that_of_pretty_midi() -> None:
    rng = np.random.default_rng(5)
    onset = np.arange(60) / 4  # a pitch is struck again after 12 notes, 3 s
    notes = Notes(
        *(onset, onset + rng.integers(1, 11, 60) / 4),
        *(40 + 3 * (np.arange(60) % 12), rng.integers(1, 128, 60)),
    )
    # Frames in the middle of the steps, where its rounding down and ours to the nearest agree.
    theirs = notes.to_pretty_midi().get_piano_roll(fs=4)
    ours = notes.piano_roll(4)
    np.testing.assert_array_equal(ours, theirs.T[: len(ours)])


def test_pretty_midi_holds_the_same_notes() -> None:
    midi = NOTES.to_pretty_midi(program=6)
    (instrument,) = midi.instruments
    assert (instrument.program, instrument.is_drum) == (6, False)
    assert [(n.start, n.end, n.pitch, n.velocity) for n in instrument.notes] == [*NOTES]
    assert Notes.from_pretty_midi(midi) == NOTES
    assert len(Notes.from_pretty_midi(Notes.empty().to_pretty_midi())) == 0


def test_pretty_midi_written_and_read_keeps_the_notes(tmp_path: Path) -> None:
    NOTES.to_pretty_midi().write(str(tmp_path / "theirs.mid"))
    NOTES.to_midi(tmp_path / "ours.mid", program=6)
    assert pretty_midi.PrettyMIDI(str(tmp_path / "ours.mid")).instruments[0].program == 6
    # A note without length cannot be written: to_midi gives it a tick. pretty_midi ends it before it begins, so that it
    # sounds to the end of the file, a tick after the longest note.
    ours, theirs = Notes.from_midi(tmp_path / "ours.mid"), Notes.from_midi(tmp_path / "theirs.mid")
    assert [row[2:] for row in ours] == [(21, 1), (60, 100), (127, 127)]
    np.testing.assert_allclose(ours.onset, NOTES.onset, atol=5.1e-4)
    np.testing.assert_allclose(ours.offset, NOTES.offset, atol=1.1e-3)
    assert [row[2:] for row in theirs] == [(21, 1), (60, 100), (127, 127)]
    np.testing.assert_allclose(theirs.onset, NOTES.onset, atol=5.1e-4)
    np.testing.assert_allclose(theirs.offset, [2.0, 1.25, 2.001], atol=5.1e-4)
    with pytest.raises(InputError, match="exists already"):
        NOTES.to_midi(tmp_path / "ours.mid")
    NOTES.select(NOTES.pitch > 60).to_midi(tmp_path / "ours.mid", overwrite=True)
    assert Notes.from_midi(tmp_path / "ours.mid").pitch.tolist() == [127]


def test_pretty_midi_sounds_as_long_as_the_pedal_of_its_instrument() -> None:
    midi = pretty_midi.PrettyMIDI()
    piano, other, drums = (pretty_midi.Instrument(0, is_drum=drum) for drum in (False, False, True))
    piano.notes = [pretty_midi.Note(80, 60, 0.0, 1.0), pretty_midi.Note(70, 62, 4.0, 5.0)]
    # Out of order, as editing leaves them.
    piano.control_changes = [
        pretty_midi.ControlChange(64, 0, 3.0),
        pretty_midi.ControlChange(64, 127, 0.5),
        pretty_midi.ControlChange(67, 127, 4.5),
    ]
    other.notes = [pretty_midi.Note(90, 48, 0.0, 1.0)]
    drums.notes = [pretty_midi.Note(100, 35, 0.0, 1.0)]
    midi.instruments = [piano, other, drums]
    assert list(Notes.from_pretty_midi(midi)) == [
        *((0.0, 1.0, 48, 90), (0.0, 3.0, 60, 80), (4.0, 5.0, 62, 70))
    ]


def test_plot_shows_every_note_as_a_bar() -> None:
    from matplotlib import pyplot

    axes = NOTES.plot()
    bars, onsets = axes.collections
    corners = [path.vertices[:4].tolist() for path in bars.get_paths()]
    assert corners[1] == [[0.5, 59.7], [0.5, 60.3], [1.25, 60.3], [1.25, 59.7]]
    assert bars.get_array().tolist() == [1, 100, 127]
    assert onsets.get_paths()[0].vertices.tolist() == [
        *([1 / 3, pytest.approx(20.7)], [1 / 3, pytest.approx(21.3)])
    ]
    left, right = axes.get_xlim()
    low, high = axes.get_ylim()
    assert left < 1 / 3 and 2.0 < right < 2.2 and low < 20.7 and 127.3 < high < 140
    axes.figure.canvas.draw()
    assert {label.get_text() for label in axes.get_yticklabels()} >= {"C1", "C4", "C9"}
    assert "A4" not in {label.get_text() for label in axes.get_yticklabels()}
    # Into given axes, beside what is there; whose limits grow.
    assert Notes([5.0], [6.0], [69]).plot(axes) is axes
    axes.figure.canvas.draw()
    assert "A4" in {label.get_text() for label in axes.get_yticklabels()}
    assert axes.get_xlim()[0] < 1 / 3 and axes.get_xlim()[1] > 6.0
    lower = Notes.empty().plot(pyplot.subplots()[1])
    assert len(lower.collections[0].get_paths()) == 0
    assert len(pyplot.get_fignums()) == 2
    pyplot.close("all")


@pytest.mark.parametrize(
    ("package", "convert", "purpose"),
    [
        ("pandas", NOTES.to_dataframe, "Notes.to_dataframe"),
        ("matplotlib", NOTES.plot, "Notes.plot"),
        ("pretty_midi", NOTES.to_pretty_midi, "Notes.to_pretty_midi"),
    ],
)
def test_a_missing_package_is_named(
    package: str, convert: Callable[[], object], purpose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An import of a module that is None fails like one that is not installed.
    for name in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError) as raised:
        convert()
    assert str(raised.value) == (
        f"{purpose} needs {package}, which is not installed. pip install {package}"
    )
