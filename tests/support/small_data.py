"""Prepare a data set of a few short pieces of simple tones, with all three splits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipelines.input.training_windows import window_dataset
from pipelines.input.window_plan import WindowSpec
from pipelines.preparation.index import StoredRecording, totals_of
from pipelines.preparation.shards import ShardJob, write_shard
from pipelines.readers.folder import read
from tfamt.frames import FrameGrid
from tfamt.notes.midi import write_midi
from tfamt.notes.sonify import write_wav
from tfamt.notes.table import Notes

SPLITS = {"train": 2, "validation": 2, "test": 1}


def piece(seed: int, seconds: float = 4.0) -> Notes:
    """Two notes a second, quantised to 10 ms."""
    random = np.random.default_rng(seed)
    onset = np.arange(0.25, seconds - 1, 0.5)
    length = np.round(random.uniform(0.2, 0.45, len(onset)), 2)
    return Notes(
        onset,
        onset + length,
        random.integers(55, 75, len(onset)),
        random.integers(40, 100, len(onset)),
    )


def prepare_small(folder: Path) -> Path:
    """Makes the data set in `folder`/data, which is returned."""
    source, data = folder / "source", folder / "data"
    data.mkdir(parents=True)
    for split, count in SPLITS.items():
        (source / split).mkdir(parents=True)
        for number in range(count):
            notes = piece(10 * len(split) + number)
            write_midi(notes, source / split / f"{split}{number}.mid")
            write_wav(notes, source / split / f"{split}{number}.wav")
    recordings = read(str(source)).recordings
    for split in SPLITS:
        chosen = [recording for recording in recordings if recording.split == split]
        write_shard(ShardJob(str(data), f"{split}-00000-of-00001", "small", chosen))
    content = {
        "splits": {
            split: {"recordings": count, "hours": 0.0, "groups": {"tones": count}}
            for split, count in SPLITS.items()
        }
    }
    (data / "manifest.json").write_text(json.dumps(content))
    return data


def every_window(
    stored: Sequence[StoredRecording], num_frames: int, grid: FrameGrid
) -> tf.data.Dataset:
    """Return the windows of every recording once, from its first sample on, one after the other."""

    def plan() -> Iterator[WindowSpec]:
        for recording, total in enumerate(totals_of(stored)):
            for start in range(0, total, num_frames * grid.hop):
                yield WindowSpec(recording, start, 0)

    return window_dataset(plan, stored, num_frames, grid)
