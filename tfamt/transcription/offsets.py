"""Choose where notes end: the offset with the best expected score.

A frame's probability to sound, which can only fall while nothing strikes the key again, is the probability that the
note is still held; its falls, and the offset roll, give the likely times of the release. The output of a network
need not be that probability: on pianos outside the training data it is too low. The threshold of the piano roll stands
for a probability of 0.5.

An offset counts as correct within 50 ms or a fifth of the note's length (mir_eval). The offset chosen is the one with
the best expected score: its probability to be correct, plus a weight for every frame before it that sounds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]

RISE_FRAMES = 3
"""Frames that the piano roll's peak may lie behind the onset."""
TAIL_FRAMES = 32
"""Frames after a fall below the threshold in which a release is still considered; the delay of a stream."""
_SILENT = 0.05
"""Probability below which the key counts as released."""
_TOLERANCE_SECONDS = 0.05
_TOLERANCE_SHARE = 0.2
_EVEN = 0.5
_OFFSET_SHARE = 0.5
"""Weight of the offset roll, beside that of the piano roll's falls, in locating the release."""
_FRAME_WEIGHT = 1.0
"""Weight of a second of correct frames, in correct offsets."""
_CHUNK_FRAMES = 2**14
"""Frames that are processed together, of any number of notes; bounds memory."""
_BREAK_EVEN = 0.42
"""Probability at which a frame neither gains nor costs: half the F1 to be expected."""


def sounding_probabilities(pianoroll: NDArray[np.float32], threshold: float) -> Column:
    """Convert outputs of the piano roll, of any shape, to probabilities that the key sounds: 0.5 at the threshold."""
    outputs = pianoroll.astype(np.float64)
    sounds, silent = outputs * (1.0 - threshold), (1.0 - outputs) * threshold
    probabilities: Column = sounds / (sounds + silent)
    return probabilities


def frames_until_faded(sounds: Column) -> int | None:
    """Return how many frames after a note's onset matter to its end; None if more than given.

    Args:
      sounds: `sounding_probabilities` of the key [frames].
    """
    if len(sounds) < RISE_FRAMES:
        return None
    held = _held(sounds[None])[0]
    # It never rises: as many frames are at or above a level as come before the first below it.
    faded = np.count_nonzero(held >= _SILENT) + 1
    left = np.count_nonzero(held >= _EVEN) + TAIL_FRAMES
    end = max(min(faded, left), RISE_FRAMES)
    return int(end) if end <= len(held) else None


def expected_score_offsets(
    evidence: Sequence[NDArray[np.float64]], lead: Column, seconds_per_frame: float
) -> Column:
    """Return for each note the offset with the best expected score.

    Args:
      evidence: of each note the probability to sound and the offset roll [frames, 2], from behind its onset on, up to
        where it has faded, is struck again, or the recording ends.
      lead: of each note the frames from its exact onset to the first of these [notes].
      seconds_per_frame: see `tfamt.frames`.

    Returns:
      Their positions in frames, counted from each note's first [notes].
    """
    ends = np.zeros(len(evidence))
    lengths = np.array([len(frames) for frames in evidence], np.int64)
    # Notes of similar length are processed together, with few calls of numpy and little padding.
    waiting = np.argsort(-lengths, kind="stable")
    while len(waiting):
        longest = max(lengths[waiting[0]], 1)
        together, waiting = np.split(waiting, [max(_CHUNK_FRAMES // longest, 1)])
        padded = np.zeros((len(together), longest, 2))
        for row, note in zip(padded, together.tolist(), strict=True):
            row[: lengths[note]] = evidence[note]
        ends[together] = _ends(padded, lengths[together], lead[together], seconds_per_frame)
    return ends


def _ends(
    padded: NDArray[np.float64], lengths: NDArray[np.int64], lead: Column, seconds_per_frame: float
) -> Column:
    """Compute `expected_score_offsets` of notes [notes, frames, 2] with zeros behind these lengths [notes]."""
    count = padded.shape[1]
    held = _held(padded[..., 0])
    until = np.zeros((len(held), count + 2))
    np.cumsum(_release_probability(held, padded[..., 1]), axis=1, out=until[:, 1:])
    index = np.arange(count + 1)
    reach = np.maximum(
        _TOLERANCE_SECONDS / seconds_per_frame, _TOLERANCE_SHARE * (index + lead[:, None])
    )
    first = np.maximum(np.ceil(index - reach), 0).astype(int)
    last = np.minimum(np.floor(index + reach), count).astype(int) + 1
    score = np.take_along_axis(until, last, 1) - np.take_along_axis(until, first, 1)
    score[:, 1:] += _FRAME_WEIGHT * seconds_per_frame * np.cumsum(held - _BREAK_EVEN, axis=1)
    score[index > lengths[:, None]] = -np.inf
    # The middle of the best offsets.
    best = np.cumsum(score >= score.max(axis=1, keepdims=True) - 1e-6, axis=1)
    middle: Column = (best > best[:, -1:] // 2).argmax(axis=1).astype(np.float64)
    return middle


def _release_probability(held: Column, offset: Column) -> Column:
    """Return for each frame [notes, frames], and the one after them, the probability of the release there.

    They add up to 1 for each note, if there is any.
    """
    # At frame i, the first that does not sound, give or take half a frame; at the end, what is held till then.
    released = np.zeros((len(held), held.shape[1] + 1))
    released[:, 1:] = held
    released[:, 1:-1] -= held[:, 1:]
    # So these add up to what was held at first.
    released *= _share(1.0 - _OFFSET_SHARE, held[:, 0])
    released[:, :-1] += _share(_OFFSET_SHARE, _total(offset)) * offset
    released *= _share(1.0, _total(released))
    return released


def _total(columns: Column) -> Column:
    """Sum along frames; zeros behind them do not change the last bit, as they would with numpy's sum."""
    total: Column = np.cumsum(columns, axis=1)[:, -1]
    return total


def _share(share: float, total: Column) -> Column:
    """Return the factor that scales each note's `total` [notes] to `share`, [notes, 1]; 0 where the total is 0."""
    there = total > 0
    return np.divide(share, total, out=np.zeros_like(total), where=there)[:, None]


def _held(sounds: Column) -> Column:
    """Return the probability that keys [notes, frames] are still held: that to sound, but never rising."""
    peak = sounds[:, :RISE_FRAMES].argmax(axis=1)
    rising = np.arange(sounds.shape[1]) < peak[:, None]
    risen = np.where(rising, sounds[np.arange(len(sounds)), peak, None], sounds)
    return np.minimum.accumulate(risen, axis=1)
