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
DECAY_DB = 1.0
"""Decibels per minute by which the loudness so far of a stream decays."""


def loudness(waveform: Array) -> float:
    """Return the largest root mean square of the blocks of a waveform [samples]; the rest is a block too."""
    full = len(waveform) // LOUDNESS_BLOCK * LOUDNESS_BLOCK
    blocks = [*waveform[:full].reshape(-1, LOUDNESS_BLOCK), waveform[full:]]
    squares = [np.dot(block, block) / LOUDNESS_BLOCK for block in blocks]
    return float(np.sqrt(max(squares)))


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
