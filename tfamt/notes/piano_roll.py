"""Turn notes into piano rolls, the labels of training.

All rolls are float32 [frames, 88], pitch 21 (A0) first, frame t at time t * hop / sample_rate after the window's
start:

- pianoroll: 1 from the frame nearest the onset up to, not including, the frame nearest the offset; a note sounds
  for one frame at least. Notes of one pitch that follow each other without a gap merge here; onsets part them.
- onset, offset: a triangle of height 1 and half-width `RADIUS` frames around the exact time, so that the fraction
  of a frame is not lost (compare Kong et al., "High-resolution Piano Transcription", 2021). Where triangles meet,
  the larger value counts.
- velocity: MIDI velocity / 127 wherever a note's onset triangle is above 0; the louder of two notes counts.

A radius of 1.5 frames is the smallest for which the peak's two neighbours give the exact time back
(`tfamt.transcription.note_decoder`), for any fraction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tfamt.frames import FrameGrid
from tfamt.notes.table import LOWEST_PITCH, NUM_PITCHES, Notes, in_piano_range

if TYPE_CHECKING:
    pass

RADIUS = 1.5
_REACH = range(-1, 3)
"""Frames, from the one at or before the exact position, that a triangle of this radius can touch."""

Rolls = dict[str, NDArray[np.float32]]


def notes_to_rolls(notes: Notes, num_frames: int, grid: FrameGrid, start_sample: int = 0) -> Rolls:
    """Make the rolls of a window.

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
