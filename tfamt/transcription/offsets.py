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

from collections.abc import Sequence

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
_AT_ONCE = 2**14
"""Frames that are looked at together, of however many notes: what bounds memory."""
_HALF_SURE = 0.42
"""Probability at which a frame is as well left silent: half the F1 that is to be expected."""


def release_probabilities(pianoroll: NDArray[np.float32], threshold: float) -> Column:
    """Outputs of the piano roll, of any shape, as probabilities: even ones at the threshold."""
    said = pianoroll.astype(np.float64)
    sounds, silent = said * (1.0 - threshold), (1.0 - said) * threshold
    probabilities: Column = sounds / (sounds + silent)
    return probabilities


def frames_until_faded(sounds: Column) -> int | None:
    """How many frames, from behind a note's onset on, matter to its end; None if more than there are.

    Args:
      sounds: `release_probabilities` of the key [frames].
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
    heard: Sequence[NDArray[np.float64]], lead: Column, seconds_per_frame: float
) -> Column:
    """The end of each of some notes that is worth most.

    Args:
      heard: of each note the chances to sound and the offset roll [frames, 2], from behind its onset on, up to where it
        has faded, is struck again, or the recording ends.
      lead: of each note the frames from its exact onset to the first of these [notes].
      seconds_per_frame: see `tfamt.frames`.

    Returns:
      Their positions in frames, counted from each note's first [notes].
    """
    ends = np.zeros(len(heard))
    lengths = np.array([len(frames) for frames in heard], np.int64)
    # Some thousand notes a recording: together they need few calls of numpy, and those of like length little padding.
    waiting = np.argsort(-lengths, kind="stable")
    while len(waiting):
        longest = max(lengths[waiting[0]], 1)
        together, waiting = np.split(waiting, [max(_AT_ONCE // longest, 1)])
        padded = np.zeros((len(together), longest, 2))
        for row, note in zip(padded, together.tolist(), strict=True):
            row[: lengths[note]] = heard[note]
        ends[together] = _ends(padded, lengths[together], lead[together], seconds_per_frame)
    return ends


def _ends(
    padded: NDArray[np.float64], lengths: NDArray[np.int64], lead: Column, seconds_per_frame: float
) -> Column:
    """`expected_score_offsets` of notes [notes, frames, 2] with zeros behind these lengths [notes]."""
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
    worth = np.take_along_axis(until, last, 1) - np.take_along_axis(until, first, 1)
    worth[:, 1:] += _FRAMES_WORTH * seconds_per_frame * np.cumsum(held - _HALF_SURE, axis=1)
    worth[index > lengths[:, None]] = -np.inf
    # The middle one of the best.
    best = np.cumsum(worth >= worth.max(axis=1, keepdims=True) - 1e-6, axis=1)
    middle: Column = (best > best[:, -1:] // 2).argmax(axis=1).astype(np.float64)
    return middle


def _release_probability(held: Column, offset: Column) -> Column:
    """For each frame [notes, frames], and the one behind them, how likely the release is there.

    They add up to 1 for each note, if there is any.
    """
    # At frame i, the first that does not sound, give or take half a frame; at the end, what is held till then.
    chances = np.zeros((len(held), held.shape[1] + 1))
    chances[:, 1:] = held
    chances[:, 1:-1] -= held[:, 1:]
    # So these add up to what was held at first.
    chances *= _share(1.0 - _OFFSET_SHARE, held[:, 0])
    chances[:, :-1] += _share(_OFFSET_SHARE, _total(offset)) * offset
    chances *= _share(1.0, _total(chances))
    return chances


def _total(columns: Column) -> Column:
    """Sums along frames; zeros behind them do not change the last bit, as they would with numpy's."""
    total: Column = np.cumsum(columns, axis=1)[:, -1]
    return total


def _share(share: float, total: Column) -> Column:
    """What brings each note's `total` [notes] to `share`, [notes, 1]; 0 where there is none to bring there."""
    there = total > 0
    return np.divide(share, total, out=np.zeros_like(total), where=there)[:, None]


def _held(sounds: Column) -> Column:
    """Probability that keys [notes, frames] are still held: that to sound without its rise, never rising."""
    peak = sounds[:, :RISE_FRAMES].argmax(axis=1)
    rising = np.arange(sounds.shape[1]) < peak[:, None]
    risen = np.where(rising, sounds[np.arange(len(sounds)), peak, None], sounds)
    return np.minimum.accumulate(risen, axis=1)
