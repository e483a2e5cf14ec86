"""Find the files of a data set's folder, and read the audio and notes of a recording."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pipelines.readers.archives import is_archive, list_members, read_member
from pipelines.readers.recordings import LeftOut, Recording, Source
from tfamt.errors import InputError
from tfamt.notes.label_files import parse_labels
from tfamt.notes.table import DEFAULT_VELOCITY, Notes

"""Audio that is taken; where a recording has several files, an earlier suffix wins."""
VELOCITY_TOLERANCE = 0.02
"""Seconds: a key cannot be struck again within this, and the files of MAPS agree within 0.3 ms."""

_NO_CONTENT = ("__MACOSX", ".")


def find_sources(root: str) -> list[Source]:
    """Return all files below a folder, those in archives included, sorted; hidden ones excepted.

    Args:
      root: a folder or an archive. Links to folders are followed.

    Raises:
      InputError: `root` is neither, cannot be read, or an archive in it is damaged or unsafe.
    """
    if os.path.isfile(root) and is_archive(root):
        return _archive_sources(root)
    if not os.path.isdir(root):
        raise InputError(
            "is not a folder" if os.path.exists(root) else "there is no such folder",
            path=root,
            fix="Give the folder or the archive of the data set.",
        )
    sources: list[Source] = []
    for path in _walk(root, set()):
        sources += _archive_sources(path) if is_archive(path) else [Source(path)]
    return sorted(sources, key=str)


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


def read_notes(recording: Recording) -> Notes:
    """Return the labels of a recording, with the velocities of `Recording.velocities` where there are any.

    Raises:
      InputError: a label file is missing or broken.
    """
    return read_notes_and_gaps(recording)[0]


def read_notes_and_gaps(recording: Recording) -> tuple[Notes, int]:
    """Read the labels as `read_notes` does, and count the notes for which `Recording.velocities` has no velocity."""
    notes = _parse(recording.labels)
    if recording.velocities is None:
        return notes, 0
    return with_velocities(notes, _parse(recording.velocities))


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


def _parse(source: Source) -> Notes:
    return parse_labels(read_bytes(source), str(source))


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


def _walk(folder: str, above: set[str]) -> Iterator[str]:
    """Yield paths of all files below `folder`; `above` are its parents, by which a loop of links is detected."""
    above = above | {os.path.realpath(folder)}
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=folder) from error
    for entry in entries:
        if entry.name.startswith(_NO_CONTENT):
            continue
        if not entry.is_dir():
            yield entry.path
        elif os.path.realpath(entry.path) not in above:
            yield from _walk(entry.path, above)
