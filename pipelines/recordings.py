"""What a data set is made of: recordings with their labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

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

    def __str__(self) -> str:
        return self.path if self.member is None else f"{self.path}!{self.member}"


@dataclass(frozen=True)
class Recording:
    """One recording of a data set.

    Attributes:
      id: unique in its data set, usable as a file name.
      split: train, validation or test.
      piece: what is played; one piece is never in two splits.
      group: what results are broken down by: the piano, the composer.
      audio: where the sound is.
      labels: where the notes are.
      licence: of the data set, as SPDX where it has such a name.
      rendering: for rendered recordings, how the sound is made from `labels` (JSON); `audio` is the SoundFont then.
    """

    id: str
    split: str
    piece: str
    group: str
    audio: Source
    labels: Source
    licence: str
    rendering: str | None = None

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise InputError(f"a split must be one of {', '.join(SPLITS)}. Received: {self.split!r}")


@dataclass(frozen=True)
class LeftOut:
    """A recording, or a file, that is not used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class DataSet:
    """What a reader found.

    Attributes:
      name: "maps", "maestro", "musicnet", "folder" or "rendered".
      recordings: sorted by id.
      left_out: everything that was seen and not taken, with its reason.
    """

    name: str
    recordings: Sequence[Recording]
    left_out: Sequence[LeftOut] = field(default_factory=tuple)

    def require_some(self, where: str) -> DataSet:
        """Itself, unless it is empty.

        Raises:
          InputError: no recording was found in `where`; the message tells what was seen.
        """
        if self.recordings:
            return self
        seen = "; ".join(f"{item.name}: {item.reason}" for item in list(self.left_out)[:5])
        raise InputError(
            f"no usable recording of {self.name} was found" + (f" ({seen})" if seen else ""),
            path=where,
            fix="Check that the folder is the one that the data set unpacks to, and that its audio is there.",
        )


Reader = Callable[[str], DataSet]
