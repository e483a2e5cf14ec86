"""Find the files of a data set's folder, and read the audio and notes of a recording."""

from __future__ import annotations

import csv
import io
import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pipelines.readers.archives import is_archive, list_members, read_member
from pipelines.readers.recordings import LeftOut, Recording, Source
from tfamt.errors import InputError
from tfamt.notes.label_files import parse_labels_and_remarks
from tfamt.notes.table import DEFAULT_VELOCITY, Notes

VELOCITY_TOLERANCE = 0.02
"""Seconds: a key cannot be struck again within this, and the files of MAPS agree within 0.3 ms."""

NOT_FOLLOWED = "a link that leads out of the folder is followed with --follow_links only"

_NO_CONTENT = ("__MACOSX", ".")


def find_sources(root: str, *, follow_links: bool = False) -> tuple[list[Source], list[LeftOut]]:
    """Return all files below a folder, those in archives included, sorted; hidden ones excepted.

    Args:
      root: a folder or an archive.
      follow_links: whether symbolic links that lead out of the folder are followed; others are in any case.

    Returns:
      The files, and the links that were not followed.

    Raises:
      InputError: `root` is neither, cannot be read, or an archive in it is damaged or unsafe.
    """
    if os.path.isfile(root) and is_archive(root):
        return _archive_sources(root), []
    if not os.path.isdir(root):
        raise InputError(
            "is not a folder" if os.path.exists(root) else "there is no such folder",
            path=root,
            fix="Give the folder or the archive of the data set.",
        )
    sources: list[Source] = []
    links: list[str] = []
    for path in _walk(root, None if follow_links else Path(os.path.realpath(root)), set(), links):
        sources += _archive_sources(path) if is_archive(path) else [Source(path)]
    return sorted(sources, key=str), [LeftOut(path, NOT_FOLLOWED) for path in links]


def choose(
    sources: Iterable[Source], suffixes: tuple[str, ...]
) -> tuple[Source | None, list[LeftOut]]:
    """Pick one of several files of the same recording.

    Args:
      sources: files of one recording and one kind, audio or labels.
      suffixes: the better first.

    Returns:
      The file of the best suffix, unpacked before archived, or None if there is none of these suffixes; and the
      others, with the reason. What was unpacked and is still in its archive is one file, not two.
    """
    ranked = sorted(
        (source for source in sources if source.suffix in suffixes),
        key=lambda source: (suffixes.index(source.suffix), source.member is not None, str(source)),
    )
    if not ranked:
        return None, []
    best = ranked[0]
    return best, [
        LeftOut(str(other), f"{best} is used instead")
        for other in ranked[1:]
        if not _is_unpacked_from(best, other)
    ]


@contextmanager
def local_path(source: Source) -> Iterator[Path]:
    """Yield a file that holds the source during the block; members of archives are copied to TMPDIR.

    The file has the source's own name. Temporary files go to the folder of the environment variable TMPDIR.

    Raises:
      InputError: there is no such file or member, the archive is damaged, or the disk is full.
    """
    if source.member is None:
        if not os.path.isfile(source.path):
            raise InputError("there is no such file", path=source.path)
        yield Path(source.path)
        return
    with tempfile.TemporaryDirectory(prefix="tfamt-", ignore_cleanup_errors=True) as folder:
        path = Path(folder, source.name.name)
        _write(path, read_member(source.path, source.member))
        yield path


def read_bytes(source: Source) -> bytes:
    """Return the content of a small file.

    Raises:
      InputError: as `local_path`.
    """
    if source.member is not None:
        return b"".join(read_member(source.path, source.member))
    try:
        return Path(source.path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=source.path) from error


def read_csv(source: Source) -> list[dict[str, str]]:
    """Return the rows of a csv table by the names of its columns.

    Raises:
      InputError: it cannot be read, or is no csv in UTF-8, with the line.
    """
    fix = "Restore it from the download."
    try:
        text = read_bytes(source).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("is not a text file in UTF-8", path=str(source), fix=fix) from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: list[dict[str, str]] = []
    begin = 1
    try:
        # The header is read here, so that its lines are counted before the first row.
        if reader.fieldnames:
            begin = reader.line_num + 1
        for row in reader:
            rows.append(row)
            begin = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"the row that begins in line {begin} is not csv ({error})", path=str(source), fix=fix
        ) from error
    return rows


def read_notes(recording: Recording) -> Notes:
    """Return the labels of a recording, with the velocities of `Recording.velocities` where there are any.

    Raises:
      InputError: a label file is missing or broken.
    """
    return read_notes_and_remarks(recording)[0]


def read_notes_and_remarks(
    recording: Recording, audio_seconds: float = math.inf
) -> tuple[Notes, list[str]]:
    """Read the labels as `read_notes` does, with what was repaired, ignored or missing in them.

    Args:
      recording: whose labels to read.
      audio_seconds: length of its audio, which the labels must fit.

    Raises:
      InputError: as `read_notes`; or a label lies beyond the end of the audio.
    """
    notes, remarks = _parse(recording.labels, audio_seconds)
    if recording.velocities is None:
        return notes, remarks
    reference, more = _parse(recording.velocities)
    notes, missing = with_velocities(notes, reference)
    if missing:
        more.append(
            f"{recording.velocities}: lacks {missing} of {len(notes)} notes, which got velocity {DEFAULT_VELOCITY}"
        )
    return notes, remarks + more


def with_velocities(notes: Notes, reference: Notes) -> tuple[Notes, int]:
    """Take each note's velocity from the note of the same pitch in `reference` whose onset is nearest.

    Args:
      notes: notes whose velocities are unknown.
      reference: the same notes from another file; offsets may differ.

    Returns:
      The notes; and how many have no such note within `VELOCITY_TOLERANCE`: these get `DEFAULT_VELOCITY`.
    """
    velocity = np.full(len(notes), DEFAULT_VELOCITY, np.int64)
    found = np.zeros(len(notes), np.bool_)
    for pitch in np.intersect1d(notes.pitch, reference.pitch):
        mine = np.flatnonzero(notes.pitch == pitch)
        theirs = np.flatnonzero(reference.pitch == pitch)
        onsets = reference.onset[theirs]
        after = np.searchsorted(onsets, notes.onset[mine]).clip(max=len(onsets) - 1)
        before = (after - 1).clip(min=0)
        gap_before, gap_after = (np.abs(onsets[i] - notes.onset[mine]) for i in (before, after))
        nearest = np.where(gap_before < gap_after, before, after)
        close = np.minimum(gap_before, gap_after) <= VELOCITY_TOLERANCE
        velocity[mine[close]] = reference.velocity[theirs[nearest[close]]]
        found[mine[close]] = True
    return Notes(notes.onset, notes.offset, notes.pitch, velocity), int((~found).sum())


def _is_unpacked_from(file: Source, archived: Source) -> bool:
    same_name = file.name.name == archived.name.name
    return same_name and file.member is None and archived.member is not None


def _parse(source: Source, audio_seconds: float = math.inf) -> tuple[Notes, list[str]]:
    content = read_bytes(source)
    notes, remarks = parse_labels_and_remarks(content, str(source), audio_seconds)
    return notes, [f"{source}: {remark}" for remark in remarks]


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    try:
        with path.open("wb") as target:
            for piece in pieces:
                target.write(piece)
    except OSError as error:
        raise InputError(
            f"cannot be written ({error.strerror})",
            path=path,
            fix="Free some space, or set TMPDIR to a folder on a larger disk.",
        ) from error


def _archive_sources(path: str) -> list[Source]:
    return [
        Source(path, member)
        for member in list_members(path)
        if not any(part.startswith(_NO_CONTENT) for part in member.split("/"))
    ]


def _walk(folder: str, root: Path | None, above: set[str], links: list[str]) -> Iterator[str]:
    """Yield paths of all files below a folder.

    Args:
      folder: where to look.
      root: the real path that links must not lead out of; None if they may.
      above: real paths of the folder's parents, by which a loop of links is detected.
      links: those that lead out of `root` are added.
    """
    above = above | {os.path.realpath(folder)}
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=folder) from error
    for entry in entries:
        if entry.name.startswith(_NO_CONTENT):
            continue
        place = os.path.realpath(entry.path) if entry.is_symlink() or entry.is_dir() else ""
        if root and entry.is_symlink() and not Path(place).is_relative_to(root):
            links.append(entry.path)
        elif not entry.is_dir():
            yield entry.path
        elif place not in above:
            yield from _walk(entry.path, root, above, links)
