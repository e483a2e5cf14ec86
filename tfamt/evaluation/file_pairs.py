"""Folders of label files and of transcriptions: which belong together, and their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tfamt.errors import InputError
from tfamt.evaluation import score
from tfamt.label_shift import shifted_scores
from tfamt.labels import LABEL_SUFFIXES, labels_have_velocity, read_labels
from tfamt.note_errors import count_errors
from tfamt.notes import Notes
from tfamt.report import Piece


@dataclass
class Pairs:
    """Reference and estimate by name of the piece, and what was found wrong on the way."""

    files: dict[str, tuple[Path, Path]]
    problems: list[str] = field(default_factory=list)


def pair_up(reference: Path, estimate: Path) -> Pairs:
    """Finds which files belong together.

    Raises:
      InputError: a path does not exist, one is a file and the other a folder, or a name is not unique.
    """
    for path in (reference, estimate):
        if not path.exists():
            raise InputError("does not exist", path=path)
    if reference.is_file() != estimate.is_file():
        raise InputError(f"one is a file, the other a folder. Received: {reference} and {estimate}")
    if reference.is_file():
        return Pairs({reference.stem: (reference, estimate)})
    references, estimates = labels_by_stem(reference), labels_by_stem(estimate)
    shared = sorted(references.keys() & estimates.keys())
    problems = [
        f"{files[stem]}: has no partner of that name in {other}"
        for files, others, other in (
            (references, estimates, estimate),
            (estimates, references, reference),
        )
        for stem in sorted(files.keys() - others.keys())
    ]
    return Pairs({stem: (references[stem], estimates[stem]) for stem in shared}, problems)


def score_pair(
    reference: Path, estimate: Path, label_shift: float | str = 0.0
) -> tuple[Piece, Notes, Notes]:
    """Figures of one pair of files, and what was read from both.

    Args:
      reference: label file.
      estimate: transcription.
      label_shift: as in `tfamt.label_shift.shifted_scores`.

    Raises:
      InputError: one of them cannot be read.
    """
    velocity = labels_have_velocity(reference)
    played, heard = read_labels(reference), read_labels(estimate)
    scores = score(played, heard, velocity=velocity)
    details: dict[str, str | float | int] = {"reference": str(reference), "estimate": str(estimate)}
    if label_shift:
        shifted, found = shifted_scores(played, heard, label_shift)
        scores |= shifted
        details |= found
    return Piece(scores, count_errors(played, heard), details=dict(details)), played, heard


def labels_by_stem(folder: Path, suffixes: Sequence[str] = LABEL_SUFFIXES) -> dict[str, Path]:
    """The label files of a folder, at any depth, by their names without suffix.

    Args:
      folder: where to look.
      suffixes: of several files of one name the one with the earliest of these is taken.

    Raises:
      InputError: two files of one name and suffix.
    """

    def rank(path: Path) -> int:
        return suffixes.index(path.suffix.lower())

    best: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(".") or path.suffix.lower() not in suffixes or not path.is_file():
            continue
        rival = best.get(path.stem)
        if rival is not None and rank(rival) == rank(path):
            raise InputError(f"two files of one name: {rival} and {path}")
        if rival is None or rank(path) < rank(rival):
            best[path.stem] = path
    return best
