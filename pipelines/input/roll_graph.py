"""Make piano rolls inside tf.data graphs."""

from __future__ import annotations

import tensorflow as tf

from tfamt.frames import FrameGrid
from tfamt.notes.piano_roll import _REACH, RADIUS
from tfamt.notes.table import LOWEST_PITCH, NUM_PITCHES


def notes_to_rolls_graph(
    onset: tf.Tensor,
    offset: tf.Tensor,
    pitch: tf.Tensor,
    velocity: tf.Tensor,
    *,
    num_frames: int,
    grid: FrameGrid,
    start_sample: tf.Tensor,
) -> dict[str, tf.Tensor]:
    """Make the rolls of `notes_to_rolls` in TensorFlow ops, for tf.data.

    Args:
      onset: float64 [n], seconds.
      offset: float64 [n], seconds.
      pitch: int64 [n].
      velocity: int64 [n].
      num_frames: length of the window.
      grid: sample rate and hop.
      start_sample: int64 [], as in `notes_to_rolls`.

    Returns:
      The same rolls, float32 [num_frames, 88].
    """
    start = tf.cast(start_sample, tf.float64)
    key = pitch - LOWEST_PITCH
    on_key = (key >= 0) & (key < NUM_PITCHES)
    onset = (onset * grid.sample_rate - start) / grid.hop
    offset = (offset * grid.sample_rate - start) / grid.hop
    shape = (num_frames, NUM_PITCHES)

    def scatter_max(frames: list[tf.Tensor], values: list[tf.Tensor]) -> tf.Tensor:
        frame, value = tf.concat(frames, 0), tf.concat(values, 0)
        keys, allowed = tf.tile(key, [len(frames)]), tf.tile(on_key, [len(frames)])
        inside = allowed & (frame >= 0) & (frame < num_frames)
        where = tf.boolean_mask(tf.stack([frame, keys], axis=1), inside)
        value = tf.cast(tf.boolean_mask(value, inside), tf.float32)
        return tf.tensor_scatter_nd_max(tf.zeros(shape), where, value)

    def triangles(position: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        frames = [tf.cast(tf.floor(position), tf.int64) + step for step in _REACH]
        weights = [
            tf.maximum(1.0 - tf.abs(tf.cast(frame, tf.float64) - position) / RADIUS, 0.0)
            for frame in frames
        ]
        return frames, weights

    onset_frames, onset_weights = triangles(onset)
    loudness = tf.cast(velocity, tf.float64) / 127.0
    first = tf.cast(tf.floor(onset + 0.5), tf.int64)
    last = tf.maximum(tf.cast(tf.floor(offset + 0.5), tf.int64), first + 1)
    # Count note begins and ends per frame; what is open sounds.
    edges = tf.stack(
        [
            tf.concat(
                [tf.clip_by_value(first, 0, num_frames), tf.clip_by_value(last, 0, num_frames)], 0
            ),
            tf.tile(tf.clip_by_value(key, 0, NUM_PITCHES - 1), [2]),
        ],
        axis=1,
    )
    change = tf.cast(on_key, tf.int32)
    changes = tf.scatter_nd(
        edges, tf.concat([change, -change], 0), tf.constant([num_frames + 1, NUM_PITCHES], tf.int64)
    )
    return {
        "pianoroll": tf.cast(tf.cumsum(changes, axis=0)[:num_frames] > 0, tf.float32),
        "onset": scatter_max(onset_frames, onset_weights),
        "offset": scatter_max(*triangles(offset)),
        "velocity": scatter_max(
            onset_frames, [tf.where(weight > 0, loudness, 0.0) for weight in onset_weights]
        ),
    }
