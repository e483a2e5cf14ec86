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
from tfamt.evaluation.results import Evaluation, Piece, ScoredNotes
from tfamt.notes.label_files import LABEL_SUFFIXES, labels_have_velocity, read_labels
from tfamt.notes.table import Notes
from tfamt.utils.unicode_names import composed


@dataclass
class Pairs:
    """Reference and estimate by name of the piece, and the problems found."""

    files: dict[str, tuple[Path, Path]]
    problems: list[str] = field(default_factory=list)


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


def score_pair(
    reference: Path, estimate: Path, label_shift: float | str = 0.0
) -> tuple[Piece, Notes, Notes]:
    """Score one pair of files; return the piece, the reference and the estimate.

    Args:
      reference: label file.
      estimate: transcription.
      label_shift: as in `tfamt.evaluation.label_shift.shifted_scores`.

    Raises:
      InputError: one of them cannot be read.
    """
    velocity = labels_have_velocity(reference)
    played, found = read_labels(reference), read_labels(estimate)
    scores = score(played, found, velocity=velocity)
    details: dict[str, str | float | int] = {"reference": str(reference), "estimate": str(estimate)}
    if label_shift:
        shifted, measured = shifted_scores(played, found, label_shift)
        scores |= shifted
        details |= measured
    return Piece(scores, count_errors(played, found), details=dict(details)), played, found


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
      The evaluation, whose `problems` name what could not be scored, and reference and estimate by piece.

    Raises:
      InputError: nothing could be scored.
    """
    pairs = pair_up(Path(reference), Path(estimate))
    pieces: dict[str, Piece] = {}
    notes: dict[str, tuple[Notes, Notes]] = {}
    for name, files in pairs.files.items():
        try:
            pieces[name], *both = score_pair(*files, label_shift)
            notes[name] = (both[0], both[1])
        except InputError as error:
            pairs.problems.append(str(error))
    if not pieces:
        reasons = f" ({'; '.join(pairs.problems)})" if pairs.problems else ""
        raise InputError(
            f"nothing could be scored: no readable reference and estimate share a name{reasons}",
            fix=f"Received: --reference {reference} --estimate {estimate}",
        )
    source = {"reference": str(reference), "estimate": str(estimate)}
    return ScoredNotes(Evaluation(pieces, source, problems=tuple(pairs.problems)), notes)


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
