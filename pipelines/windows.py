"""Prepared data sets to batches of spectrogram and piano-roll windows (tf.data).

Which windows a step sees is a pure function of the seed and the step: `training_plan` lays a grid of windows with a
random phase over every recording, once per epoch, so that every second of every recording is as likely to be seen
as any other, and shuffles all of them. A run resumes anywhere by asking for the plan from that step on; no state of
an iterator needs keeping.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.records import SEGMENT_SAMPLES, IndexEntry, parse_span
from tfamt.errors import InputError
from tfamt.frames import FrameGrid
from tfamt.pianoroll import notes_to_rolls_graph

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class Stored:
    """A recording of a prepared data set: the shard that holds it, the shard's size in bytes, and where in it."""

    shard: str
    size: int
    entry: IndexEntry


@dataclass(frozen=True)
class WindowSpec:
    """A window to cut: `start` is its first sample in the recording and may be negative."""

    recording: int
    start: int
    seed: int


Augment = Callable[["tf.Tensor", "tf.Tensor"], "tf.Tensor"]


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a prepared data set, which is there only when all else is.

    Raises:
      InputError: there is none, or it cannot be read.
    """
    path = folder / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            "is not a prepared data set: manifest.json is missing",
            path=folder,
            fix="Make one with bin/prepare, or let an interrupted bin/prepare finish.",
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", path=path) from error
    return manifest


def load_index(folder: str | Path, split: str, *, required: bool = True) -> list[Stored]:
    """The recordings of one split of a prepared data set.

    Raises:
      InputError: the folder is not a finished prepared data set, or holds nothing of this split although that is
        required.
    """
    root = Path(folder)
    read_manifest(root)
    stored = []
    for index_file in sorted(root.glob(f"{split}-*.index.json")):
        shard = index_file.with_name(index_file.name.replace(".index.json", ".tfrecord"))
        for entry in json.loads(index_file.read_text("utf-8"))["recordings"]:
            entry["offsets"] = tuple(entry["offsets"])
            stored.append(Stored(str(shard), shard.stat().st_size, IndexEntry(**entry)))
    if required and not stored:
        raise InputError(f"holds no recording of the split {split!r}", path=root)
    return stored


def training_plan(
    stored: Sequence[Stored], window_samples: int, seed: int, first: int = 0
) -> Iterator[WindowSpec]:
    """Windows without end, from number `first` on; the same for the same recordings and seed."""
    totals = np.array([item.entry.total for item in stored])
    skip = first
    for epoch in itertools.count():
        random = np.random.default_rng((seed, epoch))
        # The grid's first window begins before the recording, so that its first second is no rarer than others.
        starts = random.integers(1, window_samples + 1, len(stored)) - window_samples
        counts = -(-(totals - starts) // window_samples)
        if skip >= counts.sum():
            skip -= counts.sum()
            continue
        recordings = np.repeat(np.arange(len(stored)), counts)
        tiles = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
        windows = starts[recordings] + tiles * window_samples
        order = random.permutation(len(windows))
        seeds = random.integers(0, 2**31, len(windows))
        for position in order[skip:]:
            yield WindowSpec(
                int(recordings[position]), int(windows[position]), int(seeds[position])
            )
        skip = 0


def sequential_plan(stored: Sequence[Stored], window_samples: int) -> Iterator[WindowSpec]:
    """Every recording once, from its first sample, in windows that follow each other."""
    for recording, item in enumerate(stored):
        for start in range(0, item.entry.total, window_samples):
            yield WindowSpec(recording, start, 0)


def window_dataset(
    plan: Callable[[], Iterator[WindowSpec]],
    stored: Sequence[Stored],
    num_frames: int,
    grid: FrameGrid,
    augment: Augment | None = None,
) -> tf.data.Dataset:
    """The windows of a plan, in its order.

    Args:
      plan: gives a fresh iterator over the windows.
      stored: the recordings that the plan counts.
      num_frames: length of a window.
      grid: sample rate and hop.
      augment: (waveform float32 [samples], seed int32 [2]) -> waveform.

    Returns:
      Elements {"waveform": float32 [num_frames * hop], "pianoroll", "onset", "offset", "velocity": float32
      [num_frames, 88], "recording": int64 [], "start": int64 []}. What lies outside the recording is silence.
    """
    import tensorflow as tf

    samples = num_frames * grid.hop
    most = (samples - 2) // SEGMENT_SAMPLES + 2

    def spans() -> Iterator[tuple[int, int, int, str, int, NDArray[np.int64]]]:
        for spec in plan():
            item = stored[spec.recording]
            first, last = segments_touched(spec.start, samples, item.entry.total)
            offsets = np.asarray(item.entry.offsets[first : last + 2], np.int64)
            yield spec.recording, spec.start, spec.seed, item.shard, item.size, offsets

    def cut(
        recording: tf.Tensor,
        start: tf.Tensor,
        seed: tf.Tensor,
        shard: tf.Tensor,
        size: tf.Tensor,
        offsets: tf.Tensor,
    ) -> tf.data.Dataset:
        span = tf.data.FixedLengthRecordDataset(
            shard, offsets[-1] - offsets[0], offsets[0], size - offsets[-1]
        )
        return span.map(lambda data: finish(recording, start, seed, data, offsets - offsets[0]))

    def finish(
        recording: tf.Tensor, start: tf.Tensor, seed: tf.Tensor, span: tf.Tensor, offsets: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        fields = parse_span(span, offsets, most)
        first_sample = tf.maximum(start, 0) // SEGMENT_SAMPLES * SEGMENT_SAMPLES
        waveform = slice_or_silence(fields["audio"], start - first_sample, samples)
        if augment is not None:
            waveform = augment(waveform, tf.stack([tf.cast(seed, tf.int32), 0]))
        rolls = notes_to_rolls_graph(
            fields["onset"],
            fields["offset"],
            fields["pitch"],
            fields["velocity"],
            num_frames=num_frames,
            grid=grid,
            start_sample=start,
        )
        return {"waveform": waveform, **rolls, "recording": recording, "start": start}

    int64 = tf.TensorSpec([], tf.int64)
    signature = (
        int64,
        int64,
        int64,
        tf.TensorSpec([], tf.string),
        int64,
        tf.TensorSpec([None], tf.int64),
    )
    return tf.data.Dataset.from_generator(spans, output_signature=signature).interleave(
        cut, cycle_length=8, block_length=1, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )


def segments_touched(start: int, samples: int, total: int) -> tuple[int, int]:
    """First and last segment that a window lies in; the window must touch the recording."""
    first = max(start, 0) // SEGMENT_SAMPLES
    last = (min(start + samples, total) - 1) // SEGMENT_SAMPLES
    return first, last


def slice_or_silence(audio: tf.Tensor, start: tf.Tensor, samples: int) -> tf.Tensor:
    """`samples` of `audio` from `start` on, zeros where it has none."""
    import tensorflow as tf

    before = tf.maximum(-start, 0)
    audio = audio[tf.maximum(start, 0) :][: samples - before]
    after = samples - before - tf.shape(audio, tf.int64)[0]
    return tf.ensure_shape(tf.pad(audio, [[before, after]]), [samples])


def training_batches(
    stored: Sequence[Stored],
    *,
    num_frames: int,
    batch_size: int,
    grid: FrameGrid,
    seed: int,
    first_step: int = 0,
    augment: Augment | None = None,
) -> tf.data.Dataset:
    """Endless batches for training, from `first_step` on: `window_dataset` elements with a batch axis."""
    import tensorflow as tf

    def plan() -> Iterator[WindowSpec]:
        return training_plan(stored, num_frames * grid.hop, seed, first_step * batch_size)

    dataset = window_dataset(plan, stored, num_frames, grid, augment)
    return dataset.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def evaluation_batches(
    stored: Sequence[Stored],
    *,
    num_frames: int,
    batch_size: int,
    grid: FrameGrid,
    limit: int | None = None,
) -> tf.data.Dataset:
    """Batches that hold every recording once, in order; the last may be smaller. `limit` windows at the most."""
    import tensorflow as tf

    def plan() -> Iterator[WindowSpec]:
        return itertools.islice(sequential_plan(stored, num_frames * grid.hop), limit)

    dataset = window_dataset(plan, stored, num_frames, grid)
    return dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE)
