"""Notes to piano rolls: the labels of training, in numpy and in TensorFlow ops.

All rolls are float32 [frames, 88], pitch 21 (A0) first, frame t at time t * hop / sample_rate after the window's
start:

- pianoroll: 1 from the frame nearest the onset up to, not including, the frame nearest the offset; a note sounds
  for one frame at least. Notes of one pitch that follow each other without a gap merge here; onsets part them.
- onset, offset: a triangle of height 1 and half-width `RADIUS` frames around the exact time, so that the fraction
  of a frame is not lost (compare Kong et al., "High-resolution Piano Transcription", 2021). Where triangles meet,
  the larger value counts.
- velocity: MIDI velocity / 127 wherever a note's onset triangle is above 0; the louder of two notes counts.

A radius of 1.5 frames is the smallest for which the peak's two neighbours give the exact time back
(`tfamt.decoding`), whatever the fraction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tfamt.frames import FrameGrid
from tfamt.notes import LOWEST_PITCH, NUM_PITCHES, Notes, in_piano_range

if TYPE_CHECKING:
    import tensorflow as tf

RADIUS = 1.5
_REACH = range(-1, 3)
"""Frames, from the one at or before the exact position, that a triangle of this radius can touch."""

Rolls = dict[str, NDArray[np.float32]]


def notes_to_rolls(notes: Notes, num_frames: int, grid: FrameGrid, start_sample: int = 0) -> Rolls:
    """Rolls of a window in numpy.

    Args:
      notes: notes of the whole recording; pitches that a piano does not have are left out.
      num_frames: length of the window.
      grid: sample rate and hop.
      start_sample: where in the recording the window's first frame is centred; may be negative.

    Returns:
      {"pianoroll", "onset", "offset", "velocity"}: float32 [num_frames, 88] each.
    """
    notes = notes.select(in_piano_range(notes))
    key = notes.pitch - LOWEST_PITCH
    onset = grid.position_of(notes.onset, start_sample)
    offset = grid.position_of(notes.offset, start_sample)
    rolls = {
        name: np.zeros((num_frames, NUM_PITCHES), np.float32)
        for name in ("pianoroll", "onset", "offset", "velocity")
    }
    first = np.floor(onset + 0.5).astype(np.int64)
    last = np.maximum(np.floor(offset + 0.5).astype(np.int64), first + 1)
    for begin, end, pitch in zip(first, last, key, strict=True):
        rolls["pianoroll"][max(begin, 0) : max(end, 0), pitch] = 1.0
    loudness = notes.velocity / 127.0
    for step in _REACH:
        for name, position in (("onset", onset), ("offset", offset)):
            frame = np.floor(position).astype(np.int64) + step
            weight = np.maximum(1.0 - np.abs(frame - position) / RADIUS, 0.0)
            inside = (frame >= 0) & (frame < num_frames) & (weight > 0)
            where = (frame[inside], key[inside])
            np.maximum.at(rolls[name], where, weight[inside].astype(np.float32))
            if name == "onset":
                np.maximum.at(rolls["velocity"], where, loudness[inside].astype(np.float32))
    return rolls


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
    """`notes_to_rolls` in TensorFlow ops, for tf.data.

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
    import tensorflow as tf

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
