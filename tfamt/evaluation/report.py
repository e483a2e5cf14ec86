"""Format evaluations of many pieces as tables: plain text, Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from tfamt.evaluation.error_analysis import KINDS
from tfamt.evaluation.metrics import FRAME_GRID, Summary
from tfamt.evaluation.results import EMPTY, Evaluation, Piece

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


def format_text(evaluation: Evaluation) -> str:
    """Return aligned tables, one for each pass; "-" where there is no figure; then the errors."""
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
    """Return Markdown: totals and groups with standard deviations, errors, then F1 by piece."""
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
        [piece + _empty_note(item), *(_cell(item.scores.get(name)).strip() for name in shown)]
        for piece, item in evaluation.pieces.items()
    ]
    lines += ["", "## Pieces", "", *markdown_table(["piece", *shown], rows)]
    if evaluation.warnings:
        lines += ["", "## Warnings", "", *(f"- {warning}" for warning in evaluation.warnings)]
    return "\n".join(lines) + "\n"


def format_csv(evaluation: Evaluation) -> str:
    """Return a row per piece: name, group, every figure, every count, and which side has no notes."""
    scores = list(evaluation.summary.mean)
    errors = list(evaluation.errors)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["piece", "group", *scores, *(f"errors_{kind}" for kind in errors), EMPTY])
    for name, piece in evaluation.pieces.items():
        figures = [piece.scores.get(score, "") for score in scores]
        counts = [piece.errors.get(kind, "") for kind in errors]
        writer.writerow([name, piece.group, *figures, *counts, piece.details.get(EMPTY, "")])
    return text.getvalue()


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
    if not prefix:
        for number, piece in enumerate(evaluation.pieces.values(), start=2):
            lines[number] = lines[number].rstrip() + _empty_note(piece)
    return "\n".join(line.rstrip() for line in lines)


def _empty_note(piece: Piece) -> str:
    return f" ({piece.details[EMPTY]} without notes)" if EMPTY in piece.details else ""


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
    """Return the lines of a table; the first column is text, the others are figures."""
    lines = [_markdown_row(heading), "| --- |" + " ---: |" * (len(heading) - 1)]
    return lines + [_markdown_row(row) for row in rows]


def _markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
