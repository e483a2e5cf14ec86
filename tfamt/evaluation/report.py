"""Evaluations of many pieces: figures by piece, by group and in total; JSON in and out, tables as text."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfamt.errors import InputError
from tfamt.evaluation import FRAME_GRID, Scores, Summary, summarise
from tfamt.note_errors import KINDS, Counts, add_counts

FORMAT = "tfamt evaluation 1"
VARIANTS = {"": "", "second_pass_": "second-pass piano roll", "shifted_": "labels shifted"}
"""Prefixes of figures, with what they stand for."""
_METRICS = {
    "note": "note",
    "note_offset": "note with offset",
    "note_offset_velocity": "... and velocity",
    "frame": "frame (31.25/s)",
}
_FIGURES = {"precision": "P", "recall": "R", "f1": "F1"}
_AVERAGE = "average_precision"
_SHIFT = "measured_label_shift_ms"


@dataclass(frozen=True)
class Piece:
    """One piece.

    Attributes:
      scores: figures 0..1 by name (`tfamt.evaluation.Scores`, "average_precision"), those of other passes with the
        prefixes of `VARIANTS`.
      errors: kinds of errors by name (`tfamt.note_errors`), with the same prefixes.
      group: what results are broken down by, such as the piano; "" for none.
      details: more to know about it, as JSON values.
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
    """

    pieces: Mapping[str, Piece]
    source: Mapping[str, Any] = field(default_factory=dict)
    pooled: Scores = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def summary(self) -> Summary:
        """Mean and standard deviation over all pieces."""
        return summarise({name: piece.scores for name, piece in self.pieces.items()})

    @property
    def errors(self) -> Counts:
        """Errors of all pieces together."""
        return add_counts(*(piece.errors for piece in self.pieces.values()))

    @property
    def groups(self) -> dict[str, Evaluation]:
        """The same by group, in the order of their names; empty unless pieces have groups."""
        names = sorted({piece.group for piece in self.pieces.values() if piece.group})
        return {
            name: Evaluation({n: p for n, p in self.pieces.items() if p.group == name})
            for name in names
        }

    def to_json(self) -> str:
        """Everything as indented JSON; summaries are in it for readers and are not read back."""
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
        }
        return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def read_evaluation(path: str | os.PathLike[str]) -> Evaluation:
    """Reads the JSON of `bin/evaluate`.

    Raises:
      InputError: the file is missing or is something else.
    """
    try:
        content = json.loads(Path(path).read_text("utf-8"))
        if content["format"] != FORMAT or not content["pieces"]:
            raise ValueError
        pieces = {name: _piece(item) for name, item in content["pieces"].items()}
        return Evaluation(pieces, content["source"], content["pooled"], tuple(content["problems"]))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "is no evaluation", path=path, fix="Make one with bin/evaluate --json=FILE."
        ) from error


def format_text(evaluation: Evaluation) -> str:
    """Aligned tables, one for each pass that there is; "-" where there is no figure; then the errors."""
    blocks = [
        (f"{title}:\n" if title else "") + _format_variant(evaluation, prefix)
        for prefix, title in VARIANTS.items()
        if f"{prefix}note_f1" in evaluation.summary.mean
    ]
    if evaluation.errors:
        blocks.append(_format_errors(evaluation))
    if any(_SHIFT in piece.details for piece in evaluation.pieces.values()):
        blocks.append(_format_shifts(evaluation))
    return "\n\n".join(blocks)


def format_markdown(evaluation: Evaluation) -> str:
    """The same as Markdown: totals and groups with standard deviations, errors, then F1 by piece."""
    lines = ["# Evaluation", ""]
    lines += [f"- {name}: `{value}`" for name, value in evaluation.source.items()]
    lines += [f"- frames per second of frame figures: {FRAME_GRID.frames_per_second}", ""]
    totals = {f"all {len(evaluation.pieces)} pieces": evaluation}
    totals |= {f"{name} ({len(group.pieces)})": group for name, group in evaluation.groups.items()}
    names = list(evaluation.summary.mean)
    rows = [
        [f"`{name}`", *(_mean_and_deviation(item.summary, name) for item in totals.values())]
        for name in names
    ]
    lines += markdown_table(["mean ± standard deviation over pieces", *totals], rows)
    for name, value in evaluation.pooled.items():
        lines += ["", f"All pieces pooled: `{name}` {value:.4f}."]
    if evaluation.errors:
        kinds = list(evaluation.errors)
        rows = [[kind, *(str(item.errors[kind]) for item in totals.values())] for kind in kinds]
        lines += ["", "## Errors", "", *markdown_table(["notes", *totals], rows)]
    shown = [name for name in names if name.endswith(("f1", _AVERAGE))]
    rows = [
        [piece, *(_cell(item.scores.get(name)).strip() for name in shown)]
        for piece, item in evaluation.pieces.items()
    ]
    lines += ["", "## Pieces", "", *markdown_table(["piece", *shown], rows)]
    return "\n".join(lines) + "\n"


def format_csv(evaluation: Evaluation) -> str:
    """A row per piece: name, group, every figure, every count."""
    scores = list(evaluation.summary.mean)
    errors = list(evaluation.errors)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["piece", "group", *scores, *(f"errors_{kind}" for kind in errors)])
    for name, piece in evaluation.pieces.items():
        figures = [piece.scores.get(score, "") for score in scores]
        counts = [piece.errors.get(kind, "") for kind in errors]
        writer.writerow([name, piece.group, *figures, *counts])
    return text.getvalue()


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


def _format_variant(evaluation: Evaluation, prefix: str) -> str:
    summary = evaluation.summary
    metrics = {
        f"{prefix}{name}": title
        for name, title in _METRICS.items()
        if f"{prefix}{name}_f1" in summary.mean
    }
    average = f"{prefix}{_AVERAGE}"
    rows: list[tuple[str, Mapping[str, float]]] = [
        (name, piece.scores) for name, piece in evaluation.pieces.items()
    ]
    groups = evaluation.groups
    totals: list[tuple[str, Mapping[str, float]]] = [
        (f"mean of {name}", group.summary.mean) for name, group in groups.items() if len(groups) > 1
    ]
    totals += [("mean", summary.mean), ("standard deviation", summary.standard_deviation)]
    width = max(len(name) for name, _ in rows + totals)
    heading = "".join(f"   {title:<19}" for title in metrics.values())
    letters = ("   " + "".join(f"{f:<7}" for f in _FIGURES.values())[:19]) * len(metrics)
    if average in summary.mean:
        heading, letters = f"{heading}   average", f"{letters}   precision"
    lines = [f"{'':<{width}}{heading}", f"{'piece':<{width}}{letters}"]
    for name, figures in rows + totals:
        cells = [
            "  ".join(_cell(figures.get(f"{metric}_{figure}")) for figure in _FIGURES)
            for metric in metrics
        ]
        if average in summary.mean:
            cells.append(_cell(figures.get(average)))
        lines.append("   ".join([f"{name:<{width}}", *cells]))
    lines.insert(-len(totals), "-" * max(map(len, lines)))
    return "\n".join(line.rstrip() for line in lines)


def _format_errors(evaluation: Evaluation) -> str:
    lines = []
    for prefix, title in VARIANTS.items():
        counts = [
            f"{evaluation.errors[prefix + kind]} {kind}"
            for kind in KINDS
            if prefix + kind in evaluation.errors
        ]
        if counts:
            lines.append(f"notes{f' ({title})' if title else ''}: " + ", ".join(counts))
    return "\n".join(lines)


def _format_shifts(evaluation: Evaluation) -> str:
    lines = [
        "onsets after their labels, in ms (mean, standard deviation, notes), and the shift that was applied:"
    ]
    for name, piece in evaluation.pieces.items():
        d = piece.details
        lines.append(
            f"{name}: {d[_SHIFT]:+.1f}, {d['measured_label_shift_spread_ms']:.1f}, "
            f"{d['measured_label_shift_notes']}; {d['label_shift_ms']:+.1f}"
        )
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return f"{'-':<5}" if value is None else f"{value:.3f}"


def _mean_and_deviation(summary: Summary, name: str) -> str:
    if name not in summary.mean:
        return "-"
    return f"{summary.mean[name]:.3f} ± {summary.standard_deviation[name]:.3f}"


def markdown_table(heading: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a table; the first column is text, the others are figures."""
    lines = [_markdown_row(heading), "| --- |" + " ---: |" * (len(heading) - 1)]
    return lines + [_markdown_row(row) for row in rows]


def _markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
