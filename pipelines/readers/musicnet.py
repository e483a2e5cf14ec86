"""Read MusicNet: 330 recordings of classical music, 34 hours.

Thickstun, Harchaoui and Kakade, "Learning features of music from scratch", 2017. Distributed as musicnet.tar.gz with
`{train,test}_{data,labels}/<id>.{wav,csv}`, and musicnet_metadata.csv beside it.

The labels have no velocities: all notes get `tfamt.notes.table.DEFAULT_VELOCITY`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipelines.readers.recordings import DataSet, LeftOut, Recording, Source, one_split_per_piece
from pipelines.readers.sources import choose, find_sources, read_csv
from tfamt.audio.formats import AUDIO_SUFFIXES
from tfamt.errors import InputError

LICENCE = "CC-BY-4.0"
PAPER_TEST = ("1819", "2303", "2382")
"""The test set of Cheuk, Luo, Benetos and Herremans, 2020, and of Thickstun et al., 2017."""
TEST_SETS = ("paper", "official")

_FOLDER = re.compile(r"(?P<split>train|test)_(?P<kind>data|labels)")
_METADATA = "musicnet_metadata.csv"


@dataclass(frozen=True)
class _Work:
    composer: str
    piece: str


def read(
    root: str,
    test: str = "paper",
    validation_ids: Collection[str] = (),
    *,
    follow_links: bool = False,
) -> DataSet:
    """Read MusicNet as musicnet.tar.gz or unpacked, with or without musicnet_metadata.csv.

    Args:
      root: folder or archive.
      test: "official": the ten recordings of test_data; "paper": three of them, `PAPER_TEST`, and the other seven are
        left out of everything.
      validation_ids: recordings of train_data to validate on, for MusicNet itself has no validation set.
      follow_links: whether symbolic links that lead out of `root` are followed.

    Returns:
      Recordings with the number in MusicNet as id, and, if the metadata are there, the composer as group and the
      movement as piece; without, the group is "MusicNet" and each recording is a piece. What is played in the
      validation set is left out of training; no movement of the test set occurs in train_data.

    Raises:
      InputError: nothing usable was found, an unknown `test` or validation id, or an archive cannot be read.
    """
    if test not in TEST_SETS:
        raise InputError(f"the test set must be one of {', '.join(TEST_SETS)}. Received: {test!r}")
    sources, left_out = find_sources(root, follow_links=follow_links)
    works = _read_metadata(sources)
    recordings: list[Recording] = []
    for (split, number), files in _collect(sources).items():
        if split == "test" and test == "paper" and number not in PAPER_TEST:
            left_out.append(LeftOut(number, "in the official test set, but not in the paper's"))
            continue
        if split == "train" and number in validation_ids:
            split = "validation"
        work = works.get(number, _Work("MusicNet", number))
        recording, reasons = _recording(number, split, work, files)
        recordings += [recording] if recording else []
        left_out += reasons
    _check_validation(validation_ids, recordings)
    kept, repeated = one_split_per_piece(recordings)
    remarks = _remarks(recordings, test, has_metadata=bool(works))
    return DataSet("musicnet", kept, [*left_out, *repeated], remarks).require_some(
        root,
        fix="It should hold musicnet.tar.gz, or the folders train_data, train_labels and so on.",
    )


def _recording(
    number: str, split: str, work: _Work, files: Sequence[Source]
) -> tuple[Recording | None, list[LeftOut]]:
    audio, other_audio = choose(files, AUDIO_SUFFIXES)
    labels, other_labels = choose(files, (".csv",))
    if audio is None or labels is None:
        missing = "audio is" if audio is None else "labels are"
        return None, [LeftOut(str(file), f"its {missing} missing") for file in files]
    recording = Recording(number, split, work.piece, work.composer, audio, labels, LICENCE)
    return recording, other_audio + other_labels


def _collect(sources: Iterable[Source]) -> Mapping[tuple[str, str], list[Source]]:
    """Return audio and label files by official split and number."""
    found: defaultdict[tuple[str, str], list[Source]] = defaultdict(list)
    suffixes = {"data": AUDIO_SUFFIXES, "labels": (".csv",)}
    for source in sources:
        match = _FOLDER.fullmatch(source.name.parent.name)
        if match and source.suffix in suffixes[match["kind"]]:
            found[match["split"], source.stem].append(source)
    return found


def _read_metadata(sources: Iterable[Source]) -> dict[str, _Work]:
    source, _ = choose((source for source in sources if source.name.name == _METADATA), (".csv",))
    if source is None:
        return {}
    try:
        return {
            row["id"]: _Work(
                row["composer"], f"{row['composer']}: {row['composition']}: {row['movement']}"
            )
            for row in read_csv(source)
        }
    except KeyError as error:
        raise InputError(f"lacks the column {error}", path=str(source)) from error


def _check_validation(wanted: Collection[str], recordings: Iterable[Recording]) -> None:
    found = {recording.id for recording in recordings if recording.split == "validation"}
    if missing := sorted(set(wanted) - found):
        raise InputError(
            f"recordings to validate on must be in train_data. Received: {', '.join(missing)}"
        )


def _remarks(recordings: Collection[Recording], test: str, has_metadata: bool) -> list[str]:
    remarks = (
        [] if has_metadata else [f"{_METADATA} was not found: composers and pieces are unknown."]
    )
    test_ids = {recording.id for recording in recordings if recording.split == "test"}
    if test == "paper" and (missing := sorted(set(PAPER_TEST) - test_ids)):
        remarks.append(f"Of the paper's test set these are missing: {', '.join(missing)}.")
    return remarks
