"""Hold notes in a table: the result of a transcription.

Glossary: a *note* is one press of a key: *onset* and *offset* in seconds from the start of the recording,
*pitch* as a MIDI note number (60 = middle C), *velocity* 1..127. An *interval* is a pair (onset, offset).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfamt import notes as notes_package
from tfamt.errors import InputError
from tfamt.notes.columns import real_numbers, whole_numbers

if TYPE_CHECKING:
    import os

    import pandas
    import pretty_midi
    from matplotlib.axes import Axes

LOWEST_PITCH = 21
HIGHEST_PITCH = 108
NUM_PITCHES = HIGHEST_PITCH - LOWEST_PITCH + 1
DEFAULT_VELOCITY = 64
SUSTAIN_THRESHOLD = 64
"""A sustain pedal (CC64) at this value or above holds notes (General MIDI; facts of MAESTRO)."""

Row = tuple[float, float, int, int]


def midi_to_hz(pitch: ArrayLike) -> NDArray[np.float64]:
    """Return the fundamental frequencies of MIDI note numbers, A4 = 69 at 440 Hz."""
    hz: NDArray[np.float64] = 440.0 * 2.0 ** ((np.asarray(pitch) - 69) / 12.0)
    return hz


@dataclass(frozen=True, eq=False)
class Notes:
    """A table of n notes, sorted by onset, then pitch.

    Attributes:
      onset: float64 [n], seconds.
      offset: float64 [n], seconds.
      pitch: int64 [n], MIDI note numbers 0..127.
      velocity: int64 [n], 1..127.

    Raises:
      InputError: arrays of unequal length, times that are negative, not finite or reversed, pitches
        or velocities that are out of range or no whole numbers, or anything that is no real number.
    """

    onset: NDArray[np.float64]
    offset: NDArray[np.float64]
    pitch: NDArray[np.int64]
    velocity: NDArray[np.int64]

    def __init__(
        self,
        onset: ArrayLike,
        offset: ArrayLike,
        pitch: ArrayLike,
        velocity: ArrayLike | None = None,
    ):
        onset_ = np.atleast_1d(real_numbers(onset, "the column onset"))
        offset_ = np.atleast_1d(real_numbers(offset, "the column offset"))
        pitch_ = whole_numbers(pitch, "pitch")
        velocity_ = (
            np.full(onset_.shape, DEFAULT_VELOCITY, np.int64)
            if velocity is None
            else whole_numbers(velocity, "velocity")
        )
        _validate(onset_, offset_, pitch_, velocity_)
        order = np.lexsort((offset_, pitch_, onset_))
        for name, column in zip(
            ("onset", "offset", "pitch", "velocity"),
            (onset_, offset_, pitch_, velocity_),
            strict=True,
        ):
            object.__setattr__(self, name, column[order])

    @classmethod
    def empty(cls) -> Notes:
        """Return a table without notes."""
        return cls([], [], [], [])

    @classmethod
    def from_rows(cls, rows: Iterable[Row]) -> Notes:
        """Build a table from (onset, offset, pitch, velocity) rows in any order."""
        columns = list(zip(*rows, strict=True))
        return cls(*columns) if columns else cls.empty()

    @classmethod
    def from_midi(cls, path: str | os.PathLike[str]) -> Notes:
        """Read a MIDI file: see `tfamt.notes.midi.read_midi`."""
        return notes_package.read_midi(path)

    @classmethod
    def from_pretty_midi(cls, midi: pretty_midi.PrettyMIDI) -> Notes:
        """Convert a PrettyMIDI: all instruments but drums, extended by their sustain pedals."""
        return notes_package.from_pretty_midi(midi)

    @classmethod
    def from_dataframe(cls, frame: pandas.DataFrame) -> Notes:
        """Convert a data frame with columns onset, offset, pitch and, if desired, velocity."""
        return notes_package.from_dataframe(frame)

    @classmethod
    def from_piano_roll(cls, roll: ArrayLike, fps: float) -> Notes:
        """Convert velocities [frames, 128], or bool, at a number of frames per second."""
        return notes_package.from_piano_roll(roll, fps)

    @classmethod
    def from_array(cls, array: ArrayLike) -> Notes:
        """Convert an array [n, 4] of onset, offset, pitch, velocity; or [n, 3], without velocity."""
        return notes_package.from_array(array)

    def to_midi(
        self, path: str | os.PathLike[str], *, program: int = 0, overwrite: bool = False
    ) -> None:
        """Write a MIDI file: see `tfamt.notes.midi.write_midi`."""
        notes_package.write_midi(self, path, program=program, overwrite=overwrite)

    def to_pretty_midi(self, *, program: int = 0) -> pretty_midi.PrettyMIDI:
        """Convert to a PrettyMIDI with one instrument of this General MIDI program."""
        return notes_package.to_pretty_midi(self, program=program)

    def to_dataframe(self) -> pandas.DataFrame:
        """Convert to a data frame with columns onset, offset, pitch, velocity; needs pandas."""
        return notes_package.to_dataframe(self)

    def piano_roll(self, fps: float) -> NDArray[np.float32]:
        """Convert to velocities, float32 [frames, 128], at a number of frames per second; 0 is silence."""
        return notes_package.to_piano_roll(self, fps)

    def to_array(self) -> NDArray[np.float64]:
        """Convert to float64 [n, 4]: onset, offset, pitch, velocity."""
        return notes_package.to_array(self)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw into axes of matplotlib, by default of a new figure, and return them: they have no way back."""
        return notes_package.plot_notes(self, ax)

    def __len__(self) -> int:
        return len(self.onset)

    def __iter__(self) -> Iterator[Row]:
        return zip(
            self.onset.tolist(),
            self.offset.tolist(),
            self.pitch.tolist(),
            self.velocity.tolist(),
            strict=True,
        )

    def __repr__(self) -> str:
        if not len(self):
            return "Notes(0 notes)"
        return (
            f"Notes({len(self)} notes, {self.onset.min():.2f} to {self.end:.2f} s, "
            f"pitches {self.pitch.min()} to {self.pitch.max()})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Notes) and list(self) == list(other)

    @property
    def intervals(self) -> NDArray[np.float64]:
        """Return onsets and offsets as float64 [n, 2], seconds: the form that mir_eval takes."""
        return np.stack([self.onset, self.offset], axis=1)

    @property
    def end(self) -> float:
        """Return the last offset in seconds, 0 without notes."""
        return float(self.offset.max()) if len(self) else 0.0

    def select(self, mask: NDArray[np.bool_]) -> Notes:
        """Return the notes where `mask`, bool [n], is true."""
        return Notes(self.onset[mask], self.offset[mask], self.pitch[mask], self.velocity[mask])

    def shift(self, seconds: float) -> Notes:
        """Move all notes in time; onsets before 0 become 0."""
        return Notes(
            np.maximum(self.onset + seconds, 0.0),
            np.maximum(self.offset + seconds, 0.0),
            self.pitch,
            self.velocity,
        )


def in_piano_range(notes: Notes) -> NDArray[np.bool_]:
    """Return which notes a piano has (pitch 21..108), bool [n]."""
    return (notes.pitch >= LOWEST_PITCH) & (notes.pitch <= HIGHEST_PITCH)


def extend_by_sustain(notes: Notes, pedal: ArrayLike, end: float | None = None) -> Notes:
    """Extend notes by the sustain pedal: until it is released or the same pitch is struck again.

    Args:
      notes: notes as the keys were held.
      pedal: float [m, 2], (time in seconds, CC64 value 0..127) in order of time.
      end: where a pedal that is never released lets go; default: the last event of either kind.

    Returns:
      The notes with later offsets. A note whose key is struck again ends at the re-strike at the latest, held
      key or not: a string sounds one note at a time.
    """
    offset = releases_by_sustain(notes, pedal, end)
    restruck = _next_onset_of_same_pitch(notes)
    offset = np.maximum(np.minimum(offset, restruck), notes.onset)
    return Notes(notes.onset, offset, notes.pitch, notes.velocity)


def releases_by_sustain(
    notes: Notes, pedal: ArrayLike, end: float | None = None
) -> NDArray[np.float64]:
    """Return when key and pedal have both released each note, ignoring re-strikes: float64 [n], seconds.

    Arguments are those of `extend_by_sustain`.
    """
    events = np.asarray(pedal, np.float64).reshape(-1, 2)
    last = max(notes.end, float(events[-1, 0]) if len(events) else 0.0) if end is None else end
    held = _pedal_intervals(events, last)
    if not len(held):
        return notes.offset.copy()
    index = np.searchsorted(held[:, 0], notes.offset, side="right") - 1
    release = np.where(index >= 0, held[index, 1], -np.inf)
    # The pedal that goes down at the very moment of the key's release catches the note.
    return np.maximum(notes.offset, release)


def _pedal_intervals(events: NDArray[np.float64], end: float) -> NDArray[np.float64]:
    """Return the intervals [k, 2] in seconds during which the pedal is down."""
    down = events[:, 1] >= SUSTAIN_THRESHOLD
    changed = np.diff(down, prepend=False)
    times = events[changed, 0]
    if len(times) % 2:
        times = np.append(times, max(end, times[-1]))
    intervals: NDArray[np.float64] = times.reshape(-1, 2)
    return intervals


def _next_onset_of_same_pitch(notes: Notes) -> NDArray[np.float64]:
    """Return for each note the next onset of the same pitch, or infinity: float64 [n]."""
    following = np.full(len(notes), np.inf)
    for pitch in np.unique(notes.pitch):
        where = np.flatnonzero(notes.pitch == pitch)
        onsets = notes.onset[where]
        later = np.searchsorted(onsets, onsets, side="right")
        has_later = later < len(onsets)
        following[where[has_later]] = onsets[later[has_later]]
    return following


def _validate(
    onset: NDArray[np.float64],
    offset: NDArray[np.float64],
    pitch: NDArray[np.int64],
    velocity: NDArray[np.int64],
) -> None:
    shapes = [column.shape for column in (onset, offset, pitch, velocity)]
    if len(set(shapes)) != 1 or onset.ndim != 1:
        raise InputError(
            f"onset, offset, pitch and velocity must be of one length. Received: shapes {shapes}"
        )
    if not (np.isfinite(onset).all() and np.isfinite(offset).all()):
        raise InputError("note times must be finite numbers")
    for wrong, text in (
        (onset < 0, "a note begins before 0 s"),
        (offset < onset, "a note ends before it begins"),
        ((pitch < 0) | (pitch > 127), "a pitch lies outside 0..127"),
        ((velocity < 1) | (velocity > 127), "a velocity lies outside 1..127"),
    ):
        if wrong.any():
            n = int(np.flatnonzero(wrong)[0])
            row = (float(onset[n]), float(offset[n]), int(pitch[n]), int(velocity[n]))
            raise InputError(f"{text}. Received: note {n} (onset, offset, pitch, velocity) = {row}")
