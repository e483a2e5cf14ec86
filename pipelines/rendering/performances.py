"""Represent a performance as events that can be played and labelled alike: keys, sustain pedal, tuning."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfamt.errors import InputError
from tfamt.notes.midi import (
    BEATS_PER_SECOND,
    MidiContent,
    MidiTrack,
    encode_midi,
    parse_midi_content,
)
from tfamt.notes.table import (
    HIGHEST_PITCH,
    LOWEST_PITCH,
    SUSTAIN_THRESHOLD,
    Notes,
    extend_by_sustain,
)

TICKS_PER_SECOND = 1000
"""The grid that all events of a performance lie on, so that labels and MIDI file agree exactly."""
BEND_RANGE = 200.0
"""Cents that a full pitch bend amounts to in General MIDI."""


@dataclass(frozen=True, eq=False)
class Performance:
    """Events of one piano, all times in whole ticks.

    Attributes:
      keys: int64 [n, 4], rows (press, release, pitch, velocity) sorted by press; a key is released before it is
        pressed again.
      pedal: int64 [m, 2], rows (time, 1 for down or 0 for up), in turn.
      cents: how much sharper than A4 = 440 Hz the piano is tuned.
      program: General MIDI program that plays, counted from 0; 0 is a grand piano.
    """

    keys: NDArray[np.int64]
    pedal: NDArray[np.int64]
    cents: float = 0.0
    program: int = 0

    @property
    def held(self) -> Notes:
        """Return the notes as the keys are held."""
        press, release, pitch, velocity = self.keys.T
        return Notes(press / TICKS_PER_SECOND, release / TICKS_PER_SECOND, pitch, velocity)

    @property
    def pedal_positions(self) -> NDArray[np.float64]:
        """Float64 [m, 2]: seconds, and 127 for down or 0 for up."""
        positions: NDArray[np.float64] = self.pedal * np.array([1.0 / TICKS_PER_SECOND, 127.0])
        return positions

    @property
    def notes(self) -> Notes:
        """Return the notes as they sound: extended by the pedal, but not beyond the next onset of the key."""
        return extend_by_sustain(self.held, self.pedal_positions)


def performance_of(notes: Notes, pedal: NDArray[np.float64], cents: float = 0.0) -> Performance:
    """Round held keys and pedal positions to the grid.

    Args:
      notes: notes as the keys were held; what a piano does not have is left out. Of notes of one key in one tick the
        loudest is taken; a key still held at its next onset is released there.
      pedal: float64 [m, 2], (seconds, CC64 value) in order of time.
      cents: see `Performance`.
    """
    inside = notes.select((notes.pitch >= LOWEST_PITCH) & (notes.pitch <= HIGHEST_PITCH))
    press = np.rint(inside.onset * TICKS_PER_SECOND).astype(np.int64)
    release = np.maximum(np.rint(inside.offset * TICKS_PER_SECOND).astype(np.int64), press + 1)
    keys = np.stack([press, release, inside.pitch, inside.velocity], axis=1)
    keys = keys[np.lexsort((-keys[:, 3], keys[:, 0], keys[:, 2]))]
    same_key = keys[1:, 2] == keys[:-1, 2]
    first = np.concatenate([[True], ~(same_key & (keys[1:, 0] == keys[:-1, 0]))])[: len(keys)]
    keys = keys[first]
    same_key = keys[1:, 2] == keys[:-1, 2]
    keys[:-1, 1] = np.where(same_key, np.minimum(keys[:-1, 1], keys[1:, 0]), keys[:-1, 1])
    return Performance(keys[np.lexsort((keys[:, 2], keys[:, 0]))], _pedal_changes(pedal), cents)


def _pedal_changes(pedal: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return only the moments at which the pedal begins or ceases to hold notes."""
    events = np.asarray(pedal, np.float64).reshape(-1, 2)
    down = (events[:, 1] >= SUSTAIN_THRESHOLD).astype(np.int64)
    changed = np.diff(down, prepend=0) != 0
    time = np.rint(events[:, 0] * TICKS_PER_SECOND).astype(np.int64)
    return np.stack([time[changed], down[changed]], axis=1)


def parse_performance(content: bytes, name: str | os.PathLike[str]) -> Performance:
    """Read all channels of a MIDI file but percussion, as if one pianist played them.

    Args:
      content: the bytes of the file.
      name: its name, for messages.

    Raises:
      InputError: these bytes are no MIDI file, or it has no notes.
    """
    return performance_of_midi(parse_midi_content(content, name), name)


def performance_of_midi(midi: MidiContent, name: str | os.PathLike[str]) -> Performance:
    """Return all channels of a MIDI file as if one pianist played them.

    Raises:
      InputError: there are no notes; `name` is that of the file.
    """
    held = Notes.from_rows(row for item in midi.channels for row in item.held)
    if not len(held):
        raise InputError("has no notes", path=name)
    pedal = np.concatenate([item.pedal for item in midi.channels])
    return performance_of(held, pedal[np.argsort(pedal[:, 0], kind="stable")])


def midi_bytes(performance: Performance, end: float) -> bytes:
    """Return the performance as a MIDI file for a synthesiser; at `end` seconds the pedal is released for good."""
    release = [round(end * TICKS_PER_SECOND), 0]
    pedal = np.concatenate([performance.pedal * np.array([1, 127]), [release]]).astype(np.int64)
    press, up, pitch, velocity = performance.keys.T
    key_presses = np.stack([press, up, pitch, velocity], axis=1)
    bend = round(performance.cents / BEND_RANGE * 8192)
    track = MidiTrack(key_presses, performance.program, pedal, bend)
    return encode_midi(track, TICKS_PER_SECOND // BEATS_PER_SECOND)
