"""Draw evaluations: figures by piece, and one piece as a piano roll of hits, misses and extras."""

from __future__ import annotations

import os

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from tfamt.evaluation.metrics import FRAME_GRID, frame_roll
from tfamt.evaluation.results import Evaluation
from tfamt.notes.table import HIGHEST_PITCH, LOWEST_PITCH, Notes
from tfamt.utils.output_paths import new_file

DPI = 110
HIT, MISSED, EXTRA, SILENT = (0.16, 0.55, 0.25), (0.13, 0.36, 0.78), (0.88, 0.25, 0.18), (1, 1, 1)
_METRICS = {
    "note_f1": ("note", "o", "#1b6ca8"),
    "note_offset_f1": ("note with offset", "s", "#d1682b"),
    "frame_f1": ("frame", "^", "#3b8a4a"),
}


def write_metrics_png(
    evaluation: Evaluation, path: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Draw the F1 of every piece, by group and within it from best to worst, with the means as lines.

    Raises:
      InputError: the file exists or cannot be written.
    """
    order = sorted(
        evaluation.pieces.items(), key=lambda item: (item[1].group, -item[1].scores["note_f1"])
    )
    figure = Figure(figsize=(9, max(2.6, 1.4 + 0.22 * len(order))), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(order))
    for name, (label, marker, colour) in _METRICS.items():
        values = [piece.scores[name] for _, piece in order]
        axes.plot(values, rows, marker, color=colour, markersize=5, label=label)
        axes.axvline(evaluation.summary.mean[name], color=colour, linewidth=1, linestyle=":")
    labels = [
        f"{name}  [{piece.group}]" if piece.group and piece.group not in name else name
        for name, piece in order
    ]
    axes.set_yticks(rows, labels, fontsize=7, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.grid(axis="both", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("F1 (dotted: mean over pieces)")
    figure.legend(loc="outside upper center", ncols=len(_METRICS), frameon=False)
    with new_file(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, format="png")


def overlay(reference: Notes, estimate: Notes, start: float, seconds: float) -> NDArray[np.float64]:
    """Return an excerpt as colours `HIT`, `MISSED`, `EXTRA` and `SILENT`: [frames, 128, 3], 0..1."""
    first, end = (round(FRAME_GRID.frames_per_second * time) for time in (start, start + seconds))
    played, found = (frame_roll(notes, FRAME_GRID, end)[first:] for notes in (reference, estimate))
    colours = np.empty((*played.shape, 3))
    for mask, colour in (
        (played & found, HIT),
        (played & ~found, MISSED),
        (~played & found, EXTRA),
        (~played & ~found, SILENT),
    ):
        colours[mask] = colour
    return colours


def write_overlay_png(
    reference: Notes,
    estimate: Notes,
    path: str | os.PathLike[str],
    *,
    start: float = 0.0,
    seconds: float = 30.0,
    title: str = "",
    overwrite: bool = False,
) -> None:
    """Draw in three colours the frames of both, of the reference only and of the estimate only.

    Strokes mark onsets, of the reference below a key's middle, of the estimate above it.

    Raises:
      InputError: the file exists or cannot be written.
    """
    colours = overlay(reference, estimate, start, seconds)
    used = np.flatnonzero((colours != 1).any(axis=(0, 2)))
    lowest, highest = (used.min(), used.max()) if len(used) else (LOWEST_PITCH, HIGHEST_PITCH)
    figure = Figure(figsize=(13, 6), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    half_frame = 0.5 / FRAME_GRID.frames_per_second
    axes.imshow(
        np.swapaxes(colours, 0, 1),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(start - half_frame, start + seconds - half_frame, -0.5, 127.5),
    )
    for notes, low, high in ((reference, -0.45, 0.0), (estimate, 0.0, 0.45)):
        inside = (notes.onset >= start) & (notes.onset < start + seconds)
        pitch = notes.pitch[inside]
        axes.vlines(notes.onset[inside], pitch + low, pitch + high, colors="black", linewidth=0.9)
    octaves = np.arange(12, 128, 12)
    axes.set_yticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves])
    axes.set_xlim(start - half_frame, start + seconds - half_frame)
    axes.set_ylim(lowest - 2.5, highest + 2.5)
    axes.grid(axis="y", color="0.85", linewidth=0.6)
    axes.set_axisbelow(False)
    axes.set_xlabel("time (s); ticks: onsets, labelled below, transcribed above")
    axes.set_title(title, loc="left", parse_math=False)
    kinds = {"hit": HIT, "missed": MISSED, "extra": EXTRA}
    patches = [Patch(color=colour, label=name) for name, colour in kinds.items()]
    figure.legend(handles=patches, loc="outside upper right", ncols=3, frameon=False)
    with new_file(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, format="png")
