"""Read and write standard MIDI files: one reader and one writer, for labels, transcriptions and rendering."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mido
import numpy as np
from numpy.typing import NDArray

from tfamt.errors import InputError
from tfamt.notes.midi_channels import MidiChannel, follow_channels
from tfamt.notes.midi_events import SUSTAIN_CONTROLLER, count, parse_events
from tfamt.notes.table import Notes, extend_by_sustain
from tfamt.notes.time_steps import separate_notes
from tfamt.utils.output_paths import new_file

MIDI_SUFFIXES = (".mid", ".midi", ".rmi", ".kar")
"""Standard MIDI files by their usual names: .rmi is MIDI in RIFF, .kar has the text of a song in it."""
LATEST_SECONDS = 1e5
"""Latest end of a note, 27 hours, which is what `write_midi` can hold: later times come from damage."""
BEATS_PER_SECOND = 2
"""120 quarter notes a minute, MIDI's default tempo, so a reader that ignores tempo events is right too."""
RESOLUTIONS = (500, 300, 200, 100, 50)
"""Ticks per quarter note, finest first.

500 makes a tick of exactly 1 ms and times right to 0.5 ms. pretty_midi, and so every program that reads with it,
refuses a file of more than 10^7 ticks (2 h 46 min of them), so longer transcriptions take the next resolution: 0.83 ms
up to 4.6 h, 1.25 ms up to 6.9 h. For these numbers pretty_midi also stores the tempo exactly; for some others, 49 and
107 among them, it is truncated to 499,999 us per beat, a drift of 7 ms an hour.
"""
MAX_TICKS = 10_000_000


@dataclass(frozen=True, eq=False)
class MidiContent:
    """Notes and pedals of a MIDI file.

    Attributes:
      channels: those with notes.
      remarks: what was repaired or ignored, a clause each.
    """

    channels: tuple[MidiChannel, ...]
    remarks: tuple[str, ...]

    @property
    def notes(self) -> Notes:
        """Return the notes of all channels, each extended by its sustain pedal.

        Where one channel strikes a pitch again before its release, the first note ends there (`extend_by_sustain`).
        """
        sounding = [extend_by_sustain(item.held, item.pedal) for item in self.channels]
        columns = ("onset", "offset", "pitch", "velocity")
        if not sounding:
            return Notes.empty()
        return Notes(*(np.concatenate([getattr(n, c) for n in sounding]) for c in columns))


@dataclass(frozen=True, eq=False)
class MidiTrack:
    """Events of one track for the writer, all times in ticks.

    Attributes:
      key_presses: int64 [n, 4], rows (begin, end, pitch, velocity), no two of a pitch sounding together.
      program: General MIDI program, 0..127.
      pedal: int64 [m, 2], (tick, CC64 value) in order of time.
      bend: pitch bend from the beginning, -8192..8191; None to write none.
    """

    key_presses: NDArray[np.int64]
    program: int = 0
    pedal: NDArray[np.int64] | None = None
    bend: int | None = None


def parse_midi_content(content: bytes, name: str | os.PathLike[str]) -> MidiContent:
    """Read the channels of a MIDI file as they sound, without percussion.

    Types 0, 1 and 2 (whose tracks follow each other), tempo changes on any track, any division, SMPTE too. Keys and
    pedals belong to their channel, on whichever track. A note-on of velocity 0 is a note-off, as MIDI defines it.
    All sound off, all notes off and a reset of controllers act. A note that never ends lasts until the file's end; one
    that ends in the tick in which it begins has no length and is left out.

    Args:
      content: the bytes of the file.
      name: its name, for messages.

    Raises:
      InputError: these bytes are no MIDI file, or a note lies beyond `LATEST_SECONDS`.
    """
    file = parse_events(content, name)
    remarks = file.remarks
    channels = follow_channels(file, remarks)
    percussion = sum(len(item.held) for item in channels if item.is_percussion)
    if percussion:
        remarks.append(f"{count(percussion, 'note')} of percussion (channel 10) left out")
    pitched = tuple(item for item in channels if not item.is_percussion)
    end = max((item.held.end for item in pitched), default=0.0)
    if end > LATEST_SECONDS:
        raise InputError(
            f"holds a note that ends after {end:.4g} s", path=name, fix="Its times are damaged."
        )
    return MidiContent(pitched, tuple(remarks))


def read_midi(path: str | os.PathLike[str]) -> Notes:
    """Read the notes of a MIDI file; see `parse_midi_content`.

    Raises:
      InputError: the file is missing, cannot be read, or is no MIDI file.
    """
    return parse_midi(read_bytes(path), path)


def parse_midi(content: bytes, name: str | os.PathLike[str]) -> Notes:
    """Read the notes of all channels but percussion, each extended by its sustain pedal; see `parse_midi_content`.

    Args:
      content: the bytes of the file.
      name: its name, for messages.

    Raises:
      InputError: as `parse_midi_content`.
    """
    return parse_midi_content(content, name).notes


def write_midi(
    notes: Notes, path: str | os.PathLike[str], *, program: int = 0, overwrite: bool = False
) -> None:
    """Write notes as one track, without pedal: each note-off stands where the sound ends.

    Times keep to 1 ms for recordings of up to 4.6 hours (`RESOLUTIONS`). In MIDI a note-off does not identify one of
    two sounding notes of a pitch, so a note ends where its pitch is struck again. Of several that begin in one tick,
    one is written, with the highest velocity and the latest end. Every note lasts a tick at least.

    Args:
      notes: the notes.
      path: the file to write, whole or not at all.
      program: General MIDI program 0..127; 0 is a grand piano.
      overwrite: whether an existing file may be replaced.

    Raises:
      InputError: the program is out of range, the file exists or cannot be written, or the notes reach beyond what MIDI
        time can hold at the coarsest resolution (27 hours).
    """
    check_program(program)
    resolution = _resolution_for(notes.end)
    key_presses = separate_notes(notes, resolution * BEATS_PER_SECOND)
    with new_file(path, overwrite=overwrite) as temporary, temporary.open("wb") as file:
        file.write(encode_midi(MidiTrack(key_presses, program), resolution))


def check_program(program: int) -> None:
    """Refuse what is no General MIDI program.

    Raises:
      InputError: it is no whole number from 0 to 127.
    """
    if not isinstance(program, (int, np.integer)) or not 0 <= program <= 127:
        raise InputError(f"a MIDI program must be a whole number in 0..127. Received: {program}")


def encode_midi(track: MidiTrack, resolution: int) -> bytes:
    """Return a MIDI file of a track of tempo (120 beats a minute) and a track of events.

    Messages are made one at a time, so memory stays small.

    Args:
      track: the events.
      resolution: ticks per quarter note.
    """
    tempo = mido.MetaMessage("set_tempo", tempo=1_000_000 // BEATS_PER_SECOND)
    tracks = [[mido.MetaMessage("time_signature"), tempo], _messages(track)]
    content = io.BytesIO()
    mido.MidiFile(ticks_per_beat=resolution, tracks=tracks).save(file=content)
    return content.getvalue()


def _messages(track: MidiTrack) -> Iterator[Any]:
    """Yield the messages of a track; a note-off is a note-on of velocity 0, as is usual in files.

    In one tick the pedal comes first, then notes end, then notes begin.
    """
    begin, end, pitch, velocity = track.key_presses.T
    pedal = track.pedal if track.pedal is not None else np.zeros((0, 2), np.int64)
    kinds = (
        np.stack([pedal[:, 0], 0 * pedal[:, 0], 0 * pedal[:, 0], pedal[:, 1]], axis=1),
        np.stack([end, 0 * end + 1, pitch, 0 * end], axis=1),
        np.stack([begin, 0 * begin + 2, pitch, velocity], axis=1),
    )
    events = np.concatenate(kinds)
    # Pedal changes of one tick keep their order.
    order = np.lexsort((np.where(events[:, 1] > 0, events[:, 2], 0), events[:, 1], events[:, 0]))
    yield mido.Message("program_change", program=track.program)
    if track.bend is not None:
        yield mido.Message("pitchwheel", pitch=track.bend)
    now = 0
    for row in events[order]:
        tick, kind, note, value = map(int, row)
        if kind == 0:
            yield mido.Message(
                "control_change", control=SUSTAIN_CONTROLLER, value=value, time=tick - now
            )
        else:
            yield mido.Message("note_on", note=note, velocity=value, time=tick - now)
        now = tick
    yield mido.MetaMessage("end_of_track", time=1)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return the content of a file.

    Raises:
      InputError: it cannot be read, with the reason.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", path=path) from error


def _resolution_for(end: float) -> int:
    for resolution in RESOLUTIONS:
        # A second to spare for the note-off and the end of the track.
        if (end + 1.0) * resolution * BEATS_PER_SECOND < MAX_TICKS:
            return resolution
    raise InputError(f"the notes end after {end:.0f} s, which is too late for a MIDI file")
