"""How loud a recording is, and what brings all recordings to one loudness before the network hears them.

How hard a key was struck shows in how loud it sounds beside the rest of the recording. If every window were scaled by
itself, the same stroke would look loud in a soft passage and soft in a loud one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

STRETCH = 4096
"""Samples, 256 ms at 16 kHz, over which loudness is measured: short for a passage, long for a click."""
TARGET = 0.1
"""Root mean square that the loudest stretch of a recording is brought to."""
QUIETEST = 10.0 ** (-70.0 / 20.0)
"""Root mean square below which nothing is made louder: a recording of silence stays one."""
FORGOTTEN_DB = 1.0
"""How much softer the loudest stretch counts for each minute that has passed since."""


def loudness(waveform: Array) -> float:
    """Largest root mean square of the stretches of a waveform [samples]; what is left at its end counts as one."""
    whole = len(waveform) // STRETCH * STRETCH
    stretches = [*waveform[:whole].reshape(-1, STRETCH), waveform[whole:]]
    squares = [np.dot(stretch, stretch) / STRETCH for stretch in stretches]
    return float(np.sqrt(max(squares)))


def gain_of(level: float) -> float:
    """The factor that brings a recording of this loudness to `TARGET`."""
    return TARGET / max(level, QUIETEST)


def levelled(recordings: Array) -> Array:
    """Whole recordings [batch, samples], each brought to `TARGET`."""
    gains = [gain_of(loudness(recording)) for recording in recordings]
    return recordings * np.array(gains, np.float32)[:, None]


class Leveller:
    """Brings the windows of one recording to its loudness, or to that so far: a stream does not know what comes later.

    Args:
      seconds: from the beginning of a window to that of the next.
      level: `loudness` of the whole recording, if it is known.
    """

    def __init__(self, seconds: float, level: float | None = None):
        self._kept = 10.0 ** (-FORGOTTEN_DB * seconds / 60.0 / 20.0)
        self._level = level
        self._so_far = 0.0

    def level(self, window: Array) -> Array:
        """The window that follows, louder or softer."""
        if self._level is not None:
            return window * np.float32(gain_of(self._level))
        self._so_far = max(loudness(window), self._so_far * self._kept)
        return window * np.float32(gain_of(self._so_far))
