"""Measures what the numbered deviations of docs/deviations.md are worth, on label files alone.

Usage: bin/benchmark deviations --labels=FOLDER [--json=FILE]

FOLDER holds label files of any data set (MAPS .txt, MIDI, .csv), however deep. No model is involved: a figure is what a
transcriber that gets every frame right would be credited with. `pipelines.deviations` says what each figure is.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from absl import flags

from pipelines.deviations import measure
from tfamt.errors import InputError

_LABELS = flags.DEFINE_string("labels", None, "Folder of label files.")
_JSON = flags.DEFINE_string("json", None, "File to write the figures to.")


def main(argv: list[str]) -> int:
    """The benchmark; returns its exit code."""
    from tfamt.files import atomic_write
    from tfamt.label_pairs import labels_by_stem
    from tfamt.labels import read_labels

    if argv[1:]:
        raise InputError(f"there are no arguments but flags. Received: {' '.join(argv[1:])}")
    if not _LABELS.value:
        raise InputError("--labels is missing")
    # MAPS has its offsets in the .txt; what stands beside it in MIDI is less exact.
    files = labels_by_stem(Path(_LABELS.value), (".txt", ".csv", ".mid", ".midi"))
    if not files:
        raise InputError("holds no label file", path=_LABELS.value)
    rows = [measure(read_labels(path)) for path in files.values()]
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    print(f"{len(rows)} files, means over files")
    for name, value in means.items():
        print(f"{name:<32}{value:8.3f}")
    if _JSON.value:
        atomic_write(_JSON.value, json.dumps({"files": len(rows), "mean": means}, indent=1) + "\n")
    return 0
