"""Read MAESTRO: performances of the International Piano-e-Competition, v1.0.0, v2.0.0 and v3.0.0.

Hawthorne et al., "Enabling factorized piano music modeling and generation with the MAESTRO dataset", 2019.

The splits are the official ones. They part performances of one composition by title; in v3.0.0 five titles occur in
more than one split all the same, and stay there, so that results compare with published ones.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pipelines.readers.archives import check_name
from pipelines.readers.recordings import SPLITS, DataSet, LeftOut, Recording, Source
from pipelines.readers.sources import choose, find_sources, read_bytes, read_csv
from tfamt.audio.formats import AUDIO_SUFFIXES
from tfamt.errors import InputError

LICENCE = "CC-BY-NC-SA-4.0"
MIDI_SUFFIXES = (".midi", ".mid")

_TABLE = re.compile(r"(?P<version>maestro-v\d+\.\d+\.\d+)\.(csv|json)")
_COLUMNS = (
    "canonical_composer",
    "canonical_title",
    "split",
    "year",
    "midi_filename",
    "audio_filename",
)


@dataclass(frozen=True, order=True)
class Row:
    """A row of MAESTRO's table.

    Attributes:
      midi_filename: as in the table, "<year>/<name>.midi"; likewise `audio_filename`.
    """

    midi_filename: str
    audio_filename: str
    canonical_composer: str
    canonical_title: str
    split: str
    year: str


@dataclass(frozen=True)
class Performance:
    """A row and the files of it that exist.

    Attributes:
      row: the row of the table.
      audio: the recording; None if it is missing.
      midi: the notes; None if they are missing.
    """

    row: Row
    audio: Source | None
    midi: Source | None

    @property
    def id(self) -> str:
        """Year and file name, usable as a file name."""
        return str(PurePosixPath(self.row.midi_filename).with_suffix("")).replace("/", "_")


@dataclass(frozen=True)
class Maestro:
    """All that is known and there.

    Attributes:
      version: "maestro-v3.0.0".
      performances: a row each, in the order of their MIDI file names.
      left_out: files that are not used.
    """

    version: str
    performances: Sequence[Performance]
    left_out: Sequence[LeftOut]


def read(root: str, *, follow_links: bool = False) -> DataSet:
    """Read MAESTRO as a zip or unpacked.

    Args:
      root: folder or archive.
      follow_links: whether symbolic links that lead out of `root` are followed.

    Returns:
      Recordings with the official split, the year as group (each year has its hall, piano and microphones) and
      composer and title as piece.

    Raises:
      InputError: no audio or no MIDI at all, no table or several versions, tables that disagree, an unreadable archive.
    """
    maestro = read_performances(root, follow_links=follow_links)
    recordings = [
        _recording(performance, performance.audio, performance.midi)
        for performance in maestro.performances
        if performance.audio and performance.midi
    ]
    left_out = [
        LeftOut(performance.id, _missing(performance))
        for performance in maestro.performances
        if not (performance.audio and performance.midi)
    ]
    remarks = [f"{_availability(maestro)}."] if left_out else []
    if not recordings:
        raise InputError(
            _availability(maestro),
            path=root,
            fix=f"Download {maestro.version}.zip, which has the audio, or render the MIDI files: "
            f"bin/prepare --dataset=rendered --midi={root}.",
        )
    return DataSet("maestro", recordings, [*left_out, *maestro.left_out], remarks)


def read_performances(root: str, *, follow_links: bool = False) -> Maestro:
    """Read the table with the files that exist, as `read` does; also for users of the MIDI files alone.

    Raises:
      InputError: no table or several versions, tables that disagree, an unreadable archive.
    """
    sources, links = find_sources(root, follow_links=follow_links)
    version, rows = _read_tables(root, sources, links)
    files: defaultdict[str, list[Source]] = defaultdict(list)
    for source in sources:
        if source.suffix in AUDIO_SUFFIXES + MIDI_SUFFIXES:
            files[_key(source.name)].append(source)
    performances: list[Performance] = []
    left_out = [*links]
    for row in rows:
        # Audio and MIDI of a row have the same stem in all versions, which no document guarantees.
        audio, other_audio = choose(files[_key(PurePosixPath(row.audio_filename))], AUDIO_SUFFIXES)
        midi, other_midi = choose(files[_key(PurePosixPath(row.midi_filename))], MIDI_SUFFIXES)
        performances.append(Performance(row, audio, midi))
        left_out += other_audio + other_midi
    known = {
        _key(PurePosixPath(name))
        for row in rows
        for name in (row.audio_filename, row.midi_filename)
    }
    unknown = (source for key, found in files.items() if key not in known for source in found)
    left_out += [LeftOut(str(source), f"not in the table of {version}") for source in unknown]
    return Maestro(version, performances, left_out)


def _recording(performance: Performance, audio: Source, midi: Source) -> Recording:
    row = performance.row
    return Recording(
        id=performance.id,
        split=row.split,
        piece=f"{row.canonical_composer}: {row.canonical_title}",
        group=row.year,
        audio=audio,
        labels=midi,
        licence=LICENCE,
    )


def _missing(performance: Performance) -> str:
    missing = [] if performance.audio else ["audio"]
    missing += [] if performance.midi else ["MIDI"]
    return (
        f"its {' and '.join(missing)} file is missing"
        if len(missing) == 1
        else "its files are missing"
    )


def _availability(maestro: Maestro) -> str:
    total = len(maestro.performances)
    audio = sum(performance.audio is not None for performance in maestro.performances)
    midi = sum(performance.midi is not None for performance in maestro.performances)
    return (
        f"Of the {total} recordings of {maestro.version}, {total - audio} audio files are missing, "
        f"and {midi} MIDI files are there"
    )


def _key(name: PurePosixPath) -> str:
    """Return the key of a file, wherever the data set lies: "<year>/<stem>"."""
    return str(PurePosixPath(*name.parts[-2:]).with_suffix(""))


def _read_tables(
    root: str, sources: Iterable[Source], links: Sequence[LeftOut]
) -> tuple[str, list[Row]]:
    """Read all csv and json tables, which must agree."""
    tables = {
        source: match["version"]
        for source in sources
        if (match := _TABLE.fullmatch(source.name.name))
    }
    versions = sorted(set(tables.values()))
    if len(versions) != 1:
        found = (
            f"several versions: {', '.join(versions)}" if versions else "no maestro-v*.csv or .json"
        )
        if links:
            found += f" ({links[0].name}: {links[0].reason})"
        raise InputError(
            f"holds {found}", path=root, fix="Give the folder or zip of one version of MAESTRO."
        )
    contents = [(source, _read_table(source)) for source in tables]
    first, rows = contents[0]
    for other, other_rows in contents[1:]:
        if rows != other_rows:
            raise InputError(
                f"disagrees with {first} ({_difference(rows, other_rows)})",
                path=str(other),
                fix="One of the two was changed; restore both from the download.",
            )
    return versions[0], rows


def _read_table(source: Source) -> list[Row]:
    try:
        records: Iterable[Mapping[str, Any]] = (
            read_csv(source)
            if source.suffix == ".csv"
            else _json_records(json.loads(read_bytes(source).decode("utf-8-sig")))
        )
        rows = sorted(
            Row(**{column: str(record[column]) for column in _COLUMNS}) for record in records
        )
    except KeyError as error:
        raise InputError(f"lacks the column {error}", path=str(source)) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"is not a table of MAESTRO ({error})", path=str(source)) from error
    for row in rows:
        check_name(str(source), row.midi_filename)
        check_name(str(source), row.audio_filename)
        if row.split not in SPLITS:
            raise InputError(
                f"{row.midi_filename} is in an unknown split. Received: {row.split!r}",
                path=str(source),
            )
    if not rows:
        raise InputError("lists no recording", path=str(source))
    return rows


def _json_records(content: Any) -> list[dict[str, Any]]:
    """Return the records of a JSON table: a list in v1.0.0 and v2.0.0, columns keyed by the row's number in v3.0.0."""
    if isinstance(content, list):
        return content
    numbers = content[_COLUMNS[0]]
    return [{column: content[column][number] for column in _COLUMNS} for number in numbers]


def _difference(rows: Sequence[Row], others: Sequence[Row]) -> str:
    if len(rows) != len(others):
        return f"{len(rows)} rows there, {len(others)} here"
    row, other = next((a, b) for a, b in zip(rows, others, strict=True) if a != b)
    field = next(name for name in _COLUMNS if getattr(row, name) != getattr(other, name))
    values = f"{getattr(row, field)!r} there, {getattr(other, field)!r} here"
    return f"{field} of {row.midi_filename}: {values}"
