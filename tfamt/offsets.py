"""Where a note most likely ends, from what the network says about every frame that it may still sound in.

A frame's probability to sound, which can only fall while nothing strikes the key again, is the probability that the
note is still held; its falls, and the offset roll, say when the release is likely. What a network puts out need
not be that probability: on pianos that it was not trained on it is too low. The threshold of the piano roll is what
stands for even chances.

An offset counts as right within 50 ms or a fifth of the note's length (mir_eval), so a late release of a long note is
well met by an end in the middle of where it may be; a threshold would take the median of that. Of all ends the one is
taken that is worth most: its chance to be right, and what the frames before it are worth, which sound or do not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float32]

RISE_FRAMES = 3
"""How far the piano roll's peak may lie behind the onset."""
TAIL_FRAMES = 32
"""How long after a fall below the threshold a release is still thought of: what keeps a stream waiting."""
_SILENT = 0.05
"""Probability below which nobody holds the key any more."""
_TOLERANCE_SECONDS = 0.05
_TOLERANCE_SHARE = 0.2
_EVEN = 0.5
_OFFSET_SHARE = 0.5
"""Weight of the offset roll, beside that of the piano roll's falls, in saying when the release is."""
_FRAMES_WORTH = 1.0
"""What a second of rightly sounding frames is worth in right offsets."""
_HALF_SURE = 0.42
"""Probability at which a frame is as well left silent: half the F1 that is to be expected."""


def frames_until_faded(pianoroll: Column, threshold: float) -> int | None:
    """How many frames of `pianoroll`, from behind a note's onset on, matter to its end; None if more than there are."""
    if len(pianoroll) < RISE_FRAMES:
        return None
    held = _held(pianoroll, threshold)
    ends = [*(np.flatnonzero(held < _SILENT)[:1] + 1)]
    ends += [*(np.flatnonzero(held < _EVEN)[:1] + TAIL_FRAMES)]
    end = max(min(ends, default=len(held) + 1), RISE_FRAMES)
    return int(end) if end <= len(held) else None


def likeliest_end(
    pianoroll: Column, offset: Column, threshold: float, lead: float, seconds_per_frame: float
) -> float:
    """The end of a note that is worth most.

    Args:
      pianoroll: probabilities that the key sounds [frames], from behind the note's onset on, up to where it has faded,
        is struck again, or the recording ends.
      offset: the offset roll of the same frames.
      threshold: output of the piano roll that means even chances to sound.
      lead: frames from the note's exact onset to the first of these.
      seconds_per_frame: see `tfamt.frames`.

    Returns:
      Its position in frames, counted from the first.
    """
    if not len(pianoroll):
        return 0.0
    held = _held(pianoroll, threshold)
    # At frame i, the first that does not sound, give or take half a frame; at the end, what is held till then.
    falls = -np.diff(held, prepend=held[0], append=0.0)
    released = np.append(offset, 0.0).astype(np.float64)
    chances = _to_one((1.0 - _OFFSET_SHARE) * _to_one(falls) + _OFFSET_SHARE * _to_one(released))
    index = np.arange(len(chances))
    length = index + lead
    reach = np.maximum(_TOLERANCE_SECONDS / seconds_per_frame, _TOLERANCE_SHARE * length)
    until = np.append(0.0, np.cumsum(chances))
    first = np.clip(np.ceil(index - reach), 0, len(chances)).astype(int)
    last = np.clip(np.floor(index + reach) + 1, 0, len(chances)).astype(int)
    right = until[last] - until[first]
    sounding = np.append(0.0, np.cumsum(held - _HALF_SURE)) * seconds_per_frame
    worth = right + _FRAMES_WORTH * sounding
    best = np.flatnonzero(worth >= worth.max() - 1e-6)
    return float(best[len(best) // 2])


def _held(pianoroll: Column, threshold: float) -> NDArray[np.float64]:
    """Probability that the key is still held: the roll without its rise, never rising, even at the threshold."""
    sounds = pianoroll.astype(np.float64) * (1.0 - threshold)
    silent = (1.0 - pianoroll.astype(np.float64)) * threshold
    held = sounds / (sounds + silent)
    peak = int(np.argmax(held[:RISE_FRAMES]))
    held[:peak] = held[peak]
    return np.minimum.accumulate(held)


def _to_one(values: NDArray[np.float64]) -> NDArray[np.float64]:
    total = values.sum()
    return values / total if total > 0 else values
