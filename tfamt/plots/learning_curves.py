"""Read learning curves from TensorBoard logs, and draw them."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from tfamt.utils.atomic_files import atomic_write
from tfamt.utils.output_paths import new_file

COLOURS = ("#1b6ca8", "#d1682b", "#3b8a4a", "#7b4ea3")


@dataclass(frozen=True)
class Curve:
    """One scalar of one run.

    Attributes:
      steps: where it was written.
      values: what was written.
      times: when, seconds since 1970.
    """

    steps: list[int]
    values: list[float]
    times: list[float]

    @property
    def seconds_per_step(self) -> float:
        """Median over reports, so that pauses between sessions do not count; nan with fewer than two reports."""
        steps, times = np.diff(self.steps), np.diff(self.times)
        return float(np.median(times / steps)) if len(steps) else float("nan")


def read_curves(run_dir: str | os.PathLike[str]) -> dict[str, Curve]:
    """Read all scalars of a run by tag, such as "train/loss"; of steps written twice, the later value."""
    points: dict[str, dict[int, tuple[float, float]]] = {}
    for path in sorted(
        Path(run_dir, "logs").glob("events.*"), key=lambda path: path.stat().st_mtime
    ):
        events = EventAccumulator(str(path), size_guidance={"tensors": 0}).Reload()
        try:
            tags = events.PluginTagToContent("scalars")
        except KeyError:
            # A start that found nothing left to do.
            continue
        for tag in tags:
            for event in events.Tensors(tag):
                value = float(make_ndarray(event.tensor_proto))
                points.setdefault(tag, {})[event.step] = (value, event.wall_time)
    curves = {}
    for tag, by_step in points.items():
        steps = sorted(by_step)
        values, times = zip(*(by_step[step] for step in steps), strict=True)
        curves[tag] = Curve(steps, list(values), list(times))
    return curves


def write_curves(curves: Mapping[str, Curve], path: Path) -> None:
    """Write curves as JSON, by tag."""
    content = {tag: dataclasses.asdict(curve) for tag, curve in sorted(curves.items())}
    atomic_write(path, json.dumps(content) + "\n")


def load_curves(path: Path) -> dict[str, Curve]:
    """Read the file of `write_curves`."""
    return {tag: Curve(**item) for tag, item in json.loads(path.read_text("utf-8")).items()}


def write_curves_png(
    runs: Mapping[str, Sequence[Mapping[str, Curve]]],
    path: str | os.PathLike[str],
    *,
    tags: Mapping[str, str],
    overwrite: bool = False,
) -> None:
    """Draw scalars over steps.

    Args:
      runs: curves of each run, by the name of its arm; an arm has a colour.
      path: the picture.
      tags: what is drawn, a column each: tag and title.
      overwrite: whether an existing file may be replaced.

    Raises:
      InputError: the file exists or cannot be written.
    """
    figure = Figure(figsize=(4.2 * len(tags), 3.6), dpi=110, layout="constrained")
    columns = figure.subplots(1, len(tags), squeeze=False)[0]
    for axes, (tag, title) in zip(columns, tags.items(), strict=True):
        for colour, (arm, curves) in zip(COLOURS, runs.items(), strict=False):
            label: str | None = arm
            for curve in curves:
                if tag in curve:
                    steps, values = curve[tag].steps, curve[tag].values
                    axes.plot(steps, values, color=colour, linewidth=1, alpha=0.85, label=label)
                    label = None
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step")
        axes.grid(color="0.9", linewidth=0.6)
    columns[0].legend(frameon=False, fontsize=8)
    with new_file(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, format="png")
