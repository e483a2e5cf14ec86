"""Compare trainings by what stands in their run folders: progress, figures, configs."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfamt.config import Config
from tfamt.errors import InputError, reason_of
from tfamt.training.run_folder import MetricsLog, flatten

FIGURES = ("validation_note_f1", "validation_note_offset_f1", "validation_frame_f1")


@dataclass(frozen=True)
class TrainingRun:
    """A run folder.

    Attributes:
      name: the folder, relative to where it was looked for.
      config: of its last start.
      metrics: the lines of metrics.jsonl.
    """

    name: str
    config: Config
    metrics: Sequence[dict[str, Any]]

    @property
    def step(self) -> int:
        """Return the last step that was reported, 0 before the first report."""
        return max((line["step"] for line in self.metrics), default=0)

    def last(self, group: str, metric: str) -> float | None:
        """Return the newest value of a metric."""
        return next(iter(reversed(self._values(group, metric))), None)

    def best(self, group: str, metric: str) -> float | None:
        """Return the largest value of a metric."""
        return max(self._values(group, metric), default=None)

    def _values(self, group: str, metric: str) -> list[float]:
        lines = (line for line in self.metrics if line["group"] == group)
        return [line[metric] for line in lines if isinstance(line.get(metric), int | float)]


def find_runs(folders: Sequence[str | os.PathLike[str]]) -> list[TrainingRun]:
    """Return the runs in folders, at any depth, in the order of their names.

    Raises:
      InputError: a folder is missing or holds no run, or a config is damaged.
    """
    found: dict[Path, TrainingRun] = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise InputError(
                "is no folder", path=folder, fix="Name folders of bin/train --run_dir."
            )
        places = sorted(path.parent for path in folder.rglob("metrics.jsonl"))
        for place in places:
            if (place / "config.json").is_file():
                name = place.name if place == folder else str(place.relative_to(folder))
                found.setdefault(place.resolve(), _read(place, name))
    if not found:
        raise InputError(
            f"there is no run in {', '.join(map(str, folders))}",
            fix="Name folders of bin/train --run_dir, or one above them.",
        )
    return list(found.values())


def _read(folder: Path, name: str) -> TrainingRun:
    path = folder / "config.json"
    try:
        config = Config.from_json(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({reason_of(error)})", path=path) from error
    except InputError as error:
        raise InputError(error.problem, path=path) from error
    return TrainingRun(name, config, MetricsLog(folder).lines())


def progress_rows(runs: Sequence[TrainingRun]) -> list[list[str]]:
    """Return a header, and a row for each run: steps, loss, best figures and last average precision."""
    heads = [name.removeprefix("validation_") for name in FIGURES]
    rows = [["run", "step", "of", "loss", *heads, "average_precision"]]
    for run in runs:
        figures = [
            run.last("train", "loss"),
            *(run.best("validation", name) for name in FIGURES),
            run.last("validation", "validation_average_precision"),
        ]
        cells = ["" if value is None else f"{value:.4g}" for value in figures]
        rows.append([run.name, str(run.step), str(run.config.training.steps), *cells])
    return rows


def config_rows(runs: Sequence[TrainingRun]) -> list[list[str]]:
    """Return a header, and a row for each field of the config in which runs differ; the header alone if none does."""
    fields = [flatten(json.loads(run.config.to_json())) for run in runs]
    names = [name for name in fields[0] if len({json.dumps(each.get(name)) for each in fields}) > 1]
    rows = [["config", *(run.name for run in runs)]]
    return rows + [[name, *(json.dumps(each.get(name)) for each in fields)] for name in names]


def metrics_csv(runs: Sequence[TrainingRun]) -> str:
    """Return all metrics as CSV, a row for each value: run, step, group, metric, value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", "step", "group", "metric", "value"])
    for run in runs:
        for line in run.metrics:
            writer.writerows(_values(run.name, line))
    return text.getvalue()


def _values(name: str, line: dict[str, Any]) -> Iterator[list[Any]]:
    for metric, value in line.items():
        if metric not in ("step", "group"):
            yield [name, line["step"], line["group"], metric, value]
