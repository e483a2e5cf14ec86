"""Notes from and to standard MIDI files."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mido
import numpy as np
import pretty_midi
from numpy.typing import NDArray

from tfamt.errors import InputError
from tfamt.notes.table import Notes, Row, extend_by_sustain
from tfamt.utils.output_paths import new_file

if TYPE_CHECKING:
    import pretty_midi

SUSTAIN_CONTROLLER = 64
BEATS_PER_SECOND = 2
"""120 quarter notes a minute: MIDI's default tempo, so a reader that ignores tempo events is right too."""
RESOLUTIONS = (500, 300, 200, 100, 50)
"""Ticks per quarter note, finest first.

500 makes a tick of exactly 1 ms and times right to 0.5 ms. pretty_midi, and so every program that reads with it,
refuses a file of more than 10^7 ticks (2 h 46 min of them), so longer transcriptions take the next resolution:
0.83 ms up to 4.6 h, 1.25 ms up to 6.9 h. For these numbers pretty_midi also stores the tempo exactly; for some
others, 49 and 107 among them, it is cut off to 499,999 us per beat, a drift of 7 ms an hour.
"""
MAX_TICKS = 10_000_000


def read_midi(path: str | os.PathLike[str]) -> Notes:
    """Reads the notes of a MIDI file; see `parse_midi`.

    Raises:
      InputError: the file is missing, cannot be read, or is no MIDI file.
    """
    return parse_midi(read_bytes(path), path)


def parse_midi(content: bytes, name: str | os.PathLike[str]) -> Notes:
    """Notes of all instruments together, extended by each instrument's sustain pedal.

    Drums (channel 10) are left out. A note-on of velocity 0 is a note-off, as MIDI defines it; a note that never
    ends, or ends in the tick in which it begins and never again, has no length and is left out. Where one
    instrument strikes a pitch again before its release, the first note ends there (`extend_by_sustain`).

    Args:
      content: the bytes of the file.
      name: what to call it in messages.

    Raises:
      InputError: these bytes are no MIDI file.
    """
    if not content:
        raise InputError("the file is empty", path=name)
    # The header's last two bytes are ticks per beat, or with the top bit set, film frames per second.
    if content[:4] == b"MThd" and content[12:13] >= b"\x80":
        raise InputError("counts time in SMPTE frames, which is not supported", path=name)
    midi = _load(content, name)
    rows: list[Row] = []
    for instrument in midi.instruments:
        if not instrument.is_drum:
            rows.extend(_instrument_notes(instrument))
    return Notes.from_rows(rows)


def write_midi(
    notes: Notes, path: str | os.PathLike[str], *, program: int = 0, overwrite: bool = False
) -> None:
    """Writes notes as one track, without pedal: each note-off stands where the sound ends.

    Times keep to 1 ms for recordings of up to 4.6 hours (`RESOLUTIONS`). MIDI cannot say which of two sounding
    notes of one pitch a note-off means, so a note ends where its pitch is struck again, and of several that begin
    in one tick the loudest and longest is written. Every note lasts a tick at least.

    Args:
      notes: the notes.
      path: the file to write, whole or not at all.
      program: General MIDI program 0..127; 0 is a grand piano.
      overwrite: whether an existing file may be replaced.

    Raises:
      InputError: the program is out of range, the file exists or cannot be written, or the notes reach beyond
        what MIDI time can hold at the coarsest resolution (27 hours).
    """
    if not 0 <= program <= 127:
        raise InputError(f"a MIDI program must lie in 0..127. Received: {program}")
    resolution = _resolution_for(notes.end)
    strokes = _separate_strokes(notes, resolution * BEATS_PER_SECOND)
    with new_file(path, overwrite=overwrite) as temporary:
        _write(strokes, temporary, program, resolution)


def _write(strokes: NDArray[np.int64], path: Path, program: int, resolution: int) -> None:
    """Writes a track of tempo and a track of notes; messages are made one at a time, so memory stays small."""
    tempo = mido.MetaMessage("set_tempo", tempo=1_000_000 // BEATS_PER_SECOND)
    tracks = [[mido.MetaMessage("time_signature"), tempo], _messages(strokes, program)]
    mido.MidiFile(ticks_per_beat=resolution, tracks=tracks).save(str(path))


def _messages(strokes: NDArray[np.int64], program: int) -> Iterator[Any]:
    """The messages of the track of notes; a note-off is a note-on of velocity 0, as is usual in files."""
    begin, end, pitch, velocity = strokes.T
    events = np.concatenate(
        [np.stack([end, pitch, 0 * end], axis=1), np.stack([begin, pitch, velocity], axis=1)]
    )
    # In one tick what ends comes before what begins.
    events = events[np.lexsort((events[:, 1], events[:, 2] > 0, events[:, 0]))]
    yield mido.Message("program_change", program=program)
    now = 0
    for row in events:
        tick, note, strength = map(int, row)
        yield mido.Message("note_on", note=note, velocity=strength, time=tick - now)
        now = tick
    yield mido.MetaMessage("end_of_track", time=1)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The content of a file.

    Raises:
      InputError: it cannot be read, with the reason.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", path=path) from error


def _load(content: bytes, name: str | os.PathLike[str]) -> pretty_midi.PrettyMIDI:

    try:
        return pretty_midi.PrettyMIDI(io.BytesIO(content))
    # The parser has no error type of its own: broken bytes end in OSError, EOFError, ValueError, IndexError,
    # KeyError, ZeroDivisionError and more, all of which mean the same here.
    except Exception as error:
        detail = " ".join(str(error).split()) or "it ends too early"
        raise InputError(f"is not a readable MIDI file ({detail})", path=name) from error


def _instrument_notes(instrument: pretty_midi.Instrument) -> Notes:
    held = Notes.from_rows((n.start, n.end, n.pitch, n.velocity) for n in instrument.notes)
    pedal = [
        (c.time, c.value) for c in instrument.control_changes if c.number == SUSTAIN_CONTROLLER
    ]
    pedal.sort(key=lambda event: event[0])
    return extend_by_sustain(held, pedal)


def _resolution_for(end: float) -> int:
    for resolution in RESOLUTIONS:
        # A second to spare for the note-off and the end of the track.
        if (end + 1.0) * resolution * BEATS_PER_SECOND < MAX_TICKS:
            return resolution
    raise InputError(f"the notes end after {end:.0f} s, which is too late for a MIDI file")


def _separate_strokes(notes: Notes, ticks_per_second: int) -> NDArray[np.int64]:
    """Rows (begin, end, pitch, velocity) in ticks, int64 [m, 4], no two of a pitch sounding together."""
    begin = np.round(notes.onset * ticks_per_second).astype(np.int64)
    end = np.maximum(np.round(notes.offset * ticks_per_second).astype(np.int64), begin + 1)
    order = np.lexsort((begin, notes.pitch))
    begin, end = begin[order], end[order]
    pitch, velocity = notes.pitch[order], notes.velocity[order]
    new = (np.diff(begin, prepend=-1) != 0) | (np.diff(pitch, prepend=-1) != 0)
    first = np.flatnonzero(new)
    begin, pitch = begin[first], pitch[first]
    end, velocity = np.maximum.reduceat(end, first), np.maximum.reduceat(velocity, first)
    again = np.flatnonzero(pitch[1:] == pitch[:-1])
    end[again] = np.minimum(end[again], begin[again + 1])
    return np.stack([begin, end, pitch, velocity], axis=1)
