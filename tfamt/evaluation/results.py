"""Hold the figures of many pieces: by piece, by group and in total; read and write them as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfamt.errors import InputError
from tfamt.evaluation.error_analysis import Counts, add_counts
from tfamt.evaluation.metrics import FRAME_GRID, Scores, Summary, summarise
from tfamt.notes.table import Notes

FORMAT = "tfamt evaluation 1"
EMPTY = "empty"
"""Name of the detail of a piece that names what of it has no notes."""


@dataclass(frozen=True)
class Piece:
    """One piece.

    Attributes:
      scores: figures 0..1 by name (`tfamt.evaluation.metrics.Scores`, "average_precision"), those of other passes with
        the prefixes of `VARIANTS`.
      errors: kinds of errors by name (`tfamt.evaluation.error_analysis`), with the same prefixes.
      group: what results are grouped by, such as the piano; "" for none.
      details: further facts, as JSON values.
    """

    scores: Scores
    errors: Counts = field(default_factory=dict)
    group: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """Pieces that were scored in one go.

    Attributes:
      pieces: by name, one at least.
      source: what was evaluated, on what, as JSON values.
      pooled: figures over all pieces as one long piece.
      problems: what could not be scored, a line each.
      warnings: what was repaired or ignored in the files that were scored, a line each.
    """

    pieces: Mapping[str, Piece]
    source: Mapping[str, Any] = field(default_factory=dict)
    pooled: Scores = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def summary(self) -> Summary:
        """Mean and standard deviation over all pieces."""
        return summarise({name: piece.scores for name, piece in self.pieces.items()})

    @property
    def errors(self) -> Counts:
        """Return the errors of all pieces together."""
        return add_counts(*(piece.errors for piece in self.pieces.values()))

    @property
    def groups(self) -> dict[str, Evaluation]:
        """Return the same by group, in the order of their names; empty unless pieces have groups."""
        names = sorted({piece.group for piece in self.pieces.values() if piece.group})
        return {
            name: Evaluation({n: p for n, p in self.pieces.items() if p.group == name})
            for name in names
        }

    def to_json(self) -> str:
        """Return everything as indented JSON; its summaries are for readers and are not read back."""
        pieces = {
            name: {
                **piece.details,
                **({"group": piece.group} if piece.group else {}),
                "scores": piece.scores,
                "errors": piece.errors,
            }
            for name, piece in self.pieces.items()
        }
        content = {
            "format": FORMAT,
            "source": self.source,
            "frames_per_second": FRAME_GRID.frames_per_second,
            "pieces": pieces,
            **_summary_content(self),
            "pooled": self.pooled,
            "groups": {name: _summary_content(group) for name, group in self.groups.items()},
            "problems": self.problems,
            "warnings": self.warnings,
        }
        return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def name_empty(reference: Notes, estimate: Notes) -> dict[str, str]:
    """Return details of a piece: which of the two has no notes, since its figures are 0 or 1 then; {} if both have."""
    sides = {"reference": reference, "estimate": estimate}
    empty = [name for name, notes in sides.items() if not len(notes)]
    return {EMPTY: " and ".join(empty)} if empty else {}


def read_evaluation(path: str | os.PathLike[str]) -> Evaluation:
    """Read the JSON of `bin/evaluate`.

    Raises:
      InputError: the file is missing or is something else.
    """
    try:
        content = json.loads(Path(path).read_text("utf-8"))
        if content["format"] != FORMAT or not content["pieces"]:
            raise ValueError
        pieces = {name: _piece(item) for name, item in content["pieces"].items()}
        problems = tuple(content["problems"])
        # Evaluations of tfamt 0.1.0 have none.
        warnings = tuple(content.get("warnings", ()))
        return Evaluation(pieces, content["source"], content["pooled"], problems, warnings)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "is no evaluation", path=path, fix="Make one with bin/evaluate --json=FILE."
        ) from error


def _piece(item: Mapping[str, Any]) -> Piece:
    known = {"scores", "errors", "group"}
    details = {name: value for name, value in item.items() if name not in known}
    scores = {name: float(value) for name, value in item["scores"].items()}
    return Piece(scores, dict(item["errors"]), item.get("group", ""), details)


def _summary_content(evaluation: Evaluation) -> dict[str, Any]:
    summary = evaluation.summary
    return {
        "mean": summary.mean,
        "standard_deviation": summary.standard_deviation,
        "errors": evaluation.errors,
    }


@dataclass(frozen=True)
class ScoredNotes:
    """An evaluation with the notes that it compares.

    Attributes:
      evaluation: the figures.
      notes: reference and estimate by piece.
    """

    evaluation: Evaluation
    notes: dict[str, tuple[Notes, Notes]]
