"""Measure the effect of the numbered deviations of docs/deviations.md on labels and performances alone.

Usage: bin/benchmark deviations --labels=FOLDER [--performances=FOLDER] [--json=FILE]

--labels holds label files of any data set (MAPS .txt, MIDI, .csv), --performances MIDI files with the pedal of a
pianist, such as MAESTRO's; both however deep. No model is involved: a figure is what a transcriber that gets every
frame right would be credited with. `pipelines.studies.deviations` says what each figure is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import flags

from pipelines import rendering
from pipelines.studies.deviations import measure, measure_sustain
from tfamt import evaluation, notes
from tfamt.commands.app import refuse_arguments
from tfamt.errors import InputError
from tfamt.utils.atomic_files import atomic_write

_LABELS = flags.DEFINE_string("labels", None, "Folder of label files.")
_PERFORMANCES = flags.DEFINE_string("performances", None, "Folder of MIDI files with pedal.")
_JSON = flags.DEFINE_string("json", None, "File to write the figures to.")


def main(argv: list[str]) -> int:
    """Run the benchmark; return its exit code."""
    refuse_arguments(argv)
    report = {}
    if _LABELS.value:
        # MAPS has its offsets in the .txt; what stands beside it in MIDI is less exact.
        endings = (".txt", ".csv", ".mid", ".midi")
        report["labels"] = _means(
            _LABELS.value, endings, lambda path: measure(notes.read_labels(path))
        )
    if _PERFORMANCES.value:
        report["performances"] = _means(
            _PERFORMANCES.value,
            (".mid", ".midi"),
            lambda path: measure_sustain(rendering.parse_performance(notes.read_bytes(path), path)),
        )
    if not report:
        raise InputError("--labels is missing, or --performances")
    if _JSON.value:
        atomic_write(_JSON.value, json.dumps(report, indent=1) + "\n")
    return 0


def _means(
    folder: str, endings: tuple[str, ...], measure: Callable[[Path], dict[str, float]]
) -> dict[str, float]:
    """Print the means of the figures over the files of a folder; return them and the number of files."""
    files = evaluation.labels_by_stem(Path(folder), endings)
    if not files:
        raise InputError("holds no label file", path=folder)
    rows = [measure(path) for path in files.values()]
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    print(f"{len(rows)} files, means over files")
    for name, value in means.items():
        print(f"{name:<32}{value:8.3f}")
    return {"files": len(rows)} | means
