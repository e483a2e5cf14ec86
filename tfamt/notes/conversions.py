"""Convert notes to what other packages calculate with, and back.

`tfamt.notes.table.Notes` offers each function as a method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfamt.errors import InputError
from tfamt.notes.columns import REAL_KINDS, real_numbers
from tfamt.notes.midi import check_program
from tfamt.notes.table import DEFAULT_VELOCITY, Notes, Row, extend_by_sustain
from tfamt.notes.time_steps import separate_notes
from tfamt.utils.optional_packages import import_package

if TYPE_CHECKING:
    import pandas
    import pretty_midi

COLUMNS = ("onset", "offset", "pitch", "velocity")
NUM_MIDI_PITCHES = 128
_SUSTAIN_CONTROLLER = 64
_MAX_FRAMES = 2**31


def to_array(notes: Notes) -> NDArray[np.float64]:
    """Return notes as float64 [n, 4], a row of onset, offset (seconds), pitch and velocity for each."""
    return np.stack([notes.onset, notes.offset, notes.pitch, notes.velocity], axis=1)


def from_array(array: ArrayLike) -> Notes:
    """Return the notes of an array [n, 4] as `to_array` makes it, rows in any order; or [n, 3], without velocity.

    Raises:
      InputError: it has another shape or impossible notes.
    """
    rows = real_numbers(array, "the array")
    if rows.ndim != 2 or rows.shape[1] not in (3, 4):
        raise InputError(
            "an array of notes must be [n, 4] (onset, offset, pitch, velocity) or [n, 3] (without velocity). "
            f"Received: shape {rows.shape}"
        )
    return Notes(*rows.T)


def to_dataframe(notes: Notes) -> pandas.DataFrame:
    """Return a pandas.DataFrame with a row for each note: onset, offset (float64, seconds), pitch, velocity (int64).

    Raises:
      InputError: pandas is not installed.
    """
    frame = import_package("pandas", "Notes.to_dataframe").DataFrame
    return frame({name: getattr(notes, name) for name in COLUMNS})


def from_dataframe(frame: pandas.DataFrame) -> Notes:
    """Return the notes of a data frame with columns onset, offset, pitch and, if desired, velocity.

    Rows may come in any order; index and other columns are ignored.

    Raises:
      InputError: a column is missing or no number, or a note is impossible.
    """
    missing = [name for name in COLUMNS[:3] if name not in frame.columns]
    if missing:
        raise InputError(
            f"a data frame of notes lacks the column {missing[0]}. Received: {[*frame.columns]}"
        )
    names = [name for name in COLUMNS if name in frame.columns]
    return Notes(*(real_numbers(frame[name], f"the column {name}") for name in names))


def to_pretty_midi(notes: Notes, *, program: int = 0) -> pretty_midi.PrettyMIDI:
    """Return a pretty_midi.PrettyMIDI with one instrument, times as they are, without pedal.

    In a file that pretty_midi writes, a note that begins and ends in one tick sounds until the end of the file;
    `tfamt.notes.midi.write_midi` gives it a tick.

    Args:
      notes: the notes.
      program: General MIDI program 0..127; 0 is a grand piano.

    Raises:
      InputError: the program is out of range.
    """
    check_program(program)
    module = import_package("pretty_midi", "Notes.to_pretty_midi")
    instrument = module.Instrument(program)
    instrument.notes = [
        module.Note(velocity, pitch, onset, offset) for onset, offset, pitch, velocity in notes
    ]
    # A tick of 1 ms, for those who write a file with it.
    midi = module.PrettyMIDI(resolution=500, initial_tempo=120.0)
    midi.instruments.append(instrument)
    return midi


def from_pretty_midi(midi: pretty_midi.PrettyMIDI) -> Notes:
    """Return the notes of all instruments but drums, each extended by the sustain pedal of its instrument.

    As in `tfamt.notes.midi.read_midi`, a note ends where its instrument strikes its pitch again.

    Raises:
      InputError: a note is impossible.
    """
    rows: list[Row] = []
    for instrument in midi.instruments:
        if not instrument.is_drum:
            rows.extend(_sounding_notes(instrument))
    return Notes.from_rows(rows)


def _sounding_notes(instrument: pretty_midi.Instrument) -> Notes:
    held = Notes.from_rows((n.start, n.end, n.pitch, n.velocity) for n in instrument.notes)
    pedal = [
        (change.time, change.value)
        for change in instrument.control_changes
        if change.number == _SUSTAIN_CONTROLLER
    ]
    return extend_by_sustain(held, sorted(pedal, key=lambda change: change[0]))


def to_piano_roll(notes: Notes, fps: float) -> NDArray[np.float32]:
    """Return the velocity of what sounds in each frame, 0 where nothing does: float32 [frames, 128].

    A note sounds from the frame nearest its onset up to, not including, the frame nearest its offset, a frame at least;
    frame t is at t / fps seconds. A note ends where its pitch is struck again, and if both have one velocity, a frame
    earlier, since they would merge otherwise. Of several that begin in one frame, one stays, with the highest velocity.

    Args:
      notes: the notes.
      fps: frames per second.

    Raises:
      InputError: fps is no positive number, or the roll would have more than 2^31 frames.
    """
    _check_rate(fps)
    if notes.end * fps >= _MAX_FRAMES:
        raise InputError(f"a piano roll of {notes.end:g} s at {fps:g} frames/s is too long")
    begin, end, pitch, velocity = separate_notes(notes, fps).T
    # Rows are sorted by pitch, then begin.
    merges = (end[:-1] == begin[1:]) & (pitch[:-1] == pitch[1:]) & (velocity[:-1] == velocity[1:])
    shortened = np.flatnonzero(merges & (end[:-1] > begin[:-1] + 1))
    end[shortened] -= 1
    roll = np.zeros((end.max(initial=0), NUM_MIDI_PITCHES), np.float32)
    for first, last, key, value in zip(begin, end, pitch, velocity, strict=True):
        roll[first:last, key] = value
    return roll


def from_piano_roll(roll: ArrayLike, fps: float) -> Notes:
    """Return the notes of a piano roll as `to_piano_roll` makes it; a note ends where the value changes.

    Args:
      roll: [frames, 128], velocities 0..127; or bool, for the velocity 64.
      fps: frames per second.

    Raises:
      InputError: the roll has another shape or other values, or fps is no positive number.
    """
    _check_rate(fps)
    values = np.asarray(roll)
    if values.dtype.kind not in REAL_KINDS:
        values = real_numbers(values, "the piano roll")
    if values.ndim != 2 or values.shape[1] != NUM_MIDI_PITCHES:
        raise InputError(
            f"a piano roll must be [frames, {NUM_MIDI_PITCHES}]. Received: shape {values.shape}",
            fix="For one of pretty_midi, [128, frames], pass its transpose: roll.T.",
        )
    silence = np.zeros((1, NUM_MIDI_PITCHES), values.dtype)
    padded = np.concatenate([silence, values, silence])
    changes = padded[1:] != padded[:-1]
    # By pitch, then time: a note lasts from one change to the next.
    pitch, frame = np.nonzero(changes.T)
    begin, end, key = frame[:-1], frame[1:], pitch[:-1]
    sounds = (pitch[1:] == key) & (begin < len(values))
    begin, end, key = begin[sounds], end[sounds], key[sounds]
    velocity = values[begin, key]
    played = velocity != 0
    if values.dtype == bool:
        velocity = velocity * DEFAULT_VELOCITY
    return Notes(begin[played] / fps, end[played] / fps, key[played], velocity[played])


def _check_rate(fps: float) -> None:
    if not (np.isfinite(fps) and fps > 0):
        raise InputError(f"fps, frames per second, must be a positive number. Received: {fps}")
