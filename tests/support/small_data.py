"""Prepare a data set of a few short pieces of simple tones, with all three splits."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipelines.input.training_windows import window_dataset
from pipelines.input.window_plan import WindowSpec
from pipelines.preparation.index import StoredRecording, totals_of
from pipelines.preparation.records import SEGMENT_SAMPLES, Segment, encode, index_of, notes_between
from pipelines.preparation.shards import ShardJob, write_shard
from pipelines.readers.folder import read
from tfamt.audio.loudness import loudness
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


def write_prepared(folder: Path, shards: list[list[tuple[np.ndarray, Notes]]]) -> None:
    """Write a prepared data set of these recordings without the pipeline that usually makes it."""
    numbers = itertools.count()
    for shard, recordings in enumerate(shards):
        segments, levels = [], {}
        for audio, notes in recordings:
            name = f"r{next(numbers)}"
            levels[name] = loudness(audio / np.float32(32_768))
            for index, start in enumerate(range(0, len(audio), SEGMENT_SAMPLES)):
                end = min(start + SEGMENT_SAMPLES, len(audio))
                inside = notes_between(notes, start, end)
                segments.append(Segment(name, "g", index, len(audio), audio[start:end], inside))
        records = [encode(segment) for segment in segments]
        stem = folder / f"train-{shard:05d}-of-{len(shards):05d}"
        with tf.io.TFRecordWriter(f"{stem}.tfrecord") as writer:
            for record in records:
                writer.write(record)
        entries = [dataclasses.asdict(entry) for entry in index_of(records, segments, levels)]
        Path(f"{stem}.index.json").write_text(json.dumps({"recordings": entries}))
    (folder / "manifest.json").write_text("{}")


def prepare_noise(folder: Path) -> Path:
    """Write four recordings of noise, 21 s each, with random labels, as a prepared data set; return the folder."""
    generator = np.random.default_rng(0)
    recordings = []
    for _ in range(4):
        onset = np.sort(generator.uniform(0, 20, 40))
        notes = Notes(onset, onset + 0.3, generator.integers(30, 100, 40))
        recordings.append((generator.normal(0, 3000, 16_000 * 21).astype(np.int16), notes))
    write_prepared(folder, [recordings[:2], recordings[2:]])
    return folder
