"""Read prepared data sets as batches of waveform and piano-roll windows (tf.data).

Which windows a step sees is a pure function of the seed and the step (`pipelines.input.window_plan`): a run resumes
anywhere by asking for the plan from that step on; no state of an iterator needs keeping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from pipelines.input.pitch_shift import (
    PitchShift,
    Resampling,
    longest_source,
    resample,
    resampling_for,
)
from pipelines.input.roll_graph import notes_to_rolls_graph
from pipelines.input.window_plan import WindowSpec, training_plan
from pipelines.preparation.index import StoredRecording, totals_of
from pipelines.preparation.records import SEGMENT_SAMPLES, parse_span
from tfamt.frames import FrameGrid

if TYPE_CHECKING:
    from tfamt.training.distribution import Share


Tensors = dict[str, "tf.Tensor"]
Augment = Callable[["tf.Tensor", "tf.Tensor"], "tf.Tensor"]


def window_dataset(
    plan: Callable[[], Iterator[WindowSpec]],
    stored: Sequence[StoredRecording],
    num_frames: int,
    grid: FrameGrid,
    augment: Augment | None = None,
    shift: PitchShift | None = None,
) -> tf.data.Dataset:
    """Yield the windows of a plan, in its order.

    Args:
      plan: gives a fresh iterator over the windows.
      stored: the recordings that the plan counts.
      num_frames: length of a window.
      grid: sample rate and hop.
      augment: (waveform float32 [samples], seed int32 [2]) -> waveform.
      shift: how far the plan may move the pitch of windows; None if it moves none.

    Returns:
      Elements {"waveform": float32 [num_frames * hop], "pianoroll", "onset", "offset", "velocity": float32
      [num_frames, 88], "recording": int64 [], "start": int64 [], "loudness": float32 [], of the recording}. What lies
      outside the recording is silence; notes that a transposition moves off the piano have no label.
    """
    samples = num_frames * grid.hop
    longest = samples if shift is None else longest_source(shift, samples)
    most = (longest - 2) // SEGMENT_SAMPLES + 2

    def spans() -> Iterator[dict[str, Any]]:
        for spec in plan():
            item = stored[spec.recording]
            resampling = (
                resampling_for(spec.ratio, samples) if shift else Resampling(samples, samples, 0)
            )
            begin = resampling.begin(spec.start)
            first, last = segments_touched(begin, resampling.source, item.entry.total)
            yield {
                "recording": spec.recording,
                "start": spec.start,
                "loudness": item.entry.loudness,
                "seed": spec.seed,
                "semitones": spec.semitones,
                "begin": begin,
                "source": resampling.source,
                "target": resampling.target,
                "shard": item.shard,
                "size": item.size,
                "offsets": np.asarray(item.entry.offsets[first : last + 2], np.int64),
            }

    def cut(span: Tensors) -> tf.data.Dataset:
        offsets = span["offsets"]
        content = tf.data.FixedLengthRecordDataset(
            span["shard"], offsets[-1] - offsets[0], offsets[0], span["size"] - offsets[-1]
        )
        return content.map(lambda data: finish(span, data))

    def finish(span: Tensors, data: tf.Tensor) -> Tensors:
        fields = parse_span(data, span["offsets"] - span["offsets"][0], most)
        first_sample = tf.maximum(span["begin"], 0) // SEGMENT_SAMPLES * SEGMENT_SAMPLES
        waveform = slice_or_silence(fields["audio"], span["begin"] - first_sample, span["source"])
        onset, offset, start = fields["onset"], fields["offset"], span["start"]
        if shift is not None:
            waveform = resample(waveform, tf.cast(span["target"], tf.int32))
            lead = (span["target"] - samples) // 2
            waveform = waveform[lead : lead + samples]
            # Times in the window, which begins between two samples of the recording.
            factor = tf.cast(span["target"], tf.float64) / tf.cast(span["source"], tf.float64)
            origin = tf.cast(span["begin"], tf.float64) / grid.sample_rate
            early = tf.cast(lead, tf.float64) / grid.sample_rate
            onset, offset = ((time - origin) * factor - early for time in (onset, offset))
            start = tf.zeros([], tf.int64)
        waveform = tf.ensure_shape(waveform, [samples])
        if augment is not None:
            waveform = augment(waveform, tf.stack([tf.cast(span["seed"], tf.int32), 0]))
        rolls = notes_to_rolls_graph(
            onset,
            offset,
            fields["pitch"] + span["semitones"],
            fields["velocity"],
            num_frames=num_frames,
            grid=grid,
            start_sample=start,
        )
        return {
            "waveform": waveform,
            **rolls,
            "recording": span["recording"],
            "start": span["start"],
            "loudness": span["loudness"],
        }

    names = ("recording", "start", "seed", "semitones", "begin", "source", "target", "size")
    signature = {name: tf.TensorSpec([], tf.int64) for name in names}
    signature["loudness"] = tf.TensorSpec([], tf.float32)
    signature["shard"] = tf.TensorSpec([], tf.string)
    signature["offsets"] = tf.TensorSpec([None], tf.int64)
    return tf.data.Dataset.from_generator(spans, output_signature=signature).interleave(
        cut, cycle_length=8, block_length=1, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )


def segments_touched(start: int, samples: int, total: int) -> tuple[int, int]:
    """Return the first and last segment that a window lies in; the window must touch the recording."""
    first = max(start, 0) // SEGMENT_SAMPLES
    last = (min(start + samples, total) - 1) // SEGMENT_SAMPLES
    return first, last


def slice_or_silence(audio: tf.Tensor, start: tf.Tensor, samples: tf.Tensor) -> tf.Tensor:
    """Return `samples` of `audio` from `start` on, zeros outside of it (int64 both)."""
    before = tf.maximum(-start, 0)
    audio = audio[tf.maximum(start, 0) :][: samples - before]
    after = samples - before - tf.shape(audio, tf.int64)[0]
    return tf.pad(audio, [[before, after]])


def training_batches(
    stored: Sequence[StoredRecording],
    *,
    num_frames: int,
    batch_size: int,
    grid: FrameGrid,
    seed: int,
    first_step: int = 0,
    augment: Augment | None = None,
    shift: PitchShift | None = None,
    share: Share | None = None,
    group: int = 1,
) -> tf.data.Dataset:
    """Return endless batches for training, from `first_step` on: `window_dataset` elements with a batch axis.

    With a `share` only a worker's part of each batch, which no other worker reads. `group` as in `training_plan`.
    """
    index, count = (share.index, share.count) if share else (0, 1)
    own = batch_size // count

    def plan() -> Iterator[WindowSpec]:
        first = first_step * batch_size
        whole = training_plan(totals_of(stored), num_frames * grid.hop, seed, first, shift, group)
        # A batch's windows belong to the workers in turn: `own` to the first, as many to the second.
        return (spec for number, spec in enumerate(whole) if number % batch_size // own == index)

    dataset = window_dataset(plan, stored, num_frames, grid, augment, shift)
    return dataset.batch(own, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
