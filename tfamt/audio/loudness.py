"""Measure how loud a recording is.

The velocity of a note is relative to the loudness of the whole recording. Windows that were scaled one by one would
make the same note look loud in a soft passage and soft in a loud one, so the front end takes the recording's loudness
as an input (`tfamt.network.frontend`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

LOUDNESS_BLOCK = 4096
"""Samples (256 ms at 16 kHz) over which loudness is measured: short for a passage, long for a click."""
TARGET_RMS = 0.1
"""Root mean square of the loudest block of a recording after normalization."""
MINIMUM_RMS = 10.0 ** (-70.0 / 20.0)
"""Root mean square below which the gain no longer rises: a recording of silence stays silent."""
GROSS_POWER = 2.0
"""Ratio of powers (3 dB) from which a constant offset or a click is left out; music itself stays below 1.7 dB."""
BLOCK_PARTS = 32
"""Parts of a block, 8 ms each."""
CLICK_PARTS = 4
"""Parts of a block that a click may fill."""
MOST_CLICKS = 3
"""Clicks in a recording, or one in a hundred blocks where that is more: beyond, they are the music."""
LOUDEST_CLICK = 10.0**-4.5
"""Power of the loudest music as a fraction of that of a click's block below which the click is the music."""
DECAY_DB = 1.0
"""Decibels per minute by which the loudness so far of a stream decays."""


class LoudnessMeter:
    """Measure the loudness of a recording that comes in pieces.

    It is the largest root mean square of the blocks of `LOUDNESS_BLOCK` samples. Two faults of recordings do not count,
    where they change the result by more than `GROSS_POWER`: a constant offset, and a few clicks. A click is a block
    that is as loud only because of its `CLICK_PARTS` loudest parts of 8 ms.
    """

    def __init__(self) -> None:
        self._powers: list[NDArray[np.float64]] = []

    def push(self, piece: Array) -> None:
        """Take the samples [samples] that follow: whole blocks, but for the last piece, whose rest is a block too."""
        full = len(piece) // LOUDNESS_BLOCK * LOUDNESS_BLOCK
        for block in piece[:full].reshape(-1, LOUDNESS_BLOCK):
            self._powers.append(_block_powers(block))
        if full < len(piece) or not self._powers:
            self._powers.append(_block_powers(piece[full:]))

    @property
    def loudness(self) -> float:
        """Return the loudness of what was pushed."""
        power, centered, without_clicks = np.array(self._powers).T
        if power.max() > GROSS_POWER * centered.max():
            power = centered
        clicks = power > GROSS_POWER * without_clicks.max()
        if 0 < clicks.sum() <= max(MOST_CLICKS, len(power) / 100) and not clicks.all():
            rest = power[~clicks].max()
            # Sounds as short in silence are the recording itself.
            if rest > LOUDEST_CLICK * power.max():
                return float(np.sqrt(rest))
        return float(np.sqrt(power.max()))


def loudness(waveform: Array) -> float:
    """Return the loudness of a waveform [samples] (`LoudnessMeter`)."""
    meter = LoudnessMeter()
    meter.push(waveform)
    return meter.loudness


def _block_powers(block: Array) -> NDArray[np.float64]:
    """Return the power of a block [samples]: as it is, without its mean, and without its loudest parts too."""
    padded = np.zeros(LOUDNESS_BLOCK, np.float32)
    if len(block):
        padded[: len(block)] = block - block.mean()
    parts = np.square(padded).reshape(BLOCK_PARTS, -1).mean(axis=1)
    quieter = np.sort(parts)[: BLOCK_PARTS - CLICK_PARTS]
    return np.array([np.dot(block, block) / LOUDNESS_BLOCK, parts.mean(), quieter.mean()])


class RunningLoudness:
    """Track the loudness so far of a stream, whose later loudness is unknown.

    Args:
      seconds: from the beginning of a window to that of the next.
    """

    def __init__(self, seconds: float):
        self._decay = 10.0 ** (-DECAY_DB * seconds / 60.0 / 20.0)
        self._so_far = 0.0

    def update(self, window: Array) -> float:
        """Return the loudness of the stream up to the end of the next window."""
        self._so_far = max(loudness(window), self._so_far * self._decay)
        return self._so_far
