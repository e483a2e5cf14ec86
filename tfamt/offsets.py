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

Column = NDArray[np.float64]

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


def chances_to_sound(pianoroll: NDArray[np.float32], threshold: float) -> Column:
    """Outputs of the piano roll, of any shape, as probabilities: even ones at the threshold."""
    said = pianoroll.astype(np.float64)
    sounds, silent = said * (1.0 - threshold), (1.0 - said) * threshold
    probabilities: Column = sounds / (sounds + silent)
    return probabilities


def frames_until_faded(sounds: Column) -> int | None:
    """How many frames, from behind a note's onset on, matter to its end; None if more than there are.

    Args:
      sounds: `chances_to_sound` of the key [frames].
    """
    if len(sounds) < RISE_FRAMES:
        return None
    held = _held(sounds)
    # It never rises: as many frames are at or above a level as come before the first below it.
    faded = np.count_nonzero(held >= _SILENT) + 1
    left = np.count_nonzero(held >= _EVEN) + TAIL_FRAMES
    end = max(min(faded, left), RISE_FRAMES)
    return int(end) if end <= len(held) else None


def likeliest_end(sounds: Column, offset: Column, lead: float, seconds_per_frame: float) -> float:
    """The end of a note that is worth most.

    Args:
      sounds: `chances_to_sound` of the key [frames], from behind the note's onset on, up to where it has faded, is
        struck again, or the recording ends.
      offset: the offset roll of the same frames.
      lead: frames from the note's exact onset to the first of these.
      seconds_per_frame: see `tfamt.frames`.

    Returns:
      Its position in frames, counted from the first.
    """
    count = len(sounds)
    if not count:
        return 0.0
    # Some thousand notes a recording: no more calls of numpy than it takes.
    held = _held(sounds)
    chances = _chances(held, offset)
    until = np.zeros(count + 2)
    np.cumsum(chances, out=until[1:])
    index = np.arange(count + 1)
    reach = np.maximum(_TOLERANCE_SECONDS / seconds_per_frame, _TOLERANCE_SHARE * (index + lead))
    first = np.maximum(np.ceil(index - reach), 0).astype(int)
    last = np.minimum(np.floor(index + reach), count).astype(int) + 1
    worth = until[last] - until[first]
    worth[1:] += _FRAMES_WORTH * seconds_per_frame * np.cumsum(held - _HALF_SURE)
    best = np.flatnonzero(worth >= worth.max() - 1e-6)
    return float(best[len(best) // 2])


def _chances(held: Column, offset: Column) -> Column:
    """For each frame, and the one behind them, how likely the release is there; 1 in all, if there is any."""
    # At frame i, the first that does not sound, give or take half a frame; at the end, what is held till then.
    chances = np.zeros(len(held) + 1)
    chances[1:-1] = held[:-1] - held[1:]
    chances[-1] = held[-1]
    # So these add up to what was held at first.
    if held[0] > 0:
        chances *= (1.0 - _OFFSET_SHARE) / held[0]
    released = offset.sum()
    if released > 0:
        chances[:-1] += _OFFSET_SHARE / released * offset
    total = chances.sum()
    if total > 0:
        chances /= total
    return chances


def _held(sounds: Column) -> Column:
    """Probability that the key is still held: that to sound without its rise, never rising."""
    peak = sounds[:RISE_FRAMES].argmax()
    if peak:
        sounds = sounds.copy()
        sounds[:peak] = sounds[peak]
    return np.minimum.accumulate(sounds)
