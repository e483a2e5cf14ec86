"""Read a plain folder of audio files with label files of the same name."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipelines.readers.recordings import SPLITS, DataSet, LeftOut, Recording, Source
from pipelines.readers.sources import choose, find_sources
from tfamt.audio.formats import AUDIO_SUFFIXES
from tfamt.errors import InputError
from tfamt.notes.label_files import LABEL_SUFFIXES


@dataclass(frozen=True)
class _Pair:
    """Files of one recording.

    Attributes:
      place: where the audio is below the root, without its suffix.
    """

    place: PurePosixPath
    audio: Source
    labels: Source


def read(
    root: str,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
    licence: str = "unknown",
    *,
    empty_labels: bool = False,
    follow_links: bool = False,
) -> DataSet:
    """Read audio with labels, at any depth, archives included.

    Audio and labels belong together if they have the same name without suffix and are in the same folder, or else if
    there is only one of each of this name (as in `audio/x.wav` and `midi/x.mid`).

    If there are folders named train, validation or test directly below `root`, they are the split, and what is
    elsewhere is left out. Otherwise each piece falls into a split by a hash of its name: always the same, whatever else
    is in the folder. A piece is the file name without suffix, so recordings of one piece by several pianos should have
    the same name in several folders.

    Args:
      root: folder or archive.
      validation_fraction: which part of the pieces to validate on, on average.
      test_fraction: which part of the pieces to test on, on average.
      licence: what to write down as the licence of the recordings.
      empty_labels: whether recordings without any labelled note are taken.
      follow_links: whether symbolic links that lead out of `root` are followed.

    Returns:
      Recordings with their path below `root`, "/" replaced by "_", as id, and the name of their folder as group.

    Raises:
      InputError: nothing usable was found, no recording to train on is left, a piece is in two folders of the split, or
        the fractions are no fractions.
    """
    fractions = (validation_fraction, test_fraction)
    if not (all(fraction >= 0 for fraction in fractions) and sum(fractions) < 1):
        raise InputError(
            "the fractions of the validation and the test set must not be negative, and together less than 1. "
            f"Received: {validation_fraction} and {test_fraction}"
        )
    sources, links = find_sources(root, follow_links=follow_links)
    pairs, left_out = _pair(root, sources)
    left_out += links
    has_split_folders = any(_split_folder(pair) for pair in pairs)
    recordings: list[Recording] = []
    for pair in pairs:
        split = (
            _split_folder(pair) if has_split_folders else _hashed_split(pair.audio.stem, *fractions)
        )
        if split is None:
            left_out.append(LeftOut(str(pair.audio), f"not in a folder {', '.join(SPLITS)}"))
            continue
        recordings.append(_recording(pair, split, licence, empty_labels))
    _check_pieces(root, recordings)
    data_set = DataSet("folder", recordings, left_out).require_some(
        root,
        fix=f"A recording ({', '.join(AUDIO_SUFFIXES)}) needs labels of its name ({', '.join(LABEL_SUFFIXES)}).",
    )
    if not has_split_folders and not data_set.counts["train"]:
        raise InputError(
            f"by the hash of their names none of the {len(recordings)} recordings falls into the training set",
            path=root,
            fix=f"Sort them into folders {', '.join(SPLITS)}, or lower the fractions.",
        )
    return data_set


def _recording(pair: _Pair, split: str, licence: str, empty_labels: bool) -> Recording:
    return Recording(
        id=str(pair.place).replace("/", "_"),
        split=split,
        piece=pair.audio.stem,
        group=pair.place.parent.name or "folder",
        audio=pair.audio,
        labels=pair.labels,
        licence=licence,
        may_be_empty=empty_labels,
    )


def _pair(root: str, sources: Iterable[Source]) -> tuple[list[_Pair], list[LeftOut]]:
    """Return recordings, and the files that belong to none."""
    audio: dict[PurePosixPath, Source] = {}
    labels: dict[PurePosixPath, Source] = {}
    left_out: list[LeftOut] = []
    for place, files in _by_place(root, sources).items():
        for table, suffixes in ((audio, AUDIO_SUFFIXES), (labels, LABEL_SUFFIXES)):
            best, others = choose(files, suffixes)
            left_out += others
            if best is not None:
                table[place] = best
    partners = {place: place for place in audio if place in labels}
    partners |= _partners_elsewhere(audio.keys() - partners.keys(), labels.keys() - partners.keys())
    pairs = [
        _Pair(place, audio[place], labels[partner]) for place, partner in sorted(partners.items())
    ]
    for place in audio.keys() - partners.keys():
        left_out.append(LeftOut(str(audio[place]), "no labels of this name"))
    for place in labels.keys() - set(partners.values()):
        left_out.append(LeftOut(str(labels[place]), "no audio of this name"))
    return pairs, left_out


def _partners_elsewhere(
    audio: Iterable[PurePosixPath], labels: Iterable[PurePosixPath]
) -> dict[PurePosixPath, PurePosixPath]:
    """Return audio and labels that alone have a name, in whatever folders."""
    audio_named, labels_named = _by_name(audio), _by_name(labels)
    return {
        places[0]: labels_named[name][0]
        for name, places in audio_named.items()
        if len(places) == 1 and len(labels_named.get(name, ())) == 1
    }


def _by_name(places: Iterable[PurePosixPath]) -> Mapping[str, Sequence[PurePosixPath]]:
    named: defaultdict[str, list[PurePosixPath]] = defaultdict(list)
    for place in places:
        named[place.name].append(place)
    return named


def _by_place(root: str, sources: Iterable[Source]) -> Mapping[PurePosixPath, list[Source]]:
    """Return files by their path below the root without suffix; an archive counts as a folder without name."""
    files: defaultdict[PurePosixPath, list[Source]] = defaultdict(list)
    for source in sources:
        if source.member is None:
            place = PurePosixPath(os.path.relpath(source.path, root))
        else:
            folder = (
                "" if source.path == root else os.path.relpath(os.path.dirname(source.path), root)
            )
            place = PurePosixPath(folder, source.member)
        files[place.with_suffix("")].append(source)
    return files


def _split_folder(pair: _Pair) -> str | None:
    top = pair.place.parts[0]
    return top if top in SPLITS and len(pair.place.parts) > 1 else None


def _hashed_split(piece: str, validation_fraction: float, test_fraction: float) -> str:
    digest = hashlib.sha256(piece.encode("utf-8", "surrogateescape")).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < test_fraction:
        return "test"
    return "validation" if position < test_fraction + validation_fraction else "train"


def _check_pieces(root: str, recordings: Iterable[Recording]) -> None:
    first: dict[str, Recording] = {}
    for recording in recordings:
        other = first.setdefault(recording.piece, recording)
        if other.split != recording.split:
            raise InputError(
                f"{recording.piece!r} is both in {other.split} and in {recording.split}",
                path=root,
                fix="Files of one name count as one piece, and a piece belongs to one split: remove or rename one.",
            )
