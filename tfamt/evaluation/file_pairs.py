"""Match label files with transcriptions by name, and score them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tfamt.errors import InputError, printable
from tfamt.evaluation.error_analysis import count_errors
from tfamt.evaluation.label_shift import shifted_scores
from tfamt.evaluation.metrics import score
from tfamt.evaluation.results import Evaluation, Piece, ScoredNotes, name_empty
from tfamt.notes.label_files import LABEL_SUFFIXES, labels_have_velocity, read_labels_and_remarks
from tfamt.notes.table import Notes
from tfamt.utils.unicode_names import composed


@dataclass
class Pairs:
    """Reference and estimate by name of the piece, and the problems found."""

    files: dict[str, tuple[Path, Path]]
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ScoredPair:
    """A pair of files that was scored.

    Attributes:
      piece: the figures.
      reference: the labels.
      estimate: the transcription.
      warnings: what was repaired or ignored in the files, a line each.
    """

    piece: Piece
    reference: Notes
    estimate: Notes
    warnings: list[str]


def pair_up(reference: Path, estimate: Path) -> Pairs:
    """Match reference and estimate files by name.

    Raises:
      InputError: a path does not exist, one is a file and the other a folder, or a name is not unique.
    """
    for path in (reference, estimate):
        if not path.exists():
            raise InputError("does not exist", path=path)
    if reference.is_file() != estimate.is_file():
        raise InputError(f"one is a file, the other a folder. Received: {reference} and {estimate}")
    if reference.is_file():
        return Pairs({_piece(reference): (reference, estimate)})
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


def score_pair(reference: Path, estimate: Path, label_shift: float | str = 0.0) -> ScoredPair:
    """Score one pair of files.

    Args:
      reference: label file.
      estimate: transcription.
      label_shift: as in `tfamt.evaluation.label_shift.shifted_scores`.

    Raises:
      InputError: one of them cannot be read.
    """
    velocity = labels_have_velocity(reference)
    warnings: list[str] = []
    played, found = (_read(path, warnings) for path in (reference, estimate))
    scores = score(played, found, velocity=velocity)
    details: dict[str, str | float | int] = {"reference": str(reference), "estimate": str(estimate)}
    details |= name_empty(played, found)
    if label_shift:
        shifted, measured = shifted_scores(played, found, label_shift)
        scores |= shifted
        details |= measured
    piece = Piece(scores, count_errors(played, found), details=dict(details))
    return ScoredPair(piece, played, found, warnings)


def _read(path: Path, warnings: list[str]) -> Notes:
    notes, remarks = read_labels_and_remarks(path)
    warnings += [f"{path}: {remark}" for remark in remarks]
    return notes


def evaluate_files(
    reference: str | os.PathLike[str],
    estimate: str | os.PathLike[str],
    *,
    label_shift: float | str = 0.0,
) -> ScoredNotes:
    """Score transcriptions against labels, as `bin/evaluate --reference --estimate` does.

    Args:
      reference: a label file, or a folder of label files.
      estimate: a transcription, or a folder of transcriptions.
      label_shift: as in `tfamt.evaluation.label_shift.shifted_scores`.

    Returns:
      The evaluation, whose `problems` name what could not be scored and whose `warnings` what was repaired or
      ignored, and reference and estimate by piece.

    Raises:
      InputError: nothing could be scored.
    """
    pairs = pair_up(Path(reference), Path(estimate))
    pieces: dict[str, Piece] = {}
    notes: dict[str, tuple[Notes, Notes]] = {}
    warnings: list[str] = []
    for name, files in pairs.files.items():
        try:
            scored = score_pair(*files, label_shift)
        except InputError as error:
            pairs.problems.append(str(error))
            continue
        pieces[name] = scored.piece
        notes[name] = (scored.reference, scored.estimate)
        warnings += scored.warnings
    if not pieces:
        reasons = f" ({'; '.join(pairs.problems)})" if pairs.problems else ""
        raise InputError(
            f"nothing could be scored: no readable reference and estimate share a name{reasons}",
            fix=f"Received: --reference {reference} --estimate {estimate}",
        )
    source = {"reference": str(reference), "estimate": str(estimate)}
    problems = tuple(pairs.problems)
    return ScoredNotes(
        Evaluation(pieces, source, problems=problems, warnings=tuple(warnings)), notes
    )


def labels_by_stem(folder: Path, suffixes: Sequence[str] = LABEL_SUFFIXES) -> dict[str, Path]:
    """Return the label files of a folder, at any depth, by the names of their pieces.

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
        piece = _piece(path)
        rival = best.get(piece)
        if rival is not None and rank(rival) == rank(path):
            raise InputError(f"two files of one name: {rival} and {path}")
        if rival is None or rank(path) < rank(rival):
            best[piece] = path
    return best


def _piece(path: Path) -> str:
    """Return the file's name without suffix, the same for both forms (NFC, NFD) of it, as text that can be stored."""
    return printable(composed(path.stem))
