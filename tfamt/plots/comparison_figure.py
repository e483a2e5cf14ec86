"""Draw the differences between two systems: every piece, with the mean and its interval."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from tfamt.evaluation.comparison import Difference
from tfamt.utils.output_paths import new_file

_WORSE, _BETTER, _MEAN = "#c8553d", "#2f7f4f", "#222222"


def write_differences_png(
    differences: Sequence[Difference],
    path: str | os.PathLike[str],
    *,
    title: str = "",
    overwrite: bool = False,
) -> None:
    """Draw a column for each figure, a bar for each piece, the largest gain on top.

    Raises:
      InputError: the file exists or cannot be written.
    """
    first = differences[0]
    order = sorted(first.by_piece, key=lambda name: first.by_piece[name])
    height = max(2.8, 1.6 + 0.2 * len(order))
    figure = Figure(figsize=(2.5 + 2.6 * len(differences), height), dpi=110, layout="constrained")
    columns = figure.subplots(1, len(differences), sharey=True, squeeze=False)[0]
    rows = np.arange(len(order))
    for axes, item in zip(columns, differences, strict=True):
        values = [item.by_piece[name] for name in order]
        axes.barh(rows, values, color=[_BETTER if v > 0 else _WORSE for v in values], height=0.7)
        low, high = item.interval
        axes.axvspan(low, high, color=_MEAN, alpha=0.13, linewidth=0, zorder=0)
        axes.axvline(item.mean, color=_MEAN, linewidth=1.2)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_title(
            f"{item.metric}\n{item.mean:+.4f}: {item.verdict.split(' (')[0]}", fontsize=9
        )
        axes.tick_params(labelsize=7)
        axes.locator_params(axis="x", nbins=5)
        axes.grid(axis="x", color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
    columns[0].set_yticks(rows, order, parse_math=False)
    figure.supxlabel("difference (line: mean; grey: its 95 % interval)", fontsize=8)
    figure.suptitle(title, fontsize=10, parse_math=False)
    with new_file(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, format="png")
