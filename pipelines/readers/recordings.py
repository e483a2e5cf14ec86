"""Describe a data set: recordings with their labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

from tfamt.errors import InputError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Source:
    """A file, or a member of an archive.

    Attributes:
      path: the file, or the archive (.zip, .tar, .tar.gz, .tgz).
      member: name inside the archive; None for a plain file.
    """

    path: str
    member: str | None = None

    @property
    def name(self) -> PurePosixPath:
        """Return the file's own path: on disk, or inside the archive."""
        return PurePosixPath(self.member or self.path)

    @property
    def stem(self) -> str:
        """Return the file's name without folder and suffix."""
        return self.name.stem

    @property
    def suffix(self) -> str:
        """Return the file's suffix in lower case, with its dot."""
        return self.name.suffix.lower()

    def __str__(self) -> str:
        return self.path if self.member is None else f"{self.path}!{self.member}"


@dataclass(frozen=True)
class Recording:
    """One recording of a data set.

    Attributes:
      id: unique in its data set, usable as a file name.
      split: train, validation or test.
      piece: the composition.
      group: what results are broken down by: the piano, the year, the composer.
      audio: where the sound is.
      labels: where the notes are.
      licence: of the data set, as SPDX where it has such a name.
      velocities: where the velocities of the same notes are, if `labels` has none.
      rendering: for rendered recordings, how the sound is made from `labels` (JSON); `audio` is the SoundFont then.
      may_be_empty: whether labels without notes are meant, and not a mistake.
    """

    id: str
    split: str
    piece: str
    group: str
    audio: Source
    labels: Source
    licence: str
    velocities: Source | None = None
    rendering: str | None = None
    may_be_empty: bool = False

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise InputError(
                f"a split must be one of {', '.join(SPLITS)}. Received: {self.split!r}"
            )


@dataclass(frozen=True, order=True)
class LeftOut:
    """A recording, or a file, that is not used, and why."""

    name: str
    reason: str


@dataclass(frozen=True, order=True)
class LabelRemark:
    """What was repaired or ignored in the labels of a recording that is used."""

    name: str
    text: str


@dataclass(frozen=True)
class DataSet:
    """What a reader found.

    Attributes:
      name: "maps", "maestro", "musicnet", "folder" or "rendered".
      recordings: sorted by id.
      left_out: everything that was seen and not taken, with its reason, sorted by name.
      remarks: remarks for users of the data set, a sentence each.

    Raises:
      InputError: two recordings have one id.
    """

    name: str
    recordings: Sequence[Recording]
    left_out: Sequence[LeftOut] = ()
    remarks: Sequence[str] = ()

    def __post_init__(self) -> None:
        by_id = sorted(self.recordings, key=lambda recording: recording.id)
        for one, other in pairwise(by_id):
            if one.id == other.id:
                raise InputError(
                    f"two recordings of {self.name} have the id {one.id!r}: {one.audio} and {other.audio}",
                    fix="Rename one of them.",
                )
        object.__setattr__(self, "recordings", tuple(by_id))
        object.__setattr__(self, "left_out", tuple(sorted(self.left_out)))
        object.__setattr__(self, "remarks", tuple(self.remarks))

    @property
    def counts(self) -> dict[str, int]:
        """Return number of recordings of each split, splits without any included."""
        counts = Counter(recording.split for recording in self.recordings)
        return {split: counts[split] for split in SPLITS}

    def require_some(
        self, where: str, fix: str = "Check that this is the folder that the data set unpacks to."
    ) -> DataSet:
        """Return the data set, unless it is empty.

        Raises:
          InputError: no recording was found in `where`; the message names what was found, and `fix`.
        """
        if self.recordings:
            return self
        seen = [f"{item.name}: {item.reason}" for item in self.left_out[:3]]
        if len(self.left_out) > len(seen):
            seen.append(f"and {len(self.left_out) - len(seen)} more")
        details = f" ({'; '.join(seen)})" if seen else ""
        raise InputError(
            f"no usable recording of {self.name} was found{details}", path=where, fix=fix
        )


def one_split_per_piece(
    recordings: Iterable[Recording], test_pieces: Collection[str] = ()
) -> tuple[list[Recording], list[LeftOut]]:
    """Remove pieces of the test set from validation and training, and pieces of the validation set from training.

    Args:
      recordings: recordings with the split that their data set gives them.
      test_pieces: pieces of the test set, besides those of the recordings in it.

    Returns:
      The recordings that stay, and those that do not.
    """
    recordings = list(recordings)
    of_test = {item.piece for item in recordings if item.split == "test"} | set(test_pieces)
    of_validation = {item.piece for item in recordings if item.split == "validation"}
    kept: list[Recording] = []
    left_out: list[LeftOut] = []
    for item in recordings:
        if item.split != "test" and item.piece in of_test:
            left_out.append(LeftOut(item.id, f"{item.piece} is played in the test set"))
        elif item.split == "train" and item.piece in of_validation:
            left_out.append(LeftOut(item.id, f"{item.piece} is played in the validation set"))
        else:
            kept.append(item)
    return kept, left_out
