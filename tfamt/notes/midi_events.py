"""Read the chunks and events of a standard MIDI file (MIDI 1.0, "Standard MIDI Files 1.0", RP-001).

Only what decides which notes sound when is kept, as two integers an event. Libraries make an object of every event,
300 MB for a million, and refuse a file for one key signature that is out of range.
"""

from __future__ import annotations

import os
import re
from array import array
from collections import Counter
from dataclasses import dataclass, field

from tfamt.errors import InputError

NOTE_OFF, NOTE_ON, CONTROL_CHANGE = 0x80, 0x90, 0xB0
SUSTAIN_CONTROLLER = 64
ALL_SOUND_OFF = 120
RESET_CONTROLLERS = 121
ALL_NOTES_OFF = (123, 124, 125, 126, 127)
"""All notes off, and the changes of mode that imply it."""
FILM_RATES = {24: 24.0, 25: 25.0, 29: 30_000 / 1001, 30: 30.0}
"""Frames per second by the number in an SMPTE division; 29 stands for 30 drop frame."""

_KEPT_CONTROLLERS = frozenset(
    {SUSTAIN_CONTROLLER, ALL_SOUND_OFF, RESET_CONTROLLERS, *ALL_NOTES_OFF}
)
_SYSTEM_DATA_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0, **dict.fromkeys(range(0xF8, 0xFF), 0)}
_PORT, _END_OF_TRACK, _SET_TEMPO = 0x21, 0x2F, 0x51
_CHUNK_NAME = re.compile(rb"[ -~]{4}")
_NO_HEADER_BEYOND = 4096


@dataclass
class Track:
    """Events of one track.

    Attributes:
      ticks: int64, when each event is, counted from the beginning of the track; rising.
      codes: uint32, what each event is: port << 24 | status << 16 | first data byte << 8 | second data byte.
      tempos: (tick, microseconds per quarter note) in order.
      end: tick of its last event of any kind.
    """

    ticks: array[int] = field(default_factory=lambda: array("q"))
    codes: array[int] = field(default_factory=lambda: array("I"))
    tempos: list[tuple[int, int]] = field(default_factory=list)
    end: int = 0


@dataclass
class MidiFile:
    """Tracks of a file.

    Attributes:
      kind: 0 for one track, 1 for simultaneous tracks, 2 for independent ones.
      ticks_per_quarter: 1..32767, or None where the file counts in film frames.
      ticks_per_second: of a file that counts in film frames (SMPTE), else 0.
      tracks: in the order of the file, one at least.
      remarks: what was repaired or ignored, a clause each.
    """

    kind: int
    ticks_per_quarter: int | None
    ticks_per_second: float
    tracks: list[Track]
    remarks: list[str]


class _DamageError(Exception):
    """A place from which the bytes of a track make no sense."""


def parse_events(content: bytes, name: str | os.PathLike[str]) -> MidiFile:
    """Read a file, whatever its header, key signatures and unknown chunks state.

    A track is whole if it has an end-of-track event, or ends where its length states. A track that breaks off, or
    holds what is no event, makes the file unreadable: part of the notes would be taken for all.

    Args:
      content: the bytes of the file.
      name: its name, for messages.

    Raises:
      InputError: these bytes are no MIDI file.
    """
    if not content:
        raise InputError("the file is empty", path=name)
    try:
        return _parse(content)
    except _DamageError as error:
        raise InputError(f"is not a readable MIDI file ({error})", path=name) from error


def count(number: int, noun: str) -> str:
    """Return "1 note" or "2 notes"."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def _parse(content: bytes) -> MidiFile:
    remarks: list[str] = []
    content = _without_riff(content)
    start = content.find(b"MThd", 0, _NO_HEADER_BEYOND)
    if start < 0:
        raise _DamageError("it has no header MThd")
    if start:
        remarks.append(f"{count(start, 'byte')} before the header ignored")
    length = int.from_bytes(content[start + 4 : start + 8], "big")
    fields = content[start + 8 : start + 14]
    if length < 6 or len(fields) < 6:
        raise _DamageError("its header is too short")
    kind, announced, division = (int.from_bytes(fields[i : i + 2], "big") for i in (0, 2, 4))
    per_quarter, per_second = _division(division)
    tracks = _parse_chunks(content, start + 8 + length, remarks)
    if not tracks:
        raise _DamageError("it holds no track")
    if announced != len(tracks):
        there = count(len(tracks), "track")
        remarks.append(
            f"the header announces {count(announced, 'track')}, the file has {there}: all read"
        )
    if kind > 2:
        remarks.append(f"its unknown type {kind} read as type 1")
    return MidiFile(kind if kind < 3 else 1, per_quarter, per_second, tracks, remarks)


def _without_riff(content: bytes) -> bytes:
    """Return the chunk "data" of RIFF MIDI, anything else as it is."""
    if content[:4] + content[8:12] != b"RIFFRMID":
        return content
    position = 12
    while position + 8 <= len(content):
        size = int.from_bytes(content[position + 4 : position + 8], "little")
        if content[position : position + 4] == b"data":
            return content[position + 8 : position + 8 + size]
        # Chunks of odd length are padded.
        position += 8 + size + size % 2
    raise _DamageError("it is RIFF MIDI without a chunk of data")


def _division(division: int) -> tuple[int | None, float]:
    if not division:
        raise _DamageError("a quarter note has 0 ticks")
    if division < 0x8000:
        return division, 0.0
    rate, ticks_per_frame = 256 - (division >> 8), division & 0xFF
    if rate not in FILM_RATES or not ticks_per_frame:
        raise _DamageError(f"it counts {ticks_per_frame} ticks in each of {rate} frames per second")
    return None, FILM_RATES[rate] * ticks_per_frame


def _parse_chunks(content: bytes, position: int, remarks: list[str]) -> list[Track]:
    tracks: list[Track] = []
    unknown: Counter[str] = Counter()
    stray = 0
    faults: dict[str, list[int]] = {}
    while position < len(content):
        name, end = content[position : position + 4], position + 8
        end += int.from_bytes(content[position + 4 : end], "big")
        if name == b"MTrk":
            number = len(tracks) + 1
            track, position, found = _parse_track(content, position + 8, end, number)
            tracks.append(track)
            for fault in found:
                faults.setdefault(fault, []).append(number)
        elif _CHUNK_NAME.fullmatch(name) and end <= len(content):
            unknown[name.decode("ascii")] += 1
            position = end
        else:
            following = content.find(b"MTrk", position)
            following = len(content) if following < 0 else following
            stray += following - position
            position = following
    if unknown:
        names = ", ".join(repr(name) for name in sorted(unknown)[:5])
        remarks.append(f"{count(unknown.total(), 'unknown chunk')} ignored ({names})")
    if stray:
        remarks.append(f"{count(stray, 'byte')} between or after the chunks ignored")
    for fault, numbers in faults.items():
        shown = ", ".join(map(str, numbers[:5])) + ("..." if len(numbers) > 5 else "")
        remarks.append(f"{fault} (track {shown})")
    return tracks


def _parse_track(content: bytes, start: int, end: int, number: int) -> tuple[Track, int, list[str]]:
    """Return a track, where the next chunk begins, and what was repaired or ignored."""
    track = Track()
    whole = end <= len(content)
    # A length beyond the file's end may be that of each of many tracks, so it must not be copied.
    data = content[start:end] if whole else memoryview(content)[start:]
    faults: list[str] = []
    try:
        used, ended = _parse_track_events(data, track, faults)
    except IndexError as error:
        raise _DamageError(f"track {number} breaks off") from error
    except _DamageError as error:
        raise _DamageError(f"track {number} holds {error}") from error
    if not ended and (used > len(data) or not whole):
        raise _DamageError(f"track {number} breaks off")
    if not whole:
        return (
            track,
            start + used,
            [*dict.fromkeys(faults), "a length beyond the file's end ignored"],
        )
    if used < len(data):
        faults.append("events after the end of the track ignored")
    return track, end, [*dict.fromkeys(faults)]


def _parse_track_events(
    data: bytes | memoryview, track: Track, faults: list[str]
) -> tuple[int, bool]:
    """Read events into a track; return how many bytes they take, and whether they end with an end-of-track event.

    Raises:
      IndexError: the data end within an event.
      _DamageError: there is something that is no event.
    """
    size, position, tick, running, port = len(data), 0, 0, 0, 0
    add_tick, add_code = track.ticks.append, track.codes.append
    while position < size:
        byte = data[position]
        position += 1
        if byte < 0x80:
            tick += byte
        else:
            delta, position = _variable_length(data, position - 1)
            tick += delta
        track.end = tick
        status = data[position]
        if status >= 0x80:
            position += 1
        elif running:
            # Some programs go on with the status of a note after a meta event, which the standard forbids.
            status = running
        else:
            raise _DamageError(f"data without an event at byte {position}")
        if status < 0xF0:
            running = status
            kind = status & 0xF0
            first = data[position]
            second = 0 if kind in (0xC0, 0xD0) else data[position + 1]
            if (first | second) >= 0x80:
                raise _DamageError(f"an event with a data byte above 127 at byte {position}")
            position += 1 if kind in (0xC0, 0xD0) else 2
            if kind <= NOTE_ON or (kind == CONTROL_CHANGE and first in _KEPT_CONTROLLERS):
                add_tick(tick)
                add_code(port << 24 | status << 16 | first << 8 | second)
        elif status in (0xF0, 0xF7, 0xFF):
            kind = data[position] if status == 0xFF else 0
            length, position = _variable_length(data, position + (status == 0xFF))
            payload = data[position : position + length]
            position += length
            if position > size:
                raise IndexError
            if status != 0xFF:
                continue
            if kind == _END_OF_TRACK:
                return position, True
            if kind == _PORT and payload:
                port = payload[0]
            elif kind == _SET_TEMPO:
                tempo = int.from_bytes(payload, "big") if length == 3 else 0
                if tempo:
                    track.tempos.append((tick, tempo))
                else:
                    faults.append("a tempo of 0 or without a number ignored")
        elif status in _SYSTEM_DATA_BYTES:
            position += _SYSTEM_DATA_BYTES[status]
        else:
            raise _DamageError(
                f"an event of unknown length (status {status:#x}) at byte {position}"
            )
    return position, False


def _variable_length(data: bytes | memoryview, position: int) -> tuple[int, int]:
    """Return a number of 7 bits a byte, and the position behind it."""
    value = 0
    for index in range(position, position + 4):
        byte = data[index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, index + 1
    raise _DamageError(f"a number of more than four bytes at byte {position}")
