"""Scores transcriptions against reference notes.

Usage: bin/evaluate --reference FILE_OR_FOLDER --estimate FILE_OR_FOLDER [--json FILE]

Files are MIDI (.mid, .midi), MAPS .txt, MusicNet .csv or the .csv of bin/transcribe. Files in folders, however deep,
belong together if their names agree up to the suffix; where a folder has several label files of one name, MIDI is
taken before .txt and .csv.

The table shows precision, recall and F1 per piece, their mean and standard deviation: of notes (onset within 50 ms),
notes with offset (and offset within 50 ms or 20 % of the length), with velocity as well (where the reference has
any), and of frames (31.25 per second).

Exit code 1 if a file had no partner or could not be read; the rest is scored all the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from tfamt.commands.app import report, run
from tfamt.errors import InputError

if TYPE_CHECKING:
    from tfamt.evaluation import Scores, Summary

_REFERENCE = flags.DEFINE_string("reference", None, "Label file, or folder of label files.")
_ESTIMATE = flags.DEFINE_string("estimate", None, "Transcription, or folder of transcriptions.")
_JSON = flags.DEFINE_string("json", None, "File to write all figures to.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Whether an existing file may be replaced.")

_KINDS = {
    "note": "note",
    "note_offset": "note with offset",
    "note_offset_velocity": "... and velocity",
    "frame": "frame (31.25/s)",
}
_FIGURES = {"precision": "P", "recall": "R", "f1": "F1"}


@dataclass
class Pairs:
    """Reference and estimate by name of the piece, and what was found wrong on the way."""

    files: dict[str, tuple[Path, Path]]
    problems: list[str] = field(default_factory=list)


def main(argv: list[str]) -> int:
    """The command; returns its exit code."""
    from tfamt.targets import check_target

    if argv[1:]:
        raise InputError(f"there are no arguments but flags. Received: {' '.join(argv[1:])}")
    reference, estimate = _required(_REFERENCE), _required(_ESTIMATE)
    if _JSON.value:
        check_target(_JSON.value, overwrite=_OVERWRITE.value)
    pairs = pair_up(reference, estimate)
    scores, unreadable = score_pairs(pairs)
    problems = pairs.problems + unreadable
    for problem in problems:
        report(problem)
    if not scores:
        raise InputError(
            "nothing could be scored: no readable reference and estimate share a name",
            fix=f"Received: --reference {reference} --estimate {estimate}",
        )
    _deliver(pairs, scores, problems)
    return 1 if problems else 0


def _required(flag: flags.FlagHolder[str | None]) -> Path:
    if not flag.value:
        raise InputError(f"--{flag.name} is missing")
    return Path(flag.value)


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
    references, estimates = _labels_by_stem(reference), _labels_by_stem(estimate)
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


def score_pairs(pairs: Pairs) -> tuple[dict[str, Scores], list[str]]:
    """Scores by piece, and what could not be read."""
    from tfamt.evaluation import score
    from tfamt.labels import labels_have_velocity, read_labels

    scores: dict[str, Scores] = {}
    problems: list[str] = []
    for name, (reference, estimate) in pairs.files.items():
        try:
            velocity = labels_have_velocity(reference)
            scores[name] = score(read_labels(reference), read_labels(estimate), velocity=velocity)
        except InputError as error:
            problems.append(str(error))
    return scores, problems


def format_table(scores: Mapping[str, Scores], summary: Summary) -> str:
    """Aligned text: a line per piece, then mean and standard deviation; "-" where there is no figure."""
    kinds = [kind for kind in _KINDS if f"{kind}_f1" in summary.mean]
    rows: list[tuple[str, Mapping[str, float]]] = [*scores.items()]
    rows += [("mean", summary.mean), ("standard deviation", summary.standard_deviation)]
    width = max(len(name) for name, _ in rows)
    heading = "".join(f"   {_KINDS[kind]:<19}" for kind in kinds)
    letters = "".join("   " + "".join(f"{f:<7}" for f in _FIGURES.values())[:19] for _ in kinds)
    lines = [f"{'':<{width}}{heading}", f"{'piece':<{width}}{letters}"]
    for name, figures in rows:
        cells = [
            "  ".join(_cell(figures.get(f"{kind}_{figure}")) for figure in _FIGURES)
            for kind in kinds
        ]
        lines.append("   ".join([f"{name:<{width}}", *cells]))
    lines.insert(-2, "-" * max(map(len, lines)))
    return "\n".join(line.rstrip() for line in lines)


def _cell(value: float | None) -> str:
    return f"{'-':<5}" if value is None else f"{value:.3f}"


def _deliver(pairs: Pairs, scores: dict[str, Scores], problems: list[str]) -> None:
    from tfamt.evaluation import FRAME_GRID, summarise
    from tfamt.targets import new_file

    summary = summarise(scores)
    print(format_table(scores, summary))
    if not _JSON.value:
        return
    content = {
        "frames_per_second": FRAME_GRID.frames_per_second,
        "pieces": {
            name: {
                "reference": str(pairs.files[name][0]),
                "estimate": str(pairs.files[name][1]),
                "scores": figures,
            }
            for name, figures in scores.items()
        },
        "mean": summary.mean,
        "standard_deviation": summary.standard_deviation,
        "problems": problems,
    }
    with new_file(_JSON.value, overwrite=_OVERWRITE.value) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")


def _labels_by_stem(folder: Path) -> dict[str, Path]:
    from tfamt.labels import LABEL_SUFFIXES

    def rank(path: Path) -> int:
        return LABEL_SUFFIXES.index(path.suffix.lower())

    best: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if (
            path.name.startswith(".")
            or path.suffix.lower() not in LABEL_SUFFIXES
            or not path.is_file()
        ):
            continue
        rival = best.get(path.stem)
        if rival is not None and rank(rival) == rank(path):
            raise InputError(f"two files of one name: {rival} and {path}")
        if rival is None or rank(path) < rank(rival):
            best[path.stem] = path
    return best


def cli() -> None:
    """Entry point of the console script."""
    run(main)


if __name__ == "__main__":
    cli()
