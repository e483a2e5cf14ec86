"""Read the label files of the data sets, and our own, as notes.

Formats, distinguished by suffix and header:

- `.mid`, `.midi`, `.rmi`, `.kar`: standard MIDI (`tfamt.notes.midi`).
- `.txt`: MAPS: columns OnsetTime, OffsetTime, MidiPitch separated by tabs, times in seconds, offsets already extended
  by the sustain pedal, no velocity (Emiya, Bertin, David and Badeau, "MAPS", 2010).
- `.csv` with onset, offset, pitch[, velocity]: what `tfamt.outputs.write_csv` writes, times in seconds.
- `.csv` with start_time, end_time, ..., note, ...: MusicNet, times in samples at 44,100 Hz, no velocity (Thickstun,
  Harchaoui and Kakade, "Learning Features of Music from Scratch", 2017).

Notes come as labelled: notes of one pitch that overlap stay so, except in MIDI, which cannot distinguish them.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from pathlib import Path

from tfamt.errors import InputError
from tfamt.notes.midi import LATEST_SECONDS, MIDI_SUFFIXES, parse_midi_content, read_bytes
from tfamt.notes.table import DEFAULT_VELOCITY, Notes, Row

LABEL_SUFFIXES = (*MIDI_SUFFIXES, ".txt", ".csv")
"""What `read_labels` reads; where a recording has several label files, an earlier one is the better source."""
MUSICNET_RATE = 44_100
ONSET_BEYOND_AUDIO = 2.0
"""Seconds by which an onset may lie after the end of the audio: MIDI files of MAESTRO are a little longer."""
OFFSET_BEYOND_AUDIO = 60.0
"""Seconds by which an offset may lie after the end of the audio: pedals of MAESTRO are held for up to 9 s more."""

_MAPS_HEADER = ("onsettime", "offsettime", "midipitch")
_OWN_COLUMNS = {"onset", "offset", "pitch"}
_MUSICNET_COLUMNS = {"start_time", "end_time", "note"}

NumberedFields = Iterator[tuple[int, list[str]]]


def read_labels(path: str | os.PathLike[str]) -> Notes:
    """Read a label file of any of the formats above.

    Raises:
      InputError: the file is missing or broken, with its name and line.
    """
    return read_labels_and_remarks(path)[0]


def read_labels_and_remarks(path: str | os.PathLike[str]) -> tuple[Notes, tuple[str, ...]]:
    """Read a label file as `read_labels` does; return what was repaired or ignored as well, a clause each."""
    if _suffix(path) not in LABEL_SUFFIXES:
        raise _unknown_format(path)
    return parse_labels_and_remarks(read_bytes(path), path)


def parse_labels(content: bytes, name: str | os.PathLike[str]) -> Notes:
    """Read labels from bytes; see `parse_labels_and_remarks`."""
    return parse_labels_and_remarks(content, name)[0]


def parse_labels_and_remarks(
    content: bytes, name: str | os.PathLike[str], audio_seconds: float = math.inf
) -> tuple[Notes, tuple[str, ...]]:
    """Read labels from bytes, for files inside archives.

    Args:
      content: the bytes of the file.
      name: its name, whose suffix gives the format, for messages too.
      audio_seconds: length of the recording, which the labels must fit.

    Returns:
      The notes, and what was repaired or ignored, a clause each.

    Raises:
      InputError: as `read_labels`; or a label lies too far beyond the end of the audio (`ONSET_BEYOND_AUDIO`,
        `OFFSET_BEYOND_AUDIO`).
    """
    suffix = _suffix(name)
    if suffix in MIDI_SUFFIXES:
        midi = parse_midi_content(content, name)
        notes = midi.notes
        latest = float(notes.onset.max(initial=0.0))
        if reason := _beyond(latest, notes.end, audio_seconds):
            raise InputError(reason, path=name)
        return notes, midi.remarks
    if suffix not in LABEL_SUFFIXES:
        raise _unknown_format(name)
    lines = _text(content, name).splitlines()
    if not any(line.strip() for line in lines):
        raise InputError(
            "the file is empty", path=name, fix="A label file has at least a header line."
        )
    read_rows = _maps_rows if suffix == ".txt" else _csv_rows
    return Notes.from_rows(read_rows(lines, name, audio_seconds)), ()


def labels_have_velocity(path: str | os.PathLike[str]) -> bool:
    """Return whether a label file states velocities: MIDI, and csv with a column velocity.

    Raises:
      InputError: the file cannot be read.
    """
    if _suffix(path) != ".csv":
        return _suffix(path) in MIDI_SUFFIXES
    lines = _text(read_bytes(path), path).splitlines()
    _, header = next(_csv_fields(lines, path), (0, []))
    return "velocity" in _normalised(header)


def _maps_rows(
    lines: list[str], name: str | os.PathLike[str], audio_seconds: float
) -> Iterator[Row]:
    numbered = ((n, line.split()) for n, line in enumerate(lines, 1) if line.strip())
    number, header = next(numbered)
    if tuple(_normalised(header)) != _MAPS_HEADER:
        raise InputError(
            f"line {number} is not the header of MAPS labels. Received: {' '.join(header)[:80]!r}",
            path=name,
            fix="It reads: OnsetTime, OffsetTime, MidiPitch, separated by tabs.",
        )
    columns = ("onsettime", "offsettime", "midipitch", None)
    return _rows(numbered, columns, _MAPS_HEADER, 1.0, audio_seconds, name)


def _csv_rows(
    lines: list[str], name: str | os.PathLike[str], audio_seconds: float
) -> Iterator[Row]:
    numbered = _csv_fields(lines, name)
    # A line of commas or of empty quotation marks is a line, and nothing in it.
    number, fields = next(numbered, (1, []))
    header = tuple(_normalised(fields))
    if set(header) >= _OWN_COLUMNS:
        columns = ("onset", "offset", "pitch", "velocity" if "velocity" in header else None)
        return _rows(numbered, columns, header, 1.0, audio_seconds, name)
    if set(header) >= _MUSICNET_COLUMNS:
        columns = ("start_time", "end_time", "note", None)
        return _rows(numbered, columns, header, MUSICNET_RATE, audio_seconds, name)
    raise InputError(
        f"line {number} is not a known header. Received: {','.join(fields)[:80]!r}",
        path=name,
        fix="Known are onset,offset,pitch,velocity and MusicNet's start_time,end_time,instrument,note,...",
    )


def _csv_fields(lines: list[str], name: str | os.PathLike[str]) -> NumberedFields:
    """Yield number and fields of every line that is not blank."""
    for number, line in enumerate(lines, 1):
        try:
            # Each by itself: a quotation mark that is never closed would take the lines after it for one field.
            fields = next(csv.reader([line], strict=True), [])
        except csv.Error as error:
            raise InputError(f"line {number} is not csv ({error})", path=name) from error
        if any(field.strip() for field in fields):
            yield number, fields


def _rows(
    numbered: NumberedFields,
    columns: tuple[str, str, str, str | None],
    header: tuple[str, ...],
    units_per_second: float,
    audio_seconds: float,
    name: str | os.PathLike[str],
) -> Iterator[Row]:
    onset, offset, pitch = (header.index(column) for column in columns[:3] if column)
    velocity = header.index(columns[3]) if columns[3] else None
    for number, fields in numbered:
        try:
            row = (
                float(fields[onset]) / units_per_second,
                float(fields[offset]) / units_per_second,
                int(fields[pitch]),
                DEFAULT_VELOCITY if velocity is None else int(fields[velocity]),
            )
            # The table's own rules, asked here because only here the line is known.
            Notes.from_rows([row])
        except InputError as error:
            reason = error.problem.split(". Received")[0]
            raise _bad_line(name, number, reason, fields) from error
        except (ValueError, IndexError, OverflowError) as error:
            reason = "a field is not a number" if len(fields) >= len(header) else "too few fields"
            raise _bad_line(name, number, reason, fields) from error
        if reason := _beyond(row[0], row[1], audio_seconds):
            raise _bad_line(name, number, reason, fields)
        yield row


def _beyond(onset: float, offset: float, audio_seconds: float) -> str:
    """Return in what way a note lies too late for its audio, "" if it does not."""
    for time, verb, most in (
        (onset, "begins", ONSET_BEYOND_AUDIO),
        (offset, "ends", OFFSET_BEYOND_AUDIO),
    ):
        if time > LATEST_SECONDS:
            return f"a note {verb} after {time:.4g} s"
        if time - audio_seconds > most:
            beyond = time - audio_seconds
            return (
                f"a note {verb} {beyond:.1f} s after the end of its audio ({audio_seconds:.1f} s)"
            )
    return ""


def _bad_line(
    name: str | os.PathLike[str], number: int, reason: str, fields: list[str]
) -> InputError:
    return InputError(f"line {number}: {reason}. Received: {' '.join(fields)[:80]!r}", path=name)


def _text(content: bytes, name: str | os.PathLike[str]) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("is not a text file in UTF-8", path=name) from error


def _normalised(header: list[str]) -> list[str]:
    return [field.strip().lower() for field in header]


def _suffix(path: str | os.PathLike[str]) -> str:
    return Path(path).suffix.lower()


def _unknown_format(path: str | os.PathLike[str]) -> InputError:
    return InputError(
        "is no label file", path=path, fix=f"Known suffixes: {', '.join(LABEL_SUFFIXES)}."
    )
