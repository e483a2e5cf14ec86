"""Compare two systems: paired differences, and whether they are significant.

Both systems have transcribed the same pieces, so a piece's difficulty cancels in the difference of its figures. Where
both were trained several times, run k of one is paired with run k of the other (same seed, same data order). The
interval is a percentile bootstrap (Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979): pieces, and with
several runs runs as well, are drawn again with replacement and the mean difference is taken each time. The sign test
asks how likely so uneven a number of better and worse pieces would be by chance; a piece's difference is the mean over
its runs, and pieces without any difference do not count.

A difference holds if the interval leaves out 0 and the sign test gives less than `SIGNIFICANT`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from tfamt.errors import InputError
from tfamt.evaluation.results import Evaluation

METRICS = (
    "note_f1",
    "note_offset_f1",
    "note_offset_velocity_f1",
    "frame_precision",
    "frame_recall",
    "frame_f1",
    "average_precision",
)
"""What is compared unless asked for otherwise, as far as all evaluations have it."""
SIGNIFICANT = 0.05
RESAMPLES = 10_000
_EQUAL = 1e-12


@dataclass(frozen=True)
class System:
    """A system under comparison: one evaluation for each time that it was trained."""

    name: str
    runs: Sequence[Evaluation]


@dataclass(frozen=True)
class Difference:
    """By how much a system's figure lies above that of the base.

    Attributes:
      metric: name of the figure.
      base: mean of the base.
      other: mean of the other.
      by_piece: difference of each piece, mean over runs.
      runs: pairs of runs that were compared.
      interval: 95 % interval of the mean difference.
      better: pieces with a higher figure.
      worse: pieces with a lower figure.
      p: of the two-sided sign test; 1 if no piece differs.
    """

    metric: str
    base: float
    other: float
    by_piece: dict[str, float]
    runs: int
    interval: tuple[float, float]
    better: int
    worse: int
    p: float

    @property
    def mean(self) -> float:
        """Mean difference over pieces and runs."""
        return float(np.mean(list(self.by_piece.values())))

    @property
    def holds(self) -> bool:
        """Return whether both interval and sign test speak against chance."""
        low, high = self.interval
        return (low > 0 or high < 0) and self.p < SIGNIFICANT

    @property
    def verdict(self) -> str:
        """In words."""
        if self.holds:
            return "higher" if self.mean > 0 else "lower"
        smallest = 2.0 ** (1 - len(self.by_piece))
        if smallest >= SIGNIFICANT:
            return f"does not hold ({len(self.by_piece)} pieces are too few for the sign test)"
        return "does not hold"


def common_pieces(systems: Sequence[System]) -> list[str]:
    """Return pieces that every run of every system has scored, in the first one's order.

    Raises:
      InputError: there is none.
    """
    runs = [run for system in systems for run in system.runs]
    names = [name for name in runs[0].pieces if all(name in run.pieces for run in runs)]
    if not names:
        raise InputError("the evaluations have no piece in common")
    return names


def common_metrics(systems: Sequence[System], pieces: Sequence[str]) -> list[str]:
    """Return those of `METRICS` that every run has for every one of the pieces."""
    runs = [run for system in systems for run in system.runs]
    return [
        metric
        for metric in METRICS
        if all(metric in run.pieces[piece].scores for run in runs for piece in pieces)
    ]


def compare(
    base: System,
    other: System,
    metric: str,
    pieces: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Compare one figure.

    Args:
      base: what is compared with.
      other: what may be better or worse.
      metric: name of a figure that all runs have for all pieces.
      pieces: names of the pieces.
      resamples: of the bootstrap.
      seed: of the bootstrap.

    Raises:
      InputError: a run has no such figure for a piece.
    """
    ours, theirs = (_figures(system, metric, pieces) for system in (other, base))
    if len(ours) != len(theirs):
        # Without partners runs cannot be paired; their means can.
        ours, theirs = ours.mean(axis=0, keepdims=True), theirs.mean(axis=0, keepdims=True)
    differences = ours - theirs
    by_piece = differences.mean(axis=0)
    better, worse = int((by_piece > _EQUAL).sum()), int((by_piece < -_EQUAL).sum())
    p = float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
    return Difference(
        metric=metric,
        base=float(theirs.mean()),
        other=float(ours.mean()),
        by_piece=dict(zip(pieces, by_piece.tolist(), strict=True)),
        runs=len(differences),
        interval=bootstrap_interval(differences, resamples=resamples, seed=seed),
        better=better,
        worse=worse,
        p=p,
    )


def bootstrap_interval(
    differences: NDArray[np.float64], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean of `differences`, [runs, pieces]; both axes are resampled."""
    random = np.random.default_rng(seed)
    # How often each row and column is drawn is all that a mean needs.
    rows, columns = (
        random.multinomial(size, np.full(size, 1.0 / size), resamples) for size in differences.shape
    )
    means = (rows @ differences * columns).sum(axis=1) / differences.size
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def format_differences(base: str, other: str, differences: Sequence[Difference]) -> str:
    """Return a Markdown table, which reads as plain text too."""
    first = differences[0]
    pieces = f"{len(first.by_piece)} pieces" + (
        f", {first.runs} runs each" if first.runs > 1 else ""
    )
    rows = [
        [
            "figure",
            base,
            other,
            "difference",
            "95 % interval",
            "better / worse",
            "sign test p",
            f"{other} is",
        ]
    ]
    for item in differences:
        low, high = item.interval
        rows.append(
            [
                item.metric,
                f"{item.base:.4f}",
                f"{item.other:.4f}",
                f"{item.mean:+.4f}",
                f"{low:+.4f} to {high:+.4f}",
                f"{item.better} / {item.worse}",
                f"{item.p:.4f}",
                item.verdict,
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join([f"{other} against {base}, {pieces}:", "", *lines])


def _figures(system: System, metric: str, pieces: Sequence[str]) -> NDArray[np.float64]:
    """Return the figures [runs, pieces]."""
    try:
        return np.array([[run.pieces[p].scores[metric] for p in pieces] for run in system.runs])
    except KeyError as error:
        known = sorted(system.runs[0].pieces[pieces[0]].scores)
        raise InputError(
            f"{system.name} has no {metric} for every piece. Received: {', '.join(known)}"
        ) from error
